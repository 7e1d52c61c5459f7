"""Streams that mirror and source others of the same server, over both stores: what is copied, what a restart or a
failed commit leaves, and what leaves the origin."""

import json
import struct
from typing import Any

import pytest

from edge.core.times import SECOND
from edge.errors import StoreError
from edge.jetstream.inlet import without
from edge.jetstream.mirror import FOLLOWS
from edge.jetstream.origin import read_origin
from edge.jetstream.sources import parse_source
from edge.jetstream.stream import Stream
from edge.message import header_get

ORIGIN: dict[str, Any] = {"name": "O", "subjects": ["o.>"]}


def settle(bench: Any) -> None:
    """A message takes several commits from one stream to the next."""
    for _ in range(8):
        bench.settle()


def go(bench: Any, ns: int = 400_000_000) -> None:
    bench.pass_time(ns)
    settle(bench)


def create(bench: Any, name: str, **fields: object) -> Stream:
    answer = bench.api(f"STREAM.CREATE.{name}", {"name": name, **fields})
    assert "error" not in answer, answer
    go(bench)
    return bench.js.streams[name]  # type: ignore[no-any-return]


def origin(bench: Any, messages: int = 5, **fields: object) -> Stream:
    stream = create(bench, "O", **{"subjects": ["o.>"], **fields})
    send(bench, range(1, messages + 1))
    return stream


def send(bench: Any, numbers: range, **headers: str) -> None:
    for number in numbers:
        bench.publish(f"o.{number % 3}", b"%d" % number, **headers)
        bench.settle()
        bench.wall += 1000
    settle(bench)
    bench.take()


def numbers(stream: Stream) -> list[int]:
    return [int(row.payload) for row in stream.walk(1)]


def reopen(bench: Any) -> None:
    bench.reopen()
    go(bench)


# ---- mirrors


def test_a_mirror_has_the_same_sequences_and_times(bench: Any) -> None:
    source = origin(bench)
    bench.api("STREAM.MSG.DELETE.O", {"seq": 3})
    mirror = create(bench, "M", mirror={"name": "O"})
    assert list(mirror.walk(1)) == list(source.walk(1))
    send(bench, range(6, 9))
    assert list(mirror.walk(1)) == list(source.walk(1))
    info = bench.api("STREAM.INFO.M", {"deleted_details": True})
    assert info["state"]["deleted"] == [3]
    assert info["mirror"].items() >= {"name": "O", "lag": 0}.items()
    assert 0 <= info["mirror"]["active"] < SECOND
    assert bench.api("STREAM.INFO.O")["state"]["consumer_count"] == 0


def test_a_mirror_begins_where_its_origin_does(bench: Any) -> None:
    source = origin(bench, 8)
    bench.api("STREAM.PURGE.O", {"seq": 6})
    mirror = create(bench, "M", mirror={"name": "O"})
    assert (mirror.first_seq, mirror.last_seq, numbers(mirror)) == (6, 8, [6, 7, 8])
    bench.api("STREAM.PURGE.O")
    empty = create(bench, "E", mirror={"name": "O"})
    assert (empty.first_seq, empty.last_seq, empty.messages) == (9, 8, 0)
    reopen(bench)
    assert (bench.js.streams["E"].first_seq, bench.js.streams["E"].last_seq) == (9, 8)
    send(bench, range(9, 10))
    go(bench)
    assert numbers(bench.js.streams["E"]) == [9]
    assert source.last_seq == 8  # that of the process before


def test_a_mirror_goes_on_after_a_restart(bench: Any) -> None:
    origin(bench)
    create(bench, "M", mirror={"name": "O"})
    reopen(bench)
    send(bench, range(6, 9))
    go(bench)
    mirror = bench.js.streams["M"]
    assert list(mirror.walk(1)) == list(bench.js.streams["O"].walk(1))


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"filter_subject": "o.1"}, [(1, "o.1"), (4, "o.1")]),
        ({"opt_start_seq": 4}, [(4, "o.1"), (5, "o.2")]),
        ({"subject_transforms": [{"src": "o.1", "dest": "x.1"}]}, [(1, "x.1"), (4, "x.1")]),
        (
            {"subject_transforms": [{"src": "o.1", "dest": "x.1"}, {"src": "o.2", "dest": ""}]},
            [(1, "x.1"), (2, "o.2"), (4, "x.1"), (5, "o.2")],
        ),
    ],
)
def test_a_mirror_may_have_a_part(bench: Any, fields: dict[str, object], wanted: list[tuple[int, str]]) -> None:
    origin(bench)
    mirror = create(bench, "M", mirror={"name": "O", **fields})
    assert [(row.seq, row.subject) for row in mirror.walk(1)] == wanted
    reopen(bench)
    assert [(row.seq, row.subject) for row in bench.js.streams["M"].walk(1)] == wanted


