"""A backlog that is nearly full gets thinner from its oldest end on (``discard: thin``): every second message is kept,
and when all but the newest quarter has become so, every fourth, and so on.  What the hub gets of a long night is a
coarse picture of all of it.

A ``Comb`` remembers where: what is missing there was told to the hub when it was taken.
"""

from typing import NamedTuple

from edge.store.contract import Row
from edge.uplink.ports import Backlog
from edge.uplink.ranges import Ranges

SLICE = 512  # rows looked at in one go
SLICES = 4
MAX_STEP = 1024
FULL = 15 / 16  # of max_bytes: the backlog's own limit must not be met


class Comb(NamedTuple):
    """Of these sequences those that ``step`` does not divide were taken."""

    first: int
    last: int
    step: int

    def kept(self, first: int, last: int) -> int:
        """How many of the part of ``first`` to ``last`` that is in here were left."""
        first, last = max(first, self.first), min(last, self.last)
        return max(last // self.step - (first - 1) // self.step, 0) if first <= last else 0


    def joins(self, other: "Comb") -> bool:
        """Does ``other`` go on where this one ends?  What is all gone is the same by any step."""
        if self.last + 1 != other.first:
            return False
        first, last = other.first, other.last
        return self.step == other.step or not (other.kept(first, last) or self._replace(last=last).kept(first, last))


class Cut(NamedTuple):
    """What is to go: the rows, and what that makes of the sequences around them."""

    rows: list[int]
    comb: Comb


class Thinner:
    def __init__(self, backlog: Backlog, max_bytes: int) -> None:
        self.backlog = backlog
        self.max_bytes = max_bytes
        self.step = 2
        self.next_seq = 0

    def is_due(self) -> bool:
        if self.backlog.bytes < self.max_bytes // 2:
            self.step, self.next_seq = 2, 0
        return self.backlog.bytes > self.max_bytes * FULL

    def cuts(self, floor: int, spared: Ranges) -> list[Cut]:
        """In the next slices, but for what is ``spared``.  The newest quarter is complete, so it has no gaps."""
        for _ in range(SLICES):
            rows = self.backlog.scan(max(self.next_seq, floor + 1), SLICE)
            if not rows or rows[0].seq > self.backlog.last_seq - self.backlog.messages // 4:
                self.step, self.next_seq = min(self.step * 2, MAX_STEP), 0
                continue
            self.next_seq = rows[-1].seq + 1
            if found := self._cut(rows, spared):
                return found
        return []

    def _cut(self, rows: list[Row], spared: Ranges) -> list[Cut]:
        found = []
        for first, last in spared.gaps(rows[0].seq, rows[-1].seq):
            doomed = [row.seq for row in rows if first <= row.seq <= last and row.seq % self.step]
            if doomed:
                found.append(Cut(doomed, Comb(first, last, self.step)))
        return found


class Combs:
    """In order, and none over another: where one is cut again the coarser holds.  Steps are powers of two."""

    def __init__(self, combs: tuple[Comb, ...] = ()) -> None:
        self.combs = list(combs)

    def add(self, comb: Comb) -> None:
        coarser = Ranges((old.first, old.last) for old in self.combs if old.step >= comb.step)
        kept = [comb._replace(first=first, last=last) for first, last in coarser.gaps(comb.first, comb.last)]
        for old in self.combs:
            if old.step >= comb.step or old.last < comb.first or old.first > comb.last:
                kept.append(old)
                continue
            if old.first < comb.first:
                kept.append(old._replace(last=comb.first - 1))
            if old.last > comb.last:
                kept.append(old._replace(first=comb.last + 1))
        self.combs = []
        for each in sorted(kept):
            before = self.combs[-1] if self.combs else None
            if before is not None and before.joins(each):
                self.combs[-1] = before._replace(last=each.last)
            else:
                self.combs.append(each)

    def untold(self, first: int, last: int) -> int:
        """How many of these, if none of them is there, nobody has been told of."""
        inside = [comb for comb in self.combs if comb.first <= last and first <= comb.last]
        covered = sum(min(last, comb.last) - max(first, comb.first) + 1 for comb in inside)
        return last - first + 1 - covered + sum(comb.kept(first, last) for comb in inside)

    def forget_up_to(self, floor: int) -> None:
        self.combs = [comb for comb in self.combs if comb.last > floor]
