"""``uplink``, a block of ours: which subjects are stored here and forwarded to which stream of the hub.

    uplink { TELEMETRY: { subjects: ["telemetry.>"], hub_domain: hub, hub_stream: TELEMETRY, max_bytes: 2GB } }
"""

from edge.config.fields import Fields, fail, fields
from edge.config.options import Uplink
from edge.config.parser import Entry
from edge.subjects import is_valid, is_wildcard, matches, overlap

MAX_WINDOW = 65536
MAX_WEIGHT = 1000
DISCARDS = ("old", "new")
LANES = ("urgent", "normal", "bulk")
ORDERS = ("live", "strict")
NOT_IN_NAMES = frozenset(" \t\r\n.*>/\\")
DEFAULT = Uplink("", (), "")


def read_uplinks(block: Fields) -> tuple[Uplink, ...]:
    uplinks: list[Uplink] = []
    for entry in block.block.entries.values():
        if entry.key == "budget":
            fail(entry.place, "budget: budgets for metered links are not supported yet")
        uplink = _uplink(entry, block.warnings)
        for other in uplinks:
            _refuse_overlap(entry, uplink, other)
        uplinks.append(uplink)
    return tuple(uplinks)


def _uplink(entry: Entry, warnings: list[str]) -> Uplink:
    block = fields(entry.value, f"uplink {entry.key}", warnings)
    uplink = Uplink(
        name=_name(entry.key, entry),
        subjects=block.subjects("subjects", "subject"),
        hub_stream=block.string("hub_stream", default=entry.key),
        hub_domain=block.string("hub_domain", default=DEFAULT.hub_domain),
        max_bytes=block.size_bytes("max_bytes", default=DEFAULT.max_bytes),
        max_age_ns=block.duration_ns("max_age", default=None),
        discard=block.string("discard", default=DEFAULT.discard),
        window=block.integer("window", lowest=1, highest=MAX_WINDOW, default=DEFAULT.window),
        lane=block.string("lane", default=DEFAULT.lane),
        weight=block.integer("weight", lowest=1, highest=MAX_WEIGHT, default=DEFAULT.weight),
        order=block.string("order", default=DEFAULT.order),
        receipts=block.string("receipts", default=DEFAULT.receipts),
    )
    block.finish()
    _name(uplink.hub_stream, entry)
    if not uplink.subjects:
        fail(entry.place, f"uplink {entry.key}: expected subjects, such as subjects: [\"telemetry.>\"]")
    for key, value, known in (
        ("discard", uplink.discard, DISCARDS), ("lane", uplink.lane, LANES), ("order", uplink.order, ORDERS)
    ):  # fmt: skip
        if value not in known:
            fail(block.place(key), f"{key}: expected one of {', '.join(known)}, found {value!r}")
    if uplink.receipts and not _is_taken(uplink.receipts, uplink.subjects):
        fail(
            block.place("receipts"),
            f"receipts: expected a subject without wildcards under one of {', '.join(uplink.subjects)}: "
            "the hub's stream must take it",
        )
    if uplink.max_bytes <= 0:
        fail(block.place("max_bytes"), "max_bytes: a backlog needs a bound; expected a size above 0")
    return uplink


def _is_taken(subject: str, patterns: tuple[str, ...]) -> bool:
    return is_valid(subject) and not is_wildcard(subject) and any(matches(pattern, subject) for pattern in patterns)


def _name(name: str, entry: Entry) -> str:
    if not name or not NOT_IN_NAMES.isdisjoint(name):
        fail(entry.place, f"{name!r} cannot name a stream: no white space, '.', '*', '>' or slashes")
    return name


def _refuse_overlap(entry: Entry, uplink: Uplink, other: Uplink) -> None:
    """A message in two uplinks would reach the hub twice."""
    for subject in uplink.subjects:
        for taken in other.subjects:
            if overlap(subject, taken):
                fail(entry.place, f"uplink {uplink.name}: {subject!r} overlaps {taken!r} of uplink {other.name}")