def test_a_mirror_may_begin_at_a_time(bench: Any) -> None:
    source = origin(bench)
    at = source.get(3)
    assert at is not None
    from edge.core.times import rfc3339

    mirror = create(bench, "M", mirror={"name": "O", "opt_start_time": rfc3339(at.time_ns)})
    assert numbers(mirror) == [3, 4, 5]


def test_consumers_read_a_mirror_with_gaps(bench: Any, delivered: Any) -> None:
    origin(bench)
    for seq in (2, 4):
        bench.api("STREAM.MSG.DELETE.O", {"seq": seq})
    create(bench, "M", mirror={"name": "O"})
    config = {"durable_name": "C", "ack_policy": "explicit"}
    bench.api("CONSUMER.CREATE.M.C", {"stream_name": "M", "config": config})
    send(bench, range(6, 8))
    body = json.dumps({"batch": 10, "no_wait": True}).encode()
    bench.account.publish("$JS.API.CONSUMER.MSG.NEXT.M.C", body, reply="_I.pull")
    bench.settle()
    assert [seq for seq, _ in delivered(bench.take())] == [1, 3, 5, 6, 7]


def test_nobody_publishes_to_a_mirror(bench: Any) -> None:
    origin(bench)
    mirror = create(bench, "M", mirror={"name": "O"})
    bench.publish("M", b"x")
    settle(bench)
    assert mirror.messages == 5


def test_a_mirror_can_become_a_stream_of_its_own(bench: Any) -> None:
    origin(bench)
    create(bench, "M", mirror={"name": "O"})
    answer = bench.api("STREAM.UPDATE.M", {"name": "M", "subjects": ["m.>"]})
    assert "mirror" not in answer
    assert bench.stored("m.1", b"6") == [6]
    send(bench, range(6, 8))
    go(bench)
    assert numbers(bench.js.streams["M"]) == [1, 2, 3, 4, 5, 6]
    reopen(bench)
    assert numbers(bench.js.streams["M"]) == [1, 2, 3, 4, 5, 6]


def test_a_mirror_answers_in_its_origins_name(bench: Any) -> None:
    origin(bench)
    bench.api("STREAM.UPDATE.O", {**ORIGIN, "allow_direct": True})
    mirror = create(bench, "M", mirror={"name": "O"})
    assert mirror.config.mirror_direct
    bench.api("STREAM.DELETE.O")
    bench.account.publish("$JS.API.DIRECT.GET.O.o.1", reply="_I.get")
    bench.settle()
    ((_, _, headers, payload),) = bench.take()
    assert (header_get(headers, "Nats-Stream"), payload) == ("M", b"4")


@pytest.mark.parametrize("of_each", [-1, 1])
def test_a_mirror_that_follows_goes_on_behind_what_it_has(bench: Any, of_each: int, caplog: Any) -> None:
    """Of a state (the last of each subject) nothing stays that the new origin does not have."""
    origin(bench, 7)
    mirror = create(bench, "M", mirror={"name": "O"}, max_msgs_per_subject=of_each, metadata={FOLLOWS: "true"})
    kept = numbers(mirror)
    assert mirror.last_seq == 7
    bench.api("STREAM.DELETE.O")
    bench.wall += SECOND
    create(bench, "O", subjects=["o.>"])
    send(bench, range(101, 103))
    go(bench, 30 * SECOND)
    kept = [] if of_each == 1 else kept
    assert "was made anew, and is taken from its beginning" in caplog.text
    assert (numbers(mirror), mirror.last_seq) == ([*kept, 101, 102], 9)
    reopen(bench)
    send(bench, range(103, 105))
    go(bench)
    mirror = bench.js.streams["M"]
    kept = kept if of_each == -1 else []
    assert (numbers(mirror)[-2:], mirror.last_seq) == ([103, 104], 11)
    bench.api("STREAM.DELETE.O")
    bench.wall += SECOND
    reopen(bench)
    create(bench, "O", subjects=["o.>"])
    send(bench, range(201, 202))
    go(bench, 30 * SECOND)
    mirror = bench.js.streams["M"]
    assert (numbers(mirror)[-1], mirror.last_seq) == (201, 12), "it is noticed over a restart too"


