"""A copy of a store, consistent, also of one that a server is writing to; and the way back.

One read transaction sees one state of everything: what was acknowledged before it began is in the copy.  The log
grows while it lasts, by what the server writes meanwhile.
"""

import contextlib
import os
import secrets

import apsw

from edge.jetstream.archive import S2_HEAD
from edge.store.database import FILE, lock_folder
from edge.store.files import make_folder, sync_folder
from edge.store.first_page import kept
from edge.store.generation import GENERATION
from edge.store.statements import put_value, transact
from edge.tools.database.access import check_format, open_store
from edge.tools.errors import ToolError

PAGES = 1000  # copied between two looks at the keyboard


def backup(folder: str, target: str) -> tuple[int, int]:
    """``target`` is there whole or not at all.  Streams and bytes.  ToolError."""
    if os.path.exists(target):
        raise ToolError(f"{target} is there already; a backup overwrites nothing")
    source = open_store(folder)
    beside = f"{target}.new"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        source.execute("BEGIN")
        streams = len(list(source.execute("SELECT 1 FROM stream")))
        _copy(source, beside)
        source.execute("COMMIT")
        os.replace(beside, target)
        sync_folder(os.path.dirname(os.path.abspath(target)))
    except (apsw.Error, OSError) as exc:
        raise ToolError(f"no backup in {target}: {exc}") from exc
    finally:
        source.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
    return streams, os.path.getsize(target)


def _copy(source: apsw.Connection, path: str) -> None:
    target = apsw.Connection(path)
    try:
        with target.backup("main", source, "main") as copying:
            while not copying.done:
                copying.step(PAGES)
        list(target.execute("PRAGMA journal_mode = DELETE"))  # one file, without a log beside it
    finally:
        target.close()
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _begin_generation(path: str) -> None:
    """What was told to others since the backup is not in it: whoever counts on sequences looks at this."""
    target = apsw.Connection(path)
    try:
        transact(target, [put_value(GENERATION, secrets.token_urlsafe(12).encode())])
    finally:
        target.close()
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def restore(source: str, folder: str) -> tuple[int, int]:
    """A backup becomes the store in ``folder``, which must have none.  Streams and messages.  ToolError."""
    if not os.path.exists(source):
        raise ToolError(f"there is no {source}")
    if os.path.isfile(source) and _is_stream(source):
        raise ToolError(f"{source} is the archive of one stream: restore it to a running server, with --server")
    path = os.path.join(folder, FILE)
    if os.path.exists(path):
        raise ToolError(f"{folder} holds a store already; move {path} away, or name another directory")
    make_folder(folder)
    with lock_folder(folder):
        original = _open_backup(source)
        beside = f"{path}.new"
        try:
            _copy(original, beside)
            _begin_generation(beside)
            counted = _count(original)
            for left in (f"{path}-wal", f"{path}-shm", kept(path)):  # of a store that is not here any more
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(left)
            os.replace(beside, path)
            sync_folder(folder)
        except (apsw.Error, OSError) as exc:
            raise ToolError(f"{source} cannot be restored to {folder}: {exc}") from exc
        finally:
            original.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)
    return counted


def _is_stream(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(len(S2_HEAD)) == S2_HEAD


def _open_backup(path: str) -> apsw.Connection:
    try:
        connection = apsw.Connection(f"file:{path}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    except apsw.Error as exc:
        raise ToolError(f"{path} cannot be opened: {exc}") from exc
    try:
        check_format(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _count(connection: apsw.Connection) -> tuple[int, int]:
    ((streams,),) = connection.execute("SELECT count(*) FROM stream")
    ((messages,),) = connection.execute("SELECT count(*) FROM message")
    return streams, messages
