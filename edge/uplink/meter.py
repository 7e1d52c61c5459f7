"""How fast messages come and go, as of the last half minute, and whether they go at all."""

import logging
import math

log = logging.getLogger("edge")

SECOND = 1_000_000_000
MEMORY_NS = 30 * SECOND
ALARM_NS = 60 * SECOND


class Meter:
    """Events per second; older ones count ever less."""

    def __init__(self) -> None:
        self.value = 0.0
        self.began: int | None = None
        self.at = 0

    def add(self, count: int, now: int) -> None:
        self._decay(now)
        self.value += count

    def rate(self, now: int) -> float:
        if self.began is None:
            return 0.0
        self._decay(now)
        seen = max(now - self.began, SECOND)
        return self.value / (MEMORY_NS / SECOND * (1 - math.exp(-seen / MEMORY_NS)))

    def _decay(self, now: int) -> None:
        if self.began is None:
            self.began = self.at = now
        self.value *= math.exp(-max(now - self.at, 0) / MEMORY_NS)
        self.at = now


class Watch:
    """A backlog of which nothing goes for a minute is an alarm."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.since: int | None = None  # nothing has gone, though something waits
        self.stalled = False

    def waits(self, now: int) -> None:
        if self.since is None:
            self.since = now

    def moves(self, now: int, more: bool) -> None:
        if self.stalled:
            log.warning("uplink %s: it goes on", self.name)
        self.stalled = False
        self.since = now if more else None

    def rests(self) -> None:
        """It is meant not to send."""
        self.since = None
        self.stalled = False

    def deadline(self) -> int | None:
        return None if self.since is None or self.stalled else self.since + ALARM_NS

    def tick(self, now: int, messages: int, why: str) -> None:
        due = self.deadline()
        if due is not None and now >= due:
            self.stalled = True
            log.error("uplink %s: ALARM: nothing has gone for 60 s, %d messages wait: %s", self.name, messages, why)
