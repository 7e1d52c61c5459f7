"""Pull consumers: thirty seconds of ack wait cost nothing here."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from edge.core.times import SECOND
from edge.errors import StoreError

Received = list[tuple[str, str, bytes, bytes]]
Delivered = Callable[[Received], list[tuple[int, int]]]
Statuses = Callable[[Received], list[str]]


def fill(bench: Any, count: int = 3, subject: str = "s.a") -> None:
    for i in range(count):
        bench.publish(subject, b"%d" % i, reply="")
    bench.settle()


def ack(bench: Any, message: tuple[str, str, bytes, bytes], payload: bytes = b"", reply: str = "") -> Received:
    bench.account.publish(message[1], payload, reply=reply)
    bench.settle()
    return list(bench.take())


def test_a_request_waits_for_what_comes(bench: Any, delivered: Delivered) -> None:
    bench.stream()
    bench.consumer()
    assert bench.pull(batch=2) == []
    fill(bench, 3)
    messages = bench.take()
    assert delivered(messages) == [(1, 1), (2, 1)]
    subject, reply, headers, payload = messages[0]
    assert (subject, headers, payload) == ("s.a", b"", b"0")
    assert reply.split(".")[:7] == ["$JS", "ACK", "S", "C", "1", "1", "1"] and reply.endswith(".2")


def test_redelivery_after_ack_wait(bench: Any, delivered: Delivered) -> None:
    bench.stream()
    consumer = bench.consumer(ack_wait=30 * SECOND)
    fill(bench)
    first, *_ = bench.pull(batch=3)
    ack(bench, first)
    bench.pull(batch=9)
    bench.pass_time(29 * SECOND)
    assert bench.take() == []
    bench.pass_time(2 * SECOND)
    assert delivered(bench.take()) == [(2, 2), (3, 2)]
    assert consumer.acks.redelivered == {2: 2, 3: 2}
    assert consumer.acks.delivered == (5, 3) and consumer.acks.floor == (1, 1)


def test_the_timer_is_woken_for_an_earlier_deadline_only(bench: Any) -> None:
    bench.stream()
    bench.consumer(ack_wait=30 * SECOND)
    fill(bench)
    bench.jetstream.deadline()
    woken = bench.woken
    messages = bench.pull(batch=1)
    assert bench.woken == woken + 1
    bench.jetstream.deadline()
    more = bench.pull(batch=1)
    assert bench.woken == woken + 1, "its ack wait ends later than the first"
    ack(bench, messages[0])
    assert bench.woken == woken + 1
    ack(bench, more[0], b'-NAK {"delay": 1000000000}')
    assert bench.woken == woken + 2


def test_backoff_and_max_deliver(bench: Any, delivered: Delivered) -> None:
    bench.stream()
    bench.account.subscribe("$JS.EVENT.ADVISORY.>", lambda *message: advisories.append(message))
    advisories: Received = []
    consumer = bench.consumer(backoff=[SECOND, 5 * SECOND], max_deliver=3)
    fill(bench, 1)
    seen = delivered(bench.pull(batch=9))
    for wait in (SECOND, 5 * SECOND, 5 * SECOND):
        bench.pass_time(wait - 1)
        assert bench.take() == []
        bench.pass_time(1)
        seen += delivered(bench.take())
    assert seen == [(1, 1), (1, 2), (1, 3)]
    assert consumer.acks.pending == {}
    event = json.loads(advisories[-1][3])
    assert advisories[-1][0] == "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.C"
    assert (event["stream_seq"], event["deliveries"]) == (1, 3)


def test_max_ack_pending_holds_back_what_is_new_and_lets_redeliveries_through(bench: Any, delivered: Delivered) -> None:
    bench.stream()
    bench.consumer(max_ack_pending=2)
    fill(bench, 5)
    first, second = bench.pull(batch=5)
    assert bench.take() == []
    assert delivered(ack(bench, second, b"-NAK")) == [(2, 2)]
    assert delivered(ack(bench, first)) == [(3, 1)]


def test_what_must_come_again_comes_before_what_is_new(bench: Any, delivered: Delivered) -> None:
    bench.stream()
    bench.consumer()
    fill(bench, 5)
    first, second = bench.pull(batch=2)
    ack(bench, first, b"-NAK")
    ack(bench, second, b"-NAK")
    assert delivered(bench.pull(batch=3)) == [(1, 2), (2, 2), (3, 1)]


@pytest.mark.parametrize("payload", [b'-NAK {"delay": 5000000000}', b"-NAK 5s", b"-NAK 5000ms"])
def test_nak_with_delay(bench: Any, delivered: Delivered, payload: bytes) -> None:
    bench.stream()
    bench.consumer()
    fill(bench, 1)
    (message,) = bench.pull(batch=1)
    bench.pull(batch=1)
    ack(bench, message, payload)
    bench.pass_time(5 * SECOND - 1)
    assert bench.take() == []
    bench.pass_time(1)
    assert delivered(bench.take()) == [(1, 2)]


def test_in_progress_begins_the_wait_anew(bench: Any, delivered: Delivered) -> None:
    bench.stream()
    bench.consumer(ack_wait=10 * SECOND)
    fill(bench, 1)
    (message,) = bench.pull(batch=1)
    bench.pull(batch=1)
    bench.pass_time(9 * SECOND)
    ack(bench, message, b"+WPI")
    bench.pass_time(9 * SECOND)
    assert bench.take() == []
    bench.pass_time(SECOND)
    assert delivered(bench.take()) == [(1, 2)]


def test_term_ends_it_with_its_reason(bench: Any) -> None:
    bench.stream()
    consumer = bench.consumer(ack_wait=SECOND)
    events: Received = []
    bench.account.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>", lambda *message: events.append(message))
    fill(bench, 1)
    (message,) = bench.pull(batch=1)
    bench.pull(batch=1)
    ack(bench, message, b"+TERM broken sensor")
    bench.pass_time(5 * SECOND)
    assert bench.take() == [] and consumer.acks.floor == (1, 1)
    assert json.loads(events[0][3])["reason"] == "broken sensor"


def test_acks_do_not_wake_a_consumer_with_nonsense(bench: Any) -> None:
    bench.stream()
    consumer = bench.consumer()
    fill(bench, 1)
    bench.pull(batch=1)
    for subject in ("$JS.ACK.S.C.1.x.1.1.0", "$JS.ACK.S.C.1.99.1.1.0", "$JS.ACK.S.C.1.-1.1.1.0", "$JS.ACK.S.C.²1.1.1.1.0"):
        bench.account.publish(subject, b"+ACK")
    for payload in (b"-NAK {", b"-NAK {}", b"-NAK 9e999s", b"-NAK 5years", b"\xff", b"-NAK [1]", b"+NXT {bad", b"+NXT zz"):
        bench.account.publish("$JS.ACK.S.C.1.99.1.1.0", payload, reply="_I.x")
    bench.settle()
    assert list(consumer.acks.pending) == [1]


# ---- on disk


def test_a_double_ack_is_answered_when_it_is_on_disk(bench: Any) -> None:
    bench.stream()
    bench.consumer()
    fill(bench, 2)
    first, second = bench.pull(batch=2)
    bench.gate.commits.clear()
    bench.account.publish(first[1])
    bench.flush()
    bench.account.publish(second[1], reply="_I.double")
    bench.flush()
    assert bench.take() == [] and bench.gate.commits == [False, True]
    bench.settle()
    assert bench.take() == [("_I.double", "", b"", b"")]
    bench.reopen()
    assert bench.js.consumers["S"]["C"].acks.floor == (2, 2)


def test_a_double_ack_that_is_not_on_disk_is_not_answered_and_goes_with_the_next(bench: Any) -> None:
    bench.stream()
    bench.consumer()
    fill(bench, 2)
    first, second = bench.pull(batch=2)
    bench.gate.failing = StoreError("disk I/O error")
    assert ack(bench, first, reply="_I.double") == []
    assert "disk I/O error" in bench.jetstream.health.error
    bench.gate.failing = None
    assert ack(bench, second, reply="_I.double") == [("_I.double", "", b"", b"")]
    bench.reopen()
    assert bench.js.consumers["S"]["C"].acks.floor == (2, 2)


def test_state_survives_a_restart(bench: Any, delivered: Delivered) -> None:
    bench.stream()
    bench.consumer(ack_wait=10 * SECOND)
    fill(bench, 6)
    messages = bench.pull(batch=4)
    ack(bench, messages[0])
    ack(bench, messages[2])
    ack(bench, messages[1], b"-NAK")
    assert delivered(bench.pull(batch=1)) == [(2, 2)]
    before = bench.js.consumers["S"]["C"].acks
    bench.reopen()
    after = bench.js.consumers["S"]["C"].acks
    assert (after.delivered, after.floor, after.redelivered) == (before.delivered, before.floor, before.redelivered)
    assert {seq: (known.cseq, known.count) for seq, known in after.pending.items()} == {2: (2, 2), 4: (4, 1)}
    assert delivered(bench.pull(batch=9, expires=60 * SECOND)) == [(5, 1), (6, 1)]
    bench.pass_time(10 * SECOND)
    assert sorted(delivered(bench.take()))[:2] == [(2, 3), (4, 2)]


def test_damaged_state_begins_the_consumer_anew_and_says_so(bench: Any, caplog: Any, delivered: Delivered) -> None:
    bench.stream()
    bench.consumer(deliver_policy="by_start_sequence", opt_start_seq=2)
    fill(bench, 3)
    bench.pull(batch=3)
    for damage in (b"", b"{", b"[[1,2,3,4]]", b'[["a",2,3,4],[]]', b"7", b"\xff\xfe"):
        stream = bench.js.streams["S"]
        bench.gate.put_consumer_state(stream.id, "C", damage)
        bench.gate.commit(lambda error: None)
        bench.settle()
        bench.reopen()
        assert "consumer C of stream S begins anew" in caplog.text
        caplog.clear()
        assert delivered(bench.pull(batch=3)) == [(2, 1), (3, 1)]


def test_a_consumer_that_could_not_be_saved_is_not_there(bench: Any) -> None:
    bench.stream()
    bench.gate.failing = StoreError("disk I/O error")
    body: dict[str, Any] = {"stream_name": "S", "config": {"durable_name": "C", "ack_policy": "explicit"}}
    assert bench.api("CONSUMER.CREATE.S.C", body)["error"]["err_code"] == 10077
    assert bench.js.consumers["S"] == {}
    bench.gate.failing = None
    consumer = bench.consumer()
    bench.gate.failing = StoreError("disk I/O error")
    assert bench.api("CONSUMER.DELETE.S.C")["error"]["err_code"] == 10077
    body["config"]["max_deliver"] = 7
    assert bench.api("CONSUMER.CREATE.S.C", body)["error"]["err_code"] == 10077
    assert bench.js.consumers["S"]["C"] is consumer and consumer.config.max_deliver == -1
    bench.gate.failing = None
    fill(bench, 1)
    assert len(bench.pull(batch=1)) == 1


# ---- requests and time


def test_requests_are_served_in_turn(bench: Any) -> None:
    bench.stream()
    bench.consumer()
    for reply in ("_I.one", "_I.two"):
        bench.account.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", b'{"batch": 2}', reply=reply)
    fill(bench, 4)
    replies = [payload for _, _, _, payload in bench.take()]
    assert replies == [b"0", b"1", b"2", b"3"]
    assert not bench.js.consumers["S"]["C"].way.waiting


def test_who_does_not_listen_any_more_gets_nothing(bench: Any, delivered: Delivered) -> None:
    bench.stream()
    bench.consumer()
    gone = bench.account.subscribe("gone", lambda *message: None)
    bench.account.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", b"5", reply="gone")
    bench.account.unsubscribe(gone)
    bench.pull(batch=1)
    fill(bench, 1)
    assert delivered(bench.take()) == [(1, 1)]


def test_heartbeats_and_the_end_of_a_request(bench: Any, statuses: Statuses) -> None:
    bench.stream()
    bench.consumer()
    bench.pull(batch=5, expires=10 * SECOND, idle_heartbeat=3 * SECOND)
    seen = []
    for _ in range(11):
        bench.pass_time(SECOND)
        seen.append(statuses(bench.take()))
    beat, end = ["100 Idle Heartbeat"], ["408 Request Timeout"]
    assert seen == [[], [], beat, [], [], beat, [], [], beat, end, []]


def test_a_full_queue_of_requests(bench: Any, statuses: Statuses) -> None:
    bench.stream()
    bench.consumer(max_waiting=2)
    assert bench.pull(batch=1) + bench.pull(batch=1) == []
    assert statuses(bench.pull(batch=1)) == ["409 Exceeded MaxWaiting"]
    assert statuses(bench.pull(batch=1, expires=9 * SECOND, idle_heartbeat=SECOND)) == []


def test_an_ephemeral_consumer_goes_when_nobody_asks(bench: Any) -> None:
    bench.stream()
    bench.api("CONSUMER.CREATE.S.E", {"stream_name": "S", "config": {"name": "E", "inactive_threshold": 60 * SECOND}})
    bench.pass_time(50 * SECOND)
    bench.pull("E", batch=1, expires=30 * SECOND)
    bench.pass_time(80 * SECOND)
    assert "E" in bench.js.consumers["S"], "a request that waits is interest, and its end begins the threshold"
    bench.reopen()
    bench.pass_time(50 * SECOND)
    assert "E" in bench.js.consumers["S"], "a restart begins it anew"
    bench.pass_time(11 * SECOND)
    assert bench.js.consumers["S"] == {}
    bench.reopen()
    assert bench.js.consumers["S"] == {}


def test_a_request_of_a_client_that_died_keeps_no_ephemeral_alive(bench: Any) -> None:
    bench.stream()
    bench.api("CONSUMER.CREATE.S.E", {"stream_name": "S", "config": {"name": "E"}})
    gone = bench.account.subscribe("gone", lambda *message: None)
    bench.account.publish("$JS.API.CONSUMER.MSG.NEXT.S.E", b"5", reply="gone")
    bench.pass_time(20 * SECOND)
    assert "E" in bench.js.consumers["S"]
    bench.account.unsubscribe(gone)
    bench.pass_time(10 * SECOND)
    assert bench.js.consumers["S"] == {}


# ---- a stream that loses messages


def test_pending_counts_stay_right_when_messages_go(bench: Any, delivered: Delivered) -> None:
    stream = bench.stream(max_msgs=6)
    consumer = bench.consumer(filter_subject="s.a")
    for subject in ("s.a", "s.b", "s.a", "s.a", "s.b", "s.a"):
        fill(bench, 1, subject)
    assert consumer.num_pending() == 4
    assert delivered(bench.pull(batch=1)) == [(1, 1)]
    stream.delete(3, lambda error: None)
    bench.settle()
    assert consumer.num_pending() == 2
    fill(bench, 1, "s.b")
    fill(bench, 1, "s.b")
    assert consumer.num_pending() == 2 and stream.first_seq == 2 and consumer.acks.pending == {}
    assert delivered(bench.pull(batch=1)) == [(4, 1)]
    bench.settle()
    assert consumer.num_pending() == 1
    bench.api("STREAM.PURGE.S", {"filter": "s.a"})
    assert consumer.num_pending() == 0 and consumer.acks.pending == {}


def test_a_consumer_does_not_look_through_the_stream_again_after_each_removal(bench: Any, delivered: Delivered) -> None:
    """A bounded stream drops a message with every commit."""
    bench.stream(max_msgs=100)
    consumer = bench.consumer(filter_subject="s.rare")
    fill(bench, 150)
    bench.pull(batch=5)
    read: list[int] = []
    scan = consumer.stream.scan

    def watched(first: int, limit: int) -> Any:
        rows = scan(first, limit)
        read.append(len(rows))
        return rows

    consumer.stream.scan = watched
    for _ in range(5):
        fill(bench, 1)
        fill(bench, 1, "s.rare")
    assert delivered(bench.take()) == [(seq, 1) for seq in range(152, 161, 2)]
    assert sum(read) < 50


def test_a_cut_between_a_message_and_who_waited_for_its_ack(bench: Any) -> None:
    """A message is gone from the disk, and the consumer's state does not know yet."""
    stream = bench.stream()
    bench.consumer()
    for _ in range(5):
        bench.stored("s.x")
    bench.pull(batch=5)
    assert bench.api("CONSUMER.INFO.S.C")["num_ack_pending"] == 5
    bench.gate.store.delete(stream.id, [1, 3])
    bench.gate.store.put_stream_state(stream.id, b"")
    bench.settle()
    bench.reopen()
    info = bench.api("CONSUMER.INFO.S.C")
    assert info["num_ack_pending"] == 3 and info["ack_floor"]["stream_seq"] == 1
