"""What is delivered, acknowledged and due again: no stream, no clock."""

import pytest

from edge.core.times import SECOND
from edge.jetstream.acks import AckPlace, Acks, parse_ack_subject, parse_nak_delay
from edge.jetstream.consumer_config import ConsumerConfig


def acks(**fields: object) -> Acks:
    defaults: dict[str, object] = {"name": "C", "ack_policy": "explicit", "ack_wait_ns": 30 * SECOND}
    return Acks(ConsumerConfig(**{**defaults, **fields}), 0)  # type: ignore[arg-type]


def test_the_floor_moves_with_the_lowest_that_is_pending() -> None:
    state = acks()
    for seq in (3, 5, 8, 9):
        state.deliver(seq, now=0)
    floors = []
    for seq in (5, 3, 9, 8):
        state.ack(seq)
        floors.append(tuple(state.floor))
    assert floors == [(0, 0), (2, 7), (2, 7), (4, 9)]


def test_ack_all_takes_everything_before_it() -> None:
    state = acks(ack_policy="all")
    for seq in (1, 2, 3, 4):
        state.deliver(seq, now=0)
    state.ack(3)
    assert list(state.pending) == [4] and state.floor == (3, 3)


def test_without_acks_nothing_is_pending() -> None:
    state = acks(ack_policy="none")
    assert [state.deliver(seq, now=0) for seq in (1, 2)] == [(1, 1), (2, 1)]
    assert state.pending == {} and state.floor == state.delivered == (2, 2) and state.deadline() == 0


def test_deadlines_come_in_order_and_stale_ones_do_not_count() -> None:
    state = acks()
    state.deliver(1, now=0)
    state.deliver(2, now=SECOND)
    state.postpone(1, 60 * SECOND, now=SECOND)
    assert state.deadline() == 31 * SECOND
    state.ack(2)
    assert state.deadline() == 61 * SECOND
    assert state.due(61 * SECOND - 1) == [] and state.due(61 * SECOND) == [1] and state.deadline() == 0


def test_thousands_of_deliveries_leave_nothing_behind() -> None:
    state = acks()
    for seq in range(1, 5001):
        state.deliver(seq, now=seq)
        state.ack(seq)
    state.deadline()
    assert not (state.pending or state.order or state.deadlines or state.redelivered)


def test_an_ack_ends_a_redelivery_that_is_due() -> None:
    state = acks()
    for seq in (1, 2):
        state.deliver(seq, now=0)
        state.redeliver(seq)
    state.ack(1)
    assert [state.next_again(), state.next_again()] == [2, 0]


def test_encoding_keeps_everything_but_deadlines() -> None:
    state = acks(max_ack_pending=-1)
    for seq in (1, 2, 3, 4, 7, 8, 9):
        state.deliver(seq, now=0)
    state.ack(2)
    state.redeliver(8)
    state.deliver(8, now=0)
    copy = acks()
    copy.decode(state.encode(), last_seq=100, now=50)
    assert (copy.delivered, copy.floor, copy.redelivered) == (state.delivered, state.floor, {8: 2})
    assert [(seq, p.cseq, p.count) for seq, p in copy.pending.items()] == [
        (1, 1, 1), (3, 3, 1), (4, 4, 1), (7, 5, 1), (8, 6, 2), (9, 7, 1),
    ]  # fmt: skip
    assert copy.due(50 + 30 * SECOND) == [1, 3, 4, 7, 8, 9]
    copy.ack(1)
    assert copy.floor == (2, 2)


def test_what_a_cut_took_from_the_stream_was_never_delivered() -> None:
    state = acks()
    for seq in (1, 2, 3):
        state.deliver(seq, now=0)
    state.ack(1)
    copy = acks()
    copy.decode(state.encode(), last_seq=2, now=0)
    assert copy.delivered == (3, 2) and list(copy.pending) == [2] and copy.floor == (1, 1)


@pytest.mark.parametrize(
    ("subject", "place"),
    [
        ("$JS.ACK.S.C.2.14.3.1795395482132329551.7", AckPlace(2, 14, 3)),
        ("$JS.ACK._.hash.S.C.2.14.3.1795395482132329551.7.random", AckPlace(2, 14, 3)),
        ("$JS.ACK.dom.hash.S.C.2.14.3.1795395482132329551.7", AckPlace(2, 14, 3)),
        ("$JS.ACK.S.C.2.14", None),
        ("$JS.ACK.S.C.x.14.3.1.7", None),
        ("$JS.ACK.S.C.-2.14.3.1.7", None),
        ("$JS.ACK.S.C.2.14.³.1.7", None),
    ],
)
def test_the_subject_of_an_ack(subject: str, place: AckPlace | None) -> None:
    assert parse_ack_subject(subject) == place


@pytest.mark.parametrize(
    ("rest", "delay"),
    [
        (b"", 0), (b'{"delay": 5}', 5), (b'{"delay": "5"}', 0), (b"{}", 0), (b"{", 0), (b"5s", 5 * SECOND),
        (b"1.5s", 1_500_000_000), (b"250ms", 250_000_000), (b"7us", 7_000), ("7µs".encode(), 7_000), (b"9ns", 9),
        (b"2m", 120 * SECOND), (b"5", 0), (b"s", 0), (b"nan s", 0), (b"infs", 0), (b"\xff\xfes", 0),
        (b'{"delay": 99999999999999999999}', 0), (b"99999999999h", 0), (b"1h1s", 3601 * SECOND), (b"-5s", -5 * SECOND),
    ],
)  # fmt: skip
def test_the_delay_of_a_nak(rest: bytes, delay: int) -> None:
    assert parse_nak_delay(rest) == delay


def test_what_was_delivered_often_enough_is_given_up() -> None:
    """When it would be delivered once more, and not earlier: an ack may still come."""
    state = acks(max_deliver=2)
    state.deliver(1, now=0)
    state.redeliver(1)
    assert state.give_up(1) == 0 and state.next_again() == 1
    state.deliver(1, now=0)
    state.redeliver(1)
    assert state.give_up(1) == 2 and not state.pending
