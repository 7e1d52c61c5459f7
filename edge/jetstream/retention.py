"""What a stream keeps and what leaves it: limits, age, a message's own time to live, and who still needs a message
(reference: jetstream.md section 2).
"""

from collections.abc import Collection, Iterable
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

from edge.core.times import SECOND
from edge.errors import StoreError
from edge.jetstream.compaction import Compaction, compact_after_ns
from edge.jetstream.durations import go_duration
from edge.jetstream.expiry import NEVER, Expiry, time_to_live
from edge.jetstream.interest import Interest
from edge.jetstream.messages import BLOCK
from edge.jetstream.stream_config import StreamConfig
from edge.message import header_block, header_get, header_set
from edge.store.contract import NewRow

if TYPE_CHECKING:
    from edge.jetstream.stream import Stream

EXPIRE_EVERY_NS = 250_000_000  # messages leave by age in batches, as in nats-server
SLICE = 1000  # messages that limits drop in one turn: publishers want theirs
MOST_PATIENCE_NS = 60 * SECOND


class Retention:
    """Of one stream.  What it takes away is out of sight at once and gone from disk with the next commit."""

    def __init__(self, stream: "Stream") -> None:
        self.stream = stream
        self.interest: Interest | None = None
        self.expiry: Expiry | None = None  # built when messages may have a time to live of their own
        self.expired_ns = 0
        self.slice_end = 0  # nothing from here on goes in this turn
        self.goes_on = False  # there is more to drop than a turn allows
        self.owed: list[int] = []  # what must go, and did not because the disk failed
        self.retry_at = 0  # wall time
        self.patience_ns = EXPIRE_EVERY_NS
        self.compaction: Compaction | None = None

    @property
    def config(self) -> StreamConfig:
        return self.stream.config

    def configure(self) -> None:
        after_ns = compact_after_ns(self.config.metadata)
        if after_ns != (self.compaction.after_ns if self.compaction is not None else 0):
            self.compaction = Compaction(after_ns) if after_ns else None
        consumers = self.interest.consumers if self.interest is not None else []
        self.interest = None if self.config.retention == "limits" else Interest(self.config.retention == "workqueue")
        if self.interest is not None:
            self.interest.consumers = consumers

    # ---- when messages have come

    def noticed(self, rows: list[NewRow], was_empty: bool) -> None:
        """These are visible now."""
        stream, config = self.stream, self.config
        self._enforce_of_each({row[1] for row in rows})  # first: what it takes makes room for all
        self.enforce_limits()
        if self.interest is not None and (unwanted := self.interest.unwanted(rows)):
            self._take(unwanted)
        if config.allow_msg_ttl:
            expiry = self._expiry()
            for row in rows:
                if row[3]:
                    expiry.add(row[0], row[2], row[3])
            stream.clock.wake()
        elif was_empty and config.max_age_ns:
            stream.clock.wake()

    def outlive_marker(self, headers: bytes) -> bytes:
        """With a history, a message that goes before the marker of its predecessor would let that be missed."""
        least = self.config.marker_ttl_ns // SECOND
        if self.config.max_msgs_per_subject != 1 and 0 < time_to_live(headers) < least:
            return header_set(headers, "Nats-TTL", str(least))
        return headers

    # ---- limits

    def enforce_limits(self) -> None:
        """Make room as max_msgs, max_bytes and max_age demand, a slice at most: the timer goes on with the next.  The
        disk follows with the next commit."""
        stream, config = self.stream, self.config
        first = stream.first_seq
        self.slice_end = first + SLICE
        self.goes_on = False
        if config.discard == "old":
            while 0 < config.max_msgs < stream.messages and not self.goes_on:
                self._drop(stream.first_seq + stream.messages - config.max_msgs)
            while 0 < config.max_bytes < stream.bytes and not self.goes_on:
                self._drop(self._room_at(stream.bytes - config.max_bytes))
        self._expire()
        if stream.first_seq != first:
            stream.store.commit(nobody_waits, urgent=False)
        if self.goes_on:
            stream.clock.wake()

    def _drop(self, seq: int) -> None:
        """Up to here, as far as this slice goes; all that there is goes at once."""
        stream = self.stream
        if self.slice_end < seq <= stream.last_seq:
            self.goes_on = True
            seq = max(self.slice_end, stream.first_seq + 1)
        stream.drop_by_limit(seq)

    def enforce_all(self) -> None:
        """Of a configuration, for every message that is there."""
        history = self.stream.history
        self._enforce_of_each([] if history is None else list(history.seqs))
        self.enforce_limits()

    def _room_at(self, size: int) -> int:
        """The sequence before which at least ``size`` bytes are, or as far as one block goes."""
        stream = self.stream
        rows = stream.scan(stream.first_seq, BLOCK)
        for row in rows:
            size -= stream.size(row)
            if size <= 0:
                return row.seq + 1
        return rows[-1].seq + 1 if rows else stream.last_seq + 1

    def _enforce_of_each(self, subjects: Collection[str]) -> None:
        """No subject has more messages than max_msgs_per_subject."""
        stream, most = self.stream, self.config.max_msgs_per_subject
        if most <= 0:
            return
        if stream.history is None:
            subjects = list(stream.histories().seqs)
        history = stream.histories()
        crowded = [seq for subject in subjects for seq in history.beyond(subject, most)]
        if crowded:
            self._take(sorted(crowded))

    # ---- who needs what

    def acknowledged(self, seqs: Iterable[int]) -> None:
        """A consumer is done with these: they go when nobody else needs them."""
        if self.interest is not None:
            unneeded = self.interest.unneeded(self.stream.outlines_of(seqs))
            if unneeded:
                self._take(unneeded)

    def review(self) -> None:
        """Consumers have come or gone: what nobody needs goes."""
        if self.interest is not None and not self.interest.queue:
            self._take(self.interest.unneeded(self.stream.outlines(self.stream.first_seq)))

    def recover(self) -> None:
        """What was acknowledged goes, should a cut have left it."""
        if self.interest is not None and not self.interest.queue:
            self._take(self.interest.handled(self.stream.outlines(self.stream.first_seq)))

    # ---- the disk

    def _take(self, seqs: list[int]) -> None:
        if seqs:
            self.stream.take(seqs, partial(self._taken, seqs))

    def _taken(self, seqs: list[int], error: StoreError | None) -> None:
        """What could not be taken away is seen again, and tried again."""
        if error is None:
            self.patience_ns = EXPIRE_EVERY_NS
            return
        self.owed += seqs
        self.retry_at = self.stream.clock.wall() + self.patience_ns
        self.patience_ns = min(self.patience_ns * 2, MOST_PATIENCE_NS)
        self.stream.clock.wake()

    # ---- time

    def deadline(self) -> int | None:
        """Wall time at which to look for messages that are too old."""
        stream = self.stream
        found = []
        if self.goes_on:
            found.append(stream.clock.wall())
        if self.owed:
            found.append(self.retry_at)
        if self.config.allow_msg_ttl and stream.messages and (expires := self._expiry().next()):
            found.append(expires)
        if self.config.max_age_ns and stream.messages:
            found.append(max(stream.oldest_ns() + self.config.max_age_ns, self.expired_ns + EXPIRE_EVERY_NS))
        if self.compaction is not None:
            found.append(self.compaction.due(stream.clock.wall()))
        return min(found, default=None)

    def compact(self) -> None:
        """One slice, when it is time."""
        now = self.stream.clock.wall()
        if self.compaction is not None and self.compaction.due(now) <= now:
            gone = self.compaction.slice(self.stream, now)
            if gone:
                self._take(gone)

    def _expire(self) -> None:
        if self.owed and self.stream.clock.wall() >= self.retry_at:
            owed, self.owed = self.owed, []
            self._take(owed)
        if self.config.allow_msg_ttl:
            self._expire_each()
        elif self.config.max_age_ns and self.stream.messages:
            now = self.stream.clock.wall()
            horizon = now - self.config.max_age_ns
            if self.stream.oldest_ns() <= horizon:
                self.expired_ns = now
                self._drop(self.stream.first_at(horizon + 1))

    def _expiry(self) -> Expiry:
        if self.expiry is None:
            self.expiry = Expiry()
            for row in self.stream.walk(self.stream.first_seq):
                if row.headers:
                    self.expiry.add(row.seq, row.time_ns, row.headers)
        return self.expiry

    def _expire_each(self) -> None:
        """By age and by a message's own time to live.  The last of a subject may leave a marker behind."""
        stream = self.stream
        now = self.expired_ns = stream.clock.wall()
        doomed = {row.seq: row for seq in self._expiry().due(now) if (row := stream.get(seq)) is not None}
        if self.config.max_age_ns:
            old = takewhile(lambda row: row.time_ns <= now - self.config.max_age_ns, stream.walk(stream.first_seq))
            doomed |= {row.seq: row for row in old if time_to_live(row.headers) != NEVER}
        if not doomed:
            return
        rows = [doomed[seq] for seq in sorted(doomed)]
        self._take([row.seq for row in rows])
        if self.config.marker_ttl_ns:
            marked = {row.subject for row in rows if not is_marker(row.headers)}
            for subject in marked:
                if not stream.subjects.count.get(subject):
                    stream.capture(subject, "", self._marker(), b"")

    def _marker(self) -> bytes:
        ttl = go_duration(self.config.marker_ttl_ns)
        return header_block([("Nats-Marker-Reason", "MaxAge"), ("Nats-TTL", ttl), ("Nats-Rollup", "sub")])


def is_marker(headers: bytes) -> bool:
    """Says already that a key is gone: ours, and a purge by a KV client (not its delete)."""
    return b"\r\nNats-Marker-Reason:" in headers or header_get(headers, "KV-Operation") == "PURGE"


def nobody_waits(error: StoreError | None) -> None:
    """Of the front of the stream: on disk until the next time, and not seen any more."""
