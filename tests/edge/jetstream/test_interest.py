"""Streams that keep a message for as long as somebody needs it."""

from typing import Any

import pytest

from edge.core.times import SECOND
from edge.errors import StoreError
from edge.jetstream.interest import Interest
from edge.store.contract import Outline, Row


class Reader:
    def __init__(self, prefix: str, done: int) -> None:
        self.prefix = prefix
        self.done = done

    def wants(self, subject: str) -> bool:
        return subject.startswith(self.prefix)

    def needs(self, seq: int) -> bool:
        return seq > self.done

    def seen(self) -> int:
        return self.done


def row(seq: int, subject: str) -> Row:
    return Row(seq, subject, 0, b"", b"")


def test_everybody_whose_concern_it_is_must_have_seen_it() -> None:
    interest = Interest(queue=False)
    interest.consumers = [Reader("a", 2), Reader("a", 1), Reader("b", 9)]
    assert interest.unneeded([row(1, "a"), row(2, "a"), row(3, "a"), row(4, "b"), row(5, "c")]) == [1, 4, 5]


def test_what_was_handled_was_wanted_by_somebody() -> None:
    interest = Interest(queue=False)
    outlines = [Outline(1, "a", 1), Outline(2, "a", 1), Outline(3, "a", 1), Outline(4, "c", 1)]
    assert interest.handled(outlines) == []
    interest.consumers = [Reader("a", 2), Reader("a", 1), Reader("b", 9)]
    assert interest.handled(outlines) == [1]


def test_what_nobody_wants_is_not_kept_but_in_a_queue() -> None:
    rows = [(1, "a", 0, b"", b""), (2, "c", 0, b"", b"")]
    for queue, unwanted in ((False, [2]), (True, [])):
        interest = Interest(queue)
        interest.consumers = [Reader("a", 0)]
        assert interest.unwanted(rows) == unwanted


# ---- in a stream


def left(bench: Any) -> list[int]:
    return [row.seq for row in bench.js.streams["S"].scan(1, 100)]


def ack(bench: Any, message: tuple[str, str, bytes, bytes], payload: bytes = b"") -> None:
    bench.account.publish(message[1], payload, reply="")
    bench.settle()


def test_without_consumers_nothing_stays(bench: Any) -> None:
    bench.stream(retention="interest")
    assert bench.stored("s.a") == [1]
    assert left(bench) == []
    bench.reopen()
    assert bench.stored("s.a") == [2]


def test_a_message_goes_with_the_last_ack(bench: Any) -> None:
    bench.stream(retention="interest")
    bench.consumer("A")
    bench.consumer("B", filter_subject="s.b")
    for subject in ("s.a", "s.b", "s.c"):
        bench.stored(subject)
    for message in bench.pull("A", batch=3):
        ack(bench, message)
    assert left(bench) == [2]
    bench.reopen()
    assert left(bench) == [2]
    (message,) = bench.pull("B", batch=1)
    ack(bench, message)
    assert left(bench) == []


def test_acks_out_of_order_over_a_restart(bench: Any) -> None:
    bench.stream(retention="interest")
    bench.consumer("A")
    for _ in range(4):
        bench.stored("s.a")
    messages = bench.pull("A", batch=4)
    ack(bench, messages[2])
    ack(bench, messages[0])
    assert left(bench) == [2, 4]
    bench.reopen()
    assert left(bench) == [2, 4]
    ack(bench, messages[3])
    ack(bench, messages[1])
    assert left(bench) == []


