"""One suite over every store."""

import asyncio
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import StoreError
from edge.store.contract import Row, Store
from edge.store.memory import MemoryStore
from edge.store.sqlite import SqliteStore

A, B = 1, 2


class Owner:
    """The thread that owns a store: callbacks wait here until it looks."""

    def __init__(self) -> None:
        self.calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.told: list[tuple[str, StoreError | None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.put(call)

    def commit(self, store: Store, name: str = "", urgent: bool = True) -> None:
        store.commit(lambda error: self.told.append((name, error)), urgent)

    def wait(self, count: int = 1) -> list[tuple[str, StoreError | None]]:
        """Until so many commits were told of."""
        while len(self.told) < count:
            self.calls.get(timeout=15)()
        told, self.told = self.told, []
        return told

    def committed(self, store: Store) -> None:
        self.commit(store)
        assert self.wait() == [("", None)]


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, owner: Owner, tmp_path: Path) -> Iterator[Store]:
    store: Store = MemoryStore(owner.call_soon) if request.param == "memory" else SqliteStore(str(tmp_path / "s"), owner.call_soon)
    yield store
    store.close()


def rows(*seqs: int, subject: str = "a.b") -> list[Any]:
    return [(seq, subject, 1000 + seq, b"NATS/1.0\r\nK: V\r\n\r\n" if seq % 2 else b"", b"payload %d" % seq) for seq in seqs]


def test_nothing_is_there_before_its_commit(store: Store, owner: Owner) -> None:
    store.append(A, rows(1, 2))
    assert store.read(A, 1) is None and store.scan(A, 1, 9, 9) == []
    owner.committed(store)
    assert store.read(A, 1) == Row(*rows(1)[0]) and store.read(A, 2) == Row(*rows(2)[0]) and store.read(A, 3) is None


def test_streams_do_not_see_each_other(store: Store, owner: Owner) -> None:
    store.append(A, rows(1, 2))
    store.append(B, rows(1))
    owner.committed(store)
    store.delete_range(A, 0, 99)
    owner.committed(store)
    assert store.scan(A, 0, 99, 9) == [] and [row.seq for row in store.scan(B, 0, 99, 9)] == [1]


def test_ranges(store: Store, owner: Owner) -> None:
    store.append(A, rows(*range(1, 11)))
    store.delete(A, [3, 5, 77])
    store.delete_range(A, 9, 10)
    owner.committed(store)
    assert [row.seq for row in store.scan(A, 2, 99, 3)] == [2, 4, 6]
    assert [row.seq for row in store.scan_back(A, 7, 3)] == [7, 6, 4]
    assert store.count(A, 1, 99) == (6, sum(3 + len(headers) + len(payload) for _, _, _, headers, payload in rows(1, 2, 4, 6, 7, 8)))


def test_subjects(store: Store, owner: Owner) -> None:
    store.append(A, rows(1, 4, subject="x") + rows(5, subject="ü"))
    store.append(A, rows(6, subject="x"))
    owner.committed(store)
    assert sorted(store.subjects(A)) == [("x", 3, 1, 6), ("ü", 1, 5, 5)]


def test_records_are_loaded(store: Store, owner: Owner) -> None:
    store.put_stream(A, "$G", "S", b"{}", b"")
    store.put_stream_state(A, b"state")
    store.put_consumer(A, "c", b"cfg", b"")
    store.put_consumer_state(A, "c", b"blob")
    store.put_value("epoch", b"e1")
    store.put_value("gone", b"")
    store.drop_value("gone")
    store.append(A, rows(7, 8, 9))
    owner.committed(store)
    found = store.load()
    assert found.streams == [(A, "$G", "S", b"{}", b"state", 7, 9)]
    assert found.consumers == [(A, "c", b"cfg", b"blob")] and found.values == {"epoch": b"e1"}
    store.drop_consumer(A, "c")
    owner.committed(store)
    assert store.load().consumers == []


def test_a_dropped_stream_takes_everything_with_it(store: Store, owner: Owner) -> None:
    store.put_stream(A, "$G", "S", b"{}", b"")
    store.put_consumer(A, "c", b"", b"")
    store.put_consumer(B, "c", b"", b"")
    store.append(A, rows(1))
    store.drop_stream(A)
    owner.committed(store)
    found = store.load()
    assert found.streams == [] and [record.stream for record in found.consumers] == [B] and store.read(A, 1) is None


def test_commits_are_told_in_order(store: Store, owner: Owner) -> None:
    for i in range(50):
        store.append(A, rows(i + 1))
        owner.commit(store, str(i), urgent=i % 7 == 0)
    assert owner.wait(50) == [(str(i), None) for i in range(50)]
    assert [row.seq for row in store.scan(A, 1, 50, 99)] == list(range(1, 51))


def test_works_with_an_event_loop(tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        store = SqliteStore(str(tmp_path), loop.call_soon_threadsafe)
        done: asyncio.Future[StoreError | None] = loop.create_future()
        store.append(A, rows(1))
        store.commit(done.set_result)
        assert await done is None
        store.close()

    asyncio.run(main())
