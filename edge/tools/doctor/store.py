"""The store: who may write it, what its last end left behind, and whether everything in it is sound.

It is only read.  A server that runs is not stopped: reads are short, so that its log does not grow meanwhile; but for
``PRAGMA quick_check``, which is one read, as long as the database is large, and is given up when its time is over.
"""

import logging
import os
import pwd
import time
from collections.abc import Iterator
from typing import NamedTuple

import apsw

from edge.store import schema
from edge.store.contract import MAX_SEQ
from edge.store.database import DAMAGE, FILE
from edge.store.reader import BACK, CHUNK, Reader
from edge.store.records import Records
from edge.store.reserve import RESERVE_BYTES
from edge.store.statements import doomed
from edge.tools.database.access import open_quietly
from edge.tools.doctor.finding import Finding, fail, ok, warn
from edge.tools.doctor.machine import Machine
from edge.tools.figures import count, duration, size

CHECK = "store"
QUICK_S = 5.0  # for the structure, and as long again for the messages
PROGRESS = 20_000  # SQLite's steps between two looks at the clock: some milliseconds
LONG_LOG = 64 << 20  # four times what a checkpoint is done for
MEND = "stop the server, keep a copy of the directory, start it again: it mends what it can and logs what is lost"
CARD = "what is around it is served; look at the disk (dmesg), and replace it if this comes again"


class Span(NamedTuple):
    """Messages that cannot be read."""

    stream: int
    first: int
    last: int


def check_store(machine: Machine, folder: str, pid: int | None, deep: bool) -> Iterator[Finding]:
    try:
        names = set(os.listdir(folder))
    except FileNotFoundError:
        yield _missing(folder)
        return
    except OSError as exc:
        yield _closed(folder, exc)
        return
    yield from _access(machine, folder, names, pid)
    if FILE not in names:
        yield ok(CHECK, f"{folder} holds nothing yet")
        return
    yield from _left(folder, names, pid)
    try:
        is_in_use = pid is not None or machine.locker_of(os.path.join(folder, "lock")) is not None
        yield from _integrity(os.path.join(folder, FILE), is_in_use, deep)
    except PermissionError as exc:
        yield _closed(folder, exc)


def _missing(folder: str) -> Finding:
    parent = os.path.dirname(os.path.abspath(folder))
    while not os.path.exists(parent):
        parent = os.path.dirname(parent)
    if os.access(parent, os.W_OK | os.X_OK):
        return ok(CHECK, f"{folder} is not there yet; the server makes it")
    return fail(
        CHECK, f"{folder} is not there, and {parent} cannot be written by this user",
        f"mkdir {folder} and chown it to the user that the server runs as",
    )  # fmt: skip


def _closed(folder: str, exc: OSError) -> Finding:
    if isinstance(exc, PermissionError):
        return warn(CHECK, f"{folder} cannot be looked into by this user", "run doctor as root (sudo)")
    return fail(CHECK, f"{folder}: {exc.strerror}", "store_dir must be a directory that the server may write")


# ---- whose it is


