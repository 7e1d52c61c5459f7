"""``petiole.<edge>.status``: what an operator at the hub asks an edge, and what it answers.

    {"edge": "e1",
     "leaf": {"connected": true, "rtt_ms": 12.3, "remote": "hub.example:7422"},
     "uplinks": {"TELEMETRY": {"backlog_messages": 0, "backlog_bytes": 0, "oldest_age_s": null,
                               "state": "live", "reason": "", "hub_seq": 17, "acked_seq": 9, "in_flight": 0,
                               "dead": 0, "lost": 0, "last_puback": "2026-11-23T03:52:00.000000000Z"}}}

``backlog_*`` count the rows of the uplink's local stream, those included whose PubAck is not on disk here yet: what a
SELECT on the store says.  Bytes are those of subjects, headers and payloads.
"""

import json

from edge.core.account import Account
from edge.core.leaf_link import LeafLink
from edge.core.times import Clock
from edge.jetstream.stream import OVERHEAD, Stream
from edge.uplink.headers import rfc3339
from edge.uplink.uplink import Uplink
from edge.uplink.uplinks import Uplinks

NOT_IN_TOKENS = str.maketrans(dict.fromkeys(" \t\r\n.*>", "_"))


class Status:
    """Answers requests from its construction on."""

    def __init__(self, edge: str, account: Account, link: LeafLink, uplinks: Uplinks | None, clock: Clock) -> None:
        self.edge = edge
        self.account = account
        self.link = link
        self.uplinks = uplinks
        self.clock = clock
        account.subscribe(f"petiole.{edge.translate(NOT_IN_TOKENS)}.status", self._on_request)

    def report(self) -> dict[str, object]:
        link = self.link
        rtt_ms = round(link.rtt / 1e6, 3) if link.rtt else None
        leaf = {"connected": link.up, "rtt_ms": rtt_ms, "remote": link.remote}
        found = self.uplinks
        uplinks = (
            {uplink.name: self._uplink(uplink, found.streams[uplink.name]) for uplink in found.uplinks} if found else {}
        )
        return {"edge": self.edge, "leaf": leaf, "uplinks": uplinks}

    def _uplink(self, uplink: Uplink, stream: Stream) -> dict[str, object]:
        now = self.clock.wall()
        since_ack = self.clock.monotonic() - uplink.last_ack if uplink.last_ack else None
        return {
            "backlog_messages": stream.messages,
            "backlog_bytes": stream.bytes - OVERHEAD * stream.messages,
            "oldest_age_s": round(max(now - stream.oldest_ns(), 0) / 1e9, 3) if stream.messages else None,
            "state": uplink.state.value,
            "reason": uplink.reason,
            "hub_seq": uplink.hub_seq,
            "acked_seq": uplink.acked_seq,
            "in_flight": len(uplink.window),
            "dead": uplink.dead,
            "lost": uplink.lost,
            "last_puback": None if since_ack is None else rfc3339(now - since_ack),
        }

    def _on_request(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        if reply:
            self.account.publish(reply, json.dumps(self.report()).encode())
