"""The newest rows of a stream in memory, so that who reads along does not go to the disk."""

from collections import deque
from collections.abc import Iterable
from itertools import islice

from edge.store.contract import NewRow, Row

MAX_BYTES = 1 << 20


class Tail:
    """Rows of consecutive sequences, up to the last visible one; emptied by whatever makes a hole."""

    def __init__(self) -> None:
        self.rows: deque[Row] = deque()
        self.size = 0

    def extend(self, rows: Iterable[NewRow]) -> None:
        for new in rows:
            row = Row(*new)
            if self.rows and row.seq != self.rows[-1].seq + 1:
                self.clear()
            self.rows.append(row)
            self.size += len(row.headers) + len(row.payload) + 100
        while self.size > MAX_BYTES and len(self.rows) > 1:
            old = self.rows.popleft()
            self.size -= len(old.headers) + len(old.payload) + 100

    def covers(self, seq: int) -> bool:
        return bool(self.rows) and self.rows[0].seq <= seq

    def get(self, seq: int) -> Row | None:
        if not self.covers(seq):
            return None
        return self.rows[seq - self.rows[0].seq]

    def rows_from(self, seq: int, limit: int) -> list[Row]:
        begin = seq - self.rows[0].seq
        if begin > len(self.rows) // 2:  # a deque is walked from its nearer end
            return [*reversed([*islice(reversed(self.rows), len(self.rows) - begin)])][:limit]
        return [*islice(self.rows, begin, begin + limit)]

    def clear(self) -> None:
        self.rows.clear()
        self.size = 0
