"""What goes in bursts is byte by byte what goes one by one, and is accounted for in the same way."""

import json
from typing import Any

import pytest

from edge.core.client import Client
from edge.core.peer import Peer, PeerKind, Subscription
from edge.protocol import nats

SLOW = "slow"


class Receiver(Peer):
    """A client's outbox.  ``bursts``: it takes finished frames."""

    def __init__(self, bursts: bool) -> None:
        super().__init__(PeerKind.CLIENT, "receiver")
        self.bursts = bursts
        self.out: list[bytes] = []
        self.singles = self.messages = self.size = 0

    def takes_frames(self, sub: Subscription) -> bool:
        return self.bursts

    def put(self, data: bytes, count: int, size: int) -> None:
        self.out.append(data)
        self.messages += count
        self.size += size

    def give(self, sub: Subscription, subject: str, reply: str, headers: bytes, payload: bytes) -> bool:
        size = len(headers) + len(payload)
        sub.delivered += 1
        self.singles += 1
        self.put(nats.msg_head(subject, sub.sid, reply, len(headers), size) + headers + payload + b"\r\n", 1, size)
        return True


def listen(bench: Any, bursts: bool, subject: str) -> tuple[Receiver, Subscription]:
    receiver = Receiver(bursts)
    sub = Subscription(receiver, subject, sid=b"7")
    bench.account.add(sub)
    return receiver, sub


def fill(bench: Any) -> None:
    bench.stream(allow_direct=True)
    for i in range(700):
        headers = {"Kind": str(i)} if i % 3 == 0 else {}
        bench.publish(f"s.{i % 4}", bytes(i % 50), reply="", **headers)
        if i % 100 == 0:
            bench.publish("s.\udcff", b"not UTF-8", reply="")
            bench.flush()
    bench.settle()


PUSHED: list[dict[str, Any]] = [
    {"ack_policy": "none"},
    {"ack_policy": "none", "flow_control": True, "idle_heartbeat": 5_000_000_000, "filter_subject": "s.1"},
    {"ack_policy": "explicit", "max_ack_pending": 300},
    {"ack_policy": "none", "deliver_policy": "last_per_subject", "filter_subject": "s.>"},
    {"ack_policy": "none", "headers_only": True},
    {"ack_policy": "none", "rate_limit_bps": 1_000_000},
]


@pytest.mark.parametrize("config", PUSHED, ids=str)
def test_pushed(make_bench: Any, config: dict[str, Any]) -> None:
    seen = []
    for bursts in (True, False):
        bench = make_bench()
        fill(bench)
        receiver, sub = listen(bench, bursts, "d.here")
        consumer = bench.consumer(deliver_subject="d.here", **config)
        bench.pass_time(2_000_000_000)
        bench.publish("s.1", b"the last", reply="")
        bench.settle()
        is_plain = "deliver_policy" not in config and "headers_only" not in config and "rate_limit_bps" not in config
        assert (receiver.singles == 0) is (bursts and is_plain)
        assert sub.delivered == receiver.messages > 0
        state = json.loads(consumer.acks.encode())
        seen.append((b"".join(receiver.out), receiver.size, state, consumer.num_pending(), consumer.acks.deadline()))
    assert seen[0] == seen[1]


PULLED: list[dict[str, Any]] = [
    {"batch": 300},
    {"batch": 1000, "no_wait": True},
    {"batch": 300, "max_bytes": 3000},
    {"batch": 0},
]


@pytest.mark.parametrize("request_", PULLED, ids=str)
@pytest.mark.parametrize("max_ack_pending", [-1, 450])
def test_pulled(make_bench: Any, request_: dict[str, Any], max_ack_pending: int) -> None:
    seen = []
    for bursts in (True, False):
        bench = make_bench()
        fill(bench)
        receiver, _ = listen(bench, bursts, "_P.*")
        consumer = bench.consumer(max_ack_pending=max_ack_pending, filter_subjects=["s.1", "s.2", "s.\udcff"])
        for name in ("a", "b"):
            bench.account.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", json.dumps(request_).encode(), reply=f"_P.{name}")
            bench.settle()
            bench.pass_time(0)
        bench.account.publish("$JS.ACK.S.C.1.2.1.0.0", b"-NAK")  # what comes again goes by itself, and first
        bench.settle()
        bench.account.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", b"3", reply="_P.c")
        bench.settle()
        bench.pass_time(31_000_000_000)
        state = json.loads(consumer.acks.encode())
        seen.append((b"".join(receiver.out), receiver.size, state, consumer.num_pending()))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("replies", ["aaa", "aab"])
def test_pulled_by_several_requests(make_bench: Any, replies: str) -> None:
    """Each gets its share in turn, whether they go one way or not; what they lack is said when they end."""
    seen = []
    for bursts in (True, False):
        bench = make_bench()
        bench.stream()
        receiver, _ = listen(bench, bursts, "_P.*")
        consumer = bench.consumer()
        for reply, batch in zip(replies, (7, 150, 40), strict=True):
            body = json.dumps({"batch": batch, "expires": 5_000_000_000, "idle_heartbeat": 2_000_000_000}).encode()
            bench.account.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", body, reply=f"_P.{reply}")
        for _ in range(130):
            bench.publish("s.1", reply="")
        bench.settle()
        assert (receiver.singles == 0) is (bursts and replies == "aaa")
        left = [request.batch for request in consumer.way.waiting]
        bench.pass_time(6_000_000_000)
        seen.append((b"".join(receiver.out), left, json.loads(consumer.acks.encode())))
    assert seen[0] == seen[1] and sum(seen[0][1]) == 197 - 130


def test_what_was_dropped_meanwhile_is_not_delivered(make_bench: Any) -> None:
    bench = make_bench()
    fill(bench)
    receiver, _ = listen(bench, True, "_P.*")
    consumer = bench.consumer()
    bench.account.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", b"10", reply="_P.a")
    bench.settle()
    bench.js.streams["S"].drop_before(20)
    bench.settle()
    bench.account.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", b"10", reply="_P.b")
    bench.settle()
    assert receiver.messages == 20 and consumer.num_pending() == 707 - 29
    assert b"".join(receiver.out).split(b"$JS.ACK.S.C.1.")[11].startswith(b"20.11.")


def test_who_takes_frames(make_bench: Any) -> None:
    from edge.core.permissions import Permissions, ResponseRule, SubjectRule

    client = object.__new__(Client)
    client.trace, client.headers, client.may_answer, client.permissions = None, True, None, None
    sub = Subscription(client, "a")
    assert client.takes_frames(sub)
    sub.max = 3
    assert not client.takes_frames(sub)
    sub.max = 0
    client.permissions = Permissions(subscribe=SubjectRule(("a",)), responses=ResponseRule())
    assert client.takes_frames(sub)
    client.may_answer = {}
    assert not client.takes_frames(sub)
    client.may_answer, client.permissions = None, Permissions(subscribe=SubjectRule(deny=("b",)))
    assert not client.takes_frames(sub)
    client.permissions, client.headers = None, False
    assert not client.takes_frames(sub)
