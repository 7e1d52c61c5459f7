"""Messages with a time to live of their own (``Nats-TTL``; reference: jetstream.md section 3)."""

import heapq

from edge.core.times import SECOND
from edge.jetstream.durations import parse_duration
from edge.message import header_get

NEVER = -1
MOST_DIGITS = 18  # some thousand million years


class Expiry:
    """When which message has lived long enough; wall time, because that is what messages are stored with."""

    def __init__(self) -> None:
        self.heap: list[tuple[int, int]] = []

    def add(self, seq: int, time_ns: int, headers: bytes) -> None:
        seconds = time_to_live(headers)
        if seconds > 0:
            heapq.heappush(self.heap, (time_ns + seconds * SECOND, seq))

    def due(self, now: int) -> list[int]:
        """Taken; some may have gone by other ways."""
        found = []
        while self.heap and self.heap[0][0] <= now:
            found.append(heapq.heappop(self.heap)[1])
        return found

    def next(self) -> int | None:
        return self.heap[0][0] if self.heap else None


def time_to_live(headers: bytes) -> int:
    """Seconds; 0: the message has none, ``NEVER``: not even the stream's age ends it."""
    if b"\r\nNats-TTL:" not in headers:
        return 0
    try:
        return parse_ttl(header_get(headers, "Nats-TTL") or "")
    except ValueError:
        return 0


def parse_ttl(text: str) -> int:
    """``90``, ``1m30s`` or ``never``, in seconds.  ValueError for less than a second, or what is none of them."""
    if text.lower() == "never":
        return NEVER
    if text != "0" and text.isdecimal() and text.isascii():
        if len(text) > MOST_DIGITS:
            raise ValueError(text)
        return int(text)
    ns = parse_duration(text)
    if ns < SECOND:
        raise ValueError(text)
    return ns // SECOND
