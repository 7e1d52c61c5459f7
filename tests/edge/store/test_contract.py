"""One suite over every store."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import StoreError
from edge.store.contract import MAX_SEQ, Outline, Row, Store
from edge.store.memory import MemoryStore
from edge.store.sqlite import SqliteStore

A, B = 1, 2
Rows = Callable[..., list[Any]]


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, owner: Any, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore(owner.calls.put) if request.param == "memory" else SqliteStore(str(tmp_path / "s"), owner.calls.put)
    yield made
    made.close()


def seqs(rows: list[Row]) -> list[int]:
    return [row.seq for row in rows]


def test_nothing_is_there_before_its_commit(store: Store, owner: Any, make_rows: Rows) -> None:
    store.append(A, make_rows(1, 2))
    assert store.read(A, 1) is None and store.scan(A, 1, 9, 9) == []
    owner.committed(store)
    assert store.read(A, 1) == Row(*make_rows(1)[0]) and store.read(A, 2) == Row(*make_rows(2)[0]) and store.read(A, 3) is None


def test_streams_do_not_see_each_other(store: Store, owner: Any, make_rows: Rows) -> None:
    store.append(A, make_rows(1, 2))
    store.append(B, make_rows(1, MAX_SEQ))
    owner.committed(store)
    store.delete_range(A, 0, 99)
    owner.committed(store)
    assert store.scan(A, 0, MAX_SEQ, 9) == [] and seqs(store.scan(B, 0, MAX_SEQ, 9)) == [1, MAX_SEQ]


def test_ranges(store: Store, owner: Any, make_rows: Rows) -> None:
    store.append(A, make_rows(*range(1, 11)))
    store.delete(A, [3, 5, 77])
    store.delete_range(A, 9, 10)
    owner.committed(store)
    assert seqs(store.scan(A, 2, 99, 3)) == [2, 4, 6]
    assert seqs(store.scan_back(A, 7, 3)) == [7, 6, 4]
    assert seqs(store.scan_back(A, 2, 3)) == [2, 1]
    assert store.scan(A, 11, 10, 3) == [] and store.scan(A, 1, 99, 0) == []
    assert store.count(A, 1, 99) == (6, sum(3 + len(headers) + len(payload) for _, _, _, headers, payload in make_rows(1, 2, 4, 6, 7, 8)))
    assert store.count(A, 3, 3) == (0, 0)


@pytest.mark.parametrize("count", [1, 2, 16, 17, 128, 129, 1000, 1001, 2300])
def test_any_number_of_rows(store: Store, owner: Any, make_rows: Rows, count: int) -> None:
    rows = make_rows(*range(1, count + 1))
    store.append(A, rows[: count // 3])
    store.append(A, rows[count // 3 :])
    owner.committed(store)
    assert store.scan(A, 1, MAX_SEQ, 9999) == [Row(*row) for row in rows]


def test_deleting_here_and_there(store: Store, owner: Any, make_rows: Rows) -> None:
    store.append(A, make_rows(*range(1, 1001)))
    owner.committed(store)
    store.delete(A, list(range(2, 1001, 2)))
    store.delete(A, [])
    owner.committed(store)
    assert seqs(store.scan(A, 1, MAX_SEQ, 9999)) == list(range(1, 1000, 2))


def test_writes_of_a_unit_keep_their_order(store: Store, owner: Any, make_rows: Rows) -> None:
    store.append(A, make_rows(1, 2, 3))
    store.delete(A, [2])
    store.append(A, make_rows(4))
    store.put_value("k", b"1")
    store.drop_stream(A)
    store.append(A, make_rows(2, subject="anew"))
    owner.committed(store)
    assert [(row.seq, row.subject) for row in store.scan(A, 0, 99, 99)] == [(2, "anew")]


def test_a_long_range_goes_at_once(store: Store, owner: Any, make_rows: Rows) -> None:
    """Whatever the store still has to do about it."""
    store.append(A, make_rows(*range(1, 6001)))
    owner.committed(store)
    store.delete_range(A, 2001, 5000)
    owner.committed(store)
    store.append(A, make_rows(6001))
    owner.committed(store)
    assert seqs(store.scan(A, 1999, MAX_SEQ, 4)) == [1999, 2000, 5001, 5002]
    assert seqs(store.scan_back(A, 5001, 3)) == [5001, 2000, 1999]
    assert store.read(A, 3000) is None and store.scan(A, 2500, 3500, 9) == []
    assert store.count(A, 0, MAX_SEQ)[0] == 3001 and store.count(A, 2001, 5000)[0] == 0
    assert store.subjects(A) == [("a.b", 3001, 1, 6001)]
    store.delete_range(A, 0, 1500)
    store.delete_range(A, 0, 2000)
    owner.committed(store)
    assert seqs(store.scan(A, 0, MAX_SEQ, 2)) == [5001, 5002]
    assert store.load().streams == []


def test_subjects(store: Store, owner: Any, make_rows: Rows) -> None:
    store.append(A, make_rows(1, 4, subject="x") + make_rows(5, subject="ü"))
    store.append(A, make_rows(6, subject="x"))
    owner.committed(store)
    assert sorted(store.subjects(A)) == [("x", 3, 1, 6), ("ü", 1, 5, 5)]
    assert store.subjects(A, 2, 5) in ([("x", 1, 4, 4), ("ü", 1, 5, 5)], [("ü", 1, 5, 5), ("x", 1, 4, 4)])


@pytest.mark.parametrize("subject", ["grün", b"\xff\xfe.x".decode("utf-8", "surrogateescape"), "nul\0nul"])
def test_a_subject_comes_back_as_it_came(store: Store, owner: Any, make_rows: Rows, subject: str) -> None:
    row = Row(1, subject, 0, b"\xff\r\n", b"\0\xff")
    store.append(A, [tuple(row)])
    owner.committed(store)
    assert store.read(A, 1) == row and [found.subject for found in store.subjects(A)] == [subject]


def test_times_of_every_size(store: Store, owner: Any, make_rows: Rows) -> None:
    times = [0, 1, 1 << 40, (1 << 63) - 1]
    store.append(A, [(i + 1, "s", time, b"", b"") for i, time in enumerate(times)])
    owner.committed(store)
    assert [row.time_ns for row in store.scan(A, 0, 99, 99)] == times


def test_records_are_loaded(store: Store, owner: Any, make_rows: Rows) -> None:
    store.put_stream(A, "$G", "S", b"{}", b"")
    store.put_stream_state(A, b"state")
    store.put_consumer(A, "c", b"cfg", b"")
    store.put_consumer_state(A, "c", b"blob")
    store.put_value("epoch", b"e1")
    store.put_value("gone", b"")
    store.drop_value("gone")
    store.append(A, make_rows(7, 8, 9))
    owner.committed(store)
    found = store.load()
    assert found.streams == [(A, "$G", "S", b"{}", b"state", 7, 9)]
    assert found.consumers == [(A, "c", b"cfg", b"blob")] and found.values == {"epoch": b"e1"}
    assert found.last_id == A and found.damage == () and found.engine
    store.put_stream(A, "$G", "S", b'{"new":1}', b"later")
    store.drop_consumer(A, "c")
    owner.committed(store)
    found = store.load()
    assert found.consumers == [] and found.streams == [(A, "$G", "S", b'{"new":1}', b"later", 7, 9)]


def test_a_name_out_of_json_need_not_be_text(store: Store, owner: Any) -> None:
    store.put_stream(A, "$G", "\ud800", b"", b"")
    store.put_consumer(A, "\udc80", b"", b"")
    owner.committed(store)
    assert len(store.load().streams) == 1 and store.load().consumers == [(A, "\udc80", b"", b"")]


def test_state_of_what_is_not_there_is_nothing(store: Store, owner: Any) -> None:
    store.put_stream_state(A, b"x")
    store.put_consumer_state(A, "c", b"x")
    owner.committed(store)
    assert store.load().streams == [] and store.load().consumers == []


def test_a_dropped_stream_takes_everything_with_it(store: Store, owner: Any, make_rows: Rows) -> None:
    store.put_stream(A, "$G", "S", b"{}", b"")
    store.put_consumer(A, "c", b"", b"")
    store.put_consumer(B, "c", b"", b"")
    store.append(A, make_rows(1))
    owner.committed(store)
    store.drop_stream(A)
    owner.committed(store)
    found = store.load()
    assert found.streams == [] and [record.stream for record in found.consumers] == [B] and store.read(A, 1) is None


def test_commits_are_told_in_order(store: Store, owner: Any, make_rows: Rows) -> None:
    for i in range(50):
        store.append(A, make_rows(i + 1))
        owner.commit(store, str(i), urgent=i % 7 == 0)
    assert owner.wait(50) == [(str(i), None) for i in range(50)]
    assert seqs(store.scan(A, 1, 50, 99)) == list(range(1, 51))


def test_a_commit_of_nothing_is_told_too(store: Store, owner: Any) -> None:
    owner.committed(store)
    assert not store.full


def test_works_with_an_event_loop(tmp_path: Path, make_rows: Rows) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        store = SqliteStore(str(tmp_path), loop.call_soon_threadsafe)
        done: asyncio.Future[StoreError | None] = loop.create_future()
        store.append(A, make_rows(1))
        store.commit(done.set_result)
        assert await done is None
        store.close()

    asyncio.run(main())


def test_outlines_are_rows_without_their_contents(store: Store, owner: Any, make_rows: Rows) -> None:
    store.append(A, [(seq, f"s.{seq}", 1, b"h" * seq, b"p" * 10) for seq in range(1, 7)])
    store.delete(A, [3])
    store.append(A, [(7, "\udcff", 1, b"", b"")])
    owner.committed(store)
    assert store.outline(A, 2, 99, 2) == [Outline(2, "s.2", 15), Outline(4, "s.4", 17)]
    assert store.outline(A, 6, 7, 9) == [Outline(6, "s.6", 19), Outline(7, "\udcff", 1)]
    assert store.outline(A, 8, 99, 9) == store.outline(B, 0, MAX_SEQ, 9) == []


def test_large_rows_come_a_few_at_a_time(store: Store, owner: Any) -> None:
    rows = [(seq, "s", 1, b"", b"x" * 300_000) for seq in range(1, 11)]
    store.append(A, rows)
    owner.committed(store)
    found: list[Row] = []
    while some := store.scan(A, found[-1].seq + 1 if found else 1, 10, 99):
        found += some
    assert found == [Row(*row) for row in rows]
    found.clear()
    while some := store.scan_back(A, found[-1].seq - 1 if found else 10, 99):
        found += some
    assert found[::-1] == [Row(*row) for row in rows]
    if isinstance(store, SqliteStore):
        assert len(store.scan(A, 1, 10, 99)) == 4 and len(store.outline(A, 1, 10, 99)) == 10


def test_erased_is_deleted(store: Store, owner: Any, make_rows: Rows) -> None:
    store.append(A, make_rows(*range(1, 7)))
    owner.committed(store)
    store.erase(A, [2])
    store.erase(A, [4, 6])
    store.delete(A, [5])
    owner.committed(store)
    assert [row.seq for row in store.scan(A, 1, 99, 99)] == [1, 3]


def test_places_are_those_of_all_that_is_there(store: Store, owner: Any) -> None:
    store.append(A, [(seq, "x" if seq % 2 else "ü", seq, b"", b"p") for seq in range(1, 8)])
    owner.committed(store)
    store.delete(A, [3, 6])
    owner.committed(store)
    assert list(store.places(A, 2, 7)) == [(2, "ü"), (4, "ü"), (5, "x"), (7, "x")]
    assert list(store.places(A, 8, 9)) == [] == list(store.places(A + 1, 0, 9))
