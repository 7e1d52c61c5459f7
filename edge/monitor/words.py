"""Numbers as the page says them."""

STEPS = "KMGTPE"


def size(number: float) -> str:
    """Bytes, in steps of 1024."""
    return f"{_scaled(number, 1024)}B"


def count(number: float) -> str:
    """Messages and the like, in steps of 1000."""
    return _scaled(number, 1000)


def _scaled(number: float, step: int) -> str:
    if number < step:
        return f"{number:.0f} " if step == 1024 else f"{number:.0f}"
    for letter in STEPS:
        number /= step
        if number < step or letter == STEPS[-1]:
            break
    return f"{number:.1f} {letter}" if step == 1024 else f"{number:.1f}{letter}"


def duration(seconds: float) -> str:
    """The two largest units that matter."""
    whole = max(int(seconds), 0)
    units = [("d", whole // 86400), ("h", whole // 3600 % 24), ("min", whole // 60 % 60), ("s", whole % 60)]
    first = next((i for i, (_, number) in enumerate(units) if number), len(units) - 1)
    return " ".join(f"{number} {unit}" for unit, number in units[first : first + 2] if number) or "0 s"
