"""What a user may publish and subscribe to (reference: core.md section 3)."""

from collections.abc import Iterable
from dataclasses import dataclass

from edge.subjects import is_wildcard, matches, overlap, subset


@dataclass(frozen=True, slots=True)
class SubjectRule:
    """``allow`` None means everything; ``deny`` wins.  For subscriptions an entry ``subject queue`` is about members of
    that queue group alone."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()

    def permits(self, subject: str) -> bool:
        """A literal subject to publish to."""
        if self.allow is not None and not any(matches(pattern, subject) for pattern in self.allow):
            return False
        return not any(matches(pattern, subject) for pattern in self.deny)

    def permits_interest(self, subject: str, queue: str = "") -> bool:
        """A subscription: within what is allowed, and not wholly denied.  Where entries name queues for this
        subject, they decide for members of queue groups."""
        if self.allow is not None:
            plain, queues = _covering(self.allow, subject)
            if not (_is_named(queue, queues) if queue and queues else plain):
                return False
        plain, queues = _covering(self.deny, subject, at_all=True)
        return not plain and not (queue and queues and _is_named(queue, queues))

    def delivers(self, subject: str, queue: str = "") -> bool:
        """A message to a subscription that was permitted: only what is denied is held back."""
        for entry in self.deny:
            pattern, _, name = entry.partition(" ")
            if matches(pattern, subject) and (not name or (queue and _is_named(queue, (name,)))):
                return False
        return True

    def filters(self, subject: str) -> bool:
        """True when a permitted subscription still overlaps something denied: its deliveries are looked at."""
        return any(overlap(subject, pattern.partition(" ")[0]) for pattern in self.deny)


def _covering(entries: Iterable[str], subject: str, at_all: bool = False) -> tuple[bool, list[str]]:
    """Does an entry without a queue cover ``subject``; and the queues of those that do with one.

    ``at_all``: ``a.*`` covers ``a.>`` too, as nats-server has it for what is denied.  (It has it for what is allowed as
    well, and so lets through more than that.)
    """
    plain, queues = False, []
    a_token = subject.removesuffix(">") + "_"
    for entry in entries:
        pattern, _, queue = entry.partition(" ")
        if subset(subject, pattern) or (at_all and subject[-1:] == ">" and matches(pattern, a_token)):
            if queue:
                queues.append(queue)
            else:
                plain = True
    return plain, queues


def _is_named(queue: str, names: Iterable[str]) -> bool:
    return any(queue == name or (is_wildcard(name) and subset(queue, name)) for name in names)


@dataclass(frozen=True, slots=True)
class ResponseRule:
    """``allow_responses``: a client may answer what it was sent, ``max`` times (-1: any number) and for
    ``expires_ns`` (-1: for ever)."""

    max: int = 1
    expires_ns: int = 120_000_000_000


@dataclass(frozen=True, slots=True)
class Permissions:
    publish: SubjectRule = SubjectRule()
    subscribe: SubjectRule = SubjectRule()
    responses: ResponseRule | None = None
