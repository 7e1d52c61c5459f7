"""Which subjects spoke lately, and when: what a technician at the cabinet wants to know of each sensor.

Streams tell of what they have taken, because an uplink takes it from them at once; what they had before is read from
their ends when somebody looks for the first time.  A subject once seen stays, so that one that has fallen silent is
seen to be silent.
"""

from heapq import nlargest
from typing import NamedTuple

from edge.jetstream.jetstream import JetStream
from edge.jetstream.stream import Stream
from edge.store.contract import NewRow

LOOK_BACK = 2000  # messages of a stream that are read
MAX_READ = 200  # subjects of them
MAX_SEEN = 500  # of a stream, after it was tidied up
MAX_KEPT = 4 * MAX_SEEN
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
        self.streams: dict[tuple[str, str], dict[str, int]] = {}  # subject to time, by account and stream
        self.read: set[int] = set()  # streams whose ends were looked at
        jetstream.watchers.append(self._hear)

    def look(self) -> list[Seen]:
        """By account and subject."""
        for account in self.jetstream.accounts.values():
            for stream in list(account.streams.values()):
                if stream.id not in self.read and not stream.name.startswith(NOT_READINGS):
                    self.read.add(stream.id)
                    self._read(stream)
        found: dict[tuple[str, str], Seen] = {}
        for (account_name, stream_name), times in self.streams.items():
            for subject, time_ns in _newest(times).items():
                old = found.get((account_name, subject))
                if old is None or old.time_ns < time_ns:
                    found[account_name, subject] = Seen(account_name, subject, stream_name, time_ns)
        return sorted(found.values())

    def _hear(self, stream: Stream, rows: list[NewRow]) -> None:
        if stream.name.startswith(NOT_READINGS):
            return
        times = self._times(stream)
        for row in rows:
            times[row[1]] = row[2]
        if len(times) > MAX_KEPT:
            self.streams[stream.account.name, stream.name] = _newest(times)

    def _times(self, stream: Stream) -> dict[str, int]:
        return self.streams.setdefault((stream.account.name, stream.name), {})

    def _read(self, stream: Stream) -> None:
        first, last = max(stream.last_seq - LOOK_BACK + 1, stream.first_seq), stream.last_seq
        times = self._times(stream)
        records = stream.store.subjects(stream.id, first, last) if first <= last else []
        for record in nlargest(MAX_READ, records, key=lambda record: record.last_seq):
            row = stream.get(record.last_seq) if record.subject not in times else None
            if row is not None:
                times[row.subject] = row.time_ns


def _newest(times: dict[str, int]) -> dict[str, int]:
    if len(times) <= MAX_SEEN:
        return times
    return dict(nlargest(MAX_SEEN, times.items(), key=lambda item: item[1]))
