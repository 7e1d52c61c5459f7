"""Beside what ``test_uplink`` has in common for both ways to publish."""

from collections.abc import Callable
from typing import Any

import pytest

from edge.errors import StoreError
from edge.uplink.delivery import receipt_subject
from edge.uplink.uplink import SECOND, State

MS = 1_000_000


@pytest.fixture
def make_batched(make_batched_world: Callable[..., Any], make_options: Callable[..., Any]) -> Callable[..., Any]:
    """A hub that takes batches, an edge that is live, and ``told``: what the hub says."""

    def make(**options: Any) -> Any:
        world = make_batched_world(make_options(**options))
        world.told = []
        answer = world.answer
        world.answer = lambda reply, fields: (world.told.append(fields), answer(reply, fields))
        world.connect()
        world.run(SECOND)
        world.told.clear()
        return world

    return make


def pubacks(world: Any) -> list[dict[str, object]]:
    return [fields for fields in world.told if "stream" in fields]


def test_one_answer_for_many(make_batched: Callable[..., Any]) -> None:
    world = make_batched(window=1024)
    world.hub.flow = 500
    world.store(8)
    world.run(SECOND)
    assert [fields["count"] for fields in pubacks(world)] == [8]
    assert world.arrived() == list(range(1, 9)) and world.uplink.delivery.window.known == 8
    world.settle()
    assert world.messages == 0


def test_what_comes_in_a_moment_goes_together(make_batched: Callable[..., Any]) -> None:
    world = make_batched(window=1024, gather_ns=100 * MS)
    for _ in range(9):
        world.store(1)
        world.run(10 * MS)
    assert world.arrived() == []
    world.run(40 * MS)
    assert world.arrived() == list(range(1, 10))
    world.run(SECOND)
    assert [fields["count"] for fields in pubacks(world)] == [9]
    world.store(1)
    world.run(90 * MS)
    assert len(world.arrived()) == 9
    world.run(40 * MS)
    assert len(world.arrived()) == 10


def test_nothing_is_gathered_of_a_backlog(make_batched: Callable[..., Any]) -> None:
    world = make_batched(window=1024, gather_ns=100 * MS)
    world.cut()
    world.store(20)
    world.run(5 * SECOND)
    world.connect()
    world.run(90 * MS)
    assert len(world.arrived()) == 20


@pytest.mark.parametrize("flow", [1, 3, 500])
def test_behind_a_gap_the_hub_takes_nothing_and_then_all_of_it_once(make_batched: Callable[..., Any], flow: int) -> None:
    world = make_batched(window=200, order="strict")
    world.hub.flow = flow
    arrive, lost = world.arrive, []

    def lose_one(subject: str, payload: bytes, reply: str, headers: bytes) -> None:
        if payload == b"7" and not lost:
            lost.append(reply)
        else:
            arrive(subject, payload, reply, headers)

    world.arrive = lose_one
    world.store(100)
    world.run(10 * SECOND)
    assert lost and world.arrived() == list(range(1, 101))


def test_the_word_of_a_gap_may_be_lost(make_batched: Callable[..., Any]) -> None:
    world = make_batched(window=200)
    arrive, answer = world.arrive, world.answer
    world.arrive = lambda subject, payload, *rest: None if payload == b"3" and not pubacks(world) else arrive(
        subject, payload, *rest
    )
    world.answer = lambda reply, fields: None if fields.get("type") == "gap" else answer(reply, fields)
    world.store(6)
    world.run(20 * SECOND)
    assert sorted(world.arrived()) == list(range(1, 7)) and world.uplink.state is State.LIVE


def test_a_hub_that_takes_no_more_batches_gets_each_by_itself(make_batched: Callable[..., Any]) -> None:
    world = make_batched()
    error = {"code": 429, "err_code": 10211, "description": "batch publish too many inflight"}
    world.hub.batch = lambda reply, store, answer: answer({"error": error})
    world.store(30)
    world.run(5 * SECOND)
    assert world.arrived() == list(range(1, 31)) and not world.dead
    assert not any("batch" in fields for fields in pubacks(world))


def test_a_hub_that_makes_no_batch_of_what_is_one(make_batched: Callable[..., Any]) -> None:
    """An account in between gives replies other names: each is published by itself there."""
    world = make_batched()
    world.hub.batch = lambda reply, store, answer: answer(store())
    world.store(30)
    world.settle()
    assert world.arrived() == list(range(1, 31)) and world.messages == 0


def test_the_subject_of_receipts_is_one_that_the_hub_takes() -> None:
    assert receipt_subject("telemetry.>", "e1") == "telemetry.e1.lost"
    assert receipt_subject("telemetry.e1.>", "e1") == "telemetry.e1.lost"
    assert receipt_subject("a.*.b", "e 1") == "a.e_1.b"


