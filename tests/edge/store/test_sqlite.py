"""The store across the end of its process, whichever way that comes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.store.contract import MAX_SEQ
from edge.store.database import FILE

HOUR_NS = 3600 * 10**9
Rows = Callable[..., list[Any]]


def test_everything_committed_is_there_after_reopening(owner: Any, tmp_path: Path, make_rows: Rows) -> None:
    store = owner.open(tmp_path)
    store.append(1, make_rows(*range(1, 1001)))
    owner.committed(store)
    owner.close(store)
    again = owner.open(tmp_path)
    assert len(again.scan(1, 1, 9999, 9999)) == 1000 and again.load().engine.startswith("SQLite 3.")


def test_close_commits_what_nobody_waited_for(owner: Any, tmp_path: Path, make_rows: Rows) -> None:
    store = owner.open(tmp_path, window_ns=HOUR_NS)
    store.append(1, make_rows(*range(1, 6)))
    owner.commit(store, urgent=False)
    owner.close(store)
    assert len(owner.open(tmp_path).scan(1, 1, 99, 99)) == 5


def test_what_nobody_waits_for_goes_with_what_somebody_does(owner: Any, tmp_path: Path, make_rows: Rows) -> None:
    store = owner.open(tmp_path, window_ns=HOUR_NS)
    store.append(1, make_rows(1))
    owner.commit(store, "patient", urgent=False)
    store.append(1, make_rows(2))
    owner.commit(store, "urgent")
    assert owner.wait(2) == [("patient", None), ("urgent", None)]


def test_the_window_ends(owner: Any, tmp_path: Path, make_rows: Rows) -> None:
    store = owner.open(tmp_path, window_ns=1_000_000)
    store.append(1, make_rows(1))
    owner.commit(store, urgent=False)
    assert owner.wait() == [("", None)]


def test_deleting_goes_on_after_reopening(owner: Any, tmp_path: Path, make_rows: Rows) -> None:
    """A long range is gone at once, though its rows are taken away bit by bit."""
    store = owner.open(tmp_path)
    store.put_stream(1, "$G", "S", b"{}", b"")
    store.append(1, make_rows(*range(1, 5001)))
    store.append(2, make_rows(*range(1, 5001)))
    owner.committed(store)
    store.delete_range(1, 0, 4000)
    store.drop_stream(2)
    owner.commit(store)
    owner.close(store)
    again = owner.open(tmp_path)
    found = again.load()
    assert found.streams[0][5:] == (4001, 5000) and found.damage == () and found.last_id in (1, 2)
    assert again.scan(2, 0, MAX_SEQ, 9) == []
    while again.reader.doomed:
        owner.calls.get(timeout=60)()
    assert again.reader.connection.execute("SELECT count(*) FROM message").fetchall() == [(1000,)]


SHELL = """
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("SELECT stream, seq, subject, time, headers, payload FROM messages").fetchall())
"""


def test_the_sqlite3_shell_can_read_it(owner: Any, tmp_path: Path) -> None:
    """While it is in use, and with the SQLite of the system."""
    store = owner.open(tmp_path)
    store.put_stream(3, "$G", "ORDERS", b"{}", b"")
    store.append(3, [(7, "orders.x", 1_700_000_000_123_456_789, b"NATS/1.0\r\nA: b\r\n\r\n", b"hello")])
    owner.committed(store)
    done = subprocess.run([sys.executable, "-c", SHELL, str(tmp_path / FILE)], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == repr([("ORDERS", 7, "orders.x", "2023-11-14T22:13:20.123Z", "NATS/1.0\r\nA: b\r\n\r\n", "hello")])


def test_it_starts_without_reading_what_it_holds(owner: Any, tmp_path: Path, make_rows: Rows) -> None:
    store = owner.open(tmp_path)
    store.put_stream(1, "$G", "S", b"{}", b"")
    store.append(1, make_rows(*range(1, 20_001), size=100))
    owner.committed(store)
    owner.close(store)
    again = owner.open(tmp_path)
    assert again.load().streams[0][5:] == (1, 20_000)
    read, _ = again.reader.connection.status(7)  # SQLITE_DBSTATUS_CACHE_HIT
    missed, _ = again.reader.connection.status(8)  # SQLITE_DBSTATUS_CACHE_MISS: pages read from the file
    assert 0 < missed < 60 < os.path.getsize(tmp_path / FILE) // 4096 and read >= 0


APPENDER = """
import queue, sys
from edge.store.sqlite import SqliteStore
calls = queue.Queue()
store = SqliteStore(sys.argv[1], calls.put)
first = store.load().streams
seq = first[0].last_seq if first else 0
deleted = first[0].first_seq if first else 1
store.put_stream(1, "$G", "S", b"{}", b"")
while True:
    for _ in range(3):
        before, seq = seq, seq + 7
        store.append(1, [(n, "s", n, b"", b"%d" % n) for n in range(before + 1, seq + 1)])
        store.put_consumer(1, "c", b"", b"%d" % seq)
        if seq % 35 == 0:
            deleted = seq - 100
            store.delete_range(1, 0, deleted)
        store.commit(lambda error, seq=seq: print(seq, error, flush=True), urgent=seq % 2 == 0)
    calls.get()()
