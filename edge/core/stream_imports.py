"""Messages that come into an account from another one, by a stream import.

It sits in the exporting account, with a shadow of each subscription here that its subjects concern: nobody here
interested, nobody there asked (reference: core.md section 4).
"""

from edge.core.account import Account
from edge.core.account_spec import Import
from edge.core.msg_trace import hand_over
from edge.core.peer import Gate, Link, Peer, PeerKind, Subscription
from edge.core.transforms import Transform
from edge.subjects import intersection
from edge.sublist import Match


def import_transform(imported: Import) -> Transform:
    """From the exporter's subjects to the names that they have here."""
    return Transform(imported.subject, numbered(imported.to or imported.subject), strict=True)


def numbered(pattern: str) -> str:
    """``a.*.b.*`` as the destination of a transform: ``a.$1.b.$2``."""
    count = 0
    tokens = pattern.split(".")
    for i, token in enumerate(tokens):
        if token == "*":
            count += 1
            tokens[i] = f"${count}"
    return ".".join(tokens)


class StreamImport(Gate):
    def __init__(self, importer: Account, exporter: Account, imported: Import) -> None:
        super().__init__(f"{importer.name} from {exporter.name}")
        self.importer = importer
        self.exporter = exporter
        self.imported = imported
        self.transform = import_transform(imported)
        self.back = self.transform.reversed()
        self.away = Away(self)
        self.shadows: dict[Subscription, Shadow] = {}

    def open(self) -> None:
        self.importer.exporters.append(self.exporter)
        self.importer.interest_listeners.append(self._on_interest)
        self.importer.weight_listeners.append(self._on_weight)
        for sub in list(self.importer.subscriptions()):
            self._on_interest(sub, True)

    def close(self) -> None:
        self.importer.exporters.remove(self.exporter)
        self.importer.interest_listeners.remove(self._on_interest)
        self.importer.weight_listeners.remove(self._on_weight)
        for shadow in self.shadows.values():
            self.exporter.remove(shadow)
        self.shadows.clear()

    def pass_on(
        self, sub: Subscription, origin: Peer | None, subject: str, reply: str, headers: bytes, payload: bytes,
        shown: str = "",
    ) -> bool:  # fmt: skip
        here = self.transform.match(subject)
        if here is None:
            return False
        assert isinstance(sub, Shadow)
        target = sub.of
        peer = target.peer
        router = self.exporter.router
        trace, router.traced = router.traced, None
        if trace is not None:
            trace.exported(self.importer.name, here)
            if not self.imported.allow_trace and trace.only:
                return True
        here = shown or here
        if trace is not None and self.imported.allow_trace:
            return hand_over(trace, peer, target, sub, here, reply, headers, payload)
        return peer.give(target, here, reply, headers, payload)

    def direct(self, sub: Subscription, subject: str) -> tuple[Subscription, str] | None:
        here = self.transform.match(subject)
        assert isinstance(sub, Shadow)
        return None if here is None else (sub.of, here)

    def _on_interest(self, sub: Subscription, is_there: bool) -> None:
        if not is_there:
            shadow = self.shadows.pop(sub, None)
            if shadow is not None:
                self.exporter.remove(shadow)
            return
        if isinstance(sub.peer, Gate) or isinstance(sub, Shadow):
            return  # what was imported is not exported again by itself
        here = intersection(sub.subject, self.back.source)
        there = self.back.match(here) if here else None
        if there is not None:
            is_away = sub.peer.kind is PeerKind.LEAF
            shadow = self.shadows[sub] = Shadow(self.away if is_away else self, there, sub)
            self.exporter.add(shadow)

    def _on_weight(self, sub: Subscription, by: int) -> None:
        if (shadow := self.shadows.get(sub)) is not None:
            self.exporter.reweighed(shadow, by)


class Shadow(Subscription):
    """In the exporting account, what ``of`` is in the importing one."""

    __slots__ = ("of",)

    def __init__(self, peer: Peer, subject: str, of: Subscription) -> None:
        self.of = of
        super().__init__(peer, subject, of.queue, of.sid, announce=of.announce)

    @property
    def weight(self) -> int:
        return self.of.weight

    @weight.setter
    def weight(self, weight: int) -> None:
        """A hub says it of ``of``."""


class Away(Peer):
    """The side of a stream import where the receivers are behind links: a link gets one copy of a message."""

    __slots__ = ("gate",)

    def __init__(self, gate: StreamImport) -> None:
        super().__init__(PeerKind.LEAF, gate.name)
        self.gate = gate

    def way(self, sub: Subscription, subject: str) -> tuple[Link, str] | None:
        here = self.gate.transform.match(subject)
        assert isinstance(sub, Shadow) and isinstance(sub.of.peer, Link)
        return None if here is None else (sub.of.peer, here)


def by_service(match: Match[Subscription], origin: Peer | None) -> Match[Subscription]:
    """Who gets what has come through a service import: it is not exported again as part of a stream, and what a hub has
    sent goes to no other hub."""
    from_hub = _is_hub(origin)

    def is_left_out(sub: Subscription) -> bool:
        return isinstance(sub, Shadow) or (from_hub and _is_hub(sub.peer))

    if not any(is_left_out(sub) for group in (match.plain, *match.queues) for sub in group):
        return match
    groups = (tuple(sub for sub in group if not is_left_out(sub)) for group in match.queues)
    return Match(tuple(sub for sub in match.plain if not is_left_out(sub)), tuple(group for group in groups if group))


def _is_hub(peer: Peer | None) -> bool:
    """Of this server, which is its leaf."""
    return isinstance(peer, Link) and not peer.is_hub
