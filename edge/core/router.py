"""The accounts of this server and the end of each batch.

The rim works in batches: a read chunk, a timer, a commit.  Everybody who was given something during a batch is
flushed once at its end, so that a chunk of a hundred messages is one write to each peer it reached.
"""

from edge.core.account import Account
from edge.core.brake import Brake
from edge.core.msg_trace import MessageTrace, MessageTracer
from edge.core.peer import Flushable, Peer


class Watcher:
    """Hears of connections, whatever they speak: clients, leafs.  Reasons are nats-server's (reference: core.md
    section 5)."""

    def connected(self, peer: Peer, account: Account) -> None:
        """Logged in."""

    def refused(self, peer: Peer, account: Account, reason: str) -> None:
        """What it said of itself was not believed; ``disconnected`` follows."""

    def leaving(self, peer: Peer, account: Account, reason: str) -> None:
        """About to go: it has its subscriptions still.  ``disconnected`` follows."""

    def disconnected(self, peer: Peer, account: Account, reason: str) -> None:
        """Gone, whether it had logged in or not."""

    def added(self, account: Account) -> None:
        """An account that nobody had named yet."""

    def counted(self, account: Account) -> None:
        """It has more or fewer connections than before."""


class Router:
    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.touched: list[Flushable] = []
        self.watchers: list[Watcher] = []
        self.tracer: MessageTracer | None = None
        self.traced: MessageTrace | None = None  # the message that is on its way, where it is to be traced
        self.last_cid = 0
        self.brake = Brake()

    def account(self, name: str) -> Account:
        """The account of this name, made on first use."""
        if name not in self.accounts:
            self.accounts[name] = account = Account(name, self)
            for watcher in self.watchers:
                watcher.added(account)
        return self.accounts[name]

    def next_cid(self) -> int:
        """The number of a new connection, whatever it speaks."""
        self.last_cid += 1
        return self.last_cid

    def touch(self, flushable: Flushable) -> None:
        """``flushable.flush()`` runs at the end of this batch; whoever gathers touches once per batch."""
        self.touched.append(flushable)

    def flush(self) -> None:
        """End the batch.  A flush may touch others (a commit's answers): they are flushed in the same call."""
        touched = self.touched
        while touched:
            batch = touched[:]
            touched.clear()
            for flushable in batch:
                flushable.flush()
