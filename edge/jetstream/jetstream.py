"""JetStream of this server: what is on disk brought back, and one clock for all accounts."""

import logging
from collections.abc import Callable

from edge.core.account import Account
from edge.core.times import Clock
from edge.jetstream.account import JetStreamAccount, Limits, Stores
from edge.jetstream.admission import Budgets
from edge.jetstream.api import Api
from edge.jetstream.health import Health
from edge.jetstream.limits import ServerLimits
from edge.jetstream.retention import nobody_waits
from edge.jetstream.stream import Stream
from edge.store.contract import HALF_MADE, ConsumerRecord, NewRow, Recovered, StreamRecord

UNLIMITED = ServerLimits()

log = logging.getLogger("edge.jetstream")


class JetStream:
    """``limits`` are those of the server, whatever its accounts may have."""

    def __init__(
        self, stores: Stores, clock: Clock, domain: str, server_name: str, limits: ServerLimits = UNLIMITED
    ) -> None:
        self.stores = stores
        self.clock = clock
        self.domain = domain
        self.server_name = server_name
        self.limits = limits
        self.accounts: dict[str, JetStreamAccount] = {}
        self.last_id = 0
        self.health = Health()
        self.budgets = Budgets()
        self.watchers: list[Callable[[Stream, list[NewRow]], None]] = []  # hear of every message that became visible
        self.left: list[StreamRecord] = []  # on disk, of accounts that are not here (yet)
        self.left_consumers: list[ConsumerRecord] = []
        self.unrecovered: list[tuple[str, str]] = []  # account and name of streams that cannot be read
        self.apis: dict[str, Api] = {}  # by account
        self.started = False

    def add_account(self, account: Account, limits: Limits) -> JetStreamAccount:
        """Streams, consumers and the API for this account."""
        jetstream = JetStreamAccount(
            account, self.stores, self.clock, limits, self.domain, self.server_name, self._next_id, self.health
        )
        jetstream.is_server_full = self._is_full
        jetstream.server_limits = lambda: self.limits
        jetstream.server_room = self._room
        jetstream.budgets = self.budgets
        jetstream.watchers = self.watchers
        self.accounts[account.name] = jetstream
        if self.started:  # an account that came later
            self._bring_back(self.left, self.left_consumers)
            self._serve(jetstream)
        return jetstream

    def _room(self, storage: str) -> int | None:
        limit = self.limits.max_bytes(storage)
        if limit is None:
            return None
        return limit - sum(account.reserved_bytes(storage) for account in self.accounts.values())

    def _is_full(self, storage: str) -> bool:
        limit = self.limits.max_bytes(storage)
        return limit is not None and sum(account.used_bytes(storage) for account in self.accounts.values()) > limit

    def recover(self, found: Recovered) -> None:
        """After the accounts are there: everything as it was committed."""
        self.last_id = max(found.last_id, max((record.id for record in found.streams), default=0))
        self._forget_half_made(found)
        self._bring_back(found.streams, found.consumers)
        for record in self.left:
            log.warning("stream %s stays on disk: its account %s has no JetStream", record.name, record.account)

    def _forget_half_made(self, found: Recovered) -> None:
        """What restores have left that did not come to their end."""
        for key in found.values:
            if key.startswith(HALF_MADE):
                log.warning("A restore was cut off: what it had brought is taken away")
                self.stores.file.drop_stream(int(key.removeprefix(HALF_MADE)))
                self.stores.file.drop_value(key)
                self.stores.file.commit(nobody_waits, urgent=False)

    def _bring_back(self, records: list[StreamRecord], consumers: list[ConsumerRecord]) -> None:
        """What belongs to accounts that are here; the rest is left for later."""
        left, streams = [], {}
        unsure: set[Stream] = set()  # nobody knows what somebody still needs of them
        for record in records:
            account = self.accounts.get(record.account)
            if account is None:
                left.append(record)
            elif (stream := account.recover_stream(record)) is not None:
                streams[record.id] = account, stream
            else:
                self.unrecovered.append((record.account, record.name))
        waiting = {record.id for record in left}
        for consumer in consumers:
            if consumer.stream in streams:
                account, stream = streams[consumer.stream]
                if not account.keeper.recover(stream, consumer):
                    unsure.add(stream)
        for _, stream in streams.values():
            if stream not in unsure:
                stream.retention.recover()
        self.left_consumers = [consumer for consumer in consumers if consumer.stream in waiting]
        self.left = left

    def start(self) -> None:
        """Answer requests."""
        self.started = True
        for account in self.accounts.values():
            self._serve(account)

    def _serve(self, account: JetStreamAccount) -> None:
        api = self.apis[account.account.name] = Api(account, self.server_name)
        api.start()

    def settle(self) -> None:
        """The end of the process: what waited to be saved is queued to the store."""
        for account in self.accounts.values():
            for consumer in account.keeper.all():
                consumer.settle()

    def deadline(self) -> int | None:
        found = [deadline for account in self.accounts.values() if (deadline := account.deadline()) is not None]
        return min(found, default=None)

    def tick(self, now: int) -> None:
        for account in self.accounts.values():
            account.tick(now)

    def _next_id(self) -> int:
        self.last_id += 1
        return self.last_id
