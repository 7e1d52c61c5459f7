"""CONNECT, as a leaf says it to the hub that it has dialled (reference: leafnode.md section 1.2)."""

from typing import Any, NamedTuple

from edge.errors import ProtocolError
from edge.json_text import loads

PROTOCOL_VIOLATION = "Protocol Violation"


class LeafConnect(NamedTuple):
    """``account``: what the leaf calls the one that the link is of; ``lang``: only clients say one, and ``gateway``
    only gateways; ``compression`` empty: it knows of none."""

    server_id: str = ""
    name: str = ""
    version: str = ""
    cluster: str = ""
    domain: str = ""
    account: str = ""
    user: str = ""
    password: str = ""
    token: str = ""
    nkey: str = ""
    signature: str = ""
    jwt: str = ""
    headers: bool = False
    is_hub: bool = False
    is_isolated: bool = False
    deny_pub: tuple[str, ...] = ()
    compression: str = ""
    protocol: int = 0
    lang: str = ""
    gateway: str = ""


NAMES = {
    "account": "remote_account",
    "password": "pass",
    "token": "auth_token",
    "signature": "sig",
    "is_isolated": "isolate",
    "compression": "compress_mode",
}


def parse_connect(line: bytes) -> LeafConnect:
    """``CONNECT {...}``.  ProtocolError without a text for what is no JSON, and for a field of the wrong kind."""
    try:
        fields = loads(line[8:])
    except ValueError as exc:
        raise ProtocolError("", PROTOCOL_VIOLATION) from exc
    if not isinstance(fields, dict):
        raise ProtocolError("", PROTOCOL_VIOLATION)
    found: dict[str, Any] = {}
    for field, default in LeafConnect._field_defaults.items():
        value = fields.get(NAMES.get(field, field))
        if value is not None:
            found[field] = _checked(value, default)
    return LeafConnect(**found)


def _checked(value: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif type(value) is type(default):
        return value
    raise ProtocolError("", PROTOCOL_VIOLATION)


def version_at_least(version: str, least: str) -> bool:
    """Both as ``2.10.0``, with whatever behind it; False for what is no version."""
    have = _numbers(version)
    return have is not None and have >= (_numbers(least) or (0, 0, 0))


def _numbers(version: str) -> tuple[int, ...] | None:
    parts = version.removeprefix("v").partition("-")[0].partition("+")[0].split(".")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return None
    return tuple(map(int, parts))
