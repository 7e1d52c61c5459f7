"""The leaf connections to hubs and the uplinks over the first of them.  Imported only where there is a remote."""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from edge.config.options import Config, LeafRemote
from edge.core.leaf_link import LeafLink
from edge.core.leaf_remote import RemoteLink
from edge.core.leaf_wire import LeafIdentity
from edge.core.router import Router
from edge.core.times import Clock
from edge.core.wall_clock import WallClock
from edge.errors import StartError
from edge.jetstream.account import random_name
from edge.net.info import NATS_LEVEL
from edge.net.leafs import LeafConnector, make_connector
from edge.net.ticker import Ticker
from edge.uplink.status import Status
from edge.uplink.uplinks import Uplinks, edge_token

if TYPE_CHECKING:  # a leaf may be without a store
    from edge.config.options import Downlink as DownlinkOptions
    from edge.jetstream.account import JetStreamAccount
    from edge.jetstream.jetstream import JetStream


class Tasks(Protocol):
    """The owner of every task."""

    def start(self, coroutine: Coroutine[None, None, None], /) -> asyncio.Task[None]: ...


class Storage(Protocol):
    """Streams, and what else was on disk when it was opened."""

    @property
    def jetstream(self) -> "JetStream": ...
    @property
    def values(self) -> Mapping[str, bytes]: ...
    @property
    def wall_clock(self) -> WallClock: ...


class Leaf:
    """A remote, and what keeps it connected."""

    def __init__(self, remote: LeafRemote, connector: LeafConnector) -> None:
        self.remote = remote
        self.connector = connector
        self.task: asyncio.Task[None] | None = None


class Hubs:
    """``start`` when everything else is there."""

    def __init__(
        self, router: Router, config: Config, server_id: str, server_name: str, storage: Storage | None
    ) -> None:
        self.router = router
        self.server_name = server_name
        self.reconnect_ns = config.leafnodes.reconnect_ns
        domain = config.jetstream.domain if config.jetstream else ""
        self.identity = LeafIdentity(
            server_id, server_name, NATS_LEVEL, domain, config.jetstream is not None, config.max_payload_bytes
        )
        self.uplinked: RemoteLink | None = None
        self.carried = [subject for uplink in config.uplinks for subject in uplink.subjects]
        self.status: Status | None = None
        self.leafs: list[Leaf] = []
        for remote in config.leafnodes.remotes:
            self.leafs.append(Leaf(remote, self._connector(remote, () if self.leafs else self.carried)))
        if self.leafs:
            self.uplinked = self.leafs[0].connector.link
            self._start_uplinks(config, self.uplinked, storage)

    def start(self, tasks: Tasks) -> None:
        for leaf in self.leafs:
            leaf.task = tasks.start(leaf.connector.run())

    def add(self, remote: LeafRemote, tasks: Tasks) -> None:
        """What is new in the configuration.  The link of the uplinks goes where the next remote of its account says."""
        again = self.uplinked
        if again is not None and (again.account.name != remote.account or self._is_used(again)):
            again = None
        leaf = Leaf(remote, self._connector(remote, self.carried if again else (), again))
        leaf.task = tasks.start(leaf.connector.run())
        self.leafs.append(leaf)

    def remove(self, remote: LeafRemote) -> None:
        for leaf in [leaf for leaf in self.leafs if leaf.remote == remote]:
            self.leafs.remove(leaf)
            if leaf.task is not None:
                leaf.task.cancel()
            leaf.connector.link.account.links.discard(leaf.connector.link)

    def _is_used(self, link: RemoteLink) -> bool:
        return any(leaf.connector.link is link for leaf in self.leafs)

    def _connector(
        self, remote: LeafRemote, carried: Sequence[str] = (), link: RemoteLink | None = None
    ) -> LeafConnector:
        return make_connector(remote, self.identity, carried, self.reconnect_ns, self.router, link)

    def _start_uplinks(self, config: Config, link: LeafLink, storage: Storage | None) -> None:
        ticker = Ticker(asyncio.get_running_loop(), self.router)
        clock = Clock(time.time_ns, time.monotonic_ns, ticker.wake)
        uplinks = None
        if config.uplinks:
            assert storage is not None  # the configuration has one
            jetstream = _jetstream(storage, link, "uplink")
            uplinks = Uplinks(
                config.uplinks, self.server_name, link.account, jetstream, link, storage.values, clock,
                lambda: random_name(22), config.uplink_budget, storage.wall_clock.moment,
            )  # fmt: skip
            ticker.start(uplinks)
        self.status = Status(self.server_name, link.account, link, uplinks, clock)
        if config.downlink is not None and storage is not None:
            self._start_downlink(config.downlink, link, storage, uplinks)

    def _start_downlink(
        self, options: "DownlinkOptions", link: LeafLink, storage: Storage, uplinks: Uplinks | None
    ) -> None:
        """Behind the uplinks, whose streams take what goes up of it."""
        from edge.downlink.downlink import Downlink, Surroundings

        ticker = Ticker(asyncio.get_running_loop(), self.router)
        around = Surroundings(
            edge=edge_token(self.server_name),
            jetstream=_jetstream(storage, link, "what comes from the hub"),
            link=link,
            values=storage.values,
            clock=Clock(time.time_ns, time.monotonic_ns, ticker.wake),
            wall_clock=storage.wall_clock,
            purse=uplinks.budget if uplinks else None,
            new_id=lambda: random_name(22),
        )
        ticker.start(Downlink(options, around))


def _jetstream(storage: Storage, link: LeafLink, what: str) -> "JetStreamAccount":
    found = storage.jetstream.accounts.get(link.account.name)
    if found is None:
        raise StartError(f"{what}: JetStream is needed in account {link.account.name}, that of the first remote")
    return found
