"""What was lost on the way, and the receipts that say so to the hub in its place.

A receipt is an empty message in the hub's stream with the header

    Petiole-Lost: 1201-1217; limits; 17

which says: of the sequences 1201 to 1217 (those in the message ids) 17 will never come, for this reason.
``1201-1300/4`` names those that 4 does not divide.  What a stream of the hub holds of an edge's epoch, its dead letters
and its receipts together make every sequence.
"""

from collections.abc import Iterable
from typing import NamedTuple

MAX_WAITING = 64  # losses without a receipt; more are told of together

LIMITS = "limits"  # max_bytes or max_age of the backlog
THINNED = "thinned"
REFUSED = "refused"  # by the hub for good, and gone from here before it could become a dead letter


class Loss(NamedTuple):
    """``step`` above 1: of the range those that it does not divide.  ``number`` of the receipt; 0: none yet."""

    first: int
    last: int
    messages: int
    reason: str
    step: int = 1
    number: int = 0

    def header(self) -> str:
        step = f"/{self.step}" if self.step > 1 else ""
        return f"{self.first}-{self.last}{step}; {self.reason}; {self.messages}"


class Losses:
    """In the order in which they were noticed."""

    def __init__(self, losses: Iterable[Loss], receipts: int, gone: dict[str, int]) -> None:
        self.waiting = list(losses)
        self.receipts = receipts
        self.gone = dict(gone)

    def add(self, first: int, last: int, count: int, reason: str, step: int = 1) -> None:
        self.gone[reason] = self.gone.get(reason, 0) + count
        new = Loss(first, last, count, reason, step)
        waiting = []
        for loss in self.waiting:
            one = None if loss.number or loss.reason != reason else _union(loss, new)
            if one is None:
                waiting.append(loss)
            else:
                new = one
        self.waiting = [*waiting, new]
        self._bound()

    def _bound(self) -> None:
        """A receipt that names more than was lost still has the right count."""
        open_ends = [at for at, loss in enumerate(self.waiting) if not loss.number]
        if len(open_ends) > MAX_WAITING:
            one, two = self.waiting[open_ends[0]], self.waiting.pop(open_ends[1])
            reason = one.reason if one.reason == two.reason else f"{one.reason}, {two.reason}"[:64]
            self.waiting[open_ends[0]] = Loss(
                min(one.first, two.first), max(one.last, two.last), one.messages + two.messages, reason
            )

    def number_all(self) -> bool:
        """From here on they are what they are.  True when that is new to any of them."""
        fresh = False
        for at, loss in enumerate(self.waiting):
            if not loss.number:
                self.receipts += 1
                self.waiting[at] = loss._replace(number=self.receipts)
                fresh = True
        return fresh

    def find(self, number: int) -> Loss | None:
        return next((loss for loss in self.waiting if loss.number == number), None)

    def told(self, number: int) -> None:
        self.waiting = [loss for loss in self.waiting if loss.number != number]

    @property
    def total(self) -> int:
        return sum(self.gone.values())


def _union(one: Loss, two: Loss) -> Loss | None:
    """One loss that names what both do and nothing else; steps are powers of two."""
    messages = one.messages + two.messages
    if one.step == two.step and one.first <= two.last + 1 and two.first <= one.last + 1:
        return one._replace(first=min(one.first, two.first), last=max(one.last, two.last), messages=messages)
    for outer, inner in ((one, two), (two, one)):
        if outer.step > inner.step > 1 and outer.first <= inner.first and inner.last <= outer.last:
            return outer._replace(messages=messages)
    return None