def test_limits_of_a_mirror_are_its_own(bench: Any) -> None:
    origin(bench)
    mirror = create(bench, "M", mirror={"name": "O"}, max_msgs=2)
    assert numbers(mirror) == [4, 5]
    send(bench, range(6, 7))
    assert numbers(mirror) == [5, 6]


# ---- sources


def test_a_source_says_where_its_messages_come_from(bench: Any) -> None:
    source = origin(bench, 3)
    agg = create(bench, "A", sources=[{"name": "O"}])
    rows = list(agg.walk(1))
    assert [(row.seq, row.subject, row.payload) for row in rows] == [
        (1, "o.1", b"1"), (2, "o.2", b"2"), (3, "o.0", b"3"),
    ]  # fmt: skip
    assert rows[1].headers == f"NATS/1.0\r\nNats-Stream-Source: O 2 > > o.2 {source.identity}\r\n\r\n".encode()
    info = bench.api("STREAM.INFO.A")["sources"][0]
    assert info.items() >= {"name": "O", "lag": 0, "seq": 3}.items()


def test_several_sources_flow_together_with_the_streams_own_subjects(bench: Any) -> None:
    origin(bench, 4)
    create(bench, "P", subjects=["p.>"])
    bench.stored("p.1", b"100")
    agg = create(
        bench,
        "A",
        subjects=["a.>"],
        sources=[
            {"name": "O", "filter_subject": "o.1"},
            {"name": "O", "subject_transforms": [{"src": "o.2", "dest": "x.2"}]},
            {"name": "P"},
        ],
    )
    bench.stored("a.1", b"200")
    assert sorted((row.subject, int(row.payload)) for row in agg.walk(1)) == [
        ("a.1", 200), ("o.1", 1), ("o.1", 4), ("p.1", 100), ("x.2", 2),
    ]  # fmt: skip
    keys = [parse_source(header_get(row.headers, "Nats-Stream-Source") or "") for row in agg.walk(1)]
    assert {key[0] for key in keys if key} == {"O o.1 >", "O o.2 x.2", "P > >"}


def test_sources_of_sources_name_the_nearest(bench: Any) -> None:
    origin(bench, 1)
    create(bench, "A", sources=[{"name": "O"}])
    chained = create(bench, "B", sources=[{"name": "A"}])
    (row,) = chained.walk(1)
    assert row.headers.count(b"Nats-Stream-Source") == 1
    assert (header_get(row.headers, "Nats-Stream-Source") or "").startswith("A 1 > > o.1 ")


def test_what_was_expected_of_the_origin_is_not_expected_here(bench: Any) -> None:
    origin(bench, 0)
    agg = create(bench, "A", sources=[{"name": "O"}])
    mirror = create(bench, "M", mirror={"name": "O"})
    bench.publish("o.1", b"1", Nats_Expected_Stream="O", Other="x")
    settle(bench)
    for stream in (agg, mirror):
        (row,) = stream.walk(1)
        assert header_get(row.headers, "Nats-Expected-Stream") is None
        assert header_get(row.headers, "Other") == "x"


@pytest.mark.parametrize("purged", [False, True])
def test_a_source_goes_on_after_a_restart(bench: Any, purged: bool) -> None:
    """From its messages' headers, or from the stream's state when they are gone."""
    origin(bench)
    create(bench, "A", sources=[{"name": "O"}])
    if purged:
        bench.api("STREAM.PURGE.A")
    reopen(bench)
    send(bench, range(6, 9))
    go(bench)
    assert numbers(bench.js.streams["A"]) == ([] if purged else [1, 2, 3, 4, 5]) + [6, 7, 8]


def test_a_source_whose_state_is_damaged_is_found_in_the_messages(bench: Any) -> None:
    origin(bench)
    create(bench, "A", sources=[{"name": "O"}])
    bench.api("STREAM.MSG.DELETE.A", {"seq": 1})  # saves the state
    stream = bench.js.streams["A"]
    bench.gate.put_stream_state(stream.id, b"{")
    bench.gate.commit(lambda error: None)
    settle(bench)
    reopen(bench)
    send(bench, range(6, 7))
    go(bench)
    assert numbers(bench.js.streams["A"]) == [2, 3, 4, 5, 6]


