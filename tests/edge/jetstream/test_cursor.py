"""Where a consumer reads, and how much it says is still to come."""

from collections.abc import Callable
from typing import Any

import pytest

from edge.core.times import SECOND
from edge.errors import StoreError
from edge.jetstream.cursor import READ_AHEAD, Cursor

Received = list[tuple[str, str, bytes, bytes]]
Delivered = Callable[[Received], list[tuple[int, int]]]


def publish(bench: Any, *subjects: str) -> None:
    for subject in subjects:
        bench.publish(subject, reply="")
    bench.settle()


def seqs(cursor: Cursor, most: int = 1 << 30) -> list[int]:
    found = []
    while len(found) < most and (row := cursor.next()) is not None:
        cursor.delivered = max(cursor.delivered, row.seq)
        found.append(row.seq)
    return found


def test_what_matches_comes_in_order_and_is_counted(bench: Any) -> None:
    stream = bench.stream()
    publish(bench, *("s.a", "s.b", "s.c") * READ_AHEAD)
    cursor = Cursor(stream, ("s.a", "s.c"), 0)
    assert cursor.num_pending() == 2 * READ_AHEAD
    assert seqs(cursor, 3) == [1, 3, 4]
    assert cursor.num_pending() == 2 * READ_AHEAD - 3
    publish(bench, "s.b", "s.a")
    assert cursor.num_pending() == 2 * READ_AHEAD - 2
    assert len(seqs(cursor)) == 2 * READ_AHEAD - 2
    assert cursor.num_pending() == 0
    assert Cursor(stream, (), 5).num_pending() == 3 * READ_AHEAD + 2 - 5


def test_what_was_taken_in_vain_is_the_next(bench: Any) -> None:
    stream = bench.stream()
    publish(bench, "s.a", "s.b")
    cursor = Cursor(stream, (), 0)
    before = cursor.num_pending()
    row = cursor.next()
    assert row is not None
    cursor.put_back(row)
    assert cursor.num_pending() == before
    assert seqs(cursor) == [1, 2]


@pytest.mark.parametrize("gone", [[1], [2], [4], [9], [1, 2, 3, 4, 5], [10]])
def test_what_has_gone_from_the_stream_neither_comes_nor_counts(bench: Any, gone: list[int]) -> None:
    """Before what was delivered, among what was read ahead, behind it."""
    bench.stream()
    publish(bench, *["s.a", "s.b"] * 5)
    consumer = bench.consumer(filter_subject="s.*")
    assert len(bench.pull(batch=2)) == 2
    for seq in gone:
        assert bench.api("STREAM.MSG.DELETE.S", {"seq": seq})["success"]
    left = [seq for seq in range(3, 11) if seq not in gone]
    assert consumer.num_pending() == len(left)
    assert seqs(consumer.cursor) == left


def test_other_filters_count_anew(bench: Any) -> None:
    bench.stream()
    publish(bench, *["s.a", "s.b"] * 5)
    consumer = bench.consumer(filter_subject="s.a")
    assert len(bench.pull(batch=1)) == 1
    consumer = bench.consumer(filter_subject="s.b")
    assert consumer.num_pending() == 5
    assert seqs(consumer.cursor) == [2, 4, 6, 8, 10]


def test_the_last_of_each_subject_and_then_all_that_comes(bench: Any, delivered: Delivered) -> None:
    bench.stream()
    publish(bench, "s.a", "s.b", "s.a", "s.c", "s.b")
    consumer = bench.consumer(deliver_policy="last_per_subject", filter_subject="s.>")
    assert consumer.num_pending() == 3
    publish(bench, "s.a", "s.a")
    assert consumer.num_pending() == 5
    assert delivered(bench.pull()) == [(3, 1), (4, 1), (5, 1), (6, 1), (7, 1)]


@pytest.mark.parametrize("taken", [0, 1, 2, 3, 4, 6])
def test_the_last_of_each_subject_are_the_same_after_a_restart(bench: Any, delivered: Delivered, taken: int) -> None:
    """What has come since the consumer is there comes in full."""
    bench.stream()
    publish(bench, "s.a", "s.b", "s.a", "s.c", "s.b")
    bench.consumer(deliver_policy="last_per_subject", filter_subject="s.>", ack_wait=60 * SECOND)
    publish(bench, "s.a", "s.b", "s.b")
    everything = [3, 4, 5, 6, 7, 8]
    first = delivered(bench.pull(batch=taken, no_wait=True)) if taken else []
    assert [seq for seq, _ in first] == everything[:taken]
    bench.settle()
    bench.reopen()
    rest = delivered(bench.pull(batch=100, no_wait=True))
    assert [seq for seq, _ in rest] == everything[taken:]


def test_a_state_that_did_not_reach_the_disk_goes_with_the_next(bench: Any, delivered: Delivered) -> None:
    bench.stream()
    publish(bench, "s.a", "s.b", "s.a", "s.c")
    bench.consumer(deliver_policy="last_per_subject", filter_subject="s.>")
    bench.gate.failing = StoreError("disk full")
    assert delivered(bench.pull(batch=1, no_wait=True)) == [(2, 1)]
    bench.gate.failing = None
    assert delivered(bench.pull(batch=1, no_wait=True)) == [(3, 1)]
    bench.reopen()
    assert delivered(bench.pull(batch=9, no_wait=True)) == [(4, 1)]


def test_a_cut_that_took_messages_back_takes_what_was_picked_too(bench: Any) -> None:
    stream = bench.stream()
    publish(bench, "s.a", "s.b", "s.a")
    consumer = bench.consumer(deliver_policy="last_per_subject", filter_subject="s.>")
    consumer.restore(b"[[0,0,0,0],[],99]")
    assert consumer.acks.picked_up_to == stream.last_seq == 3
    assert seqs(consumer.cursor) == [2, 3]
