"""What this bridge knows to be stored on the edge, so that a restart does not publish it again.

One row for each device: its boot, the last sequence stored, and a place in the edge's stream that no reading in doubt
stands before.  It must outlive the process, not a power cut (what it forgets then is found by looking back from an
older place): ``synchronous=NORMAL`` costs the flash no sync for each reading.
"""

import os
import sqlite3
from dataclasses import dataclass

import aiosqlite

from firmware_bridge.lookback import Place

SCHEMA = """CREATE TABLE IF NOT EXISTS stored (
    device TEXT PRIMARY KEY, boot INTEGER NOT NULL, seq INTEGER NOT NULL, stream TEXT NOT NULL, place INTEGER NOT NULL
)"""
ALL = "SELECT device, boot, seq, stream, place FROM stored"
NOTHING = -1  # the sequence before the first
PUT = "INSERT OR REPLACE INTO stored VALUES (?, ?, ?, ?, ?)"


class JournalError(Exception):
    """The journal cannot be used; ``str(exc)`` is one line that says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """All of this boot up to ``seq`` is stored; NOTHING of a device that is new."""

    boot: int
    seq: int
    place: Place


class Journal:
    def __init__(self, connection: aiosqlite.Connection, known: dict[str, Entry]) -> None:
        self.connection = connection
        self.known = known

    @classmethod
    async def open(cls, path: str) -> "Journal":
        try:
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            sqlite3.connect(path).close()  # a path that cannot be opened is found out before there is a thread
            connection = await aiosqlite.connect(path)
        except (OSError, sqlite3.Error) as exc:
            raise JournalError(f"cannot open the journal {path}: {exc}") from exc
        try:
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute("PRAGMA synchronous = NORMAL")
            await connection.execute(SCHEMA)
            rows = await connection.execute_fetchall(ALL)
        except sqlite3.Error as exc:
            await connection.close()
            raise JournalError(f"cannot use the journal {path}: {exc}; move it away to start anew") from exc
        known = {device: Entry(boot, seq, Place(stream, place)) for device, boot, seq, stream, place in rows}
        return cls(connection, known)

    def next_seq(self, device: str, boot: int) -> int:
        """The first sequence of this boot that is not known to be stored; 0 when nothing is known."""
        entry = self.known.get(device)
        return entry.seq + 1 if entry is not None and entry.boot == boot else 0

    def place(self, device: str) -> Place | None:
        entry = self.known.get(device)
        return None if entry is None else entry.place

    async def put(self, device: str, entry: Entry) -> None:
        """JournalError: it is known to this process and not to the next one."""
        self.known[device] = entry
        try:
            await self.connection.execute(PUT, (device, entry.boot, entry.seq, entry.place.stream, entry.place.seq))
            await self.connection.commit()
        except sqlite3.Error as exc:
            raise JournalError(f"cannot write the journal: {exc}") from exc

    async def close(self) -> None:
        await self.connection.close()
