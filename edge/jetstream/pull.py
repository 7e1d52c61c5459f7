"""Pull requests: what a client asks of ``CONSUMER.MSG.NEXT`` (reference: jetstream.md section 5)."""

import json
from collections.abc import Mapping
from typing import Any

from edge.errors import ApiError
from edge.jetstream.fields import check_object
from edge.message import status_block

KINDS = {
    "batch": "int", "expires": "duration", "max_bytes": "int", "no_wait": "bool", "idle_heartbeat": "duration",
    "group": "string", "id": "string", "min_pending": "int", "min_ack_pending": "int", "priority": "int",
}  # fmt: skip


class BadRequest(Exception):
    """``str(exc)`` follows ``Bad Request - ``."""


class PullRequest:
    """A request that waits; deadlines are monotonic nanoseconds, 0 for none."""

    __slots__ = (
        "batch", "expires_at", "heartbeat_at", "heartbeat_ns", "left_bytes", "no_wait", "reply", "sized",
    )  # fmt: skip

    def __init__(self, reply: str, fields: Mapping[str, Any], now: int) -> None:
        self.reply = reply
        self.batch: int = max(fields.get("batch", 0), 1)
        expires: int = fields.get("expires", 0)
        self.expires_at = now + expires if expires > 0 else 0
        self.left_bytes: int = fields.get("max_bytes", 0)
        self.sized = self.left_bytes > 0
        self.no_wait: bool = fields.get("no_wait", False)
        self.heartbeat_ns: int = fields.get("idle_heartbeat", 0)
        if self.heartbeat_ns and (not expires or self.heartbeat_ns > expires // 2):
            raise BadRequest("heartbeat value too large")
        self.heartbeat_at = now + self.heartbeat_ns if self.heartbeat_ns else 0

    def deadline(self) -> int:
        """When this request wants to be looked at, 0 for never."""
        if self.expires_at and self.heartbeat_at:
            return min(self.expires_at, self.heartbeat_at)
        return self.expires_at or self.heartbeat_at


def parse_pull(body: bytes) -> dict[str, Any]:
    """Empty: one message.  A number: so many.  Else a JSON object."""
    body = body.strip()
    if not body:
        return {}
    if body.isdigit() and len(body) < 10:
        return {"batch": int(body)}
    try:
        value = json.loads(body)
        if not isinstance(value, dict):
            raise BadRequest("expected an object")
        return check_object(value, KINDS)
    except (ValueError, RecursionError) as exc:
        raise BadRequest(str(exc)) from exc
    except ApiError as exc:
        raise BadRequest(exc.description) from exc


def status(code: int, text: str, pending: "PullRequest | None" = None) -> bytes:
    """The header block of a status message; with what the request still had coming."""
    if pending is None:
        return status_block(code, text)
    counts = [
        ("Nats-Pending-Messages", str(pending.batch)),
        ("Nats-Pending-Bytes", str(pending.left_bytes)),
    ]
    return status_block(code, text, counts)
