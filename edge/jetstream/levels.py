"""The JetStream API level that is here, and what asks for more (ADR-44)."""

from edge.message import header_get

API_LEVEL = 1  # message TTL, pause and priority groups; of level 2 something is missing yet
SERVER_LEVEL = "2.12.0"  # the nats-server whose API this is


def too_high(headers: bytes, highest: int = API_LEVEL) -> bool:
    """Is a level asked for that is not here?"""
    level = header_get(headers, "Nats-Required-Api-Level") if headers else None
    if not level:
        return False
    digits = level.removeprefix("-").removeprefix("+")
    return not (digits.isdecimal() and digits.isascii()) or int(level) > highest
