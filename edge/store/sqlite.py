"""The store in one SQLite file (``docs/store.md``).

apsw and not the standard library's sqlite3: with another thread busy in Python on a second core, the standard
module's ``executemany`` gives up the interpreter at every row and falls to hundreds of rows a second; and the SQLite
of Debian and Raspberry Pi OS can corrupt a WAL (3.7.0 to 3.51.2), the wheel's cannot.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import IO
from zlib import crc32

import apsw

from edge.errors import StoreError
from edge.store import schema
from edge.store.contract import (
    MAX_SEQ,
    SEQ_BITS,
    ConsumerRecord,
    Done,
    NewRow,
    Recovered,
    Row,
    StreamRecord,
    SubjectRecord,
)
from edge.store.writer import Statement, Unit, Writer

log = logging.getLogger("edge.store")

FILE = "petiole.db"
Raw = tuple[int, str, int, bytes | None, bytes, int]


class SqliteStore:
    """``folder`` is made when it is not there.  StoreError, one line, when there can be no store in it."""

    def __init__(
        self, folder: str, call_soon: Callable[[Callable[[], None]], None], window_ns: int = 10_000_000
    ) -> None:
        self.folder = folder
        self.path = os.path.join(folder, FILE)
        self.lock = _lock(folder)
        try:
            connection = _open_writer(self.path)
            self.reader = apsw.Connection(self.path, flags=apsw.SQLITE_OPEN_READONLY)
            self.reader.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self.reader.execute("PRAGMA query_only = 1; PRAGMA wal_autocheckpoint = 0")
        except apsw.Error as exc:
            self.lock.close()
            raise StoreError(f"{self.path} cannot be used as a store: {exc}; move it away to start anew") from exc
        self.writer = Writer(connection, folder, call_soon, window_ns)
        self.statements: list[Statement] = []
        self.appends = False

    # ---- writes

    def append(self, stream: int, rows: list[NewRow]) -> None:
        base = stream << SEQ_BITS
        sealed = [
            (base | seq, subject, at, headers or None, payload, _crc(seq, subject, at, headers, payload))
            for seq, subject, at, headers, payload in rows
        ]
        self.statements.append((schema.APPEND, sealed, True))
        self.appends = True

    def delete(self, stream: int, seqs: list[int]) -> None:
        base = stream << SEQ_BITS
        self.statements.append((schema.DELETE, [(base | seq,) for seq in seqs], True))

    def delete_range(self, stream: int, first: int, last: int) -> None:
        base = stream << SEQ_BITS
        self.statements.append((schema.DELETE_RANGE, (base | first, base | last), False))

    def put_stream(self, stream: int, account: str, name: str, config: bytes, state: bytes) -> None:
        self.statements.append((schema.PUT_STREAM, (stream, account, name, config, state), False))

    def put_stream_state(self, stream: int, state: bytes) -> None:
        self.statements.append((schema.PUT_STREAM_STATE, (state, stream), False))

    def drop_stream(self, stream: int) -> None:
        self.delete_range(stream, 0, MAX_SEQ)
        self.statements.append((schema.DROP_CONSUMERS, (stream,), False))
        self.statements.append((schema.DROP_STREAM, (stream,), False))

    def put_consumer(self, stream: int, name: str, config: bytes, state: bytes) -> None:
        self.statements.append((schema.PUT_CONSUMER, (stream, name, config, state), False))

    def put_consumer_state(self, stream: int, name: str, state: bytes) -> None:
        self.statements.append((schema.PUT_CONSUMER_STATE, (state, stream, name), False))

    def drop_consumer(self, stream: int, name: str) -> None:
        self.statements.append((schema.DROP_CONSUMER, (stream, name), False))

    def put_value(self, key: str, value: bytes) -> None:
        self.statements.append((schema.PUT_VALUE, (key, value), False))

    def drop_value(self, key: str) -> None:
        self.statements.append((schema.DROP_VALUE, (key,), False))

    def commit(self, done: Done, urgent: bool = True) -> None:
        unit = Unit(self.statements, self.appends, done, urgent, time.monotonic_ns())
        self.statements, self.appends = [], False
        self.writer.submit(unit)

    # ---- reads

    def load(self) -> Recovered:
        try:
            return Recovered(
                streams=[self._stream(*row) for row in self.reader.execute("SELECT * FROM stream ORDER BY id")],
                consumers=[ConsumerRecord(*row) for row in self.reader.execute("SELECT * FROM consumer")],
                values={key: bytes(value) for key, value in self.reader.execute("SELECT * FROM value")},
                engine=f"SQLite {apsw.sqlite_lib_version()}",
            )
        except apsw.Error as exc:
            raise StoreError(f"{self.path} is damaged where its streams are listed: {exc}") from exc

    def read(self, stream: int, seq: int) -> Row | None:
        rows = self._rows(stream, schema.READ, (stream << SEQ_BITS | seq,))
        return rows[0] if rows else None

    def scan(self, stream: int, first: int, last: int, limit: int) -> list[Row]:
        base = stream << SEQ_BITS
        try:
            rows = self._rows(stream, schema.SCAN, (base | first, base | last, limit))
        except apsw.CorruptError:
            rows = []
        if len(rows) == limit:
            return rows
        following = rows[-1].seq + 1 if rows else first
        end = self._edge(stream, last)
        if end < following:
            return rows
        # Rows are left though the walk has ended: a damaged page misled it.
        return rows + self._pick(stream, range(following, end + 1), limit - len(rows))

    def scan_back(self, stream: int, last: int, limit: int) -> list[Row]:
        base = stream << SEQ_BITS
        try:
            return self._rows(stream, schema.SCAN_BACK, (base, base | last, limit))
        except apsw.CorruptError:
            return self._pick(stream, range(min(last, self._edge(stream, last)), 0, -1), limit)

    def subjects(self, stream: int, first: int = 0, last: int = MAX_SEQ) -> list[SubjectRecord]:
        base = stream << SEQ_BITS
        return [
            SubjectRecord(subject, messages, low & MAX_SEQ, high & MAX_SEQ)
            for subject, messages, low, high in self.reader.execute(schema.SUBJECTS, (base | first, base | last))
        ]

    def count(self, stream: int, first: int, last: int) -> tuple[int, int]:
        base = stream << SEQ_BITS
        ((messages, size),) = self.reader.execute(schema.COUNT, (base | first, base | last))
        return messages, int(size)

    def close(self) -> None:
        self.writer.close()
        self.reader.close()
        self.writer.connection.close()
        self.lock.close()

    def _stream(self, id: int, account: str, name: str, config: bytes, state: bytes) -> StreamRecord:
        base = id << SEQ_BITS
        ((first, last),) = self.reader.execute(schema.EDGES, (base, base | MAX_SEQ))
        return StreamRecord(id, account, name, config, state, (first or 0) & MAX_SEQ, (last or 0) & MAX_SEQ)

    def _edge(self, stream: int, last: int) -> int:
        base = stream << SEQ_BITS
        ((_, found),) = self.reader.execute(schema.EDGES, (base, base | last))
        return (found or 0) & MAX_SEQ

    def _rows(self, stream: int, sql: str, bindings: tuple[int, ...]) -> list[Row]:
        rows = []
        found: Iterable[Raw] = self.reader.execute(sql, bindings)
        for id, subject, at, headers, payload, crc in found:
            row = Row(id & MAX_SEQ, subject, at, headers or b"", payload)
            if crc == _crc(*row):
                rows.append(row)
            else:
                log.error("store: message %d of stream %d is damaged and passed over", row.seq, stream)
        return rows

    def _pick(self, stream: int, seqs: Iterable[int], limit: int) -> list[Row]:
        """One by one, past the page that cannot be read."""
        rows: list[Row] = []
        for seq in seqs:
            try:
                row = self.read(stream, seq)
            except apsw.CorruptError:
                log.error("store: message %d of stream %d is on a damaged page and passed over", seq, stream)
                continue
            if row is not None:
                rows.append(row)
                if len(rows) == limit:
                    break
        return rows


def _crc(seq: int, subject: str, at: int, headers: bytes, payload: bytes) -> int:
    crc = crc32(subject.encode(), (seq ^ at) & 0xFFFFFFFF)
    return crc32(payload, crc32(headers, crc) if headers else crc)


def _lock(folder: str) -> IO[bytes]:
    """Two servers on one store would each believe the other's messages their own."""
    try:
        os.makedirs(folder, mode=0o750, exist_ok=True)
        lock = open(os.path.join(folder, "lock"), "ab")
    except OSError as exc:
        raise StoreError(f"the store directory {folder} cannot be written: {exc.strerror}") from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        lock.close()
        raise StoreError(f"the store directory {folder} is in use by another petiole-edge") from exc
    return lock


def _open_writer(path: str) -> apsw.Connection:
    connection = apsw.Connection(path)
    connection.set_busy_timeout(5000)
    connection.execute(schema.WRITER_PRAGMAS)
    ((version,),) = connection.execute("PRAGMA user_version")
    if version > len(schema.MIGRATIONS):
        raise apsw.Error(f"it was written by a newer petiole-edge (format {version})")
    for number, migration in enumerate(schema.MIGRATIONS[version:], version + 1):
        connection.execute(f"BEGIN; {migration}; PRAGMA user_version = {number}; COMMIT")
    return connection
