"""A database that cannot be written where it is damaged is copied, as far as it can be read, into a new one.

The new file takes the place of the old one in one rename; the old one stays beside it while the disk has room for it.
"""

import logging
import os
from itertools import islice

import apsw

from edge.errors import StoreError
from edge.store import schema
from edge.store.contract import MAX_SEQ, SEQ_BITS, Recovered
from edge.store.database import checkpoint, open_reader, open_writer
from edge.store.files import sync_folder
from edge.store.first_page import forget_first_page
from edge.store.pages import Pages
from edge.store.reader import CHUNK, Reader
from edge.store.records import SAFE_DISTANCE, Records
from edge.store.statements import Statement, doomed, put_consumer, put_stream, put_value, transact

log = logging.getLogger("edge.store")

MAX_BYTES = 1 << 40  # a length beyond it is damage itself


def rescue(path: str, pages: Pages, free_bytes: int) -> tuple[str, ...]:
    """Lines that say what was damaged.  No connection of ours may write meanwhile; one that reads goes on reading the
    old file.  StoreError when the disk has no room for a copy, or apsw.Error: the file stays as it is."""
    size = os.path.getsize(path)
    if free_bytes < size:
        raise StoreError(f"{path} is damaged and has to be copied: that takes {size >> 20} MB on this disk", full=True)
    log.warning("store: %s is damaged; copying what can be read", path)
    fresh = path + ".rescue"
    _remove(fresh, *_beside(fresh))
    damage = _copy(path, pages, fresh)
    kept = path + ".damaged"
    _remove(kept)
    if free_bytes > 2 * size:
        os.link(path, kept)
        log.warning("store: the damaged file is kept as %s, for you to look at or to delete", kept)
    _remove(*_beside(path))  # all of the log is in the file; the new one must not take it for its own
    forget_first_page(path)
    os.replace(fresh, path)
    sync_folder(os.path.dirname(path))
    return damage


def lengthen(path: str) -> bool:
    """SQLite refuses a file that was cut short.  With empty pages in place of those that are missing it does not."""
    if not os.path.exists(path):
        return False
    with open(path, "rb") as file:
        head = file.read(100)
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        return False
    page = int.from_bytes(head[16:18]) or 1
    length = int.from_bytes(head[28:32]) * (65536 if page == 1 else page)
    is_valid = head[24:28] == head[92:96]  # else the length was not kept up
    if not is_valid or os.path.getsize(path) >= length or length > MAX_BYTES:
        return False
    log.error("store: %s was cut short: %d bytes of %d", path, os.path.getsize(path), length)
    os.truncate(path, length)
    return True


def _copy(path: str, pages: Pages, fresh: str) -> tuple[str, ...]:
    source, target = open_writer(path), open_writer(fresh)
    connection = open_reader(path)
    try:
        checkpoint(source)  # a log that outlived its file would be taken for that of the new one
        target.pragma("synchronous", "OFF")
        deleted = doomed(connection)
        reader = Reader(connection)
        reader.hide(deleted)
        reader.quiet = True
        records = Records(connection, reader)
        found = records.load()
        _copy_messages(connection, target, pages, deleted)
        _copy_records(target, found, records.torn)
        left_out = _left_out(target, reader, found)
        target.pragma("synchronous", "FULL")
        checkpoint(target)
    finally:
        connection.close()
        source.close()
        target.close()
    for line in left_out:
        log.error("store: %s", line)
    return found.damage + left_out


def _left_out(target: apsw.Connection, reader: Reader, found: Recovered) -> tuple[str, ...]:
    """What the tree says should be there, and is not: nobody could name it later."""
    for stream in found.streams:
        for _ in reader.rows(stream.id):
            pass
    lines = []
    for stream_id, first, last in sorted(reader.reported):
        base = stream_id << SEQ_BITS
        ((there,),) = target.execute(schema.HOW_MANY, (base | first, base | last))
        if there <= last - first:
            lines.append(f"{reader.describe(stream_id, first, last)} and left out")
    return tuple(lines)


def _copy_messages(
    connection: apsw.Connection, target: apsw.Connection, pages: Pages, deleted: list[tuple[int, int]]
) -> None:
    """From wherever they are in the file; the way to them may be what is damaged."""
    ((root,),) = connection.execute(schema.ROOT)
    messages = pages.messages(root)
    while chunk := list(islice(messages, CHUNK)):
        target.execute("BEGIN")
        target.executemany(schema.SALVAGE, [row for row in chunk if not _is_in(row.id, deleted)])
        target.execute("COMMIT")


def _copy_records(target: apsw.Connection, found: Recovered, torn: set[int]) -> None:
    """What is damaged is forgotten with this, but not how far sequences may have been given."""
    for stream in found.streams:
        base = stream.id << SEQ_BITS
        ((last,),) = target.execute(schema.LAST_OF, (base, base | MAX_SEQ))
        floor = ((last or 0) & MAX_SEQ) + SAFE_DISTANCE if stream.id in torn else 0
        transact(target, put_stream(stream.id, stream.account, stream.name, stream.config, stream.state))
        transact(target, [Statement(schema.PUT_STREAM_FLOOR, (stream.id, max(floor, stream.last_seq)))])
    transact(target, [put_consumer(*consumer) for consumer in found.consumers])
    transact(target, [put_value(key, value) for key, value in found.values.items()])


def _is_in(id: int, ranges: list[tuple[int, int]]) -> bool:
    return any(first <= id <= last for first, last in ranges)


def _beside(path: str) -> tuple[str, str]:
    return path + "-wal", path + "-shm"


def _remove(*paths: str) -> None:
    for path in paths:
        if os.path.exists(path):
            os.unlink(path)
