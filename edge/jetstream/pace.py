"""How fast a consumer may go: by a rate in bits, or as the messages once came."""

from edge.core.times import SECOND
from edge.store.contract import Row

MILLISECOND = 1_000_000


class Pace:
    """``replay_until``: messages up to this sequence keep the distance in time that they were stored with (0: none).

    ``burst``: bytes that may go at once, after a while without any.
    """

    def __init__(self, bits_per_second: int, burst: int, replay_until: int) -> None:
        self.bytes_per_second = bits_per_second // 8
        self.burst = burst
        self.replay_until = replay_until
        self.room = burst * SECOND  # of a byte the billionth part, so that nothing is lost by asking often
        self.filled_at = 0
        self.last_ns = 0  # when the last message was stored
        self.last_sent = 0

    def delay(self, row: Row, size: int, now: int) -> int:
        """Nanoseconds until this message may go; 0: it goes now, and is counted."""
        if self.last_ns and row.seq <= self.replay_until:
            distance = row.time_ns - self.last_ns
            if distance > MILLISECOND and now < self.last_sent + distance:
                return self.last_sent + distance - now
        if self.bytes_per_second:
            self.room = min(self.room + (now - self.filled_at) * self.bytes_per_second, self.burst * SECOND)
            self.filled_at = now
            lacking = min(size, self.burst) * SECOND - self.room
            if lacking > 0:
                return -(-lacking // self.bytes_per_second)
            self.room -= size * SECOND
        self.last_ns, self.last_sent = row.time_ns, now
        return 0
