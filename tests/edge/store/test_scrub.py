"""What was erased is in none of the files, wherever SQLite had moved it before: the bytes on disk are what counts."""

import random
import shutil
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge.store import writer
from edge.store.database import FILE
from edge.store.scrub import varint

ROWS = 1500


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "ERASE_SECONDS", 0.1)


def secret(seq: int) -> bytes:
    return random.Random(seq).randbytes(24)


def left(folder: Path, seqs: list[int]) -> list[int]:
    data = b"".join(path.read_bytes() for path in folder.glob(f"{FILE}*") if not path.name.endswith("-shm"))
    return [seq for seq in seqs if secret(seq) in data]


def fill(owner: Any, folder: Path, size: int, share: float) -> tuple[Any, list[int]]:
    """A store of which most was deleted, here and there, so that rows were moved about; what is there still."""
    store, chance = owner.open(folder), random.Random(size)
    rows = [(seq, "s.x", 10**18 + seq, b"", secret(seq) + bytes(chance.randrange(size))) for seq in range(1, ROWS + 1)]
    for at in range(0, ROWS, 100):
        store.append(1, rows[at : at + 100])
        owner.committed(store)
    gone = chance.sample(range(1, ROWS + 1), int(ROWS * share))
    for at in range(0, len(gone), 50):
        store.delete(1, sorted(gone[at : at + 50]))
        owner.committed(store)
    return store, sorted(set(range(1, ROWS + 1)) - set(gone))


def wait_for_the_end(store: Any) -> None:
    deadline = time.monotonic() + 30
    while store.load().values:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("size, share", [(200, 0.9), (2500, 0.8), (9000, 0.5), (200, 0.0)])
def test_copies_that_moves_left_behind_go_too(owner: Any, tmp_path: Path, size: int, share: float) -> None:
    store, there = fill(owner, tmp_path, size, share)
    erased = random.Random(1).sample(there, 100)
    for at in range(0, 100, 10):
        store.erase(1, erased[at : at + 10])
        owner.committed(store)
    wait_for_the_end(store)
    assert left(tmp_path, erased) == []
    others = [seq for seq in there if seq not in erased]
    assert [row.seq for row in store.reader.rows(1)] == others
    assert all(store.read(1, seq).payload.startswith(secret(seq)) for seq in others)
    assert store.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store.append(1, [(ROWS + i, "s.x", 10**18, b"", bytes(5000)) for i in range(1, 100)])  # into the free pages
    owner.committed(store)
    owner.close(store)
    again = owner.open(tmp_path)
    assert again.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert again.count(1, 0, 2 * ROWS)[0] == len(others) + 99


def test_without_it_they_would_have_stayed(owner: Any, tmp_path: Path) -> None:
    """Else these tests tell nothing."""
    store, there = fill(owner, tmp_path, 2500, 0.8)
    store.delete(1, there[:100])
    owner.committed(store)
    owner.close(store)
    assert len(left(tmp_path, there[:100])) > 20


def test_a_clean_end_does_not_come_too_early(owner: Any, tmp_path: Path) -> None:
    store, there = fill(owner, tmp_path, 2500, 0.8)
    store.erase(1, there[:50])
    owner.committed(store)
    owner.close(store)
    assert left(tmp_path, there[:50]) == []
    assert owner.open(tmp_path).load().values == {}


def test_a_start_goes_on_where_a_kill_ended_it(owner: Any, tmp_path: Path) -> None:
    store, there = fill(owner, tmp_path / "s", 2500, 0.8)
    store.erase(1, there[:50])
    owner.committed(store)
    shutil.copytree(tmp_path / "s", tmp_path / "killed")  # as it was at this moment
    assert left(tmp_path / "killed", there[:50])
    again = owner.open(tmp_path / "killed")
    wait_for_the_end(again)
    assert left(tmp_path / "killed", there[:50]) == []


def test_many_at_once(owner: Any, tmp_path: Path) -> None:
    store, there = fill(owner, tmp_path, 200, 0.5)
    store.erase(1, there[:600])
    owner.committed(store)
    wait_for_the_end(store)
    assert left(tmp_path, there[:600]) == []


def test_a_log_that_is_read_meanwhile_is_emptied_later(owner: Any, tmp_path: Path) -> None:
    store, there = fill(owner, tmp_path, 200, 0.5)
    store.connection.set_busy_timeout(10)
    reader = apsw.Connection(store.path)
    reader.execute("BEGIN")
    list(reader.execute("SELECT count(*) FROM message"))
    store.erase(1, there[:5])
    owner.committed(store)
    time.sleep(0.3)
    assert left(tmp_path, there[:5])
    reader.execute("COMMIT")
    reader.close()
    wait_for_the_end(store)
    assert left(tmp_path, there[:5]) == []


def test_ids_as_sqlite_writes_them() -> None:
    assert [varint(id) for id in (1, 127, 128, 300)] == [b"\x01", b"\x7f", b"\x81\x00", b"\x82\x2c"]
    assert len(varint(1 << 40)) == 6
