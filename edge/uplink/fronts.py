"""Where an uplink goes on in its backlog: at the oldest row, and at the first that is fresh.

When the link comes back after an hour, what is measured now goes up now, and the hour fills the rest of the line.  As
soon as the older front meets what the newer one has sent there is one front again.  Where the line is too slow for what
comes, the newer one leaves rows out, for the older one, rather than fall behind.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import takewhile
from operator import attrgetter

from edge.store.contract import Row
from edge.uplink.ports import Backlog
from edge.uplink.ranges import Ranges
from edge.uplink.window import Window

SECOND = 1_000_000_000
FRESH_NS = SECOND  # as long as a row is fresh
MARK_NS = SECOND // 10
SCAN = 256  # rows read at a time
MAX_PIECES = 64  # that what has been sent may fall into: they are kept on disk

_seq = attrgetter("seq")


class Cursor:
    """The rows from ``next_seq`` on, without those that are taken."""

    def __init__(self, backlog: Backlog, window: Window, next_seq: int) -> None:
        self.backlog = backlog
        self.window = window
        self.next_seq = next_seq
        self.ahead: list[Row] = []
        self.missing: list[tuple[int, int]] = []  # passed over since ``pop_missing``

    def block(self, leased: Ranges, most: int) -> list[Row]:
        """The next rows that may be sent, up to ``most``, without a gap between them.  The caller sends them, and puts
        ``next_seq`` behind what it has sent."""
        self._find()
        ahead, seq = self.ahead, self.next_seq
        if not ahead:
            return []
        end = min(leased.after(seq), seq + most, self.window.taken.next(seq))
        if ahead[-1].seq - seq == len(ahead) - 1:
            return ahead[: end - seq]
        return list(takewhile(lambda row: row.seq < end, _neighbours(ahead)))

    def _find(self) -> None:
        """``next_seq`` is that of the next row that is not taken, and ``ahead`` begins with it; or there is none."""
        taken = self.window.taken
        while True:
            self.next_seq = taken.after(max(self.next_seq, self.window.floor + 1))
            if self.ahead and self.ahead[0].seq < self.next_seq:
                del self.ahead[: bisect_left(self.ahead, self.next_seq, key=_seq)]
            if not self.ahead:
                self.ahead = self.backlog.scan(self.next_seq, SCAN)
            end = self.ahead[0].seq if self.ahead else self.backlog.last_seq + 1
            if end == self.next_seq:
                return
            self.missing += taken.gaps(self.next_seq, end - 1)
            self.next_seq = end
            if not self.ahead:
                return

    def pop_missing(self) -> list[tuple[int, int]]:
        missing, self.missing = self.missing, []
        return missing

    def forget(self) -> None:
        """The backlog is not what it was when it was read."""
        self.ahead.clear()


def _neighbours(rows: Iterable[Row]) -> Iterator[Row]:
    last = 0
    for row in rows:
        if last and row.seq != last + 1:
            return
        last = row.seq
        yield row


class Fronts:
    """``live`` is None while one front is enough."""

    def __init__(self, backlog: Backlog, window: Window, strict: bool) -> None:
        self.backlog = backlog
        self.window = window
        self.strict = strict
        self.old = Cursor(backlog, window, window.floor + 1)
        self.live: Cursor | None = None
        self.marks: deque[tuple[int, int]] = deque()  # (when, the last sequence by then)
        self.stale = backlog.last_seq  # nothing up to here is fresh

    def __iter__(self) -> Iterator[Cursor]:
        yield self.old
        if self.live is not None:
            yield self.live

    def stored(self, now: int) -> None:
        began = now
        if self.marks and now - self.marks[-1][0] < MARK_NS:
            began = self.marks.pop()[0]
        self.marks.append((began, self.backlog.last_seq))

    def restart(self) -> None:
        """From the first row again that is not settled."""
        self.old = Cursor(self.backlog, self.window, self.window.floor + 1)
        self.live = None

    def forget(self) -> None:
        for cursor in self:
            cursor.forget()

    def pick(self, fresh: bool, now: int) -> Cursor | None:
        """Where to send what is fresh, or what is not; None where there is nothing of the kind."""
        self._age(now)
        self._divide()
        if self.live is not None:
            return self.live if fresh else self.old
        return self.old if (self.old.next_seq > self.stale) == fresh else None

    def _age(self, now: int) -> None:
        while self.marks and self.marks[0][0] <= now - FRESH_NS:
            self.stale = max(self.stale, self.marks.popleft()[1])

    def _divide(self) -> None:
        if self.strict:
            return
        old = self.old
        old.next_seq = self.window.taken.after(max(old.next_seq, self.window.floor + 1))
        if self.live is not None and old.next_seq >= self.live.next_seq:
            self.live = None
        at = old.next_seq if self.live is None else self.live.next_seq
        if at <= self.stale < self.backlog.last_seq and self._may_leave_out(at):
            self.live = Cursor(self.backlog, self.window, self.stale + 1)

    def _may_leave_out(self, at: int) -> bool:
        """The more pieces there are, the more it must be worth another."""
        pieces = len(self.window.taken)
        return pieces < MAX_PIECES // 2 or (pieces < MAX_PIECES and self.stale - at > self.backlog.messages // 8)