"""


def test_killed_at_any_moment_it_has_all_that_was_told(owner: Any, tmp_path: Path) -> None:
    for round in range(8):
        output = tmp_path / f"told{round}"
        with output.open("wb") as told:
            process = subprocess.Popen([sys.executable, "-c", APPENDER, str(tmp_path / "s")], stdout=told)
            while not output.read_bytes():
                assert process.poll() is None
                time.sleep(0.005)
            time.sleep(random.uniform(0, 0.2))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        lines = output.read_text().splitlines(keepends=True)
        last = int([line for line in lines if line.endswith("None\n")][-1].split()[0])
        store = owner.open(tmp_path / "s")
        found = store.scan(1, 0, MAX_SEQ, 1 << 30)
        seqs = [row.seq for row in found]
        assert seqs == list(range(seqs[0], seqs[-1] + 1)) and seqs[-1] >= last and seqs[0] <= max(last - 92, 1) + 35
        assert all(row.payload == b"%d" % row.seq for row in found)
        assert [int(record.state) for record in store.load().consumers] == [seqs[-1]], "one commit, one state"
        assert store.load().damage == ()
        owner.close(store)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_folder_is_free_again_when_its_server_is_gone(owner: Any, tmp_path: Path, how: signal.Signals) -> None:
    with (tmp_path / "told").open("wb") as told:
        process = subprocess.Popen([sys.executable, "-c", APPENDER, str(tmp_path / "s")], stdout=told)
        while not (tmp_path / "told").read_bytes():
            assert process.poll() is None
            time.sleep(0.005)
    process.send_signal(how)
    process.wait()
    owner.open(tmp_path / "s")


@pytest.mark.parametrize("size", [40, 300_000])  # within a page, and over many
def test_what_was_erased_stands_in_no_file(owner: Any, tmp_path: Path, size: int) -> None:
    """Neither in the database nor, some time later, in its log."""
    store = owner.open(tmp_path)
    secret = b"the secret of the house "
    rows = [(seq, "s", 1, b"", (secret if seq == 5 else b"what anybody may know ") * (size // 24 + 1)) for seq in range(1, 10)]
    store.append(1, rows)
    owner.committed(store)
    assert holds(tmp_path, secret)
    store.erase(1, [5])
    owner.committed(store)
    deadline = time.monotonic() + 15
    while holds(tmp_path, secret):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert store.count(1, 1, 99)[0] == 8 and not holds(tmp_path, secret)
    owner.close(store)
    assert not holds(tmp_path, secret) and owner.open(tmp_path).count(1, 1, 99)[0] == 8


def holds(folder: Path, secret: bytes) -> bool:
    return any(secret in path.read_bytes() for path in folder.glob(f"{FILE}*"))
