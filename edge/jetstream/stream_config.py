"""The configuration of a stream: nats-server's JSON, its defaults and its rules (reference: jetstream.md section 2)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from edge.core.times import SECOND
from edge.jetstream import errors
from edge.jetstream.fields import check_object
from edge.subjects import is_valid, overlap, subset

NAME_FORBIDDEN = frozenset(" .*>\\/\t\r\n\f\v")
MAX_NAME = 255
DEFAULT_WINDOW_NS = 120 * SECOND
MIN_AGE_NS = 100_000_000

KINDS = {
    "name": "string", "description": "string", "subjects": "strings", "retention": "string", "max_consumers": "int",
    "max_msgs": "int", "max_bytes": "int", "max_age": "duration", "max_msgs_per_subject": "int", "max_msg_size": "int",
    "discard": "string", "discard_new_per_subject": "bool", "storage": "string", "num_replicas": "int",
    "no_ack": "bool", "duplicate_window": "duration", "placement": "object", "mirror": "object", "sources": "objects",
    "compression": "string", "first_seq": "int", "subject_transform": "object", "republish": "object",
    "allow_direct": "bool", "mirror_direct": "bool", "sealed": "bool", "deny_delete": "bool", "deny_purge": "bool",
    "allow_rollup_hdrs": "bool", "consumer_limits": "object", "allow_msg_ttl": "bool",
    "subject_delete_marker_ttl": "duration", "allow_msg_counter": "bool", "allow_atomic": "bool",
    "allow_msg_schedules": "bool", "persist_mode": "string", "allow_batched": "bool", "metadata": "object",
    "template_owner": "string", "pedantic": "bool",
}  # fmt: skip
NOT_YET = (
    "mirror", "sources", "subject_transform", "republish", "sealed", "allow_rollup_hdrs", "allow_msg_ttl",
    "subject_delete_marker_ttl", "allow_msg_counter", "allow_atomic", "allow_msg_schedules", "allow_batched",
    "discard_new_per_subject",
)  # fmt: skip
RESERVED = (
    ("$JS.>", "jetstream api"), ("$JSC.>", "jetstream api"), ("$NRG.>", "jetstream api"), ("$SYS.>", "system api"),
)  # fmt: skip
RESERVED_BUT = ("$JS.EVENT.>", "$SYS.ACCOUNT.>")
MAX_DESCRIPTION = 4096
MAX_METADATA = 128 * 1024
MAX_REPLICAS = 5


class StreamConfig(NamedTuple):
    """-1 is unlimited, as in the JSON."""

    name: str
    subjects: tuple[str, ...]
    description: str = ""
    max_consumers: int = -1
    max_msgs: int = -1
    max_bytes: int = -1
    max_age_ns: int = 0
    max_msg_size: int = -1
    discard: str = "old"
    storage: str = "file"
    no_ack: bool = False
    duplicate_window_ns: int = DEFAULT_WINDOW_NS
    first_seq: int = 0
    allow_direct: bool = False
    mirror_direct: bool = False
    deny_delete: bool = False
    deny_purge: bool = False
    metadata: Mapping[str, str] = {}

    def fields(self) -> dict[str, object]:
        """The JSON object, with every default filled in, in nats-server's order."""
        fields: dict[str, object] = {"name": self.name}
        if self.description:
            fields["description"] = self.description
        fields |= {
            "subjects": list(self.subjects),
            "retention": "limits",
            "max_consumers": self.max_consumers,
            "max_msgs": self.max_msgs,
            "max_bytes": self.max_bytes,
            "max_age": self.max_age_ns,
            "max_msgs_per_subject": -1,
            "max_msg_size": self.max_msg_size,
            "discard": self.discard,
            "storage": self.storage,
            "num_replicas": 1,
        }
        if self.no_ack:
            fields["no_ack"] = True
        fields["duplicate_window"] = self.duplicate_window_ns
        fields["compression"] = "none"
        if self.first_seq:
            fields["first_seq"] = self.first_seq
        return fields | {
            "allow_direct": self.allow_direct,
            "mirror_direct": self.mirror_direct,
            "sealed": False,
            "deny_delete": self.deny_delete,
            "deny_purge": self.deny_purge,
            "allow_rollup_hdrs": False,
            "consumer_limits": {},
            "allow_msg_ttl": False,
            "metadata": dict(self.metadata),
        }


