"""How long an exported service takes, told on the subject that its export names
(``io.nats.server.metric.v1.service_latency``; reference: core.md section 4)."""

import random
from typing import TYPE_CHECKING, NamedTuple

from edge.core.account import Account
from edge.core.account_spec import Export, Latency
from edge.core.client_info import client_info
from edge.core.go_json import dumps
from edge.core.peer import Peer
from edge.core.times import Clock, rfc3339
from edge.message import header_items

if TYPE_CHECKING:
    from edge.core.responses import Pending

TYPE = "io.nats.server.metric.v1.service_latency"
NAME_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Sample(NamedTuple):
    """A request that is measured; ``headers`` are those that asked for it."""

    latency: Latency
    started_wall_ns: int
    headers: dict[str, list[str]]


class Latencies:
    def __init__(self, server: str, clock: Clock) -> None:
        self.server = server
        self.clock = clock

    def sample(self, export: Export, headers: bytes) -> Sample | None:
        latency = export.latency
        if latency is None:
            return None
        if latency.sampling and random.randrange(100) < latency.sampling:
            return Sample(latency, self.clock.wall(), {})
        asking = asks_for_sample(headers) if headers else None
        return None if asking is None else Sample(latency, self.clock.wall(), asking)

    def answered(self, exporter: Account, pending: "Pending", responder: Peer | None) -> None:
        if pending.sample is None:
            return
        took = self.clock.monotonic() - pending.asked
        requester = client_info(pending.requester, self.server if pending.share else "")
        answering = client_info(responder, self.server)
        asker_rtt, responder_rtt = _rtt(requester), _rtt(answering)
        self._tell(
            exporter, pending.sample, 200, "", requester, answering, asker_rtt,
            (max(took - responder_rtt, 0), 0, asker_rtt + took),
        )  # fmt: skip

    def failed(self, exporter: Account, pending: "Pending", status: int, error: str) -> None:
        if pending.sample is not None:
            requester = client_info(pending.requester, self.server if pending.share else "")
            self._tell(exporter, pending.sample, status, error, requester, None, _rtt(requester), (0, 0, 0))

    def bad_request(self, exporter: Account, sample: Sample, origin: Peer | None, share: bool) -> None:
        """A request without a reply."""
        requester = client_info(origin, self.server if share else "")
        self._tell(exporter, sample, 400, "Bad Request", requester, None, _rtt(requester), (0, 0, 0))

    def _tell(
        self,
        exporter: Account,
        sample: Sample,
        status: int,
        error: str,
        requester: dict[str, object] | None,
        responder: dict[str, object] | None,
        asker_rtt: int,
        spans: tuple[int, int, int],
    ) -> None:
        event: dict[str, object] = {
            "type": TYPE,
            "id": "".join(random.choices(NAME_ALPHABET, k=22)),
            "timestamp": rfc3339(self.clock.wall()),
            "status": status,
        }
        if error:
            event["description"] = error
        if requester:
            event["requestor"] = requester
        if responder:
            event["responder"] = responder
        if sample.headers:
            event["header"] = {canonical(name): values for name, values in sorted(sample.headers.items())}
        event["start"] = rfc3339(sample.started_wall_ns - asker_rtt)
        event |= zip(("service", "system", "total"), spans, strict=True)
        exporter.publish(sample.latency.subject, dumps(event))


def _rtt(info: dict[str, object] | None) -> int:
    rtt = info.get("rtt") if info else None
    return rtt if isinstance(rtt, int) else 0


def canonical(name: str) -> str:
    """As Go writes the names of headers: ``X-B3-Traceid``."""
    return "-".join(part.capitalize() for part in name.split("-"))


def asks_for_sample(headers: bytes) -> dict[str, list[str]] | None:
    """The tracing headers (Uber, B3, W3C) that ask for a measurement, or None."""
    found: dict[str, list[str]] = {}
    for name, value in header_items(headers):
        found.setdefault(name, []).append(value)
    if "Uber-Trace-Id" in found:
        return _uber(found)
    if "X-B3-Sampled" in found or "X-B3-TraceId" in found:
        sampled = found.get("X-B3-Sampled", ["1"])[0]
        if sampled == "0":
            return None
        return {name: values for name, values in found.items() if name.startswith("X-B3-")}
    if "B3" in found or "b3" in found:
        name = "B3" if "B3" in found else "b3"
        parts = found[name][0].split("-")
        refused = parts[2] == "0" if len(parts) > 2 else parts == ["0"]
        return None if refused else {name: found[name]}
    return _trace_context(found)


def _uber(found: dict[str, list[str]]) -> dict[str, list[str]] | None:
    parts = found["Uber-Trace-Id"][0].split(":")
    if len(parts) != 4 or not 1 <= len(parts[3]) <= 2 or not _is_odd(parts[3]):
        return None
    return {name: values for name, values in found.items() if name.startswith(("Uber-Trace-Id", "Uberctx-"))}


def _trace_context(found: dict[str, list[str]]) -> dict[str, list[str]] | None:
    name = next((name for name in ("Traceparent", "traceparent") if name in found), None)
    if name is None:
        return None
    parts = found[name][0].split("-")
    if len(parts) != 4 or len(parts[3]) != 2 or not _is_odd(parts[3]):
        return None
    return {key: values for key, values in found.items() if key.lower() in ("traceparent", "tracestate")}


def _is_odd(digits: str) -> bool:
    try:
        return int(digits, 16) % 2 == 1
    except ValueError:
        return False
