"""The leaf connections to hubs and the uplinks over the first of them.  Imported only where there is a remote."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edge.config.options import Config, LeafRemote, Uplink
from edge.core.leaf_link import PING_INTERVAL_NS, LeafLink
from edge.core.leaf_pacing import Pacing
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
from edge.subjects import matches
from edge.uplink.status import Status
from edge.uplink.uplinks import Uplinks, edge_token

if TYPE_CHECKING:  # a leaf may be without a store
    from edge.config.options import Downlink as DownlinkOptions
    from edge.downlink.downlink import Downlink
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


class Load(NamedTuple):
    """The uplinks that go over one link.  ``remote``: the name of the remote, or empty; the first has those that name
    none."""

    remote: str
    is_first: bool
    uplinks: Sequence[Uplink]
    link: RemoteLink

    @property
    def subjects(self) -> list[str]:
        return [subject for uplink in self.uplinks for subject in uplink.subjects]

    def fits(self, remote: LeafRemote) -> bool:
        """May the link go there, now that its own remote is gone?"""
        return remote.account == self.link.account.name and (self.is_first or remote.name == self.remote)


def _never_waits() -> None:
    """Who answers questions has no deadlines."""


class Hubs:
    """``start`` when everything else is there."""

    def __init__(
        self, router: Router, config: Config, server_id: str, server_name: str, storage: Storage | None
    ) -> None:
        self.router = router
        self.server_name = server_name
        self.reconnect_ns = config.leafnodes.reconnect_ns
        self.pings = _pings(config)
        domain = config.jetstream.domain if config.jetstream else ""
        self.identity = LeafIdentity(
            server_id, server_name, NATS_LEVEL, domain, config.jetstream is not None, config.max_payload_bytes
        )
        self.loads: list[Load] = []
        self.status: Status | None = None
        self.downlink: Downlink | None = None
        self.leafs: list[Leaf] = []
        for remote in config.leafnodes.remotes:
            chosen = [up for up in config.uplinks if (up.remote == remote.name if up.remote else not self.leafs)]
            leaf = Leaf(remote, self._connector(remote, [subject for up in chosen for subject in up.subjects]))
            if chosen:
                leaf.connector.link.pacing = Pacing(time.monotonic_ns)
            if chosen or not self.leafs:
                self.loads.append(Load(remote.name, not self.leafs, chosen, leaf.connector.link))
            self.leafs.append(leaf)
        if self.loads:
            self._start_uplinks(config, storage)

    def start(self, tasks: Tasks) -> None:
        for leaf in self.leafs:
            leaf.task = tasks.start(leaf.connector.run())

    def add(self, remote: LeafRemote, tasks: Tasks) -> None:
        """What is new in the configuration.  The link of the uplinks goes where the next remote of its account says."""
        free = [load for load in self.loads if load.fits(remote) and not self._is_used(load.link)]
        load = free[0] if free else None
        carried = load.subjects if load else ()
        leaf = Leaf(remote, self._connector(remote, carried, load.link if load else None))
        leaf.task = tasks.start(leaf.connector.run())
        self.leafs.append(leaf)

    def remove(self, remote: LeafRemote) -> None:
        for leaf in [leaf for leaf in self.leafs if leaf.remote == remote]:
            self.leafs.remove(leaf)
            if leaf.task is not None:
                leaf.task.cancel()
            leaf.connector.link.account.links.discard(leaf.connector.link)

    def set_pings(self, config: Config) -> None:
        """From the next of each link on."""
        self.pings = _pings(config)
        for leaf in self.leafs:
            leaf.connector.link.ping_interval_ns, leaf.connector.link.ping_max = self.pings

    def _is_used(self, link: RemoteLink) -> bool:
        return any(leaf.connector.link is link for leaf in self.leafs)

    def _connector(
        self, remote: LeafRemote, carried: Sequence[str] = (), link: RemoteLink | None = None
    ) -> LeafConnector:
        connector = make_connector(remote, self.identity, carried, self.reconnect_ns, self.router, link)
        connector.link.ping_interval_ns, connector.link.ping_max = self.pings
        return connector

    def _start_uplinks(self, config: Config, storage: Storage | None) -> None:
        """Those of each remote by themselves.  At the first one status is asked for, and from it commands come."""
        link = self.loads[0].link
        found = [self._uplinks(load, config, storage) for load in self.loads if load.uplinks and storage is not None]
        clock = Clock(time.time_ns, time.monotonic_ns, _never_waits)
        self.status = Status(self.server_name, link.account, link, found, clock)
        if config.downlink is not None and storage is not None:
            first = found[0] if found and self.loads[0].uplinks else None
            self._start_downlink(config.downlink, link, storage, first)

    def _uplinks(self, load: "Load", config: Config, storage: Storage) -> Uplinks:
        ticker = Ticker(asyncio.get_running_loop(), self.router)
        link = load.link
        uplinks = Uplinks(
            load.uplinks, self.server_name, link.account, _jetstream(storage, link, "uplink"), link, storage.values,
            Clock(time.time_ns, time.monotonic_ns, ticker.wake), lambda: random_name(22), config.uplink_budget,
            storage.wall_clock.moment, storage.wall_clock.sure_from, "" if load.is_first else load.remote,
        )  # fmt: skip
        ticker.start(uplinks)
        return uplinks

    def _start_downlink(
        self, options: "DownlinkOptions", link: LeafLink, storage: Storage, uplinks: Uplinks | None
    ) -> None:
        """Behind the uplinks, whose streams take what goes up of it."""
        from edge.downlink.downlink import Downlink, Surroundings
        from edge.downlink.past import Results

        ticker = Ticker(asyncio.get_running_loop(), self.router)
        edge = edge_token(self.server_name)
        ways = [up for up in self.loads[0].uplinks if any(matches(each, f"results.{edge}.x") for each in up.subjects)]
        around = Surroundings(
            edge=edge,
            jetstream=_jetstream(storage, link, "what comes from the hub"),
            link=link,
            values=storage.values,
            clock=Clock(time.time_ns, time.monotonic_ns, ticker.wake),
            wall_clock=storage.wall_clock,
            purse=uplinks.budget if uplinks else None,
            background=self._in_background,
            new_id=lambda: random_name(22),
            results=Results(ways[0].hub_domain, ways[0].hub_stream) if ways else None,
        )
        self.downlink = Downlink(options, around)
        ticker.start(self.downlink)

    def _in_background(self, work: Callable[[], None], done: Callable[[Exception | None], None]) -> None:
        """In a thread: it may wait for a disk."""

        def tell(future: asyncio.Future[None]) -> None:
            if future.cancelled():
                return
            fault = future.exception()
            done(fault if isinstance(fault, Exception) else None)
            self.router.flush()

        asyncio.get_running_loop().run_in_executor(None, work).add_done_callback(tell)


def _pings(config: Config) -> tuple[int, int]:
    """How often, and how many may be without an answer."""
    return min(config.ping_interval_ns, PING_INTERVAL_NS), config.ping_max


def _jetstream(storage: Storage, link: LeafLink, what: str) -> "JetStreamAccount":
    found = storage.jetstream.accounts.get(link.account.name)
    if found is None:
        raise StartError(f"{what}: JetStream is needed in account {link.account.name}, that of the first remote")
    return found
