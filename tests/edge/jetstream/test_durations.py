import pytest

from edge.core.times import SECOND
from edge.jetstream.durations import MAX_NS, go_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "ns"),
    [("1s", SECOND), ("1m30s", 90 * SECOND), ("1.5h", 5400 * SECOND), ("250ms", 250_000_000), ("1us", 1000), ("1µs", 1000),
     ("-2s", -2 * SECOND), ("+2s", 2 * SECOND), ("0", 0), (".5s", SECOND // 2), ("1.000000001s", SECOND + 1), ("2562047h", 2562047 * 3600 * SECOND)],
)  # fmt: skip
def test_durations_are_read_as_go_reads_them(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "5", "s", "1", "1x", "1s ", "1 s", "--1s", "1.2.3s", "1e3s", "2562048h", "٣s", "1s1"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"no duration|too long"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0s"), (1, "1ns"), (1500, "1.5µs"), (5400 * SECOND + 1, "1h30m0.000000001s"), (250_000_000, "250ms"), (SECOND, "1s"), (90 * SECOND, "1m30s"), (60 * SECOND, "1m0s"),
     (3600 * SECOND, "1h0m0s"), (3661 * SECOND + 500_000_000, "1h1m1.5s")],
)  # fmt: skip
def test_durations_are_written_as_go_writes_them(ns: int, text: str) -> None:
    assert go_duration(ns) == text and parse_duration(text) == ns


def test_the_longest() -> None:
    assert parse_duration(go_duration(MAX_NS)) == MAX_NS
