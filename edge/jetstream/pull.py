"""Pull requests: what a client asks of ``CONSUMER.MSG.NEXT`` (reference: jetstream.md section 5)."""

from collections.abc import Mapping
from typing import Any

from edge.errors import ApiError
from edge.jetstream.consumer_config import ConsumerConfig
from edge.jetstream.durations import go_duration
from edge.jetstream.fields import parse_object
from edge.message import status_block

KINDS = {
    "batch": "int", "expires": "duration", "max_bytes": "int", "no_wait": "bool", "idle_heartbeat": "duration",
    "group": "string", "id": "string", "min_pending": "int", "min_ack_pending": "int", "priority": "int",
}  # fmt: skip
ONE: Mapping[str, Any] = {"batch": 1}
SHORTEST_HEARTBEAT_NS = 10_000_000  # a request for less would keep the server busy with nothing else


class BadRequest(Exception):
    """``str(exc)`` follows ``Bad Request - ``."""


class PullRequest:
    """A request that waits; deadlines are monotonic nanoseconds, 0 for none."""

    __slots__ = (
        "batch", "expires_at", "group", "heartbeat_at", "heartbeat_ns", "left_bytes", "min_ack_pending",
        "min_pending", "no_wait", "pin", "priority", "reply", "sized",
    )  # fmt: skip

    def __init__(self, reply: str, fields: Mapping[str, Any], now: int) -> None:
        self.reply = reply
        self.batch: int = fields.get("batch", 0)  # still to be served; 0 and below are served one all the same
        expires: int = fields.get("expires", 0)
        self.expires_at = now + expires if expires > 0 else 0
        self.left_bytes: int = fields.get("max_bytes", 0)
        self.sized = self.left_bytes > 0
        self.no_wait: bool = fields.get("no_wait", False)
        self.group: str = fields.get("group", "")
        self.pin: str = fields.get("id", "")
        self.priority: int = fields.get("priority", 0)
        self.min_pending: int = fields.get("min_pending", 0)
        self.min_ack_pending: int = fields.get("min_ack_pending", 0)
        heartbeat: int = max(fields.get("idle_heartbeat", 0), 0)
        if heartbeat and (not expires or heartbeat > expires // 2):
            raise BadRequest("heartbeat value too large")
        self.heartbeat_ns = max(heartbeat, SHORTEST_HEARTBEAT_NS) if heartbeat else 0
        self.heartbeat_at = now + self.heartbeat_ns if self.heartbeat_ns else 0

    def deadline(self) -> int:
        """When this request wants to be looked at, 0 for never."""
        if self.expires_at and self.heartbeat_at:
            return min(self.expires_at, self.heartbeat_at)
        return self.expires_at or self.heartbeat_at


def parse_pull(body: bytes) -> Mapping[str, Any]:
    """Empty: one message.  A number: so many.  Else a JSON object; what it has beside our fields is passed over."""
    body = body.strip()
    if not body.startswith(b"{"):
        return {"batch": int(body)} if body.isdigit() and len(body) < 10 else ONE
    try:
        return parse_object(body, KINDS, strict=False)
    except ApiError as exc:
        raise BadRequest(exc.description.removeprefix("invalid JSON: ")) from exc


def over_cap(config: ConsumerConfig, fields: Mapping[str, Any]) -> str:
    """The consumer's bound that a request exceeds, as its status says it; empty for none."""
    if 0 < config.max_batch < fields.get("batch", 1):
        return f"Exceeded MaxRequestBatch of {config.max_batch}"
    if 0 < config.max_expires_ns < fields.get("expires", 0):
        return f"Exceeded MaxRequestExpires of {go_duration(config.max_expires_ns)}"
    if 0 < config.max_bytes < fields.get("max_bytes", 0):
        return f"Exceeded MaxRequestMaxBytes of {config.max_bytes}"
    return ""


def status(code: int, text: str, request: PullRequest | None = None) -> bytes:
    """The header block of a status message; with what ``request`` still had coming."""
    if request is None:
        return status_block(code, text)
    counts = [
        ("Nats-Pending-Messages", str(max(request.batch, 0))),
        ("Nats-Pending-Bytes", str(request.left_bytes)),
    ]
    return status_block(code, text, counts)
