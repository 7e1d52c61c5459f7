"""What a stream may not mirror or source: nats-server's codes, in its order (reference: sourcing.md)."""

from collections.abc import Callable, Sequence

from edge.errors import ApiError
from edge.jetstream import errors
from edge.jetstream.errors import invalid_stream, refused
from edge.jetstream.origin import Origin, OriginConsumer
from edge.jetstream.stream_config import StreamConfig, is_name
from edge.jetstream.subject_transform import transform_problem
from edge.subjects import is_literal, is_valid, overlap, subset

API = "$JS.API"
CYCLE = invalid_stream("detected cycle")
MIRROR_FIXED = refused(10055, "stream mirror configuration can not be updated")

Find = Callable[[str], StreamConfig | None]  # a stream of the same account, by its name


def with_origins(config: StreamConfig, find: Find, pedantic: bool = False) -> StreamConfig:
    """ApiError for what nats-server refuses.  A mirror answers direct gets where its origin does; ``pedantic``: it
    must say so."""
    if config.mirror is not None:
        _check_alone(config)
        _check_mirror(config, config.mirror)
        config = _with_mirrored(config, config.mirror, find, pedantic)
    if config.sources and config.allow_msg_schedules:
        raise refused(10187, "stream source can not also schedule messages")
    _check_sources(config, find)
    _check_prefixes([config.mirror] if config.mirror is not None else config.sources, find)
    _check_cycle(config, find)
    return config


def check_filters(config: StreamConfig) -> None:
    """What a new stream may not filter by; in an update nats-server takes it."""
    if config.mirror is not None and _is_no_subject(config.mirror.filter_subject):
        raise _not_made(f"subject filter '{config.mirror.filter_subject}' for the mirror invalid subject")
    for source in config.sources:
        if _is_no_subject(source.filter_subject):
            raise _not_made(f"subject filter '{source.filter_subject}' for the source: invalid subject")


def _is_no_subject(given: str) -> bool:
    return bool(given) and not is_valid(given)


def _not_made(what: str) -> ApiError:
    return ApiError(500, 10049, what)


def _check_alone(config: StreamConfig) -> None:
    """What a mirror has is what its origin has."""
    for given, code, text in (
        (config.first_seq > 0, 10143, "stream mirrors can not have first sequence configured"),
        (config.subjects, 10034, "stream mirrors can not contain subjects"),
        (config.sources, 10031, "stream mirrors can not also contain other sources"),
        (config.allow_msg_counter, 10173, "stream mirrors can not also calculate counters"),
        (config.allow_atomic, 10198, "stream mirrors can not also use atomic publishing"),
        (config.allow_batched, 10209, "stream mirrors can not also use batch publishing"),
        (config.allow_msg_schedules, 10186, "stream mirrors can not also schedule messages"),
    ):
        if given:
            raise refused(code, text)


def _check_mirror(config: StreamConfig, mirror: Origin) -> None:
    if mirror.consumer is not None and not _is_consumer(mirror, mirror.consumer):
        raise refused(10213, "stream mirror consumer config is invalid")
    if mirror.filter_subject and mirror.transforms:
        raise refused(10150, "mirror with multiple subject transforms cannot also have a single subject filter")
    if config.marker_ttl_ns > 0:
        raise invalid_stream("subject delete markers forbidden on mirrors")
    for i, (source, destination) in enumerate(mirror.transforms):
        _check_transform(source, destination, "mirror", 10151, 10154)
        if any(overlap(source, other.src) for other in mirror.transforms[:i] + mirror.transforms[i + 1 :]):
            raise refused(10152, "mirror subject filters can not overlap")


def _with_mirrored(config: StreamConfig, mirror: Origin, find: Find, pedantic: bool) -> StreamConfig:
    if mirror.external is not None:
        return config
    if not is_name(mirror.name):
        raise refused(10142, "mirrored stream name is invalid")
    origin = find(mirror.name)
    if origin is None:
        return config
    if 0 < config.max_msg_size < origin.max_msg_size:
        raise refused(10030, "stream mirror must have max message size >= source")
    if pedantic and config.mirror_direct != origin.allow_direct:
        raise errors.pedantic("origin stream has direct get set, mirror has it disabled")
    return config._replace(mirror_direct=origin.allow_direct)


