"""The configuration of a consumer, as nats-server's JSON has it (reference: jetstream.md section 4).

Read here as it is given; what it becomes by default, and what is refused, is in ``consumer_rules``.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from edge.core.times import parse_rfc3339, rfc3339
from edge.jetstream import errors
from edge.jetstream.fields import check_object
from edge.jetstream.stream_config import metadata

KINDS = {
    "name": "string", "durable_name": "string", "description": "string", "deliver_policy": "string",
    "opt_start_seq": "uint", "opt_start_time": "string", "ack_policy": "string", "ack_wait": "duration",
    "max_deliver": "int", "backoff": "ints", "filter_subject": "string", "filter_subjects": "strings",
    "replay_policy": "string", "rate_limit_bps": "uint", "sample_freq": "string", "max_waiting": "int",
    "max_ack_pending": "int", "flow_control": "bool", "idle_heartbeat": "duration", "headers_only": "bool",
    "max_batch": "int", "max_expires": "duration", "max_bytes": "int", "deliver_subject": "string",
    "deliver_group": "string", "inactive_threshold": "duration", "num_replicas": "int", "mem_storage": "bool",
    "metadata": "object", "pause_until": "string", "priority_groups": "strings", "priority_policy": "string",
    "priority_timeout": "duration", "direct": "bool", "sourcing": "bool",
}  # fmt: skip
UNDEFINED = "undefined"  # says the same as ``all``
DELIVER = (UNDEFINED, "all", "last", "new", "by_start_sequence", "by_start_time", "last_per_subject")
ACK = ("none", "all", "explicit", "flow_control")
PRIORITIES = ("none", "overflow", "pinned_client", "prioritized")


class ConsumerConfig(NamedTuple):
    """Empty strings and zeros are what the JSON leaves out."""

    name: str
    durable: str = ""
    description: str = ""
    deliver_policy: str = "all"
    opt_start_seq: int = 0
    opt_start_time: str = ""
    ack_policy: str = "none"
    ack_wait_ns: int = 0
    max_deliver: int = 0
    backoff_ns: tuple[int, ...] = ()
    filter_subject: str = ""
    filter_subjects: tuple[str, ...] = ()
    replay_policy: str = "instant"
    rate_limit_bps: int = 0
    sample_freq: str = ""
    max_waiting: int = 0
    max_ack_pending: int = 0
    flow_control: bool = False
    idle_heartbeat_ns: int = 0
    headers_only: bool = False
    max_batch: int = 0
    max_expires_ns: int = 0
    max_bytes: int = 0
    deliver_subject: str = ""
    deliver_group: str = ""
    inactive_ns: int = 0
    num_replicas: int = 0
    mem_storage: bool = False
    direct: bool = False
    sourcing: bool = False
    metadata: Mapping[str, str] = {}
    pause_until: str = ""
    priority_groups: tuple[str, ...] = ()
    priority_policy: str = ""
    priority_timeout_ns: int = 0
    named: bool = True  # False: the name was made up here and is not part of the configuration

    @property
    def filters(self) -> tuple[str, ...]:
        return (self.filter_subject,) if self.filter_subject else self.filter_subjects

    @property
    def level(self) -> int:
        """The JetStream API level that it needs (ADR-44)."""
        if self.ack_policy == "flow_control":
            return 4
        return 1 if self.pause_until or self.priority_policy or self.priority_groups or self.priority_timeout_ns else 0

    def fields(self) -> dict[str, object]:
        """The JSON object in nats-server's order: some fields always, the others where they say something."""
        optional: list[tuple[str, object]] = [
            ("durable_name", self.durable),
            ("name", self.name if self.named else ""),
            ("description", self.description),
            ("deliver_policy", self.deliver_policy),
            ("opt_start_seq", self.opt_start_seq),
            ("opt_start_time", self.opt_start_time),
            ("ack_policy", self.ack_policy),
            ("ack_wait", self.ack_wait_ns),
            ("max_deliver", self.max_deliver),
            ("backoff", list(self.backoff_ns)),
            ("filter_subject", self.filter_subject),
            ("filter_subjects", list(self.filter_subjects)),
            ("replay_policy", self.replay_policy),
            ("rate_limit_bps", self.rate_limit_bps),
            ("sample_freq", self.sample_freq),
            ("max_waiting", self.max_waiting),
            ("max_ack_pending", self.max_ack_pending),
            ("flow_control", self.flow_control),
            ("headers_only", self.headers_only),
            ("max_batch", self.max_batch),
            ("max_expires", self.max_expires_ns),
            ("max_bytes", self.max_bytes),
            ("deliver_subject", self.deliver_subject),
            ("deliver_group", self.deliver_group),
            ("idle_heartbeat", self.idle_heartbeat_ns),
            ("inactive_threshold", self.inactive_ns),
            ("num_replicas", self.num_replicas),
            ("mem_storage", self.mem_storage),
            ("direct", self.direct),
            ("sourcing", self.sourcing),
            ("metadata", dict(self.metadata)),
            ("pause_until", self.pause_until),
            ("priority_groups", list(self.priority_groups)),
            ("priority_policy", self.priority_policy),
            ("priority_timeout", self.priority_timeout_ns),
        ]
        return {name: value for name, value in optional if value or name in ("num_replicas", "metadata")}


