"""``petiole.<edge>.status``: what an operator at the hub asks an edge, and what it answers.

    {"edge": "e1",
     "leaf": {"connected": true, "rtt_ms": 12.3, "remote": "hub.example:7422"},
     "uplinks": {"TELEMETRY": {"backlog_messages": 0, "backlog_bytes": 0, "oldest_age_s": null,
                               "state": "live", "reason": "", "lane": "normal", "stalled": false,
                               "messages_per_s": 12.1, "bytes_per_s": 2210.5, "time_to_full_s": null,
                               "time_to_drained_s": 0, "hub_seq": 17, "acked_seq": 9, "in_flight": 0,
                               "dead": 0, "lost": 0, "lost_by_reason": {}, "receipts_waiting": 0,
                               "last_puback": "2026-11-23T03:52:00.000000000Z", "remote": ""}},
     "budgets": {"": {"rate": 0, "daily": 52428800, "day": "2026-11-23", "used": 71882, "reserve": 10485760}}}

``stalled``: nothing has gone for a minute though something waits.  ``messages_per_s`` have left the backlog lately,
``bytes_per_s`` went over the line with them.  ``time_to_*`` is what will come of that, as long as it goes on; null: it
will not come.  ``budgets``: of each remote that has one, by its name; empty for the first without one.

``backlog_*`` count the rows of the uplink's local stream, those included whose PubAck is not on disk here yet: what a
SELECT on the store says.  Bytes are those of subjects, headers and payloads.
"""

import json
from collections.abc import Sequence

from edge.core.account import Account
from edge.core.leaf_link import LeafLink
from edge.core.times import Clock
from edge.jetstream.stream import OVERHEAD, Stream
from edge.uplink.headers import rfc3339
from edge.uplink.uplink import Uplink
from edge.uplink.uplinks import Uplinks, edge_token

YEAR_S = 365 * 86400


class Status:
    """Answers requests from its construction on."""

    def __init__(self, edge: str, account: Account, link: LeafLink, uplinks: Sequence[Uplinks], clock: Clock) -> None:
        self.edge = edge
        self.account = account
        self.link = link
        self.uplinks = uplinks
        self.clock = clock
        account.subscribe(f"petiole.{edge_token(edge)}.status", self._on_request)

    def report(self) -> dict[str, object]:
        link = self.link
        rtt_ms = round(link.rtt / 1e6, 3) if link.rtt else None
        leaf = {"connected": link.up, "rtt_ms": rtt_ms, "remote": link.remote}
        uplinks = {
            uplink.name: self._uplink(uplink, found.streams[uplink.name]) | {"remote": found.remote}
            for found in self.uplinks
            for uplink in found.uplinks
        }
        budgets = {found.remote: found.budget.report() for found in self.uplinks if found.budget}
        return {"edge": self.edge, "leaf": leaf, "uplinks": uplinks, "budgets": budgets}

    def _uplink(self, uplink: Uplink, stream: Stream) -> dict[str, object]:
        now, monotonic = self.clock.wall(), self.clock.monotonic()
        since_ack = monotonic - uplink.delivery.last_ack if uplink.delivery.last_ack else None
        state, reason = uplink.shown()
        going = uplink.delivery.going.rate(monotonic)
        growing = uplink.coming.rate(monotonic) - going
        return {
            "backlog_messages": stream.messages,
            "backlog_bytes": stream.bytes - OVERHEAD * stream.messages,
            "oldest_age_s": round(max(now - stream.oldest_ns(), 0) / 1e9, 3) if stream.messages else None,
            "state": state.value,
            "reason": reason,
            "lane": uplink.options.lane,
            "stalled": uplink.watch.stalled,
            "messages_per_s": round(going, 3),
            "bytes_per_s": round(uplink.delivery.going_bytes.rate(monotonic), 1),
            "time_to_full_s": _time_to_full(stream, growing),
            "time_to_drained_s": _time_to(stream.messages, -growing),
            "hub_seq": uplink.delivery.window.known,
            "acked_seq": uplink.delivery.window.floor,
            "in_flight": len(uplink.delivery.window),
            "dead": uplink.delivery.dead,
            "lost": uplink.delivery.losses.total,
            "lost_by_reason": dict(uplink.delivery.losses.gone),
            "receipts_waiting": len(uplink.delivery.losses.waiting),
            "last_puback": None if since_ack is None else rfc3339(now - since_ack),
        }

    def _on_request(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        if reply:
            self.account.publish(reply, json.dumps(self.report()).encode())


def _time_to(amount: float, rate: float) -> float | None:
    """Seconds; None where it does not get there, or not within a year."""
    if amount <= 0:
        return 0
    return round(amount / rate, 1) if rate > amount / YEAR_S else None


def _time_to_full(stream: Stream, growing: float) -> float | None:
    """At the size that messages have now."""
    if not stream.messages or stream.config.max_bytes <= 0:
        return None
    return _time_to(stream.config.max_bytes - stream.bytes, growing * stream.bytes / stream.messages)
