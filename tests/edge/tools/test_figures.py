"""Numbers as people read them."""

import pytest

from edge.tools.figures import count, duration, plain, size, unix_time


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (1023, "1023"), (1024, "1.0K"), (1536, "1.5K"), (5 << 20, "5.0M"), (3 << 40, "3.0T"), (1 << 70, "1024.0E"), (0.25, "0.2")],
)
def test_sizes_go_by_1024(number: float, shown: str) -> None:
    assert size(number) == shown


@pytest.mark.parametrize(("number", "shown"), [(999, "999"), (1000, "1.0K"), (161_600, "161.6K"), (2_500_000, "2.5M")])
def test_counts_go_by_1000(number: float, shown: str) -> None:
    assert count(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0ms"), (0.85, "850ms"), (12.9, "12s"), (60, "1m"), (184, "3m4s"), (3600, "1h"), (19_230, "5h20m"), (86_400 * 12 + 3 * 3600 + 5, "12d3h"), (-5, "0ms")],
)
def test_durations_have_two_units_at_most(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_what_others_chose_does_not_command_the_terminal() -> None:
    assert plain("a\x1b[2Jb\nc\x9bd") == "a\ufffd[2Jb\ufffdc\ufffdd"
    assert plain("Gerät") == "Gerät"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10),
        ("1970-01-01T00:00:10.25Z", 10.25),
        ("1970-01-01T01:00:10.123456789+01:00", 10.123456789),
        ("0001-01-01T00:00:00Z", None),
        ("2026-02-30T00:00:00Z", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times_of_monitoring(text: str, seconds: float | None) -> None:
    assert unix_time(text) == seconds
