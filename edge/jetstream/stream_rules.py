"""What a stream becomes by default and may not be (reference: jetstream.md section 2).

The order of the rules is nats-server's: of several things that are wrong with a request its first one is told.
"""

from typing import Any, NamedTuple

from edge.core.times import SECOND
from edge.core.transforms import Transform
from edge.jetstream import errors
from edge.jetstream.compaction import compact_after_ns
from edge.jetstream.durations import go_duration
from edge.jetstream.origin_rules import MIRROR_FIXED, Find, with_origins
from edge.jetstream.stream_config import MAX_DESCRIPTION, MAX_METADATA, MAX_NAME, StreamConfig, is_name, metadata_size
from edge.jetstream.subject_transform import transform_problem
from edge.subjects import is_valid, overlap, subset

DEFAULT_WINDOW_NS = 120 * SECOND
MIN_AGE_NS = 100_000_000
MAX_REPLICAS = 5
RESERVED = (
    ("$JS.>", "$JS.EVENT.>", "jetstream api"), ("$JSC.>", "$JS.EVENT.>", "jetstream api"),
    ("$NRG.>", "$JS.EVENT.>", "jetstream api"), ("$SYS.>", "$SYS.ACCOUNT.>", "system api"),
)  # fmt: skip


class StreamBounds(NamedTuple):
    """What account and server let a stream ask for; 0: anything."""

    max_bytes_required: bool = False
    max_stream_bytes: int = 0
    max_window_ns: int = 0


UNBOUNDED = StreamBounds()


def _nowhere(name: str) -> None:
    """No other stream is known."""


def with_rules(
    config: StreamConfig, bounds: StreamBounds = UNBOUNDED, pedantic: bool = False, find: Find = _nowhere
) -> StreamConfig:
    """With every default; ApiError for what nats-server refuses.

    ``pedantic``: so is what would be set right (10157).  ``find``: the other streams of the account.
    """
    _check_name(config)
    compact_after_ns(config.metadata)
    config = _with_limits(config, pedantic)
    config = config._replace(duplicate_window_ns=_window(config, bounds, pedantic))
    if config.deny_purge and config.allow_rollup:
        raise errors.invalid_stream("roll-ups require the purge permission")
    _check_counter(config)
    _check_discard(config)
    config = _with_marker(config, pedantic)
    config = _with_schedules(config, pedantic)
    _check_persist(config)
    config = with_origins(config, find, pedantic)
    if config.mirror is None and not config.sources:
        config = config._replace(subjects=config.subjects or (config.name,))
    _check_subjects(config)
    if bounds.max_bytes_required and config.max_bytes <= 0:
        raise errors.refused(10113, "account requires a stream config to have max bytes set")
    if 0 < bounds.max_stream_bytes < config.max_bytes:
        raise errors.refused(10122, "stream max bytes exceeds account limit max stream bytes")
    _check_transform(config)
    config = _with_republish(config, pedantic)
    if config.placement.get("preferred"):
        raise errors.invalid_stream("preferred server not permitted in placement")
    return config


def check_create(config: StreamConfig) -> None:
    """What only a new stream may not be; before all other rules."""
    if "/" in config.name or "\\" in config.name:
        raise errors.NAME_SEPARATORS
    if config.sealed:
        raise errors.invalid_stream("stream configuration for create can not be sealed")
    if config.mirror_direct and config.mirror is None:
        raise errors.invalid_stream("stream has no mirror but does have mirror direct")


def _check_name(config: StreamConfig) -> None:
    if not is_name(config.name):
        raise errors.invalid_stream("stream name is required and can not contain '.', '*', '>', '\\', '/'")
    if len(config.name.encode()) > MAX_NAME:
        raise errors.invalid_stream(f"stream name is too long, maximum allowed is {MAX_NAME}")
    if len(config.description.encode()) > MAX_DESCRIPTION:
        raise errors.invalid_stream(f"stream description is too long, maximum allowed is {MAX_DESCRIPTION}")
    if metadata_size(config.metadata) > MAX_METADATA:
        raise errors.invalid_stream(f"stream metadata exceeds maximum size of {MAX_METADATA} bytes")
    if config.num_replicas > MAX_REPLICAS:
        raise errors.invalid_stream(f"maximum replicas is {MAX_REPLICAS}")
    if config.num_replicas < 0:
        raise errors.NEGATIVE_REPLICAS


