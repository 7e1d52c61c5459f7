"""What a stream holds: the messages that are on disk and visible, read and taken away.

Invariants:
 1. Rows between first_seq and last_seq may be missing (deleted); nothing outside that range is served.
 2. The store still shows what a commit under way takes away: ``leaving`` names it, and nobody sees it any more.
 3. What a limit drops at the front is out of sight at once, and swept from the store when enough of it has gathered:
    a delete writes its pages once more however little goes.  A start finds the limit to drop it by, or ``first``.
"""

import json
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice, takewhile
from typing import NamedTuple

from edge.core.times import SECOND
from edge.errors import StoreError
from edge.jetstream.fields import dumps
from edge.jetstream.subject_index import SubjectHistory, SubjectIndex
from edge.jetstream.tail import Tail
from edge.store.contract import NewRow, Outline, Row, Store, StreamRecord
from edge.subjects import is_wildcard, matches

SWEEP = 1000  # messages
SWEEP_NS = 3600 * SECOND
CHECKPOINT_EVERY = 10_000  # messages; what a start has to count again
BLOCK = 256  # rows read at once
OUTLINES = 1000
SPARSE = 4  # neighbours that are further apart are read each by itself

After = Callable[[StoreError | None], None]


class Purge(NamedTuple):
    """What was asked for, and where the stream begins and ends behind it.  ``matching_seq``: of the first message that
    still matches; 0 for none."""

    pattern: str
    first_seq: int
    matching_seq: int
    last_seq: int


# The sequences that went, the highest of them, and whether they were purged; none went, and nobody purged: what was out
# of sight has come back.
Removed = Callable[[Container[int], int, Purge | None], None]


