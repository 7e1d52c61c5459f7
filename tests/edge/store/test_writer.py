"""Commits that fail: loud, all of them, and then it goes on."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.errors import StoreError
from edge.store.database import FILE

Rows = Callable[..., list[Any]]


def test_a_commit_that_fails_takes_all_that_was_queued_by_then(owner: Any, tmp_path: Path, make_rows: Rows) -> None:
    store = owner.open(tmp_path)
    store.append(1, make_rows(1, 2))
    owner.committed(store)
    store.append(1, make_rows(2, 3))  # sequence 2 stands there already: the engine refuses
    owner.commit(store, "refused")
    for name in ("second", "third"):
        store.put_value(name, b"")
        owner.commit(store, name)
    told = owner.wait(3)
    assert [name for name, _ in told] == ["refused", "second", "third"]
    assert all(isinstance(error, StoreError) and not error.full for _, error in told)
    assert store.read(1, 3) is None and store.load().values == {}
    store.append(1, make_rows(5))
    owner.committed(store)
    assert store.read(1, 5)


def test_a_unit_that_fails_is_undone_as_a_whole(owner: Any, tmp_path: Path, make_rows: Rows) -> None:
    store = owner.open(tmp_path)
    store.append(1, make_rows(*range(1, 11)))
    owner.committed(store)
    store.delete(1, [1, 3])
    store.put_value("k", b"v")
    store.append(1, make_rows(11, 2))
    owner.refused(store)
    assert len(store.scan(1, 1, 99, 99)) == 10 and store.load().values == {}


def test_what_cannot_be_written_at_all_fails_its_commit_and_not_the_thread(owner: Any, tmp_path: Path, make_rows: Rows) -> None:
    store = owner.open(tmp_path)
    store.append(1, make_rows(1))
    store.writes.append([None, object()])
    assert "TypeError" in str(owner.refused(store))
    store.append(1, make_rows(1))
    owner.committed(store)


HOLDER = """
import sqlite3, sys
shell = sqlite3.connect(sys.argv[1], isolation_level=None)
shell.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
shell.execute("COMMIT")
"""


def test_nothing_is_told_while_the_commit_has_not_returned(owner: Any, tmp_path: Path, make_rows: Rows) -> None:
    """Somebody holds the database in the sqlite3 shell."""
    store = owner.open(tmp_path)
    command = [sys.executable, "-c", HOLDER, str(tmp_path / FILE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin and holder.stdout and holder.stdout.readline() == b"held\n"
        store.append(1, make_rows(1))
        owner.commit(store)
        assert owner.calls.empty() and store.read(1, 1) is None
        holder.stdin.write(b"\n")
    assert owner.wait() == [("", None)] and store.read(1, 1)


def test_one_call_hands_back_all_that_a_commit_did(owner: Any, tmp_path: Path, make_rows: Rows) -> None:
    store = owner.open(tmp_path)
    with store.writer.condition:  # the thread cannot take any before all are there
        for i in range(100):
            store.append(1, make_rows(i + 1))
            owner.commit(store, str(i))
    call = owner.calls.get(timeout=60)
    call()
    assert [name for name, _ in owner.told] == [str(i) for i in range(100)] and owner.calls.empty()


@pytest.mark.parametrize("rows", [1, 3000])
def test_deleting_a_long_range_takes_no_more_of_the_disk(owner: Any, tmp_path: Path, make_rows: Rows, rows: int) -> None:
    """At once the log would grow as long as the range is, and a full disk has no room for that."""
    store = owner.open(tmp_path)
    for first in range(1, 40_001, 4000):
        store.append(1, make_rows(*range(first, first + 4000), size=1000))
        owner.committed(store)
    store.append(2, make_rows(1))
    store.delete_range(1, 0, 40_000 - rows)
    owner.committed(store)
    while store.reader.doomed:
        owner.calls.get(timeout=60)()
    assert store.connection.execute("SELECT count(*) FROM message").fetchall() == [(rows + 1,)]
    assert (tmp_path / f"{FILE}-wal").stat().st_size < 24 << 20 < (tmp_path / FILE).stat().st_size
