"""``petiole-edge passwd``: a bcrypt hash for ``password:`` in the configuration, as ``nats server passwd`` makes it."""

import secrets
import string

from edge.tools.errors import ToolError

COST = 11  # what the nats CLI takes; each step more doubles the time that every login takes on this machine
MIN_COST, MAX_COST = 4, 31
SLOW_COST = 14
SHORT = 10  # the nats CLI refuses a shorter one
LONGEST = 72  # bytes; bcrypt knows no more, and nats-server refuses to compare them
GENERATED = 22  # characters
ALPHABET = string.ascii_letters + string.digits


def generate() -> str:
    """A password that nobody has to remember."""
    return "".join(secrets.choice(ALPHABET) for _ in range(GENERATED))


def hash_password(password: str, cost: int) -> str:
    """``$2a$11$...``.  ToolError when bcrypt cannot take it."""
    import bcrypt

    raw = password.encode("utf-8", "surrogateescape")
    if not raw:
        raise ToolError("the password is empty")
    if len(raw) > LONGEST:
        raise ToolError(f"the password has {len(raw)} bytes: bcrypt takes {LONGEST} at most")
    if b"\0" in raw:
        raise ToolError("the password has a zero byte: bcrypt cannot take it")
    return bcrypt.hashpw(raw, bcrypt.gensalt(cost, b"2a")).decode()


def warnings(password: str, cost: int) -> list[str]:
    found = []
    if len(password) < SHORT:
        found.append(f"the password is short: {SHORT} characters or more are harder to guess (--generate makes one)")
    if cost >= SLOW_COST:
        found.append(f"with cost {cost} every login takes seconds of a small machine's processor")
    return found
