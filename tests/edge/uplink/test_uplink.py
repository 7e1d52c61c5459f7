from collections.abc import Callable
from typing import Any

import pytest

from edge.uplink.progress import Progress
from edge.uplink.uplink import SECOND, State

MS = 1_000_000


def test_what_is_stored_goes_up_in_order_and_leaves_the_backlog_when_acknowledged(world: Any) -> None:
    world.connect()
    world.store(30)
    world.run(5 * SECOND)
    assert world.arrived() == list(range(1, 31))
    assert world.messages == 0
    assert world.uplink.state is State.LIVE
    assert world.uplink.delivery.window.floor == 30 and world.uplink.delivery.window.known == 30
    progress = Progress.decode("T", world.saved)
    assert (progress.acked, progress.hub_seq) == (30, 30)
    assert world.hub.messages[1].msg_id == "e1:EPOCH:1"


def test_nothing_is_sent_without_a_link_and_all_of_it_at_once_with_one(world: Any) -> None:
    world.store(20)
    world.run(3600 * SECOND)
    assert world.uplink.state is State.DOWN and world.arrived() == []
    world.connect()
    world.run(SECOND)
    assert world.arrived() == list(range(1, 21))


def test_no_more_than_the_window_is_in_flight(world: Any) -> None:
    world.connect()
    world.run(SECOND)
    world.ack_loss = 1.0
    world.store(100)
    world.run(SECOND)
    assert len(world.arrived()) == world.options.window


def test_messages_whose_acks_were_lost_with_the_link_are_not_stored_twice(world: Any) -> None:
    world.connect()
    world.run(SECOND)
    world.ack_loss = 1.0
    world.store(20)
    world.run(100 * MS)
    assert len(world.arrived()) == 8
    world.cut()
    world.run(3600 * SECOND)  # far beyond the hub's dedupe window
    world.settle()
    assert world.arrived() == list(range(1, 21))


def test_messages_that_were_lost_with_the_link_are_sent_again(world: Any) -> None:
    world.connect()
    world.run(SECOND)
    world.publish_loss = 1.0
    world.store(20)
    world.run(100 * MS)
    world.cut()
    world.run(3600 * SECOND)
    world.settle()
    assert world.arrived() == list(range(1, 21))


@pytest.mark.parametrize("lag", [0, 10, 100])
def test_many_in_doubt_are_found_in_a_few_round_trips(make_world: Any, make_options: Any, lag: int) -> None:
    world = make_world(0, make_options(window=100))
    world.connect()
    world.run(SECOND)
    world.ack_loss = 1.0
    world.line.pace.limit = 1 << 16
    world.store(100)
    world.run(100 * MS)
    assert len(world.arrived()) == 100
    world.cut()
    world.run(3600 * SECOND)
    world.ack_loss = 0.0
    world.lag = lag
    asked = world.uplink.questions
    world.settle()
    assert world.arrived() == list(range(1, 101))
    assert world.messages == 0
    assert lag or world.uplink.questions - asked <= 2 + 3


def test_a_hub_that_makes_no_consumers(make_world: Any, make_options: Any) -> None:
    world = make_world(0, make_options(window=100))
    world.connect()
    world.run(SECOND)
    world.ack_loss = 1.0
    world.line.pace.limit = 1 << 16
    world.store(100)
    world.run(100 * MS)
    world.cut()
    world.run(3600 * SECOND)
    world.connect()
    world.run(60 * SECOND)  # the consumer's messages are lost as well
    assert world.uplink.state is State.LIVE
    world.settle()
    assert world.arrived() == list(range(1, 101))


def test_a_kill_with_acks_on_the_way(world: Any) -> None:
    world.connect()
    world.run(SECOND)
    world.store(500)
    for _ in range(40):
        world.run(15 * MS)
        world.kill()
        world.run(10 * SECOND)
        world.connect()
        world.run(60 * MS)
    world.settle()
    assert world.arrived() == list(range(1, 501))
    assert world.messages == 0


