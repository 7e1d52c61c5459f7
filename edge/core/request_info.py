"""``Nats-Request-Info``: who asks, in requests that have gone from one account to another (reference: core.md
section 4)."""

import json

from edge.core.go_json import dumps
from edge.message import header_get, header_set

REQUEST_INFO = "Nats-Request-Info"
MARK = REQUEST_INFO.encode()

Fields = dict[str, object]


def request_info(headers: bytes) -> Fields | None:
    """None where the headers say nothing of it that can be read."""
    try:
        known = json.loads(header_get(headers, REQUEST_INFO) or "")
    except (ValueError, RecursionError):
        return None
    return known if isinstance(known, dict) else None


def with_info(headers: bytes, info: Fields) -> bytes:
    return header_set(headers, REQUEST_INFO, dumps(info).decode())


def via(known: Fields, account: str, server: str) -> Fields:
    """The last account on the way stands behind ``acc``, and the server behind ``rtt``, where nats-server writes
    them."""
    found: Fields = {}
    added: Fields = {"svc": account, **({"server": server} if server else {})}
    for name, value in known.items():
        found[name] = value
        if name == "acc":
            found["svc"] = account
        elif name == "rtt" and server:
            found["server"] = server
    return found | added
