"""The configuration of a consumer: nats-server's JSON, its defaults, its rules (reference: jetstream.md section 4)."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from edge.core.times import SECOND, parse_rfc3339, rfc3339
from edge.jetstream import errors
from edge.jetstream.fields import check_object
from edge.jetstream.stream_config import MAX_DESCRIPTION, is_name, metadata
from edge.subjects import is_valid, is_wildcard, overlap

ACK_WAIT_NS = 30 * SECOND
INACTIVE_NS = 5 * SECOND
MAX_WAITING = 512
MAX_ACK_PENDING = 1000

KINDS = {
    "name": "string", "durable_name": "string", "description": "string", "deliver_policy": "string",
    "opt_start_seq": "int", "opt_start_time": "string", "ack_policy": "string", "ack_wait": "duration",
    "max_deliver": "int", "backoff": "ints", "filter_subject": "string", "filter_subjects": "strings",
    "replay_policy": "string", "rate_limit_bps": "int", "sample_freq": "string", "max_waiting": "int",
    "max_ack_pending": "int", "flow_control": "bool", "idle_heartbeat": "duration", "headers_only": "bool",
    "max_batch": "int", "max_expires": "duration", "max_bytes": "int", "deliver_subject": "string",
    "deliver_group": "string", "inactive_threshold": "duration", "num_replicas": "int", "mem_storage": "bool",
    "metadata": "object", "pause_until": "string", "priority_groups": "strings", "priority_policy": "string",
    "priority_timeout": "duration", "direct": "bool", "sourcing": "bool",
}  # fmt: skip
NOT_YET = ("sourcing",)
PRIORITIES = ("overflow", "pinned_client", "prioritized")
PRIORITY_TIMEOUT_NS = 120 * SECOND
PUSH_ONLY = (
    ("rate_limit_bps", 10086, "consumer in pull mode can not have rate limit set"),
    ("idle_heartbeat", 10088, "consumer idle heartbeat requires a push based consumer"),
    ("flow_control", 10089, "consumer flow control requires a push based consumer"),
)
MIN_EXPIRES_NS = 1_000_000
GROUP_NAME = re.compile(r"[a-zA-Z0-9/_=-]{1,16}")
MIN_HEARTBEAT_NS = 100_000_000
FIXED = (
    ("deliver_policy", "deliver policy"), ("opt_start_seq", "start sequence"), ("opt_start_time", "start time"),
    ("ack_policy", "ack policy"), ("replay_policy", "replay policy"), ("max_waiting", "max waiting"),
)  # fmt: skip


class ConsumerConfig(NamedTuple):
    """Empty strings and zeros are what the JSON leaves out."""

    name: str
    durable: bool = False
    description: str = ""
    deliver_policy: str = "all"
    opt_start_seq: int = 0
    opt_start_time: str = ""
    ack_policy: str = "none"
    ack_wait_ns: int = 0
    max_deliver: int = -1
    backoff_ns: tuple[int, ...] = ()
    filter_subject: str = ""
    filter_subjects: tuple[str, ...] = ()
    replay_policy: str = "instant"
    sample_freq: str = ""
    max_waiting: int = MAX_WAITING
    max_ack_pending: int = 0
    headers_only: bool = False
    deliver_subject: str = ""
    deliver_group: str = ""
    flow_control: bool = False
    idle_heartbeat_ns: int = 0
    rate_limit_bps: int = 0
    direct: bool = False
    pause_until: str = ""
    priority_groups: tuple[str, ...] = ()
    priority_policy: str = ""
    priority_timeout_ns: int = 0
    max_batch: int = 0
    max_expires_ns: int = 0
    max_bytes: int = 0
    inactive_ns: int = 0
    num_replicas: int = 0
    mem_storage: bool = False
    metadata: Mapping[str, str] = {}
    named: bool = True  # False: the name was made up here and is not part of the configuration

    @property
    def filters(self) -> tuple[str, ...]:
        return (self.filter_subject,) if self.filter_subject else self.filter_subjects

    @property
    def level(self) -> int:
        """The JetStream API level that it needs (ADR-44)."""
        if self.ack_policy == "flow_control":
            return 4
        return 1 if self.pause_until or self.priority_policy else 0

    def fields(self) -> dict[str, object]:
        """The JSON object in nats-server's order: four fields always, the others where they say something."""
        optional: list[tuple[str, object]] = [
            ("durable_name", self.name if self.durable else ""),
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
            ("idle_heartbeat", self.idle_heartbeat_ns),
            ("headers_only", self.headers_only),
            ("max_batch", self.max_batch),
            ("max_expires", self.max_expires_ns),
            ("max_bytes", self.max_bytes),
            ("deliver_subject", self.deliver_subject),
            ("deliver_group", self.deliver_group),
            ("inactive_threshold", self.inactive_ns),
            ("num_replicas", self.num_replicas),
            ("mem_storage", self.mem_storage),
            ("direct", self.direct),
            ("metadata", dict(self.metadata)),
            ("pause_until", self.pause_until),
            ("priority_groups", list(self.priority_groups)),
            ("priority_policy", self.priority_policy),
            ("priority_timeout", self.priority_timeout_ns),
        ]
        return {name: value for name, value in optional if value or name == "num_replicas"}


