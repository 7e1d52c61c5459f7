"""What the headers of a publish ask for (reference: jetstream.md section 3)."""

import json
from typing import NamedTuple, Protocol

from edge.errors import ApiError
from edge.jetstream import errors
from edge.jetstream.expiry import parse_ttl
from edge.message import header_get

MAX_HEADERS = 64 * 1024

# Features that a stream must allow, and that no stream here does yet.
DISABLED = (
    ("Nats-Stream-Source", ApiError(400, 10227, "message stream source header is not allowed")),
    ("Nats-Batch-Id", ApiError(400, 10174, "atomic publish is disabled")),
    ("Nats-Incr", ApiError(400, 10168, "message counters is disabled")),
    ("Nats-Schedule", ApiError(400, 10188, "message schedules is disabled")),
)


class Known(Protocol):
    """What a stream knows, everything counted in that has a sequence and is not on disk yet."""

    @property
    def name(self) -> str: ...
    @property
    def may_roll_up(self) -> bool: ...
    @property
    def may_expire(self) -> bool: ...
    def last_sequence(self) -> int: ...
    def last_id(self) -> str: ...
    def last_of(self, pattern: str) -> int:
        """The last sequence of a subject (or pattern), 0 for none."""

    def find_id(self, msg_id: str) -> int:
        """The sequence of the message that had this id, 0 for none."""


class Checked(NamedTuple):
    msg_id: str  # to be remembered when the message is stored
    duplicate: int  # the sequence of the message that this one repeats, or 0


NOTHING = Checked("", 0)


def check_headers(stream: Known, subject: str, headers: bytes) -> Checked:
    """ApiError when an expectation is not met: nothing is stored then."""
    if len(headers) > MAX_HEADERS:
        raise errors.HEADERS_TOO_LARGE
    ours = headers.count(b"\r\nNats-")
    if not ours:
        return NOTHING
    if ours == 1 and b"\r\nNats-Msg-Id:" in headers:  # by far the most
        msg_id = header_get(headers, "Nats-Msg-Id") or ""
        return Checked(msg_id, stream.find_id(msg_id) if msg_id else 0)
    for name, error in DISABLED:
        if header_get(headers, name):
            raise error
    expected = header_get(headers, "Nats-Expected-Stream")
    if expected and expected != stream.name:
        raise errors.EXPECTED_STREAM
    msg_id = header_get(headers, "Nats-Msg-Id") or ""
    if msg_id and (duplicate := stream.find_id(msg_id)):
        return Checked(msg_id, duplicate)
    if b"\r\nNats-Expected-" in headers:
        _check_expected(stream, subject, headers)
    ttl = header_get(headers, "Nats-TTL")
    if ttl:
        _check_ttl(stream, ttl)
    rollup = header_get(headers, "Nats-Rollup")
    if rollup:
        if not stream.may_roll_up:
            raise errors.rollup_failed("rollup not permitted")
        if rollup not in ("sub", "all"):
            raise errors.rollup_failed(f"rollup value invalid: {json.dumps(rollup)}")
    return Checked(msg_id, 0)


def _check_expected(stream: Known, subject: str, headers: bytes) -> None:
    expected = header_get(headers, "Nats-Expected-Last-Sequence")
    if expected and _number(expected) != (last := stream.last_sequence()):
        raise errors.wrong_last_sequence(last)
    expected = header_get(headers, "Nats-Expected-Last-Msg-Id")
    if expected and expected != (last_id := stream.last_id()):
        raise errors.wrong_last_msg_id(last_id)
    expected = header_get(headers, "Nats-Expected-Last-Subject-Sequence")
    pattern = header_get(headers, "Nats-Expected-Last-Subject-Sequence-Subject")
    if expected:
        last = stream.last_of(pattern or subject)
        if _number(expected) != last:
            raise errors.wrong_last_sequence(last)
    elif pattern:
        raise errors.MISSING_SUBJECT_SEQUENCE


def _check_ttl(stream: Known, ttl: str) -> None:
    if not stream.may_expire:
        raise errors.TTL_DISABLED
    try:
        parse_ttl(ttl)
    except ValueError as exc:
        raise errors.TTL_INVALID from exc


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and text.isascii() else -1
