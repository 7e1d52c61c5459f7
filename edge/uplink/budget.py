"""What uplinks may spend on a metered line: bytes a second, and bytes a day.

Counted is what they write and what they are answered: control lines, headers, payloads; not TCP, IP or TLS around it,
and before a link compresses it.  The day's count is kept on disk ahead of what is spent, so a power cut never makes it
less; it may make it more by one chunk.

The reserve is what only urgent lanes may touch: a share of the day.  A second's worth of debt is theirs as well: an
alarm does not wait for the bytes of a second to come together, others wait afterwards.
"""

import json
import logging
from collections.abc import Callable
from typing import Protocol

from edge.uplink.calendar import Calendar

log = logging.getLogger("edge")

SECOND = 1_000_000_000
LOOK_NS = 10 * SECOND  # whether another day has come
CHUNK = 16 * 1024
CHUNKS = 256  # of a day
DEBT = 4  # seconds


class BudgetOptions(Protocol):
    """See ``uplinks.BudgetConfig``."""

    @property
    def rate(self) -> int:
        """Bytes a second; 0: any."""

    @property
    def daily(self) -> int:
        """Bytes; 0: any."""

    @property
    def reserve_for(self) -> str:
        """``urgent``; empty: nobody."""

    @property
    def reserve_percent(self) -> int: ...


class Budget:
    """``kept`` is what ``keep`` was last given; ``keep`` calls back with whether it is on disk.  ``wall``: a clock."""

    def __init__(
        self,
        options: BudgetOptions,
        calendar: Calendar,
        wall: Callable[[], int],
        kept: bytes | None,
        keep: Callable[[bytes, Callable[[bool], None]], None],
    ) -> None:
        self.rate, self.daily = options.rate, options.daily
        self.reserve = options.daily * options.reserve_percent // 100 if options.reserve_for else 0
        self.serves_urgent = bool(options.reserve_for)
        self.chunk = max(CHUNK, options.daily // CHUNKS)
        self.calendar = calendar
        self.wall = wall
        self.keep = keep
        self.level = float(self.rate)  # bytes that may be sent at once
        self.filled_at: int | None = None
        self.day, self.used, self.used_urgent = _read(kept)
        self.booked = self.used  # on disk
        self.keeping = False
        self.wake_at: int | None = None  # somebody was refused: to be asked again then

    # ---- Purse

    def room(self, is_urgent: bool, now: int) -> int:
        room = min(self._room_of_second(is_urgent, now), self._room_of_day(is_urgent))
        if room <= 0:
            wait = LOOK_NS if self._room_of_day(is_urgent) <= 0 else SECOND // 4
            self.wake_at = now + wait if self.wake_at is None else min(self.wake_at, now + wait)
        return room

    def spend(self, size: int, is_urgent: bool) -> None:
        self.level -= size
        if self.daily:
            self.used += size
            if is_urgent:
                self.used_urgent += size
            if self.booked - self.used < self.chunk // 2:
                self._book()

    # ---- time

    def deadline(self) -> int | None:
        return self.wake_at

    def tick(self, now: int) -> bool:
        """True when what was refused may be tried again."""
        if self.wake_at is None or now < self.wake_at:
            return False
        self.wake_at = None
        return True

    def reason(self, is_urgent: bool) -> str:
        """Why an uplink has to wait for longer than a moment; or empty."""
        if self.daily and self._room_of_day(is_urgent) <= 0 and self._left(is_urgent) <= 0:
            return f"budget: the {self.daily} bytes of this day are spent" + (
                f", but for {self.reserve} that are kept for urgent lanes" if self.reserve and not is_urgent else ""
            )
        return ""

    def report(self) -> dict[str, object]:
        self._turn_page()
        return {"rate": self.rate, "daily": self.daily, "day": self.day, "used": self.used, "reserve": self.reserve}

    # ---- a second

    def _room_of_second(self, is_urgent: bool, now: int) -> int:
        if not self.rate:
            return 1 << 40
        if self.filled_at is not None:
            self.level = min(self.level + self.rate * (now - self.filled_at) / SECOND, self.rate)
        self.filled_at = now
        return int(self.level + (DEBT * self.rate if is_urgent and self.serves_urgent else 0))

    # ---- a day

    def _room_of_day(self, is_urgent: bool) -> int:
        """Never more than what the disk knows of."""
        if not self.daily:
            return 1 << 40
        self._turn_page()
        left = self._left(is_urgent)
        if left > 0 and self.booked <= self.used:
            self._book()
        return min(left, self.booked - self.used)

    def _left(self, is_urgent: bool) -> int:
        reserve = 0 if is_urgent and self.serves_urgent else max(self.reserve - self.used_urgent, 0)
        return self.daily - self.used - reserve

    def _turn_page(self) -> None:
        """A clock that is not set names no day: what is spent then is of the last one that was known, or of the first
        that will be.  A clock that goes back by a day or less brings no bytes."""
        moment = self.calendar(self.wall())
        if moment is None or moment.day == self.day:
            return
        if not self.day:
            self.day = moment.day
            self._book()
        elif moment.day > self.day or _days_apart(moment.day, self.day) > 1:
            log.info("uplink: a new day, %s; %d bytes were spent in the last", moment.day, self.used)
            self.day, self.used, self.used_urgent = moment.day, 0, 0
            self.booked = 0
            self._book()

    def _book(self) -> None:
        if self.keeping:
            return
        self.keeping = True
        day, booked = self.day, self.used + self.chunk
        value = json.dumps({"day": day, "used": booked, "urgent": self.used_urgent}).encode()
        self.keep(value, lambda done: self._on_kept(day, booked if done else None))

    def _on_kept(self, day: str, booked: int | None) -> None:
        self.keeping = False
        if booked is not None and day == self.day:
            self.booked = booked
        if self.wake_at is not None:
            self.wake_at = 0  # at once


def _read(kept: bytes | None) -> tuple[str, int, int]:
    if kept is None:
        return "", 0, 0
    try:
        found = json.loads(kept)
        return str(found["day"]), int(found["used"]), int(found["urgent"])
    except (ValueError, TypeError, KeyError):
        log.warning("uplink: what was spent of the budget cannot be read: it is counted anew")
        return "", 0, 0


def _days_apart(one: str, other: str) -> int:
    from datetime import date

    return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)
