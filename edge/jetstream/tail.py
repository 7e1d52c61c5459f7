"""The newest rows of a stream in memory, so that who reads along does not go to the disk."""

from collections import deque
from itertools import chain, islice
from typing import NamedTuple

from edge.store.contract import NewRow, Row

MAX_BYTES = 1 << 20
ROW_BYTES = 100  # what a row takes beside its contents, about


class Block(NamedTuple):
    """Rows of consecutive sequences, as one commit brought them."""

    first: int
    rows: list[NewRow]
    size: int


class Tail:
    """Blocks that follow each other without a hole, up to the last visible row; whatever makes a hole clears it."""

    def __init__(self) -> None:
        self.blocks: deque[Block] = deque()
        self.size = 0

    def extend(self, rows: list[NewRow], size: int) -> None:
        if self.blocks and rows[0][0] != self.blocks[-1].first + len(self.blocks[-1].rows):
            self.clear()
        if rows[-1][0] - rows[0][0] + 1 != len(rows):  # a mirror's may have holes
            self.clear()
            return
        block = Block(rows[0][0], rows, size + ROW_BYTES * len(rows))
        self.blocks.append(block)
        self.size += block.size
        while self.size > MAX_BYTES and len(self.blocks) > 1:
            self.size -= self.blocks.popleft().size

    def covers(self, seq: int) -> bool:
        return bool(self.blocks) and self.blocks[0].first <= seq

    def get(self, seq: int) -> Row | None:
        if not self.covers(seq):
            return None
        return self.rows_from(seq, 1)[0]

    def rows_from(self, seq: int, limit: int) -> list[Row]:
        """Who reads along asks for the end: looked for from there."""
        found: deque[list[NewRow]] = deque()
        for block in reversed(self.blocks):
            found.appendleft(block.rows)
            if block.first <= seq:
                break
        begin = seq - found[0][0][0]
        return [*map(Row._make, islice(chain.from_iterable(found), begin, begin + limit))]

    def clear(self) -> None:
        self.blocks.clear()
        self.size = 0
