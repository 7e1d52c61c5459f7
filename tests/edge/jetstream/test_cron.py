"""What nats-server takes for a pattern is held against it in ``tests/e2e``; here is when they fall due."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from edge.jetstream.cron import Cron

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())


def after(pattern: str, text: str, zone: ZoneInfo | None = None) -> str:
    found = Cron(pattern).after(at(text), zone or UTC)
    return datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("pattern", "now", "then"),
    [
        ("* * * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
        ("*/5 * * * * *", "2026-01-01T00:00:05Z", "2026-01-01T00:00:10Z"),
        ("30 * * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01:30Z"),
        ("0 15 9 * * *", "2026-12-31T09:15:00Z", "2027-01-01T09:15:00Z"),
        ("0 0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 12 * * mon", "2026-11-23T12:00:00Z", "2026-11-30T12:00:00Z"),  # a Monday
        ("0 0 12 1 * mon", "2026-11-23T12:00:00Z", "2026-11-30T12:00:00Z"),  # either day is enough
        ("0 0 12 1 * *", "2026-11-23T12:00:00Z", "2026-12-01T12:00:00Z"),
        ("0 0 12 1 jan *", "2026-11-23T12:00:00Z", "2027-01-01T12:00:00Z"),
        ("10-12 58/1 23 31 12 *", "2026-11-23T12:00:00Z", "2026-12-31T23:58:10Z"),
        ("59 59 23 * * 0,6", "2026-11-23T12:00:00Z", "2026-11-28T23:59:59Z"),
        ("@hourly", "2026-11-23T12:00:00Z", "2026-11-23T13:00:00Z"),
        ("@daily", "2026-11-23T12:00:00Z", "2026-11-24T00:00:00Z"),
        ("@weekly", "2026-11-23T12:00:00Z", "2026-11-29T00:00:00Z"),
        ("@monthly", "2026-11-23T12:00:00Z", "2026-12-01T00:00:00Z"),
        ("@yearly", "2026-11-23T12:00:00Z", "2027-01-01T00:00:00Z"),
    ],
)
def test_the_next_time(pattern: str, now: str, then: str) -> None:
    assert after(pattern, now) == then


@pytest.mark.parametrize(
    ("pattern", "now", "then"),
    [
        ("0 0 9 * * *", "2026-07-01T00:00:00Z", "2026-07-01T07:00:00Z"),
        ("0 0 9 * * *", "2026-12-01T00:00:00Z", "2026-12-01T08:00:00Z"),
        ("0 0 0 * * *", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),  # a day of 23 hours
        ("0 30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),  # there is no half past two on the 29th
        ("0 30 2 * * *", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"),
        ("0 30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),  # and twice on this day
        ("0 0 0 * * *", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),  # a day of 25 hours
    ],
)
def test_days_that_are_longer_or_shorter(pattern: str, now: str, then: str) -> None:
    assert after(pattern, now, BERLIN) == then


def test_half_hours() -> None:
    assert after("0 0 * * * *", "2026-01-01T00:10:00Z", ZoneInfo("Asia/Kolkata")) == "2026-01-01T00:30:00Z"


@pytest.mark.parametrize("pattern", ["", "* * * * *", "60 * * * * *", "* * * * * 7", "*/0 * * * * *", ", * * * * *", "x * * * * *", "5-1 * * * * *",
    "1-2-3 * * * * *", "1/2/3 * * * * *", "-1 * * * * *", "* * * 0 * *", "@never", "1.5 * * * * *"])  # fmt: skip
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Cron(pattern)


def test_a_day_that_never_comes() -> None:
    with pytest.raises(ValueError, match="no such time"):
        after("0 0 0 30 2 *", "2026-01-01T00:00:00Z")