def test_each_restart_takes_a_source_further(bench: Any) -> None:
    """The state is older than the messages behind it."""
    origin(bench, 2)
    create(bench, "A", sources=[{"name": "O"}])
    for first in range(3, 9, 2):
        reopen(bench)
        send(bench, range(first, first + 2))
        go(bench)
    assert numbers(bench.js.streams["A"]) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("kind", [{"mirror": {"name": "O"}}, {"sources": [{"name": "O"}]}])
def test_a_failed_commit_leaves_nothing_and_loses_nothing(bench: Any, kind: dict[str, object]) -> None:
    source = origin(bench, 2)
    copy = create(bench, "C", **kind)
    bench.gate.failing = None
    memory = create(bench, "FAST", subjects=["fast"], storage="memory")
    assert memory.messages == 0
    bench.publish("o.0", b"3")
    bench.settle()
    settle(bench)
    assert numbers(copy) == [1, 2, 3]
    bench.publish("o.1", b"4")
    bench.router.flush()
    while source.last_seq < 4:
        bench.calls.get(timeout=60)()
    bench.gate.failing = StoreError("disk trouble")
    settle(bench)
    assert numbers(copy) == [1, 2, 3]
    assert copy.assigned_seq == 3
    bench.gate.failing = None
    go(bench, 30 * SECOND)
    assert numbers(copy) == [1, 2, 3, 4]
    reopen(bench)
    assert numbers(bench.js.streams["C"]) == [1, 2, 3, 4]


def test_a_full_disk_is_waited_for(bench: Any) -> None:
    origin(bench, 2)
    copy = create(bench, "C", sources=[{"name": "O"}])
    bench.publish("o.0", b"3")
    bench.router.flush()
    bench.gate.full = True
    settle(bench)
    assert numbers(copy) == [1, 2]
    assert bench.api("STREAM.INFO.C")["sources"][0]["error"]["err_code"] == 10047
    bench.gate.full = False
    go(bench, 5 * SECOND)
    assert numbers(copy) == [1, 2, 3]
    assert "error" not in bench.api("STREAM.INFO.C")["sources"][0]


def test_message_ids_hold_across_sources(bench: Any) -> None:
    origin(bench, 0, duplicate_window=SECOND)
    agg = create(bench, "A", sources=[{"name": "O"}], duplicate_window=60 * SECOND)
    send(bench, range(1, 2), Nats_Msg_Id="one")
    go(bench, 2 * SECOND)
    send(bench, range(2, 3), Nats_Msg_Id="one")
    send(bench, range(3, 4), Nats_Msg_Id="two")
    assert numbers(bench.js.streams["O"]) == [1, 2, 3]
    assert numbers(agg) == [1, 3]
    reopen(bench)
    assert numbers(bench.js.streams["A"]) == [1, 3]


def test_only_duplicates_count_as_taken_too(bench: Any) -> None:
    origin(bench, 0, duplicate_window=SECOND)
    agg = create(bench, "A", sources=[{"name": "O"}], duplicate_window=60 * SECOND)
    send(bench, range(1, 2), Nats_Msg_Id="one")
    go(bench, 2 * SECOND)
    send(bench, range(2, 3), Nats_Msg_Id="one")
    assert dict(agg.positions)["O > >"][0] == 2
    create(bench, "ANY", subjects=["any"])  # what is not urgent goes with the next commit
    go(bench, 120 * SECOND)
    reopen(bench)
    assert numbers(bench.js.streams["A"]) == [1]


def test_a_source_that_has_no_room_waits_for_it(bench: Any) -> None:
    origin(bench)
    agg = create(bench, "A", sources=[{"name": "O"}], max_msgs=2, discard="new")
    assert numbers(agg) == [1, 2]
    bench.api("STREAM.PURGE.A")
    go(bench, 5 * SECOND)
    assert numbers(agg) == [3, 4]
    bench.api("STREAM.PURGE.A")
    go(bench, 5 * SECOND)
    assert numbers(agg) == [5]


def test_rollups_roll_up_what_was_sourced(bench: Any) -> None:
    origin(bench, 2, allow_rollup_hdrs=True)
    agg = create(bench, "A", sources=[{"name": "O"}])
    bench.publish("o.1", b"3", Nats_Rollup="sub")
    settle(bench)
    assert numbers(agg) == [2, 3]
    bench.publish("o.1", b"4", Nats_Rollup="all")
    settle(bench)
    assert numbers(agg) == [4]


