"""``uplink``, a block of ours: which subjects are stored here and forwarded to which stream of the hub.

    uplink {
      TELEMETRY: { subjects: ["telemetry.>"], hub_domain: hub, hub_stream: TELEMETRY, max_bytes: 2GB }
      PICTURES: { subjects: ["pictures.>"], lane: bulk, schedule: "22:00-06:00", time_zone: "Europe/Berlin" }
      budget: { rate: "64KB/s", daily: "50MB", reserve_for: urgent, time_zone: local }
    }
"""

from collections.abc import Sequence

from edge.config.fields import Fields, fail, fields
from edge.config.options import Uplink, UplinkBudget
from edge.config.parser import Entry
from edge.config.units import size_bytes
from edge.core.times import SECOND
from edge.subjects import is_valid, is_wildcard, matches, overlap

MAX_WINDOW = 65536
BUDGET = "budget"
LEAST_RATE = 256
MAX_WEIGHT = 1000
DISCARDS = ("old", "new", "thin")
LANES = ("urgent", "normal", "bulk")
LOSSES = ("stop", "continue", "resend")
ORDERS = ("live", "strict")
NOT_IN_NAMES = frozenset(" \t\r\n.*>/\\")
DEFAULT = Uplink("", (), "")
GATHER_NS = {"normal": SECOND // 10, "bulk": SECOND}
MAX_GATHER_NS = SECOND


def read_uplinks(block: Fields, remotes: Sequence[str] = ()) -> tuple[Uplink, ...]:
    """``remotes``: the names that there are."""
    uplinks: list[Uplink] = []
    for entry in block.block.entries.values():
        if entry.key == BUDGET:
            continue
        uplink = _uplink(entry, block.warnings, remotes)
        for other in uplinks:
            _refuse_overlap(entry, uplink, other)
        uplinks.append(uplink)
    return tuple(uplinks)


def read_budget(block: Fields) -> UplinkBudget | None:
    """``budget { rate: "64KB/s", daily: "50MB", reserve_for: urgent, reserve: "20%", time_zone: UTC }``"""
    inner = block.inner(BUDGET)
    if inner is None:
        return None
    default = UplinkBudget()
    budget = UplinkBudget(
        rate=_rate(inner),
        daily=inner.size_bytes("daily", default=0),
        reserve_for=inner.string("reserve_for", default=""),
        reserve_percent=_percent(inner, default.reserve_percent),
        time_zone=inner.string("time_zone", "timezone", default=default.time_zone),
    )
    inner.finish()
    if not budget.rate and not budget.daily:
        fail(inner.block.place, 'budget: expected rate, such as "64KB/s", or daily, such as "50MB", or both')
    if budget.reserve_for not in ("", "urgent"):
        fail(inner.place("reserve_for"), f"reserve_for: expected urgent, found {budget.reserve_for!r}")
    if budget.daily < 0:
        fail(inner.place("daily"), "daily: expected a size above 0")
    _check_zone(inner, budget.time_zone)
    return budget


def _rate(block: Fields) -> int:
    """Bytes a second."""
    entry = block.entry("rate")
    if entry is None:
        return 0
    text = entry.value.data
    try:
        rate = size_bytes(text.replace(" ", "").removesuffix("/s")) if isinstance(text, str) else 0
    except ValueError:
        rate = 0
    if rate < LEAST_RATE:
        fail(entry.place, f'rate: expected bytes a second, such as "64KB/s", of at least {LEAST_RATE}')
    return rate


def _percent(block: Fields, default: int) -> int:
    entry = block.entry("reserve")
    if entry is None:
        return default
    digits = str(entry.value.data).replace(" ", "").removesuffix("%")
    if not digits.isdecimal() or len(digits) > 2:
        fail(entry.place, 'reserve: expected a part of the day\'s bytes from "0%" to "99%"')
    return int(digits)


def _check_zone(block: Fields, zone: str) -> None:
    from edge.uplink.calendar import make_calendar

    try:
        make_calendar(zone)
    except ValueError as exc:
        fail(block.place("time_zone", "timezone"), f"time_zone: {exc}")


def _compress(block: Fields) -> str:
    method = block.string("compress", default="")
    if not method:
        return ""
    from edge.uplink.packing import ENCODINGS, Packer

    if method not in ENCODINGS:
        fail(block.place("compress"), f"compress: expected one of {', '.join(ENCODINGS)}, found {method!r}")
    try:
        Packer(method)
    except ImportError:
        fail(block.place("compress"), "compress: zstd needs the package cramjam: pip install petiole[s2], or use zlib")
    return method


def _gather(block: Fields) -> int:
    gather = block.duration_ns("gather", default=GATHER_NS.get(block.string("lane", default=DEFAULT.lane), 0))
    if gather > MAX_GATHER_NS:
        fail(block.place("gather"), "gather: expected at most 1s: what has waited longer is not fresh any more")
    return gather


def _hours(block: Fields) -> tuple[tuple[int, int], ...]:
    """``schedule: "22:00-06:00"``, or a list of such."""
    texts = block.strings("schedule")
    if not texts:
        return ()
    from edge.uplink.calendar import Hours

    try:
        return tuple((hours.begin, hours.end) for hours in map(Hours.parse, texts))
    except ValueError as exc:
        fail(block.place("schedule"), f"schedule: {exc}")


def _uplink(entry: Entry, warnings: list[str], remotes: Sequence[str]) -> Uplink:
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
        gather_ns=_gather(block),
        weight=block.integer("weight", lowest=1, highest=MAX_WEIGHT, default=DEFAULT.weight),
        order=block.string("order", default=DEFAULT.order),
        receipts=block.string("receipts", default=DEFAULT.receipts),
        on_hub_loss=block.string("on_hub_loss", default=DEFAULT.on_hub_loss),
        compress=_compress(block),
        remote=block.string("remote", default=DEFAULT.remote),
        hours=_hours(block),
        time_zone=block.string("time_zone", "timezone", default=DEFAULT.time_zone),
    )
    block.finish()
    _name(uplink.hub_stream, entry)
    if not uplink.subjects:
        fail(entry.place, f"uplink {entry.key}: expected subjects, such as subjects: [\"telemetry.>\"]")
    for key, value, known in (
        ("discard", uplink.discard, DISCARDS), ("lane", uplink.lane, LANES), ("order", uplink.order, ORDERS),
        ("on_hub_loss", uplink.on_hub_loss, LOSSES),
    ):  # fmt: skip
        if value not in known:
            fail(block.place(key), f"{key}: expected one of {', '.join(known)}, found {value!r}")
    if uplink.remote and uplink.remote not in remotes:
        names = f"there are {', '.join(remotes)}" if remotes else "give one a name, such as { name: north, url: ... }"
        fail(block.place("remote"), f"remote: no remote of leafnodes has the name {uplink.remote!r}: {names}")
    if uplink.hours and not uplink.time_zone:
        fail(block.place("schedule"), 'schedule: whose clock? add time_zone: "Europe/Berlin", or UTC, or local')
    if uplink.time_zone:
        _check_zone(block, uplink.time_zone)
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
