"""Sets of sequences as sorted ranges that neither overlap nor touch: what is settled, what was sent, what may be."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Pair = tuple[int, int]  # both ends included
NEVER = 1 << 64


class Ranges:
    def __init__(self, pairs: Iterable[Pair] = ()) -> None:
        self.firsts: list[int] = []
        self.lasts: list[int] = []
        for first, last in pairs:
            self.add(first, last)

    def __len__(self) -> int:
        return len(self.firsts)

    def __iter__(self) -> Iterator[Pair]:
        return zip(self.firsts, self.lasts, strict=True)

    def __contains__(self, seq: int) -> bool:
        at = bisect_right(self.firsts, seq) - 1
        return at >= 0 and seq <= self.lasts[at]

    def copy(self) -> "Ranges":
        other = Ranges()
        other.firsts, other.lasts = self.firsts.copy(), self.lasts.copy()
        return other

    def count(self) -> int:
        return sum(self.lasts) - sum(self.firsts) + len(self.firsts)

    def add(self, first: int, last: int) -> None:
        firsts, lasts = self.firsts, self.lasts
        if not lasts or first > lasts[-1] + 1:
            firsts.append(first)
            lasts.append(last)
            return
        begin = bisect_left(lasts, first - 1)  # the first range that this one reaches
        end = bisect_right(firsts, last + 1)  # behind the last one
        if begin < end:
            first, last = min(first, firsts[begin]), max(last, lasts[end - 1])
        firsts[begin:end] = [first]
        lasts[begin:end] = [last]

    def remove_up_to(self, seq: int) -> None:
        at = bisect_right(self.lasts, seq)
        del self.firsts[:at], self.lasts[:at]
        if self.firsts and self.firsts[0] <= seq:
            self.firsts[0] = seq + 1

    def after(self, seq: int) -> int:
        """The first sequence from ``seq`` on that is not here."""
        at = bisect_right(self.firsts, seq) - 1
        return self.lasts[at] + 1 if at >= 0 and seq <= self.lasts[at] else seq

    def next(self, seq: int) -> int:
        """Where the first range behind ``seq`` begins; far off when there is none."""
        at = bisect_right(self.firsts, seq)
        return self.firsts[at] if at < len(self.firsts) else NEVER

    def gaps(self, first: int, last: int) -> Iterator[Pair]:
        """What is missing between ``first`` and ``last``."""
        at = bisect_left(self.lasts, first)
        while first <= last:
            if at >= len(self.firsts) or self.firsts[at] > last:
                yield first, last
                return
            if self.firsts[at] > first:
                yield first, self.firsts[at] - 1
            first = self.lasts[at] + 1
            at += 1
