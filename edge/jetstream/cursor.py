"""Where a consumer reads in its stream: what comes next, and how much is still to come."""

from collections import deque
from collections.abc import Container, Sequence
from itertools import islice

from edge.jetstream.stream import Stream
from edge.store.contract import MAX_SEQ, Row
from edge.subjects import matches

READ_AHEAD = 256
FEW, SPARSE = 16, 4  # so many picked messages, with so many between them, are worth reading all of them
MAX_VERDICTS = 10_000


class Cursor:
    """``delivered``: nothing up to this stream sequence comes again from here."""

    def __init__(self, stream: Stream, filters: Sequence[str], delivered: int) -> None:
        self.stream = stream
        self.filters = filters
        self.delivered = delivered
        self.ahead: deque[Row] = deque()  # matching rows read from the stream, not delivered yet
        self.read_seq = 0  # where reading ahead goes on; 0: behind what was delivered
        self.left: int | None = None  # matching messages not delivered yet, of those up to ``counted_seq``
        self.counted_seq = 0
        self.verdicts: dict[str, bool] = {}  # does this subject match?
        self.picked: deque[int] = deque()  # to be delivered first, instead of all there was when they were picked
        self.fetched: deque[Row] = deque()  # the first of them

    def pick_last(self, up_to: int) -> None:
        """Of what is there up to a sequence only the last message of each subject, and then all that comes."""
        after = self.delivered
        last_seqs = self.stream.last_seqs(self.filters or (">",), up_to, MAX_SEQ)
        self.picked = deque(seq for seq in last_seqs if seq > after)
        self.fetched.clear()
        self.delivered = max(up_to, after)

    def filter(self, filters: Sequence[str]) -> None:
        """What was read ahead under other filters is read anew."""
        self.filters = filters
        self.verdicts.clear()
        self._read_anew()

    def _read_anew(self) -> None:
        self.ahead.clear()
        self.read_seq = 0
        self.left = None

    def next(self) -> Row | None:
        """The next message, taken."""
        while self.picked:
            if not self.fetched:
                self._fetch()
            seq = self.picked.popleft()
            if self.fetched and self.fetched[0].seq == seq:  # else it has gone
                return self.fetched.popleft()
        while self.ahead or self._read():
            row = self.ahead.popleft()
            if row.seq >= self.stream.first_seq:
                if self.left is not None and row.seq <= self.counted_seq:
                    self.left -= 1
                return row
        return None

    def take(self, most: int) -> list[Row]:
        """As many as are at hand, none only at the end; not for one that has picked messages."""
        while most > 0 and (self.ahead or self._read()):
            ahead, first = self.ahead, self.stream.first_seq
            rows = [ahead.popleft() for _ in range(min(most, len(ahead)))]
            if rows[0].seq < first:
                rows = [row for row in rows if row.seq >= first]
            if rows:
                if self.left is not None:
                    all_counted = rows[-1].seq <= self.counted_seq
                    self.left -= len(rows) if all_counted else sum(row.seq <= self.counted_seq for row in rows)
                return rows
        return []

    def put_back(self, row: Row) -> None:
        """``next`` was in vain."""
        if row.seq <= self.delivered:
            self.picked.appendleft(row.seq)
            self.fetched.appendleft(row)
            return
        self.ahead.appendleft(row)
        if self.left is not None and row.seq <= self.counted_seq:
            self.left += 1

    def _fetch(self) -> None:
        """Of a bucket that keeps one of each nearly every message is picked: many are read at once."""
        first = self.picked[0]
        if self.picked[min(FEW, len(self.picked)) - 1] - first < FEW * SPARSE:
            some = set(islice(self.picked, READ_AHEAD))
            self.fetched.extend(row for row in self.stream.scan(first, READ_AHEAD) if row.seq in some)
        elif (row := self.stream.get(first)) is not None:
            self.fetched.append(row)

    def _read(self) -> bool:
        """Read ahead; False at the end of the stream."""
        seq = self._unread_seq()
        while rows := self.stream.scan(seq, READ_AHEAD):
            seq = self.read_seq = rows[-1].seq + 1
            self.ahead.extend([row for row in rows if self.wants(row.subject)] if self.filters else rows)
            if self.ahead:
                return True
        return False

    def _unread_seq(self) -> int:
        """Nothing before it is still to be delivered, but for what is in ``ahead``."""
        return max(self.read_seq, self.delivered + 1)

    def wants(self, subject: str) -> bool:
        verdict = self.verdicts.get(subject)
        if verdict is None:
            if len(self.verdicts) >= MAX_VERDICTS:
                self.verdicts.clear()
            verdict = self.verdicts[subject] = any(matches(pattern, subject) for pattern in self.filters)
        return verdict

    def num_pending(self) -> int:
        """Messages that match and have not been delivered."""
        last, wanted = self.stream.last_seq, self.wants if self.filters else None
        if self.left is None:
            self.left = len(self.ahead) + self.stream.count_from(self._unread_seq(), wanted)
        elif self.counted_seq < last:
            behind = max(self.counted_seq, self.delivered)
            self.left += self.stream.count_from(behind + 1, wanted)
        self.counted_seq = last
        return self.left + len(self.picked)

    def on_removed(self, gone: Container[int], highest: int) -> None:
        """The stream has fewer messages."""
        if self.picked:
            self.picked = deque(seq for seq in self.picked if seq not in gone)
            self.fetched = deque(row for row in self.fetched if row.seq not in gone)
        if highest >= self._unread_seq():
            self._read_anew()
        elif highest > self.delivered:
            self.ahead = deque(row for row in self.ahead if row.seq not in gone)
            self.left = None
