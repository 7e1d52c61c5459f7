"""The query of a monitoring URL to the options of a document, judged as nats-server judges it, in its words."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from edge.errors import PetioleError
from edge.monitor.stamp import Fields
from edge.protocol.http import BAD_ESCAPE, unescape

TRUE = ("1", "t", "T", "TRUE", "true", "True")
FALSE = ("0", "f", "F", "FALSE", "false", "False")
STATES = {"open": 0, "closed": 1, "any": 2, "all": 2}  # as requests of the system account have them
INT = re.compile(r"[+-]?[0-9]+")
UINT = re.compile(r"[0-9]+")
SHORT = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", '"': '\\"', "\\": "\\\\"
}  # fmt: skip
MAX_DIGITS = 20  # more than any number of 64 bits has
MAX_PARTS = 256

Query = Mapping[str, str]
Reader = Callable[[Query, str], Fields]


class BadQuery(PetioleError):
    """``str(exc)`` is the answer."""


class Parameter(NamedTuple):
    """``name`` as in the URL."""

    name: str
    read: Reader


class Number(NamedTuple):
    """``function`` is Go's."""

    name: str
    function: str
    pattern: re.Pattern[str]
    low: int
    high: int


def parse_query(text: str) -> dict[str, str]:
    """The first value of each; what is malformed is passed over."""
    found: dict[str, str] = {}
    for part in text.split("&", MAX_PARTS)[:MAX_PARTS]:
        if not part or ";" in part or BAD_ESCAPE.search(part):
            continue
        name, _, value = part.partition("=")
        found.setdefault(_unescape(name), _unescape(value))
    return found


def options_of(query: Query, parameters: tuple[Parameter, ...]) -> Fields:
    """BadQuery for the first that is wrong.  What was not said is not there."""
    fields: Fields = {}
    for parameter in parameters:
        if query.get(parameter.name):
            fields |= parameter.read(query, parameter.name)
    return fields


# ---- kinds of parameters


def text(name: str, option: str = "") -> Parameter:
    """``option``: what the document calls it, where that differs."""
    return Parameter(name, lambda query, name: {option or name: query[name]})


def boolean(name: str, option: str = "") -> Parameter:
    return Parameter(name, lambda query, name: {option or name: _boolean(name, query[name])})


def integer(name: str) -> Parameter:
    kind = Number("int", "Atoi", INT, -(1 << 63), 1 << 63)
    return Parameter(name, lambda query, name: {name: _number(name, query[name], kind)})


def unsigned(name: str) -> Parameter:
    kind = Number("uint64", "ParseUint", UINT, 0, 1 << 64)
    return Parameter(name, lambda query, name: {name: _number(name, query[name], kind)})


def subscriptions() -> Parameter:
    """``subs``: none of them, their subjects, or all that is known of each."""

    def read(query: Query, name: str) -> Fields:
        if query[name].lower() == "detail":
            return {"subscriptions_detail": True}
        return {"subscriptions": _boolean(name, query[name])}

    return Parameter("subs", read)


def state() -> Parameter:
    def read(query: Query, name: str) -> Fields:
        if query[name].lower() not in STATES:
            raise BadQuery(f"Error decoding state for {query[name]}")
        return {name: STATES[query[name].lower()]}

    return Parameter("state", read)


def _boolean(name: str, value: str) -> bool:
    if value not in TRUE and value not in FALSE:
        raise _wrong("boolean", name, "ParseBool", value, "invalid syntax")
    return value in TRUE


def _number(name: str, value: str, kind: Number) -> int:
    if not kind.pattern.fullmatch(value):
        raise _wrong(kind.name, name, kind.function, value, "invalid syntax")
    digits = value.lstrip("+-").lstrip("0")
    number = int(value) if len(digits) <= MAX_DIGITS else kind.high
    if not kind.low <= number < kind.high:
        raise _wrong(kind.name, name, kind.function, value, "value out of range")
    return number


def _wrong(kind: str, name: str, function: str, value: str, what: str) -> BadQuery:
    return BadQuery(f"Error decoding {kind} for '{name}': strconv.{function}: parsing {_quoted(value)}: {what}")


def _quoted(value: str) -> str:
    """As Go quotes."""
    return '"' + "".join(map(_quoted_char, value)) + '"'


def _quoted_char(char: str) -> str:
    if char in SHORT:
        return SHORT[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unescape(value: str) -> str:
    return unescape(value.replace("+", " "))
