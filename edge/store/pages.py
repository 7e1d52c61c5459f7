"""Messages found without the b-tree that leads to them, in SQLite's file format (sqlite.org/fileformat2.html).

A damaged inner page hides thousands of messages that are all there.  Their checksums say which cells are messages;
free pages, whose messages were deleted, are left out.  What is in the log only is not seen: checkpoint first.
"""

import os
import struct
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from edge.store.seal import seal_message

TREE_INNER, TREE_LEAF = 0x05, 0x0D
SIZES = (0, 1, 2, 3, 4, 6, 8)  # bytes of an integer, by its serial type


class RawMessage(NamedTuple):
    """In the order of the table's columns."""

    id: int
    subject: bytes
    time_ns: int
    headers: bytes | None
    payload: bytes
    crc: int


class Pages:
    """The pages of a file.

    Closing a file drops this process's locks on it, SQLite's included: close this after every connection to it.
    """

    def __init__(self, path: str) -> None:
        self.file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        head = os.pread(self.file, 100, 0)
        size = int.from_bytes(head[16:18])
        self.size = 65536 if size == 1 else size
        self.usable = self.size - head[20]
        self.knows_free = True  # which pages are free

    def close(self) -> None:
        os.close(self.file)

    def count(self) -> int:
        return os.fstat(self.file).st_size // self.size

    def read(self, number: int) -> bytes:
        """Pages count from 1; empty behind the end and where the disk cannot read."""
        try:
            return os.pread(self.file, self.size, (number - 1) * self.size)
        except OSError:
            return b""

    # ---- the way down to the messages

    def is_whole(self, root: int) -> bool:
        """Does every inner page lead on?  They are one in hundreds, and the leaves are not read."""
        return bool(self._leaves(root))

    def _leaves(self, root: int) -> list[int]:
        """All of them; none where an inner page does not lead on."""
        depth = max(self._depth(root, end) for end in (0, -1))
        level = [root]
        for _ in range(depth):
            below: list[int] = []
            for number in level:
                children = self._children(number)
                if not children:
                    return []
                below += children
            if len(set(below)) != len(below):
                return []
            level = below
        return level

    def _depth(self, root: int, end: int) -> int:
        depth = 0
        while depth < 20 and (children := self._children(root)):
            root = children[end]
            depth += 1
        return depth

    def _children(self, number: int) -> list[int]:
        """The pages an inner page leads to, by ascending keys; none when it is no such page, or damaged."""
        return self._inner(number)[1]

    def _inner(self, number: int) -> tuple[list[int], list[int]]:
        """The last key of each child but the last, and the children."""
        page = self.read(number)
        if not page or page[0] != TREE_INNER:
            return [], []
        cells = int.from_bytes(page[3:5])
        if 12 + 2 * cells > self.usable:
            return [], []
        places = struct.unpack_from(f">{cells}H", page, 12)
        page += bytes(65536 + 13)  # wherever a damaged place leads, something is there
        children = [*(_child(page, at)[0] for at in places), *_child(page, 8)]
        keys = [_varint(page, at + 4)[0] for at in places]
        is_sound = keys == sorted(set(keys)) and 2 <= min(children) and max(children) <= self.count()
        return (keys, children) if is_sound else ([], [])

    def leaves_beside(self, root: int, id: int) -> list[int]:
        """All the leaves that have one parent with the one where this id is, or was; some hundreds at most."""
        leaves = [root]
        for _ in range(20):
            keys, children = self._inner(root)
            if not children:
                break
            leaves, root = children, children[bisect_left(keys, id)]
        return leaves

    def gap(self, number: int) -> tuple[int, int]:
        """Where on a leaf nothing is, between the places of its cells and the cells; empty for any other page."""
        page = self.read(number)
        if len(page) < self.size or page[0] != TREE_LEAF:
            return 0, 0
        begin, end = 8 + 2 * int.from_bytes(page[3:5]), int.from_bytes(page[5:7]) or 65536
        return (begin, end) if begin < end <= self.usable else (0, 0)

    # ---- messages, wherever they are

    def messages(self, root: int) -> Iterator[RawMessage]:
        """In no order, and one that moved may come twice.  Where nobody knows any more which pages are free, it is what
        the tree leads to, if it is whole: deleted messages would come back."""
        free = self._free()
        leaves = [] if self.knows_free else self._leaves(root)
        for number in leaves or range(2, self.count() + 1):
            page = self.read(number) if number not in free else b""
            if page and page[0] == TREE_LEAF:
                yield from self._cells(page)

    def _free(self) -> set[int]:
        trunks, leaves = self.free_pages()
        return leaves.union(trunks)

    def free_pages(self) -> tuple[dict[int, int], set[int]]:
        """Pages that name free pages, each with where on it the names end; and those that are named."""
        trunks: dict[int, int] = {}
        free: set[int] = set()
        trunk = int.from_bytes(os.pread(self.file, 4, 32))
        while 2 <= trunk <= self.count() and trunk not in trunks:
            page = self.read(trunk)
            leaves = min(int.from_bytes(page[4:8]), self.usable // 4 - 2)
            trunks[trunk] = 8 + 4 * leaves
            free.update(int.from_bytes(page[8 + 4 * i : 12 + 4 * i]) for i in range(leaves))
            trunk = int.from_bytes(page[:4])
        return trunks, free

    # ---- what nobody reads any more

    def zero(self, number: int, begin: int, end: int) -> None:
        """From one place on the page to another.  OSError."""
        os.pwrite(self.file, bytes(end - begin), (number - 1) * self.size + begin)

    def sync(self) -> None:
        os.fdatasync(self.file)

    def _cells(self, page: bytes) -> Iterator[RawMessage]:
        for i in range(min(int.from_bytes(page[3:5]), self.usable // 2 - 4)):
            at = int.from_bytes(page[8 + 2 * i : 10 + 2 * i])
            try:
                message = self._message(page, at)
            except (IndexError, ValueError):  # it leads out of the page
                continue
            if message is not None:
                yield message

    def _message(self, page: bytes, at: int) -> RawMessage | None:
        length, at = _varint(page, at)
        id, at = _varint(page, at)
        row = _row(self._content(page, at, length))
        if row is None:
            return None
        message = RawMessage(id, *row)
        crc = seal_message(id, message.time_ns, message.subject, message.headers, message.payload)
        return message if crc == message.crc else None

    def _content(self, page: bytes, at: int, length: int) -> bytes:
        """The cell's own part of a row, and the rest from its chain of overflow pages."""
        if length <= self.usable - 35:
            return page[at : at + length]
        least = (self.usable - 12) * 32 // 255 - 23
        own = least + (length - least) % (self.usable - 4)
        if own > self.usable - 35:
            own = least
        parts = [page[at : at + own]]
        missing = length - own
        following = int.from_bytes(page[at + own : at + own + 4])
        while missing > 0:
            page = self.read(following)
            if not page or following < 2:
                raise ValueError
            part = page[4 : min(self.usable, 4 + missing)]
            parts.append(part)
            missing -= len(part)
            following = int.from_bytes(page[:4])
        return b"".join(parts)


def _row(content: bytes) -> tuple[bytes, int, bytes | None, bytes, int] | None:
    """The columns of a message behind its id; None when these are not the columns of one."""
    end, at = _varint(content, 0)
    types: list[int] = []
    while at < end:
        kind, at = _varint(content, at)
        types.append(kind)
    if len(types) != 6:
        return None
    fields: list[int | bytes | None] = []
    for kind in types:
        length = (kind - 12) // 2 if kind >= 12 else SIZES[kind] if kind < 7 else 0
        raw = content[at : at + length]
        if len(raw) < length:
            return None
        fields.append(_field(kind, raw))
        at += length
    match fields:
        case [None, bytes(subject), int(time_ns), bytes() | None as headers, bytes(payload), int(crc)]:
            return subject, time_ns, headers, payload, crc
    return None


_child = struct.Struct(">I").unpack_from


def _field(kind: int, raw: bytes) -> int | bytes | None:
    if kind == 0 or kind == 7 or kind in (10, 11):
        return None
    if kind in (8, 9):
        return kind - 8
    return raw if kind >= 12 else int.from_bytes(raw, signed=True)


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """The number, and where the next thing begins."""
    value = 0
    for i in range(8):
        byte = page[at + i]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + i + 1
    value = value << 8 | page[at + 8]
    return value - (value >> 63 << 64), at + 9