def consumer_config(request: Mapping[str, Any], name: str, durable: bool, named: bool = True) -> ConsumerConfig:
    """From a request's ``config``; ``name`` is what the subject (or the request, or chance) settled on."""
    fields = check_object(request, KINDS)
    _check_meant(fields)
    for feature in NOT_YET:
        if fields.get(feature):
            raise errors.not_yet(f"consumer {feature}")
    if not is_name(name):
        raise errors.invalid_consumer(10103, "consumer name can not contain spaces or any of . * > \\ /")
    ack_policy = _choice(fields, "ack_policy", "none", ("none", "all", "explicit", "flow_control"))
    replay_policy = _choice(fields, "replay_policy", "instant", ("instant", "original"))
    pull = not fields.get("deliver_subject")
    backoff = tuple(fields.get("backoff", ()))
    max_deliver = fields.get("max_deliver", 0) or -1
    if backoff and 0 < max_deliver < len(backoff):
        raise errors.invalid_consumer(10116, "max deliver is required to be > length of backoff values")
    filter_subject, filter_subjects = _filters(fields)
    policy = _choice(fields, "deliver_policy", "all", DELIVER)
    _check_start(policy, fields, bool(filter_subject or filter_subjects))
    ack_wait = backoff[0] if backoff else fields.get("ack_wait", 0) or ACK_WAIT_NS
    counted = ack_policy != "none"
    by_flow = ack_policy == "flow_control"
    return ConsumerConfig(
        name=name,
        durable=durable,
        description=fields.get("description", ""),
        deliver_policy=policy,
        opt_start_seq=fields.get("opt_start_seq", 0),
        opt_start_time=fields.get("opt_start_time", ""),
        ack_policy=ack_policy,
        ack_wait_ns=ack_wait if counted and not by_flow else fields.get("ack_wait", 0),
        max_deliver=max_deliver if max_deliver > 0 else -1,
        backoff_ns=backoff,
        filter_subject=filter_subject,
        filter_subjects=filter_subjects,
        replay_policy=replay_policy,
        rate_limit_bps=_positive(fields, "rate_limit_bps"),
        sample_freq=fields.get("sample_freq", ""),
        max_waiting=(_positive(fields, "max_waiting") or MAX_WAITING) if pull else 0,
        max_ack_pending=(fields.get("max_ack_pending", 0) or MAX_ACK_PENDING) if counted else 0,
        flow_control=fields.get("flow_control", False) or by_flow,
        idle_heartbeat_ns=SECOND if by_flow else _positive(fields, "idle_heartbeat"),
        deliver_subject=fields.get("deliver_subject", ""),
        deliver_group=fields.get("deliver_group", ""),
        direct=fields.get("direct", False),
        pause_until=pause_until(fields),
        priority_groups=tuple(fields.get("priority_groups", ())),
        priority_policy=_priority(fields),
        priority_timeout_ns=_positive(fields, "priority_timeout") or _pin_time(fields),
        headers_only=fields.get("headers_only", False),
        max_batch=_positive(fields, "max_batch"),
        max_expires_ns=_positive(fields, "max_expires"),
        max_bytes=_positive(fields, "max_bytes"),
        inactive_ns=fields.get("inactive_threshold", 0) or (0 if durable else INACTIVE_NS),
        num_replicas=fields.get("num_replicas", 0),
        mem_storage=fields.get("mem_storage", False),
        metadata=metadata(fields),
        named=named,
    )


