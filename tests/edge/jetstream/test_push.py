"""How much a push sends at once, and what it waits for."""

import json
from typing import Any

from edge.core.peer import Link, Subscription
from edge.core.times import SECOND
from edge.jetstream.push import HOLD_NS, SLICE

BIG = 40_000


class Leaf(Link):
    def __init__(self) -> None:
        super().__init__("hub")
        self.sent: list[str] = []
        self.congested = False

    def is_congested(self) -> bool:
        return self.congested

    def enqueue(self, subject: str, reply: str, queues: list[str], headers: bytes, payload: bytes) -> bool:
        self.sent.append(reply)
        self.congested = len(self.sent) == 5
        return True


def fill(bench: Any, messages: int, size: int = BIG) -> list[Any]:
    """A stream with so many messages, and what is pushed to ``d.here``."""
    bench.stream()
    pushed: list[Any] = []
    bench.account.subscribe("d.here", lambda *message: pushed.append(message))
    for _ in range(messages):
        bench.publish("s.1", bytes(size), reply="")
    bench.settle()
    return pushed


def push(bench: Any, subject: str) -> None:
    bench.consumer(ack_policy="none", deliver_subject=subject)


def test_others_get_their_turn(bench: Any) -> None:
    """A slice at a time; the timer goes on with the next."""
    pushed = fill(bench, 40)
    push(bench, "d.here")
    first = len(pushed)
    assert 0 < first < 40
    assert first * BIG <= SLICE + BIG
    assert bench.jetstream.deadline() == bench.now
    bench.pass_time(0)
    assert len(pushed) == 40


def test_small_messages_come_to_an_end_too(bench: Any) -> None:
    pushed = fill(bench, 3000, 0)
    push(bench, "d.here")
    assert 0 < len(pushed) < 1200
    bench.pass_time(0)
    assert len(pushed) == 3000


def test_a_leaf_connection_that_does_not_keep_up_is_waited_for(bench: Any) -> None:
    """What is sent to it meanwhile would be lost."""
    leaf = Leaf()
    bench.account.add(Subscription(leaf, "d.leaf", announce=False))
    fill(bench, 12)
    push(bench, "d.leaf")
    bench.pass_time(SECOND)
    assert len(leaf.sent) == 5
    leaf.congested = False
    bench.pass_time(HOLD_NS)
    assert len(leaf.sent) == 12
    assert [reply.split(".")[6] for reply in leaf.sent] == [str(number) for number in range(1, 13)]


def test_the_place_of_a_watcher_is_saved_once_in_a_while(bench: Any) -> None:
    """With each message it would cost more than the message; a clean end saves it too."""
    bench.stream()
    bench.account.subscribe("watch", lambda *message: None)
    config = {"name": "W", "deliver_subject": "watch", "ack_policy": "none", "inactive_threshold": 3600 * SECOND}
    bench.api("CONSUMER.CREATE.S.W", {"stream_name": "S", "config": config})
    bench.pass_time(SECOND)

    def delivered() -> int:
        """As of what is on disk."""
        bench.settle()
        (state,) = [record.state for record in bench.gate.load().consumers]
        return int(json.loads(state)[0][1])

    for _ in range(3):
        bench.stored("s.a")
        assert delivered() == 1
        bench.pass_time(SECOND // 10)
    bench.pass_time(SECOND)
    assert delivered() == 3
    bench.stored("s.a")
    bench.jetstream.settle()
    assert delivered() == 4
