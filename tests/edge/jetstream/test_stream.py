"""From capture to PubAck: on disk, then visible, then answered."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from edge.core.times import SECOND
from edge.errors import StoreError
from edge.jetstream import messages, retention
from edge.jetstream.account import Limits
from edge.store.contract import Row
from edge.store.sqlite import SqliteStore


def test_committed_then_visible_then_acknowledged(bench: Any) -> None:
    stream = bench.stream()
    order: list[tuple[str, int]] = []
    stream.listeners.append(lambda: order.append(("visible", stream.last_seq)))
    bench.account.subscribe("_I.ack", lambda *_: order.append(("acked", stream.last_seq)))
    bench.publish("s.a")
    bench.publish("s.b")
    bench.flush()
    assert stream.last_seq == 0 and stream.get(1) is None and order == []
    bench.settle()
    assert order == [("visible", 2), ("acked", 2), ("acked", 2)]
    assert [(row.seq, row.subject, row.payload) for row in stream.scan(1, 10)] == [(1, "s.a", b"x"), (2, "s.b", b"x")]


def test_only_who_waits_for_an_answer_makes_a_commit_urgent(bench: Any) -> None:
    bench.stream()
    bench.gate.commits.clear()
    bench.publish("s.a", reply="")
    bench.settle()
    assert bench.gate.commits == [False] and bench.take() == []
    bench.publish("s.a", reply="")
    bench.publish("s.a")
    bench.settle()
    assert bench.gate.commits == [False, True] and bench.acks() == [3]


@pytest.mark.parametrize(("full", "code"), [(True, 10047), (False, 10077)])
def test_a_failed_commit_answers_everybody_with_an_error_and_leaves_no_gap(bench: Any, full: bool, code: int) -> None:
    stream = bench.stream()
    assert bench.stored("s.a", Nats_Msg_Id="one") == [1]
    bench.gate.failing = StoreError("commit of 1 units: disk I/O error", full)
    bench.publish("s.a", Nats_Msg_Id="two")
    bench.publish("s.a", Nats_Msg_Id="two")
    bench.flush()
    bench.publish("s.a", Nats_Expected_Last_Subject_Sequence="2")
    bench.settle()
    assert bench.acks() == [-code, -code, -code]
    assert (stream.last_seq, stream.assigned_seq, stream.messages) == (1, 1, 1)
    assert "disk I/O error" in bench.jetstream.health.error
    bench.gate.failing = None
    assert bench.stored("s.a", Nats_Msg_Id="two", Nats_Expected_Last_Subject_Sequence="1") == [2]
    assert bench.jetstream.health.error == ""
    assert bench.stored("s.a", Nats_Msg_Id="one") == [1]


def test_while_the_disk_is_full_messages_are_refused_and_acks_kept(bench: Any) -> None:
    bench.stream()
    bench.stored("s.a")
    consumer = bench.consumer()
    ((_, reply, _, _),) = bench.pull(batch=1)
    bench.gate.full = True
    assert bench.stored("s.a") == [-10047]
    bench.account.publish(reply, b"+ACK", reply="_I.double")
    bench.settle()
    assert [subject for subject, _, _, _ in bench.take()] == ["_I.double"]
    bench.reopen()
    assert bench.js.consumers["S"]["C"].acks.floor == consumer.acks.floor == (1, 1)


def test_expectations_count_what_is_under_way_and_what_came_before_in_the_batch(bench: Any) -> None:
    bench.stream()
    bench.publish("s.a", Nats_Expected_Last_Subject_Sequence="0")
    bench.publish("s.a", Nats_Expected_Last_Subject_Sequence="0")
    bench.publish("s.b")
    bench.publish("s.a", Nats_Expected_Last_Subject_Sequence="1")
    bench.publish("s.a", Nats_Expected_Last_Subject_Sequence="2", Nats_Expected_Last_Subject_Sequence_Subject="s.b")
    bench.flush()
    bench.publish("s.a", Nats_Expected_Last_Subject_Sequence="4", Nats_Msg_Id="m")
    bench.publish("s.a", Nats_Expected_Last_Sequence="5", Nats_Expected_Last_Msg_Id="m")
    bench.publish("s.c", Nats_Expected_Last_Subject_Sequence="6", Nats_Expected_Last_Subject_Sequence_Subject="s.*")
    bench.settle()
    assert bench.acks() == [1, -10071, 2, 3, 4, 5, 6, 7]


def test_a_message_id_is_one_message_within_the_window(bench: Any) -> None:
    bench.stream(duplicate_window=10 * SECOND)
    bench.publish("s.a", Nats_Msg_Id="one")
    bench.publish("s.b", Nats_Msg_Id="one")
    bench.settle()
    answers = [json.loads(payload) for *_, payload in bench.take()]
    assert answers == [{"stream": "S", "seq": 1}, {"stream": "S", "seq": 1, "duplicate": True}]
    bench.pass_time(4 * SECOND)
    bench.reopen()
    assert bench.stored("s.a", Nats_Msg_Id="one") == [1]
    bench.pass_time(6 * SECOND)
    assert bench.stored("s.a", Nats_Msg_Id="one") == [2]


def test_a_clock_that_jumps_forgets_no_message_id(bench: Any) -> None:
    """A device without a battery boots in the past and learns the time minutes later."""
    bench.stream()
    bench.stored("s.a", Nats_Msg_Id="one")
    bench.wall += 3 * 365 * 86_400 * SECOND
    assert bench.stored("s.a", Nats_Msg_Id="one") == [1]


def test_time_never_runs_backwards_within_a_stream(bench: Any) -> None:
    stream = bench.stream()
    bench.stored("s.a")
    bench.wall -= 3600 * SECOND
    bench.stored("s.a")
    bench.reopen()
    bench.stored("s.a")
    times = [row.time_ns for row in bench.js.streams["S"].scan(1, 9)]
    assert times == sorted(times) and len(times) == 3 and stream.name == "S"


def test_the_domain_is_in_the_acknowledgement(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(domain="edge-1")
    bench.stream()
    bench.publish("s.a")
    bench.settle()
    assert json.loads(bench.take()[0][3]) == {"stream": "S", "domain": "edge-1", "seq": 1}


def test_no_ack_answers_nobody(bench: Any) -> None:
    stream = bench.stream(no_ack=True)
    assert bench.stored("s.a") == [] and stream.messages == 1


def test_what_was_captured_before_the_end_of_a_stream_is_answered(bench: Any) -> None:
    stream = bench.stream()
    bench.publish("s.a")
    bench.js.delete_stream(stream, lambda error: None)
    bench.settle()
    assert bench.acks() == [1]
    bench.reopen()
    assert bench.js.streams == {}


# ---- limits


def test_the_account_takes_no_more_than_it_may(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(limits=Limits(max_file_bytes=200))
    stream = bench.stream()
    assert bench.stored("s.a", b"x" * 180) == [-10002]
    for _ in range(3):
        bench.publish("s.a", b"x" * 67)
    bench.flush()
    bench.publish("s.a")
    bench.settle()
    assert bench.acks() == [1, 2, -10002, -10002] and stream.bytes == 200 and stream.coming == 0
    stream.purge("", 0, 0, lambda error: None)
    bench.settle()
    assert bench.stored("s.a") == [3]


def test_discard_new_counts_what_is_under_way(bench: Any) -> None:
    stream = bench.stream(max_msgs=3, discard="new")
    bench.publish("s.a")
    bench.publish("s.a")
    bench.flush()
    bench.publish("s.a")
    bench.publish("s.a")
    bench.settle()
    assert bench.acks() == [1, 2, 3, -10077] and stream.messages == 3


def test_a_duplicate_is_a_duplicate_in_a_full_stream_too(bench: Any) -> None:
    bench.stream(max_msgs=1, discard="new")
    assert bench.stored("s.a", Nats_Msg_Id="one") == [1]
    assert bench.stored("s.a", Nats_Msg_Id="one") == [1]
    assert bench.stored("s.a", Nats_Msg_Id="two") == [-10077]
    bench.api("STREAM.PURGE.S")
    assert bench.stored("s.a", Nats_Msg_Id="two") == [2], "what was refused is not remembered"


def test_old_messages_go_by_age(bench: Any) -> None:
    stream = bench.stream(max_age=10 * SECOND)
    woken = bench.woken
    bench.stored("s.a")
    assert bench.woken > woken, "the timer must hear of the first message"
    bench.pass_time(4 * SECOND)
    bench.stored("s.b")
    bench.pass_time(7 * SECOND)
    assert (stream.messages, stream.first_seq) == (1, 2)
    bench.pass_time(7 * SECOND)
    assert (stream.messages, stream.first_seq, stream.last_seq) == (0, 3, 2)
    assert bench.gate.count(stream.id, 0, 99) == (0, 0)


def test_limits_hold_across_a_restart(bench: Any) -> None:
    bench.stream(max_msgs=3, max_bytes=4 * 34)
    for i in range(7):
        bench.stored("s.a", b"%d" % i)
    bench.reopen()
    stream = bench.js.streams["S"]
    assert (stream.first_seq, stream.last_seq, stream.messages, stream.bytes) == (5, 7, 3, 3 * 34)
    assert bench.stored("s.a", b"x" * 80) == [8]
    assert (stream.first_seq, stream.messages, stream.bytes) == (8, 1, 113)


def test_a_stream_that_is_only_written_saves_what_a_start_must_count(bench: Any) -> None:
    stream = bench.stream()
    for _ in range(21):
        for _ in range(1000):
            bench.publish("s.a", reply="")
        bench.flush()
    bench.settle()
    assert stream.checkpoint_seq >= 10_000
    bench.reopen()
    assert (bench.js.streams["S"].messages, bench.js.streams["S"].last_seq) == (21_000, 21_000)


# ---- taking away


def test_deletes_that_do_not_reach_the_disk_did_not_happen(bench: Any) -> None:
    stream = bench.stream()
    for i in range(6):
        bench.stored(f"s.{i % 2}")
    before = bench.api("STREAM.INFO.S", {"subjects_filter": ">"})["state"]
    bench.gate.failing = StoreError("disk I/O error")
    for call, body in (
        ("STREAM.PURGE.S", None),
        ("STREAM.PURGE.S", {"filter": "s.1"}),
        ("STREAM.MSG.DELETE.S", {"seq": 3}),
    ):
        assert bench.api(call, body)["error"]["err_code"] == 10077
        assert bench.api("STREAM.INFO.S", {"subjects_filter": ">"})["state"] == before
    bench.gate.failing = None
    assert bench.api("STREAM.PURGE.S", {"filter": "s.1"})["purged"] == 3
    assert [row.seq for row in stream.scan(1, 9)] == [1, 3, 5]


def test_what_is_being_deleted_is_not_seen_any_more(bench: Any) -> None:
    stream = bench.stream()
    for subject in ("s.a", "s.a", "s.b", "s.a"):
        bench.stored(subject)
    stream.delete(4, lambda error: None)
    assert stream.get(4) is None and [row.seq for row in stream.scan(1, 9)] == [1, 2, 3]
    assert stream.last_by_subject("s.a").seq == 2 and stream.count_from(1) == 3
    stream.delete(2, lambda error: None)
    assert stream.last_by_subject("s.a").seq == 1 and stream.deleted() == [2, 4]
    bench.settle()
    assert stream.last_by_subject("s.a").seq == 1 and stream.leaving == set()


def test_a_stream_with_a_changed_configuration_goes_back_when_that_is_not_on_disk(bench: Any) -> None:
    stream = bench.stream()
    bench.gate.failing = StoreError("disk I/O error")
    changed = {"name": "S", "subjects": ["t"], "max_msgs": 1}
    assert bench.api("STREAM.UPDATE.S", changed)["error"]["err_code"] == 10077
    assert stream.config.subjects == ("s.>",)
    assert bench.api("STREAM.DELETE.S")["error"]["err_code"] == 10077
    assert bench.api("STREAM.CREATE.T", {"name": "T"})["error"]["err_code"] == 10077
    bench.gate.failing = None
    assert bench.api("STREAM.NAMES")["streams"] == ["S"]
    assert bench.stored("s.a") == [1]


def test_streams_know_nothing_of_each_other(bench: Any) -> None:
    bench.stream()
    bench.api("STREAM.CREATE.T", {"name": "T", "subjects": ["t"]})
    assert bench.stored("s.a") == [1] and bench.stored("t") == [1] and bench.stored("elsewhere") == []
    bench.api("STREAM.DELETE.S")
    bench.reopen()
    assert list(bench.js.streams) == ["T"] and bench.js.streams["T"].messages == 1
    bench.api("STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"]})
    assert bench.js.streams["S"].messages == 0 and bench.stored("s.a") == [1]


def test_what_comes_when_the_last_reader_has_gone_is_read_all_the_same(bench: Any) -> None:
    stream = bench.stream()
    bench.consumer()
    for i in range(3):
        bench.stored("s.a", b"%d" % i)
    bench.api("CONSUMER.DELETE.S.C")
    bench.stored("s.a", b"3")
    assert [stream.get(seq).payload for seq in range(1, 5)] == [b"0", b"1", b"2", b"3"]
    assert bench.api("STREAM.INFO.S")["state"]["last_seq"] == 4


def test_the_brake_knows_what_is_under_way(bench: Any) -> None:
    bench.stream()
    brake = bench.router.brake
    bench.publish("s.a", b"x" * 1000)
    bench.flush()
    assert brake.underway == 1000 + 3 + bench.js.streams["S"].overhead
    bench.settle()
    assert brake.underway == 0
    bench.gate.failing = StoreError("no")
    bench.publish("s.a", b"x" * 1000)
    bench.flush()
    bench.gate.failing = None
    bench.settle()
    assert brake.underway == 0


def test_a_start_looks_for_ids_only_where_they_may_be(make_bench: Any, monkeypatch: Any) -> None:
    bench = make_bench()
    stream = bench.stream(duplicate_window=60 * SECOND)
    for i in range(3000):
        bench.publish("s.1", reply="", **({"Nats_Msg_Id": str(i)} if 100 <= i < 103 else {}))
    bench.settle()
    stream.save_state()
    bench.publish("s.1", reply="", Nats_Msg_Id="behind")
    bench.publish("s.1", reply="")
    bench.settle()
    bench.gate.close()
    read: list[int] = []
    scan_back = SqliteStore.scan_back

    def watched(store: SqliteStore, stream: int, last: int, limit: int) -> list[Row]:
        rows = scan_back(store, stream, last, limit)
        read.extend(row.seq for row in rows)
        return rows

    monkeypatch.setattr(SqliteStore, "scan_back", watched)
    bench.open()
    assert len(read) < 1024 + 103 + 5
    for msg_id in ("100", "102", "behind"):
        bench.publish("s.1", Nats_Msg_Id=msg_id)
    bench.settle()
    assert bench.acks() == [101, 103, 3001]
    bench.reopen()
    assert bench.stored("s.1", Nats_Msg_Id="101") == [102]
    bench.pass_time(61 * SECOND)
    assert bench.stored("s.1", Nats_Msg_Id="101") == [3003]


def rows_in_store(bench: Any) -> int:
    return int(bench.gate.store.count(bench.js.streams["S"].id, 0, 1 << 39)[0])


def test_what_a_limit_drops_is_swept_when_enough_of_it_has_gathered(bench: Any, monkeypatch: Any) -> None:
    """Out of sight at once, and after a start too: by the limit, or by what was noted."""
    monkeypatch.setattr(messages, "SWEEP", 20)
    stream = bench.stream(max_msgs=10, duplicate_window=0)
    for _ in range(15):
        bench.stored("s.1")
    assert stream.first_seq == 6 and stream.get(5) is None and stream.messages == 10
    held = rows_in_store(bench)
    assert 10 < held <= 15
    bench.reopen()
    stream = bench.js.streams["S"]
    assert (stream.first_seq, stream.messages, stream.bytes) == (6, 10, 10 * (4 + stream.overhead))
    assert "error" not in bench.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "max_msgs": 100})
    bench.reopen()
    stream = bench.js.streams["S"]
    assert (stream.first_seq, stream.messages) == (6, 10) and [row.seq for row in stream.walk(0)] == [*range(6, 16)]
    bench.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "max_msgs": 10})
    for _ in range(60):
        bench.stored("s.1")
        assert rows_in_store(bench) <= 30
    stream = bench.js.streams["S"]
    assert (stream.first_seq, stream.messages) == (66, 10)


def test_what_was_dropped_does_not_come_back_when_a_removal_fails(bench: Any) -> None:
    bench.stream(max_msgs=10)
    for _ in range(15):
        bench.stored("s.1")
    bench.reopen()
    stream = bench.js.streams["S"]
    bench.gate.failing = StoreError("disk I/O error")
    stream.delete(10, lambda error: None)
    bench.settle()
    bench.gate.failing = None
    assert [row.seq for row in stream.walk(0)] == [*range(6, 16)] and stream.messages == 10


def test_a_stream_that_ages_to_its_end_leaves_nothing(bench: Any) -> None:
    bench.stream(max_age=60 * SECOND, duplicate_window=SECOND)
    for _ in range(5):
        bench.stored("s.1")
        bench.pass_time(SECOND)
    bench.pass_time(61 * SECOND)
    assert bench.js.streams["S"].messages == 0 and rows_in_store(bench) == 0


def test_a_quiet_stream_is_swept_within_the_hour(bench: Any) -> None:
    bench.stream(max_msgs=3)
    held = []
    for _ in range(150):
        bench.stored("s.1")
        bench.pass_time(60 * SECOND)
        held.append(rows_in_store(bench))
    assert 40 < max(held) <= 3 + 61


def test_behind_what_is_not_swept_yet_a_stream_begins_with_what_came_after(bench: Any) -> None:
    stream = bench.stream(max_msgs=10)
    for _ in range(12):
        bench.stored("s.1")
    stream.first_seq, stream.messages, stream.bytes = 13, 0, 0  # all of it dropped, and noted, and nothing swept
    stream.save_state()
    bench.stored("s.1")
    bench.reopen()
    stream = bench.js.streams["S"]
    assert (stream.first_seq, stream.last_seq, stream.messages) == (13, 13, 1)


def test_outlines_of_these(bench: Any) -> None:
    stream = bench.stream()
    for i in range(2500):
        bench.publish(f"s.{i % 7}", bytes(i % 5), reply="")
    bench.settle()
    stream.delete(5, lambda error: None)
    bench.settle()
    stream.delete(7, lambda error: None)  # under way
    for seqs in ([3, 1, 2], [1, 5, 7, 9, 100, 2400, 2500, 2501, 0], range(1, 2501), []):
        rows = {row.seq: row for row in stream.walk(1)}
        wanted = [(seq, rows[seq].subject) for seq in sorted(seqs) if seq in rows]
        assert [(row.seq, row.subject) for row in stream.outlines_of(seqs)] == wanted
    assert sum(row.size for row in stream.outlines_of([2, 3])) == 3 + 1 + 3 + 2


def test_what_is_known_of_each_message_is_not_read_again_for_its_subject(bench: Any, monkeypatch: Any) -> None:
    bench.stream(max_msgs_per_subject=3)
    for i in range(20):
        bench.publish(f"s.{i % 4}", reply="")
    bench.settle()
    bench.reopen()
    stream = bench.js.streams["S"]
    monkeypatch.setattr(stream.store.store, "subjects", None)
    assert stream.history is not None and stream.index is None
    assert stream.subjects.count == {f"s.{i}": 3 for i in range(4)}
    assert [stream.subjects.last_seq(f"s.{i}") for i in range(4)] == [17, 18, 19, 20]


def test_limits_drop_a_slice_at_a_time(bench: Any, monkeypatch: Any) -> None:
    """What ages together goes in turns, publishers have theirs in between, and a start does it at once."""
    monkeypatch.setattr(retention, "SLICE", 100)
    stream = bench.stream(max_age=60 * SECOND, duplicate_window=SECOND)
    for _ in range(350):
        bench.publish("s.1", reply="")
    bench.settle()
    bench.pass_time(30 * SECOND)
    bench.stored("s.1")
    bench.wall += 31 * SECOND
    bench.now += 31 * SECOND
    firsts = []
    while (deadline := bench.jetstream.deadline()) is not None and deadline <= bench.now:
        bench.jetstream.tick(bench.now)
        bench.settle()
        firsts.append(stream.first_seq)
    assert firsts == [101, 201, 301, 351] and stream.messages == 1
    bench.pass_time(60 * SECOND)
    assert stream.messages == 0
    for _ in range(350):
        bench.publish("s.1", reply="")
    bench.settle()
    bench.wall += 61 * SECOND
    bench.now += 61 * SECOND
    assert bench.stored("s.1") == [702]
    assert stream.first_seq == 452 and bench.jetstream.deadline() <= bench.now
    bench.reopen()
    stream = bench.js.streams["S"]
    assert (stream.first_seq, stream.messages) == (702, 1)


def test_a_limit_that_is_lowered_is_reached_in_slices(bench: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(retention, "SLICE", 100)
    for limit, most in (("max_msgs", 10), ("max_bytes", 350)):
        stream = bench.stream()
        for _ in range(350):
            bench.publish("s.1", reply="")
        bench.settle()
        bench.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], limit: most})
        assert stream.messages == 250 and bench.jetstream.deadline() <= bench.now
        bench.pass_time(0)
        assert stream.messages == 10 and stream.first_seq == 341
        bench.api("STREAM.DELETE.S")


def test_of_an_empty_stream_nothing_is_counted(bench: Any, monkeypatch: Any) -> None:
    stream = bench.stream(max_msgs_per_subject=5)
    for i in range(30):
        bench.publish(f"s.{i % 9}", reply="")
    bench.settle()
    assert len(stream.subjects.count) == 9
    monkeypatch.setattr(stream.store.store, "count", None)
    monkeypatch.setattr(stream.store.store, "outline", None)
    assert bench.api("STREAM.PURGE.S")["purged"] == 30
    assert (stream.messages, stream.bytes, stream.first_seq, stream.subjects.count) == (0, 0, 31, {})
    assert bench.stored("s.1") == [31] and stream.subjects.last_seq("s.1") == 31


@pytest.mark.parametrize("knows", [False, True])
@pytest.mark.parametrize(
    ("purge", "left"),
    [
        ({"keep": 7}, 7),
        ({"keep": 2499}, 2499),
        ({"keep": 2500}, 2499),
        ({"keep": 9999}, 2499),
        ({"seq": 2400}, 100),
        ({"seq": 200}, 2300),
        ({"seq": 2501}, 0),
    ],
    ids=str,
)
def test_a_purge_counts_the_smaller_part(make_bench: Any, knows: bool, purge: dict[str, int], left: int) -> None:
    bench = make_bench(store="memory")
    stream = bench.stream(**({"max_msgs_per_subject": 1000} if knows else {}))
    for i in range(2500):
        bench.publish(f"s.{i % 7}", bytes(i % 5), reply="")
    bench.settle()
    stream.delete(2450, lambda error: None)
    bench.settle()
    if knows:
        assert stream.subjects.count
    assert bench.api("STREAM.PURGE.S", purge)["purged"] == 2499 - left
    rows = list(stream.walk(0))
    assert len(rows) == stream.messages == left
    assert stream.bytes == sum(stream.size(row) for row in rows)
    assert stream.first_seq == (rows[0].seq if rows else 2501)
    counts = {f"s.{i}": sum(row.subject == f"s.{i}" for row in rows) for i in range(7)}
    assert stream.subjects.count == {subject: count for subject, count in counts.items() if count}
    assert stream.histories().seqs.keys() == stream.subjects.count.keys()
