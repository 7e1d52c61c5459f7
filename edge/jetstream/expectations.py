"""What the headers of a publish ask for (reference: jetstream.md section 3)."""

import json
from typing import Protocol

from edge.jetstream import errors
from edge.jetstream.expiry import parse_ttl
from edge.jetstream.stream_config import StreamConfig
from edge.message import header_get

MAX_HEADERS = 65_535
ROLLUPS = ("sub", "all")


class Known(Protocol):
    """What a stream knows, everything counted in that has a sequence and is not on disk yet."""

    @property
    def config(self) -> StreamConfig: ...
    def last_sequence(self) -> int: ...
    def last_id(self) -> str: ...
    def last_of(self, pattern: str) -> int:
        """The last sequence of a subject (or pattern), 0 for none."""

    def find_id(self, msg_id: str) -> int:
        """The sequence of the message that had this id, 0 for none."""


def check_stream(stream: Known, headers: bytes) -> None:
    expected = header_get(headers, "Nats-Expected-Stream")
    if expected and expected != stream.config.name:
        raise errors.EXPECTED_STREAM


def check_ttl_allowed(stream: Known, headers: bytes) -> None:
    """What is no time to live is told of later, as nats-server does it."""
    if not stream.config.allow_msg_ttl and (ttl := header_get(headers, "Nats-TTL")) and _ttl(ttl):
        raise errors.TTL_DISABLED


def check_ttl(headers: bytes) -> None:
    if (ttl := header_get(headers, "Nats-TTL")) and _ttl(ttl) is None:
        raise errors.TTL_INVALID


def _ttl(text: str) -> int | None:
    """Seconds; None for what cannot be read."""
    try:
        return parse_ttl(text)
    except ValueError:
        return None


def check_subject_sequence(stream: Known, subject: str, headers: bytes) -> None:
    expected = expected_of_subject(headers, subject)
    if expected is not None and expected[1] != (last := stream.last_of(expected[0])):
        raise errors.wrong_last_sequence(last)


def expected_of_subject(headers: bytes, subject: str) -> tuple[str, int] | None:
    """The subject (or pattern) whose last message is spoken of, and its sequence."""
    text = header_get(headers, "Nats-Expected-Last-Subject-Sequence")
    pattern = header_get(headers, "Nats-Expected-Last-Subject-Sequence-Subject")
    if text:
        return pattern or subject, _number(text)
    if pattern:
        raise errors.MISSING_SUBJECT_SEQUENCE
    return None


def check_sequence(stream: Known, headers: bytes) -> bool:
    """Is there anything expected at all?"""
    expected = header_get(headers, "Nats-Expected-Last-Sequence")
    if expected and _number(expected) != (last := stream.last_sequence()):
        raise errors.wrong_last_sequence(last)
    return bool(expected)


def check_last_id(stream: Known, headers: bytes) -> None:
    expected = header_get(headers, "Nats-Expected-Last-Msg-Id")
    if expected and expected != (last_id := stream.last_id()):
        raise errors.wrong_last_msg_id(last_id)


def check_source(headers: bytes) -> None:
    if header_get(headers, "Nats-Stream-Source"):
        raise errors.SOURCE_HEADER


def rollup_of(stream: Known, headers: bytes) -> str:
    """``sub`` or ``all``; empty: none."""
    rollup = (header_get(headers, "Nats-Rollup") or "").lower()
    if rollup:
        if not stream.config.allow_rollup or stream.config.deny_purge:
            raise errors.rollup_failed("rollup not permitted")
        if rollup not in ROLLUPS:
            raise errors.rollup_failed(f"rollup value invalid: {json.dumps(rollup)}")
    return rollup


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and text.isascii() else -1
