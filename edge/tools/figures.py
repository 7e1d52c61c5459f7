"""Numbers and texts for people's eyes; the machine's values go out as JSON."""

import re
import time
from calendar import timegm

STEPS = "KMGTPE"


def size(number: float) -> str:
    """Bytes, in steps of 1024: ``0``, ``1023``, ``4.0K``, ``1.2G``."""
    return _scaled(number, 1024)


def count(number: float) -> str:
    """Messages and the like, in steps of 1000."""
    return _scaled(number, 1000)


def duration(seconds: float) -> str:
    """The two largest units that matter: ``850ms``, ``12s``, ``3m4s``, ``5h20m``, ``12d3h``."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    whole = int(seconds)
    units = [("d", whole // 86400), ("h", whole // 3600 % 24), ("m", whole // 60 % 60), ("s", whole % 60)]
    first = next(i for i, (_, number) in enumerate(units) if number)
    return "".join(f"{number}{unit}" for unit, number in units[first : first + 2] if number)


def plain(text: object) -> str:
    """What others chose, such as a client's name, as one printable piece: a terminal obeys control characters."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text))


def unix_time(rfc3339: str) -> float | None:
    """Seconds since 1970 of the times in monitoring; None for Go's zero time and what is no time."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", rfc3339)
    if not found or rfc3339.startswith("0001-"):
        return None
    moment, fraction, zone = found.groups()
    try:
        seconds = timegm(time.strptime(moment, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
    offset = 0 if zone == "Z" else int(zone[0] + "1") * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
    return seconds - offset + float(fraction or 0)


def _scaled(number: float, step: int) -> str:
    if abs(number) < step:
        return f"{number:.0f}" if number == int(number) else f"{number:.1f}"
    for letter in STEPS:
        number /= step
        if abs(number) < step or letter == STEPS[-1]:
            break
    return f"{number:.1f}{letter}"