def _with_limits(config: StreamConfig, pedantic: bool) -> StreamConfig:
    config = config._replace(num_replicas=config.num_replicas or 1)
    for name in ("max_msgs", "max_msgs_per_subject", "max_bytes", "max_msg_size", "max_consumers"):
        value = getattr(config, name)
        if pedantic and value < -1:
            raise errors.pedantic(f"{name} must be set to -1")
        settled: dict[str, Any] = {name: value if value > 0 else -1}
        config = config._replace(**settled)
    if config.max_age_ns < 0:
        raise errors.invalid_stream("max age can not be negative")
    if 0 < config.max_age_ns < MIN_AGE_NS:
        raise errors.invalid_stream("max age needs to be >= 100ms")
    return config


def _window(config: StreamConfig, bounds: StreamBounds, pedantic: bool) -> int:
    window, max_age = config.duplicate_window_ns, config.max_age_ns
    if not window and config.mirror is None and not config.sources:
        window = DEFAULT_WINDOW_NS
        if 0 < bounds.max_window_ns < window:
            if pedantic:
                raise errors.pedantic("duplicate window limits are higher than current limits")
            window = bounds.max_window_ns
        if max_age and max_age < window:
            if pedantic:
                raise errors.pedantic("duplicate window cannot be bigger than max age")
            window = max_age
    if window < 0:
        raise errors.invalid_stream("duplicates window can not be negative")
    if max_age and window > max_age:
        raise errors.invalid_stream("duplicates window can not be larger then max age")
    if 0 < bounds.max_window_ns < window:
        limit = go_duration(bounds.max_window_ns)
        raise errors.invalid_stream(f"duplicates window can not be larger then server limit of {limit}")
    if 0 < window < MIN_AGE_NS:
        raise errors.invalid_stream("duplicates window needs to be >= 100ms")
    return window


def _check_counter(config: StreamConfig) -> None:
    if not config.allow_msg_counter:
        return
    if config.discard == "new":
        raise errors.invalid_stream("counter stream cannot use discard new")
    if config.allow_msg_ttl:
        raise errors.invalid_stream("counter stream cannot use message TTLs")
    if config.allow_msg_schedules:
        raise errors.invalid_stream("counter stream cannot use message schedules")
    if config.retention != "limits":
        raise errors.invalid_stream("counter stream can only use limits retention")


def _check_discard(config: StreamConfig) -> None:
    if config.discard_new_per_subject:
        if config.discard != "new":
            raise errors.invalid_stream("discard new per subject requires discard new policy to be set")
        if config.max_msgs_per_subject <= 0:
            raise errors.invalid_stream("discard new per subject requires max msgs per subject > 0")


def _with_marker(config: StreamConfig, pedantic: bool) -> StreamConfig:
    if config.marker_ttl_ns < 0:
        raise errors.invalid_stream("subject delete marker TTL must not be negative")
    if not config.marker_ttl_ns:
        return config
    if config.marker_ttl_ns < SECOND:
        raise errors.invalid_stream("subject delete marker TTL must be at least 1 second")
    if not config.allow_msg_ttl:
        if pedantic:
            raise errors.invalid_stream("subject delete marker cannot be set if message TTLs are disabled")
        config = config._replace(allow_msg_ttl=True)
    return _with_rollup(config, pedantic, "subject delete marker cannot be set if roll-ups are disabled")


def _with_rollup(config: StreamConfig, pedantic: bool, refusal: str) -> StreamConfig:
    if config.allow_rollup:
        return config
    if pedantic:
        raise errors.invalid_stream(refusal)
    return config._replace(allow_rollup=True, deny_purge=False)


def _with_schedules(config: StreamConfig, pedantic: bool) -> StreamConfig:
    if not config.allow_msg_schedules:
        return config
    if config.discard == "new":
        raise errors.invalid_stream("message scheduling cannot use discard new")
    return _with_rollup(config, pedantic, "message scheduling cannot be set if roll-ups are disabled")


def _check_persist(config: StreamConfig) -> None:
    if config.persist_mode != "async":
        return
    if config.storage != "file":
        raise errors.invalid_stream("async persist mode is only supported on file storage")
    if config.num_replicas > 1:
        raise errors.invalid_stream("async persist mode is not supported on replicated streams")
    if config.allow_atomic:
        raise errors.invalid_stream("async persist mode is not supported with atomic batch publish")