def test_a_leader_that_comes_back_late(world: Any) -> None:
    world.connect()
    world.store(5)
    world.run(SECOND)
    world.leaderless = True
    world.store(50)
    world.run(30 * SECOND)
    assert world.uplink.state is State.BLOCKED
    assert "no answer" in world.uplink.reason
    world.leaderless = False
    world.run(10 * SECOND)
    assert world.arrived() == list(range(1, 56))


def test_nothing_new_overtakes_a_message_without_an_answer(make_world: Any, make_options: Any) -> None:
    world = make_world(0, make_options(order="strict"))
    world.connect()
    world.run(SECOND)
    world.publish_loss = 1.0
    world.store(1)
    world.run(100 * MS)
    world.publish_loss = 0.0
    world.leaderless = True  # for as long as an election takes
    for _ in range(40):
        world.store(1)
        world.run(100 * MS)
    world.leaderless = False
    world.run(20 * SECOND)
    assert world.arrived() == list(range(1, 42))


def test_one_lost_ack_under_traffic_is_noticed(world: Any) -> None:
    world.connect()
    world.run(SECOND)
    world.ack_loss = 1.0
    world.store(1)
    world.run(30 * MS)
    world.ack_loss = 0.0
    for _ in range(50):
        world.store(1)
        world.run(300 * MS)
    assert world.uplink.delivery.window.floor >= 50
    world.settle()
    assert world.arrived() == list(range(1, 52))


@pytest.mark.parametrize("code, err_code", [(400, 10054), (400, 10097)])
def test_what_will_never_be_taken_is_a_dead_letter_and_nothing_waits_for_it(
    world: Any, code: int, err_code: int
) -> None:
    world.refusals[b"3"] = {"code": code, "err_code": err_code, "description": "message size exceeds maximum allowed"}
    world.connect()
    world.store(10)
    world.run(5 * SECOND)
    assert sorted(world.arrived()) == [1, 2, *range(4, 11)]
    reading, reason = world.dead["e1:EPOCH:3"]
    assert reading.payload == b"3" and reason == "message size exceeds maximum allowed"
    assert world.uplink.delivery.dead == 1 and world.messages == 0


def test_a_subject_that_the_hub_does_not_permit_is_a_dead_letter(world: Any) -> None:
    world.connect()
    world.store(2)
    world.forbidden = "telemetry.secret0"
    world.rows[3] = world.rows[2]._replace(seq=3, subject=world.forbidden)
    world.last_seq = 3
    world.store(2)
    world.run(5 * SECOND)
    assert [reason for _, reason in world.dead.values()] == ["not permitted"]
    assert len(world.arrived()) == 4 and world.messages == 0


def test_what_may_succeed_later_is_kept_and_tried_again(world: Any) -> None:
    world.refusals[b"3"] = {"code": 503, "err_code": 10023, "description": "insufficient resources"}
    world.connect()
    world.store(3)
    world.run(60 * SECOND)
    assert world.uplink.state is State.BLOCKED and world.uplink.reason == "insufficient resources"
    assert world.arrived() == [1, 2] and not world.dead
    world.refusals.clear()
    world.run(10 * SECOND)
    assert world.arrived() == [1, 2, 3]


def test_a_stream_that_does_not_take_the_subjects(world: Any) -> None:
    world.hub.subjects = ("other.>",)
    world.connect()
    world.store(3)
    world.run(60 * SECOND)
    assert "does not take telemetry.>" in world.uplink.reason
    assert world.arrived() == []