@pytest.mark.parametrize("retention", ["interest", "workqueue"])
def test_an_acknowledged_message_that_could_not_go_goes_as_soon_as_it_can(bench: Any, retention: str) -> None:
    bench.stream(retention=retention)
    bench.consumer("A", ack_wait=30 * SECOND)
    for _ in range(3):
        bench.stored("s.a")
    first, second, third = bench.pull("A", batch=3)
    bench.gate.failing = StoreError("disk I/O error")
    ack(bench, first)
    ack(bench, second)
    assert left(bench) == [1, 2, 3]
    bench.pass_time(10 * SECOND)
    assert len(bench.gate.commits) < 40, "ever less often, as long as the disk fails"
    bench.gate.failing = None
    bench.pass_time(60 * SECOND)
    assert left(bench) == [3]
    bench.reopen()
    ack(bench, third)
    assert left(bench) == []
    assert bench.js.streams["S"].messages == 0


@pytest.mark.parametrize("retention", ["interest", "workqueue"])
def test_what_was_not_acknowledged_on_disk_comes_again(bench: Any, retention: str) -> None:
    bench.stream(retention=retention)
    bench.consumer("A")
    bench.stored("s.a")
    (message,) = bench.pull("A", batch=1)
    bench.gate.failing = StoreError("disk I/O error")
    ack(bench, message)
    bench.gate.failing = None
    bench.reopen()
    bench.pass_time(31 * SECOND)
    (again,) = bench.pull("A", batch=1)
    ack(bench, again)
    assert left(bench) == []


def test_a_consumer_that_goes_needs_nothing_any_more(bench: Any) -> None:
    bench.stream(retention="interest")
    bench.consumer("A")
    bench.consumer("B", filter_subject="s.b")
    for subject in ("s.a", "s.b"):
        bench.stored(subject)
    assert bench.api("CONSUMER.DELETE.S.A")["success"]
    assert left(bench) == [2]
    assert bench.api("CONSUMER.DELETE.S.B")["success"]
    assert left(bench) == []


def test_a_consumer_without_acks_needs_it_until_it_was_sent(bench: Any) -> None:
    bench.stream(retention="interest")
    bench.consumer("A", ack_policy="none")
    bench.stored("s.a")
    assert left(bench) == [1]
    assert len(bench.pull("A", batch=1)) == 1
    assert left(bench) == []


def test_a_queue_keeps_what_nobody_asks_for_yet(bench: Any) -> None:
    bench.stream(retention="workqueue")
    for subject in ("s.a", "s.b"):
        bench.stored(subject)
    bench.reopen()
    assert left(bench) == [1, 2]
    bench.consumer("A", filter_subject="s.a")
    (message,) = bench.pull("A", batch=1)
    ack(bench, message, b"-NAK")
    assert left(bench) == [1, 2]
    (message,) = bench.pull("A", batch=1)
    ack(bench, message, b"+TERM")
    assert left(bench) == [2]


def test_acks_of_everything_before_take_it_along(bench: Any) -> None:
    bench.stream(retention="interest")
    bench.consumer("A", ack_policy="all")
    for _ in range(5):
        bench.stored("s.a")
    messages = bench.pull("A", batch=4)
    ack(bench, messages[2])
    assert left(bench) == [4, 5]
    bench.reopen()
    assert left(bench) == [4, 5]


def test_what_a_cut_left_is_taken_at_the_next_start(bench: Any) -> None:
    """The ack is on disk and the removal is not: nobody needs the message, and nobody will ack it again."""
    stream = bench.stream(retention="interest")
    consumer = bench.consumer("A")
    bench.stored("s.a")
    bench.stored("s.a")
    bench.pull("A", batch=1)
    consumer.acks.ack(1)
    consumer._touch()
    bench.settle()
    assert [row.seq for row in stream.scan(1, 9)] == [1, 2]
    bench.reopen()
    assert left(bench) == [2]


def test_what_a_damaged_consumer_may_need_stays(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    bench.stream(retention="interest")
    bench.consumer("A")
    bench.consumer("B")
    bench.stored("s.a")
    for message in bench.pull("A", batch=1):
        ack(bench, message)
    bench.gate.store.put_consumer(bench.js.streams["S"].id, "B", b"{", b"")
    bench.settle()
    bench.reopen()
    assert left(bench) == [1]
    assert "cannot be recovered" in caplog.text
