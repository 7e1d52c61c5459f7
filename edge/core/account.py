"""An account: a subject space of its own, and the general way of a message through it.

The hot path (``hotpath.py``) keeps finished results of what is decided here; whatever it does not keep, and
everything that is published inside this process, comes through ``publish``.
"""

import random
import string
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edge.core.account_spec import AccountLimits
from edge.core.hotpath import Memo
from edge.core.msg_trace import MARK, deliver_traced, deliver_traced_from_leaf
from edge.core.peer import (
    Callback,
    Gate,
    Link,
    Peer,
    PeerKind,
    Service,
    Subscription,
    goes_on,
    send_away,
    sole_receiver,
)  # fmt: skip
from edge.core.permissions import Permissions
from edge.message import raw
from edge.protocol.leaf import LOOP_PREFIX
from edge.sublist import Match, Sublist

if TYPE_CHECKING:
    from edge.core.client import Client
    from edge.core.leaf_link import LeafLink
    from edge.core.mqtt_client import MqttClient
    from edge.core.router import Router

LOOP_ID_ALPHABET = string.ascii_letters + string.digits
InterestListener = Callable[[Subscription, bool], None]


class Mappings(Protocol):
    """``map`` gives the subject under which a message goes on, empty for one that is to be lost; ``fixed`` tells that
    it is the same every time."""

    def map(self, subject: str) -> str: ...
    def fixed(self, subject: str) -> bool: ...


class Delivered(NamedTuple):
    receivers: int  # plain receivers and one for each queue group
    captured: bool  # a stream was among them


class Traffic(NamedTuple):
    """``in``: what this server was sent; ``out``: what it sent."""

    in_msgs: int = 0
    in_bytes: int = 0
    out_msgs: int = 0
    out_bytes: int = 0

    def plus(self, peer: "Client | MqttClient | LeafLink | Traffic") -> "Traffic":
        return Traffic(
            self.in_msgs + peer.in_msgs,
            self.in_bytes + peer.in_bytes,
            self.out_msgs + peer.out_msgs,
            self.out_bytes + peer.out_bytes,
        )


