"""What stands on the subjects, for people and programs: tokens, and readings and results as JSON."""

import base64
import json
import math
from datetime import UTC, datetime
from typing import Any

from firmware_bridge.payload import STATUSES, PayloadError, Telemetry, read_result, read_telemetry

ORIGIN_TIME = "Petiole-Origin-Time"
MSG_ID = "Nats-Msg-Id"
UNDECODABLE = "_undecodable"  # the channel of a reading that is none


def token(name: str) -> str:
    """A subject's token; what it cannot hold becomes ``_``."""
    return "".join("_" if char.isspace() or char in ".*>" or char < " " else char for char in name) or "_"


def msg_id(device: str, boot: int, seq: int) -> str:
    return f"{device}:{boot:08x}:{seq}"


def read_reading(payload: bytes) -> tuple[str, bytes, int | None, str]:
    """Channel, JSON, when it was measured (ms since the device's boot), and what is wrong with it ("": nothing).

    What cannot be read is kept as it came: the device's memory is not the place to wait for better code.
    """
    try:
        reading = read_telemetry(payload)
    except PayloadError as exc:
        return UNDECODABLE, _dumps({"bytes": base64.b64encode(payload).decode()}), None, str(exc)
    return token(reading.channel), reading_json(reading), reading.at_ms, ""


def reading_json(reading: Telemetry) -> bytes:
    fields: dict[str, Any] = {}
    if isinstance(reading.value, bytes):
        fields["bytes"] = base64.b64encode(reading.value).decode()
    else:
        fields["value"] = plain(reading.value)
    if reading.unit:
        fields["unit"] = reading.unit
    return _dumps(fields)


def result_json(verb: str, payload: bytes) -> dict[str, Any]:
    """The reply to a command, from the payload of its RESULT."""
    try:
        result = read_result(payload)
    except PayloadError as exc:
        return {"status": "failed", "error": f"the device's answer cannot be read: {exc}"}
    status = STATUSES.get(result.status, "failed")
    answer: dict[str, Any] = {"status": status}
    if result.value is not None:
        answer["value"] = plain(result.value)
    if status != "ok":
        answer["error"] = f"{verb}: {status}"
    return answer


def plain(value: object) -> Any:
    """CBOR as JSON has it: bytes in base64, keys as text, numbers that JSON has not as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return {key if isinstance(key, str) else str(key): plain(item) for key, item in value.items()}
    return str(value)


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _dumps(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()
