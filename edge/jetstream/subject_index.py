"""What a stream knows of each of its subjects: how many messages, and where the last one is."""

from collections.abc import Iterable

from edge.store.contract import Row, Store
from edge.subjects import is_wildcard, matches


class SubjectIndex:
    """Built from one pass over the stream when it is first asked for, and kept up from then on."""

    def __init__(self, store: Store, stream: int) -> None:
        self.store = store
        self.stream = stream
        self.last: dict[str, int] = {}  # 0: the last one was deleted, and where the one before it is must be looked up
        self.count: dict[str, int] = {}
        for subject, messages, _, last_seq in store.subjects(stream):
            self.count[subject] = messages
            self.last[subject] = last_seq

    def add(self, subject: str, seq: int) -> None:
        self.count[subject] = self.count.get(subject, 0) + 1
        self.last[subject] = seq

    def remove(self, rows: Iterable[Row]) -> None:
        for row in rows:
            left = self.count.get(row.subject, 1) - 1
            if not left:
                self.count.pop(row.subject, None)
                self.last.pop(row.subject, None)
            else:
                self.count[row.subject] = left
                if self.last[row.subject] == row.seq:
                    self.last[row.subject] = 0

    def last_seq(self, pattern: str) -> int:
        """The last message under ``pattern``; 0 when there is none."""
        if not is_wildcard(pattern):
            return self._last(pattern) if pattern in self.last else 0
        return max((self._last(subject) for subject in list(self.last) if matches(pattern, subject)), default=0)

    def counts(self, pattern: str) -> dict[str, int]:
        return {subject: count for subject, count in self.count.items() if matches(pattern, subject)}

    def _last(self, subject: str) -> int:
        if not self.last[subject]:
            for record in self.store.subjects(self.stream):
                if record.subject in self.last:
                    self.last[record.subject] = record.last_seq
        return self.last[subject]