def test_counters_add_up(bench: Any) -> None:
    for name in ("O", "P"):
        create(bench, name, subjects=[f"{name.lower()}.>"], allow_msg_counter=True)
    transforms = [[{"src": f"{name}.>", "dest": "sum.>"}] for name in "op"]
    sources = [{"name": name, "subject_transforms": way} for name, way in zip("OP", transforms, strict=True)]
    agg = create(bench, "A", sources=sources, allow_msg_counter=True)
    for subject, by in (("o.x", "+5"), ("p.x", "+7"), ("o.x", "+1")):
        bench.publish(subject, b"", Nats_Incr=by)
        settle(bench)
    row = agg.last_by_subject("sum.x")
    assert row is not None and json.loads(row.payload) == {"val": "13"}
    assert header_get(row.headers, "Nats-Incr") == "1"


def test_an_origin_that_was_made_anew_is_taken_from_its_beginning(bench: Any) -> None:
    origin(bench, 3)
    agg = create(bench, "A", sources=[{"name": "O"}])
    bench.api("STREAM.DELETE.O")
    bench.wall += SECOND
    create(bench, "O", subjects=["o.>"])
    send(bench, range(101, 103))
    go(bench, 30 * SECOND)
    assert numbers(agg) == [1, 2, 3, 101, 102]
    reopen(bench)
    send(bench, range(103, 104))
    go(bench)
    assert numbers(bench.js.streams["A"]) == [1, 2, 3, 101, 102, 103]


def test_an_origin_that_comes_later(bench: Any) -> None:
    agg = create(bench, "A", sources=[{"name": "O"}])
    assert bench.api("STREAM.INFO.A")["sources"][0]["error"]["err_code"] == 10059
    origin(bench, 2)
    go(bench, 60 * SECOND)
    assert numbers(agg) == [1, 2]


def test_where_a_source_begins_counts_once(bench: Any) -> None:
    origin(bench)
    agg = create(bench, "A", sources=[{"name": "O", "opt_start_seq": 4}])
    assert numbers(agg) == [4, 5]
    reopen(bench)
    send(bench, range(6, 7))
    go(bench)
    assert numbers(bench.js.streams["A"]) == [4, 5, 6]


def test_sources_come_and_go(bench: Any) -> None:
    origin(bench, 2)
    create(bench, "P", subjects=["p.>"])
    bench.stored("p.1", b"100")
    agg = create(bench, "A", sources=[{"name": "O"}])
    bench.api("STREAM.UPDATE.A", {"name": "A", "sources": [{"name": "P"}]})
    go(bench)
    send(bench, range(3, 4))
    assert numbers(agg) == [1, 2, 100]
    bench.api("STREAM.UPDATE.A", {"name": "A", "sources": [{"name": "P"}, {"name": "O"}]})
    go(bench)
    assert numbers(agg) == [1, 2, 100, 3]
    bench.api("STREAM.UPDATE.A", {"name": "A", "subjects": ["a"]})
    go(bench)
    send(bench, range(4, 5))
    go(bench)
    assert numbers(agg) == [1, 2, 100, 3]
    bench.api("STREAM.UPDATE.A", {"name": "A", "sources": [{"name": "O"}]})
    go(bench)
    assert numbers(agg) == [1, 2, 100, 3, 4]


def test_a_stream_that_is_deleted_asks_for_no_more(bench: Any) -> None:
    origin(bench, 2)
    create(bench, "A", sources=[{"name": "O"}])
    bench.api("STREAM.DELETE.A")
    send(bench, range(3, 5))
    go(bench, 20 * SECOND)
    assert bench.js.consumers["O"] == {}


# ---- origins that drop what was delivered


@pytest.mark.parametrize("kind", [{"mirror": {"name": "O"}}, {"sources": [{"name": "O"}]}])
def test_a_work_queue_flows_on(bench: Any, kind: dict[str, object]) -> None:
    source = origin(bench, 3, retention="workqueue")
    copy = create(bench, "C", **kind)
    assert numbers(copy) == [1, 2, 3]
    (consumer,) = bench.api("CONSUMER.LIST.O")["consumers"]
    assert consumer["config"]["ack_policy"] == "flow_control"
    go(bench, 3 * SECOND)
    assert source.messages == 0
    reopen(bench)
    send(bench, range(4, 6))
    go(bench, 3 * SECOND)
    assert numbers(bench.js.streams["C"]) == [1, 2, 3, 4, 5]
    assert bench.js.streams["O"].messages == 0
    assert len(bench.api("CONSUMER.LIST.O")["consumers"]) == 1