class Messages:
    def __init__(self, id: int, store: Store, first_seq: int, overhead: int) -> None:
        self.id = id
        self.store = store
        self.overhead = overhead  # bytes that each message counts for beside subject, headers and payload
        self.created_ns = 0
        self.first_seq = max(first_seq, 1)
        self.last_seq = self.first_seq - 1
        self.first_ns = 0  # of the message at first_seq; 0: unknown or none
        self.last_ns = 0  # of the last message that was given a sequence: time never runs backwards in a stream
        self.messages = 0
        self.bytes = 0
        self.checkpoint_seq = 0
        self.dropped = 0  # by a limit, or before this life: everything before this
        self.swept = 0  # and what of it is not in the store any more
        self.swept_ns = 0  # when that was, as time goes in this stream
        self.index: SubjectIndex | None = None
        self.history: SubjectHistory | None = None  # only where a limit of each subject asks for it
        self.tail = Tail()
        self.leaving: set[int] = set()
        self.was_purged = first_seq > 0  # in this life: an empty stream then says where it begins
        self.listeners: list[Callable[[], None]] = []  # called when messages have become visible
        self.removal_listeners: list[Removed] = []  # called when messages have been taken away

    # ---- in

    def add(self, rows: list[NewRow], size: int) -> None:
        """These are on disk now."""
        if not self.messages:
            self.first_seq, self.first_ns = rows[0][0], rows[0][2]
        self.last_seq = rows[-1][0]
        self.messages += len(rows)
        self.bytes += size
        if self.listeners:
            self.tail.extend(rows, size)
        elif self.tail.blocks:  # nobody reads along any more: it would end before the stream does
            self.tail.clear()
        if self.index is not None:
            for row in rows:
                self.index.add(row[1], row[0])
        if self.history is not None:
            for row in rows:
                self.history.add(row[1], row[0])
        if self.last_seq - self.checkpoint_seq >= CHECKPOINT_EVERY:
            self.save_state()  # goes to disk with the next commit

    def skip_to(self, seq: int) -> None:
        """There will never be anything here between the last message and this sequence.  The caller commits."""
        self.last_seq = seq
        if not self.messages:
            self.first_seq, self.first_ns = seq + 1, 0
        self.tail.clear()
        self.save_state()

    # ---- out

    @property
    def subjects(self) -> SubjectIndex:
        if self.index is None and self.history is not None:
            self.index = SubjectIndex(self.history.records(), self._find_last)
        if self.index is None:
            records = [] if self.leaving else self.store.subjects(self.id, self.first_seq, self.last_seq)
            self.index = SubjectIndex(records, self._find_last)
            if self.leaving:
                for row in self.outlines(self.first_seq):
                    self.index.add(row.subject, row.seq)
        return self.index

    def histories(self) -> SubjectHistory:
        if self.history is None:
            places = self.store.places(self.id, self.first_seq, self.last_seq)
            self.history = SubjectHistory(place for place in places if place[0] not in self.leaving)
        return self.history

    def seqs_of(self, subject: str) -> Sequence[int]:
        """Where the messages of this subject are, in order; where there is one, without having to know of all."""
        if self.history is None:
            messages = self.subjects.count.get(subject, 0)
            if messages < 2:
                return [self.subjects.last_seq(subject)] if messages else []
        return self.histories().seqs.get(subject, ())

    def _find_last(self, subject: str) -> int:
        if self.history is not None:
            return max(self.history.seqs.get(subject, ()), default=0)
        last = self.last_seq
        while rows := self.store.scan_back(self.id, last, BLOCK):
            for row in rows:
                if row.subject == subject and row.seq not in self.leaving:
                    return row.seq
            last = rows[-1].seq - 1
        return 0

    def get(self, seq: int) -> Row | None:
        if not self.first_seq <= seq <= self.last_seq or seq in self.leaving:
            return None
        return self.tail.get(seq) or self.store.read(self.id, seq)

    def last_by_subject(self, pattern: str) -> Row | None:
        seq = self.subjects.last_seq(pattern)
        return self.get(seq) if seq else None

    def last_seqs(self, patterns: Sequence[str], up_to: int, most: int) -> list[int]:
        """The last message of each subject under any of the patterns, up to a sequence, in order; one more than
        ``most`` when there are too many."""
        seqs = self.subjects.last_seqs(patterns)
        if up_to >= self.last_seq or len(seqs) > most:
            return seqs[: most + 1]
        found = [seq for seq in seqs if seq <= up_to]
        later = {row.subject for seq in seqs if seq > up_to and (row := self.get(seq)) is not None}
        last = up_to
        while later and last >= self.first_seq and (rows := self.store.scan_back(self.id, last, BLOCK)):
            for row in rows:
                if row.subject in later and row.seq not in self.leaving and row.seq >= self.first_seq:
                    later.remove(row.subject)
                    found.append(row.seq)
            last = rows[-1].seq - 1
        return sorted(found)

    def scan(self, first: int, limit: int) -> list[Row]:
        """Up to ``limit`` visible rows from ``first`` on; none only at the end."""
        first = max(first, self.first_seq)
        while first <= self.last_seq:
            if self.tail.covers(first):
                return self.tail.rows_from(first, limit)
            rows = self.store.scan(self.id, first, self.last_seq, limit)
            if not self.leaving or not rows:
                return rows
            if left := [row for row in rows if row.seq not in self.leaving]:
                return left
            first = rows[-1].seq + 1
        return []

    def walk(self, first: int) -> Iterator[Row]:
        """Every visible row from ``first`` on."""
        while rows := self.scan(first, BLOCK):
            yield from rows
            first = rows[-1].seq + 1

    def outlines(self, first: int) -> Iterator[Outline]:
        """As ``walk``, without reading what the messages hold."""
        first = max(first, self.first_seq)
        while rows := self.store.outline(self.id, first, self.last_seq, OUTLINES):
            yield from (row for row in rows if row.seq not in self.leaving) if self.leaving else rows
            first = rows[-1].seq + 1

    def next_by_subject(self, first: int, pattern: str) -> Row | None:
        return next((row for row in self.walk(first) if matches(pattern, row.subject)), None)

    def first_at(self, time_ns: int) -> int:
        """The first sequence stored at or after this wall time; last_seq + 1 when there is none."""
        low, high = self.first_seq, self.last_seq + 1
        while low < high:
            middle = (low + high) // 2
            rows = self.scan(middle, 1)
            if not rows or rows[0].time_ns >= time_ns:
                high = middle
            else:
                low = rows[0].seq + 1
        return low

    def count_from(self, seq: int, wanted: Callable[[str], bool] | None = None) -> int:
        """Visible messages from ``seq`` on, those whose subject is ``wanted``."""
        seq = max(seq, self.first_seq)
        if seq > self.last_seq:
            return 0
        if self.tail.covers(seq):
            newer = self.last_seq - seq + 1
            return newer if wanted is None else sum(wanted(row.subject) for row in self.tail.rows_from(seq, newer))
        if wanted is None and self.messages == self.last_seq - self.first_seq + 1:
            return self.last_seq - seq + 1
        if wanted is not None and seq == self.first_seq and self.index is not None:
            return sum(count for subject, count in self.index.count.items() if wanted(subject))
        if self.leaving:  # the store may or may not show them
            return sum(wanted is None or wanted(row.subject) for row in self.outlines(seq))
        if wanted is not None:
            records = self.store.subjects(self.id, seq, self.last_seq)
            return sum(record.messages for record in records if wanted(record.subject))
        return self.store.count(self.id, seq, self.last_seq)[0]

    def deleted(self) -> list[int]:
        """The sequences that are missing between the first and the last."""
        found: list[int] = []
        expected = self.first_seq
        for row in self.outlines(expected):
            found += range(expected, row.seq)
            expected = row.seq + 1
        return [*found, *range(expected, self.last_seq + 1)]

    def missing(self, seqs: Iterable[int]) -> set[int]:
        """Those of these that are not there."""
        if self.messages == self.last_seq - self.first_seq + 1:
            return {seq for seq in seqs if not self.first_seq <= seq <= self.last_seq}
        return {seq for seq in seqs if self._outline(seq) is None}

    def oldest_ns(self) -> int:
        if not self.first_ns and self.messages:
            rows = self.scan(self.first_seq, 1)
            self.first_ns = rows[0].time_ns if rows else 0
        return self.first_ns

    # ---- taking away

    def drop_before(self, seq: int) -> None:
        """Take away all that is visible before ``seq``.  The caller commits; should that fail, the rows stay on disk
        until the next time and nobody sees them."""
        gone = self._drop_front(seq)
        if gone:
            self._sweep()
            self._tell_removed(gone, gone[-1])

    def drop_by_limit(self, seq: int) -> None:
        """As ``drop_before``, for what a start would drop again."""
        gone = self._drop_front(seq)
        if gone:
            self.dropped = self.first_seq
            if self.dropped - self.swept >= SWEEP or not self.messages or self.last_ns - self.swept_ns >= SWEEP_NS:
                self._sweep()
            self._tell_removed(gone, gone[-1])

    def _sweep(self) -> None:
        self.swept, self.swept_ns = self.first_seq, self.last_ns
        self.store.delete_range(self.id, 0, self.first_seq - 1)
        self.save_state()

    def _drop_front(self, seq: int) -> range:
        """The sequences that are out of sight now."""
        first, seq = self.first_seq, min(seq, self.last_seq + 1)
        if seq <= first:
            return range(0)
        self._uncount(first, seq)
        self.first_seq = seq
        self._settle_front()
        return range(first, seq)

    def _tell_removed(self, gone: Container[int], highest: int, purge: Purge | None = None) -> None:
        for listener in self.removal_listeners:
            listener(gone, highest, purge)

    def _uncount(self, first: int, before: int) -> None:
        """Count out what lies between two sequences; by rows only where the index must know of each.  Where less
        stays than goes, that is counted."""
        if before > self.last_seq:
            self.messages = self.bytes = 0
            self.index = SubjectIndex((), self._find_last) if self.index is not None else None
            self.history = SubjectHistory(()) if self.history is not None else None
            return
        if before - first > max(self.last_seq - before, OUTLINES) and not self.leaving:
            self.index = self.history = None  # to be known anew, when somebody asks
            self.messages, size = self.store.count(self.id, before, self.last_seq)
            self.bytes = size + self.messages * self.overhead
            return
        if self.index is None and self.history is None and not self.leaving:
            messages, size = self.store.count(self.id, first, before - 1)
            self.messages -= messages
            self.bytes -= size + messages * self.overhead
            return
        self._forget([*takewhile(lambda row: row.seq < before, self.outlines(first))])

    def _forget(self, rows: list[Outline]) -> None:
        self.messages -= len(rows)
        self.bytes -= sum(row.size for row in rows) + self.overhead * len(rows)
        if self.index is not None:
            self.index.remove((row.seq, row.subject) for row in rows)
        if self.history is not None:
            self.history.remove((row.seq, row.subject) for row in rows)

    def _settle_front(self) -> None:
        """``first_seq`` is that of a message, or one more than the last."""
        while self.first_seq in self.leaving:
            self.first_seq += 1
        rows = self.scan(self.first_seq, 1)
        if rows:
            self.first_seq, self.first_ns = rows[0].seq, rows[0].time_ns
        else:  # what the count says is there cannot be read: believe the disk
            self.first_seq, self.first_ns = self.last_seq + 1, 0
            self.messages = self.bytes = 0

    def delete(self, seq: int, after: After, erase: bool = False) -> bool:
        """Take one message away; False when it is not there.  ``erase``: what it said is overwritten on disk.
        ``after`` follows the commit."""
        row = self._outline(seq)
        if row is None:
            return False
        self._take([row], after, erase)
        return True

    def purge(self, pattern: str, before: int, keep: int, after: After) -> int:
        """Take away what matches ``pattern`` (all, when empty): all of it, or what is before a sequence, or all but
        the last ``keep``.  The number of messages; ``after`` follows the commit."""
        messages = self.messages
        if pattern in ("", ">") and not keep and before != 1:
            self.was_purged = True
        if pattern:
            self._take(self._doomed(pattern, before or self.last_seq + 1, keep), after, pattern=pattern)
        else:
            if keep:
                before = self._last_but(keep) or self.first_seq
            gone = self._drop_front(before or self.last_seq + 1)
            if gone:
                self._sweep()
            self.store.commit(partial(self._gone, gone, after, ""))
        return messages - self.messages

    def _last_but(self, count: int) -> int:
        """The first of so many last messages; 0 when there are no more than that."""
        last = self.last_seq
        while last >= self.first_seq and (rows := self.store.scan_back(self.id, last, BLOCK)):
            for row in rows:
                if row.seq < self.first_seq:
                    return 0
                count -= row.seq not in self.leaving
                if not count:
                    return row.seq
            last = rows[-1].seq - 1
        return 0

    def take(self, seqs: Sequence[int], after: After) -> None:
        """Take these away, those that are there; ``after`` follows the commit."""
        self._take(self.outlines_of(seqs), after)

    def outlines_of(self, seqs: Iterable[int]) -> list[Outline]:
        """Those of these that are there, in order; neighbours are read at once."""
        wanted = {seq for seq in seqs if self.first_seq <= seq <= self.last_seq and seq not in self.leaving}
        order = sorted(wanted)
        found: list[Outline] = []
        begin = 0
        for end in range(1, len(order) + 1):
            if end == len(order) or order[end] - order[end - 1] > SPARSE:
                found += self._outlines_between(order[begin], order[end - 1], wanted)
                begin = end
        return found

    def _outlines_between(self, first: int, last: int, wanted: Container[int]) -> Iterator[Outline]:
        while first <= last and (rows := self.store.outline(self.id, first, last, OUTLINES)):
            yield from (row for row in rows if row.seq in wanted)
            first = rows[-1].seq + 1

    def _outline(self, seq: int) -> Outline | None:
        if not self.first_seq <= seq <= self.last_seq or seq in self.leaving:
            return None
        row = self.tail.get(seq)
        return Outline.of(row) if row else next(iter(self.store.outline(self.id, seq, seq, 1)), None)

    def _doomed(self, pattern: str, before: int, keep: int) -> list[Outline]:
        counts = self.subjects.counts(pattern)
        seqs: Iterable[int]
        if self.history is not None and not is_wildcard(pattern):
            seqs = self.history.seqs.get(pattern, ())
        elif sum(counts.values()) == len(counts):
            seqs = self.subjects.last_seqs([pattern])
        else:
            matching = (row for row in self.outlines(self.first_seq) if row.subject in counts)
            seqs = (row.seq for row in islice(matching, sum(counts.values())))
        found = self.outlines_of(seq for seq in seqs if seq < before)
        return found[:-keep] if keep else found

    def _take(self, rows: list[Outline], after: After, erase: bool = False, pattern: str | None = None) -> None:
        """``pattern``: of the purge that this is."""
        seqs = [row.seq for row in rows]
        (self.store.erase if erase else self.store.delete)(self.id, seqs)
        self._forget(rows)
        self.leaving.update(seqs)
        if rows:
            self.tail.clear()
        if self.first_seq in self.leaving:
            self._settle_front()
        self.save_state()
        self.store.commit(partial(self._gone, seqs, after, pattern))

    def _gone(self, seqs: Sequence[int], after: After, pattern: str | None, error: StoreError | None) -> None:
        """Who reads the stream hears of it only now: until here it could have failed."""
        self.leaving.difference_update(seqs)
        if error is not None:
            self._recount()
            self._tell_removed((), self.last_seq)
        elif seqs or pattern is not None:
            purge = None if pattern is None else self._purge(pattern)
            self._tell_removed(seqs if isinstance(seqs, range) else set(seqs), seqs[-1] if seqs else 0, purge)
        after(error)

    def _purge(self, pattern: str) -> Purge:
        matching = self.first_seq
        if pattern and self.removal_listeners:
            left = self.subjects.counts(pattern)
            matching = next((row.seq for row in self.outlines(matching) if row.subject in left), 0) if left else 0
        return Purge(pattern, self.first_seq, matching, self.last_seq)

    def _recount(self) -> None:
        """A removal did not reach the disk: what is there is what is there, but for what is still on its way out."""
        self.index = self.history = None
        self.tail.clear()
        self.messages, size = self.store.count(self.id, self.dropped, self.last_seq)
        leaving = [row.size for seq in self.leaving for row in self.store.outline(self.id, seq, seq, 1)]
        self.messages -= len(leaving)
        self.bytes = size - sum(leaving) + self.messages * self.overhead
        self.first_seq = max(self.dropped, 1)
        self._settle_front()

    def size(self, row: Row) -> int:
        return len(row.subject) + len(row.headers) + len(row.payload) + self.overhead

    # ---- on disk

    def save_state(self) -> None:
        """As of ``last_seq``: rows behind it are counted at the next start."""
        self.checkpoint_seq = self.last_seq
        self.store.put_stream_state(self.id, dumps(self.state()))

    def state(self) -> dict[str, object]:
        return {"first": self.first_seq, "last": self.last_seq, "messages": self.messages, "bytes": self.bytes}

    def recover(self, record: StreamRecord) -> None:
        """Go on from what is on disk: the state that was saved, and the rows behind it.

        ValueError for a state that cannot be read; what is there is counted all the same.
        """
        self.last_seq = record.last_seq or self.last_seq
        try:
            self._restore(record)
        except (ValueError, KeyError, TypeError) as exc:
            self._recount()
            raise ValueError(f"its state is damaged ({exc}): its {self.messages} messages were counted anew") from exc
        finally:
            self.checkpoint_seq = self.last_seq
            last = self.store.scan_back(self.id, self.last_seq, 1)
            self.last_ns = last[0].time_ns if last else 0

    def _restore(self, record: StreamRecord) -> None:
        state = json.loads(record.state)
        last = int(state["last"])
        self.last_seq = max(last, record.last_seq)
        messages, size = self.store.count(self.id, last + 1, self.last_seq)
        self.messages = int(state["messages"]) + messages
        self.bytes = int(state["bytes"]) + size + messages * self.overhead
        self.first_seq = int(state["first"])
        self.swept = min(record.first_seq or self.first_seq, self.first_seq)
        if messages and not state["messages"]:  # some of those before may still be in the store
            self.first_seq = max(self.first_seq, last + 1)
            self._settle_front()
        self.dropped = self.first_seq
