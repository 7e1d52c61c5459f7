"""JSON of requests and answers.  Every field of a request has a kind; what is unknown or of another kind is refused
as Go refuses it."""

import json
from collections.abc import Mapping
from typing import Any

from edge.errors import ApiError
from edge.jetstream.errors import invalid_json
from edge.json_text import loads

MAX_INT64 = (1 << 63) - 1
RANGES = {"int": (-1 << 63, MAX_INT64), "uint": (0, (1 << 64) - 1), "int32": (-1 << 31, (1 << 31) - 1)}

KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "int": (int,),
    "uint": (int,),
    "int32": (int,),
    "duration": (int,),
    "bool": (bool,),
    "strings": (list,),
    "ints": (list,),
    "object": (dict,),
    "objects": (list,),
}


def dumps(fields: Mapping[str, object]) -> bytes:
    """A subject of other bytes than UTF-8 is shown with U+FFFD for them, as Go shows it."""
    text = json.dumps(fields, separators=(",", ":"))
    if "\\udc" not in text:
        return text.encode()
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()


def parse_object(body: bytes, kinds: Mapping[str, str], strict: bool = True) -> dict[str, Any]:
    """The fields of a JSON object, each of its kind; null means absent.  ApiError 10025 otherwise; not ``strict``:
    what is unknown is passed over."""
    if not body.strip():
        return {}
    try:
        value = loads(body)
    except ValueError as exc:
        raise invalid_json(str(exc).split("\n")[0]) from exc
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_json("expected an object")
    if not strict:
        value = {name: item for name, item in value.items() if name in kinds or name.lower() in kinds}
    return check_object(value, kinds)


def parse_optional(body: bytes, kinds: Mapping[str, str]) -> dict[str, Any]:
    """As ``parse_object`` for what begins like JSON; anything else asks for nothing in particular."""
    return parse_object(body, kinds) if body.lstrip()[:1] in (b"{", b"[") else {}


def is_empty(body: bytes) -> bool:
    """Nothing, or an object without fields."""
    if not body or body == b"{}":
        return True
    try:
        return bool(json.loads(body) == {})
    except (ValueError, RecursionError):
        return False


def check_object(value: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    fields = {}
    for given, item in value.items():
        name = given
        kind = kinds.get(name)
        if kind is None:
            name = name.lower()  # Go's JSON does not care for the case of names
            kind = kinds.get(name)
        if kind is None:
            raise invalid_json(f'json: unknown field "{given}"')
        if item is not None:
            fields[name] = _checked(name, kind, item)
    return fields


EMPTY = {"strings": "", "ints": 0}  # what null is in a list of these


def _checked(name: str, kind: str, item: Any) -> Any:
    if not _is_a(kind, item):
        raise _wrong(name, kind)
    if kind in EMPTY:
        item = [EMPTY[kind] if part is None else part for part in item]
    if kind == "strings" and not all(isinstance(part, str) for part in item):
        raise _wrong(name, kind)
    if kind == "ints" and not all(type(part) is int for part in item):
        raise _wrong(name, kind)
    if kind == "objects" and not all(isinstance(part, dict) for part in item):
        raise _wrong(name, kind)
    if kind == "duration":
        # nats-server refuses what does not fit 64 bits.  A client that took seconds for nanoseconds means "for
        # ever", and gets it: 292 years.
        return max(-MAX_INT64, min(item, MAX_INT64))
    if kind in RANGES and not RANGES[kind][0] <= item <= RANGES[kind][1]:
        raise _wrong(name, kind)
    return item


def _is_a(kind: str, item: object) -> bool:
    return isinstance(item, KINDS[kind]) and (kind == "bool" or not isinstance(item, bool))


def _wrong(name: str, kind: str) -> ApiError:
    return invalid_json(f"json: cannot unmarshal field {name}: expected {kind}")