def test_a_hub_stream_that_was_made_anew(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    world.connect()
    world.store(10)
    world.run(5 * SECOND)
    world.cut()
    world.hub = type(world.hub)(created="2026-11-24T00:00:00Z", batched=world.hub.batched)
    world.store(10)
    world.run(10 * SECOND)
    world.settle()
    assert world.arrived() == list(range(11, 21))
    assert "is a new one, created 2026-11-24T00:00:00Z; it goes on, as on_hub_loss: continue says" in caplog.text


def test_a_hub_stream_that_has_lost_its_end(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    world.connect()
    world.store(10)
    world.run(5 * SECOND)
    world.cut()
    for seq in range(6, 11):
        del world.hub.messages[seq]
    world.hub.last_seq = 5
    world.store(10)
    world.settle()
    assert world.arrived() == [*range(1, 6), *range(11, 21)]
    assert "has lost messages" in caplog.text


def test_a_purged_hub_stream(world: Any) -> None:
    world.connect()
    world.store(10)
    world.run(5 * SECOND)
    world.cut()
    world.hub.messages.clear()
    world.store(10)
    world.settle()
    assert world.arrived() == list(range(11, 21))


def test_rows_that_the_backlogs_limits_took_are_counted_and_said(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    world.store(20)
    for seq in range(1, 8):
        del world.rows[seq]
    world.settle()
    assert world.arrived() == list(range(8, 21))
    assert world.uplink.delivery.losses.total == 7
    assert world.receipts() == ["1-7; limits; 7"]
    assert "dropped 7 messages that the hub has not got (1 to 7)" in caplog.text


def test_other_writers_of_the_hub_stream(world: Any) -> None:
    world.connect()
    world.run(SECOND)
    for seq in range(50):
        world.hub.publish("telemetry.e2.d1.t0", f"e2:X:{seq}", b"0", world.now)
        world.hub.publish("telemetry.e1.d1.t0", "", b"0", world.now)
        world.store(1)
        world.run(5 * MS)
        if seq % 10 == 9:
            world.kill()
            world.run(5 * SECOND)
            world.connect()
    world.settle()
    assert [seq for seq in world.arrived() if seq] == list(range(1, 51))


def test_a_full_disk_does_not_stop_what_is_stored_from_leaving(world: Any) -> None:
    world.connect()
    world.run(SECOND)
    world.disk_fails = True
    world.store(8)
    world.run(5 * SECOND)
    assert world.arrived() == list(range(1, 9))
    assert world.messages == 8  # not forgotten before that is on disk
    world.settle()
    assert world.arrived() == list(range(1, 9)) and world.messages == 0


def test_a_slow_line_is_not_a_silent_one(world: Any) -> None:
    world.connect()
    world.run(SECOND)
    world.publish_loss = 1.0
    world.pending_bytes = 5000
    world.store(1)
    world.run(60 * SECOND)
    assert world.uplink.state is State.LIVE
    world.pending_bytes = 0
    world.publish_loss = 0.0
    world.run(10 * SECOND)
    assert world.arrived() == [1]


def test_answers_nobody_asked_for(world: Any) -> None:
    world.connect()
    world.store(1)
    world.run(SECOND)
    for token in ("99", "q0x1.3.fail.1.0.$FI", "q", "q1", "q99999", "q0x1.3.fail.x.0.$FI", "", "-1", "9" * 40, "q0x1.3.fail.0.0.$FI"):
        for body in (b"", b"[]", b"{", b'{"stream":"TELEMETRY","seq":7}', b'{"stream":"TELEMETRY","seq":"x"}'):
            world.uplink.on_reply(token, b"", body, world.now)
    world.settle()
    world.store(120)
    world.settle()
    assert world.arrived() == list(range(1, 122))


@pytest.mark.parametrize("seed", range(50))
def test_exactly_once_whatever_happens(
    make_world: Callable[..., Any], make_options: Callable[..., Any], seed: int
) -> None:
    """Cuts, kills, lost, repeated and reordered answers, elections and full disks, at random."""
    world = make_world(seed, make_options(window=(1, 2, 5, 12, 60)[seed % 5]))
    chance = world.random
    for _ in range(60):
        world.publish_loss = chance.choice([0, 0, 0.1, 1.0])
        world.ack_loss = chance.choice([0, 0, 0.1, 0.5, 1.0])
        world.repeat = chance.choice([0, 0.3])
        world.lag = chance.choice([0, 0, 5, 100])
        world.limbo = chance.choice([0, 0, 0.3])
        world.jitter_ns = chance.choice([0, 50 * MS])
        world.leaderless = chance.random() < 0.1
        world.disk_fails = chance.random() < 0.1
        world.store(chance.choice([0, 5, 20, 80]))
        world.run(chance.choice([1 * MS, 15 * MS, 25 * MS, 100 * MS, SECOND, 3 * SECOND, 20 * SECOND]))
        match chance.randrange(5):
            case 0:
                world.kill()
            case 1:
                world.cut()
            case 2 | 3:
                world.connect()
    world.settle()
    assert sorted(world.arrived()) == list(range(1, world.last_seq + 1))
    assert world.messages == 0 and not world.dead


@pytest.mark.parametrize("seed", range(15))
def test_in_order_where_the_hub_loses_nothing_in_the_middle(
    make_world: Callable[..., Any], make_options: Callable[..., Any], seed: int
) -> None:
    """A cut, a kill or a dead leader takes everything behind a point: then the order holds as well."""
    world = make_world(seed, make_options(order="strict"))
    chance = world.random
    for _ in range(60):
        world.leaderless = chance.random() < 0.2
        world.store(chance.randrange(20))
        world.run(chance.choice([1 * MS, 15 * MS, 25 * MS, 100 * MS, SECOND, 20 * SECOND]))
        match chance.randrange(5):
            case 0:
                world.kill()
            case 1:
                world.cut()
            case 2 | 3:
                world.connect()
        if world.leaderless:
            world.run(4 * SECOND)  # no election is shorter
    world.settle()
    assert world.arrived() == list(range(1, world.last_seq + 1))


def test_what_is_fresh_goes_before_a_backlog_and_the_backlog_gets_on(world: Any) -> None:
    world.store(2000)
    world.run(3600 * SECOND)
    world.bytes_per_s = 8000
    world.connect()
    world.run(2 * SECOND)
    waited, before = [], len(world.arrived())
    for _ in range(100):
        world.store(1)
        began = world.now
        while world.last_seq not in world.arrived():
            world.run(20 * MS)
        waited.append(world.now - began)
        world.run(300 * MS)
    assert max(waited) < 2 * SECOND, max(waited)
    assert len(world.arrived()) - before > 200  # a good part of it was the backlog's
    world.bytes_per_s = 0
    world.settle()
    assert sorted(world.arrived()) == list(range(1, 2101)) and world.messages == 0


def test_what_went_ahead_is_known_after_a_kill(world: Any) -> None:
    world.store(3000)
    world.run(10 * SECOND)
    world.bytes_per_s = 4000
    world.connect()
    for _ in range(20):
        world.store(5)
        world.run(SECOND)
    assert list(world.uplink.delivery.window.settled)
    ahead = [seq for seq in world.arrived() if seq > 3000]
    world.run(2 * SECOND)
    assert ahead and not any(seq in world.rows for seq in ahead)  # settled and gone, though the backlog is not
    world.kill()
    assert any(ahead[0] in range(first, last + 1) for first, last in world.uplink.delivery.window.settled)
    world.run(3600 * SECOND)
    world.bytes_per_s = 0
    world.settle()
    assert sorted(world.arrived()) == list(range(1, world.last_seq + 1)) and world.messages == 0


def test_a_line_too_slow_for_what_comes_carries_what_is_fresh(world: Any) -> None:
    world.connect()
    world.run(SECOND)
    world.bytes_per_s = 2000
    for _ in range(60):
        world.store(40)  # twice as much as there is room for
        world.run(SECOND)
    newest = max(world.arrived())
    assert world.last_seq - newest < 40 * 4 + world.messages // 8  # where too many pieces would be left
    assert len(world.uplink.delivery.window.settled) <= 64
    world.bytes_per_s = 0
    world.settle()
    assert sorted(world.arrived()) == list(range(1, world.last_seq + 1))


@pytest.mark.parametrize("seed", range(20))
def test_the_books_balance_whatever_the_limits_take(
    make_world: Callable[..., Any], make_options: Callable[..., Any], seed: int
) -> None:
    """Everything that was stored here has come to the hub once, or the hub was told that it will not."""
    world = make_world(seed, make_options(window=(3, 20, 60)[seed % 3]))
    chance = world.random
    for _ in range(40):
        world.ack_loss = chance.choice([0, 0, 0.3, 1.0])
        world.publish_loss = chance.choice([0, 0, 0.3])
        world.bytes_per_s = chance.choice([0, 0, 3000])
        world.disk_fails = chance.random() < 0.1
        world.store(chance.choice([0, 5, 20, 80]))
        world.run(chance.choice([1 * MS, 25 * MS, 100 * MS, SECOND, 20 * SECOND]))
        if chance.random() < 0.4:
            world.take(sorted(world.rows)[: chance.randrange(40)])
        match chance.randrange(5):
            case 0:
                world.kill()
            case 1:
                world.cut()
            case 2 | 3:
                world.connect()
    world.bytes_per_s = 0
    world.settle()
    arrived, lost = world.books()
    assert len(arrived) == len(set(arrived))
    assert sorted([*arrived, *lost]) == list(range(1, world.last_seq + 1))
    assert world.messages == 0 and world.uplink.delivery.losses.total == len(lost)


def test_a_backlog_that_is_full_becomes_thinner_where_it_is_old(make_world: Any, make_options: Any) -> None:
    world = make_world(0, make_options(discard="thin", max_bytes=40_000, window=60))
    for _ in range(400):
        world.store(50)
        world.run(10 * MS)
    assert world.bytes <= 40_000
    assert world.last_seq == 20_000
    kept = sorted(world.rows)
    of_each_tenth = [sum(first < seq <= first + 2000 for seq in kept) for first in range(0, 20_000, 2000)]
    assert min(of_each_tenth) >= 20, of_each_tenth  # something of all of it
    assert kept[-200:] == list(range(19_801, 20_001))  # what is new is complete
    world.kill()
    world.settle()
    arrived, lost = world.books()
    assert sorted(arrived) == kept
    assert sorted([*arrived, *lost]) == list(range(1, 20_001))
    assert world.uplink.delivery.losses.gone["thinned"] == len(lost) == world.uplink.delivery.losses.total
    assert world.messages == 0


@pytest.mark.parametrize("seed", range(10))
def test_the_books_of_a_thinned_backlog_balance(
    make_world: Callable[..., Any], make_options: Callable[..., Any], seed: int
) -> None:
    world = make_world(seed, make_options(discard="thin", max_bytes=1500, window=20))
    chance = world.random
    for _ in range(60):
        world.ack_loss = chance.choice([0, 0, 0.3])
        world.bytes_per_s = chance.choice([0, 1000, 3000])
        for _ in range(chance.randrange(8)):
            world.store(20)
            world.run(chance.choice([10 * MS, 100 * MS]))
        if world.bytes > 1500:
            world.take(sorted(world.rows)[: chance.randrange(40)])  # the hard limit
        match chance.randrange(6):
            case 0:
                world.kill()
            case 1:
                world.cut()
            case 2 | 3:
                world.connect()
        world.run(chance.choice([10 * MS, SECOND]))
    world.bytes_per_s = 0
    world.settle()
    arrived, lost = world.books()
    assert len(arrived) == len(set(arrived))
    assert sorted({*arrived, *lost}) == list(range(1, world.last_seq + 1))
    assert not lost.intersection(arrived)
    assert world.messages == 0 and world.uplink.delivery.losses.total == len(lost)


def test_a_store_that_is_an_older_copy_is_noticed_at_the_hub(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    world.connect()
    world.store(100)
    world.run(10 * SECOND)
    world.cut()
    world.store(50)
    backup = world.backup()  # with a backlog of 50
    world.settle()
    world.store(200)
    world.settle()
    assert len(world.arrived()) == 350
    world.put_back(backup)
    world.offset = 1000
    world.store(30)
    world.run(SECOND)
    world.settle()
    assert "its store is an older copy, so a new epoch begins" in caplog.text
    assert sorted(world.arrived()) == [*range(1, 351), *range(1151, 1181)]
    assert world.hub.messages[world.hub.last_seq].msg_id.startswith("e1:NEXT:")
    world.kill()
    world.store(10)
    world.settle()
    assert sorted(world.arrived()) == [*range(1, 351), *range(1151, 1191)]
    assert caplog.text.count("older copy") == 1


def lose_hub(world: Any) -> None:
    world.connect()
    world.store(10)
    world.run(5 * SECOND)
    world.cut()
    world.hub = type(world.hub)(created="2026-11-24T00:00:00Z", batched=world.hub.batched)
    world.store(10)
    world.connect()
    world.run(60 * SECOND)


def test_a_hub_that_has_lost_what_it_had_may_stop_everything_until_somebody_says_so(
    make_world: Any, make_options: Any
) -> None:
    world = make_world(0, make_options(on_hub_loss="stop"))
    lose_hub(world)
    assert world.uplink.state is State.STOPPED and world.arrived() == [] and "is a new one" in world.uplink.reason
    world.kill()
    world.connect()
    world.run(60 * SECOND)
    assert world.uplink.state is State.STOPPED and world.arrived() == []
    world.uplink.pause(False, world.now)
    world.run(SECOND)
    assert world.arrived() == list(range(11, 21))
    world.kill()
    world.settle()
    assert world.uplink.state is State.LIVE and world.arrived() == list(range(11, 21))


@pytest.mark.parametrize("policy", ["continue", "resend"])
def test_what_is_still_here_of_what_the_hub_has_lost_may_be_sent_again(
    make_world: Any, make_options: Any, policy: str
) -> None:
    world = make_world(0, make_options(on_hub_loss=policy))
    world.store(100)
    world.run(5 * SECOND)
    world.publish_loss = 0.0
    world.bytes_per_s = 3000
    world.connect()
    world.run(100 * MS)
    world.store(2)
    for _ in range(100):
        if 102 not in world.arrived():
            world.run(20 * MS)
    world.run(100 * MS)
    world.cut()
    sent = set(world.arrived())
    world.hub = type(world.hub)(created="2026-11-24T00:00:00Z", batched=world.hub.batched)
    world.bytes_per_s = 0
    world.settle()
    found = world.arrived()
    assert len(found) == len(set(found)) and set(found) >= set(range(1, 101)) - sent
    assert (102 in found) == (policy == "resend")


def test_what_was_on_its_way_when_the_hub_was_purged_cannot_be_told(make_world: Any, make_options: Any) -> None:
    world = make_world(0, make_options(on_hub_loss="stop"))
    world.connect()
    world.run(SECOND)
    world.ack_loss = 1.0
    world.store(5)
    world.run(100 * MS)
    world.cut()
    world.hub.messages.clear()
    world.ack_loss = 0.0
    world.run(60 * SECOND)
    world.connect()
    world.run(SECOND)
    assert world.uplink.state is State.STOPPED and "cannot be told" in world.uplink.reason
    world.uplink.pause(False, world.now)
    world.settle()
    assert sorted(world.arrived()) == [1, 2, 3, 4, 5]


def test_what_came_in_one_moment_is_not_fresh_for_ever(world: Any) -> None:
    for _ in range(20):
        world.store(5)
        world.run(MS)
    world.run(5 * SECOND)
    world.bytes_per_s = 2000
    world.connect()
    world.run(SECOND)
    world.store(1)
    world.run(2 * SECOND)
    assert 101 in world.arrived() and len(world.arrived()) < 60
