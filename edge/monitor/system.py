"""The system account at work: requests and events over the state of this server."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.core.account import Account
from edge.core.client import Client
from edge.core.msg_trace import MessageTrace
from edge.core.peer import Link
from edge.core.router import Router, Watcher
from edge.core.times import Clock
from edge.monitor.account_statz import connections
from edge.monitor.desk import Call, Request, open_account_desk, open_system_desk
from edge.monitor.events import Events
from edge.monitor.stamp import Fields, Identity, Stamp

if TYPE_CHECKING:  # loaded when somebody asks
    from edge.monitor.msg_tracer import ServerTracer
    from edge.monitor.requests import Control, Documents, Requests


class System(Watcher):
    """``deadline`` and ``tick`` are for the shell's timer.  ``default``: the name of the global account.

    ``documents`` and ``control`` are made when somebody asks.
    """

    def __init__(
        self,
        account: Account,
        router: Router,
        identity: Identity,
        clock: Clock,
        documents: "Callable[[], Documents]",
        control: "Callable[[], Control]",
        default: str,
    ) -> None:
        self.account = account
        self.router = router
        self.make_documents = documents
        self.make_control = control
        self.stamp = Stamp(identity, clock.wall)
        self.events = Events(account, self.stamp, clock, self._statsz, default)
        self.requests: Requests | None = None
        self.tracer: ServerTracer | None = None

    def start(self) -> None:
        open_system_desk(self.account, self.stamp.identity.id, self._answer)
        for account in list(self.router.accounts.values()):
            self.added(account)
        self.router.watchers += [self, self.events]
        self.router.tracer = self

    def _answer(self, call: Call, request: Request) -> None:
        self._requests().answer(call, request)

    def _requests(self) -> "Requests":
        if self.requests is None:
            from edge.monitor.requests import Requests

            self.requests = Requests(
                self.account, self.router, self.stamp, self.events, self.make_documents(), self.make_control()
            )
        return self.requests

    def _statsz(self) -> Fields:
        from edge.monitor.statsz import statsz

        varz = self._requests().documents.server("VARZ")
        assert varz is not None
        return statsz(varz({}), sum(connections(account) > 0 for account in self.router.accounts.values()))

    # ---- the router's watcher

    def added(self, account: Account) -> None:
        if account is not self.account:
            open_account_desk(account, self._answer)

    # ---- messages that are traced

    def begin(
        self, sender: Client | Link, account: Account, subject: str, headers: bytes, size: int
    ) -> MessageTrace | None:
        if self.tracer is None:
            from edge.monitor.msg_tracer import ServerTracer

            self.tracer = ServerTracer(self.stamp)
        return self.tracer.begin(sender, account, subject, headers, size)

    def end(self, trace: MessageTrace) -> None:
        assert self.tracer is not None
        self.tracer.end(trace)

    # ---- clocks

    def deadline(self) -> int:
        return self.events.deadline()

    def tick(self, now: int) -> None:
        self.events.tick(now)
