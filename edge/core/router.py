"""The accounts of this server and the end of each batch.

The rim works in batches: a read chunk, a timer, a commit.  Everybody who was given something during a batch is
flushed once at its end, so that a chunk of a hundred messages is one write to each peer it reached.
"""

from edge.core.account import Account
from edge.core.peer import Flushable


class Router:
    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.touched: list[Flushable] = []

    def account(self, name: str) -> Account:
        """The account of this name, made on first use."""
        if name not in self.accounts:
            self.accounts[name] = Account(name, self)
        return self.accounts[name]

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
