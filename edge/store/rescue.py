"""A database that cannot be written where it is damaged is copied, as far as it can be read, into a new one.

The new file takes the place of the old one in one rename; the old one stays beside it while the disk has room for it.
"""

import logging
import os

import apsw

from edge.errors import StoreError
from edge.store import schema
from edge.store.contract import MAX_SEQ, Recovered
from edge.store.database import checkpoint, open_reader, open_writer
from edge.store.files import sync_folder
from edge.store.reader import CHUNK, FORWARD, Reader
from edge.store.records import Records
from edge.store.statements import Statement, append, put_consumer, put_stream, put_value, transact

log = logging.getLogger("edge.store")


def rescue(path: str, free_bytes: int) -> tuple[str, ...]:
    """Lines that say what was damaged.  StoreError when the disk has no room for a copy; the file stays as it is."""
    size = os.path.getsize(path)
    if free_bytes < size:
        raise StoreError(f"{path} is damaged and has to be copied: that takes {size >> 20} MB on this disk")
    log.warning("store: %s is damaged; copying what can be read", path)
    fresh = path + ".rescue"
    _remove(fresh)
    damage = _copy(path, fresh)
    kept = path + ".damaged"
    _remove(kept)
    if free_bytes > 2 * size:
        os.link(path, kept)
        log.warning("store: the damaged file is kept as %s, for you to look at or to delete", kept)
    os.replace(fresh, path)
    sync_folder(os.path.dirname(path))
    return damage


def _copy(path: str, fresh: str) -> tuple[str, ...]:
    source, target = open_writer(path), open_writer(fresh)
    connection = open_reader(path)
    try:
        checkpoint(source)  # a log that outlived its file would be taken for that of the new one
        target.pragma("synchronous", "OFF")
        reader = Reader(connection)
        records = Records(connection, reader)
        found = records.load()
        _copy_records(target, found)
        for stream in [record.id for record in found.streams] + records.orphans:
            _copy_messages(target, reader, stream)
        target.pragma("synchronous", "FULL")
        checkpoint(target)
    finally:
        connection.close()
        source.close()
        target.close()
    return found.damage


def _copy_records(target: apsw.Connection, found: Recovered) -> None:
    """What is damaged is forgotten with this, but not how far sequences have been given."""
    for stream in found.streams:
        transact(target, put_stream(stream.id, stream.account, stream.name, stream.config, stream.state))
        transact(target, [Statement(schema.PUT_STREAM_FLOOR, (stream.id, stream.last_seq))])
    transact(target, [put_consumer(*consumer) for consumer in found.consumers])
    transact(target, [put_value(key, value) for key, value in found.values.items()])


def _copy_messages(target: apsw.Connection, reader: Reader, stream: int) -> None:
    first = 0
    while rows := reader.walk(FORWARD, stream, first, MAX_SEQ, CHUNK).rows:
        transact(target, [append(stream, rows)])
        first = rows[-1].seq + 1


def _remove(path: str) -> None:
    for name in (path, path + "-wal", path + "-shm"):
        if os.path.exists(name):
            os.unlink(name)
