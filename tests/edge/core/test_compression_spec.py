"""What two servers agree on, as nats-server does (source: server.go, selectCompressionMode)."""

import pytest

from edge.core.compression_spec import Compression, agreed, level

MS = 1_000_000


@pytest.mark.parametrize(
    ("ours", "theirs", "mode"),
    [
        ("s2_fast", "", "not supported"), ("s2_fast", "not supported", "not supported"), ("s2_fast", "off", "off"),
        ("accept", "accept", "off"), ("s2_best", "accept", "s2_best"), ("accept", "s2_auto", "s2_fast"),
        ("accept", "s2_better", "s2_better"), ("s2_auto", "s2_fast", "s2_auto"), ("s2_fast", "s2_uncompressed", "s2_fast"),
    ],
)  # fmt: skip
def test_agreed(ours: str, theirs: str, mode: str) -> None:
    assert agreed(ours, theirs) == mode


def test_a_mode_that_nobody_knows() -> None:
    with pytest.raises(ValueError, match="unsupported compression mode 'zstd'"):
        agreed("s2_fast", "zstd")


@pytest.mark.parametrize(
    ("rtt", "thresholds", "mode"),
    [
        (0, (10, 50, 100), "s2_uncompressed"), (10, (10, 50, 100), "s2_uncompressed"), (11, (10, 50, 100), "s2_fast"),
        (51, (10, 50, 100), "s2_better"), (101, (10, 50, 100), "s2_best"), (15, (0, 0, 20, 30), "s2_better"),
        (99, (0, 0, 20), "s2_best"), (5, (0, 9), "s2_fast"), (99, (0, 9), "s2_fast"), (99, (9,), "s2_uncompressed"),
    ],
)  # fmt: skip
def test_levels(rtt: int, thresholds: tuple[int, ...], mode: str) -> None:
    assert level(rtt * MS, tuple(each * MS for each in thresholds)) == mode


def test_what_is_wanted() -> None:
    assert [Compression(mode).is_wanted for mode in ("s2_auto", "accept", "off", "not supported")] == [True, True, False, False]
