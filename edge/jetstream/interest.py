"""Who still needs a message: streams that keep what some consumer has not acknowledged (retention ``interest`` and
``workqueue``; reference: jetstream.md section 2)."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from edge.store.contract import Row


class Needing(Protocol):
    """A consumer, as far as the stream's retention is concerned."""

    def wants(self, subject: str) -> bool:
        """Is this subject its concern at all?"""

    def needs(self, seq: int) -> bool:
        """Has it not acknowledged this message of a subject that it wants?"""


class Interest:
    """The consumers of one stream.  ``queue``: every message is for one of them only."""

    def __init__(self, queue: bool) -> None:
        self.queue = queue
        self.consumers: list[Needing] = []

    def unneeded(self, rows: Iterable[Row]) -> list[int]:
        """Those of ``rows`` that nobody has to see any more."""
        return [row.seq for row in rows if not self._is_needed(row)]

    def unwanted(self, rows: Sequence[tuple[int, str, int, bytes, bytes]]) -> list[int]:
        """Those of new ``rows`` that nobody will ever ask for."""
        if self.queue:
            return []
        known: dict[str, bool] = {}
        found = []
        for row in rows:
            wanted = known.get(row[1])
            if wanted is None:
                wanted = known[row[1]] = any(consumer.wants(row[1]) for consumer in self.consumers)
            if not wanted:
                found.append(row[0])
        return found

    def _is_needed(self, row: Row) -> bool:
        return any(consumer.needs(row.seq) for consumer in self.consumers if consumer.wants(row.subject))
