"""The configuration of a stream, as nats-server's JSON has it (reference: jetstream.md section 2).

Read here as it is given; what it becomes by default, and what is refused, is in ``stream_rules``.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from edge.jetstream import errors
from edge.jetstream.fields import check_object
from edge.jetstream.origin import Origin, read_origin
from edge.jetstream.subject_transform import SubjectTransform

NAME_FORBIDDEN = frozenset(" .*>\\/\t\r\n\f")
MAX_NAME = 255
MAX_DESCRIPTION = 4096
MAX_METADATA = 128 * 1024
VERSIONING = ("_nats.req.level", "_nats.level", "_nats.ver")  # the server's own metadata

KINDS = {
    "name": "string", "description": "string", "subjects": "strings", "retention": "string", "max_consumers": "int",
    "max_msgs": "int", "max_bytes": "int", "max_age": "duration", "max_msgs_per_subject": "int",
    "max_msg_size": "int32", "discard": "string", "discard_new_per_subject": "bool", "storage": "string",
    "num_replicas": "int", "no_ack": "bool", "duplicate_window": "duration", "placement": "object",
    "mirror": "object", "sources": "objects", "compression": "string", "first_seq": "uint",
    "subject_transform": "object", "republish": "object", "allow_direct": "bool", "mirror_direct": "bool",
    "sealed": "bool", "deny_delete": "bool", "deny_purge": "bool", "allow_rollup_hdrs": "bool",
    "consumer_limits": "object", "allow_msg_ttl": "bool", "subject_delete_marker_ttl": "duration",
    "allow_msg_counter": "bool", "allow_atomic": "bool", "allow_msg_schedules": "bool", "persist_mode": "string",
    "allow_batched": "bool", "metadata": "object", "pedantic": "bool",
}  # fmt: skip
PLACEMENT_KINDS = {"cluster": "string", "tags": "strings", "preferred": "string"}


class Republish(NamedTuple):
    """``headers_only``: the payload stays here, its size goes along."""

    src: str
    dest: str
    headers_only: bool = False

    def fields(self) -> dict[str, object]:
        fields: dict[str, object] = {"src": self.src, "dest": self.dest}
        return fields | {"headers_only": True} if self.headers_only else fields


class ConsumerLimits(NamedTuple):
    """What a consumer of this stream may ask for at most, and gets when it asks for nothing; 0: no limit."""

    inactive_ns: int = 0
    max_ack_pending: int = 0

    def fields(self) -> dict[str, object]:
        named = {"inactive_threshold": self.inactive_ns, "max_ack_pending": self.max_ack_pending}
        return {name: value for name, value in named.items() if value}


class StreamConfig(NamedTuple):
    """-1 is unlimited, as in the JSON, where 0 says the same once the rules have been applied."""

    name: str
    subjects: tuple[str, ...] = ()
    description: str = ""
    retention: str = "limits"
    max_consumers: int = 0
    max_msgs: int = 0
    max_bytes: int = 0
    max_age_ns: int = 0
    max_msgs_per_subject: int = 0
    max_msg_size: int = 0
    discard: str = "old"
    discard_new_per_subject: bool = False
    storage: str = "file"
    num_replicas: int = 0
    no_ack: bool = False
    duplicate_window_ns: int = 0
    placement: Mapping[str, Any] = {}
    mirror: Origin | None = None
    sources: tuple[Origin, ...] = ()
    compression: str = "none"
    first_seq: int = 0
    subject_transform: SubjectTransform | None = None
    republish: Republish | None = None
    allow_direct: bool = False
    mirror_direct: bool = False
    sealed: bool = False
    deny_delete: bool = False
    deny_purge: bool = False
    allow_rollup: bool = False
    consumer_limits: ConsumerLimits = ConsumerLimits()
    allow_msg_ttl: bool = False
    marker_ttl_ns: int = 0
    allow_msg_counter: bool = False
    allow_atomic: bool = False
    allow_msg_schedules: bool = False
    persist_mode: str = "default"
    allow_batched: bool = False
    metadata: Mapping[str, str] = {}

    def fields(self) -> dict[str, object]:
        """The JSON object, with every default filled in, in nats-server's order."""
        always: tuple[tuple[str, object], ...] = (
            ("name", self.name),
            ("retention", self.retention),
            ("max_consumers", self.max_consumers),
            ("max_msgs", self.max_msgs),
            ("max_bytes", self.max_bytes),
            ("max_age", self.max_age_ns),
            ("max_msgs_per_subject", self.max_msgs_per_subject),
            ("max_msg_size", self.max_msg_size),
            ("discard", self.discard),
            ("storage", self.storage),
            ("num_replicas", self.num_replicas),
            ("compression", self.compression),
            ("allow_direct", self.allow_direct),
            ("mirror_direct", self.mirror_direct),
            ("sealed", self.sealed),
            ("deny_delete", self.deny_delete),
            ("deny_purge", self.deny_purge),
            ("allow_rollup_hdrs", self.allow_rollup),
            ("consumer_limits", self.consumer_limits.fields()),
            ("allow_msg_ttl", self.allow_msg_ttl),
            ("metadata", dict(self.metadata)),
        )
        said: tuple[tuple[str, object], ...] = (
            ("description", self.description),
            ("subjects", list(self.subjects)),
            ("no_ack", self.no_ack),
            ("duplicate_window", self.duplicate_window_ns),
            ("placement", dict(self.placement)),
            ("mirror", self.mirror and self.mirror.fields()),
            ("sources", [source.fields() for source in self.sources]),
            ("first_seq", self.first_seq),
            ("subject_transform", self.subject_transform and self.subject_transform.fields()),
            ("republish", self.republish and self.republish.fields()),
            ("discard_new_per_subject", self.discard_new_per_subject),
            ("subject_delete_marker_ttl", self.marker_ttl_ns),
            ("allow_msg_counter", self.allow_msg_counter),
            ("allow_atomic", self.allow_atomic),
            ("allow_msg_schedules", self.allow_msg_schedules),
            ("persist_mode", self.persist_mode if self.persist_mode != "default" else ""),
            ("allow_batched", self.allow_batched),
        )
        known = dict(always) | {name: value for name, value in said if value}
        return {name: known[name] for name in ORDER if name in known}

    @property
    def level(self) -> int:
        """The JetStream API level that it needs (ADR-44)."""
        if self.allow_batched:
            return 4
        if self.allow_msg_counter or self.allow_atomic or self.allow_msg_schedules or self.persist_mode == "async":
            return 2
        return 1 if self.allow_msg_ttl or self.marker_ttl_ns > 0 else 0


