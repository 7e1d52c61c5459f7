"""What an account has imported from another: messages that come in, requests that go out.

Both are gates.  A stream import sits in the exporting account, with a shadow of each subscription here that its
subjects concern: nobody here interested, nobody there asked.  A service import sits in the importing account and
passes a request on, with a reply of the exporter's own (reference: core.md section 4).
"""

import json
from typing import TYPE_CHECKING

from edge.core.account import Account
from edge.core.account_spec import Export, Import
from edge.core.client_info import client_info
from edge.core.go_json import dumps
from edge.core.msg_trace import DEST, DISABLED
from edge.core.peer import Gate, Link, Peer, Subscription
from edge.core.responses import ACK_PREFIX, Pending
from edge.core.transforms import Transform
from edge.message import header_get, header_set
from edge.subjects import intersection

if TYPE_CHECKING:
    from edge.core.exchange import Exchange

REQUEST_INFO = "Nats-Request-Info"


def import_transform(imported: Import) -> Transform:
    """From the exporter's subjects to the names that they have here."""
    return Transform(imported.subject, numbered(imported.to or imported.subject), strict=True)


def numbered(pattern: str) -> str:
    """``a.*.b.*`` as the destination of a transform: ``a.$1.b.$2``."""
    count = 0
    tokens = pattern.split(".")
    for i, token in enumerate(tokens):
        if token == "*":
            count += 1
            tokens[i] = f"${count}"
    return ".".join(tokens)


class StreamImport(Gate):
    def __init__(self, importer: Account, exporter: Account, imported: Import) -> None:
        super().__init__(f"{importer.name} from {exporter.name}")
        self.importer = importer
        self.exporter = exporter
        self.imported = imported
        self.transform = import_transform(imported)
        self.back = self.transform.reversed()
        self.shadows: dict[Subscription, Shadow] = {}

    def open(self) -> None:
        self.importer.exporters.append(self.exporter)
        self.importer.interest_listeners.append(self._on_interest)
        for sub in list(self.importer.subscriptions()):
            self._on_interest(sub, True)

    def close(self) -> None:
        self.importer.exporters.remove(self.exporter)
        self.importer.interest_listeners.remove(self._on_interest)
        for shadow in self.shadows.values():
            self.exporter.remove(shadow)
        self.shadows.clear()

    def pass_on(
        self, sub: Subscription, origin: Peer | None, subject: str, reply: str, headers: bytes, payload: bytes
    ) -> bool:
        here = self.transform.match(subject)
        if here is None:
            return False
        assert isinstance(sub, Shadow)
        target = sub.of
        peer = target.peer
        trace = self.exporter.router.traced
        if trace is not None:
            trace.exported(self.importer.name, here)
            if self.imported.allow_trace:
                trace.reached(target, here)
            else:
                headers = header_set(headers, DEST, DISABLED)
            if trace.only:
                return True
        if isinstance(peer, Link):
            return peer.enqueue(here, reply, [target.queue] if target.queue else [], headers, payload)
        peer.give(target, here, reply, headers, payload)
        return True

    def direct(self, sub: Subscription, subject: str) -> tuple[Subscription, str] | None:
        here = self.transform.match(subject)
        assert isinstance(sub, Shadow)
        return None if here is None else (sub.of, here)

    def _on_interest(self, sub: Subscription, is_there: bool) -> None:
        if not is_there:
            shadow = self.shadows.pop(sub, None)
            if shadow is not None:
                self.exporter.remove(shadow)
            return
        if isinstance(sub.peer, Gate):
            return  # what was imported is not exported again by itself
        here = intersection(sub.subject, self.back.source)
        there = self.back.match(here) if here else None
        if there is not None:
            shadow = self.shadows[sub] = Shadow(self, there, sub)
            self.exporter.add(shadow)


class Shadow(Subscription):
    """In the exporting account, what ``of`` is in the importing one."""

    __slots__ = ("of",)

    def __init__(self, gate: StreamImport, subject: str, of: Subscription) -> None:
        super().__init__(gate, subject, of.queue, of.sid, announce=of.announce)
        self.of = of


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
        self, sub: Subscription, origin: Peer | None, subject: str, reply: str, headers: bytes, payload: bytes
    ) -> bool:
        exchange, exporter = self.exchange, self.exporter
        there = self.transform.match(subject)
        if there is None or any(passed.export is self.export for passed in exchange.passing):
            return False  # a circle
        there = exporter.mapped(there)
        if not there:
            return False
        trace = exporter.router.traced
        if trace is not None:
            trace.imported(exporter.name, subject, there)
            if not self.export.allow_trace:
                if trace.only:
                    return True
                exporter.router.traced = None
                headers = header_set(headers, DEST, DISABLED)
        sample = exchange.latencies.sample(self.export, headers)
        headers = self._introduce(origin, headers)
        expected = ""
        if reply and not reply.startswith(ACK_PREFIX):
            now = exchange.clock.monotonic()
            pending = Pending(self.importer, reply, self.export, now, sample, origin, self.imported.share)
            reply = expected = exchange.responses(exporter).expect(pending)
        elif sample is not None and not reply:
            exchange.latencies.bad_request(exporter, sample, origin, self.imported.share)
        exchange.passing.append(self)
        try:
            match = exporter.sublist.match(there)
            delivered = exporter.deliver(match, origin, there, reply, headers, payload)
        finally:
            exchange.passing.pop()
        if expected and not delivered.receivers:
            exchange.responses(exporter).withdraw(expected)
        return delivered.receivers > 0

    def _introduce(self, origin: Peer | None, headers: bytes) -> bytes:
        """Say who asks: the account and its distance, or more when the import shares it.

        A request that has come through other accounts says so already, and which account was the last.
        """
        passing = self.exchange.passing
        if passing and (known := _known(headers)) is not None:
            return header_set(headers, REQUEST_INFO, dumps(_via(known, self.importer.name)).decode())
        share = passing[-1].imported.share if passing else self.imported.share
        info = client_info(origin, self.exchange.server if share else "")
        if info is None:
            return headers
        return header_set(headers, REQUEST_INFO, dumps(info).decode())


def _via(known: dict[str, object], account: str) -> dict[str, object]:
    """``svc`` goes behind ``acc``, where nats-server writes it."""
    found: dict[str, object] = {}
    for name, value in known.items():
        found[name] = value
        if name == "acc":
            found["svc"] = account
    return found | {"svc": account}


def _known(headers: bytes) -> dict[str, object] | None:
    try:
        known = json.loads(header_get(headers, REQUEST_INFO) or "")
    except (ValueError, RecursionError):
        return None
    return known if isinstance(known, dict) else None
