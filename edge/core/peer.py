"""Who can hold subscriptions: clients, leaf links, and services inside this process."""

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edge.protocol.nats import PubHead

from edge.sublist import Match

Callback = Callable[[str, str, bytes, bytes], None]  # subject, reply, headers, payload
# Takes the publishes that begin at a place in a chunk and that it understands: how many, the bytes of their payloads,
# and the place behind them.
RunReader = Callable[[bytes, int], tuple[int, int, int]]


class PeerKind(enum.Enum):
    CLIENT = "Client"
    MQTT = "MQTT"  # its session holds the subscriptions
    LEAF = "Leafnode"
    SERVICE = "Service"
    GATE = "Account"


class Flushable(Protocol):
    """Something that gathers during a batch and acts once at its end."""

    def flush(self) -> None: ...


class Peer:
    """One end of the router."""

    __slots__ = ("echo", "kind", "name")

    def __init__(self, kind: PeerKind, name: str) -> None:
        self.kind = kind
        self.name = name
        self.echo = True  # a client may ask not to hear itself

    def give(self, sub: "Subscription", subject: str, reply: str, headers: bytes, payload: bytes) -> bool:
        """Deliver one message for one of this peer's subscriptions; False when it may not have it."""
        raise NotImplementedError

    def way(self, sub: "Subscription", subject: str) -> "tuple[Link, str] | None":
        """By which link a message for ``sub`` goes, and the name that it has there; for peers of the kind LEAF."""
        raise NotImplementedError

    def may_have(self, sub: "Subscription", subject: str) -> bool:
        """Would it be given this message?"""
        return True

    def takes_frames(self, sub: "Subscription") -> bool:
        """May messages for ``sub`` be handed over as finished lines, without a look at each?"""
        return False

    def put(self, data: bytes, count: int, size: int) -> None:
        """``count`` finished messages of ``size`` bytes in all, to one that takes frames."""
        raise NotImplementedError

    def is_loaded(self) -> bool:
        """Has it so much to take already that what can wait should?"""
        return False

    def flush(self) -> None:
        """Hand on what has gathered since the last flush."""


class Service(Peer):
    """Whoever subscribes inside this process."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        super().__init__(PeerKind.SERVICE, name)

    def give(self, sub: "Subscription", subject: str, reply: str, headers: bytes, payload: bytes) -> bool:
        sub.callback(subject, reply, headers, payload)
        return True


class Link(Peer):
    """A connection to another server: it gets one copy of a message, with the queue groups it is to serve.

    ``is_hub``: this server is the other one's hub, and not its leaf.
    """

    __slots__ = ("is_hub",)

    def __init__(self, name: str) -> None:
        super().__init__(PeerKind.LEAF, name)
        self.is_hub = False

    @property
    def server_name(self) -> str:
        """What the other server is called."""
        return self.name

    def is_congested(self) -> bool:
        """Would what is sent now be lost?"""
        return False

    @property
    def account_name(self) -> str:
        """That it is a link of."""
        return ""

    @property
    def cluster(self) -> str:
        """That the other server is of; empty: of none."""
        return ""

    def way(self, sub: "Subscription", subject: str) -> "tuple[Link, str] | None":
        return self, subject

    def line(self, head: "PubHead") -> bytes | None:
        """What goes before each message with this head on its way over the link; None where that is not the same for
        all of them."""
        return None

    def put(self, data: bytes, count: int, size: int) -> None:
        """``count`` finished messages of ``size`` bytes in all, with that ``line`` before each."""
        raise NotImplementedError

    def enqueue(self, subject: str, reply: str, queues: list[str], headers: bytes, payload: bytes) -> bool:
        """Send over the link; False when the link may not carry this subject."""
        raise NotImplementedError


class Gate(Peer):
    """A way out of an account: into another one by an import, or to the server itself.

    It is asked for each message, because it wants to know who published, and says whether anybody took it.
    """

    __slots__ = ()

    def __init__(self, name: str) -> None:
        super().__init__(PeerKind.GATE, name)

    def pass_on(
        self, sub: "Subscription", origin: Peer | None, subject: str, reply: str, headers: bytes, payload: bytes,
        shown: str = "",
    ) -> bool:  # fmt: skip
        """``origin`` is who published; None: the server itself.  ``shown``: the subject that receivers are to see."""
        raise NotImplementedError

    def direct(self, sub: "Subscription", subject: str) -> "tuple[Subscription, str] | None":
        """Who gets each message on ``subject`` and under which name, where that is all there is to decide."""
        return None


def _no_callback(subject: str, reply: str, headers: bytes, payload: bytes) -> None:
    raise AssertionError("only services are called back")


class Subscription:
    """A peer's interest in a subject.

    ``max`` > 0 ends it after so many deliveries since its beginning; ``weight`` is the number of members behind a
    leaf's queue interest; ``announce`` tells leafs to ask for this subject; ``capture`` marks a stream.
    ``read_run`` is for services that get many messages, each under a subject of its own (acks).
    """

    __slots__ = (
        "announce", "callback", "capture", "delivered", "max", "peer", "queue", "read_run", "sid", "subject",
        "weight",
    )  # fmt: skip

    def __init__(
        self,
        peer: Peer,
        subject: str,
        queue: str = "",
        sid: bytes = b"",
        callback: Callback = _no_callback,
        announce: bool = True,
        capture: bool = False,
    ) -> None:
        self.peer = peer
        self.subject = subject
        self.queue = queue
        self.sid = sid
        self.callback = callback
        self.announce = announce
        self.capture = capture
        self.read_run: RunReader | None = None
        self.max = 0
        self.delivered = 0
        self.weight = 1


def sole_receiver(match: Match[Subscription] | None) -> Subscription | None:
    """The only one there is, when it takes finished frames."""
    if match is None or len(match.plain) != 1 or match.queues:
        return None
    sub = match.plain[0]
    return sub if sub.peer.takes_frames(sub) else None


def send_away(links: dict[tuple[Link, str], list[str]], sub: Subscription, origin: Peer | None, subject: str) -> None:
    """A link gets one copy, with the queues that it is to serve."""
    way = sub.peer.way(sub, subject)
    if way is None or (isinstance(origin, Link) and not goes_on(sub, origin)):
        return
    queues = links.setdefault(way, [])
    if sub.queue:
        queues.append(sub.queue)


def goes_on(sub: Subscription, origin: Link) -> bool:
    """What one server sent goes to another one, by way of an import too, but neither back nor into its own cluster."""
    link = getattr(sub, "of", sub).peer
    return isinstance(link, Link) and link is not origin and not (origin.cluster and origin.cluster == link.cluster)
