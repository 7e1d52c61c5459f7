"""What the hub's JetStream answers, as typed values."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from edge.message import header_get

NO_MESSAGE_FOUND = 10037
STREAM_NOT_FOUND = 10059
# Errors about this one message, which would be refused for ever.  Whatever else a hub says may be over tomorrow: code
# 400 alone means little, for an account that has no room and a sealed stream have it too.
PERMANENT = frozenset(
    {10054, 10097, 10111, 10165, 10166}  # its size, its headers' size, rollup, time to live
    | {10070, 10071, 10164}  # what it expects of the stream
    | {*range(10168, 10174)}  # a counter's
    | {*range(10188, 10193), 10203, 10212, 10223}  # a schedule's
)
NO_BATCHES = frozenset({10205, 10206, 10207, 10211})  # disabled, not understood, too many: not in batches, then


@dataclass(frozen=True, slots=True)
class Refused:
    """A negative answer.  ``permanent``: the same message would never be taken."""

    reason: str
    err_code: int
    permanent: bool


    @property
    def is_of_batches(self) -> bool:
        """Each message by itself would be taken."""
        return self.err_code in NO_BATCHES


@dataclass(frozen=True, slots=True)
class PubAck:
    """``count``: so many of the first messages of a batch that has ended; None: this is of one message."""

    stream: str
    seq: int
    count: int | None = None


@dataclass(frozen=True, slots=True)
class BatchAck:
    """Of a batch that goes on: everything up to its message ``seq`` is stored."""

    seq: int


@dataclass(frozen=True, slots=True)
class BatchGap:
    """Messages of a batch have not come to the hub's stream."""


@dataclass(frozen=True, slots=True)
class BatchError:
    """Message ``seq`` of a batch was refused."""

    seq: int
    refused: Refused


@dataclass(frozen=True, slots=True)
class StreamState:
    """``created`` as the hub writes it: it is compared, never read."""

    created: str
    first_seq: int
    last_seq: int
    subjects: tuple[str, ...]
    transformed: bool  # it stores messages under other subjects than they were published to
    batched: bool = False  # it takes fast batches
    max_msg_size: int = 0  # headers and payload; 0: any


@dataclass(frozen=True, slots=True)
class StoredMessage:
    seq: int
    msg_id: str


def parse_puback(headers: bytes, payload: bytes) -> PubAck | Refused:
    fields = _fields(headers, payload)
    if isinstance(fields, Refused):
        return fields
    match fields:
        case {"stream": str(stream), "seq": int(seq)}:
            count = fields.get("count")
            if "batch" in fields and not isinstance(count, int):
                return _unknown(payload)
            return PubAck(stream, seq, count if isinstance(count, int) else None)
    return _unknown(payload)


def parse_batch_answer(headers: bytes, payload: bytes) -> PubAck | BatchAck | BatchGap | BatchError | Refused:
    """What a hub says to a message of a fast batch."""
    match _object(headers, payload):
        case {"type": "ack", "seq": int(seq)}:
            return BatchAck(seq)
        case {"type": "gap"}:
            return BatchGap()
        case {"type": "err", "seq": int(seq), "error": dict(error)}:
            return BatchError(seq, _refused(error))
    return parse_puback(headers, payload)


def parse_stream_info(headers: bytes, payload: bytes) -> StreamState | Refused:
    fields = _fields(headers, payload)
    if isinstance(fields, Refused):
        return fields
    match fields:
        case {"created": str(created), "state": {"first_seq": int(first), "last_seq": int(last)}}:
            config = fields.get("config")
            config = config if isinstance(config, dict) else {}
            subjects = config.get("subjects")
            names = tuple(str(subject) for subject in subjects) if isinstance(subjects, list) else ()
            batched = config.get("allow_batched") is True
            most = config.get("max_msg_size")
            most = most if isinstance(most, int) and most > 0 else 0
            return StreamState(created, first, last, names, "subject_transform" in config, batched, most)
    return _unknown(payload)


def parse_stored(headers: bytes, payload: bytes) -> StoredMessage | Refused:
    """The answer to a message get, where only the id is of interest."""
    fields = _fields(headers, payload)
    if isinstance(fields, Refused):
        return fields
    match fields:
        case {"message": {"seq": int(seq), **message}}:
            try:
                block = base64.b64decode(str(message.get("hdrs", "")))
            except ValueError:
                return _unknown(payload)
            return StoredMessage(seq, header_get(block, "Nats-Msg-Id") or "")
    return _unknown(payload)


def parse_pending(headers: bytes, payload: bytes) -> int | Refused:
    """How many messages a new consumer has before it."""
    fields = _fields(headers, payload)
    if isinstance(fields, Refused):
        return fields
    match fields:
        case {"num_pending": int(pending)}:
            return pending
    return _unknown(payload)


def delivery_sequences(reply: str) -> tuple[int, int]:
    """Stream and consumer sequence of a delivery, from its ack subject; zeros when that is none.

    ``$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>``, or with domain and account
    hash before the stream.
    """
    tokens = reply.split(".")
    if tokens[:2] != ["$JS", "ACK"]:
        return 0, 0
    match tokens[5:7] if len(tokens) == 9 else tokens[7:9]:
        case [stream, consumer] if (stream + consumer).isdecimal() and max(len(stream), len(consumer)) < 20:
            return int(stream), int(consumer)
    return 0, 0


def _fields(headers: bytes, payload: bytes) -> dict[str, Any] | Refused:
    """The JSON object of an answer that is not an error."""
    fields = _object(headers, payload)
    if isinstance(fields, Refused):
        return fields
    error = fields.get("error")
    return _refused(error) if isinstance(error, dict) else fields


def _object(headers: bytes, payload: bytes) -> dict[str, Any] | Refused:
    if headers.startswith(b"NATS/1.0 503"):
        return Refused("no responders", 0, permanent=False)
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        return _unknown(payload)
    return fields if isinstance(fields, dict) else _unknown(payload)


def _refused(error: dict[str, Any]) -> Refused:
    err_code = error.get("err_code")
    number = err_code if isinstance(err_code, int) else 0
    return Refused(str(error.get("description") or error), number, number in PERMANENT)


def _unknown(payload: bytes) -> Refused:
    return Refused(f"an answer that is not JetStream's: {payload[:80]!r}", 0, permanent=False)
