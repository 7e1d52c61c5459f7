"""Pull requests that wait: turns that end, and receivers that do not keep up."""

import json
from typing import Any

from edge.core.peer import Service
from edge.jetstream.pulls import HOLD_NS, PER_MESSAGE, SLICE

LARGE = 100_000


def fill(bench: Any, count: int, size: int = LARGE) -> None:
    bench.stream()
    bench.consumer(ack_policy="none")
    for _ in range(count):
        bench.publish("s.a", b"x" * size, reply="")
    bench.settle()
    bench.take()


def ask(bench: Any, **fields: object) -> None:
    bench.account.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", json.dumps(fields).encode(), reply="_I.pull")
    bench.settle()


def test_a_large_batch_goes_in_turns(bench: Any) -> None:
    fill(bench, 20)
    ask(bench, batch=20)
    first = len(bench.take())
    assert 1 < first <= SLICE // LARGE + 1
    bench.pass_time(1)
    assert first + len(bench.take()) == 20 and bench.jetstream.deadline() is None


def test_what_waits_for_nothing_waits_for_its_next_turn(bench: Any, statuses: Any) -> None:
    fill(bench, 20)
    ask(bench, batch=30, no_wait=True)
    assert statuses(bench.take()) == []
    bench.pass_time(1)
    messages = bench.take()
    assert statuses(messages) == ["404 No Messages"] and messages[-1][2]


def test_small_messages_end_a_turn_too(bench: Any) -> None:
    fill(bench, SLICE // PER_MESSAGE, 1)
    ask(bench, batch=10_000)
    assert len(bench.take()) < SLICE // PER_MESSAGE


def test_who_has_much_to_take_already_waits(bench: Any, monkeypatch: Any, statuses: Any) -> None:
    fill(bench, 3)
    loaded = [True]
    monkeypatch.setattr(Service, "is_loaded", lambda service: loaded[0])
    ask(bench, batch=2, no_wait=True)
    bench.pass_time(10 * HOLD_NS)
    assert bench.take() == []
    loaded[0] = False
    bench.pass_time(HOLD_NS)
    assert len(bench.take()) == 2
    ask(bench, batch=2, no_wait=True)
    messages = bench.take()
    assert len(messages) == 2 and statuses(messages) == ["404 No Messages"]


def test_a_push_waits_too(bench: Any, monkeypatch: Any) -> None:
    fill(bench, 3)
    loaded = [True]
    monkeypatch.setattr(Service, "is_loaded", lambda service: loaded[0])
    bench.account.subscribe("_I.push", lambda *message: None)
    bench.api("CONSUMER.CREATE.S", {"stream_name": "S", "config": {"deliver_subject": "_I.push", "ack_policy": "none"}})
    bench.pass_time(10 * HOLD_NS)
    assert bench.take() == []
    loaded[0] = False
    bench.pass_time(HOLD_NS)
    assert len(bench.take()) == 3