ORDER = (
    "name", "description", "subjects", "retention", "max_consumers", "max_msgs", "max_bytes", "max_age",
    "max_msgs_per_subject", "max_msg_size", "discard", "storage", "num_replicas", "no_ack", "duplicate_window",
    "placement", "mirror", "sources", "compression", "first_seq", "subject_transform", "republish", "allow_direct",
    "mirror_direct", "discard_new_per_subject", "sealed", "deny_delete", "deny_purge", "allow_rollup_hdrs",
    "consumer_limits", "allow_msg_ttl", "subject_delete_marker_ttl", "allow_msg_counter", "allow_atomic",
    "allow_msg_schedules", "persist_mode", "allow_batched", "metadata",
)  # fmt: skip


def stream_config(request: Mapping[str, Any]) -> StreamConfig:
    """From a request's fields, every one as it is given.  ApiError 10025 for what nats-server cannot read."""
    fields = check_object(request, KINDS)
    return StreamConfig(
        name=fields.get("name", ""),
        subjects=tuple(fields.get("subjects", ())),
        description=fields.get("description", ""),
        retention=_choice(fields, "retention", ("limits", "interest", "workqueue")),
        max_consumers=fields.get("max_consumers", 0),
        max_msgs=fields.get("max_msgs", 0),
        max_bytes=fields.get("max_bytes", 0),
        max_age_ns=fields.get("max_age", 0),
        max_msgs_per_subject=fields.get("max_msgs_per_subject", 0),
        max_msg_size=fields.get("max_msg_size", 0),
        discard=_choice(fields, "discard", ("old", "new")),
        discard_new_per_subject=fields.get("discard_new_per_subject", False),
        storage=_choice(fields, "storage", ("file", "memory")),
        num_replicas=fields.get("num_replicas", 0),
        no_ack=fields.get("no_ack", False),
        duplicate_window_ns=fields.get("duplicate_window", 0),
        placement={name: value for name, value in _known(fields, "placement", PLACEMENT_KINDS).items() if value},
        mirror=read_origin(fields.get("mirror")),
        sources=tuple(source for item in fields.get("sources", ()) if (source := read_origin(item)) is not None),
        compression=_choice(fields, "compression", ("none", "s2")),
        first_seq=fields.get("first_seq", 0),
        subject_transform=_transform(fields),
        republish=_republish(fields),
        allow_direct=fields.get("allow_direct", False),
        mirror_direct=fields.get("mirror_direct", False),
        sealed=fields.get("sealed", False),
        deny_delete=fields.get("deny_delete", False),
        deny_purge=fields.get("deny_purge", False),
        allow_rollup=fields.get("allow_rollup_hdrs", False),
        consumer_limits=_consumer_limits(fields),
        allow_msg_ttl=fields.get("allow_msg_ttl", False),
        marker_ttl_ns=fields.get("subject_delete_marker_ttl", 0),
        allow_msg_counter=fields.get("allow_msg_counter", False),
        allow_atomic=fields.get("allow_atomic", False),
        allow_msg_schedules=fields.get("allow_msg_schedules", False),
        persist_mode=_choice(fields, "persist_mode", ("default", "", "async")) or "default",
        allow_batched=fields.get("allow_batched", False),
        metadata=metadata(fields),
    )


