"""How much of what no stream keeps may be on its way at a time, so that what is urgent finds hardly anything before it.

Plain messages are sent as fast as somebody publishes them, and a slow line would have minutes of them before it: in
this process, in the kernel, and in the modem.  So a PING goes behind every few of them, and its PONG says that they are
through, and how long that took: what may be on its way grows while PONGs come without delay, and shrinks when they are
late by a quarter of a second.  What has to wait waits here, up to a bound; uplinks, questions to a JetStream, and what
the protocol says itself go before it.  (Uplinks keep what is theirs as short in the same way: ``uplink/line.py``.)
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from edge.protocol.nats import CRLF

SECOND = 1_000_000_000
QUEUE_NS = SECOND // 4  # that messages may spend waiting on the way
NEAR_NS = SECOND // 100  # a line as quick as this begins with plenty
LEAST, FAR, PLENTY = 2048, 16 << 10, 1 << 20  # bytes on their way
MOST = 16 << 20
STEP = 64 << 10  # bytes between two PINGs, at most
REMEMBER_NS = 30 * SECOND  # how long an answer took when the way was empty: it may lead elsewhere later
HELD = 2 << 20  # bytes that may wait here


class Waiting(NamedTuple):
    """``data`` is one message with its line; ``size`` its headers and payload."""

    data: bytes
    size: int


class Pacing:
    """``now`` is monotonic, in nanoseconds."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.reset()

    def reset(self) -> None:
        """Another connection, which may go another way; what waits for the last one is not sent any more."""
        self.limit = 0  # not known before the first answer
        self.pings: deque[tuple[int, int, int]] = deque()  # when, behind how many bytes, with how many on their way
        self.in_flight = 0  # bytes before a PING that is not answered
        self.unmarked = 0  # bytes behind the last one
        self.quickest = self.quickest_before = 0  # answers; 0: not known
        self.renew_at = 0
        self.cut_until = 0
        self.waiting: deque[Waiting] = deque()
        self.held = 0  # bytes of them

    @property
    def base_ns(self) -> int:
        """How long an answer takes on an empty way."""
        known = [delay for delay in (self.quickest, self.quickest_before) if delay]
        return min(known, default=0)

    def admits(self, size: int) -> bool:
        """May so many bytes go at once?"""
        if self.waiting or self.in_flight + self.unmarked + size > self.limit:
            return False
        return not self._is_late()

    def _is_late(self) -> bool:
        """An answer that is due by now."""
        return bool(self.pings) and self.now() - self.pings[0][0] > self.base_ns + QUEUE_NS

    def sent(self, size: int) -> bool:
        """Should a PING follow?"""
        self.unmarked += size
        return self.unmarked >= min(self.limit // 4, STEP) or (not self.pings and self.unmarked >= LEAST)

    def pinged(self) -> None:
        self.in_flight += self.unmarked
        self.pings.append((self.now(), self.unmarked, self.in_flight))
        self.unmarked = 0

    def answered(self, now: int) -> int:
        """A PONG: how long it took; 0 where nothing was asked."""
        if not self.pings:
            return 0
        sent_at, size, together = self.pings.popleft()
        delay = max(now - sent_at, 1)
        was_full = bool(self.waiting) or self.in_flight * 2 > self.limit
        self.in_flight -= size
        self._measure(delay, now)
        if not self.limit:
            self.limit = PLENTY if delay < NEAR_NS else FAR
        elif delay > self.base_ns + QUEUE_NS:
            if now > self.cut_until:  # what is on its way was sent before: once for all of it
                taken = together * (self.base_ns + QUEUE_NS // 2) // delay  # as fast as these went
                self.limit = max(LEAST, min(self.limit // 2, taken))
                self.cut_until = now + delay
        elif was_full:
            growth = size if delay < self.base_ns + QUEUE_NS // 2 else size * size // self.limit + 1
            self.limit = min(self.limit + growth, MOST)
        return delay

    def _measure(self, delay: int, now: int) -> None:
        if now >= self.renew_at:
            self.quickest_before, self.quickest = self.quickest, delay
            self.renew_at = now + REMEMBER_NS
        self.quickest = min(self.quickest, delay)

    # ---- what has to wait

    def hold(self, data: bytes, count: int, size: int) -> bool:
        """``count`` messages of ``size`` bytes in all.  False: there is more than enough already."""
        found = [Waiting(data, size)] if count == 1 else list(messages(data))
        self.waiting += found
        self.held += len(data)
        return self.held <= HELD

    def next(self) -> Waiting | None:
        """The first of those that wait, if it may go now; one may always be on its way, however large."""
        if not self.waiting:
            return None
        room = self.limit - self.in_flight - self.unmarked
        if (self.in_flight or self.unmarked) and (len(self.waiting[0].data) > room or self._is_late()):
            return None
        found = self.waiting.popleft()
        self.held -= len(found.data)
        return found


def messages(data: bytes) -> Iterator[Waiting]:
    """Whole messages that stand behind each other, each by itself."""
    pos = 0
    while pos < len(data):
        head = data.index(CRLF, pos)
        size = int(data[pos:head].rpartition(b" ")[2])
        end = head + size + 2 * len(CRLF)
        yield Waiting(data[pos:end], size)
        pos = end
