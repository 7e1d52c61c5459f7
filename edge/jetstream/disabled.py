"""What accounts without JetStream are told that ask for it, on a server that has it."""

from collections.abc import Container

from edge.core.account import Account
from edge.core.router import Router, Watcher
from edge.jetstream import errors
from edge.jetstream.info import error_response
from edge.message import status_block

PREFIX = "$JS.API."
CALLS = (
    *("INFO", "STREAM.CREATE", "STREAM.UPDATE", "STREAM.NAMES", "STREAM.LIST", "STREAM.INFO", "STREAM.DELETE"),
    *("STREAM.PURGE", "STREAM.MSG.GET", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT", "STREAM.RESTORE", "CONSUMER.CREATE"),
    *("CONSUMER.DURABLE.CREATE", "CONSUMER.NAMES", "CONSUMER.LIST", "CONSUMER.INFO", "CONSUMER.DELETE"),
    *("CONSUMER.PAUSE", "CONSUMER.UNPIN"),
)
KINDS = {"INFO": "account_info", "CONSUMER.DURABLE.CREATE": "consumer_create"}
SILENT = ("CONSUMER.MSG.NEXT.", "DIRECT.GET.")  # nobody listens there: the router's own answer


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
        if account.name in self.enabled:
            return

        def answer(subject: str, reply: str, headers: bytes, body: bytes) -> None:
            if account.name in self.enabled:
                account.unsubscribe(sub)
            elif reply:
                self._answer(account, subject, reply)

        sub = account.subscribe(f"{PREFIX}>", answer, announce=False)

    def _answer(self, account: Account, subject: str, reply: str) -> None:
        call = subject.removeprefix(PREFIX)
        if call.startswith(SILENT):
            account.publish(reply, headers=status_block(503, items=[("Nats-Subject", subject)]))
            return
        known = next((name for name in CALLS if call == name or call.startswith(f"{name}.")), None)
        if known is not None:
            kind = KINDS.get(known, known.lower().replace(".", "_"))
            account.publish(reply, error_response(kind, errors.NOT_ENABLED_FOR_ACCOUNT, {}))