def _known(fields: Mapping[str, Any], name: str, kinds: Mapping[str, str]) -> dict[str, Any]:
    return check_object(fields.get(name, {}), kinds)


def _transform(fields: Mapping[str, Any]) -> SubjectTransform | None:
    if "subject_transform" not in fields:
        return None
    known = _known(fields, "subject_transform", {"src": "string", "dest": "string"})
    return SubjectTransform(known.get("src", ""), known.get("dest", ""))


def _republish(fields: Mapping[str, Any]) -> Republish | None:
    if "republish" not in fields:
        return None
    known = _known(fields, "republish", {"src": "string", "dest": "string", "headers_only": "bool"})
    return Republish(known.get("src", ""), known.get("dest", ""), known.get("headers_only", False))


def _consumer_limits(fields: Mapping[str, Any]) -> ConsumerLimits:
    known = _known(fields, "consumer_limits", {"inactive_threshold": "duration", "max_ack_pending": "int"})
    return ConsumerLimits(known.get("inactive_threshold", 0), known.get("max_ack_pending", 0))


def is_name(name: str) -> bool:
    return bool(name) and NAME_FORBIDDEN.isdisjoint(name)


def metadata(fields: Mapping[str, Any]) -> dict[str, str]:
    """Without what the server itself adds."""
    given = {key: "" if value is None else value for key, value in fields.get("metadata", {}).items()}
    for key, value in given.items():
        if not isinstance(value, str):
            raise errors.invalid_json(f"json: cannot unmarshal metadata {key}: expected string")
    return {key: value for key, value in given.items() if key not in VERSIONING}


def metadata_size(given: Mapping[str, str]) -> int:
    """In bytes, with the level that is stored beside what was given."""
    return len(VERSIONING[0]) + 1 + sum(len(key.encode()) + len(value.encode()) for key, value in given.items())


def _choice(fields: Mapping[str, Any], name: str, here: tuple[str, ...]) -> str:
    """The first is the default."""
    value: str = fields.get(name, here[0])
    if value not in here:
        raise errors.invalid_json(f'can not unmarshal "{value}"')
    return value