class Account:
    """``past``: the traffic of clients that are no longer here, ``past_leafs`` that of leafs; ``loop_subject``: what
    links say, and must not hear."""

    def __init__(self, name: str, router: "Router") -> None:
        self.name = name
        self.router = router
        self.sublist: Sublist[Subscription] = Sublist()
        self.interest_listeners: list[InterestListener] = []
        self.weight_listeners: list[Callable[[Subscription, int], None]] = []
        self.service = Service(name)
        self.memos: dict[tuple[Permissions | None, bool], Memo] = {}
        self.limits = AccountLimits()
        self.exporters: list[Account] = []  # whose streams are imported here
        self.clients: set[Client] = set()  # who is logged in
        self.mqtt_clients: set[MqttClient] = set()
        self.links: set[LeafLink] = set()  # to hubs, connected or not, and of leafs that are here
        self.past = self.past_leafs = Traffic()
        self.slow_consumers = 0
        self.mappings: Mappings | None = None  # what is published here goes elsewhere
        self.loop_subject = LOOP_PREFIX + "".join(random.choices(LOOP_ID_ALPHABET, k=22))

    @property
    def client_traffic(self) -> Traffic:
        """Since the start, of all its clients."""
        total = self.past
        for client in self.clients:
            total = total.plus(client)
        for mqtt_client in self.mqtt_clients:
            total = total.plus(mqtt_client)
        return total

    @property
    def leaf_traffic(self) -> Traffic:
        total = self.past_leafs
        for link in self.links:
            total = total.plus(link)
        return total

    def memo(self, permissions: Permissions | None, headers: bool) -> Memo:
        """The finished routes that clients with the same rights share."""
        return self.memos.setdefault((permissions, headers), Memo())

    def forget_routes(self) -> None:
        """Something that finished routes to receivers here were built on has changed."""
        self.sublist.generation += 1
        for exporter in self.exporters:
            exporter.sublist.generation += 1

    # ---- interest

    def add(self, sub: Subscription) -> None:
        self.sublist.insert(sub)
        for listener in self.interest_listeners:
            listener(sub, True)

    def remove(self, sub: Subscription) -> None:
        if self.sublist.remove(sub):
            for listener in self.interest_listeners:
                listener(sub, False)

    def reweigh(self, sub: Subscription, weight: int) -> None:
        """The queue group behind a link has another number of members."""
        by, sub.weight = weight - sub.weight, weight
        if by:
            self.reweighed(sub, by)

    def reweighed(self, sub: Subscription, by: int) -> None:
        for link in self.links:
            link.reweighed(sub, by)
        for listener in self.weight_listeners:
            listener(sub, by)

    def subscribe(
        self, subject: str, callback: Callback, *, queue: str = "", announce: bool = True, capture: bool = False
    ) -> Subscription:
        """A subscription inside this process; ``callback`` runs within the publisher's batch."""
        sub = Subscription(self.service, subject, queue, b"", callback, announce, capture)
        self.add(sub)
        return sub

    def unsubscribe(self, sub: Subscription) -> None:
        self.remove(sub)

    def has_interest(self, subject: str) -> bool:
        plain, queues = self.sublist.match(subject)
        return bool(plain or queues)

    def subscriptions(self) -> Iterable[Subscription]:
        return iter(self.sublist)

    # ---- messages

    def mapped(self, subject: str) -> str:
        """Under which subject a message goes on that enters here with this one; empty: it is to be lost."""
        return self.mappings.map(subject) if self.mappings is not None else subject

    def publish(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        reply: str = "",
        headers: bytes = b"",
        shown: str = "",
        capture_reply: str = "",
        origin: Peer | None = None,
    ) -> Delivered:
        """Route by ``subject``; receivers here see ``shown`` instead when it is given (JetStream deliveries go by
        inbox and show the stored subject).  ``capture_reply`` is a reply that only streams see."""
        match = self.sublist.match(subject)
        return self.deliver(match, origin, subject, reply, headers, payload, shown, capture_reply)

    def publish_many(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Many small answers, each to a subject that is used once.  Those in a row that differ in its last token, and
        have one receiver, go to it as one."""
        plain = self.router.traced is None
        prefix, receiver = "", None
        frames: list[bytes] = []
        size = 0
        for subject, payload in messages:
            begin = subject.rpartition(".")[0]
            if begin != prefix:
                if receiver is not None:
                    _hand_over(receiver, frames, size)
                    frames, size = [], 0
                prefix, receiver = begin, sole_receiver(self.sublist.match_family(begin)) if plain else None
            if receiver is None:
                self.deliver(self.sublist.match_once(subject), None, subject, "", b"", payload)
                continue
            length = len(payload)
            frames.append(b"MSG %b %b %d\r\n%b\r\n" % (raw(subject), receiver.sid, length, payload))
            size += length
        if receiver is not None:
            _hand_over(receiver, frames, size)

    def deliver(
        self,
        match: Match[Subscription],
        origin: Peer | None,
        subject: str,
        reply: str,
        headers: bytes,
        payload: bytes,
        shown: str = "",
        capture_reply: str = "",
    ) -> Delivered:
        if (trace := self.router.traced) is not None:
            return Delivered(deliver_traced(self, trace, match, origin, subject, reply, headers, payload, shown), False)
        count = 0
        captured = False
        links: dict[tuple[Link, str], list[str]] = {}
        local = shown or subject
        for sub in match.plain:
            peer = sub.peer
            if peer is origin and not _hears_itself(peer):
                continue
            if peer.kind is PeerKind.LEAF:
                send_away(links, sub, origin, subject)
                continue
            if isinstance(peer, Gate):
                count += peer.pass_on(sub, origin, subject, reply, headers, payload, shown)
                continue
            if sub.capture:
                captured = True
                sub.callback(local, capture_reply or reply, headers, payload)
                count += 1
            else:
                count += peer.give(sub, local, reply, headers, payload)
        for group in match.queues:
            member = self.serve(group, origin, lambda sub: _give(sub, origin, subject, reply, headers, payload, shown))
            if member is None:
                continue
            if member.peer.kind is PeerKind.LEAF:
                send_away(links, member, origin, subject)
            else:
                count += 1
        for (link, name), queues in links.items():
            count += link.enqueue(name, f"{reply}@{shown}" if shown else reply, queues, headers, payload)
        return Delivered(count, captured)

    def deliver_from_leaf(
        self, link: Link, subject: str, reply: str, headers: bytes, payload: bytes, queues: Sequence[str]
    ) -> None:
        """A message that a hub sent: for every plain receiver and one member of each queue it names; of every queue,
        where a mapping has led it to others than the hub knows."""
        shown = ""
        if reply.startswith("$JS.ACK.") and "@" in reply:
            reply, _, shown = reply.partition("@")
        if MARK in headers and deliver_traced_from_leaf(self, link, subject, reply, headers, payload, queues, shown):
            return
        to = self.mapped(subject)
        if to:
            self.deliver(self.match_from_leaf(subject, to, queues), link, to, reply, headers, payload, shown)

    def match_from_leaf(self, subject: str, to: str, queues: Sequence[str]) -> Match[Subscription]:
        """Who gets what a hub sent as ``subject`` and ``queues``, and what is ``to`` now."""
        match = self.sublist.match(to)
        if not match.queues or (to != subject and not queues):
            return match
        return Match(match.plain, tuple(group for group in match.queues if group[0].queue in queues))

    def serve(
        self, group: tuple[Subscription, ...], origin: Peer | None, give: Callable[[Subscription], bool]
    ) -> Subscription | None:
        """``give`` to one member of a queue group, and to another one where that may not have it.  Who got it; a
        member behind a leaf is the caller's to serve."""
        while (member := self.pick(group, origin)) is not None:
            if member.peer.kind is PeerKind.LEAF or give(member):
                return member
            group = tuple(sub for sub in group if sub is not member)
        return None

    def pick(self, group: tuple[Subscription, ...], origin: Peer | None) -> Subscription | None:
        """One member: anyone here before anyone behind a leaf, leafs by weight, never back to where it came from."""
        others = [sub for sub in group if sub.peer is not origin or _hears_itself(sub.peer)]
        here = [sub for sub in others if sub.peer.kind is not PeerKind.LEAF]
        if here:
            return random.choice(here)
        if isinstance(origin, Link):
            others = [sub for sub in others if goes_on(sub, origin)]
        return random.choices(others, [sub.weight for sub in others])[0] if others else None


def _hand_over(sub: Subscription, frames: list[bytes], size: int) -> None:
    sub.delivered += len(frames)
    sub.peer.put(b"".join(frames), len(frames), size)


def _give(
    sub: Subscription, origin: Peer | None, subject: str, reply: str, headers: bytes, payload: bytes, shown: str
) -> bool:
    if isinstance(sub.peer, Gate):
        return sub.peer.pass_on(sub, origin, subject, reply, headers, payload, shown)
    return sub.peer.give(sub, shown or subject, reply, headers, payload)


def _hears_itself(peer: Peer) -> bool:
    return peer.echo and peer.kind is not PeerKind.LEAF
