import random
from typing import Any

import pytest

from edge.core.times import SECOND
from edge.errors import ApiError
from edge.jetstream.compaction import KEY, SLICE, Compaction, compact_after_ns
from edge.store.contract import Row

HOUR = 3600 * SECOND


class Rows:
    """A stream as far as a compaction is concerned."""

    def __init__(self, *messages: tuple[str, int]) -> None:
        self.rows = [Row(seq, subject, at * HOUR, b"", b"") for seq, (subject, at) in enumerate(messages, 1)]

    @property
    def last_seq(self) -> int:
        return self.rows[-1].seq if self.rows else 0

    def scan(self, first: int, limit: int) -> list[Row]:
        return [row for row in self.rows if row.seq >= first][:limit]

    def take(self, seqs: list[int]) -> None:
        assert len(seqs) <= SLICE
        self.rows = [row for row in self.rows if row.seq not in seqs]

    def left(self) -> list[int]:
        return [row.seq for row in self.rows]


def run(compaction: Compaction, rows: Rows, now: int) -> int:
    """All slices of a run; how many there were."""
    count = 0
    while compaction.due(now) <= now:
        rows.take(compaction.slice(rows, now))
        count += 1
        assert count < 1000
    return count


def test_the_last_of_each_subject_stays_and_what_is_young() -> None:
    rows = Rows(("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 3), ("a", 20), ("a", 21))
    compaction = Compaction(10 * HOUR)
    run(compaction, rows, 15 * HOUR)
    assert rows.left() == [4, 5, 6, 7]
    run(compaction, rows, 40 * HOUR)
    assert rows.left() == [5, 7]


def test_it_waits_until_there_is_enough_to_do() -> None:
    rows = Rows(("a", 1), ("a", 2))
    compaction = Compaction(10 * HOUR)
    assert compaction.slice(rows, 11 * HOUR) == [] and compaction.due(11 * HOUR) == 12 * HOUR
    assert compaction.slice(rows, 12 * HOUR) == [1] and compaction.due(12 * HOUR) > 12 * HOUR


def test_an_empty_stream_is_looked_at_again() -> None:
    compaction = Compaction(10 * HOUR)
    assert compaction.slice(Rows(), 5 * HOUR) == [] and compaction.due(5 * HOUR) == 16 * HOUR


def test_slices_are_bounded_and_come_to_the_same() -> None:
    dice = random.Random(1)
    messages = [(f"s{dice.randrange(50)}", i // 500) for i in range(5000)]
    rows, now = Rows(*messages), 40 * HOUR
    compaction = Compaction(33 * HOUR)
    assert run(compaction, rows, now) >= 4000 // SLICE
    last: dict[str, int] = {}
    for seq, (subject, at) in enumerate(messages, 1):
        if at <= 7:
            last[subject] = seq
    young = [seq for seq, (_, at) in enumerate(messages, 1) if at > 7]
    assert rows.left() == sorted(last.values()) + young


def test_what_was_kept_goes_when_something_newer_has_grown_old() -> None:
    rows = Rows(("a", 1), *(("b", 2) for _ in range(SLICE * 2)), ("a", 3))
    compaction = Compaction(10 * HOUR)
    run(compaction, rows, 20 * HOUR)
    assert len(rows.left()) == 2 and 1 not in rows.left()


@pytest.mark.parametrize(("text", "seconds"), [("24h", 86400), ("90s", 90), ("1h30m", 5400), ("60", 60)])
def test_how_it_is_asked_for(text: str, seconds: int) -> None:
    assert compact_after_ns({KEY: text}) == seconds * SECOND


@pytest.mark.parametrize("text", ["soon", "never", "0", "-1h", "10ms"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ApiError, match=r"compact_after.*expected a duration such as 24h"):
        compact_after_ns({KEY: text})


def test_nobody_asked() -> None:
    other: dict[str, Any] = {"a": "b"}
    assert compact_after_ns({}) == compact_after_ns(other) == 0


# ---- in a stream


def fill(bench: Any, count: int) -> dict[str, int]:
    """Messages an hour apart on a few subjects; the last sequence of each."""
    last = {}
    for i in range(count):
        subject = f"s.{i % 3}"
        (last[subject],) = bench.stored(subject, b"%d" % i)
        bench.pass_time(HOUR)
    return last


def test_a_stream_keeps_the_last_values_and_what_is_young(bench: Any) -> None:
    bench.stream(metadata={KEY: "10h"})
    fill(bench, 30)
    bench.pass_time(HOUR // 2)
    seqs = [row.seq for row in bench.js.streams["S"].walk(1)]
    young = [seq for seq in seqs if seq > 20]
    assert len(young) == 10 and 3 <= len(seqs) - len(young) <= 5  # a run waits until there is enough to do
    assert bench.api("STREAM.INFO.S")["state"]["num_subjects"] == 3
    bench.pass_time(48 * HOUR)
    assert [row.seq for row in bench.js.streams["S"].walk(1)] == [28, 29, 30]


def test_it_goes_on_after_a_restart(bench: Any) -> None:
    bench.stream(metadata={KEY: "10h"})
    fill(bench, 20)
    bench.reopen()
    if "S" not in bench.js.streams:
        return  # in memory
    bench.pass_time(48 * HOUR)
    assert [row.seq for row in bench.js.streams["S"].walk(1)] == [18, 19, 20]


def test_a_failed_commit_costs_nothing(bench: Any) -> None:
    from edge.errors import StoreError

    bench.stream(metadata={KEY: "10h"})
    fill(bench, 6)
    bench.gate.failing = StoreError("disk")
    bench.pass_time(24 * HOUR)
    bench.gate.failing = None
    stream = bench.js.streams["S"]
    assert {row.subject for row in stream.walk(1)} == {"s.0", "s.1", "s.2"}
    fill(bench, 6)
    bench.pass_time(48 * HOUR)
    assert {row.subject: row.payload for row in stream.walk(1)} == {"s.0": b"3", "s.1": b"4", "s.2": b"5"}


def test_it_can_be_switched_on_and_off(bench: Any) -> None:
    stream = bench.stream()
    fill(bench, 6)
    bench.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "metadata": {KEY: "1h"}})
    bench.pass_time(24 * HOUR)
    assert stream.messages == 3
    bench.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"]})
    fill(bench, 6)
    bench.pass_time(24 * HOUR)
    assert stream.messages == 9


def test_a_mistake_is_told(bench: Any) -> None:
    answer = bench.api("STREAM.CREATE.S", {"name": "S", "metadata": {KEY: "soon"}})
    assert answer["error"]["err_code"] == 10052 and "24h" in answer["error"]["description"]