def _check_sources(config: StreamConfig, find: Find) -> None:
    keys: set[str] = set()
    consumers: set[str] = set()
    for source in config.sources:
        if not is_name(source.name):
            raise refused(10141, "sourced stream name is invalid")
        if source.key in keys:
            raise refused(10140, "duplicate source configuration detected")
        keys.add(source.key)
        _check_source(source)
        if source.consumer is not None:
            if not _is_consumer(source, source.consumer):
                raise refused(10215, "stream source consumer config is invalid")
            if source.place in consumers:
                raise refused(10216, "duplicate stream source consumer detected")
            consumers.add(source.place)
        origin = find(source.name) if source.external is None else None
        if origin is not None and 0 < config.max_msg_size < origin.max_msg_size:
            raise refused(10046, "stream source must have max message size >= target")


def _check_source(source: Origin) -> None:
    if source.filter_subject and source.transforms:
        raise refused(10144, "source with multiple subject transforms cannot also have a single subject filter")
    for src, dest in source.transforms:
        _check_transform(src, dest, "source", 10145, 10146)
    for i, (src, _) in enumerate(source.transforms):
        if any(subset(src, other.src) for other in source.transforms[:i] + source.transforms[i + 1 :]):
            raise refused(10147, "source filters can not overlap")


def _check_transform(source: str, destination: str, what: str, bad_source: int, bad_destination: int) -> None:
    if source and not is_valid(source):
        raise refused(bad_source, f"{what} transform source: invalid subject {source}")
    if problem := transform_problem(source, destination):
        raise refused(bad_destination, f"{what} transform: {problem}")


def _is_consumer(origin: Origin, consumer: OriginConsumer) -> bool:
    if origin.opt_start_seq or origin.opt_start_time or origin.filter_subject:
        return False
    return is_name(consumer.name) and is_literal(consumer.deliver_subject)


def _check_prefixes(origins: Sequence[Origin], find: Find) -> None:
    """An origin elsewhere must not be reached by the way to our own streams."""
    here = [seen for origin in origins if origin.external is None and (seen := find(origin.name)) is not None]
    subjects = [subject for seen in here for subject in seen.subjects]
    elsewhere = [origin.external for origin in origins if origin.external is not None]
    for prefix in [external.deliver for external in elsewhere if external.deliver]:
        if not is_literal(prefix):
            raise refused(10024, f"stream external delivery prefix {prefix} must not contain wildcards")
        for subject in subjects:
            if overlap(subject, f"{prefix}.{subject}"):
                text = f"stream external delivery prefix {prefix} overlaps with stream subject {subject}"
                raise refused(10022, text)
    for prefix in [external.api for external in elsewhere if external.api]:
        if not is_literal(prefix):
            raise invalid_stream(f'stream external api prefix "{prefix}" must be a valid subject without wildcards')
        if prefix == API:
            raise refused(10021, f"stream external api prefix {prefix} must not overlap with {API}")


def _check_cycle(config: StreamConfig, find: Find) -> None:
    """Messages must not come round to where they began."""
    waiting = [config]
    visited: set[str] = set()
    while waiting:
        config = waiting.pop(0)
        visited.add(config.name)
        found: list[StreamConfig | None] = []
        for source in config.sources:
            if source.external is not None:
                continue
            if source.name in visited:
                if _feeds(config, source.filter_subject):
                    raise CYCLE
            else:
                found.append(find(source.name))
        if config.mirror is not None and config.mirror.external is None:
            if config.mirror.name in visited:
                raise CYCLE
            found.append(find(config.mirror.name))
        waiting += [other for other in found if other is not None]


def _feeds(config: StreamConfig, wanted: str) -> bool:
    return not wanted or any(overlap(subject, wanted) for subject in config.subjects)
