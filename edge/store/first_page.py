"""The first page of the database: without it there is none.  What it says of tables never changes, so it is kept once
more, in a file of its own; what it says of the file can be counted.
"""

import logging
import os
from contextlib import suppress
from typing import NamedTuple

from edge.store.files import replace_file

log = logging.getLogger("edge.store")

HEAD = 100  # bytes: the head of the file; the tables follow
SECTOR = 512
# From ... to: the number of changes, pages, the first free page and how many there are; and the first of these again.
CHANGES, PAGES, FREE, CHANGES_AGAIN = slice(24, 28), slice(28, 32), slice(32, 40), slice(92, 96)


def kept(path: str) -> str:
    return path + ".first"


def forget_first_page(path: str) -> None:
    """Before another file, or another format, takes its place."""
    with suppress(FileNotFoundError):
        os.unlink(kept(path))


def keep_first_page(path: str, version: int, size: int) -> None:
    """Of a database that is open and sound.  Nothing is written when it is kept already."""
    page, old = _read(path, size), _read(kept(path), size)
    is_present = page is not None and int.from_bytes(page[60:64]) == version  # and not still in the log
    if page is not None and is_present and (old is None or _tables(old) != _tables(page)):
        with suppress(OSError):  # a full disk
            replace_file(kept(path), page)


class Mended(NamedTuple):
    """``knows_free``: is it still known which pages are free?"""

    knows_free: bool


def mend_first_page(path: str) -> Mended | None:
    """Before the database is opened.  None when nothing was wrong."""
    copy = _read(kept(path), os.path.getsize(kept(path))) if os.path.exists(kept(path)) else None
    page = _read(path, len(copy)) if copy else None
    if copy is None or page is None or len(page) < len(copy) or not _is_first(copy):
        return None
    differing = sum(a != b for a, b in zip(_tables(page), _tables(copy), strict=True))
    if _is_first(page) and (differing > SECTOR or _is_newer(page, copy)):
        return None  # somebody put another database here, and what is to be said of it others say
    sound = page if not differing else _joined(page, copy)
    if not _has_log(path):
        sound = _counted(path, sound)
    if sound == page:
        return None
    log.error("store: the first page of %s was damaged and is put right", path)
    with open(path, "r+b") as file:
        file.write(sound)
        os.fsync(file.fileno())
    return Mended(_is_first(page) and sound[FREE] == page[FREE])


def _read(path: str, length: int) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(length)
    except OSError:
        return None


def _is_first(page: bytes) -> bool:
    return page.startswith(b"SQLite format 3\0")


def _is_newer(page: bytes, copy: bytes) -> bool:
    """By more than a flipped bit."""
    found, known = int.from_bytes(page[60:64]), int.from_bytes(copy[60:64])
    return found > known and (found ^ known).bit_count() > 1


def _tables(page: bytes) -> bytes:
    """What is the same for as long as the format is."""
    return page[:24] + page[40:92] + page[HEAD:]


def _joined(page: bytes, copy: bytes) -> bytes:
    joined = bytearray(copy)
    joined[24:40], joined[92:HEAD] = page[24:40], page[92:HEAD]
    return bytes(joined)


def _has_log(path: str) -> bool:
    with suppress(OSError):
        return os.path.getsize(path + "-wal") > 0
    return False


def _counted(path: str, page: bytes) -> bytes:
    """With the numbers that the file itself says.  Nothing is in a log: they were right."""
    counted = bytearray(page)
    count, size = divmod(os.path.getsize(path), len(page))
    said = int.from_bytes(page[PAGES])
    if not size and said != count and (said < count or (said ^ count).bit_count() == 1):
        counted[PAGES] = count.to_bytes(4)
    counted[CHANGES_AGAIN] = counted[CHANGES]
    if not _is_free_list(path, page, count):
        counted[FREE] = bytes(8)
    return bytes(counted)


def _is_free_list(path: str, page: bytes, count: int) -> bool:
    """Does it lead to as many pages as it says?"""
    trunk, said = int.from_bytes(page[32:36]), int.from_bytes(page[36:40])
    seen: set[int] = set()
    with open(path, "rb") as file:
        while trunk:
            if not 2 <= trunk <= count or trunk in seen:
                return False
            file.seek((trunk - 1) * len(page))
            content = file.read(len(page))
            leaves = int.from_bytes(content[4:8])
            if leaves > len(page) // 4 - 2:
                return False
            found = {trunk, *(int.from_bytes(content[8 + 4 * i : 12 + 4 * i]) for i in range(leaves))}
            if len(found) != leaves + 1 or not seen.isdisjoint(found) or min(found) < 2 or max(found) > count:
                return False
            seen |= found
            trunk = int.from_bytes(content[:4])
    return len(seen) == said