def _check_subjects(config: StreamConfig) -> None:
    seen: set[str] = set()
    for i, subject in enumerate(config.subjects):
        if not is_valid(subject):
            raise errors.invalid_stream("invalid subject")
        if subject in seen:
            raise errors.invalid_stream("duplicate subjects detected")
        if not config.no_ack:
            _check_own(subject)
        elif subject == ">" and config.num_replicas != 1:
            raise errors.invalid_stream("capturing all subjects requires replicas of 1")
        for other in config.subjects[i + 1 :]:
            if overlap(subject, other):
                raise errors.invalid_stream(f'subject "{subject}" overlaps with "{other}"')
        seen.add(subject)


def _check_own(subject: str) -> None:
    """Capturing what JetStream itself says would never end."""
    if subject == ">":
        raise errors.invalid_stream("capturing all subjects requires no-ack to be true")
    for own, but, whose in RESERVED:
        if overlap(subject, own) and not subset(subject, but):
            raise errors.invalid_stream(f"subjects that overlap with {whose} require no-ack to be true")


def _check_transform(config: StreamConfig) -> None:
    transform = config.subject_transform
    if transform is None:
        return
    if transform.src and not is_valid(transform.src):
        raise errors.refused(10155, f"stream transform source: invalid subject {transform.src}")
    if problem := transform_problem(transform.src, transform.dest):
        raise errors.refused(10156, f"stream transform: {problem}")


def _with_republish(config: StreamConfig, pedantic: bool) -> StreamConfig:
    republish, transform = config.republish, config.subject_transform
    if republish is None:
        return config
    if not republish.src:
        if pedantic:
            raise errors.pedantic("republish source can not be empty")
        republish = republish._replace(src=">")
    if republish.src == republish.dest == ">" and transform is not None and config.subjects == (transform.src,):
        if pedantic:
            raise errors.pedantic("implicit republish based on subject transform")
        republish = republish._replace(src=transform.dest, dest=transform.dest)
    if any(overlap(republish.dest, subject) for subject in config.subjects):
        raise errors.invalid_stream("stream configuration for republish destination forms a cycle")
    try:
        if republish.dest:
            Transform(republish.src, republish.dest)
    except ValueError as exc:
        raise errors.invalid_stream(
            f"stream configuration for republish with transform from '{republish.src}' to '{republish.dest}' not valid"
        ) from exc
    return config._replace(republish=republish)


# ---- changes


def updated(old: StreamConfig, new: StreamConfig) -> StreamConfig:
    """What ``new``, which has gone through the rules, makes of ``old``.  ApiError for what a stream cannot become."""
    _check_counter(new)  # once more, with the TTLs that a marker brings: a new stream may have both
    for refused, what in _changes(old, new):
        if refused:
            raise errors.invalid_stream(what)
    if new.mirror is not None and new.mirror != old.mirror:
        raise MIRROR_FIXED
    if not new.sealed:
        return new
    return new._replace(max_age_ns=0, discard="new", deny_delete=True, deny_purge=True, allow_rollup=False)


def _changes(old: StreamConfig, new: StreamConfig) -> tuple[tuple[bool, str], ...]:
    turned = new.retention != old.retention and "workqueue" in (new.retention, old.retention)
    update = "stream configuration update can not"
    return (
        (new.storage != old.storage, f"{update} change storage type"),
        (turned, f"{update} change retention policy to/from workqueue"),
        (old.sealed and not new.sealed, f"{update} unseal a sealed stream"),
        (old.deny_delete and not new.deny_delete, f"{update} cancel deny message deletes"),
        (old.deny_purge and not new.deny_purge, f"{update} cancel deny purge"),
        (old.allow_msg_ttl and not new.allow_msg_ttl, "message TTL status can not be disabled"),
        (old.allow_msg_counter != new.allow_msg_counter, f"{update} change message counter setting"),
        (old.allow_msg_schedules and not new.allow_msg_schedules, "message schedules can not be disabled"),
        (old.persist_mode != new.persist_mode, f"{update} change persist mode"),
    )


def check_single(config: StreamConfig) -> None:
    """One server has one replica."""
    if config.num_replicas > 1:
        raise errors.STREAM_REPLICAS


