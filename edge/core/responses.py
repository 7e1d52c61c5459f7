"""Answers on their way back to the account that asked.

A request that goes through a service import carries a reply of the exporting account, ``_R_.<account>.<number>``;
what is published there goes to the requester's own reply (reference: core.md section 4).
"""

import random
import string
from typing import TYPE_CHECKING, NamedTuple

from edge.core.account import Account
from edge.core.account_spec import Export
from edge.core.latency import Sample
from edge.core.msg_trace import DEST, DISABLED
from edge.core.peer import Gate, Peer, Subscription
from edge.core.stream_imports import by_service
from edge.message import header_set
from edge.subjects import is_wildcard, matches

if TYPE_CHECKING:
    from edge.core.exchange import Exchange

PREFIX = "_R_."
DEFAULT_THRESHOLD_NS = 120_000_000_000
MAX_PENDING = 65_536  # answers that one account may owe; the oldest give way
ALPHABET = string.digits + string.ascii_letters
ACK_PREFIX = "$JS.ACK."  # pull consumers across accounts: the ack finds its way by itself


class Pending(NamedTuple):
    """An answer that is awaited: by ``account``, on its subject ``reply``, since ``asked`` (monotonic ns)."""

    account: Account
    reply: str
    export: Export
    asked: int
    sample: Sample | None = None
    requester: Peer | None = None
    share: bool = False

    @property
    def deadline(self) -> int:
        return self.asked + (self.export.threshold_ns or DEFAULT_THRESHOLD_NS)


class Step(NamedTuple):
    """A service that a request has gone to, on its way through the accounts."""

    exporter: Account
    export: Export
    share: bool

    def leads_to(self, other: "Step") -> bool:
        return self.exporter is other.exporter and self.export == other.export


class Responses(Gate):
    """The answers that one exporting account owes."""

    def __init__(self, exporter: Account, exchange: "Exchange") -> None:
        super().__init__(f"answers of {exporter.name}")
        self.exporter = exporter
        self.exchange = exchange
        self.prefix = PREFIX + "".join(random.choices(ALPHABET, k=6)) + "."
        self.pending: dict[str, Pending] = {}  # by the reply that the responder sees
        exporter.add(Subscription(self, self.prefix + ">"))

    def expect(self, pending: Pending) -> str:
        """The reply that goes with the request."""
        reply = self.prefix + "".join(random.choices(ALPHABET, k=6))
        while len(self.pending) >= MAX_PENDING:
            del self.pending[next(iter(self.pending))]
        self.pending[reply] = pending
        self.exchange.awaits(pending)
        return reply

    def forget(self, reply: str) -> None:
        """Nobody waits for it any more."""
        self.pending.pop(reply, None)

    def withdraw(self, reply: str) -> None:
        """The request found nobody."""
        pending = self.pending.pop(reply, None)
        if pending is not None:
            self.exchange.latencies.failed(self.exporter, pending, 503, "Service Unavailable")

    def pass_on(
        self, sub: Subscription, origin: Peer | None, subject: str, reply: str, headers: bytes, payload: bytes,
        shown: str = "",
    ) -> bool:  # fmt: skip
        pending = self.pending.get(subject)
        if pending is None:
            return False
        if pending.sample is not None:
            self.exchange.latencies.answered(self.exporter, pending, origin)
        now = self.exchange.clock.monotonic()
        account = pending.account
        to = account.mapped(pending.reply)
        trace, account.router.traced = account.router.traced, None
        if trace is not None:
            trace.imported(account.name, subject, to)
            if trace.only:
                return False
            headers = header_set(headers, DEST, DISABLED)
        if reply and not reply.startswith(ACK_PREFIX):  # the responder wants an answer itself
            back = Pending(self.exporter, reply, pending.export, now)
            reply = self.exchange.responses(account).expect(back)
        self.exchange.passing.append(Step(self.exporter, pending.export, pending.share))
        try:
            match = by_service(account.sublist.match_once(to), origin)
            delivered = account.deliver(match, origin, to, reply, headers, payload, shown).receivers > 0
        finally:
            self.exchange.passing.pop()
        if not delivered or pending.export.response == "Singleton" or not (headers or payload):
            self.pending.pop(subject, None)
        else:
            self.pending[subject] = pending._replace(asked=now, sample=None)
        return delivered

    def expire(self, now: int) -> None:
        for reply in [reply for reply, pending in self.pending.items() if pending.deadline <= now]:
            pending = self.pending.pop(reply)
            self.exchange.latencies.failed(self.exporter, pending, 504, "Service Timeout")

    def lost_interest(self, account: Account, subject: str) -> None:
        """Somebody in ``account`` has stopped listening on ``subject``."""
        wild = is_wildcard(subject)
        for reply, pending in list(self.pending.items()):
            wanted = pending.reply
            concerned = pending.account is account and (matches(subject, wanted) if wild else subject == wanted)
            if concerned and not account.has_interest(wanted):
                del self.pending[reply]
                self.exchange.latencies.failed(self.exporter, pending, 408, "Request Timeout")
