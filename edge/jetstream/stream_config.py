"""The configuration of a stream: nats-server's JSON, its defaults and its rules (reference: jetstream.md section 2)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from edge.core.times import SECOND
from edge.core.transforms import Transform
from edge.errors import ApiError
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
NOT_YET = ("mirror", "sources", "allow_msg_counter", "allow_atomic", "allow_msg_schedules", "allow_batched")
RESERVED = (
    ("$JS.>", "jetstream api"), ("$JSC.>", "jetstream api"), ("$NRG.>", "jetstream api"), ("$SYS.>", "system api"),
)  # fmt: skip
RESERVED_BUT = ("$JS.EVENT.>", "$SYS.ACCOUNT.>")
MAX_DESCRIPTION = 4096
MAX_METADATA = 128 * 1024
MAX_REPLICAS = 5


class SubjectTransform(NamedTuple):
    src: str
    dest: str

    def fields(self) -> dict[str, object]:
        return self._asdict()


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
    """-1 is unlimited, as in the JSON."""

    name: str
    subjects: tuple[str, ...]
    description: str = ""
    retention: str = "limits"
    max_consumers: int = -1
    max_msgs: int = -1
    max_bytes: int = -1
    max_age_ns: int = 0
    max_msgs_per_subject: int = -1
    max_msg_size: int = -1
    discard: str = "old"
    discard_new_per_subject: bool = False
    storage: str = "file"
    no_ack: bool = False
    duplicate_window_ns: int = DEFAULT_WINDOW_NS
    placement: Mapping[str, Any] = {}
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
    persist_mode: str = "default"
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
            ("num_replicas", 1),
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
            ("first_seq", self.first_seq),
            ("subject_transform", self.subject_transform and self.subject_transform.fields()),
            ("republish", self.republish and self.republish.fields()),
            ("discard_new_per_subject", self.discard_new_per_subject),
            ("subject_delete_marker_ttl", self.marker_ttl_ns),
            ("persist_mode", self.persist_mode if self.persist_mode != "default" else ""),
        )
        known = dict(always) | {name: value for name, value in said if value}
        return {name: known[name] for name in ORDER if name in known}

    @property
    def level(self) -> int:
        """The JetStream API level that it needs (ADR-44)."""
        if self.persist_mode != "default":
            return 2
        return 1 if self.allow_msg_ttl or self.marker_ttl_ns else 0


ORDER = (
    "name", "description", "subjects", "retention", "max_consumers", "max_msgs", "max_bytes", "max_age",
    "max_msgs_per_subject", "max_msg_size", "discard", "storage", "num_replicas", "no_ack", "duplicate_window",
    "placement", "mirror", "sources", "compression", "first_seq", "subject_transform", "republish", "allow_direct",
    "mirror_direct", "discard_new_per_subject", "sealed", "deny_delete", "deny_purge", "allow_rollup_hdrs",
    "consumer_limits", "allow_msg_ttl", "subject_delete_marker_ttl", "allow_msg_counter", "allow_atomic",
    "allow_msg_schedules", "persist_mode", "allow_batched", "metadata",
)  # fmt: skip


def stream_config(request: Mapping[str, Any], recovered: bool = False) -> StreamConfig:
    """From a request's fields.  ApiError with nats-server's code for what it would refuse, and 10052 for what this
    server does not do.  ``recovered``: from disk, where a sealed stream is nothing to be wondered at."""
    fields = check_object(request, KINDS)
    name = fields.get("name", "")
    _check_name(name)
    _check_meant(fields, recovered)
    for feature in NOT_YET:
        if fields.get(feature):
            raise errors.not_yet(f"stream {feature}")
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
    marker = fields.get("subject_delete_marker_ttl", 0)
    transform = _subject_transform(fields.get("subject_transform"))
    return StreamConfig(
        name=name,
        subjects=subjects,
        description=fields.get("description", ""),
        retention=_choice(fields, "retention", "limits", ("limits", "interest", "workqueue")),
        max_consumers=_limit(fields, "max_consumers"),
        max_msgs=_limit(fields, "max_msgs"),
        max_bytes=_limit(fields, "max_bytes"),
        max_age_ns=max_age,
        max_msgs_per_subject=_limit(fields, "max_msgs_per_subject"),
        max_msg_size=_limit(fields, "max_msg_size"),
        discard=_choice(fields, "discard", "old", ("old", "new")),
        discard_new_per_subject=fields.get("discard_new_per_subject", False),
        storage=_choice(fields, "storage", "file", ("file", "memory")),
        no_ack=no_ack,
        duplicate_window_ns=_window(fields, max_age),
        placement=fields.get("placement") or {},
        compression=_choice(fields, "compression", "none", ("none", "s2")),
        first_seq=fields.get("first_seq", 0),
        subject_transform=transform,
        republish=_republish(fields.get("republish"), subjects, transform),
        allow_direct=fields.get("allow_direct", False),
        mirror_direct=fields.get("mirror_direct", False),
        sealed=fields.get("sealed", False),
        deny_delete=fields.get("deny_delete", False),
        deny_purge=fields.get("deny_purge", False) and not marker,
        allow_rollup=fields.get("allow_rollup_hdrs", False) or marker > 0,
        consumer_limits=_consumer_limits(fields.get("consumer_limits", {})),
        allow_msg_ttl=fields.get("allow_msg_ttl", False) or marker > 0,
        marker_ttl_ns=marker,
        persist_mode=_choice(fields, "persist_mode", "default", ("default", "async")),
        metadata=metadata(fields),
    )


def sealed(config: StreamConfig) -> StreamConfig:
    """What sealing takes along."""
    return config._replace(max_age_ns=0, discard="new", deny_delete=True, deny_purge=True, allow_rollup=False)


def _subject_transform(fields: Mapping[str, Any] | None) -> SubjectTransform | None:
    if not fields:
        return None
    known = check_object(fields, {"src": "string", "dest": "string"})
    transform = SubjectTransform(known.get("src", ""), known.get("dest", ""))
    if transform.src and not is_valid(transform.src):
        raise ApiError(400, 10155, f"stream transform source: invalid subject {transform.src}")
    try:
        if transform.dest:
            Transform(transform.src, transform.dest)
    except ValueError as exc:
        raise ApiError(400, 10156, f"stream transform: invalid mapping destination: {exc}") from exc
    return transform


def _republish(
    fields: Mapping[str, Any] | None, subjects: tuple[str, ...], transform: SubjectTransform | None
) -> Republish | None:
    if not fields:
        return None
    known = check_object(fields, {"src": "string", "dest": "string", "headers_only": "bool"})
    source, destination = known.get("src") or ">", known.get("dest", "")
    if source == destination == ">" and transform is not None and subjects == (transform.src,):
        source = destination = transform.dest
    if any(overlap(destination, subject) for subject in subjects):
        raise errors.invalid_stream("stream configuration for republish destination forms a cycle")
    try:
        Transform(source, destination)
    except ValueError as exc:
        raise errors.invalid_stream(
            f"stream configuration for republish with transform from '{source}' to '{destination}' not valid"
        ) from exc
    return Republish(source, destination, known.get("headers_only", False))


def _consumer_limits(fields: Mapping[str, Any]) -> ConsumerLimits:
    known = check_object(fields, {"inactive_threshold": "duration", "max_ack_pending": "int"})
    return ConsumerLimits(known.get("inactive_threshold", 0), known.get("max_ack_pending", 0))


def check_update(old: StreamConfig, new: StreamConfig) -> None:
    """ApiError for what a stream cannot become."""
    if new.retention != old.retention and "workqueue" in (new.retention, old.retention):
        raise errors.invalid_stream("stream configuration update can not change retention policy to/from workqueue")
    if old.sealed and not new.sealed:
        raise errors.invalid_stream("stream configuration update can not unseal a sealed stream")
    if new.storage != old.storage:
        raise errors.invalid_stream("stream configuration update can not change storage type")
    if old.deny_delete and not new.deny_delete:
        raise errors.invalid_stream("stream configuration update can not cancel deny message deletes")
    if old.deny_purge and not new.deny_purge:
        raise errors.invalid_stream("stream configuration update can not cancel deny purge")
    if old.allow_msg_ttl and not new.allow_msg_ttl:
        raise errors.invalid_stream("message TTL status can not be disabled")
    if old.persist_mode != new.persist_mode:
        raise errors.invalid_stream("stream configuration update can not change persist mode")


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


def _check_meant(fields: Mapping[str, Any], recovered: bool) -> None:
    """What nats-server refuses too, before what only this server does."""
    if len(fields.get("description", "")) > MAX_DESCRIPTION:
        raise errors.invalid_stream(f"stream description is too long, maximum allowed is {MAX_DESCRIPTION}")
    if sum(len(key) + len(value) for key, value in metadata(fields).items()) > MAX_METADATA:
        raise errors.invalid_stream(f"stream metadata exceeds maximum size of {MAX_METADATA} bytes")
    if fields.get("num_replicas", 1) > MAX_REPLICAS:
        raise errors.invalid_stream(f"maximum replicas is {MAX_REPLICAS}")
    if fields.get("deny_purge") and fields.get("allow_rollup_hdrs"):
        raise errors.invalid_stream("roll-ups require the purge permission")
    marker = fields.get("subject_delete_marker_ttl", 0)
    if marker < 0:
        raise errors.invalid_stream("subject delete marker TTL must not be negative")
    if 0 < marker < SECOND:
        raise errors.invalid_stream("subject delete marker TTL must be at least 1 second")
    if fields.get("persist_mode") == "async" and fields.get("storage") == "memory":
        raise errors.invalid_stream("async persist mode is only supported on file storage")
    if (fields.get("placement") or {}).get("preferred"):
        raise errors.invalid_stream("preferred server not permitted in placement")
    if fields.get("sealed") and not recovered:
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


def _choice(fields: Mapping[str, Any], name: str, default: str, here: tuple[str, ...]) -> str:
    value: str = fields.get(name) or default
    if value not in here:
        raise errors.invalid_json(f'can not unmarshal "{value}"')
    return value
