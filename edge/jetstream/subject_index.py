"""What a stream knows of each of its subjects: how many messages, and where the last one is."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence

from edge.store.contract import SubjectRecord
from edge.subjects import is_wildcard, matches


class SubjectIndex:
    """Built from one pass over the visible messages when it is first asked for, and kept up from then on."""

    def __init__(self, records: Iterable[SubjectRecord], find_last: Callable[[str], int]) -> None:
        self.find_last = find_last
        self.last: dict[str, int] = {}  # 0: the last one was deleted, and the one before it must be looked for
        self.count: dict[str, int] = {}
        for subject, messages, _, last_seq in records:
            self.count[subject] = messages
            self.last[subject] = last_seq

    def add(self, subject: str, seq: int) -> None:
        self.count[subject] = self.count.get(subject, 0) + 1
        self.last[subject] = seq

    def remove(self, gone: Iterable[tuple[int, str]]) -> None:
        for seq, subject in gone:
            left = self.count.get(subject, 1) - 1
            if not left:
                self.count.pop(subject, None)
                self.last.pop(subject, None)
            else:
                self.count[subject] = left
                if self.last[subject] == seq:
                    self.last[subject] = 0

    def last_seq(self, pattern: str) -> int:
        """The last message under ``pattern``; 0 when there is none."""
        if not is_wildcard(pattern):
            return self._last(pattern) if pattern in self.last else 0
        return max((self._last(subject) for subject in list(self.last) if matches(pattern, subject)), default=0)

    def last_seqs(self, patterns: Sequence[str]) -> list[int]:
        """The last message of each subject under any of the patterns, in order."""
        found = {pattern for pattern in patterns if pattern in self.last}
        if wild := [pattern for pattern in patterns if is_wildcard(pattern)]:
            found.update(subject for subject in self.last if any(matches(pattern, subject) for pattern in wild))
        return sorted(map(self._last, found))

    def counts(self, pattern: str) -> dict[str, int]:
        if not is_wildcard(pattern):
            return {pattern: self.count[pattern]} if pattern in self.count else {}
        return {subject: count for subject, count in self.count.items() if matches(pattern, subject)}

    def _last(self, subject: str) -> int:
        if not self.last[subject]:
            self.last[subject] = self.find_last(subject)
        return self.last[subject]


class SubjectHistory:
    """Every sequence of every subject, oldest first: for streams that keep so many of each and no more."""

    def __init__(self, messages: Iterable[tuple[int, str]]) -> None:
        self.seqs: dict[str, array[int]] = {}  # 8 bytes for each message, where a list of numbers takes 40
        for seq, subject in messages:
            self.add(subject, seq)

    def add(self, subject: str, seq: int) -> None:
        seqs = self.seqs.get(subject)
        if seqs is None:
            seqs = self.seqs[subject] = array("Q")
        seqs.append(seq)

    def remove(self, gone: Iterable[tuple[int, str]]) -> None:
        for seq, subject in gone:
            seqs = self.seqs.get(subject)
            if seqs is None:
                continue
            at = bisect_left(seqs, seq)
            if at < len(seqs) and seqs[at] == seq:
                del seqs[at]
                if not seqs:
                    del self.seqs[subject]

    def records(self) -> Iterator[SubjectRecord]:
        return (SubjectRecord(subject, len(seqs), seqs[0], seqs[-1]) for subject, seqs in self.seqs.items())

    def beyond(self, subject: str, most: int) -> list[int]:
        """The oldest of this subject that are more than ``most``."""
        seqs = self.seqs.get(subject, ())
        return [*seqs[:-most]] if len(seqs) > most else []
