"""What this server tells a hub that it wants: reference counts of subjects, weights of queue groups."""

from collections import Counter

from edge.protocol.leaf import Interest


class InterestMap:
    """Counts subscriptions and says what the other side must hear of each change.

    A plain subject is announced once and taken back when its last subscription is gone; a queue group is announced
    with its number of members, anew at every change (reference: leafnode.md section 2); ``weight`` members come or go
    at once.
    """

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, subject: str, queue: str, weight: int = 1) -> Interest | None:
        key = (subject, queue)
        was = self.counts[key]
        self.counts[key] = was + weight
        if queue:
            return Interest(subject, queue, was + weight)
        return None if was else Interest(subject, "", 1)

    def remove(self, subject: str, queue: str, weight: int = 1) -> Interest | None:
        key = (subject, queue)
        count = self.counts[key] - weight
        if count > 0:
            self.counts[key] = count
            return Interest(subject, queue, count) if queue else None
        del self.counts[key]
        return Interest(subject, queue, 0)

    def all(self) -> list[Interest]:
        """Everything that is wanted now, as it is announced on a new connection."""
        return [Interest(subject, queue, count if queue else 1) for (subject, queue), count in self.counts.items()]
