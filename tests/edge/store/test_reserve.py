"""A disk that is full: messages are refused, acks and deletes go on, also after a restart."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.store.reserve import RESERVE_BYTES, Reserve

FILLER = """
import os, queue, sys
from edge.store.sqlite import SqliteStore

folder = sys.argv[1]
calls = queue.Queue()
told = []
store = SqliteStore(folder, calls.put)

def commit():
    before = len(told)
    store.commit(told.append)
    while len(told) == before:
        calls.get(timeout=60)()
    return told[-1]

def rows(first, count=50):
    return [(first + i, "s", 0, b"", b"x" * 1000) for i in range(count)]

def fill(seq):
    while True:
        store.append(1, rows(seq + 1))
        error = commit()
        if error is not None:
            assert error.full and "no space" in str(error), error
            return seq
        seq += 50

def acks(count):
    for i in range(count):
        store.put_consumer_state(1, "c", b"%d" % i * 100)
        store.put_value("uplink", b"%d" % i)
        assert commit() is None, (i, told[-1])

store.put_stream(1, "$G", "S", b"{}", b"")
store.put_consumer(1, "c", b"", b"")
assert commit() is None and not store.full
"""

LIMITED = (
    FILLER
    + """
store.connection.pragma("max_page_count", 400)
last = fill(0)
assert last > 0 and store.full and store.count(1, 1, 1 << 39)[0] == last
acks(50)
store.connection.pragma("max_page_count", 100_000)
store.delete_range(1, 1, last)
assert commit() is None, told[-1]
store.append(1, rows(last + 1))
assert commit() is None and not store.full
store.close()
print("survived")
"""
)

MOUNTED = (
    FILLER
    + """
last = fill(0)
assert store.full and store.count(1, 1, 1 << 39)[0] == last
acks(3000)  # more than ever fits into what was kept, were the log not written anew
assert store.count(1, 1, 1 << 39)[0] == last
store.close()

with open(os.path.join(folder, "..", "other"), "wb", buffering=0) as other:  # and somebody takes the rest of the disk
    try:
        while True:
            other.write(bytes(65536))
    except OSError:
        pass
store = SqliteStore(folder, calls.put)
assert store.full and store.load().streams[0].last_seq == last
acks(300)
store.append(1, rows(last + 1))
assert commit().full
store.delete_range(1, 0, last - 50)
assert commit() is None, told[-1]
assert [row.seq for row in store.scan(1, 0, 1 << 39, 1)] == [last - 49]
while store.reader.doomed:
    calls.get(timeout=60)()
assert store.connection.execute("SELECT count(*) FROM message").fetchall() == [(50,)]
os.unlink(os.path.join(folder, "..", "other"))
store.append(1, rows(last + 1))
assert commit() is None, told[-1]
last = fill(last + 50)
acks(300)
store.close()
print("survived")
"""
)


def test_a_full_store_refuses_messages_and_takes_acks(tmp_path: Path) -> None:
    """The engine's own limit, which is the same everywhere."""
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.stdout == "survived\n", done.stderr


def test_a_full_file_system(tmp_path: Path) -> None:
    """A real one, of 96 MB, in a mount namespace of its own."""
    mount = f"mount -t tmpfs -o size=96m none {tmp_path}"
    may = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True, timeout=60)
    if may.returncode:
        pytest.skip(f"mounting a small file system is not allowed here, so none is filled: {may.stderr.strip()}")
    script = f'{mount} && exec "$0" -c "$1" {tmp_path}/store'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, sys.executable, MOUNTED], capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "survived\n", done.stderr


def test_room_is_taken_given_and_taken_again(tmp_path: Path) -> None:
    reserve = Reserve(str(tmp_path))
    assert reserve.take() and os.path.getsize(reserve.path) == RESERVE_BYTES
    assert os.stat(reserve.path).st_blocks * 512 >= RESERVE_BYTES, "held, and not just said"
    reserve.release()
    assert not reserve.whole and not os.path.exists(reserve.path)
    assert reserve.take()


def test_a_disk_with_little_room_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = Reserve(str(tmp_path))
    monkeypatch.setattr(Reserve, "free_bytes", lambda self: 2 * RESERVE_BYTES)
    assert not reserve.take() and not os.path.exists(reserve.path)
    reserve.keep_some()
    assert 0 < os.path.getsize(reserve.path) < RESERVE_BYTES
    assert not reserve.take()
