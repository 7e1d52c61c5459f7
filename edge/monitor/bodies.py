"""The bodies of requests: options of a document, and which servers are to answer (reference: core.md section 5).

What is wrong with one is said in the words of Go's decoder, which operators' tools show.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from edge.errors import PetioleError
from edge.monitor.stamp import Fields, Identity


class BadBody(PetioleError):
    """``str(exc)`` is the description of the error."""


STRING, INT, UINT, BOOL, STRINGS = "string", "int", "uint64", "bool", "[]string"

FILTER = {
    "server_name": STRING,
    "cluster": STRING,
    "host": STRING,
    "exact_match": BOOL,
    "tags": "jwt.TagList",
    "domain": STRING,
}
LISTS = (STRINGS, "jwt.TagList")
WORDS = (STRING, "server.SortOpt")


class Kind(NamedTuple):
    """The options of one document; ``struct`` is what Go calls them."""

    struct: str
    options: Mapping[str, str] = {}


KINDS = {
    "STATSZ": Kind("StatszEventOptions"),
    "VARZ": Kind("VarzEventOptions"),
    "CONNZ": Kind(
        "ConnzEventOptions",
        {
            "sort": "server.SortOpt",
            "auth": BOOL,
            "subscriptions": BOOL,
            "subscriptions_detail": BOOL,
            "offset": INT,
            "limit": INT,
            "cid": UINT,
            "mqtt_client": STRING,
            "state": "server.ConnState",
            "user": STRING,
            "acc": STRING,
            "filter_subject": STRING,
        },
    ),
    "SUBSZ": Kind(
        "SubszEventOptions", {"offset": INT, "limit": INT, "subscriptions": BOOL, "account": STRING, "test": STRING}
    ),
    "ROUTEZ": Kind("RoutezEventOptions", {"subscriptions": BOOL, "subscriptions_detail": BOOL}),
    "GATEWAYZ": Kind(
        "GatewayzEventOptions",
        {"name": STRING, "accounts": BOOL, "account_name": STRING, "subscriptions": BOOL, "subscriptions_detail": BOOL},
    ),
    "LEAFZ": Kind("LeafzEventOptions", {"subscriptions": BOOL, "account": STRING}),
    "ACCOUNTZ": Kind("AccountzEventOptions", {"account": STRING}),
    "STATZ": Kind("AccountStatzEventOptions", {"accounts": STRINGS, "include_unused": BOOL}),
    "INFO": Kind("AccInfoEventOptions"),
    "JSZ": Kind(
        "JszEventOptions",
        {
            "account": STRING,
            "accounts": BOOL,
            "streams": BOOL,
            "consumer": BOOL,
            "direct_consumer": BOOL,
            "config": BOOL,
            "leader_only": BOOL,
            "offset": INT,
            "limit": INT,
            "raft": BOOL,
            "stream_leader_only": BOOL,
        },
    ),
    "HEALTHZ": Kind(
        "HealthzEventOptions",
        {
            "js-enabled": BOOL,
            "js-enabled-only": BOOL,
            "js-server-only": BOOL,
            "js-meta-only": BOOL,
            "account": STRING,
            "stream": STRING,
            "consumer": STRING,
            "details": BOOL,
        },
    ),
    "PROFILEZ": Kind("ProfilezEventOptions", {"name": STRING, "debug": INT, "duration": "time.Duration"}),
    "EXPVARZ": Kind("ExpvarzEventOptions"),
    "IPQUEUESZ": Kind("IpqueueszEventOptions", {"all": BOOL, "filter": STRING}),
    "RAFTZ": Kind("RaftzEventOptions", {"account": STRING, "group": STRING}),
    "FILTER": Kind("EventFilterOptions"),
    "CID": Kind("KickClientReq", {"cid": UINT}),
}
SYNTAX = {  # what Python's decoder says, and Go's
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
}


def parse_body(body: bytes, kind: Kind) -> Fields:
    """The known fields, each of its kind; those that are null or unknown are passed over."""
    if not body:
        return {}
    try:
        text = body.decode("utf-8", "replace")
        value = json.loads(text)
    except json.JSONDecodeError as exc:
        raise BadBody(_syntax(text, exc)) from exc
    except (RecursionError, ValueError) as exc:
        raise BadBody("exceeded max depth") from exc
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadBody(f"json: cannot unmarshal {_name(value)} into Go value of type server.{kind.struct}")
    known = {**FILTER, **kind.options}
    fields = {name: item for name, item in value.items() if name in known and item is not None}
    for name, item in fields.items():
        if (wrong := _wrong(item, known[name])) != "":
            where = f"Go struct field {kind.struct}.{name} of type {known[name]}"
            raise BadBody(f"json: cannot unmarshal {wrong} into {where}")
    return fields


def concerns(identity: Identity, fields: Mapping[str, Any]) -> bool:
    """Is this server one of those that are asked?"""
    asked = ((identity.name, "server_name"), (identity.host, "host"), (identity.cluster, "cluster"))
    for own, name in asked:
        wanted = fields.get(name, "")
        if wanted and (own != wanted if fields.get("exact_match") else wanted not in own):
            return False
    tags = {tag.lower() for tag in identity.tags}
    if not all(tag.lower() in tags for tag in fields.get("tags", ())):
        return False
    domain = fields.get("domain", "")
    return not domain or domain == identity.domain


def _wrong(item: object, kind: str) -> str:
    """What Go calls the value that is not of this kind; empty when it is."""
    if kind == BOOL:
        return "" if isinstance(item, bool) else _name(item)
    if kind in WORDS:
        return "" if isinstance(item, str) else _name(item)
    if kind in LISTS:
        if not isinstance(item, list):
            return _name(item)
        return next((_name(part) for part in item if not isinstance(part, str)), "")
    if isinstance(item, bool) or not isinstance(item, int):
        return f"number {item}" if isinstance(item, float) else _name(item)
    low, high = (0, 1 << 64) if kind == UINT else (-(1 << 63), 1 << 63)
    return "" if low <= item < high else f"number {item}"


def _name(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int() | float():
            return "number"
        case list():
            return "array"
    return "object"


def _syntax(text: str, exc: json.JSONDecodeError) -> str:
    at = text[exc.pos :].lstrip()
    where = SYNTAX.get(exc.msg)
    if not at or where is None:
        return "unexpected end of JSON input"
    return f"invalid character '{at[0]}' {where}"
