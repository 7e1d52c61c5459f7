"""Durations as Go writes and reads them: ``1.5s``, ``2m0s``, ``250ms``."""

import re

UNITS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}  # fmt: skip
PART = re.compile(r"([0-9]{1,18}(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
MAX_NS = (1 << 63) - 1


def parse_duration(text: str) -> int:
    """Nanoseconds.  ValueError for what is none."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    parts = PART.findall(rest)
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        raise ValueError(f"{text!r} is no duration")
    ns = sum(_scaled(number, UNITS[unit]) for number, unit in parts)
    if ns > MAX_NS:
        raise ValueError(f"{text!r} is too long")
    return sign * ns


def _scaled(number: str, unit: int) -> int:
    whole, _, fraction = number.partition(".")
    part = int(fraction[:18]) * unit // 10 ** len(fraction[:18]) if fraction else 0
    return int(whole or 0) * unit + part


def go_duration(ns: int) -> str:
    if not ns:
        return "0s"
    if ns < 1_000_000_000:
        unit, name = next((unit, name) for unit, name in ((10**6, "ms"), (10**3, "µs"), (1, "ns")) if ns >= unit)
        return f"{_decimal(ns, unit)}{name}"
    minutes, rest = divmod(ns, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{text}{_decimal(rest, 10**9)}s"


def _decimal(ns: int, unit: int) -> str:
    whole, part = divmod(ns, unit)
    digits = f"{part:0{len(str(unit)) - 1}d}".rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)
