"""Whether and how a leaf link is compressed, and what comes of it when two servers want different things.

Modes are nats-server's: ``s2_auto`` (by the round trip), ``s2_uncompressed``, ``s2_fast``, ``s2_better``, ``s2_best``,
``accept`` (as the other side wants it), ``off``, and ``not supported``.
"""

from typing import NamedTuple

OFF, ACCEPT, NOT_SUPPORTED = "off", "accept", "not supported"
AUTO, UNCOMPRESSED, FAST, BETTER, BEST = "s2_auto", "s2_uncompressed", "s2_fast", "s2_better", "s2_best"
LEVELS = (UNCOMPRESSED, FAST, BETTER, BEST)
MILLISECOND = 1_000_000


class Compression(NamedTuple):
    """``thresholds_ns``: up to which round trip each of ``LEVELS`` is used in ``s2_auto``; 0: not at all."""

    mode: str = AUTO
    thresholds_ns: tuple[int, ...] = (10 * MILLISECOND, 50 * MILLISECOND, 100 * MILLISECOND)

    @property
    def is_wanted(self) -> bool:
        return self.mode not in ("", OFF, NOT_SUPPORTED)


def agreed(ours: str, theirs: str) -> str:
    """The mode of this side, when the other one has said ``theirs``.  ValueError for one that nobody knows."""
    if theirs in ("", NOT_SUPPORTED):
        return NOT_SUPPORTED
    if theirs == OFF or (theirs == ACCEPT == ours):
        return OFF
    if theirs not in (ACCEPT, AUTO, *LEVELS):
        raise ValueError(f"unsupported compression mode {theirs!r}")
    if ours == ACCEPT:
        return FAST if theirs == AUTO else theirs
    return ours


def level(rtt_ns: int, thresholds_ns: tuple[int, ...]) -> str:
    """Of ``s2_auto``, at this round trip."""
    for name, threshold in zip(LEVELS, thresholds_ns, strict=False):
        if rtt_ns <= threshold:
            return name
    return BEST if len(thresholds_ns) >= 3 else LEVELS[len(thresholds_ns) - 1]
