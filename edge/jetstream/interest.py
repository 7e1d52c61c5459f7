"""Who still needs a message: streams that keep what some consumer has not acknowledged (retention ``interest`` and
``workqueue``; reference: jetstream.md section 2)."""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Protocol

from edge.store.contract import Outline, Row


class Needing(Protocol):
    """A consumer, as far as the stream's retention is concerned."""

    def wants(self, subject: str) -> bool:
        """Is this subject its concern at all?"""

    def needs(self, seq: int) -> bool:
        """Has it not acknowledged this message of a subject that it wants?"""

    def seen(self) -> int:
        """It needs everything behind this sequence."""


class Interest:
    """The consumers of one stream.  ``queue``: every message is for one of them only."""

    def __init__(self, queue: bool) -> None:
        self.queue = queue
        self.consumers: list[Needing] = []

    def unneeded(self, rows: Iterable[Row | Outline]) -> list[int]:
        """Those of ``rows`` that nobody has to see any more."""
        return [row.seq for row in rows if not self._is_needed(row)]

    def handled(self, rows: Iterable[Outline]) -> list[int]:
        """Those of ``rows`` that everybody who wants them is done with, and that somebody wanted."""
        seen = max((consumer.seen() for consumer in self.consumers), default=0)
        rows = takewhile(lambda row: row.seq <= seen, rows)
        return [row.seq for row in rows if not self._is_needed(row) and self._is_wanted(row.subject)]

    def unwanted(self, rows: Sequence[tuple[int, str, int, bytes, bytes]]) -> list[int]:
        """Those of new ``rows`` that nobody will ever ask for."""
        if self.queue:
            return []
        known: dict[str, bool] = {}
        found = []
        for row in rows:
            wanted = known.get(row[1])
            if wanted is None:
                wanted = known[row[1]] = self._is_wanted(row[1])
            if not wanted:
                found.append(row[0])
        return found

    def _is_wanted(self, subject: str) -> bool:
        return any(consumer.wants(subject) for consumer in self.consumers)

    def _is_needed(self, row: Row | Outline) -> bool:
        return any(consumer.needs(row.seq) for consumer in self.consumers if consumer.wants(row.subject))
