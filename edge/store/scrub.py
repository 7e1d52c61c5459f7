"""What was erased may stand in the file once more: SQLite moves rows from page to page, and a page that it then has no
use for keeps what was on it; once in a while one that is in use does, where nothing is.  After an erase the free pages
are looked through, and the leaves around the row, and overwritten where it is found.

They are read a little at a time between commits, and written by hand in a moment when the log is empty and nobody can
have changed them.  SQLite reads neither free pages nor the gaps of others.
"""

import re
from collections.abc import Iterable, Sequence

import apsw

from edge.store import schema
from edge.store.contract import SEQ_BITS
from edge.store.pages import Pages
from edge.store.statements import Statement, Write, drop_value

AT_ONCE = 64  # pages
MOST = 256  # rows that are looked for in one walk over the free pages


class Scrub:
    """``ids``: of the rows.  Begins behind a checkpoint of everything."""

    def __init__(self, pages: Pages, root: int, ids: Sequence[int]) -> None:
        """``root`` of the b-tree of messages."""
        self.pages = pages
        self.ids = ids
        self.wanted = re.compile(b"|".join(re.escape(varint(id)) for id in ids), re.DOTALL)
        trunks, leaves = pages.free_pages()
        leaves.update(trunks, *(pages.leaves_beside(root, id) for id in ids))
        self.left = sorted(leaves, reverse=True)
        self.found: list[int] = []

    def step(self) -> bool:
        """Look at some of them; were these the last?"""
        for _ in range(min(AT_ONCE, len(self.left))):
            number = self.left.pop()
            if self.wanted.search(self.pages.read(number)):
                self.found.append(number)
        return not self.left

    def overwrite(self, connection: apsw.Connection) -> None:
        """Behind another checkpoint, by the thread that writes.  OSError."""
        connection.release_memory()  # pages that it remembers as they were
        trunks, leaves = self.pages.free_pages()
        for number in self.found:
            if number in leaves:
                begin, end = 0, self.pages.size
            elif number in trunks:
                begin, end = trunks[number], self.pages.size
            else:
                begin, end = self.pages.gap(number)
            if self.wanted.search(self.pages.read(number)[begin:end]):
                self.pages.zero(number, begin, end)
        self.pages.sync()

    def done(self) -> list[Write]:
        """Nobody need look for them again."""
        return [drop_value(f"{schema.ERASING}{id}") for id in self.ids]


def varint(id: int) -> bytes:
    """As a row's id stands in front of it: six bytes or more, for each holds stream and sequence."""
    parts = [id & 0x7F]
    while id := id >> 7:
        parts.append(id & 0x7F | 0x80)
    return bytes(reversed(parts))


def erased(writes: Iterable[Write]) -> list[int]:
    """The ids that are about to be."""
    found: list[int] = []
    for write in writes:
        if isinstance(write, Statement) and write.sql == schema.PUT_VALUE:
            key: bytes = write.bindings[0]
            if key.startswith(schema.ERASING.encode()):
                found.append(int(key[len(schema.ERASING) :]))
    return found


def unfinished(connection: apsw.Connection) -> list[int]:
    """What the last run had erased and not yet looked for."""
    try:
        return [int(id) for (id,) in connection.execute(schema.UNFINISHED) if int(id) >> SEQ_BITS]
    except (apsw.Error, ValueError):
        return []