def consumer_config(request: Mapping[str, Any], name: str, durable: str, named: bool = True) -> ConsumerConfig:
    """From a request's ``config``, every field as it is given; ``name`` is what the subject (or the request, or
    chance) settled on.  ApiError 10025 for what nats-server cannot read."""
    fields = check_object(request, KINDS)
    priority = _choice(fields, "priority_policy", "none", PRIORITIES)
    policy = _choice(fields, "deliver_policy", "all", DELIVER)
    return ConsumerConfig(
        name=name,
        durable=durable,
        description=fields.get("description", ""),
        deliver_policy="all" if policy == UNDEFINED else policy,
        opt_start_seq=fields.get("opt_start_seq", 0),
        opt_start_time=_start_time(fields),
        ack_policy=_choice(fields, "ack_policy", "none", ACK),
        ack_wait_ns=fields.get("ack_wait", 0),
        max_deliver=fields.get("max_deliver", 0),
        backoff_ns=tuple(fields.get("backoff", ())),
        filter_subject=fields.get("filter_subject", ""),
        filter_subjects=tuple(fields.get("filter_subjects", ())),
        replay_policy=_choice(fields, "replay_policy", "instant", ("instant", "original")),
        rate_limit_bps=fields.get("rate_limit_bps", 0),
        sample_freq=fields.get("sample_freq", ""),
        max_waiting=fields.get("max_waiting", 0),
        max_ack_pending=fields.get("max_ack_pending", 0),
        flow_control=fields.get("flow_control", False),
        idle_heartbeat_ns=fields.get("idle_heartbeat", 0),
        headers_only=fields.get("headers_only", False),
        max_batch=fields.get("max_batch", 0),
        max_expires_ns=fields.get("max_expires", 0),
        max_bytes=fields.get("max_bytes", 0),
        deliver_subject=fields.get("deliver_subject", ""),
        deliver_group=fields.get("deliver_group", ""),
        inactive_ns=fields.get("inactive_threshold", 0),
        num_replicas=fields.get("num_replicas", 0),
        mem_storage=fields.get("mem_storage", False),
        direct=fields.get("direct", False),
        sourcing=fields.get("sourcing", False),
        metadata=metadata(fields),
        pause_until=pause_until(fields),
        priority_groups=tuple(fields.get("priority_groups", ())),
        priority_policy="" if priority == "none" else priority,
        priority_timeout_ns=fields.get("priority_timeout", 0),
        named=named,
    )


def pause_until(fields: Mapping[str, Any]) -> str:
    """A time, or nothing for the zero time."""
    text: str = fields.get("pause_until", "")
    if not text:
        return ""
    ns = _time("pause_until", text)
    return rfc3339(ns) if ns > 0 else ""


def _start_time(fields: Mapping[str, Any]) -> str:
    """In the zone that it is given in."""
    if "opt_start_time" not in fields:
        return ""
    text: str = fields["opt_start_time"]
    ns = _time("opt_start_time", text)
    return rfc3339(ns) if ns and text.endswith("Z") else text


def _time(name: str, text: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError as exc:
        raise errors.invalid_json(f'{name}: "{text}" is not a time') from exc


def _choice(fields: Mapping[str, Any], name: str, default: str, here: tuple[str, ...]) -> str:
    value: str = fields.get(name, default)
    if value not in here:
        raise errors.invalid_json(f'can not unmarshal "{value}"')
    return value