def stream_config(request: Mapping[str, Any]) -> StreamConfig:
    """From a request's fields.  ApiError with nats-server's code for what it would refuse, and 10052 for what this
    server does not do."""
    fields = check_object(request, KINDS)
    name = fields.get("name", "")
    _check_name(name)
    _check_meant(fields)
    for feature in NOT_YET:
        if fields.get(feature):
            raise errors.not_yet(f"stream {feature}")
    _choice(fields, "retention", "limits", ("limits",), ("interest", "workqueue"))
    _choice(fields, "compression", "none", ("none",), ("s2",))
    _choice(fields, "persist_mode", "default", ("default",), ("async",))
    if fields.get("max_msgs_per_subject", -1) > 0:
        raise errors.not_yet("stream max_msgs_per_subject")
    if fields.get("num_replicas", 1) > 1:
        raise errors.STREAM_REPLICAS
    subjects = tuple(fields.get("subjects") or [name])
    no_ack = fields.get("no_ack", False)
    _check_subjects(subjects, no_ack)
    max_age = fields.get("max_age", 0)
    if max_age < 0:
        raise errors.invalid_stream("max age can not be negative")
    if 0 < max_age < MIN_AGE_NS:
        raise errors.invalid_stream("max age needs to be >= 100ms")
    return StreamConfig(
        name=name,
        subjects=subjects,
        description=fields.get("description", ""),
        max_consumers=_limit(fields, "max_consumers"),
        max_msgs=_limit(fields, "max_msgs"),
        max_bytes=_limit(fields, "max_bytes"),
        max_age_ns=max_age,
        max_msg_size=_limit(fields, "max_msg_size"),
        discard=_choice(fields, "discard", "old", ("old", "new"), ()),
        storage=_choice(fields, "storage", "file", ("file", "memory"), ()),
        no_ack=no_ack,
        duplicate_window_ns=_window(fields, max_age),
        first_seq=fields.get("first_seq", 0),
        allow_direct=fields.get("allow_direct", False),
        mirror_direct=fields.get("mirror_direct", False),
        deny_delete=fields.get("deny_delete", False),
        deny_purge=fields.get("deny_purge", False),
        metadata=metadata(fields),
    )


def check_update(old: StreamConfig, new: StreamConfig) -> None:
    """ApiError for what a stream cannot become."""
    if new.storage != old.storage:
        raise errors.invalid_stream("stream configuration update can not change storage type")
    if old.deny_delete and not new.deny_delete:
        raise errors.invalid_stream("stream configuration update can not cancel deny message deletes")
    if old.deny_purge and not new.deny_purge:
        raise errors.invalid_stream("stream configuration update can not cancel deny purge")


def is_name(name: str) -> bool:
    return bool(name) and len(name) <= MAX_NAME and NAME_FORBIDDEN.isdisjoint(name)


def metadata(fields: Mapping[str, Any]) -> dict[str, str]:
    """Without what the server itself adds."""
    given: dict[str, Any] = fields.get("metadata", {})
    for key, value in given.items():
        if not isinstance(value, str):
            raise errors.invalid_json(f"json: cannot unmarshal metadata {key}: expected string")
    return {key: value for key, value in given.items() if not key.startswith("_nats.")}


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME:
        raise errors.invalid_stream("stream name is too long, maximum allowed is 255")
    if "/" in name or "\\" in name:
        raise errors.NAME_SEPARATORS
    if not is_name(name):
        raise errors.invalid_stream("stream name is required and can not contain '.', '*', '>', '\\', '/'")


def _check_meant(fields: Mapping[str, Any]) -> None:
    """What nats-server refuses too, before what only this server does."""
    if len(fields.get("description", "")) > MAX_DESCRIPTION:
        raise errors.invalid_stream(f"stream description is too long, maximum allowed is {MAX_DESCRIPTION}")
    if sum(len(key) + len(value) for key, value in metadata(fields).items()) > MAX_METADATA:
        raise errors.invalid_stream(f"stream metadata exceeds maximum size of {MAX_METADATA} bytes")
    if fields.get("num_replicas", 1) > MAX_REPLICAS:
        raise errors.invalid_stream(f"maximum replicas is {MAX_REPLICAS}")
    if fields.get("sealed"):
        raise errors.invalid_stream("stream configuration for create can not be sealed")
    if fields.get("discard_new_per_subject"):
        if fields.get("discard") != "new":
            raise errors.invalid_stream("discard new per subject requires discard new policy to be set")
        if fields.get("max_msgs_per_subject", 0) <= 0:
            raise errors.invalid_stream("discard new per subject requires max msgs per subject > 0")


def _check_subjects(subjects: tuple[str, ...], no_ack: bool) -> None:
    for i, subject in enumerate(subjects):
        if not is_valid(subject):
            raise errors.invalid_stream("invalid subject")
        if not no_ack:
            _check_own(subject)
        for other in subjects[:i]:
            if overlap(subject, other):
                raise errors.invalid_stream(f'subject "{other}" overlaps with "{subject}"')


def _check_own(subject: str) -> None:
    """Capturing what JetStream itself says would never end."""
    if subject == ">":
        raise errors.invalid_stream("capturing all subjects requires no-ack to be true")
    if any(subset(subject, own) for own in RESERVED_BUT):
        return
    for own, whose in RESERVED:
        if overlap(subject, own):
            raise errors.invalid_stream(f"subjects that overlap with {whose} require no-ack to be true")


def _window(fields: Mapping[str, Any], max_age: int) -> int:
    window: int = fields.get("duplicate_window", 0)
    if not window:
        return min(DEFAULT_WINDOW_NS, max_age) if max_age else DEFAULT_WINDOW_NS
    if window < 0:
        raise errors.invalid_stream("duplicates window can not be negative")
    if max_age and window > max_age:
        raise errors.invalid_stream("duplicates window can not be larger then max age")
    if window < MIN_AGE_NS:
        raise errors.invalid_stream("duplicates window needs to be >= 100ms")
    return window


def _limit(fields: Mapping[str, Any], name: str) -> int:
    value: int = fields.get(name, -1)
    return value if value > 0 else -1


def _choice(
    fields: Mapping[str, Any], name: str, default: str, here: tuple[str, ...], elsewhere: tuple[str, ...]
) -> str:
    value: str = fields.get(name) or default
    if value in elsewhere:
        raise errors.not_yet(f"stream {name} {value}")
    if value not in here:
        raise errors.invalid_json(f'can not unmarshal "{value}"')
    return value
