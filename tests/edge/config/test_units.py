import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.units import SECOND, duration_ns, size_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("10ms", 10_000_000), ("1.5s", 1_500_000_000), ("1h2m3s", 3723 * SECOND), ("0", 0), ("0s", 0)],
        *[("-2s", -2 * SECOND), ("+2s", 2 * SECOND), (".5s", SECOND // 2), ("1.s", SECOND), ("3us", 3000)],
        *[("3µs", 3000), ("3μs", 3000), ("7ns", 7), ("1.5h", 5400 * SECOND), ("0.000000001s", 1)],
    ],
)
def test_durations(text: str, expected: int) -> None:
    assert duration_ns(text) == expected


@pytest.mark.parametrize("text", ["", "-", "10", "s", "1 s", "1d", "1x", "1s2", ".s", "1.2.3s", "999999999h", "1" * 50 + "s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError):
        duration_ns(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("10", 10), ("1K", 1024), ("64KB", 65536), ("64kb", 65536), ("2GiB", 2 << 30), ("3 MB", 3 << 20)],
        *[("1T", 1 << 40), ("1Mi", 1 << 20)],
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert size_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "x", "K", "1X", "1Kx", "-1K", "1.5G", "9999999E", "1" * 30])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError):
        size_bytes(text)


@given(st.text(alphabet="0123456789.nuµmsh-+KMGTBi ") | st.text())
def test_nothing_but_value_error(text: str) -> None:
    for read in (duration_ns, size_bytes):
        try:
            read(text)
        except ValueError as exc:
            assert str(exc)
