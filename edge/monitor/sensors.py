"""Which subjects spoke lately, and when: what a technician at the cabinet wants to know of each sensor.

Nothing is counted while messages pass.  Whoever looks has the streams read from where the last look ended, at most so
far back; a subject once seen stays, so that one that has fallen silent is seen to be silent.
"""

from heapq import nlargest
from typing import NamedTuple

from edge.jetstream.jetstream import JetStream
from edge.jetstream.stream import Stream

LOOK_BACK = 2000  # messages of a stream in one look
MAX_NEW = 200  # subjects of a stream in one look
MAX_SEEN = 500
NOT_READINGS = ("KV_", "OBJ_")


class Seen(NamedTuple):
    """``time_ns``: wall time of the last message."""

    account: str
    subject: str
    stream: str
    time_ns: int


class Sensors:
    def __init__(self, jetstream: JetStream) -> None:
        self.jetstream = jetstream
        self.seen: dict[tuple[str, str], Seen] = {}
        self.read: dict[int, int] = {}  # by stream: the last sequence that was looked at

    def look(self) -> list[Seen]:
        """By account and subject."""
        for name, account in self.jetstream.accounts.items():
            for stream in list(account.streams.values()):
                if not stream.name.startswith(NOT_READINGS):
                    self._read(name, stream)
        if len(self.seen) > MAX_SEEN:
            newest = nlargest(MAX_SEEN, self.seen.values(), key=lambda seen: seen.time_ns)
            self.seen = {(seen.account, seen.subject): seen for seen in newest}
        return sorted(self.seen.values())

    def _read(self, account: str, stream: Stream) -> None:
        last = stream.last_seq
        first = max(self.read.get(stream.id, 0) + 1, last - LOOK_BACK + 1, stream.first_seq)
        self.read[stream.id] = last
        if first > last:
            return
        records = stream.store.subjects(stream.id, first, last)
        for record in nlargest(MAX_NEW, records, key=lambda record: record.last_seq):
            row = stream.get(record.last_seq)
            old = self.seen.get((account, record.subject))
            if row is not None and (old is None or old.time_ns < row.time_ns):
                self.seen[account, record.subject] = Seen(account, record.subject, stream.name, row.time_ns)
