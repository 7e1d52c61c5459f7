"""The file: whose it is, which format it has, how safe it is."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge.errors import StoreError
from edge.store import schema
from edge.store.database import FILE, open_reader, open_writer


def test_the_writer_syncs_every_commit_and_checkpoints_rarely(tmp_path: Path) -> None:
    path = str(tmp_path / FILE)
    for connection in (open_writer(path), open_writer(path)):  # a new file, and one that is there
        assert connection.pragma("journal_mode") == "wal"
        assert connection.pragma("synchronous") == 2, "FULL"
        assert connection.pragma("wal_autocheckpoint") == 4000
        assert connection.pragma("journal_size_limit") == 32 << 20
        assert connection.pragma("page_size") == 4096
        connection.close()


def test_the_reader_neither_writes_nor_checkpoints(tmp_path: Path) -> None:
    path = str(tmp_path / FILE)
    writer = open_writer(path)
    writer.execute("INSERT INTO value VALUES (x'01', x'02', 3)")
    reader = open_reader(path)
    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("DELETE FROM value")
    log = os.path.getsize(path + "-wal")
    assert reader.pragma("wal_autocheckpoint") == 0 and log > 0
    reader.close()
    assert os.path.getsize(path + "-wal") == log
    writer.close()


def test_the_engine_is_one_whose_log_two_connections_cannot_corrupt() -> None:
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 51, 3)


def test_a_store_belongs_to_one_server(owner: Any, tmp_path: Path) -> None:
    store = owner.open(tmp_path)
    with pytest.raises(StoreError, match="in use by another petiole-edge"):
        owner.open(tmp_path)
    other = f"from edge.store.sqlite import SqliteStore; SqliteStore({str(tmp_path)!r}, print)"
    done = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1].endswith("in use by another petiole-edge")
    owner.close(store)
    owner.open(tmp_path)


def test_folders_are_made(owner: Any, tmp_path: Path) -> None:
    owner.open(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c" / FILE).exists() and (tmp_path / "a").stat().st_mode & 0o777 == 0o750


def test_no_folder_can_be_made_here(owner: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written: Not a directory"):
        owner.open(tmp_path / "file" / "store")


@pytest.mark.parametrize(
    "content", [b"this is not a database, whatever its name says" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_what_is_no_store_is_said_in_one_line(owner: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(StoreError, match=FILE) as caught:
        owner.open(tmp_path)
    assert "\n" not in str(caught.value) and (tmp_path / FILE).read_bytes() == content


def test_the_database_of_another_program_is_left_alone(owner: Any, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / FILE)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    with pytest.raises(StoreError, match="another program"):
        owner.open(tmp_path)


def test_a_newer_format_is_refused(owner: Any, tmp_path: Path) -> None:
    owner.close(owner.open(tmp_path))
    shell = sqlite3.connect(tmp_path / FILE)
    shell.execute("PRAGMA user_version = 999")
    shell.close()
    with pytest.raises(StoreError, match="newer petiole-edge"):
        owner.open(tmp_path)


def test_a_migration_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / FILE)
    open_writer(path).close()
    monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, ("CREATE TABLE later (x)", "INSERT INTO later VALUES (1)")])
    for _ in range(2):
        connection = open_writer(path)
        assert connection.execute("SELECT * FROM later").fetchall() == [(1,)]
        assert connection.pragma("user_version") == len(schema.MIGRATIONS)
        connection.close()


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / FILE)
    open_writer(path).close()
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, ("CREATE TABLE later (x)", "INSERT INTO nowhere VALUES (1)")])
        with pytest.raises(apsw.SQLError):
            open_writer(path)
    connection = open_writer(path)
    assert connection.pragma("user_version") == len(schema.MIGRATIONS)
    assert connection.execute("SELECT name FROM sqlite_schema WHERE name = 'later'").fetchall() == []
    connection.close()
