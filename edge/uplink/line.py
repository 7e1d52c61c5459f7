"""The way to one hub, and whose turn it is on it.

``Pace`` measures how much the way takes without a queue that anybody would notice: what is in flight grows while
answers come as fast as they can, and shrinks when they are late.  So an alarm finds hardly anything before it, also on
64 kbit/s; and PONGs and commands do not either.

``Line`` gives turns.  Urgent lanes go first, and have room of their own.  The others share by weight: each lane has
its own, and what is fresh counts eight times as much as what is of a backlog, so a backlog always gets on.  Who was
idle gets no credit for that.
"""

from collections.abc import Iterable
from typing import Protocol

SECOND = 1_000_000_000
LEAST = 2048  # bytes in flight: what a new connection begins with
MOST = 1 << 20
QUEUE_NS = SECOND // 4  # that messages may spend waiting on the way
REMEMBER_NS = 30 * SECOND  # before it is looked how fast the way is when it is empty
QUANTUM = 2048  # bytes of one turn, at least
FRESH = 8  # times the weight

URGENT = "urgent"
WEIGHTS = {URGENT: 64, "normal": 8, "bulk": 1}


class Pace:
    def __init__(self) -> None:
        self.limit = LEAST
        self.in_flight = 0
        self.base_ns = 0  # how long an answer takes on an empty way; 0: not known
        self.cut_at = 0
        self.look_at = 0  # when to look again
        self.empty_at: int | None = None  # looking: since when the way is as good as empty
        self.looking = False

    @property
    def room(self) -> int:
        return (LEAST if self.looking else self.limit) - self.in_flight

    def sent(self, size: int) -> None:
        self.in_flight += size

    def ended(self, size: int) -> None:
        """Not by an answer."""
        self.in_flight -= size

    def answered(self, size: int, sent_at: int, now: int) -> None:
        delay = max(now - sent_at, 1)
        full = self.in_flight * 2 > self.limit
        self.in_flight -= size
        if not self.base_ns or delay < self.base_ns:
            self.base_ns = delay
        self._look(delay, sent_at, now)
        late = delay - self.base_ns - QUEUE_NS
        if late > 0:
            if now > self.cut_at:  # what is in flight was sent before: once for all of it
                self.limit = max(LEAST, self.limit * self.base_ns // delay, self.limit // 2)
                self.cut_at = now + delay
        elif full and not self.looking:
            growth = size if delay < self.base_ns + QUEUE_NS // 2 else size * size // self.limit + 1
            self.limit = min(self.limit + growth, MOST)

    def _look(self, delay: int, sent_at: int, now: int) -> None:
        """What stands on the way for hours would else be taken for a part of it."""
        if self.empty_at is not None and sent_at >= self.empty_at:
            self.base_ns = delay
            self.looking, self.empty_at = False, None
            self.look_at = now + REMEMBER_NS
        elif self.looking:
            if self.empty_at is None and self.in_flight <= LEAST // 2:
                self.empty_at = now
        elif not self.look_at:
            self.look_at = now + REMEMBER_NS
        elif now >= self.look_at and self.limit > LEAST:
            self.looking = True


class Front(Protocol):
    """One place of an uplink's backlog where it goes on."""

    @property
    def is_urgent(self) -> bool: ...
    @property
    def weight(self) -> int: ...
    def send(self, room: int, now: int) -> int:
        """Messages of at least one byte and about ``room``; the bytes, 0 when there is nothing to send now."""


class Purse(Protocol):
    """What may be spent."""

    def room(self, is_urgent: bool, now: int) -> int: ...
    def reason(self, is_urgent: bool) -> str:
        """Why nothing may be spent for longer than a moment."""

    def spend(self, size: int, is_urgent: bool) -> None: ...


class Line:
    """Of one link.  ``fronts`` in the order in which they are asked where weights leave it open."""

    def __init__(self, purse: Purse | None = None) -> None:
        self.pace = Pace()
        self.purse = purse
        self.urgent_bytes = 0  # in flight
        self.fronts: list[Front] = []
        self.spent: dict[Front, float] = {}
        self.clock = 0.0
        self.pumping = False

    def add(self, fronts: Iterable[Front]) -> None:
        self.fronts += fronts
        self.fronts.sort(key=lambda front: (not front.is_urgent, -front.weight))
        self.spent = dict.fromkeys(self.fronts, 0.0)

    def lost(self) -> None:
        """The link; nothing is on the way any more, and another connection may go another way."""
        self.pace = Pace()
        self.urgent_bytes = 0

    def is_worthwhile(self) -> bool:
        """A quarter of the way at a time."""
        return self.pace.room * 4 >= self.pace.limit

    def sent(self, size: int, is_urgent: bool) -> None:
        self.pace.sent(size)
        if is_urgent:
            self.urgent_bytes += size
        self.charge(size, is_urgent)

    def charge(self, size: int, is_urgent: bool) -> None:
        """Sent without a turn: questions."""
        if self.purse is not None:
            self.purse.spend(size, is_urgent)

    def ended(self, size: int, is_urgent: bool, sent_at: int, now: int, answered: bool) -> None:
        if answered:
            self.pace.answered(size, sent_at, now)
        else:
            self.pace.ended(size)
        if is_urgent:
            self.urgent_bytes -= size

    def refusal(self, is_urgent: bool) -> str:
        return self.purse.reason(is_urgent) if self.purse is not None else ""

    def pump(self, now: int) -> None:
        """Turns, for as long as there is room and something to send."""
        if self.pumping:
            return
        self.pumping = True
        try:
            idle: set[Front] = set()
            while (front := self._next(idle, now)) is not None:
                size = front.send(self._turn(front, now), now)
                if size:
                    self.clock = max(self.spent[front], self.clock) if not front.is_urgent else self.clock
                    self.spent[front] = max(self.spent[front], self.clock) + size / front.weight
                else:
                    idle.add(front)
        finally:
            self.pumping = False

    def _next(self, idle: set[Front], now: int) -> Front | None:
        found = None
        for front in self.fronts:
            if front in idle or self._room(front, now) <= 0:
                continue
            if front.is_urgent:
                return front
            if found is None or max(self.spent[front], self.clock) < max(self.spent[found], self.clock):
                found = front
        return found

    def _turn(self, front: Front, now: int) -> int:
        room = self._room(front, now)
        if front.is_urgent or len(self.fronts) == 1:
            return room
        return min(room, max(QUANTUM, self.pace.limit // 8))

    def _room(self, front: Front, now: int) -> int:
        """Somebody may always have one message on the way, however large."""
        pace = self.pace
        if front.is_urgent:
            room = pace.limit - self.urgent_bytes
        else:
            room = pace.room
        if self.purse is not None:
            return min(room, self.purse.room(front.is_urgent, now))
        return room
