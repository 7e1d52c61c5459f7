"""Durations and sizes as people write them in strings: ``"1m30s"`` as Go does, ``"64KB"``, ``"2G"``."""

SECOND = 1_000_000_000
NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
SIZES = "KMGTPE"
DIGITS = frozenset("0123456789")
MAX_DURATION_NS = 2**63 - 1
MAX_SIZE = 2**63 - 1


def duration_ns(text: str) -> int:
    """Go's ``time.ParseDuration``: numbers with units, one after another.  ValueError says what is wrong."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total = 0
    while True:
        whole, rest = _split(rest, DIGITS)
        fraction = ""
        if rest.startswith("."):
            fraction, rest = _split(rest[1:], DIGITS)
        unit_end = next((i for i, char in enumerate(rest) if char in DIGITS or char == "."), len(rest))
        unit, rest = rest[:unit_end], rest[unit_end:]
        if not whole and not fraction:
            raise ValueError("a duration is a number with a unit, such as 250ms, 10s or 1h30m")
        if unit not in NANOSECONDS:
            raise ValueError(f"a duration needs a unit (ns, us, ms, s, m, h), found {unit!r}")
        if len(whole) > 19 or len(fraction) > 19:
            raise ValueError("the duration has too many digits")
        scale: int = 10 ** len(fraction)
        total += int(whole + fraction) * NANOSECONDS[unit] // scale
        if total > MAX_DURATION_NS:
            raise ValueError("the duration is too long")
        if not rest:
            return sign * total


def size_bytes(text: str) -> int:
    """``"1G"``, ``"64KB"``, ``"2GiB"``: powers of 1024, as nats-server reads sizes in strings."""
    digits, unit = _split(text.strip(), DIGITS)
    unit = unit.strip().upper()
    if not digits or len(digits) > 19 or unit[1:] not in ("", "B", "I", "IB") or unit[:1] not in SIZES:
        raise ValueError("a size is a number with a unit, such as 64KB, 10MB or 2GB")
    factor: int = 1024 ** (SIZES.index(unit[0]) + 1) if unit else 1
    size = int(digits) * factor
    if size > MAX_SIZE:
        raise ValueError("the size is too large")
    return size


def _split(text: str, wanted: frozenset[str]) -> tuple[str, str]:
    """The run of wanted characters at the beginning, and the rest."""
    end = next((i for i, char in enumerate(text) if char not in wanted), len(text))
    return text[:end], text[end:]