DELIVER = ("all", "last", "new", "by_start_sequence", "by_start_time", "last_per_subject")


def _check_meant(fields: Mapping[str, Any]) -> None:
    """What nats-server refuses too, before what only this server does."""
    if len(fields.get("description", "")) > MAX_DESCRIPTION:
        text = f"consumer description is too long, maximum allowed is {MAX_DESCRIPTION}"
        raise errors.invalid_consumer(10107, text)
    if fields.get("num_replicas", 0) > 1:
        raise errors.STREAM_REPLICAS
    if fields.get("deliver_subject"):
        _check_push(fields)
    else:
        for field, err_code, text in PUSH_ONLY:
            if fields.get(field):
                raise errors.invalid_consumer(err_code, text)
        if 0 < fields.get("max_expires", 0) < MIN_EXPIRES_NS:
            raise errors.invalid_consumer(10115, "consumer max request expires needs to be >= 1ms")
    sample: str = fields.get("sample_freq", "")
    if sample and not sample.removesuffix("%").isdecimal():
        text = f'strconv.Atoi: parsing "{sample.removesuffix("%")}": invalid syntax'
        raise errors.invalid_consumer(10095, f"failed to parse consumer sampling configuration: {text}")


def pause_until(fields: Mapping[str, Any]) -> str:
    """A time, or nothing for the zero time."""
    text: str = fields.get("pause_until", "")
    if not text:
        return ""
    try:
        ns = parse_rfc3339(text)
    except ValueError as exc:
        raise errors.invalid_json(f'pause_until: "{text}" is not a time') from exc
    return rfc3339(ns) if ns > 0 else ""


def _priority(fields: Mapping[str, Any]) -> str:
    policy: str = fields.get("priority_policy") or ""
    if policy in ("", "none"):
        if fields.get("priority_groups"):
            raise errors.invalid_consumer(10196, "consumer can not have priority groups when policy is none")
        if fields.get("priority_timeout", 0) > 0:
            raise errors.invalid_consumer(10197, "PinnedTTL cannot be set when PriorityPolicy is none")
        return ""
    if policy not in PRIORITIES:
        raise errors.invalid_json(f"unknown priority policy: {policy}")
    if fields.get("deliver_subject"):
        raise errors.invalid_consumer(10178, "priority groups can not be used with push consumers")
    groups = fields.get("priority_groups") or []
    if not groups:
        raise errors.invalid_consumer(10159, "Setting PriorityPolicy requires at least one PriorityGroup to be set")
    for group in groups:
        if not group:
            raise errors.invalid_consumer(10161, "Group name cannot be an empty string")
        check_group(group)
    return policy


def check_group(group: str) -> None:
    if not GROUP_NAME.fullmatch(group):
        raise errors.invalid_consumer(
            10162, "Valid priority group name must match A-Z, a-z, 0-9, -_/=)+ and may not exceed 16 characters"
        )


def _pin_time(fields: Mapping[str, Any]) -> int:
    return PRIORITY_TIMEOUT_NS if fields.get("priority_policy") == "pinned_client" else 0


