"""The JetStream API level that is here, and what asks for more (ADR-44)."""

from edge.errors import ApiError
from edge.message import header_get
from edge.version import API_LEVEL

API_LEVEL_TOO_LOW = ApiError(412, 10185, "JetStream minimum api level required")


def check_level(headers: bytes) -> None:
    if too_high(headers):
        raise API_LEVEL_TOO_LOW


def too_high(headers: bytes) -> bool:
    """Is a level asked for that is not here?"""
    level = header_get(headers, "Nats-Required-Api-Level") if headers else None
    if not level:
        return False
    digits = level.removeprefix("-").removeprefix("+")
    return not (digits.isdecimal() and digits.isascii()) or int(level) > API_LEVEL
