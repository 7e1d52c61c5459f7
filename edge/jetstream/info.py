"""The shapes of JetStream's answers (reference: jetstream.md section 1)."""

import base64
import json
from collections.abc import Mapping

from edge.errors import ApiError
from edge.jetstream.consumer import Consumer
from edge.jetstream.errors import error_fields
from edge.jetstream.stream import Stream
from edge.jetstream.times import ZERO, rfc3339
from edge.store.contract import Row

API_LEVEL = 0  # no feature of level 1 (message TTL, pause, priority groups) is here yet
SERVER_LEVEL = "2.12.0"  # the nats-server whose API this is

Fields = dict[str, object]


def response(kind: str, fields: Mapping[str, object]) -> bytes:
    return dumps({"type": f"io.nats.jetstream.api.v1.{kind}_response", **fields})


def error_response(kind: str, error: ApiError, extra: Mapping[str, object]) -> bytes:
    return response(kind, {"error": error_fields(error), **extra})


def dumps(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def versioned(config: Fields) -> Fields:
    """A configuration as an answer shows it, with what level it needs and what level is here."""
    metadata = config.get("metadata")
    levels = {"_nats.level": str(API_LEVEL), "_nats.req.level": "0", "_nats.ver": SERVER_LEVEL}
    return config | {"metadata": (metadata if isinstance(metadata, dict) else {}) | levels}


def stream_state(stream: Stream, consumers: int) -> Fields:
    last = stream.get(stream.last_seq)
    state: Fields = {
        "messages": stream.messages,
        "bytes": stream.bytes,
        "first_seq": stream.first_seq if stream.last_seq else 0,
        "first_ts": rfc3339(stream.oldest_ns()) if stream.messages else ZERO,
        "last_seq": stream.last_seq,
        "last_ts": rfc3339(last.time_ns if last else stream.last_ns),
    }
    if stream.messages and stream.index is not None:
        state["num_subjects"] = len(stream.index.count)
    deleted = stream.last_seq - stream.first_seq + 1 - stream.messages
    if stream.messages and deleted:
        state["num_deleted"] = deleted
    return state | {"consumer_count": consumers}


def stream_info(stream: Stream, consumers: int, now_ns: int) -> Fields:
    info: Fields = {
        "config": versioned(stream.config.fields()),
        "created": rfc3339(stream.created_ns),
        "state": stream_state(stream, consumers),
    }
    if stream.domain:
        info["domain"] = stream.domain
    return info | {"ts": rfc3339(now_ns)}


def consumer_info(consumer: Consumer, now_ns: int) -> Fields:
    return {
        "stream_name": consumer.stream.name,
        "name": consumer.name,
        "created": rfc3339(consumer.created_ns),
        "config": versioned(consumer.config.fields()),
        "delivered": consumer.delivered._asdict(),
        "ack_floor": consumer.ack_floor._asdict(),
        "num_ack_pending": len(consumer.pending),
        "num_redelivered": len(consumer.redelivered),
        "num_waiting": len(consumer.waiting),
        "num_pending": consumer.num_pending(),
        "ts": rfc3339(now_ns),
    }


def message_fields(row: Row) -> Fields:
    fields: Fields = {"subject": row.subject, "seq": row.seq}
    if row.headers:
        fields["hdrs"] = base64.b64encode(row.headers).decode()
    if row.payload:
        fields["data"] = base64.b64encode(row.payload).decode()
    return fields | {"time": rfc3339(row.time_ns)}
