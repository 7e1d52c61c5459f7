"""The store in one SQLite file (``docs/store.md``): statements go to the writer's thread, reads are done in place."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import apsw

from edge.errors import StoreError
from edge.store import schema, statements
from edge.store.contract import MAX_SEQ, Done, NewRow, Outline, Recovered, Row, SubjectRecord
from edge.store.database import FILE, checkpoint, lock_folder, open_reader, open_writer
from edge.store.first_page import keep_first_page, mend_first_page
from edge.store.pages import Pages
from edge.store.reader import BACK, FORWARD, Reader
from edge.store.records import Records
from edge.store.rescue import lengthen, rescue
from edge.store.reserve import Reserve
from edge.store.statements import Write, doomed
from edge.store.wal import mend_wal
from edge.store.writer import Unit, Writer

log = logging.getLogger("edge.store")

MARK = ".mend"  # beside the database: asks the next start to mend it


def ask_to_mend(folder: str) -> None:
    """The next start copies what is sound into a new file."""
    open(os.path.join(folder, FILE) + MARK, "wb").close()


class SqliteStore:
    """``folder`` is made when it is not there.  StoreError, one line, when there can be no store in it.

    ``call_soon`` runs a function on the owner's thread; ``window_ns`` is how long a unit that nobody waits for may.
    """

    def __init__(
        self, folder: str, call_soon: Callable[[Callable[[], None]], None], window_ns: int = 10_000_000
    ) -> None:
        self.path = os.path.join(folder, FILE)
        self.mark = self.path + MARK
        self.reserve = Reserve(folder)
        self.mended: tuple[str, ...] = ()
        self.known_damage: tuple[str, ...] = ()
        self.lock = lock_folder(folder)
        try:
            self._open()
        except (apsw.Error, OSError) as exc:
            self.lock.close()
            if self.reserve.is_spent():
                raise StoreError(f"{self.path} cannot be opened: no space left on its disk", full=True) from exc
            raise StoreError(f"{self.path} cannot be used as a store: {exc}; move it away to start anew") from exc
        self.call_soon = call_soon
        self.writer = Writer(
            self.connection, self.reserve, call_soon, window_ns, self.reader.hide, self._mend_running,
            lambda: self.pages,
        )  # fmt: skip
        self.reader.on_gap = self.writer.ask_to_mend
        self.writes: list[Write] = []

    @property
    def full(self) -> bool:
        return self.writer.full

    # ---- writes

    def append(self, stream: int, rows: list[NewRow], pack: bool = False) -> None:
        self.writes.append(statements.append(stream, rows, pack))

    def delete(self, stream: int, seqs: list[int]) -> None:
        self.writes += statements.delete(stream, seqs)

    def delete_range(self, stream: int, first: int, last: int) -> None:
        self.writes += statements.delete_range(stream, first, last)

    def erase(self, stream: int, seqs: list[int]) -> None:
        self.writes += statements.erase(stream, seqs)

    def put_stream(self, stream: int, account: str, name: str, config: bytes, state: bytes) -> None:
        self.reader.names[stream] = name
        self.writes += statements.put_stream(stream, account, name, config, state)

    def put_stream_state(self, stream: int, state: bytes) -> None:
        self.writes.append(statements.put_stream_state(stream, state))

    def drop_stream(self, stream: int) -> None:
        self.writes += statements.drop_stream(stream)

    def put_consumer(self, stream: int, name: str, config: bytes, state: bytes) -> None:
        self.writes.append(statements.put_consumer(stream, name, config, state))

    def put_consumer_state(self, stream: int, name: str, state: bytes) -> None:
        self.writes.append(statements.put_consumer_state(stream, name, state))

    def drop_consumer(self, stream: int, name: str) -> None:
        self.writes.append(statements.drop_consumer(stream, name))

    def put_value(self, key: str, value: bytes) -> None:
        self.writes.append(statements.put_value(key, value))

    def drop_value(self, key: str) -> None:
        self.writes.append(statements.drop_value(key))

    def commit(self, done: Done, urgent: bool = True) -> None:
        writes, self.writes = self.writes, []
        self.writer.submit(Unit(writes, done, urgent, time.monotonic_ns()))

    # ---- reads

    def load(self) -> Recovered:
        found = Records(self.reader.connection, self.reader).load()
        self.known_damage = self.mended + found.damage
        return found._replace(damage=self.known_damage)

    @property
    def damage(self) -> list[str]:
        return [*self.known_damage, *(self.reader.describe(*span) for span in sorted(self.reader.reported))]

    def read(self, stream: int, seq: int) -> Row | None:
        return self.reader.read(stream, seq)

    def scan(self, stream: int, first: int, last: int, limit: int) -> list[Row]:
        return self.reader.walk(FORWARD, stream, first, last, limit).rows

    def scan_back(self, stream: int, last: int, limit: int) -> list[Row]:
        return self.reader.walk(BACK, stream, last, 0, limit).rows

    def outline(self, stream: int, first: int, last: int, limit: int) -> list[Outline]:
        return self.reader.outline(stream, first, last, limit)

    def subjects(self, stream: int, first: int = 0, last: int = MAX_SEQ) -> list[SubjectRecord]:
        return self.reader.subjects(stream, first, last)

    def places(self, stream: int, first: int, last: int) -> Iterator[tuple[int, str]]:
        return self.reader.places(stream, first, last)

    def count(self, stream: int, first: int, last: int) -> tuple[int, int]:
        return self.reader.count(stream, first, last)

    def close(self) -> None:
        self.writer.close()
        self._disconnect()
        self.reserve.keep_some()
        self.lock.close()

    # ---- open, mend, close

    def _open(self) -> None:
        if self.reserve.is_spent():  # or not even the log's index finds room
            self.reserve.release()
        was_cut_off = os.path.exists(self.path + "-wal")
        first = mend_first_page(self.path) if os.path.exists(self.path) else None
        if first is not None:
            self.mended = ("the first page was damaged and is put right",)
            self._mark()
        if lengthen(self.path):
            self._mark()
        if was_cut_off:
            self._mend_wal()
        self._connect()
        if self._is_damaged(was_cut_off):
            self._disconnect()
            pages = Pages(self.path)
            pages.knows_free = first is None or first.knows_free
            self._mend(pages)
            pages.close()
            self._connect()
        keep_first_page(self.path, len(schema.MIGRATIONS), self.pages.size)

    def _is_damaged(self, was_cut_off: bool) -> bool:
        """Where it would be found too late, or cannot be written."""
        records = Records(self.reader.connection, self.reader)
        records.load()
        if records.broken or os.path.exists(self.mark):
            return True
        if not was_cut_off:
            return False
        try:
            checkpoint(self.connection)
        except apsw.Error as exc:
            log.warning("store: the log of the last run stays for now: %s", exc)
            return False
        ((root,),) = self.connection.execute(schema.ROOT)
        return not self.pages.is_whole(root)

    def _connect(self) -> None:
        self.connection = open_writer(self.path)
        self.reader = Reader(open_reader(self.path))
        self.reader.hide(doomed(self.connection))
        self.pages = Pages(self.path)

    def _disconnect(self) -> None:
        self.reader.connection.close()
        self.connection.close()
        self.pages.close()

    def _mend_wal(self) -> None:
        try:
            done = mend_wal(self.path)
        except (apsw.Error, OSError):
            return  # whatever it is, it is in the way of opening it too
        if done:
            log.error("store: %s", done)
            self.mended += (done,)

    def _mend(self, pages: Pages) -> bool:
        """With no connection that writes.  The mark asks the next start for it, when it cannot be done now."""
        self._mark()
        try:
            self.mended += rescue(self.path, pages, self.reserve.free_bytes())
            keep_first_page(self.path, len(schema.MIGRATIONS), pages.size)
            os.unlink(self.mark)
        except (StoreError, apsw.Error, OSError) as exc:
            log.error("store: %s; it goes on with what can be read", exc)
            return False
        return True

    def _mark(self) -> None:
        with suppress(OSError):
            open(self.mark, "wb").close()

    def _mend_running(self) -> apsw.Connection:
        """On the writer's thread: the connection to go on with."""
        self.connection.close()
        is_mended = self._mend(self.pages)
        self.connection = open_writer(self.path)
        if is_mended:
            old, self.pages = self.pages, Pages(self.path)
            self.call_soon(partial(self._follow, old))
        return self.connection

    def _follow(self, old: Pages) -> None:
        """The reader has read on in the old file."""
        self.reader.move(open_reader(self.path))
        old.close()
