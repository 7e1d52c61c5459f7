"""What is answered to what is held against nats-server in ``tests/e2e``; here is what failures, time and numbers do."""

import json
from typing import Any

import pytest

from edge.core.times import SECOND
from edge.errors import ApiError, StoreError
from edge.jetstream.fast_batches import Mark, parse_reply

START, APPEND, COMMIT, EOB, PING = range(5)


def put(bench: Any, batch: str, seq: int, operation: int, flow: int = 10, gap: str = "fail", **headers: str) -> None:
    bench.publish("s.a", b"x", f"_I.in.{batch}.{flow}.{gap}.{seq}.{operation}.$FI", **headers)


def answers(bench: Any) -> list[Any]:
    bench.settle()
    found: list[Any] = []
    for _, _, _, payload in bench.take():
        match json.loads(payload):
            case {"error": {"err_code": code}, "stream": _}:
                found.append(-code)
            case {"type": "ack", "seq": seq, "msgs": every}:
                found.append(("ack", seq, every))
            case {"type": kind, "seq": seq}:
                found.append((kind, seq))
            case {"seq": seq, "count": count}:
                found.append((seq, count))
    return found


def test_every_so_many_are_answered(bench: Any) -> None:
    bench.stream(allow_batched=True)
    put(bench, "b", 1, START, flow=100)
    for seq in range(2, 251):
        put(bench, "b", seq, APPEND, flow=100)
    put(bench, "b", 251, COMMIT, flow=100)
    assert answers(bench) == [("ack", 0, 100), ("ack", 100, 100), ("ack", 200, 100), (251, 251)]


def test_several_share(bench: Any) -> None:
    """Who comes later begins slowly; with more of them each has fewer messages for an answer."""
    stream = bench.stream(allow_batched=True)
    put(bench, "one", 1, START, flow=1000)
    put(bench, "two", 1, START, flow=1000)
    for seq in range(2, 9):
        put(bench, "two", seq, APPEND, flow=1000)
    assert answers(bench) == [("ack", 0, 500), ("ack", 0, 1), ("ack", 1, 2), ("ack", 3, 4), ("ack", 7, 8)]
    assert len(stream.admission.fast.open) == 2


def test_a_failed_commit_ends_the_batch(bench: Any) -> None:
    stream = bench.stream(allow_batched=True)
    put(bench, "b", 1, START)
    answers(bench)
    bench.gate.failing = StoreError("disk I/O error")
    put(bench, "b", 2, COMMIT)
    assert answers(bench) == [-10077] and not stream.admission.fast.open
    bench.gate.failing = None
    put(bench, "b", 3, APPEND)
    assert answers(bench) == [-10208] and stream.last_seq == 1


def test_a_batch_goes_on_over_no_restart(bench: Any) -> None:
    bench.stream(allow_batched=True)
    put(bench, "b", 1, START)
    answers(bench)
    bench.reopen()
    put(bench, "b", 2, APPEND)
    assert answers(bench) == [-10208] and bench.js.streams["S"].messages == 1


def test_a_batch_that_nobody_goes_on_with(bench: Any) -> None:
    stream = bench.stream(allow_batched=True)
    put(bench, "b", 1, START)
    answers(bench)
    bench.pass_time(9 * SECOND)
    put(bench, "b", 1, PING)
    assert answers(bench) == [("ack", 0, 10)]
    bench.pass_time(11 * SECOND)
    assert not stream.admission.fast.open
    put(bench, "b", 2, PING)
    assert answers(bench) == [-10208]


def test_what_is_missing(bench: Any) -> None:
    bench.stream(allow_batched=True)
    put(bench, "b", 1, START, gap="ok")
    put(bench, "b", 5, APPEND, gap="ok")
    put(bench, "b", 20, PING, gap="ok")
    put(bench, "b", 21, COMMIT, gap="ok")
    assert answers(bench) == [("ack", 0, 10), ("gap", 5), ("gap", 21), ("ack", 20, 10), (3, 21)]


def test_plain_messages_in_between(bench: Any) -> None:
    stream = bench.stream(allow_batched=True)
    put(bench, "b", 1, START)
    bench.publish("s.other")
    put(bench, "b", 2, COMMIT, Nats_Msg_Id="x")
    bench.settle()
    assert [row.subject for row in stream.walk(1)] == ["s.a", "s.other", "s.a"]
    put(bench, "c", 1, START, Nats_Msg_Id="x")
    put(bench, "c", 2, COMMIT)
    bench.take()
    assert answers(bench)[-1] == (4, 2)


@pytest.mark.parametrize("reply", ["$FI", ".$FI", "a.$FI", "a.1.ok.1.0.$FI", "i.b.x.so.1.0.$FI", "i.b.1.ok.x.0.$FI", "i.b.1.ok.1.x.$FI",
    "i.b.1.ok.-1.0.$FI", f"i.b.1.ok.{(1 << 64) - 1}.1.$FI", "i.b.1.ok.1.9.$FI", "i.b.1.ok..0.$FI"])  # fmt: skip
def test_what_is_no_reply_of_a_batch(reply: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_reply(reply)
    assert refused.value.err_code == 10206


@pytest.mark.parametrize(("flow", "every"), [("0", 10), ("x", 10), ("", 10), ("-5", 10), ("7", 7), ("70000", 65_535)])
def test_how_many_a_client_wants_answered_at_once(flow: str, every: int) -> None:
    assert parse_reply(f"_INBOX.x.y.uuid.{flow}.ok.1.0.$FI") == Mark("uuid", every, True, 1, START)
