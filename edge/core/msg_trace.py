"""A message whose sender wants to know its way; its header ``Nats-Trace-Dest`` says where to tell it.

While it is on its way it is the router's ``traced``.  What it causes (answers, advisories) is not part of it.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from edge.core.peer import Gate, Link, Peer, PeerKind, Subscription, send_away
from edge.core.times import rfc3339
from edge.message import header_set
from edge.sublist import Match

if TYPE_CHECKING:
    from edge.core.account import Account
    from edge.core.client import Client
    from edge.core.leaf_link import LeafLink

DEST, ONLY, HOP = "Nats-Trace-Dest", "Nats-Trace-Only", "Nats-Trace-Hop"
DISABLED = "trace disabled"  # a destination that is no subject: for those who are not to trace any further
MARK = DEST.encode()
DENIED = "Not delivered because subscription denies this subject"
NO_TRACE_ONLY = "Not delivered because remote does not support message tracing"
NO_TRACE = (
    "Message delivered but remote does not support message tracing so no trace event generated from there"
)
NO_ECHO = "Not delivered because of no echo"
TRACING = 2  # the level of servers that understand it
CLIENT, LEAF = 0, 4  # nats-server's numbers for kinds of connections


def traces(link: Link) -> bool:
    """Does the other server tell what became of a message there?"""
    return cast("LeafLink", link).far.protocol >= TRACING


class MessageTrace:
    """``only``: the way is shown, and nobody gets the message.  ``refused``: neither is done."""

    __slots__ = ("account", "dest", "events", "header", "hops", "only", "refused", "size", "wall")

    def __init__(
        self, sender: "Client | Link", account: "Account", subject: str, header: dict[str, list[str]], size: int,
        wall: Callable[[], int],
    ) -> None:  # fmt: skip
        self.account = account
        self.dest = header[DEST][0]
        self.only = header.get(ONLY, [""])[0].lower() in ("1", "true", "on")
        self.refused = False
        self.header = header
        self.size = size
        self.wall = wall
        self.hops = 0
        self.events: list[dict[str, Any]] = []
        if isinstance(sender, Link):
            self._add("in", kind=LEAF, cid=0, name=sender.server_name, acc=account.name, subj=subject)
        else:
            self._add("in", kind=CLIENT, cid=sender.cid, name=sender.connect.name, acc=account.name, subj=subject)

    def failed(self, text: str) -> None:
        self.events[0]["error"] = text

    def mapped(self, to: str) -> None:
        self._add("sm", to=to)

    def reached(self, peer: Peer, sub: Subscription, subject: str, error: str = "") -> None:
        """It comes to ``peer``, by ``sub``.  Streams have their name as the sid."""
        if peer.kind is PeerKind.CLIENT:
            client: Client = peer  # type: ignore[assignment]
            other = client.account.name if client.account is not self.account else ""
            self._add(
                "eg", kind=CLIENT, cid=client.cid, name=client.connect.name, acc=other, sub=sub.subject,
                queue=sub.queue, error=error,
            )  # fmt: skip
        elif sub.sid:
            self._add("js", stream=sub.sid.decode(), subject=subject)

    def imported(self, account: str, subject: str, to: str) -> None:
        """It goes by a service import into this account."""
        self._add("si", acc=account, **{"from": subject}, to=to)

    def exported(self, account: str, to: str) -> None:
        """It goes by a stream export into this account."""
        self._add("se", acc=account, to=to)

    def forwarded(self, link: Link, headers: bytes) -> bytes:
        """It goes to another server, with these headers."""
        self.hops += 1
        other = link.account_name if link.account_name != self.account.name else ""
        error = "" if traces(link) else NO_TRACE_ONLY if self.only else NO_TRACE
        before = self.header.get(HOP, [""])[0]
        hop = f"{before}.{self.hops}" if before else str(self.hops)
        self._add("eg", kind=LEAF, cid=0, name=link.server_name, hop=hop, acc=other, error=error)
        return header_set(headers, HOP, hop)

    def _add(self, what: str, **fields: Any) -> None:
        event = {"type": what, "ts": rfc3339(self.wall())}
        self.events.append(event | {name: value for name, value in fields.items() if value != "" or name == "to"})


class MessageTracer(Protocol):
    def begin(
        self, sender: "Client | Link", account: "Account", subject: str, headers: bytes, size: int
    ) -> MessageTrace | None:
        """None where the headers ask for nothing."""

    def end(self, trace: MessageTrace) -> None:
        """Tell what was traced."""


def deliver_traced(
    account: "Account",
    trace: MessageTrace,
    match: Match[Subscription],
    origin: Peer | None,
    subject: str,
    reply: str,
    headers: bytes,
    payload: bytes,
    shown: str = "",
) -> int:
    """As ``Account.deliver``, with everybody whom the message reaches written down; the number of receivers."""
    router = account.router
    router.traced = None
    links: dict[tuple[Link, str], list[str]] = {}

    def take(sub: Subscription) -> bool:
        if not isinstance(sub.peer, Gate):
            return hand_over(trace, sub.peer, sub, sub, shown or subject, reply, headers, payload)
        router.traced = trace
        taken = sub.peer.pass_on(sub, origin, subject, reply, headers, payload, shown)
        router.traced = None
        return taken

    count = 0
    for sub in match.plain:
        if sub.peer.kind is PeerKind.LEAF:
            send_away(links, sub, origin, subject)
        elif sub.peer is origin and not origin.echo:
            trace.reached(origin, sub, subject, NO_ECHO)
        else:
            count += take(sub)
    for group in match.queues:
        member = account.serve(group, origin, take)
        if member is not None and member.peer.kind is PeerKind.LEAF:
            send_away(links, member, origin, subject)
        elif member is not None:
            count += 1
    for (link, name), queues in links.items():
        back = f"{reply}@{shown}" if shown else reply
        said = trace.forwarded(link, headers)
        if traces(link) or not trace.only:
            count += link.enqueue(name, back, queues, said, payload)
    return count


def hand_over(
    trace: MessageTrace, peer: Peer, sub: Subscription, by: Subscription, subject: str, reply: str, headers: bytes,
    payload: bytes,
) -> bool:  # fmt: skip
    """Give the message to ``peer`` for ``sub``, unless its way is all that is wanted; it came by ``by``."""
    taken = peer.may_have(sub, subject) if trace.only else peer.give(sub, subject, reply, headers, payload)
    trace.reached(peer, by, subject, "" if taken else DENIED)
    return taken


def deliver_traced_from_leaf(
    account: "Account", link: Link, subject: str, reply: str, headers: bytes, payload: bytes, queues: Sequence[str],
    shown: str,
) -> bool:  # fmt: skip
    """As ``Account.deliver_from_leaf``; False when this message is not to be traced after all."""
    tracer = account.router.tracer
    trace = tracer.begin(link, account, subject, headers, len(headers) + len(payload)) if tracer is not None else None
    if tracer is None or trace is None:
        return False
    if trace.refused:
        return True
    to = account.mapped(subject)
    if to != subject:
        trace.mapped(to)
    if to:
        match = account.match_from_leaf(subject, to, queues)
        deliver_traced(account, trace, match, link, to, reply, headers, payload, shown)
    tracer.end(trace)
    return True
