import pytest

from edge.monitor.durations import duration, round_trip, uptime

SECOND = 1_000_000_000
DAY = 86_400 * SECOND


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (999, "999ns"),
        (1_000, "1µs"),
        (1_500, "1.5µs"),
        (1_234_567, "1.234567ms"),
        (12_500_000, "12.5ms"),
        (SECOND, "1s"),
        (1_100_000_001, "1.100000001s"),
        (60 * SECOND, "1m0s"),
        (3_723 * SECOND + SECOND // 2, "1h2m3.5s"),
        (50 * 3_600 * SECOND, "50h0m0s"),
    ],
)
def test_as_go_writes_it(ns: int, text: str) -> None:
    assert duration(ns) == text


@pytest.mark.parametrize(
    ("ns", "text"), [(0, "0s"), (900, "900ns"), (151_987, "151µs"), (1_234_567, "1.234567ms"), (1_000, "1µs")]
)
def test_round_trips_are_not_told_to_the_nanosecond(ns: int, text: str) -> None:
    assert round_trip(ns) == text


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (-5, "0s"),
        (SECOND - 1, "0s"),
        (59 * SECOND, "59s"),
        (60 * SECOND, "1m0s"),
        (3_600 * SECOND, "1h0m0s"),
        (DAY + 61 * SECOND, "1d0h1m1s"),
        (366 * DAY, "1y1d0h0m0s"),
    ],
)
def test_uptimes_know_days_and_years(ns: int, text: str) -> None:
    assert uptime(ns) == text
