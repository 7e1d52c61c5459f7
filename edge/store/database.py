"""The SQLite file: one connection that writes, one that reads.

apsw and not the standard library's sqlite3: the SQLite of Debian and Raspberry Pi OS can corrupt a WAL when two
connections checkpoint (3.7.0 to 3.51.2), the wheel's cannot, and it appends faster (docs/store.md).
"""

import fcntl
import os
from typing import IO

import apsw

from edge.errors import StoreError
from edge.store import schema
from edge.store.files import make_folder, sync_folder
from edge.store.first_page import forget_first_page

FILE = "petiole.db"
BUSY_MS = 5000  # somebody looks with the sqlite3 shell

# What a page or a sector that went bad looks like from here.
DAMAGE = (apsw.CorruptError, apsw.IOError, apsw.TooBigError, apsw.FormatError)

# FULL: a commit that returned has been synced.  A checkpoint for every 16 MB keeps its stalls rare.
WRITER_PRAGMAS = (
    "page_size = 4096",
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 4000",
    "journal_size_limit = 33554432",
    "temp_store = MEMORY",
    "secure_delete = FAST",  # on pages that are written anyway what was deleted becomes zeros
)
READER_PRAGMAS = ("query_only = 1", "wal_autocheckpoint = 0", "cell_size_check = 1", "temp_store = MEMORY")


def lock_folder(folder: str) -> IO[bytes]:
    """Two servers on one store would each believe the other's messages their own."""
    try:
        make_folder(folder)
        lock = open(os.path.join(folder, "lock"), "ab")
    except OSError as exc:
        raise StoreError(f"the store directory {folder} cannot be written: {exc.strerror}") from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        lock.close()
        raise StoreError(f"the store directory {folder} is in use by another petiole-edge") from exc
    return lock


def open_writer(path: str) -> apsw.Connection:
    """The only connection that writes and checkpoints; brings the file to the present format.  apsw.Error."""
    is_new = not os.path.exists(path)
    connection = apsw.Connection(path)
    try:
        connection.set_busy_timeout(BUSY_MS)
        _set(connection, WRITER_PRAGMAS)
        _migrate(connection)
    except apsw.Error:
        connection.close()
        raise
    if is_new:
        sync_folder(os.path.dirname(path))
    return connection


def open_reader(path: str) -> apsw.Connection:
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.set_busy_timeout(BUSY_MS)
    _set(connection, READER_PRAGMAS)
    return connection


def checkpoint(connection: apsw.Connection) -> None:
    """Move the whole log into the database and give its room back.  apsw.Error when there is no room to do it."""
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _set(connection: apsw.Connection, pragmas: tuple[str, ...]) -> None:
    for pragma in pragmas:
        # To the end: a pragma that answers would otherwise stop at its answer.
        list(connection.execute(f"PRAGMA {pragma}"))


def _migrate(connection: apsw.Connection) -> None:
    version = connection.pragma("user_version")
    if version > len(schema.MIGRATIONS):
        raise apsw.Error(f"it was written by a newer petiole-edge (format {version})")
    owner = connection.pragma("application_id")
    if owner != schema.APPLICATION_ID and list(connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1")):
        raise apsw.Error("it is the database of another program")
    if version < len(schema.MIGRATIONS):
        forget_first_page(connection.filename)
    for number, migration in enumerate(schema.MIGRATIONS[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in migration:
            connection.execute(statement)
        connection.pragma("application_id", schema.APPLICATION_ID)
        connection.pragma("user_version", number)
        connection.execute("COMMIT")
    if version < len(schema.MIGRATIONS):
        checkpoint(connection)
