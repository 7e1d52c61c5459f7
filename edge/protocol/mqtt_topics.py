"""Topics and subjects, level by level as nats-server maps them (reference: core.md section 8).

level   ""   "."   "+"   "#"   with "." inside     anything else
token   "/"  "//"  "*"   ">"   each "." as "//"    the same
"""

from edge.errors import ProtocolError

FORBIDDEN = frozenset(" \t\r\n\f\v\x7f")
UNFIT = frozenset("+#\0")  # a topic name may not hold them [MQTT-3.3.2-2]
MAX_SUBJECT = 0xFFFF // 4  # characters: in UTF-8 never more than a string of MQTT may have


def topic_to_subject(topic: str) -> str:
    """The subject to publish to.  ProtocolError for what is no topic name, or has no subject."""
    if not topic:
        raise ProtocolError("an empty topic")  # [MQTT-4.7.3-1]
    if "+" in topic or "#" in topic:
        raise ProtocolError(f"wildcards in the topic of a message: {topic!r}")
    return _subject(topic)


def filter_to_subjects(topic_filter: str) -> tuple[str, ...]:
    """The subjects to subscribe to: two for ``a/#``, which matches ``a`` too [MQTT-4.7.1-2].

    ProtocolError for what is no filter.  A level ``*`` or ``>`` has no subject that would mean only itself.
    """
    levels = topic_filter.split("/")
    if not topic_filter:
        raise ProtocolError("an empty topic filter")
    for i, level in enumerate(levels):
        if level == "#" and i == len(levels) - 1:
            continue
        if ("#" in level or "+" in level) and level != "+":
            raise ProtocolError(f"a wildcard has a level of its own, # the last: {topic_filter!r}")
        if level in ("*", ">"):
            raise ProtocolError(f"a level {level!r} cannot be subscribed to: {topic_filter!r}")
    subject = _subject(topic_filter)
    if levels[-1] == "#" and len(levels) > 1:
        return subject[:-2], subject
    return (subject,)


def subject_to_topic(subject: str) -> str:
    """The topic of a message, or "" when there is none that MQTT allows."""
    if not UNFIT.isdisjoint(subject) or len(subject) > MAX_SUBJECT or not _is_unicode(subject):
        return ""
    if "/" in subject:
        subject = subject.replace("//", "\0").replace("/", "")
    return subject.replace(".", "/").replace("\0", ".")


def _subject(topic: str) -> str:
    if not FORBIDDEN.isdisjoint(topic):
        raise ProtocolError(f"white space cannot be part of a subject: {topic!r}")
    return ".".join([TOKENS.get(level) or level.replace(".", "//") for level in topic.split("/")])


TOKENS = {"": "/", "+": "*", "#": ">"}


def _is_unicode(text: str) -> bool:
    """Subjects may hold any bytes; those that were not UTF-8 stand in them as surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
