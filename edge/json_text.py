"""JSON that somebody else has written, read as Go reads it: what is no UTF-8, and half a surrogate pair, is U+FFFD, so
that every string can be written again; NaN and the infinities are none."""

import json
import re
from typing import Any, NoReturn

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # the escape of one, with or without its other half


def loads(data: bytes) -> Any:
    """ValueError for what is no JSON, or too deep."""
    text = data.decode("utf-8", "replace")
    try:
        value = DECODER.decode(text)
    except RecursionError as exc:
        raise ValueError("too deep") from exc
    return _whole(value) if SURROGATE.search(text) else value


def _whole(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_whole(item) for item in value]
        case dict():
            return {_whole(name): _whole(item) for name, item in value.items()}
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"invalid character {constant[0]!r} looking for beginning of value")


DECODER = json.JSONDecoder(parse_constant=_refuse)
