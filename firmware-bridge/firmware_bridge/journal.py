"""What this bridge knows to be stored on the edge, so that a restart does not publish it again.

One row for each device: its boot and the last sequence stored.  It must outlive the process, not a power cut (which
restarts the edge with it, whose duplicate window then covers what was in flight): ``synchronous=NORMAL`` costs the
flash no sync for each reading.
"""

import os
import sqlite3

import aiosqlite

SCHEMA = "CREATE TABLE IF NOT EXISTS stored (device TEXT PRIMARY KEY, boot INTEGER NOT NULL, seq INTEGER NOT NULL)"
PUT = "INSERT OR REPLACE INTO stored VALUES (?, ?, ?)"


class JournalError(Exception):
    """The journal cannot be used; ``str(exc)`` is one line that says why."""


class Journal:
    def __init__(self, connection: aiosqlite.Connection, known: dict[str, tuple[int, int]]) -> None:
        self.connection = connection
        self.known = known

    @classmethod
    async def open(cls, path: str) -> "Journal":
        try:
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            connection = await aiosqlite.connect(path)
        except (OSError, sqlite3.Error) as exc:
            raise JournalError(f"cannot open the journal {path}: {exc}") from exc
        try:
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute("PRAGMA synchronous = NORMAL")
            await connection.execute(SCHEMA)
            rows = await connection.execute_fetchall("SELECT device, boot, seq FROM stored")
        except sqlite3.Error as exc:
            await connection.close()
            raise JournalError(f"cannot use the journal {path}: {exc}; move it away to start anew") from exc
        return cls(connection, {str(device): (int(boot), int(seq)) for device, boot, seq in rows})

    def next_seq(self, device: str, boot: int) -> int:
        """The first sequence of this boot that is not known to be stored; 0 when nothing is known."""
        known_boot, seq = self.known.get(device, (None, 0))
        return seq + 1 if known_boot == boot else 0

    async def put(self, device: str, boot: int, seq: int) -> None:
        """All up to ``seq`` is stored."""
        self.known[device] = (boot, seq)
        await self.connection.execute(PUT, (device, boot, seq))
        await self.connection.commit()

    async def close(self) -> None:
        await self.connection.close()
