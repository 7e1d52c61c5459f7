"""Requests that go out of an account into another one, by a service import.

It sits in the importing account and passes a request on, with a reply of the exporter's own (reference: core.md
section 4).
"""

from typing import TYPE_CHECKING

from edge.core.account import Account
from edge.core.account_spec import Export, Import
from edge.core.client_info import client_info
from edge.core.msg_trace import DEST, DISABLED, MessageTrace
from edge.core.peer import Gate, Peer, Subscription
from edge.core.request_info import request_info, via, with_info
from edge.core.responses import ACK_PREFIX, Pending, Step
from edge.core.stream_imports import by_service, import_transform
from edge.message import header_set

if TYPE_CHECKING:
    from edge.core.exchange import Exchange


class ServiceImport(Gate):
    """``export`` is what it was imported by."""

    def __init__(
        self, importer: Account, exporter: Account, imported: Import, export: Export, exchange: "Exchange"
    ) -> None:
        super().__init__(f"{importer.name} from {exporter.name}")
        self.importer = importer
        self.exporter = exporter
        self.imported = imported
        self.export = export
        self.exchange = exchange
        self.transform = import_transform(imported).reversed()
        self.sub = Subscription(self, self.transform.source)

    def open(self) -> None:
        self.importer.add(self.sub)

    def close(self) -> None:
        self.importer.remove(self.sub)

    def pass_on(
        self, sub: Subscription, origin: Peer | None, subject: str, reply: str, headers: bytes, payload: bytes,
        shown: str = "",
    ) -> bool:  # fmt: skip
        exchange, exporter = self.exchange, self.exporter
        step = Step(exporter, self.export, self.imported.share)
        there = self.transform.match(subject)
        if there is None or any(passed.leads_to(step) for passed in exchange.passing):
            return False  # a circle
        there = exporter.mapped(there)
        if not there:
            return False
        sample = exchange.latencies.sample(self.export, headers)
        headers = self._introduce(origin, headers)
        trace = exporter.router.traced
        if trace is not None:
            trace.imported(exporter.name, subject, there)
            if not self.export.allow_trace:
                if trace.only:
                    return False
                exporter.router.traced = trace = None
                headers = header_set(headers, DEST, DISABLED)
        expected = ""
        if reply and not reply.startswith(ACK_PREFIX):
            now = exchange.clock.monotonic()
            pending = Pending(self.importer, reply, self.export, now, sample, origin, self.imported.share)
            reply = expected = exchange.responses(exporter).expect(pending)
        elif sample is not None and not reply:
            exchange.latencies.bad_request(exporter, sample, origin, self.imported.share)
        exchange.passing.append(step)
        try:
            if trace is not None:
                count = self._deliver_traced(trace, origin, there, reply, headers, payload, shown)
            else:
                match = by_service(exporter.sublist.match(there), origin)
                count = exporter.deliver(match, origin, there, reply, headers, payload, shown).receivers
        finally:
            exchange.passing.pop()
        if expected and trace is not None and trace.only:
            exchange.responses(exporter).forget(expected)
        elif expected and not count:
            exchange.responses(exporter).withdraw(expected)
        return count > 0

    def _deliver_traced(
        self, trace: MessageTrace, origin: Peer | None, there: str, reply: str, headers: bytes, payload: bytes,
        shown: str,
    ) -> int:  # fmt: skip
        """Other servers tell of it by an answer, which finds its way back to the importing account."""
        responses = self.exchange.responses(self.exporter)
        export = self.export._replace(response="Stream", latency=None)
        dest, hops = trace.dest, trace.hops
        trace.dest = responses.expect(Pending(self.importer, dest, export, self.exchange.clock.monotonic()))
        headers = header_set(headers, DEST, trace.dest)
        match = by_service(self.exporter.sublist.match(there), origin)
        count = self.exporter.deliver(match, origin, there, reply, headers, payload, shown).receivers
        if trace.hops == hops:  # it has not left this server
            responses.forget(trace.dest)
        trace.dest = dest
        return count

    def _introduce(self, origin: Peer | None, headers: bytes) -> bytes:
        """Say who asks: the account and its distance, or more when the import shares it.

        A request that has come through other accounts says so already, and which account was the last.
        """
        passing, own = self.exchange.passing, self.imported.share
        share = passing[-1].share if passing else own
        if passing and (known := request_info(headers)) is not None:
            server = self.exchange.server if own and not share else ""
            return with_info(headers, via(known, self.importer.name, server))
        info = client_info(origin, self.exchange.server if share else "")
        return headers if info is None else with_info(headers, info)
