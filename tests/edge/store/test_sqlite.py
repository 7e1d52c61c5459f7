"""What only a file can suffer: reopening, damage, a full disk, a second server."""

import os
import queue
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.errors import StoreError
from edge.store.sqlite import FILE, SqliteStore


class Owner:
    def __init__(self) -> None:
        self.calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.told: list[StoreError | None] = []

    def open(self, folder: Path) -> SqliteStore:
        return SqliteStore(str(folder), self.calls.put)

    def wait(self, count: int = 1) -> list[StoreError | None]:
        while len(self.told) < count:
            self.calls.get(timeout=15)()
        told, self.told = self.told, []
        return told

    def commit(self, store: SqliteStore) -> None:
        store.commit(self.told.append)


@pytest.fixture
def owner() -> Owner:
    return Owner()


def rows(first: int, last: int, size: int = 100) -> list[Any]:
    return [(seq, "a.b", seq, b"", b"%06d" % seq + b"." * size) for seq in range(first, last + 1)]


def test_everything_committed_is_there_after_reopening(owner: Owner, tmp_path: Path) -> None:
    store = owner.open(tmp_path)
    store.append(1, rows(1, 1000))
    owner.commit(store)
    assert owner.wait() == [None]
    store.close()
    again = owner.open(tmp_path)
    assert len(again.scan(1, 1, 9999, 9999)) == 1000 and again.load().engine.startswith("SQLite 3.")
    again.close()


def test_close_commits_what_nobody_waited_for(owner: Owner, tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path), owner.calls.put, window_ns=3600_000_000_000)
    store.append(1, rows(1, 5))
    store.commit(owner.told.append, urgent=False)
    store.close()
    again = owner.open(tmp_path)
    assert len(again.scan(1, 1, 99, 99)) == 5
    again.close()


def test_the_sqlite3_shell_can_read_it(owner: Owner, tmp_path: Path) -> None:
    store = owner.open(tmp_path)
    store.put_stream(3, "$G", "ORDERS", b"{}", b"")
    store.append(3, [(7, "orders.x", 1_700_000_000_123_456_789, b"NATS/1.0\r\nA: b\r\n\r\n", b"hello")])
    owner.commit(store)
    owner.wait()
    store.close()
    shell = sqlite3.connect(tmp_path / FILE)
    assert shell.execute("SELECT stream, seq, subject, time, headers, payload FROM messages").fetchall() == [
        ("ORDERS", 7, "orders.x", "2023-11-14T22:13:20.123Z", "NATS/1.0\r\nA: b\r\n\r\n", "hello")
    ]
    shell.close()


def test_a_store_belongs_to_one_server(owner: Owner, tmp_path: Path) -> None:
    store = owner.open(tmp_path)
    with pytest.raises(StoreError, match="in use by another petiole-edge"):
        owner.open(tmp_path)
    store.close()
    owner.open(tmp_path).close()


def test_no_folder_can_be_made_here(owner: Owner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        owner.open(tmp_path / "file" / "store")


@pytest.mark.parametrize("content", [b"this is not a database, whatever its name says" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_store_is_said_in_one_line(owner: Owner, tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(StoreError, match=FILE) as caught:
        owner.open(tmp_path).load()
    assert "\n" not in str(caught.value) and (tmp_path / FILE).read_bytes() == content


def test_a_newer_format_is_refused(owner: Owner, tmp_path: Path) -> None:
    owner.open(tmp_path).close()
    shell = sqlite3.connect(tmp_path / FILE)
    shell.execute("PRAGMA user_version = 999")
    shell.close()
    with pytest.raises(StoreError, match="newer petiole-edge"):
        owner.open(tmp_path)


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_costs_what_it_hit(owner: Owner, tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    store = owner.open(tmp_path)
    store.put_stream(1, "$G", "S", b"{}", b"")
    store.append(1, rows(1, 5000))
    owner.commit(store)
    owner.wait()
    store.close()
    path = tmp_path / FILE
    data = bytearray(path.read_bytes())
    at = random.Random(seed).randrange(8 * 4096, len(data))  # behind the pages that list tables and streams
    data[at] ^= 1 << seed % 8
    is_leaf = data[at // 4096 * 4096] == 0x0D
    path.write_bytes(data)
    again = owner.open(tmp_path)
    found: dict[int, bytes] = {}
    first = 1
    while batch := again.scan(1, first, 9999, 500):
        found.update((row.seq, row.payload) for row in batch)
        first = batch[-1].seq + 1
    assert all(payload == b"%06d" % seq + b"." * 100 for seq, payload in found.items()), "served something wrong"
    assert set(found) <= set(range(1, 5001)) and (len(found) > 5000 - 200 or not is_leaf)
    again.close()


def test_a_commit_that_fails_is_told_to_all_and_the_next_works(owner: Owner, tmp_path: Path) -> None:
    store = owner.open(tmp_path)
    store.append(1, rows(1, 2))
    owner.commit(store)
    assert owner.wait() == [None]
    store.append(1, rows(2, 3))  # sequence 2 stands there already: the engine refuses
    owner.commit(store)
    store.append(1, rows(4, 4))
    owner.commit(store)
    first, second = owner.wait(2)
    assert isinstance(first, StoreError) and (second is first or second is None)
    assert store.read(1, 3) is None
    store.append(1, rows(5, 5))
    owner.commit(store)
    assert owner.wait() == [None] and store.read(1, 5)
    store.close()


FILLER = """
import queue, resource, sys
from edge.store.sqlite import SqliteStore
calls = queue.Queue()
store = SqliteStore(sys.argv[1], calls.put)
store.put_consumer(1, "c", b"", b"0")
told = []
def commit():
    store.commit(told.append); before = len(told)
    while len(told) == before: calls.get(timeout=15)()
    return told[-1]
assert commit() is None
store.writer.connection.execute("PRAGMA max_page_count = %d" % 400)
seq = 0
while True:
    store.append(1, [(seq + i + 1, "s", 0, b"", b"x" * 1000) for i in range(50)])
    error = commit()
    if error is not None: break
    seq += 50
assert error.full, error
assert len(store.scan(1, 1, 99999, 99999)) == seq and seq > 0
for i in range(20):  # acks and deletes go on
    store.put_consumer_state(1, "c", b"%d" % i)
    assert commit() is None, told[-1]
store.delete_range(1, 1, seq)
assert commit() is None
store.append(1, [(seq + 1, "s", 0, b"", b"x")])
assert commit() is None, told[-1]
store.close()
print("survived", seq)
"""


def test_a_full_store_refuses_messages_and_takes_acks(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FILLER, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("survived"), done.stderr


APPENDER = """
import queue, sys
from edge.store.sqlite import SqliteStore
calls = queue.Queue()
store = SqliteStore(sys.argv[1], calls.put)
seq = max((row.seq for row in store.scan_back(1, 1 << 39, 1)), default=0)
while True:
    for _ in range(3):
        first, seq = seq + 1, seq + 7
        store.append(1, [(n, "s", n, b"", b"%d" % n) for n in range(first, seq + 1)])
        store.commit(lambda error, seq=seq: print(seq, error, flush=True), urgent=seq % 2 == 0)
    calls.get()()
"""


def test_killed_at_any_moment_it_has_all_that_was_told(owner: Owner, tmp_path: Path) -> None:
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
        found = [row.seq for row in store.scan(1, 0, 1 << 39, 1 << 30)]
        assert found == list(range(1, len(found) + 1)) and len(found) >= last
        store.close()
