"""How fast a consumer may go: by a rate in bits, or as the messages once came."""

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
        self.room = burst
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
            elapsed = now - self.filled_at
            self.room = min(self.room + elapsed * self.bytes_per_second // 1_000_000_000, self.burst)
            self.filled_at = now
            if self.room < min(size, self.burst):
                return (min(size, self.burst) - self.room) * 1_000_000_000 // self.bytes_per_second + 1
            self.room -= size
        self.last_ns, self.last_sent = row.time_ns, now
        return 0
