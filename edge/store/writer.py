"""The one thread that writes.  Whatever has gathered while a commit ran is the next commit.

Callers queue units of statements; the thread takes all that are there, runs them in one transaction, and hands the
``done`` callbacks back to the owner's thread in one call.  Nobody is told before COMMIT has returned.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import apsw

from edge.errors import StoreError
from edge.store import schema
from edge.store.contract import Done
from edge.store.database import checkpoint
from edge.store.log_room import LogRoom
from edge.store.pages import Pages
from edge.store.reserve import RESERVE_BYTES, Reserve
from edge.store.scrub import MOST, Scrub, erased, unfinished
from edge.store.statements import Statement, Write, delete_some, doomed, transact

log = logging.getLogger("edge.store")

# How long a busy loop keeps the interpreter from the writer, at each statement.  Python's 5 ms cost 50 times the rate.
SWITCH_SECONDS = 0.0005
RECHECK_SECONDS = 1.0  # of a full disk
ERASE_SECONDS = 1.0  # how long what was erased may still stand in the log
FINISH_SECONDS = 2.0  # for looking for it, at the end
MENDINGS = 3
CORRUPT = (apsw.CorruptError, apsw.NotADBError)
FULL = "no space left on the device of the store"


class Unit(NamedTuple):
    writes: list[Write]
    done: Done
    urgent: bool
    queued_ns: int

    def appends(self) -> bool:
        return any(isinstance(write, list) for write in self.writes)

    def erases(self) -> bool:
        return any(isinstance(write, Statement) and write.sql == schema.OVERWRITE for write in self.writes)

    def deletes(self) -> bool:
        return any(isinstance(write, Statement) and write.on_messages for write in self.writes)


class Writer:
    """``hide`` is called on the owner's thread with the ids that are deleted though their rows are there.

    ``mend`` is called on this one, after a page that was to be written turned out to be damaged; it closes the
    connection and returns another.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        reserve: Reserve,
        call_soon: Callable[[Callable[[], None]], None],
        window_ns: int,
        hide: Callable[[list[tuple[int, int]]], None],
        mend: Callable[[], apsw.Connection],
        pages: Callable[[], Pages],
    ) -> None:
        self.connection = connection
        self.log_room = LogRoom(connection)
        self.reserve = reserve
        self.call_soon = call_soon
        self.window_ns = window_ns
        self.hide = hide
        self.mend = mend
        self.pages = pages
        self.mendings = MENDINGS
        self.damaged = False
        self.full = not self._has_room()
        self.doomed = doomed(connection)
        self.stuck = False  # taking them away failed
        self.empty_log_at = 0.0  # the log holds what was erased; monotonic
        self.erased = unfinished(connection)  # ids of rows to look for in the file then
        self.scrub: Scrub | None = None
        if self.erased:
            self.empty_log_at = time.monotonic() + ERASE_SECONDS
        self.said = ""
        self.commits = 0  # since the start: what flash wears by
        self.condition = threading.Condition()
        self.units: list[Unit] = []
        self.urgent = False
        self.closing = False
        self.halted = False  # a commit failed and its owners have not been told yet
        sys.setswitchinterval(SWITCH_SECONDS)
        self.thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self.thread.start()

    def submit(self, unit: Unit) -> None:
        with self.condition:
            self.units.append(unit)
            self.urgent = self.urgent or unit.urgent
            self.condition.notify()

    def close(self) -> None:
        """Commit what is queued and end the thread."""
        with self.condition:
            self.closing = True
            self.condition.notify()
        self.thread.join()

    def ask_to_mend(self) -> None:
        with self.condition:
            self.damaged = True
            self.condition.notify()

    # ---- the thread

    def _work(self) -> None:
        while (units := self._take()) is not None:
            if units:
                self._serve(units)
            if self.doomed and not self.stuck:
                self._delete_some()
            if self.empty_log_at and time.monotonic() >= self.empty_log_at:
                self._empty_log()
            if self.scrub is not None:
                self._scrub(self.scrub)
            if self.damaged:
                self._mend()
        self._finish_erasing()

    def _serve(self, units: list[Unit]) -> None:
        try:
            self._commit(units)
        except StoreError as error:
            self._fail(units, error)
        except Exception as exc:  # a bug must not leave the owner waiting for ever
            log.exception("store: a commit that could not even be tried")
            self._fail(units, StoreError(f"commit of {len(units)} units: {exc!r}"))
        else:
            self.call_soon(partial(self._tell, units))
            if not self.full and any(unit.urgent for unit in units):
                self.log_room.grow()

    def _take(self) -> list[Unit] | None:
        """All units, as soon as one is urgent or the oldest has waited for the window.

        None of them when there is something else to do meanwhile; None at the end.
        """
        with self.condition:
            while True:
                if self.units and not self.halted:
                    wait_ns = self.units[0].queued_ns + self.window_ns - time.monotonic_ns()
                    if self.urgent or self.closing or wait_ns <= 0:
                        units, self.units, self.urgent = self.units, [], False
                        return units
                    self.condition.wait(wait_ns / 1e9)
                elif self.closing:
                    return None
                elif self.damaged or self.scrub or (self.doomed and not self.stuck and not self.halted):
                    return []
                elif self.full and not self.halted:
                    self.condition.wait(RECHECK_SECONDS)
                    self.full = not self._has_room()
                elif self.empty_log_at:
                    wait = self.empty_log_at - time.monotonic()
                    if wait <= 0:
                        return []
                    self.condition.wait(wait)
                else:
                    self.condition.wait()

    def _commit(self, units: list[Unit]) -> None:
        """StoreError: nothing of these units is on disk."""
        writes = [write for unit in units for write in unit.writes]
        appends = any(unit.appends() for unit in units)
        if not self.reserve.whole:
            self.full = not self._has_room()
        if self.full and appends:
            raise StoreError(FULL, full=True)
        try:
            self._run(writes, appends)
        except apsw.Error as exc:
            raise self._failure(units, exc) from exc
        if appends:
            self.said = ""
        if any(unit.deletes() for unit in units):
            self.doomed, self.stuck = doomed(self.connection), False
        if any(unit.erases() for unit in units):
            self.erased += erased(writes)
            self.empty_log_at = self.empty_log_at or time.monotonic() + ERASE_SECONDS

    def _empty_log(self) -> None:
        """Once for all that was erased meanwhile: it takes a few syncs."""
        try:
            checkpoint(self.connection)
        except apsw.Error as exc:
            log.info("store: the log is emptied later: %s", exc)
            self.empty_log_at = time.monotonic() + ERASE_SECONDS
        else:
            self.empty_log_at = 0.0
            if self.erased:
                ((root,),) = self.connection.execute(schema.ROOT)
                self.scrub = Scrub(self.pages(), root, self.erased[:MOST])

    def _scrub(self, scrub: Scrub) -> None:
        """A bit of it; and at the end what was found goes, and the note that it has to."""
        if not scrub.step():
            return
        self.scrub = None
        try:
            if scrub.found:
                checkpoint(self.connection)
                scrub.overwrite(self.connection)
            transact(self.connection, scrub.done())
            del self.erased[: len(scrub.ids)]
        except (apsw.Error, OSError) as exc:
            log.info("store: what was erased is looked for once more: %s", exc)
        if self.erased and not self.empty_log_at:
            self.empty_log_at = time.monotonic() + ERASE_SECONDS

    def _finish_erasing(self) -> None:
        """Before the end, rather than after the next start."""
        deadline = time.monotonic() + FINISH_SECONDS
        while (self.erased or self.scrub) and time.monotonic() < deadline:
            if self.scrub is None:
                self._empty_log()
            if self.scrub is not None:
                self._scrub(self.scrub)
            else:
                return

    def _delete_some(self) -> None:
        """A bit of what is doomed.  When it fails it has time until the next start, or the next range."""
        try:
            self._run(delete_some(self.doomed[0]), appends=False)
        except apsw.Error as exc:
            log.warning("store: deleted messages still take room: %s", exc)
            self.stuck = True
            self.damaged = self.damaged or isinstance(exc, CORRUPT)
            return
        self.doomed = doomed(self.connection)
        self.call_soon(partial(self.hide, self.doomed))

    def _run(self, writes: list[Write], appends: bool) -> None:
        """On a full disk acks and deletes are tried once more, with the room that is kept for them."""
        try:
            transact(self.connection, writes)
        except apsw.Error as exc:
            if not self._is_full(exc):
                raise
            self._make_room()
            if appends:
                raise StoreError(FULL, full=True) from exc
            transact(self.connection, writes)
        self.commits += 1

    # ---- a disk that is full

    def _has_room(self) -> bool:
        """Is the reserve held, or has the database as much room inside of itself?"""
        if self.reserve.take():
            return True
        try:
            pages, size = self.connection.pragma("freelist_count"), self.connection.pragma("page_size")
        except apsw.Error:
            return False
        return bool(pages * size >= RESERVE_BYTES)

    def _is_full(self, exc: apsw.Error) -> bool:
        """A full disk has other faces: the log's index cannot grow either."""
        return isinstance(exc, apsw.FullError) or (isinstance(exc, apsw.IOError) and self.reserve.is_spent())

    def _make_room(self) -> None:
        """Let go of the reserve.  Of it the database grows by what is in the log, and the log is written anew."""
        self.full = True
        self.reserve.release()
        try:
            checkpoint(self.connection)
        except apsw.Error as exc:
            log.warning("store: the log stays as long as it is: %s", exc)

    # ---- a commit that failed

    def _failure(self, units: list[Unit], exc: apsw.Error) -> StoreError:
        if isinstance(exc, CORRUPT):
            self.damaged = True
            return StoreError("the database is damaged where it is to be written")
        return StoreError(f"commit of {len(units)} units: {exc}", full=self._is_full(exc))

    def _mend(self) -> None:
        """Once more or twice, not for ever: who knows what the disk does."""
        self.damaged = False
        if not self.mendings:
            return
        self.mendings -= 1
        self.scrub = None
        self.empty_log_at = self.empty_log_at or (time.monotonic() + ERASE_SECONDS if self.erased else 0.0)
        try:
            self.connection = self.mend()
            self.log_room = LogRoom(self.connection)
            self.doomed, self.stuck = doomed(self.connection), False
        except (apsw.Error, OSError) as exc:  # from here on every commit fails, and says so
            log.critical("store: the database cannot be opened any more: %s", exc)

    def _fail(self, units: list[Unit], error: StoreError) -> None:
        """Stop, and let the owner's thread fail these and all that is queued by the time it hears of it."""
        if str(error) != self.said:  # once, and not for every message that somebody goes on sending
            log.error("store: nothing of the last commit is on disk: %s", error)
            self.said = str(error)
        with self.condition:
            self.halted = True
        self.call_soon(partial(self._tell_failure, units, error))

    def _tell(self, units: list[Unit]) -> None:
        if any(unit.deletes() for unit in units):
            self.hide(self.doomed)
        for unit in units:
            unit.done(None)

    def _tell_failure(self, units: list[Unit], error: StoreError) -> None:
        with self.condition:
            units = units + self.units
            self.units, self.urgent, self.halted = [], False, False
            self.condition.notify()
        for unit in units:
            unit.done(error)