def _check_push(fields: Mapping[str, Any]) -> None:
    subject: str = fields["deliver_subject"]
    if is_wildcard(subject):
        raise errors.invalid_consumer(10079, "consumer deliver subject has wildcards")
    if not is_valid(subject):
        raise errors.invalid_consumer(10112, "invalid push consumer deliver subject")
    if fields.get("max_waiting", 0) > 0:
        raise errors.invalid_consumer(10080, "consumer in push mode can not set max waiting")
    if fields.get("max_ack_pending", 0) > 0 and (fields.get("ack_policy") or "none") == "none":
        raise errors.invalid_consumer(10082, "consumer requires ack policy for max ack pending")
    heartbeat = fields.get("idle_heartbeat", 0)
    if 0 < heartbeat < MIN_HEARTBEAT_NS:
        raise errors.invalid_consumer(10083, "consumer idle heartbeat needs to be >= 100ms")
    if fields.get("flow_control") and heartbeat <= 0 and fields.get("ack_policy") != "flow_control":
        raise errors.invalid_consumer(10108, "consumer with flow control also needs heartbeats")
    if fields.get("direct") and fields.get("durable_name"):
        raise errors.invalid_consumer(10091, "consumer direct requires an ephemeral consumer")


def _positive(fields: Mapping[str, Any], name: str) -> int:
    value: int = fields.get(name, 0)
    return max(value, 0)


def check_consumer_update(old: ConsumerConfig, new: ConsumerConfig, bound: bool = False) -> None:
    """``bound``: somebody listens where it pushes to."""
    if bool(old.deliver_subject) != bool(new.deliver_subject):
        was, would = ("pull", "push") if new.deliver_subject else ("push", "pull")
        raise errors.consumer_update(f"can not update {was} consumer to {would} based")
    if bound and old.deliver_subject != new.deliver_subject:
        raise errors.CONSUMER_ACTIVE
    for field, text in FIXED:
        if getattr(old, field) != getattr(new, field):
            raise errors.consumer_update(text)


def _filters(fields: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    single: str = fields.get("filter_subject", "")
    several: list[str] = fields.get("filter_subjects", [])
    if single and several:
        raise errors.DUPLICATE_FILTERS
    for i, subject in enumerate(several):
        if not subject:
            raise errors.EMPTY_FILTER
        if any(overlap(subject, other) for other in several[:i]):
            raise errors.OVERLAPPING_FILTERS
    for subject in (single, *several):
        if subject and not is_valid(subject):
            raise errors.invalid_stream("invalid subject")
    return single, tuple(several)


def _check_start(policy: str, fields: Mapping[str, Any], filtered: bool) -> None:
    if policy == "last_per_subject":
        if not filtered:
            raise errors.invalid_consumer(
                10094, "consumer delivery policy is deliver last per subject, but optional filter subject is not set"
            )
    for needed, field, what in (
        ("by_start_sequence", "opt_start_seq", "start sequence"),
        ("by_start_time", "opt_start_time", "start time"),
    ):
        if policy == needed and not fields.get(field):
            raise errors.invalid_consumer(
                10094, f"consumer delivery policy is deliver {needed.replace('_', ' ')}, but optional {what} is not set"
            )
        if policy != needed and fields.get(field):
            policy_text = policy.replace("_", " ")
            raise errors.invalid_consumer(
                10094, f"consumer delivery policy is deliver {policy_text}, but optional {what} is also set"
            )
    if fields.get("opt_start_time"):
        try:
            parse_rfc3339(fields["opt_start_time"])
        except ValueError as exc:
            raise errors.invalid_json(f'opt_start_time: "{fields["opt_start_time"]}" is not a time') from exc


def _choice(fields: Mapping[str, Any], name: str, default: str, here: tuple[str, ...]) -> str:
    value: str = fields.get(name) or default
    if value not in here:
        raise errors.invalid_json(f'can not unmarshal "{value}"')
    return value