def _access(machine: Machine, folder: str, names: set[str], pid: int | None) -> Iterator[Finding]:
    """Files that root made in passing shut the server out."""
    running = machine.owner_of(pid) if pid is not None else None
    owner = os.stat(folder).st_uid if running is None else running
    files = [name for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", "lock", "reserve") if name in names]
    strange = [name for name in files if os.stat(os.path.join(folder, name)).st_uid != owner] if owner else []
    if strange:
        other = _user(os.stat(os.path.join(folder, strange[0])).st_uid)
        yield fail(
            CHECK, f"{', '.join(strange)} in {folder}: of user {other}, while the server runs as {_user(owner)}",
            f"chown -R {_user(owner)}: {folder}",
        )  # fmt: skip
    elif machine.uid in (0, owner) and not os.access(folder, os.W_OK | os.X_OK):
        yield fail(CHECK, f"{folder} cannot be written", f"chmod u+rwx {folder}")
    else:
        yield ok(CHECK, f"{folder} belongs to {_user(owner)}{f', in use by pid {pid}' if pid else ''}")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


# ---- what lies beside it


def _left(folder: str, names: set[str], pid: int | None) -> Iterator[Finding]:
    if f"{FILE}.mend" in names:
        needed = os.path.getsize(os.path.join(folder, FILE))
        yield fail(CHECK, "the database has to be mended, and there was no room", f"free {size(needed)}, and restart")
    if f"{FILE}.damaged" in names:
        kept = os.path.join(folder, f"{FILE}.damaged")
        yield warn(
            CHECK, f"it was mended {duration(time.time() - os.stat(kept).st_ctime)} ago; the damaged file is kept",
            f"look at the log of that time, then delete {kept} ({size(os.path.getsize(kept))})",
        )  # fmt: skip
    log = os.path.join(folder, f"{FILE}-wal")
    length = os.path.getsize(log) if os.path.exists(log) else 0
    if length > LONG_LOG:
        yield warn(
            CHECK, f"the log has {size(length)}: it could not be moved into the database for long",
            "end whatever reads petiole.db without a pause; see that the disk has room",
        )  # fmt: skip
    if pid is not None and _length(os.path.join(folder, "reserve")) < RESERVE_BYTES:
        yield warn(
            CHECK, "the reserve for acks is not held: the disk is full, or was until now",
            f"free {size(2 * RESERVE_BYTES)} on it; the server takes it again by itself",
        )  # fmt: skip


def _length(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


# ---- what is in it


def _integrity(path: str, is_in_use: bool, deep: bool) -> Iterator[Finding]:
    log = logging.getLogger("edge.store")
    quiet = logging.NullHandler()  # what readers log is found here, and said once
    log.addHandler(quiet)
    try:
        connection = open_quietly(path, is_in_use)
        try:
            yield from _look(connection, deep)
        finally:
            connection.close()
    except apsw.CantOpenError:
        _raise_if_closed(path)
        yield warn(CHECK, "the log of the last run can only be read by the next", "start the server, and look again")
    except apsw.BusyError:
        yield warn(CHECK, "somebody else holds the database", "look again")
    except apsw.NotADBError:
        yield fail(CHECK, f"{path} is no database, or its first page is damaged", "move it away to start anew")
    except apsw.Error as exc:  # DAMAGE, or a schema that makes no sense any more
        yield fail(CHECK, f"{path}: {exc}", MEND)
    finally:
        log.removeHandler(quiet)


def _raise_if_closed(path: str) -> None:
    with open(path, "rb"):
        pass


def _look(connection: apsw.Connection, deep: bool) -> Iterator[Finding]:
    owner, version = connection.pragma("application_id"), connection.pragma("user_version")
    if owner != schema.APPLICATION_ID:
        yield fail(CHECK, f"{FILE} is the database of another program", "give store_dir a directory of its own")
        return
    if version != len(schema.MIGRATIONS):
        newer = version > len(schema.MIGRATIONS)
        told = f"{FILE} has format {version}, this petiole-edge knows {len(schema.MIGRATIONS)}"
        yield fail(CHECK, told, "install the newer version again") if newer else ok(CHECK, told)
        return
    started = time.monotonic()
    problems, is_complete = _structure(connection, deep)
    for problem in problems[:3]:
        yield fail(CHECK, f"the database is damaged: {problem}", MEND)
    reader = Reader(connection)
    reader.hide(doomed(connection))
    connection.execute("BEGIN")  # one state of things for all records
    found = Records(connection, reader).load()
    connection.execute("COMMIT")
    for line in found.damage:
        yield fail(CHECK, line, MEND)
    deadline = time.monotonic() + (float("inf") if deep else QUICK_S)
    looked, all_of_them = _messages(reader, [stream.id for stream in found.streams], deadline)
    names = {stream.id: stream.name for stream in found.streams}
    yield from _spans(names, sorted(Span(*each) for each in reader.reported))
    if problems or found.damage or reader.reported:
        return
    what = f"{count(looked)} messages of {len(found.streams)} streams"
    if is_complete and all_of_them:
        yield ok(CHECK, f"sound: {what}, everything looked at in {duration(time.monotonic() - started)}")
    else:
        structure = "the structure" if is_complete else "part of the structure"
        yield ok(CHECK, f"sound as far as looked at: {structure}, the last {what}; --deep looks at all of it")


def _structure(connection: apsw.Connection, deep: bool) -> tuple[list[str], bool]:
    """What ``quick_check`` complains of; was there time for all of it?"""
    if not deep:
        deadline = time.monotonic() + QUICK_S
        connection.set_progress_handler(lambda: time.monotonic() > deadline, PROGRESS)
    try:
        lines = [str(line).splitlines()[-1] for (line,) in connection.execute("PRAGMA quick_check(10)")]
    except apsw.InterruptError:
        return [], False
    except DAMAGE as exc:
        return [str(exc)], True
    finally:
        connection.set_progress_handler(None)
    return [line for line in lines if line != "ok"], True


def _messages(reader: Reader, streams: list[int], deadline: float) -> tuple[int, bool]:
    """How many are sound, the newest of each stream first; were these all?  Those that are not, the reader keeps."""
    looked = 0
    ends = dict.fromkeys(streams, MAX_SEQ)
    while ends:
        for stream, end in list(ends.items()):
            if time.monotonic() > deadline:
                return looked, False
            rows = reader.walk(BACK, stream, end, 0, CHUNK).rows
            looked += len(rows)
            if rows and rows[-1].seq:
                ends[stream] = rows[-1].seq - 1
            else:
                del ends[stream]
    return looked, True


def _spans(names: dict[int, str], spans: list[Span]) -> Iterator[Finding]:
    for span in spans[:10]:
        which = f"message {span.first} is" if span.first == span.last else f"messages in {span.first}-{span.last} are"
        if span.last == MAX_SEQ:
            which = f"messages from {span.first} on are"
        yield fail(CHECK, f"stream {names.get(span.stream, span.stream)}: {which} damaged and passed over", CARD)
    if len(spans) > 10:
        yield fail(CHECK, f"and {len(spans) - 10} more places are damaged", CARD)
