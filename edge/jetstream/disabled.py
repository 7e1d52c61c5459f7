"""What accounts without JetStream are told that ask for it, on a server that has it."""

from collections.abc import Container

from edge.core.account import Account
from edge.core.peer import Gate, Peer, Subscription
from edge.core.router import Router, Watcher
from edge.jetstream import errors
from edge.jetstream.info import error_response

PREFIX = "$JS.API."
CALLS = (
    *("INFO", "STREAM.CREATE", "STREAM.UPDATE", "STREAM.NAMES", "STREAM.LIST", "STREAM.INFO", "STREAM.DELETE"),
    *("STREAM.PURGE", "STREAM.MSG.GET", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT", "STREAM.RESTORE", "CONSUMER.CREATE"),
    *("CONSUMER.DURABLE.CREATE", "CONSUMER.NAMES", "CONSUMER.LIST", "CONSUMER.INFO", "CONSUMER.DELETE"),
    *("CONSUMER.PAUSE", "CONSUMER.UNPIN"),
)
KINDS = {"INFO": "account_info", "CONSUMER.DURABLE.CREATE": "consumer_create"}
SILENT = ("CONSUMER.MSG.NEXT.", "DIRECT.GET.")  # nobody listens there


class Disabled(Watcher):
    """``enabled``: the names of accounts that have JetStream, also those that get it later."""

    def __init__(self, router: Router, enabled: Container[str]) -> None:
        self.router = router
        self.enabled = enabled

    def start(self) -> None:
        for account in list(self.router.accounts.values()):
            self.added(account)
        self.router.watchers.append(self)

    def added(self, account: Account) -> None:
        if account.name not in self.enabled:
            account.add(Subscription(Refusals(account, self.enabled), f"{PREFIX}>", announce=False))


class Refusals(Gate):
    """The API of an account without JetStream.  A gate: what is asked of nobody may be another account's to answer, by
    an import, or the router's, which says that there is nobody."""

    def __init__(self, account: Account, enabled: Container[str]) -> None:
        super().__init__(account.name)
        self.account = account
        self.enabled = enabled

    def pass_on(
        self, sub: Subscription, origin: Peer | None, subject: str, reply: str, headers: bytes, payload: bytes,
        shown: str = "",
    ) -> bool:  # fmt: skip
        call = subject.removeprefix(PREFIX)
        if self.account.name in self.enabled:
            self.account.remove(sub)
            return False
        if call.startswith(SILENT):
            return False
        known = next((name for name in CALLS if call == name or call.startswith(f"{name}.")), None)
        if reply and known is not None:
            kind = KINDS.get(known, known.lower().replace(".", "_"))
            self.account.publish(reply, error_response(kind, errors.NOT_ENABLED_FOR_ACCOUNT, {}))
        return True
