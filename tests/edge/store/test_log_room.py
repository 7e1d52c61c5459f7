"""The log grows ahead of small commits, and a cut at any time finds in it what was committed."""

import os
import shutil
from pathlib import Path

import apsw

from edge.store import statements
from edge.store.database import FILE, open_writer
from edge.store.log_room import CHECKPOINT_FRAMES, FRAME, HEADER, STEP, LogRoom
from edge.store.wal import mend_wal


def append(connection: apsw.Connection, first: int, count: int = 1) -> None:
    rows = [(seq, "s", 1, b"", b"x" * 100) for seq in range(first, first + count)]
    statements.transact(connection, [statements.append(1, rows)])


def messages(folder: Path) -> int:
    connection = apsw.Connection(str(folder / FILE))
    ((found,),) = connection.execute("SELECT count(*) FROM message")
    connection.close()
    return int(found)


def cut(folder: Path, to: Path) -> int:
    """The messages that a start finds after a cut now."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to)
    assert mend_wal(str(to / FILE)) == ""
    return messages(to)


def test_small_commits_find_room(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    connection = open_writer(str(folder / FILE))
    room = LogRoom(connection)
    sizes = set()
    for seq in range(1, 300):
        append(connection, seq)
        room.grow()
        sizes.add(os.path.getsize(room.path))
        assert seq == 1 or os.path.getsize(room.path) >= HEADER + (room.frames + 1) * FRAME
        if seq % 60 == 0:
            assert cut(folder, tmp_path / "cut") == seq
    assert len(sizes) <= 300 // STEP + 2
    connection.close()
    assert messages(folder) == 299


def test_large_commits_do_without(tmp_path: Path) -> None:
    connection = open_writer(str(tmp_path / FILE))
    room = LogRoom(connection)
    append(connection, 1, 1000)
    size = os.path.getsize(room.path)
    room.grow()
    assert os.path.getsize(room.path) == size
    connection.close()


def test_a_checkpoint_every_so_often_and_then_from_the_beginning(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    connection = open_writer(str(folder / FILE))
    connection.execute("PRAGMA synchronous = OFF")
    room = LogRoom(connection)
    frames = []
    for seq in range(1, CHECKPOINT_FRAMES + 200):
        append(connection, seq)
        room.grow()
        frames.append(room.frames)
    assert CHECKPOINT_FRAMES <= max(frames) < CHECKPOINT_FRAMES + 5 and frames[-1] < 1000
    size = os.path.getsize(room.path)
    assert size <= HEADER + (CHECKPOINT_FRAMES + STEP + 5) * FRAME
    assert cut(folder, tmp_path / "cut") == CHECKPOINT_FRAMES + 199
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert os.path.getsize(room.path) == 0
    append(connection, 5000)
    room.grow()
    append(connection, 5001)
    room.grow()
    assert os.path.getsize(room.path) >= STEP * 4096
    assert cut(folder, tmp_path / "cut") == CHECKPOINT_FRAMES + 201
    connection.close()


def test_a_disk_without_room_is_not_its_affair(tmp_path: Path) -> None:
    connection = open_writer(str(tmp_path / FILE))
    room = LogRoom(connection)
    append(connection, 1)
    append(connection, 2)
    room.path = str(tmp_path / "nowhere" / "log")
    room.grow()
    append(connection, 3)
    connection.close()
    assert messages(tmp_path) == 3
