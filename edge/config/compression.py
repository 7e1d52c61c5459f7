"""``compression`` of leaf links: a mode, true or false, or a block with the thresholds of ``s2_auto``."""

from typing import NoReturn

from edge.config.fields import Fields, fail, fields, text, wrong
from edge.config.parser import Block, Entry, Value
from edge.config.units import duration_ns
from edge.core.compression_spec import ACCEPT, AUTO, BEST, BETTER, FAST, LEVELS, NOT_SUPPORTED, OFF, Compression

MODES = {
    **dict.fromkeys(("not supported", "not_supported"), NOT_SUPPORTED),
    **dict.fromkeys(("disabled", "off", "false"), OFF),
    **dict.fromkeys(("on", "enabled", "true", "auto", AUTO), AUTO),
    **dict.fromkeys(("fast", FAST), FAST),
    **dict.fromkeys(("better", BETTER), BETTER),
    **dict.fromkeys(("best", BEST), BEST),
    ACCEPT: ACCEPT,
}


def read_compression(block: Fields) -> Compression:
    entry = block.entry("compression")
    if entry is None:
        return Compression()
    data = entry.value.data
    if isinstance(data, bool):
        return Compression(AUTO if data else OFF)
    if not isinstance(data, Block):
        return Compression(_mode(entry.value, entry))
    inner = fields(entry.value, "compression", block.warnings)
    mode = inner.entry("mode")
    written = inner.items("rtt_thresholds", "thresholds", "rtts", "rtt")
    inner.finish()
    found = Compression(_mode(mode.value, mode) if mode else AUTO)
    return found._replace(thresholds_ns=_thresholds(entry, written)) if written else found


def _mode(value: Value, entry: Entry) -> str:
    if isinstance(value.data, bool):
        wrong(value, entry.key, "a mode such as s2_auto")
    mode = MODES.get(text(value, entry.key).lower())
    if mode is None:
        fail(entry.place, f"{entry.key}: expected one of {', '.join((AUTO, FAST, BETTER, BEST, ACCEPT, OFF))}")
    return mode


def _thresholds(entry: Entry, values: list[Value]) -> tuple[int, ...]:
    """In ascending order, but for those that are 0; what is 0 at the end is left out."""
    found: list[int] = []
    for value in values:
        try:
            threshold = max(duration_ns(text(value, "rtt_thresholds")), 0)
        except ValueError as exc:
            fail(value.place, f"rtt_thresholds: {exc}")
        if threshold and threshold < max(found, default=0):
            _refuse(entry, "expected them in ascending order")
        found.append(threshold)
    while found and not found[-1]:
        found.pop()
    if not 0 < len(found) <= len(LEVELS):
        _refuse(entry, f"expected at least one, and no more than {len(LEVELS)}")
    return tuple(found)


def _refuse(entry: Entry, problem: str) -> NoReturn:
    fail(entry.place, f"rtt_thresholds: {problem}")
