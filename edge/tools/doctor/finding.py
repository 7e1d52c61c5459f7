"""What was found, how bad it is, and what helps."""

from enum import Enum
from typing import NamedTuple


class Level(Enum):
    OK = "OK"
    WARN = "WARN"  # it works, and may not for ever
    FAIL = "FAIL"  # something does not work


class Finding(NamedTuple):
    """``check`` is a word or two; ``found`` one line, ``remedy`` one line to do where the level is not OK."""

    level: Level
    check: str
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    return Finding(Level.OK, check, found)


def warn(check: str, found: str, remedy: str) -> Finding:
    return Finding(Level.WARN, check, found, remedy)


def fail(check: str, found: str, remedy: str) -> Finding:
    return Finding(Level.FAIL, check, found, remedy)
