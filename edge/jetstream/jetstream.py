"""JetStream of this server: what is on disk brought back, and one clock for all accounts."""

import logging

from edge.core.account import Account
from edge.core.times import Clock
from edge.jetstream.account import JetStreamAccount, Limits, Stores
from edge.jetstream.api import Api
from edge.jetstream.health import Health
from edge.store.contract import Recovered

UNLIMITED = Limits()

log = logging.getLogger("edge.jetstream")


class JetStream:
    """``limits`` are those of the server, whatever its accounts may have."""

    def __init__(
        self, stores: Stores, clock: Clock, domain: str, server_name: str, limits: Limits = UNLIMITED
    ) -> None:
        self.stores = stores
        self.clock = clock
        self.domain = domain
        self.server_name = server_name
        self.limits = limits
        self.accounts: dict[str, JetStreamAccount] = {}
        self.last_id = 0
        self.health = Health()

    def add_account(self, account: Account, limits: Limits) -> JetStreamAccount:
        """Streams, consumers and the API for this account."""
        jetstream = JetStreamAccount(
            account, self.stores, self.clock, limits, self.domain, self.server_name, self._next_id, self.health
        )
        jetstream.is_server_full = self._is_full
        self.accounts[account.name] = jetstream
        return jetstream

    def _is_full(self, storage: str) -> bool:
        limit = self.limits.max_memory_bytes if storage == "memory" else self.limits.max_file_bytes
        return limit is not None and sum(account.used_bytes(storage) for account in self.accounts.values()) >= limit

    def recover(self, found: Recovered) -> None:
        """After the accounts are there: everything as it was committed."""
        self.last_id = max(found.last_id, max((record.id for record in found.streams), default=0))
        streams = {}
        for record in found.streams:
            account = self.accounts.get(record.account)
            if account is None:
                log.warning("stream %s stays on disk: its account %s has no JetStream", record.name, record.account)
            elif (stream := account.recover_stream(record)) is not None:
                streams[record.id] = account, stream
        for consumer in found.consumers:
            if consumer.stream in streams:
                account, stream = streams[consumer.stream]
                account.recover_consumer(stream, consumer)

    def start(self) -> None:
        """Answer requests."""
        for account in self.accounts.values():
            Api(account, self.server_name).start()

    def deadline(self) -> int | None:
        found = [deadline for account in self.accounts.values() if (deadline := account.deadline()) is not None]
        return min(found, default=None)

    def tick(self, now: int) -> None:
        for account in self.accounts.values():
            account.tick(now)

    def _next_id(self) -> int:
        self.last_id += 1
        return self.last_id
