"""What is written down of connections while they come and go: who was here, since when hubs are linked, who was slow.

All of it within bounds: so many connections that have ended, and of these so many subscriptions.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

from edge.core.account import Account
from edge.core.client import Client
from edge.core.peer import Peer, PeerKind
from edge.core.router import Router, Watcher
from edge.monitor.conn import (
    NO_TRAFFIC,
    Conn,
    Moment,
    Since,
    Sub,
    address_of,
    conn_of_client,
    conn_of_link,
    conn_of_mqtt,
    subs_of_client,
    subs_of_link,
    subs_of_mqtt,
)

if TYPE_CHECKING:  # loaded where they are configured
    from edge.core.leaf_link import LeafLink
    from edge.core.mqtt_client import MqttClient

MAX_SUBSCRIPTIONS = 65_536  # of connections that have ended, all together


class Tally(NamedTuple):
    """How many connections have ended for a reason."""

    clients: int = 0
    leafs: int = 0

    def counted(self, kind: PeerKind) -> "Tally":
        return Tally(self.clients, self.leafs + 1) if kind is PeerKind.LEAF else Tally(self.clients + 1, self.leafs)


class Ended:
    """``subs`` are forgotten before the rest of it."""

    __slots__ = ("conn", "subs")

    def __init__(self, conn: Conn, subs: tuple[Sub, ...]) -> None:
        self.conn = conn
        self.subs = subs


class Ledger(Watcher):
    """``limit``: how many connections are remembered when they have ended.  Clocks in nanoseconds."""

    def __init__(self, router: Router, limit: int, wall: Callable[[], int], monotonic: Callable[[], int]) -> None:
        self.router = router
        self.wall = wall
        self.monotonic = monotonic
        self.began = monotonic()
        self.ended: deque[Ended] = deque(maxlen=limit)
        self.detailed: deque[Ended] = deque()  # those with subscriptions
        self.kept = 0  # subscriptions of those
        self.links: dict[Peer, Since] = {}
        self.slow = self.stale = Tally()

    def now(self) -> Moment:
        return Moment(self.wall(), self.monotonic())

    # ---- the router's watcher

    def connected(self, peer: Peer, account: Account) -> None:
        if peer.kind is PeerKind.LEAF:
            link = cast("LeafLink", peer)
            cid = link.cid or self.router.next_cid()
            self.links[peer] = Since(cid, *address_of(link), self.wall(), NO_TRAFFIC.plus(link))

    def leaving(self, peer: Peer, account: Account, reason: str) -> None:
        if reason.startswith("Slow Consumer"):
            self.slow = self.slow.counted(peer.kind)
        elif reason == "Stale Connection":
            self.stale = self.stale.counted(peer.kind)
        now = self.now()
        if isinstance(peer, Client):
            conn = conn_of_client(peer, now)
            if reason == "Authentication Failure":
                conn = conn._replace(account="")  # where it may have been as nobody in particular
            self._keep(conn, subs_of_client(peer), now.wall, reason)
        elif peer.kind is PeerKind.MQTT:
            client = cast("MqttClient", peer)
            self._keep(conn_of_mqtt(client, now), subs_of_mqtt(client), now.wall, reason)
        elif peer in self.links:
            link = cast("LeafLink", peer)
            conn = conn_of_link(link, account, self.links.pop(peer), now)
            self._keep(conn, subs_of_link(link), now.wall, reason)

    def _keep(self, conn: Conn, subs: list[Sub], stop_ns: int, reason: str) -> None:
        ended = Ended(conn._replace(stop_ns=stop_ns, reason=reason), tuple(subs[:MAX_SUBSCRIPTIONS]))
        if len(self.ended) == self.ended.maxlen and self.detailed and self.detailed[0] is self.ended[0]:
            self._forget_subscriptions()
        self.ended.append(ended)
        if ended.subs:
            self.detailed.append(ended)
            self.kept += len(ended.subs)
        while self.kept > MAX_SUBSCRIPTIONS:
            self._forget_subscriptions()

    def _forget_subscriptions(self) -> None:
        """Of the oldest that has some."""
        oldest = self.detailed.popleft()
        self.kept -= len(oldest.subs)
        oldest.subs = ()
