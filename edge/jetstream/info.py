"""The shapes of JetStream's answers (reference: jetstream.md section 1)."""

import base64
from collections.abc import Mapping

from edge.core.times import ZERO, rfc3339
from edge.errors import ApiError
from edge.jetstream.acks import Position
from edge.jetstream.consumer import Consumer
from edge.jetstream.errors import error_fields
from edge.jetstream.fields import dumps
from edge.jetstream.pulls import Pulls
from edge.jetstream.stream import Stream
from edge.store.contract import Row
from edge.version import API_LEVEL, NATS_LEVEL

MAX_UNASKED = 50_000  # messages that are looked through for their subjects when nobody asked for those

Fields = dict[str, object]


def response(kind: str, fields: Mapping[str, object]) -> bytes:
    return dumps({"type": f"io.nats.jetstream.api.v1.{kind}_response", **fields})


def error_response(kind: str, error: ApiError, extra: Mapping[str, object]) -> bytes:
    return response(kind, {"error": error_fields(error), **extra})


def stored(config: Fields, level: int) -> Fields:
    """A configuration as lists show it, with the API level that it needs."""
    return config | {"metadata": _metadata(config, {"_nats.req.level": str(level)})}


def versioned(config: Fields, level: int) -> Fields:
    """As answers about one stream or consumer show it: with the level that is here besides."""
    levels = {"_nats.level": str(API_LEVEL), "_nats.req.level": str(level), "_nats.ver": NATS_LEVEL}
    return config | {"metadata": _metadata(config, levels)}


def _metadata(config: Fields, levels: dict[str, str]) -> Fields:
    given = config.get("metadata", {})
    assert isinstance(given, dict)
    return dict(sorted((given | levels).items()))


def stream_state(stream: Stream, consumers: int, detail: Fields) -> Fields:
    """``detail``: what was asked for beside the totals."""
    last = stream.get(stream.last_seq)
    state: Fields = {
        "messages": stream.messages,
        "bytes": stream.bytes,
        "first_seq": stream.first_seq if stream.last_seq or stream.was_purged else 0,
        "first_ts": rfc3339(stream.oldest_ns()) if stream.messages else ZERO,
        "last_seq": stream.last_seq,
        "last_ts": rfc3339(last.time_ns if last else stream.last_ns),
    }
    if stream.messages and (stream.index is not None or stream.messages <= MAX_UNASKED):
        state["num_subjects"] = len(stream.subjects.count)
    if "subjects" in detail:
        state["subjects"] = detail["subjects"]
    deleted = stream.last_seq - stream.first_seq + 1 - stream.messages
    if stream.messages and deleted:
        state["num_deleted"] = deleted
    if detail.get("deleted"):
        state["deleted"] = detail["deleted"]
    return state | {"consumer_count": consumers}


def stream_info(stream: Stream, consumers: int, now_ns: int, domain: str, **detail: object) -> Fields:
    """As CREATE and UPDATE answer; ``leader`` in ``detail``: as INFO does."""
    info = _stream_info(stream, versioned(stream.config.fields(), stream.config.level), consumers, domain, detail)
    if "leader" in detail:
        info["cluster"] = {"leader": detail["leader"]}
    return info | _origins(stream) | {"ts": rfc3339(now_ns)}


def listed_stream(stream: Stream, consumers: int, now_ns: int) -> Fields:
    config = stored(stream.config.fields(), stream.config.level)
    info = _stream_info(stream, config, consumers, stream.domain, {}) | _origins(stream)
    return info | {"ts": rfc3339(now_ns)}


def _origins(stream: Stream) -> Fields:
    """Where its messages come from."""
    if stream.inlet is None:
        return {}
    origins = stream.inlet.info(stream.clock.monotonic())
    return {"sources": origins} if stream.config.sources else {"mirror": origins[0]}


def _stream_info(stream: Stream, config: Fields, consumers: int, domain: str, detail: Fields) -> Fields:
    info: Fields = {
        "config": config,
        "created": rfc3339(stream.created_ns),
        "state": stream_state(stream, consumers, detail),
    }
    if domain:
        info["domain"] = domain
    return info


def consumer_info(consumer: Consumer, now_ns: int) -> Fields:
    return _consumer_info(consumer, versioned(consumer.config.fields(), consumer.config.level), now_ns)


def listed_consumer(consumer: Consumer, now_ns: int) -> Fields:
    return _consumer_info(consumer, stored(consumer.config.fields(), consumer.config.level), now_ns)


def _consumer_info(consumer: Consumer, config: Fields, now_ns: int) -> Fields:
    acks = consumer.acks
    info: Fields = {
        "stream_name": consumer.stream.name,
        "name": consumer.name,
        "created": rfc3339(consumer.created_ns),
        "config": config,
        "delivered": _position(acks.delivered, consumer.delivered_ns),
        "ack_floor": _position(acks.floor, consumer.acked_ns),
        "num_ack_pending": len(acks.pending),
        "num_redelivered": 0 if consumer.config.max_deliver == 1 else len(acks.redelivered),
        "num_waiting": len(consumer.way.waiting),
        "num_pending": consumer.num_pending(),
    }
    if consumer.config.deliver_subject and consumer.way.is_wanted():
        info["push_bound"] = True
    if consumer.paused_ns:
        info |= {"paused": True, "pause_remaining": consumer.paused_ns - now_ns}
    info["ts"] = rfc3339(now_ns)
    if isinstance(consumer.way, Pulls) and consumer.config.priority_groups:
        info["priority_groups"] = [_group(consumer.way, consumer.config.priority_groups[0])]
    return info


def _group(way: Pulls, group: str) -> Fields:
    pin = way.pin
    named = {"pinned_client_id": pin.id} if pin.id else {}
    return {"group": group, **named, "pinned_ts": rfc3339(pin.pinned_ns)}


def _position(position: Position, at_ns: int) -> Fields:
    fields: Fields = dict(position._asdict())
    return fields | {"last_active": rfc3339(at_ns)} if at_ns else fields


def message_fields(row: Row, with_headers: bool = True) -> Fields:
    fields: Fields = {"subject": row.subject, "seq": row.seq}
    if row.headers and with_headers:
        fields["hdrs"] = base64.b64encode(row.headers).decode()
    if row.payload:
        fields["data"] = base64.b64encode(row.payload).decode()
    return fields | {"time": rfc3339(row.time_ns)}