def test_what_was_sent_before_goes_by_itself(make_batched: Callable[..., Any]) -> None:
    """A leader without a quorum may take a repeat in a batch for stored that is only proposed."""
    world = make_batched(window=200)
    arrive, replies = world.arrive, []

    def hear(subject: str, payload: bytes, reply: str, headers: bytes) -> None:
        if subject.startswith("telemetry"):
            replies.append((payload, "$FI" in reply))
        arrive(subject, payload, reply, headers)

    world.arrive = hear
    world.publish_loss = 1.0
    world.store(8)
    world.run(100 * MS)
    world.publish_loss = 0.0
    world.run(20 * SECOND)
    world.store(8)
    world.run(SECOND)
    assert world.arrived() == list(range(1, 17))
    assert [in_batch for _, in_batch in replies] == [True] * 8 + [False] * 8 + [True] * 8


def test_a_batch_of_which_nothing_was_stored(make_batched: Callable[..., Any]) -> None:
    world = make_batched(window=200)
    batch, lost = world.hub.batch, []

    def forget(reply: str, store: Any, answer: Any) -> None:
        if lost:
            batch(reply, store, answer)
        elif ".2.$FI" in reply:
            lost.append(reply)
            answer({"stream": "TELEMETRY", "seq": 0, "batch": "x", "count": 0})

    world.hub.batch = forget
    world.store(9)
    world.run(10 * SECOND)
    assert lost and sorted(world.arrived()) == list(range(1, 10))


def test_no_answer_counts_what_was_refused(make_batched: Callable[..., Any]) -> None:
    world = make_batched(window=200)
    batch, refused = world.hub.batch, []

    def refuse_third(reply: str, store: Any, answer: Any) -> None:
        if reply.split(".")[-3] == "3" and not refused:
            refused.append(reply)
            answer({"error": {"code": 503, "err_code": 10077, "description": "store failed"}})
            world.hub.batches[reply.split(".")[-6]][0] += 1  # and it goes on as if it had it
            return
        batch(reply, store, answer)

    world.hub.batch = refuse_third
    world.store(9)
    world.run(10 * SECOND)
    assert refused and sorted(world.arrived()) == list(range(1, 10))


def test_the_last_of_a_batch_that_is_refused_for_good_leaves_nothing_in_flight(make_batched: Callable[..., Any]) -> None:
    world = make_batched(window=200)
    world.refusals[b"8"] = {"code": 400, "err_code": 10166, "description": "per-message TTL is disabled"}
    world.store(8)
    world.run(200 * MS)
    assert len(world.uplink.delivery.window) == 0 and world.line.pace.in_flight == 0
    assert world.arrived() == list(range(1, 8)) and len(world.dead) == 1 and world.uplink.state is State.LIVE


def test_a_batch_that_nobody_knows_any_more_is_not_the_last_one(make_batched: Callable[..., Any]) -> None:
    world = make_batched(window=200)
    world.refusals[b"1"] = {"code": 400, "err_code": 10208, "description": "batch publish ID unknown"}
    world.store(4)
    world.run(SECOND)
    world.refusals.clear()
    world.run(10 * SECOND)
    world.told.clear()
    world.store(4)
    world.run(SECOND)
    assert [fields.get("count") for fields in pubacks(world)] == [4]


def test_a_hub_that_is_full_for_a_day_costs_no_memory(make_batched: Callable[..., Any]) -> None:
    world = make_batched(window=200)
    world.store(300)
    for seq in range(1, 301):
        world.refusals[b"%d" % seq] = {"code": 503, "err_code": 10077, "description": "maximum messages exceeded"}
    world.run(600 * SECOND)
    assert len(world.uplink.delivery.window.overdue) <= 200
    world.refusals.clear()
    world.settle()
    assert sorted(world.arrived()) == list(range(1, 301))


def test_a_dead_letter_that_could_not_be_stored_while_the_link_was_away(make_batched: Callable[..., Any]) -> None:
    world = make_batched(window=200)
    put, fails = world.put, [True]

    def put_later(row: Any, msg_id: str, reason: str) -> None:
        if fails:
            world.in_process(50 * MS, lambda: world.uplink.on_buried(row.seq, StoreError("disk full"), world.now))
        else:
            put(row, msg_id, reason)

    world.put = put_later
    world.refusals[b"3"] = {"code": 400, "err_code": 10166, "description": "per-message TTL is disabled"}
    world.store(8)
    world.run(40 * MS)
    world.cut()
    world.run(SECOND)
    fails.clear()
    world.settle()
    assert sorted(world.arrived()) == [1, 2, 4, 5, 6, 7, 8] and len(world.dead) == 1 and world.messages == 0
