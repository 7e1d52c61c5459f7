"""The system account at work: requests and events over the state of this server."""

from edge.core.account import Account
from edge.core.router import Router, Watcher
from edge.core.times import Clock
from edge.monitor.account_statz import connections
from edge.monitor.events import Events
from edge.monitor.requests import Control, Documents, Requests
from edge.monitor.stamp import Fields, Identity, Stamp
from edge.monitor.statsz import statsz


class System(Watcher):
    """``deadline`` and ``tick`` are for the shell's timer.  ``default``: the name of the global account."""

    def __init__(
        self,
        account: Account,
        router: Router,
        identity: Identity,
        clock: Clock,
        documents: Documents,
        control: Control,
        default: str,
    ) -> None:
        self.account = account
        self.router = router
        self.documents = documents
        self.stamp = Stamp(identity, clock.wall)
        self.events = Events(account, self.stamp, clock, self._statsz, default)
        self.requests = Requests(account, router, self.stamp, self.events, documents, control)

    def start(self) -> None:
        self.requests.open_system()
        for account in list(self.router.accounts.values()):
            self.added(account)
        self.router.watchers += [self, self.events]

    def _statsz(self) -> Fields:
        varz = self.documents.server("VARZ")
        assert varz is not None
        return statsz(varz({}), sum(connections(account) > 0 for account in self.router.accounts.values()))

    # ---- the router's watcher

    def added(self, account: Account) -> None:
        if account is not self.account:
            self.requests.open_account(account)

    # ---- clocks

    def deadline(self) -> int:
        return self.events.deadline()

    def tick(self, now: int) -> None:
        self.events.tick(now)
