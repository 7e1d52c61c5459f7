"""Streams that keep the last value of each subject beyond an age, and of what is younger everything.

Ours, and asked for in the stream's metadata, which every client can set: ``petiole.compact_after`` with a duration such
as ``24h``.  Of the messages older than that one stays for each subject: what was known at that age is still known.

It goes through a stream in slices, each a scan and a delete of a few hundred messages, so that nobody waits long; and
it begins only when a tenth of that time more has gathered, because a delete writes its pages once more however little
is taken from them (docs/store.md).
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Protocol

from edge.core.times import SECOND
from edge.errors import ApiError
from edge.jetstream import errors
from edge.jetstream.expiry import parse_ttl
from edge.store.contract import Row

KEY = "petiole.compact_after"
SLICE = 256  # messages
SLACK = 10  # a run waits for a tenth of the age more


class Readable(Protocol):
    @property
    def last_seq(self) -> int: ...
    def scan(self, first: int, limit: int) -> Sequence[Row]: ...


class Compaction:
    """Of one stream.  ``kept``: the messages behind ``next_seq`` that are the last of their subject there."""

    def __init__(self, after_ns: int) -> None:
        self.after_ns = after_ns
        self.kept: dict[str, int] = {}
        self.next_seq = 0
        self.horizon = 0  # of the run that is going on, wall time; 0: none is
        self.wakes_ns = 0  # when to look whether there is enough to do; 0: at once

    def due(self, now: int) -> int:
        """Wall time of the next slice."""
        return now if self.horizon else self.wakes_ns

    def slice(self, stream: Readable, now: int) -> list[int]:
        """The sequences that go now, in order."""
        if not self.horizon and not self._begin(stream, now):
            return []
        scanned = stream.scan(self.next_seq, SLICE)
        rows = list(takewhile(self._is_old, scanned))
        if len(rows) < len(scanned) or not scanned or scanned[-1].seq >= stream.last_seq:
            self.horizon = 0
            self.wakes_ns = now + self.after_ns // SLACK
        gone = []
        for row in rows:
            before = self.kept.get(row.subject)
            if before is not None:
                gone.append(before)
            self.kept[row.subject] = row.seq
            self.next_seq = row.seq + 1
        return sorted(gone)

    def _begin(self, stream: Readable, now: int) -> bool:
        """Is there something that has been old enough for long enough?"""
        if now < self.wakes_ns:
            return False
        rows = stream.scan(self.next_seq, 1)
        ripe = (rows[0].time_ns if rows else now) + self.after_ns + self.after_ns // SLACK
        if ripe > now:
            self.wakes_ns = ripe
            return False
        self.horizon = now - self.after_ns
        return True

    def _is_old(self, row: Row) -> bool:
        return row.time_ns <= self.horizon

    def forget(self) -> None:
        """Messages have gone by other ways: begin at the front again."""
        self.kept.clear()
        self.next_seq = self.horizon = self.wakes_ns = 0


def compact_after_ns(metadata: Mapping[str, str]) -> int:
    """0 where nothing is compacted.  ApiError for what is no duration of a second or more."""
    text = metadata.get(KEY, "")
    if not text:
        return 0
    try:
        seconds = parse_ttl(text)
    except ValueError:
        seconds = 0
    if seconds <= 0:
        raise _refusal(text)
    return seconds * SECOND


def _refusal(text: str) -> ApiError:
    return errors.invalid_stream(f"{KEY}: expected a duration such as 24h, found {text!r}")
