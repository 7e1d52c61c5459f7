"""A durable command, as it lies in the hub's stream and in its mirror here, and what a device's answer says of it.

The subject is ``queued.commands.<edge>.<device>.<verb>``; the device is asked on ``commands.<edge>.<device>.<verb>``.
Two subjects, for the hub's stream must not answer plain requests.

``Nats-Msg-Id``         the command's id; without one it is ``<stream>:<sequence at the hub>``
``Petiole-Deadline``    RFC 3339: not to be run from then on; none: it waits for ever
``Petiole-Idempotent``  ``true``: may be run again when nobody knows whether it was run
"""

import enum
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from edge.core.times import parse_rfc3339, rfc3339
from edge.message import header_block, header_get, header_items
from edge.store.contract import Row

QUEUED = "queued."
DEADLINE = "Petiole-Deadline"
IDEMPOTENT = "Petiole-Idempotent"
MAX_ID = 256
ID = "Petiole-Command"  # as the device and the hub's stream of results are told it


class State(enum.Enum):
    RECEIVED = "received"
    SENT = "sent"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    INTERRUPTED = "interrupted"  # it may have been carried out, or not


class Command(NamedTuple):
    """``seq``: at the hub; ``time_ns``: when the hub had it; ``deadline_ns``: wall clock, 0 for none."""

    seq: int
    id: str
    device: str
    verb: str
    time_ns: int
    deadline_ns: int
    idempotent: bool
    fault: str  # why it cannot be run at all; empty: it can

    @classmethod
    def of(cls, row: Row, stream: str) -> "Command":
        tokens = row.subject.split(".")
        device, verb = tokens[3:] if len(tokens) == 5 else (".".join(tokens[3:-1]), tokens[-1])
        fault = "" if len(tokens) == 5 else f"the subject {row.subject} does not end with a device and a verb"
        deadline_ns = 0
        if deadline := header_get(row.headers, DEADLINE):
            try:
                deadline_ns = parse_rfc3339(deadline)
            except ValueError as exc:
                fault = f"{DEADLINE}: {exc}"
        id = header_get(row.headers, "Nats-Msg-Id") or f"{stream}:{row.seq}"
        if len(id) > MAX_ID:
            id, fault = f"{stream}:{row.seq}", f"its id has more than {MAX_ID} characters"
        idempotent = (header_get(row.headers, IDEMPOTENT) or "").strip().lower() == "true"
        return cls(row.seq, id, device, verb, row.time_ns, deadline_ns, idempotent, fault)

    def fields(self) -> dict[str, Any]:
        return {
            "command": self.id,
            "seq": self.seq,
            "device": self.device,
            "verb": self.verb,
            "issued": rfc3339(self.time_ns),
            "deadline": rfc3339(self.deadline_ns) if self.deadline_ns else None,
            "idempotent": self.idempotent,
        }


def device_headers(command: Command, headers: bytes) -> bytes:
    """What the device is told besides the payload: nothing that only meant streams."""
    kept = [item for item in header_items(headers) if not item[0].startswith("Nats-")]
    return header_block([(ID, command.id), *kept])


class Verdict(NamedTuple):
    """``again``: it was surely not carried out and may be later.  ``doubtful``: who repeats it may do it twice."""

    state: State
    result: object
    error: str = ""
    again: bool = False
    doubtful: bool = False


NOT_NOW = ("offline", "busy")  # what a bridge says while its device cannot be asked (docs/downlink.md)
IN_DOUBT = ("interrupted", "timeout")
REFUSED = ("bad argument", "failed", "error", "unknown", "unknown verb")


def verdict(headers: bytes, payload: bytes) -> Verdict:
    """What an answer means: ``{"status": ...}`` as the bridges have it, a service's error, or anything else: done."""
    text = payload.decode("utf-8", "replace")
    try:
        result: object = json.loads(text)
    except (ValueError, RecursionError):
        result = text
    if error := header_get(headers, "Nats-Service-Error"):
        return Verdict(State.FAILED, result, error)
    if headers.startswith(b"NATS/1.0 503"):
        return Verdict(State.RECEIVED, None, "nobody answers for the device", again=True)
    status = result.get("status") if isinstance(result, Mapping) else None
    if not isinstance(status, str) or not isinstance(result, Mapping):
        return Verdict(State.DONE, result)
    error = str(result.get("error", "")) or status
    if status in NOT_NOW:
        return Verdict(State.RECEIVED, None, error, again=True)
    if status in IN_DOUBT:
        return Verdict(State.INTERRUPTED, result, error, doubtful=True)
    return Verdict(State.FAILED, result, error) if status in REFUSED else Verdict(State.DONE, result)
