import pytest

from edge.uplink.calendar import Hours, Moment, Schedule, make_calendar

SECOND = 1_000_000_000
NOON = 1_795_435_200 * SECOND  # 2026-11-23 12:00 UTC
HOUR = 3600 * SECOND


def test_where_the_day_is() -> None:
    assert make_calendar("UTC")(NOON) == Moment("2026-11-23", 720)
    assert make_calendar("Europe/Berlin")(NOON) == Moment("2026-11-23", 780)
    assert make_calendar("Asia/Tokyo")(NOON + 4 * HOUR) == Moment("2026-11-24", 60)
    assert make_calendar("local")(NOON) is not None
    assert make_calendar("UTC")(5 * SECOND) is None  # no clock


@pytest.mark.parametrize("zone", ["Mars", "", "../etc/passwd", "utc+1"])
def test_no_zone(zone: str) -> None:
    with pytest.raises(ValueError, match="is no time zone here"):
        make_calendar(zone)


@pytest.mark.parametrize(
    ("text", "open_at", "closed_at"),
    [
        ("22:00-06:00", (1320, 1439, 0, 359), (360, 1319)),
        ("6:30 - 7:00", (390, 419), (389, 420)),
        ("00:00-24:00", (0, 1439), ()),
    ],
)
def test_hours(text: str, open_at: tuple[int, ...], closed_at: tuple[int, ...]) -> None:
    hours = Hours.parse(text)
    assert all(hours.covers(minute) for minute in open_at)
    assert not any(hours.covers(minute) for minute in closed_at)


@pytest.mark.parametrize(
    "text", ["", "22", "22:00", "24:00-06:00", "22:60-06:00", "-1:00-2:00", "a-b", "1:1-2:00", "1:00-25:00"]
)
def test_no_hours(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected hours|is no time of day"):
        Hours.parse(text)


def test_a_schedule() -> None:
    schedule = Schedule((Hours.parse("22:00-06:00"),), make_calendar("UTC"), "UTC")
    assert schedule.closed(NOON) == "schedule: only 22:00-06:00 UTC"
    assert schedule.closed(NOON + 11 * HOUR) == ""
    assert schedule.closed(NOON + 18 * HOUR) != ""
    assert "clock has not been set" in schedule.closed(3 * SECOND)
