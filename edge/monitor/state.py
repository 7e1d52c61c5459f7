"""Where the documents are read: the parts of the server, and what its configuration says of itself."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.core.account import Account
from edge.core.account_spec import AccountSpec
from edge.core.router import Router
from edge.core.times import rfc3339
from edge.monitor.ledger import Ledger
from edge.monitor.requests import DocumentError
from edge.monitor.stamp import Fields, Stamp
from edge.net.listener import ClientListener

if TYPE_CHECKING:  # loaded where they are configured
    from edge.core.operator_accounts import Accounts
    from edge.jetstream.account import JetStreamAccount
    from edge.jetstream.jetstream import JetStream
    from edge.net.mqtt import MqttListener

LIMIT = 1024  # items of a list, where nobody asks for more or fewer


class Settings(NamedTuple):
    """``varz``: as VARZ shows it.  ``jetstream``: as VARZ and JSZ do, empty where there is none."""

    varz: Fields
    jetstream: Fields
    system_account: str  # empty: none


class State(NamedTuple):
    """What changes with a reload, or is there later than the first who asks, is asked for each time."""

    stamp: Stamp
    router: Router
    clients: ClientListener
    ledger: Ledger
    settings: Callable[[], Settings]
    mqtt: "Callable[[], MqttListener | None]"
    jetstream: "Callable[[], JetStream | None]"
    specs: Callable[[], Mapping[str, AccountSpec]]
    signed: "Callable[[], Accounts | None]"  # operator mode

    def head(self) -> Fields:
        """What most documents begin with."""
        return {"server_id": self.stamp.identity.id, "now": rfc3339(self.stamp.wall())}

    def chosen(self, name: str) -> list[Account]:
        """All accounts, or the one of this name, if it is there."""
        accounts = self.router.accounts
        return [account for account in (accounts.get(name),) if account] if name else list(accounts.values())

    def tag(self, name: str) -> str:
        """What an account is called: its JWT may say it."""
        signed = self.signed()
        rules = signed.rules.get(name) if signed is not None else None
        return rules.name if rules is not None else name

    def jetstream_account(self, name: str) -> "JetStreamAccount":
        """DocumentError where it has no JetStream."""
        jetstream = self.jetstream()
        if jetstream is None:
            raise DocumentError("jetstream not enabled")
        if name not in self.router.accounts:
            raise DocumentError(f'account "{name}" not found')
        if name not in jetstream.accounts:
            raise DocumentError(f'account "{name}" not jetstream enabled')
        return jetstream.accounts[name]


class Page(NamedTuple):
    offset: int
    limit: int

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Page":
        limit = options.get("limit", 0)
        return cls(max(options.get("offset", 0), 0), limit if limit > 0 else LIMIT)

    def fields(self, total: int) -> Fields:
        return {"total": total, "offset": self.offset, "limit": self.limit}

    def cut(self, items: list[Any]) -> list[Any]:
        return items[self.offset : self.offset + self.limit]
