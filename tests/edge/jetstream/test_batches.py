"""What batches may ask for is held against nats-server in ``tests/e2e``; here is what memory, failures and time do."""

import json
from typing import Any

from edge.core.times import SECOND
from edge.errors import StoreError
from edge.jetstream.batches import MAX_BYTES, MAX_MESSAGES, MAX_OPEN


def put(bench: Any, batch: str, seq: int, commit: str = "", payload: bytes = b"x", subject: str = "s.a", **headers: str) -> None:
    end = {"Nats_Batch_Commit": commit} if commit else {}
    bench.publish(subject, payload, Nats_Batch_Id=batch, Nats_Batch_Sequence=str(seq), **end, **headers)


def answers(bench: Any) -> list[Any]:
    """Sequence and count of those that were committed, error codes, and None for what is held."""
    bench.settle()
    found = []
    for _, _, _, payload in bench.take():
        fields = json.loads(payload) if payload else {}
        error = fields.get("error")
        found.append(-error["err_code"] if error else (fields["seq"], fields["count"]) if fields else None)
    return found


def seqs(bench: Any) -> list[int]:
    return [row.seq for row in bench.js.streams["S"].walk(1)]


def test_nothing_is_seen_before_all_is_there(bench: Any) -> None:
    bench.stream(allow_atomic=True)
    put(bench, "b", 1)
    put(bench, "b", 2)
    assert answers(bench) == [None, None] and seqs(bench) == []
    assert bench.stored("s.other") == [1]
    put(bench, "b", 3, "1")
    assert answers(bench) == [(4, 3)] and seqs(bench) == [1, 2, 3, 4]


def test_a_batch_goes_to_disk_as_one_unit(bench: Any) -> None:
    bench.stream(allow_atomic=True)
    for seq in range(1, 10):
        put(bench, "b", seq)
    answers(bench)
    before = len(bench.gate.commits)
    put(bench, "b", 10, "1")
    bench.flush()
    assert len(bench.gate.commits) == before + 1
    bench.reopen()
    assert seqs(bench) in ([], [*range(1, 11)])


def test_a_failed_commit_stores_nothing_of_it(bench: Any) -> None:
    stream = bench.stream(allow_atomic=True)
    put(bench, "b", 1, Nats_Msg_Id="one")
    put(bench, "held", 1)
    answers(bench)
    bench.gate.failing = StoreError("disk I/O error")
    put(bench, "b", 2, "1", Nats_Msg_Id="two")
    assert answers(bench) == [-10077] and seqs(bench) == [] and stream.assigned_seq == 0
    bench.gate.failing = None
    put(bench, "b", 2, "1")
    assert answers(bench) == [-10176]
    put(bench, "b", 1, Nats_Msg_Id="one")
    put(bench, "b", 2, "1", Nats_Msg_Id="two")
    assert answers(bench) == [None, (2, 2)]


def test_a_message_in_the_middle_that_is_refused(bench: Any) -> None:
    """What came before it in the same commit is stored, what came behind it too; ids of the batch are free again."""
    stream = bench.stream(allow_atomic=True, discard="new", max_msgs=4)
    put(bench, "b", 1, Nats_Msg_Id="one")
    put(bench, "b", 2, Nats_Expected_Stream="other")
    answers(bench)
    bench.publish("s.before")
    put(bench, "b", 3, "1")
    bench.publish("s.behind", Nats_Msg_Id="one")
    bench.publish("s.last", Nats_Expected_Last_Sequence="2")
    bench.settle()
    replies = [json.loads(payload) for _, _, _, payload in bench.take()]
    assert [reply.get("seq") for reply in replies] == [1, 0, 2, 3] and replies[1]["error"]["err_code"] == 10060
    assert [row.subject for row in stream.walk(1)] == ["s.before", "s.behind", "s.last"]
    assert (stream.room.messages, stream.room.bytes) == (0, 0)
    assert bench.stored("s.x") == [4] and bench.stored("s.x") == [-10077]


def test_what_was_held_is_gone_after_a_restart(bench: Any) -> None:
    bench.stream(allow_atomic=True)
    put(bench, "b", 1)
    answers(bench)
    bench.reopen()
    put(bench, "b", 2, "1")
    assert answers(bench) == [-10176] and seqs(bench) == []


def test_a_batch_that_nobody_goes_on_with(bench: Any) -> None:
    stream = bench.stream(allow_atomic=True)
    told: list[Any] = []
    bench.account.subscribe("$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.S", lambda *message: told.append(json.loads(message[3])))
    put(bench, "b", 1)
    answers(bench)
    bench.pass_time(9 * SECOND)
    put(bench, "b", 2)
    answers(bench)
    bench.pass_time(9 * SECOND)
    assert stream.admission.atomic.open and not told
    bench.pass_time(2 * SECOND)
    assert not stream.admission.atomic.open and stream.admission.atomic.size == 0
    assert [(each["batch"], each["reason"]) for each in told] == [("b", "timeout")]
    put(bench, "b", 3, "1")
    assert answers(bench) == [-10176]


def test_why_batches_come_to_nothing(bench: Any) -> None:
    bench.stream(allow_atomic=True)
    told: list[Any] = []
    bench.account.subscribe("$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.S", lambda *message: told.append(json.loads(message[3])["reason"]))
    put(bench, "gap", 1)
    put(bench, "gap", 3)
    put(bench, "level", 1, Nats_Required_Api_Level="99")
    for seq in range(1, MAX_MESSAGES + 2):
        put(bench, "large", seq)
    assert answers(bench)[-1] == -10199
    assert told == ["incomplete", "unsupported", "large"]


def test_how_many_may_be_open(bench: Any) -> None:
    stream = bench.stream(allow_atomic=True)
    for i in range(MAX_OPEN + 1):
        put(bench, f"b{i}", 1)
    assert answers(bench) == [None] * MAX_OPEN + [-10210]
    put(bench, "b0", 2, "1")
    put(bench, "more", 1)
    assert answers(bench) == [(2, 2), None]
    left = bench.jetstream.budgets.atomic.left
    bench.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "allow_atomic": True, "max_msgs": 100})
    assert len(stream.admission.atomic.open) == MAX_OPEN
    bench.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"]})
    assert bench.jetstream.budgets.atomic.left == left + MAX_OPEN and not stream.admission.atomic.open


def test_no_more_is_held_than_there_is_memory_for(bench: Any) -> None:
    stream = bench.stream(allow_atomic=True)
    big = b"x" * (MAX_BYTES // 4)
    for seq in range(1, 5):
        put(bench, "b", seq, payload=big)
    assert answers(bench) == [None, None, None, -10023] and stream.admission.atomic.size == 0
    put(bench, "b", 1, "1")
    assert answers(bench) == [(1, 1)]


def test_a_stream_that_is_deleted_gives_its_batches_back(bench: Any) -> None:
    bench.stream(allow_atomic=True)
    put(bench, "b", 1)
    answers(bench)
    left = bench.jetstream.budgets.atomic.left
    bench.api("STREAM.DELETE.S")
    assert bench.jetstream.budgets.atomic.left == left + 1
