"""``permissions``: what a user may publish and subscribe to, and whether it may answer."""

from edge.config.fields import Fields, fail, fields, texts, wrong
from edge.config.parser import Block, Entry
from edge.config.units import duration_ns
from edge.core.permissions import Permissions, ResponseRule, SubjectRule
from edge.subjects import is_valid

MAX_COUNT = 2**31 - 1
DEFAULT = ResponseRule()


def read_permissions(block: Fields, *names: str) -> Permissions | None:
    """The block of that name within ``block``; None without one."""
    inner = block.inner(*names)
    if inner is None:
        return None
    publish = _rule(inner, False, "publish", "pub", "import")
    subscribe = _rule(inner, True, "subscribe", "sub", "export")
    responses = _responses(inner)
    inner.finish()
    if responses is not None and publish.allow is None:
        publish = SubjectRule((), publish.deny)  # answers, and nothing but answers
    return Permissions(publish, subscribe, responses)


def _rule(block: Fields, queues: bool, *names: str) -> SubjectRule:
    """A subject, a list of them (both: allow), or ``{ allow: ..., deny: ... }``."""
    entry = block.entry(*names)
    if entry is None:
        return SubjectRule()
    if not isinstance(entry.value.data, Block):
        return SubjectRule(allow=_patterns(entry, queues))
    inner = fields(entry.value, entry.key, block.warnings)
    allow, deny = inner.entry("allow"), inner.entry("deny")
    inner.finish()
    if allow and not texts(allow.value, allow.key):
        block.warn(allow, "an empty list allows nothing here; nats-server takes it for everything")
    return SubjectRule(_patterns(allow, queues) if allow else None, _patterns(deny, queues) if deny else ())


def _patterns(entry: Entry, queues: bool) -> tuple[str, ...]:
    """Subjects; for subscriptions also ``subject queue``, either with wildcards."""
    patterns = texts(entry.value, entry.key)
    for pattern in patterns:
        if is_valid(pattern):
            continue
        parts = pattern.split()
        if not queues or len(parts) != 2 or not is_valid(parts[0]):
            fail(entry.place, f"{entry.key}: {pattern!r} is not a valid subject")
        if not is_valid(parts[1]):
            fail(entry.place, f"{entry.key}: {parts[1]!r} is not a valid queue")
    return tuple(pattern if is_valid(pattern) else " ".join(pattern.split()) for pattern in patterns)


def _responses(block: Fields) -> ResponseRule | None:
    """``allow_responses``: true, or how often and for how long; less than 0 is without end, 0 the default."""
    entry = block.entry("allow_responses", "publish_allow_responses")
    if entry is None or entry.value.data is False:
        return None
    if entry.value.data is True:
        return DEFAULT
    if not isinstance(entry.value.data, Block):
        wrong(entry.value, entry.key, "true, false or a block { ... }")
    inner = fields(entry.value, entry.key, block.warnings)
    most = inner.integer(
        "max", "max_msgs", "max_messages", "max_responses", lowest=-MAX_COUNT, highest=MAX_COUNT, default=0
    )
    expires_ns = _expires_ns(inner)
    inner.finish()
    return ResponseRule(max(most, -1) or DEFAULT.max, max(expires_ns, -1) or DEFAULT.expires_ns)


def _expires_ns(block: Fields) -> int:
    names = ("expires", "expiration", "ttl")
    written = block.string(*names, default="0")
    try:
        return duration_ns(written)
    except ValueError as exc:
        fail(block.place(*names), f"{names[0]}: {exc}")
