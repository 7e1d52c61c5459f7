"""Ways to the database of a store, for those who are not the server: to read, also while it runs, or alone."""

import fcntl
import os
from pathlib import Path
from urllib.parse import quote

import apsw

from edge.store import schema
from edge.store.database import BUSY_MS, FILE, READER_PRAGMAS
from edge.tools.errors import ToolError

DEFAULT_CONFIG = "/etc/petiole/edge.conf"


def find_store(store: str, config: str) -> str:
    """The directory: as it is named, or as the configuration names it.  ToolError without one."""
    if store:
        return store
    from edge.config.load import load_config
    from edge.flags import Flags

    path = config or DEFAULT_CONFIG
    if not config and not os.path.exists(path):
        raise ToolError("which store? --store DIRECTORY, or -c with the configuration of the server")
    options = load_config(path, Flags(), os.environ).jetstream
    if options is None:
        raise ToolError(f"{path} has no jetstream block, so there is no store")
    return options.store_dir


def is_in_use(folder: str) -> bool:
    """Does a server hold it just now?"""
    try:
        with open(os.path.join(folder, "lock"), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def open_store(folder: str) -> apsw.Connection:
    """To read; ToolError for what is no store of this program."""
    path = os.path.join(folder, FILE)
    if not os.path.exists(path):
        raise ToolError(f"no store in {folder}: there is no {FILE}")
    try:
        connection = open_quietly(path, is_in_use(folder), may_index=True)
    except apsw.Error as exc:
        raise ToolError(f"{path} cannot be opened: {exc}") from exc
    try:
        check_format(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_quietly(path: str, is_in_use: bool, may_index: bool = False) -> apsw.Connection:
    """Without making or changing a file, and without a log that cannot be read so.  apsw.Error.

    After a power cut the log's index may be missing.  ``may_index``: SQLite may make one; it belongs to whom the
    database belongs, so root does not shut the server out.
    """
    log = Path(path + "-wal")
    if is_in_use:
        how = "mode=ro"
    elif log.exists() and log.stat().st_size:
        # As it was left by a server that was killed.
        how = "mode=ro" if may_index and not os.path.exists(path + "-shm") else "mode=ro&readonly_shm=1"
    else:
        how = "immutable=1"
    uri = f"file:{quote(os.path.abspath(path))}?{how}"
    connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.set_busy_timeout(BUSY_MS)
    for pragma in READER_PRAGMAS:
        list(connection.execute(f"PRAGMA {pragma}"))
    return connection


def check_format(connection: apsw.Connection, path: str) -> None:
    """ToolError for the database of another program, and for a newer format."""
    try:
        owner, version = connection.pragma("application_id"), connection.pragma("user_version")
    except apsw.Error as exc:
        raise ToolError(f"{path} is no database, or its first page is damaged: {exc}") from exc
    if owner != schema.APPLICATION_ID:
        raise ToolError(f"{path} is the database of another program")
    if version > len(schema.MIGRATIONS):
        raise ToolError(f"{path} was written by a newer petiole-edge (format {version}): use that one")
