"""How long, as Go's programs write it."""

SECOND = 1_000_000_000
BELOW_SECOND = ((1_000_000, "ms"), (1_000, "µs"), (1, "ns"))


def duration(ns: int) -> str:
    """``1h2m3.5s``, ``12.5ms``; nothing at all is ``0s``."""
    if ns < SECOND:
        unit, name = next(((unit, name) for unit, name in BELOW_SECOND if ns >= unit), (1, "s"))
        return f"{_digits(ns, unit)}{name}"
    minutes, rest = divmod(ns, 60 * SECOND)
    text = f"{_digits(rest, SECOND)}s"
    if minutes >= 60:
        return f"{minutes // 60}h{minutes % 60}m{text}"
    return f"{minutes}m{text}" if minutes else text


def round_trip(ns: int) -> str:
    """Below a millisecond the nanoseconds mean nothing."""
    return duration(ns // 1_000 * 1_000 if 1_000 < ns < 1_000_000 else ns)


def uptime(ns: int) -> str:
    """In whole seconds, with days and years."""
    seconds = max(ns, 0) // SECOND
    units = [(seconds // 31_536_000, "y"), (seconds // 86_400 % 365, "d"), (seconds // 3_600 % 24, "h")]
    units += [(seconds // 60 % 60, "m"), (seconds % 60, "s")]
    first = next((i for i, (number, _) in enumerate(units) if number), len(units) - 1)
    return "".join(f"{number}{name}" for number, name in units[first:])


def _digits(ns: int, unit: int) -> str:
    whole, rest = divmod(ns, unit)
    places = len(str(unit)) - 1
    return f"{whole}.{rest:0{places}d}".rstrip("0") if rest else str(whole)
