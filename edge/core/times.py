"""Clocks, and times as JetStream's JSON has them: RFC 3339 in UTC with up to nine digits of a second."""

import re
import time
from collections.abc import Callable
from typing import NamedTuple

SECOND = 1_000_000_000
ZERO = "0001-01-01T00:00:00Z"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Clock(NamedTuple):
    """``wall`` since 1970, ``monotonic`` for deadlines, in nanoseconds; ``wake`` says a deadline is now earlier."""

    wall: Callable[[], int]
    monotonic: Callable[[], int]
    wake: Callable[[], None]


def rfc3339(ns: int) -> str:
    """Nanoseconds since 1970; 0 is Go's zero time."""
    if not ns:
        return ZERO
    seconds, fraction = divmod(ns, SECOND)
    digits = f".{fraction:09d}".rstrip("0").rstrip(".") if fraction else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + digits + "Z"


def parse_rfc3339(text: str) -> int:
    """ValueError for what is no time."""
    from datetime import UTC, datetime  # a quarter of a megabyte, for those who are given times

    if not RFC3339.fullmatch(text):
        raise ValueError(f"{text!r} is no time like 2006-01-02T15:04:05Z")
    whole, dot, rest = text.partition(".")
    if not dot:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * SECOND
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    at = datetime.fromisoformat(whole + rest[len(digits) :]).astimezone(UTC)
    return int(at.timestamp()) * SECOND + int(digits[:9].ljust(9, "0"))
