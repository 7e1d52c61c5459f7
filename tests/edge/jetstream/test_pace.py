"""As fast as allowed, as slow as it once came."""

from edge.core.times import SECOND
from edge.jetstream.pace import MILLISECOND, Pace
from edge.store.contract import Row


def row(seq: int, time_ns: int = 1) -> Row:
    return Row(seq, "s", time_ns, b"", b"")


def test_a_rate_lets_a_burst_go_and_then_so_many_bits() -> None:
    pace = Pace(bits_per_second=8_000, burst=500, replay_until=0)
    assert pace.delay(row(1), 300, now=0) == 0
    assert pace.delay(row(2), 200, now=0) == 0
    wait = pace.delay(row(3), 100, now=0)
    assert wait == SECOND // 10
    assert all(pace.delay(row(3), 100, now) > 0 for now in range(0, wait, 1000)), "asking often costs nothing"
    assert pace.delay(row(3), 100, now=wait) == 0


def test_what_was_refused_is_not_counted() -> None:
    pace = Pace(8_000, 500, 0)
    pace.delay(row(1), 500, now=0)
    waits = {pace.delay(row(2), 100, now=0) for _ in range(5)}
    assert len(waits) == 1


def test_a_message_larger_than_the_burst_goes_all_the_same() -> None:
    pace = Pace(8_000, 500, 0)
    assert pace.delay(row(1), 10_000, now=0) == 0
    wait = pace.delay(row(2), 1, now=0)
    assert wait > 9 * SECOND
    assert pace.delay(row(2), 1, now=wait) == 0


def test_after_a_long_while_no_more_than_a_burst_goes() -> None:
    pace = Pace(8_000, 500, 0)
    pace.delay(row(1), 500, now=0)
    later = 3600 * SECOND
    assert pace.delay(row(2), 500, now=later) == 0
    assert pace.delay(row(3), 1, now=later) > 0


def test_messages_keep_the_distance_that_they_came_with() -> None:
    pace = Pace(0, 0, replay_until=3)
    assert pace.delay(row(1, 10 * SECOND), 1, now=50) == 0
    assert pace.delay(row(2, 12 * SECOND), 1, now=60) == 2 * SECOND - 10
    assert pace.delay(row(2, 12 * SECOND), 1, now=50 + 2 * SECOND) == 0
    assert pace.delay(row(3, 12 * SECOND + MILLISECOND), 1, now=51 + 2 * SECOND) == 0


def test_what_came_since_the_consumer_is_there_comes_at_once() -> None:
    pace = Pace(0, 0, replay_until=1)
    assert pace.delay(row(1, SECOND), 1, now=0) == 0
    assert pace.delay(row(2, 99 * SECOND), 1, now=1) == 0
