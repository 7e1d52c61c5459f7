"""Counters: messages that say by how much, stored as what it comes to (``Nats-Incr``; ADR-49; reference:
jetstream.md section 3).

Counters that flow in from other streams bring totals: what each of them brought last is kept in
``Nats-Counter-Sources``, as ``{"stream": {"subject": "total"}}``, and only the difference is added.
"""

import json
import re
from typing import NamedTuple

from edge.jetstream import errors
from edge.jetstream.fields import dumps
from edge.message import header_get, header_set
from edge.store.contract import Row

HEADER, SOURCES = "Nats-Incr", "Nats-Counter-Sources"
NUMBER = re.compile(r"[+-]?[0-9]{1,4000}")  # nats-server takes as many digits as a header holds
EXCLUDED = (
    "Nats-Rollup", "Nats-Expected-Stream", "Nats-Expected-Last-Msg-Id", "Nats-Expected-Last-Sequence",
    "Nats-Expected-Last-Subject-Sequence", "Nats-Expected-Last-Subject-Sequence-Subject",
)  # fmt: skip

Sources = dict[str, dict[str, str]]


class Counted(NamedTuple):
    """What is stored, and the total that it says."""

    headers: bytes
    payload: bytes
    total: str


class Known(NamedTuple):
    total: int
    sources: Sources


NONE = Known(0, {})


def increment(headers: bytes, payload: bytes, allowed: bool) -> int | None:
    """What a publisher adds; None when it says nothing of it.  ApiError for what nats-server refuses."""
    text = header_get(headers, HEADER)
    if not text:
        return None
    if not NUMBER.fullmatch(text):
        raise errors.INCREMENT_INVALID
    if not allowed:
        raise errors.COUNTERS_DISABLED
    if payload:
        raise errors.INCREMENT_PAYLOAD
    if any(header_get(headers, name) for name in EXCLUDED):
        raise errors.INCREMENT_INVALID
    return int(text)


def add(last: Row | None, headers: bytes, by: int) -> Counted:
    """``last``: the newest message of this subject."""
    known = _known(last)
    return _counted(headers, known.total + by, known.sources)


def add_sourced(last: Row | None, headers: bytes, payload: bytes, stream: str, subject: str) -> Counted:
    """A total that ``subject`` of ``stream`` has come to; ``headers`` then tell the difference."""
    known = _known(last)
    theirs = _total(payload)
    before = known.sources.get(stream, {}).get(subject, "")
    by = theirs - (int(before) if NUMBER.fullmatch(before) else 0)
    sources = {**known.sources, stream: {**known.sources.get(stream, {}), subject: str(theirs)}}
    return _counted(header_set(headers, HEADER, str(by)), known.total + by, sources)


def _counted(headers: bytes, total: int, sources: Sources) -> Counted:
    if sources:
        ordered = {stream: dict(sorted(sources[stream].items())) for stream in sorted(sources)}
        headers = header_set(headers, SOURCES, dumps(ordered).decode())
    return Counted(headers, b'{"val":"%d"}' % total, str(total))


def _known(row: Row | None) -> Known:
    if row is None:
        return NONE
    text = header_get(row.headers, SOURCES) if row.headers else None
    return Known(_total(row.payload), _sources(text) if text else {})


def _total(payload: bytes) -> int:
    """ApiError 10172 for what is no counter."""
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError) as exc:
        raise errors.COUNTER_BROKEN from exc
    text = fields.get("val", "") if isinstance(fields, dict) else None
    if not isinstance(text, str):
        raise errors.COUNTER_BROKEN
    return int(text) if NUMBER.fullmatch(text) else 0


def _sources(text: str) -> Sources:
    try:
        found = json.loads(text)
        return {str(stream): {str(k): str(v) for k, v in totals.items()} for stream, totals in found.items()}
    except (ValueError, AttributeError, RecursionError) as exc:
        raise errors.COUNTER_BROKEN from exc