def test_nothing_leaves_a_work_queue_that_is_not_on_disk_elsewhere(bench: Any) -> None:
    source = origin(bench, 0, retention="workqueue", storage="memory")
    copy = create(bench, "C", sources=[{"name": "O"}])
    bench.gate.failing = StoreError("disk trouble")
    bench.publish("o.1", b"1")
    go(bench, 5 * SECOND)
    assert (source.messages, copy.messages) == (1, 0)
    bench.gate.failing = None
    go(bench, 30 * SECOND)
    assert numbers(copy) == [1]
    assert source.messages == 0


def test_a_deleted_stream_takes_its_consumer_along(bench: Any) -> None:
    origin(bench, 1, retention="interest")
    create(bench, "C", sources=[{"name": "O"}])
    assert len(bench.js.consumers["O"]) == 1
    bench.api("STREAM.DELETE.C")
    settle(bench)
    assert bench.js.consumers["O"] == {}


def test_a_consumer_that_was_made_for_a_source(bench: Any) -> None:
    origin(bench)
    config = {
        "durable_name": "D", "deliver_subject": "d.s", "ack_policy": "flow_control", "flow_control": True,
        "idle_heartbeat": SECOND, "deliver_policy": "by_start_sequence", "opt_start_seq": 3, "max_ack_pending": 100,
    }  # fmt: skip
    answer = bench.api("CONSUMER.CREATE.O.D", {"stream_name": "O", "config": config})
    assert "error" not in answer, answer
    agg = create(bench, "A", sources=[{"name": "O", "consumer": {"name": "D", "deliver_subject": "d.s"}}])
    assert numbers(agg) == [3, 4, 5]
    go(bench, 3 * SECOND)
    assert bench.api("CONSUMER.INFO.O.D")["ack_floor"]["stream_seq"] == 5
    reopen(bench)
    send(bench, range(6, 7))
    go(bench)
    assert numbers(bench.js.streams["A"]) == [3, 4, 5, 6]


# ---- much


def test_a_backlog_comes_in_slices_and_windows(bench: Any) -> None:
    """More than a window, so that it needs answers, and more than a slice, so that others get their turn."""
    create(bench, "O", subjects=["o.>"])
    payload = bytes(30_000)
    for number in range(150):
        bench.publish("o.1", payload + struct.pack(">I", number), reply="")
    settle(bench)
    mirror = create(bench, "M", mirror={"name": "O"})
    agg = create(bench, "A", sources=[{"name": "O"}])
    go(bench, 2 * SECOND)
    for _ in range(10):
        settle(bench)
    assert [row.payload[-4:] for row in mirror.walk(1)] == [struct.pack(">I", number) for number in range(150)]
    assert agg.messages == 150
    (consumer, *_) = bench.js.consumers["O"].values()
    assert consumer.way.window > 1 << 21


# ---- small things


def test_headers_go_by_their_beginnings() -> None:
    block = b"NATS/1.0\r\nA: 1\r\nNats-Expected-Stream: x\r\nB: 2\r\n\r\n"
    assert without(block, (b"Nats-Expected-",)) == b"NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n"
    assert without(b"NATS/1.0\r\nNats-Expected-Stream: x\r\n\r\n", (b"Nats-Expected-",)) == b""
    assert without(b"", (b"Nats-",)) == b""


def test_headers_of_sources_are_read_as_nats_server_writes_them() -> None:
    value = "EDGE:n1VdnVvB 2 edge.t1\x0cedge.off0 hub.t1\x0chub.off.0 edge.t1 ytg72awq"
    assert parse_source(value) == ("EDGE:n1VdnVvB edge.t1\x0cedge.off0 hub.t1\x0chub.off.0", (2, "ytg72awq"))
    assert parse_source("O 2 > > o.1") == ("O > >", (2, ""))
    assert parse_source("O x > > o.1") is None
    assert parse_source("$JS.ACK.O.C.1.2.3.4.5") is None


def test_keys_tell_origins_apart() -> None:
    def key(**fields: object) -> str:
        found = read_origin({"name": "EDGE", **fields})
        assert found is not None
        return found.key

    assert key() == "EDGE > >"
    assert key(external={"api": "$JS.edge.API", "deliver": ""}) == "EDGE:n1VdnVvB > >"
    assert key(filter_subject="a.*") == "EDGE a.* >"
    assert key(subject_transforms=[{"src": "", "dest": "x"}, {"src": "b", "dest": ""}]) == "EDGE >\x0cb x\x0c>"
    assert key(consumer={"name": "C", "deliver_subject": "d"}).startswith("EDGE:C=")
