"""The CBOR payloads of the serial link (protocol.md, sections 2 to 5)."""

from dataclasses import dataclass
from typing import Any

import cbor2

MAX_DEPTH = 16  # of what is received; protocol.md promises a device less
TAGS = (2, 3)  # big numbers
STATUSES = {0: "ok", 1: "unknown verb", 2: "failed", 3: "bad argument"}


class PayloadError(ValueError):
    """A payload that does not say what its frame needs."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Of a device, from its HELLO; ``now_ms`` since its boot."""

    name: str
    firmware: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Telemetry:
    channel: str
    value: int | float | bool | str | bytes
    unit: str = ""
    at_ms: int | None = None  # since the device's boot


@dataclass(frozen=True, slots=True)
class CommandCall:
    verb: str
    argument: Any = None


@dataclass(frozen=True, slots=True)
class CommandResult:
    status: int
    value: Any = None


def read_identity(payload: bytes) -> Identity:
    fields = _map(payload)
    name = _text(fields, 1)
    if not name:
        raise PayloadError("a device without a name")
    return Identity(name, _text(fields, 2), _time(fields, 3) or 0)


def write_identity(identity: Identity) -> bytes:
    return _dumps({1: identity.name, 2: identity.firmware, 3: identity.now_ms})


def read_telemetry(payload: bytes) -> Telemetry:
    fields = _map(payload)
    channel, value = _text(fields, 1), fields.get(2)
    if not channel or not isinstance(value, (int, float, bool, str, bytes)):
        raise PayloadError("a reading without channel or value")
    return Telemetry(channel, value, _text(fields, 3), _time(fields, 4))


def write_telemetry(reading: Telemetry) -> bytes:
    fields: dict[int, Any] = {1: reading.channel, 2: reading.value}
    if reading.unit:
        fields[3] = reading.unit
    if reading.at_ms is not None:
        fields[4] = reading.at_ms
    return _dumps(fields)


def read_command(payload: bytes) -> CommandCall:
    fields = _map(payload)
    return CommandCall(_text(fields, 1), fields.get(2))


def write_command(call: CommandCall) -> bytes:
    fields: dict[int, Any] = {1: call.verb}
    if call.argument is not None:
        fields[2] = call.argument
    return _dumps(fields)


def read_result(payload: bytes) -> CommandResult:
    fields = _map(payload)
    status = fields.get(1)
    if type(status) is not int:
        raise PayloadError("a result without a status")
    return CommandResult(status, fields.get(2))


def write_result(result: CommandResult) -> bytes:
    fields: dict[int, Any] = {1: result.status}
    if result.value is not None:
        fields[2] = result.value
    return _dumps(fields)


def _dumps(fields: dict[int, Any]) -> bytes:
    try:
        encoded: bytes = cbor2.dumps(fields)
    except (cbor2.CBOREncodeError, ValueError, RecursionError) as exc:
        raise PayloadError(f"there is no CBOR for this: {exc}") from exc
    return encoded


def _map(payload: bytes) -> dict[Any, Any]:
    """Exactly one item, a map."""
    if _item_end(payload, 0, MAX_DEPTH) != len(payload):
        raise PayloadError("bytes behind the map")
    try:
        value = cbor2.loads(payload)
    except (cbor2.CBORDecodeError, ValueError, TypeError) as exc:  # text that is no UTF-8, a key that is a map
        raise PayloadError(f"not CBOR: {exc}") from exc
    if not isinstance(value, dict):
        raise PayloadError("not a CBOR map")
    return value


def _text(fields: dict[Any, Any], key: int) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str):
        raise PayloadError(f"field {key} is no text")
    return value


def _time(fields: dict[Any, Any], key: int) -> int | None:
    value = fields.get(key)
    return value if type(value) is int and value >= 0 else None


def _item_end(payload: bytes, at: int, depth: int) -> int:
    """Where the item at ``at`` ends.  PayloadError: it is cut off, too deep, or what the page has not.

    cbor2 reads far more than the page allows: tags for dates and expressions, and references, with which a few bytes
    stand for millions of values.
    """
    if at >= len(payload) or depth == 0:
        raise PayloadError("the CBOR is cut off" if depth else "the CBOR is too deep")
    major, info = payload[at] >> 5, payload[at] & 31
    size = 1 << info - 24 if info > 23 else 0
    end = at + 1 + size
    if info > 27 or end > len(payload):
        raise PayloadError("the CBOR is cut off" if info < 28 else "CBOR without a length")
    number = int.from_bytes(payload[at + 1 : end]) if size else info
    match major:
        case 2 | 3:
            end += number
        case 4 | 5:
            for _ in range(number * (major - 3)):
                end = _item_end(payload, end, depth - 1)
        case 6 if number in TAGS:
            end = _item_end(payload, end, depth - 1)
        case 6:
            raise PayloadError(f"a CBOR tag {number}")
    if end > len(payload):
        raise PayloadError("the CBOR is cut off")
    return end
