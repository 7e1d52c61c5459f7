"""The one thread that writes.  Whatever has gathered while a commit ran is the next commit.

Callers queue units of statements; the thread takes all that are there, runs them in one transaction, and hands the
``done`` callbacks back to the owner's thread in one call.  Nobody is told before COMMIT has returned.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import apsw

from edge.errors import StoreError
from edge.store.contract import Done

log = logging.getLogger("edge.store")

RESERVE_BYTES = 4 << 20  # kept in a file of its own, so that acks and deletes have room on a full disk

Statement = tuple[str, Sequence[Any], bool]  # SQL, bindings, one set of bindings for each run?


class Unit(NamedTuple):
    statements: list[Statement]
    appends: bool  # does it need room for messages?
    done: Done
    urgent: bool
    queued_ns: int


class Writer:
    def __init__(
        self, connection: apsw.Connection, folder: str, call_soon: Callable[[Callable[[], None]], None], window_ns: int
    ) -> None:
        self.connection = connection
        self.reserve = Reserve(os.path.join(folder, "reserve"))
        self.call_soon = call_soon
        self.window_ns = window_ns
        self.condition = threading.Condition()
        self.units: list[Unit] = []
        self.urgent = False
        self.closing = False
        self.halted = False  # a commit failed and its owners have not been told yet
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

    # ---- the thread

    def _work(self) -> None:
        while units := self._take():
            try:
                self._commit(units)
            except StoreError as error:
                self._fail(units, error)
            else:
                self.call_soon(partial(_tell, units, None))

    def _take(self) -> list[Unit]:
        """All units, as soon as one is urgent or the oldest has waited for the window; none at the end."""
        with self.condition:
            while True:
                if not self.halted and self.units:
                    wait_ns = self.units[0].queued_ns + self.window_ns - time.monotonic_ns()
                    if self.urgent or self.closing or wait_ns <= 0:
                        units, self.units, self.urgent = self.units, [], False
                        return units
                    self.condition.wait(wait_ns / 1e9)
                elif self.closing:
                    return []
                else:
                    self.condition.wait()

    def _commit(self, units: list[Unit]) -> None:
        """StoreError: nothing of these units is on disk."""
        appends = any(unit.appends for unit in units)
        if appends and not self.reserve.is_whole():
            raise StoreError("no space left on the device of the store", full=True)
        try:
            self._transaction(units)
        except apsw.FullError as exc:
            self.reserve.release()
            if appends:
                raise StoreError("no space left on the device of the store", full=True) from exc
            self._retry(units)
        except apsw.Error as exc:
            raise StoreError(f"commit of {len(units)} units: {exc}") from exc

    def _retry(self, units: list[Unit]) -> None:
        """Acks and deletes once more, with the room that was kept for them."""
        try:
            self._transaction(units)
        except apsw.Error as exc:
            raise StoreError(f"commit of {len(units)} units: {exc}", isinstance(exc, apsw.FullError)) from exc

    def _transaction(self, units: list[Unit]) -> None:
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for unit in units:
                for sql, bindings, many in unit.statements:
                    if many:
                        connection.executemany(sql, bindings)
                    else:
                        connection.execute(sql, bindings)
            connection.execute("COMMIT")
        except apsw.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _fail(self, units: list[Unit], error: StoreError) -> None:
        """Stop, and let the owner's thread fail these and all that is queued by the time it hears of it."""
        log.error("store: nothing of the last commit is on disk: %s", error)
        with self.condition:
            self.halted = True
        self.call_soon(partial(self._tell_failure, units, error))

    def _tell_failure(self, units: list[Unit], error: StoreError) -> None:
        with self.condition:
            units = units + self.units
            self.units, self.urgent, self.halted = [], False, False
            self.condition.notify()
        _tell(units, error)


def _tell(units: list[Unit], error: StoreError | None) -> None:
    for unit in units:
        unit.done(error)


class Reserve:
    """A file that holds room on the disk until it is needed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.whole = False

    def is_whole(self) -> bool:
        """Is the room held?  Takes it (again) when the disk has more than twice of it free."""
        if not self.whole:
            status = os.statvfs(os.path.dirname(self.path))
            if os.path.exists(self.path) or status.f_bavail * status.f_frsize > 2 * RESERVE_BYTES:
                self._take()
        return self.whole

    def release(self) -> None:
        self.whole = False
        if os.path.exists(self.path):
            os.unlink(self.path)

    def _take(self) -> None:
        try:
            with open(self.path, "ab") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            self.whole = True
        except OSError as exc:
            log.warning("store: no room for the reserve: %s", exc)
            self.release()
