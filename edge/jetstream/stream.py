"""A stream: messages of some subjects, in a sequence, on disk before anybody is told.

The way of a message: ``capture`` (the router's callback) gathers; ``flush`` at the end of the batch gives each its
sequence and queues them to the store as one unit; ``_committed`` makes them visible, tells those who read the
stream, and only then answers the publishers.

Invariants:
 1. last_seq is what is on disk; assigned_seq >= last_seq counts what is under way.
 2. A failed commit takes assigned_seq back to last_seq: no gap, and nothing of it was ever visible or answered.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice, takewhile
from typing import TYPE_CHECKING, NamedTuple

from edge.core.account import Account
from edge.core.peer import Subscription
from edge.core.times import SECOND, Clock, rfc3339
from edge.core.transforms import Transform
from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.dedupe import Dedupe
from edge.jetstream.expectations import NOTHING, check_headers
from edge.jetstream.expiry import NEVER, Expiry, time_to_live
from edge.jetstream.fields import dumps
from edge.jetstream.health import Health
from edge.jetstream.interest import Interest
from edge.jetstream.messages import BLOCK, After, Messages
from edge.jetstream.origin import short_hash
from edge.jetstream.pull import go_duration
from edge.jetstream.stream_config import StreamConfig
from edge.jetstream.subject_index import SubjectHistory
from edge.message import header_add, header_block, header_get, header_set
from edge.store.contract import NewRow, Row, Store, StreamRecord
from edge.subjects import is_wildcard, matches

if TYPE_CHECKING:  # most streams have none
    from edge.jetstream.inlet import Inlet

OVERHEAD = 30  # bytes that nats-server's files take for each message; max_bytes counts them
MEMORY_OVERHEAD = 16
EXPIRE_EVERY_NS = 250_000_000  # messages leave by age in batches, as in nats-server

Answer = tuple[str, bytes]


class Batch(NamedTuple):
    """What one commit will bring.  ``rollups``: what is to go once it is there, as (sequence, subject or all);
    ``settled`` hears of the commit before anybody else."""

    rows: list[NewRow]
    size: int
    answers: list[Answer]
    rollups: list[tuple[int, str]]
    settled: After | None = None


class Stream(Messages):
    def __init__(
        self,
        id: int,
        account: Account,
        config: StreamConfig,
        store: Store,
        clock: Clock,
        health: Health,
        domain: str = "",
    ) -> None:
        super().__init__(id, store, config.first_seq, MEMORY_OVERHEAD if config.storage == "memory" else OVERHEAD)
        self.account = account
        self.clock = clock
        self.health = health
        self.domain = domain
        self.assigned_seq = self.last_seq
        self.underway: deque[list[NewRow]] = deque()  # given a sequence, not on disk yet
        self.ahead: dict[str, int] | None = None  # subject to last sequence of those; None: nobody has asked yet
        self.rows: list[NewRow] = []  # of the batch that ``flush`` is about
        self.noted = 0  # how many of them are in ``ahead``
        self.moment = 0  # monotonic, of that batch
        self.dedupe = Dedupe(config.duplicate_window_ns)
        self.incoming: list[tuple[str, str, bytes, bytes]] = []
        self.subscriptions: list[Subscription] = []
        self.announce = True
        self.expired_ns = 0
        self.watchers: list[Callable[[Stream, list[NewRow]], None]] = []  # of every stream; told of what became visible
        self.refusal: Callable[[], ApiError | None] = lambda: None  # why the account takes no more messages
        self.interest: Interest | None = None
        self.positions: Mapping[str, tuple[int, str]] = {}  # how far each source was taken, as of ``last_seq``
        self.inlet: Inlet | None = None  # what comes from other streams
        self.expiry: Expiry | None = None  # built when messages may have a time to live of their own
        self.configure(config)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def identity(self) -> str:
        """Of this stream and no other that has, or had, its name."""
        return short_hash(rfc3339(self.created_ns))

    @property
    def may_roll_up(self) -> bool:
        return self.config.allow_rollup

    @property
    def may_expire(self) -> bool:
        return self.config.allow_msg_ttl

    def configure(self, config: StreamConfig) -> None:
        self.config = config
        self.dedupe.window_ns = config.duplicate_window_ns
        domain = f'"domain":{json.dumps(self.domain)},' if self.domain else ""
        self.ack_head = f'{{"stream":"{config.name}",{domain}"seq":'.encode()
        self.guarded = config.discard == "new" or config.max_msg_size > 0 or config.sealed
        transform = config.subject_transform
        self.transform = Transform(transform.src, transform.dest) if transform and transform.dest else None
        republish = config.republish
        self.republish = Transform(republish.src, republish.dest) if republish and republish.dest else None
        consumers = self.interest.consumers if self.interest is not None else []
        self.interest = None if config.retention == "limits" else Interest(config.retention == "workqueue")
        if self.interest is not None:
            self.interest.consumers = consumers

    def start(self, announce: bool = True) -> None:
        """Begin to capture."""
        self.announce = announce
        for subject in self.config.subjects:
            sub = self.account.subscribe(subject, self.capture, announce=announce, capture=not self.config.no_ack)
            sub.sid = self.name.encode()
            self.subscriptions.append(sub)

    def stop(self) -> None:
        """No more is captured; what has been is still stored and answered."""
        for subscription in self.subscriptions:
            self.account.unsubscribe(subscription)
        self.subscriptions.clear()

    # ---- in

    def capture(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        if not self.incoming:
            self.account.router.touched.append(self)
        self.incoming.append((subject, reply, headers, payload))

    def flush(self) -> None:
        """Give what was captured its sequence and queue it to the store."""
        incoming, self.incoming = self.incoming, []
        rows = self.open_batch()
        seq, now = self.assigned_seq, self.last_ns
        answers: list[Answer] = []
        rollups: list[tuple[int, str]] = []
        size = 0
        head = self.ack_head
        full = errors.INSUFFICIENT_STORAGE if self.store.full else self.refusal()
        careful = self.guarded or full is not None
        for subject, reply, headers, payload in incoming:
            if self.transform is not None:
                subject = self.transform.match(subject) or subject
            if headers or careful:
                refused = self._refuse(subject, headers, payload, size, full)
                if refused is not None:
                    if reply:
                        answers.append((reply, refused))
                    continue
            seq += 1
            if headers and b"\r\nNats-Rollup:" in headers:
                rollups.append((seq, "" if header_get(headers, "Nats-Rollup") == "all" else subject))
            if headers and self.config.marker_ttl_ns:
                headers = self.outlive_marker(headers)
            rows.append((seq, subject, now, headers, payload))
            size += len(subject) + len(headers) + len(payload)
            if reply:
                answers.append((reply, b"%b%d}" % (head, seq)))
        self.submit(Batch(rows, size + self.overhead * len(rows), [] if self.config.no_ack else answers, rollups))

    def open_batch(self) -> list[NewRow]:
        """For rows that ``submit`` stores: until then they are part of what expectations are held against."""
        self.last_ns = max(self.clock.wall(), self.last_ns)
        self.moment = self.clock.monotonic()
        self.rows, self.noted = [], 0
        return self.rows

    def submit(self, batch: Batch) -> None:
        """Refusals and duplicates wait for their turn too: an answer never overtakes the commit it rests on."""
        rows = batch.rows
        if rows:
            self.assigned_seq = rows[-1][0]
            self._note_ahead()
            self.underway.append(rows)
            self.store.append(self.id, rows)
        elif not batch.answers:
            return
        self.rows = []
        self.store.commit(partial(self._committed, batch), urgent=bool(batch.answers))

    def _refuse(
        self, subject: str, headers: bytes, payload: bytes, size: int, full: ApiError | None
    ) -> bytes | None:
        """The answer to a message that is not stored: a duplicate's ack, or an error."""
        try:
            message = len(headers) + len(payload)
            if self.config.sealed:
                raise errors.SEALED
            if 0 < self.config.max_msg_size < message:
                raise errors.MESSAGE_TOO_LARGE
            if full is not None:
                raise full
            msg_id, duplicate = check_headers(self, subject, headers) if headers else NOTHING
            if duplicate:
                return b'%b%d,"duplicate": true}' % (self.ack_head, duplicate)
            if self.config.discard == "new":
                self.check_room(subject, size + len(subject) + message + self.overhead)
            if msg_id:
                self.dedupe.add(msg_id, self.last_sequence() + 1, self.moment)
        except ApiError as error:
            return self._error(error)
        return None

    def check_room(self, subject: str, size: int) -> None:
        config = self.config
        if config.discard_new_per_subject:
            coming = sum(row[1] == subject for rows in (*self.underway, self.rows) for row in rows)
            if self.subjects.count.get(subject, 0) + coming >= config.max_msgs_per_subject:
                raise errors.store_failed("maximum messages per subject exceeded")
        coming = sum(map(len, self.underway)) + len(self.rows)
        if 0 < config.max_msgs <= self.messages + coming:
            raise errors.store_failed("maximum messages exceeded")
        if 0 < config.max_bytes < self.bytes + self._underway_bytes() + self.overhead * coming + size:
            raise errors.store_failed("maximum bytes exceeded")

    def _underway_bytes(self) -> int:
        return sum(len(row[1]) + len(row[3]) + len(row[4]) for rows in self.underway for row in rows)

    def _error(self, error: ApiError) -> bytes:
        fields = {"error": errors.error_fields(error), "stream": self.name, "seq": 0}
        return json.dumps(fields, separators=(",", ":")).encode()

    # ---- what publishers' expectations are held against: what is on disk, under way, and earlier in this batch

    def last_sequence(self) -> int:
        return self.rows[-1][0] if self.rows else self.assigned_seq

    def last_id(self) -> str:
        newest = self.rows or (self.underway[-1] if self.underway else [])
        if newest:
            return header_get(newest[-1][3], "Nats-Msg-Id") or ""
        row = self.get(self.last_seq)
        return header_get(row.headers, "Nats-Msg-Id") or "" if row is not None else ""

    def find_id(self, msg_id: str) -> int:
        return self.dedupe.find(msg_id, self.moment)

    def last_of(self, pattern: str) -> int:
        if self.ahead is None:
            self.ahead = {row[1]: row[0] for rows in self.underway for row in rows}
        self._note_ahead()
        if not is_wildcard(pattern):
            return self.ahead.get(pattern) or self.subjects.last_seq(pattern)
        newer = max((seq for subject, seq in self.ahead.items() if matches(pattern, subject)), default=0)
        return newer or self.subjects.last_seq(pattern)

    def _note_ahead(self) -> None:
        """Count in what this batch has so far."""
        if self.ahead is not None:
            self.ahead.update({row[1]: row[0] for row in islice(self.rows, self.noted, None)})
            self.noted = len(self.rows)

    # ---- committed, then visible, then acked

    def _committed(self, batch: Batch, error: StoreError | None) -> None:
        if error is not None:
            self._roll_back()
            self.health.failed(error)
        if batch.settled is not None:
            batch.settled(error)
        if error is not None:
            failed = errors.INSUFFICIENT_STORAGE if error.full else errors.store_failed(str(error))
            self.account.publish_many([(reply, self._error(failed)) for reply, _ in batch.answers])
            return
        if batch.rows:
            self.health.works()
            self._become_visible(batch)
        if batch.rollups:
            self._roll_up(batch)
        else:
            self.account.publish_many(batch.answers)

    def _roll_up(self, batch: Batch) -> None:
        """What the new messages replace goes, and then the publishers hear."""
        seqs: list[int] = []
        for seq, subject in batch.rollups:
            if not subject:
                self.drop_before(seq)
            else:
                seqs += [row.seq for row in self._doomed(subject, seq, 0)]
        self.take(sorted(set(seqs)), lambda error: self.account.publish_many(batch.answers))

    def _become_visible(self, batch: Batch) -> None:
        rows = self.underway.popleft()
        if self.ahead:
            for row in rows:
                if self.ahead.get(row[1]) == row[0]:
                    del self.ahead[row[1]]
        was_empty = not self.messages
        last_seqs = [self.subjects.last_seq(row[1]) for row in rows] if self.republish is not None else []
        self.add(rows, batch.size)
        for watcher in self.watchers:
            watcher(self, rows)
        self.enforce_limits()
        self._enforce_of_each({row[1] for row in rows})
        if self.interest is not None and (unwanted := self.interest.unwanted(rows)):
            self.take(unwanted, _nobody_waits)
        if self.republish is not None:
            self._tell_others(self.republish, rows, last_seqs)
        for listener in self.listeners:
            listener()
        if self.config.allow_msg_ttl:
            expiry = self._expiry()
            for row in rows:
                if row[3]:
                    expiry.add(row[0], row[2], row[3])
            self.clock.wake()
        elif was_empty and self.config.max_age_ns:
            self.clock.wake()

    def _roll_back(self) -> None:
        self.assigned_seq = self.last_seq
        self.underway.clear()
        self.ahead = None
        self.dedupe.forget(self.last_seq)

    def _tell_others(self, way: Transform, rows: list[NewRow], last_seqs: list[int]) -> None:
        """Republish what was stored, with where it is."""
        headers_only = self.config.republish is not None and self.config.republish.headers_only
        for (seq, subject, time_ns, headers, payload), last in zip(rows, last_seqs, strict=True):
            destination = way.match(subject)
            if destination is None:
                continue
            lines = [
                ("Nats-Stream", self.name), ("Nats-Subject", subject), ("Nats-Sequence", str(seq)),
                ("Nats-Time-Stamp", rfc3339(time_ns)), ("Nats-Last-Sequence", str(last)),
            ]  # fmt: skip
            if headers_only:
                lines.append(("Nats-Msg-Size", str(len(payload))))
                payload = b""
            self.account.publish(destination, payload, headers=header_add(headers, lines))

    # ---- limits

    def _enforce_of_each(self, subjects: Iterable[str]) -> None:
        """No subject has more messages than max_msgs_per_subject."""
        most = self.config.max_msgs_per_subject
        if most <= 0:
            return
        if self.history is None:
            self.history = SubjectHistory((row.seq, row.subject) for row in self.walk(self.first_seq))
            subjects = list(self.history.seqs)
        crowded = [seq for subject in subjects for seq in self.history.beyond(subject, most)]
        if crowded:
            self.take(sorted(crowded), _nobody_waits)

    def enforce_all_limits(self) -> None:
        """Of a new configuration, for every message that is there."""
        self.enforce_limits()
        self._enforce_of_each([] if self.history is None else list(self.history.seqs))
        self.review()

    def acknowledged(self, seqs: Iterable[int]) -> None:
        """A consumer is done with these: they go when nobody else needs them."""
        if self.interest is not None:
            rows = [row for seq in seqs if (row := self.get(seq)) is not None]
            unneeded = self.interest.unneeded(rows)
            if unneeded:
                self.take(unneeded, _nobody_waits)

    def review(self) -> None:
        """Consumers have come or gone: what nobody needs goes."""
        if self.interest is not None and not self.interest.queue:
            self.take(self.interest.unneeded(self.walk(self.first_seq)), _nobody_waits)

    def enforce_limits(self) -> None:
        """Make room as max_msgs, max_bytes and max_age demand; the disk follows with the next commit."""
        first = self.first_seq
        config = self.config
        if config.discard == "old":
            while 0 < config.max_msgs < self.messages:
                self.drop_before(self.first_seq + self.messages - config.max_msgs)
            while 0 < config.max_bytes < self.bytes:
                self.drop_before(self._room_at(self.bytes - config.max_bytes))
        self._expire()
        if self.first_seq != first:
            self.store.commit(_nobody_waits, urgent=False)

    def tick(self) -> None:
        """Take away what is older than max_age."""
        self.enforce_limits()

    def _room_at(self, size: int) -> int:
        """The sequence before which at least ``size`` bytes are, or as far as one block goes."""
        rows = self.scan(self.first_seq, BLOCK)
        for row in rows:
            size -= self.size(row)
            if size <= 0:
                return row.seq + 1
        return rows[-1].seq + 1 if rows else self.last_seq + 1

    def _expiry(self) -> Expiry:
        if self.expiry is None:
            self.expiry = Expiry()
            for row in self.walk(self.first_seq):
                if row.headers:
                    self.expiry.add(row.seq, row.time_ns, row.headers)
        return self.expiry

    def _expire_each(self) -> None:
        """By age and by a message's own time to live.  The last of a subject may leave a marker behind."""
        now = self.expired_ns = self.clock.wall()
        doomed = {row.seq: row for seq in self._expiry().due(now) if (row := self.get(seq)) is not None}
        if self.config.max_age_ns:
            old = takewhile(lambda row: row.time_ns <= now - self.config.max_age_ns, self.walk(self.first_seq))
            doomed |= {row.seq: row for row in old if time_to_live(row.headers) != NEVER}
        if not doomed:
            return
        rows = [doomed[seq] for seq in sorted(doomed)]
        self.take([row.seq for row in rows], _nobody_waits)
        if self.config.marker_ttl_ns:
            marked = {row.subject for row in rows if b"\r\nNats-Marker-Reason:" not in row.headers}
            for subject in marked:
                if not self.subjects.count.get(subject):
                    self.capture(subject, "", self._marker(), b"")

    def _marker(self) -> bytes:
        ttl = go_duration(self.config.marker_ttl_ns)
        return header_block([("Nats-Marker-Reason", "MaxAge"), ("Nats-TTL", ttl), ("Nats-Rollup", "sub")])

    def outlive_marker(self, headers: bytes) -> bytes:
        """With a history, a message that goes before the marker of its predecessor would let that be missed."""
        least = self.config.marker_ttl_ns // SECOND
        if self.config.max_msgs_per_subject != 1 and 0 < time_to_live(headers) < least:
            return header_set(headers, "Nats-TTL", str(least))
        return headers

    def _expire(self) -> None:
        if self.config.allow_msg_ttl:
            self._expire_each()
        elif self.config.max_age_ns and self.messages:
            now = self.clock.wall()
            horizon = now - self.config.max_age_ns
            if self.oldest_ns() <= horizon:
                self.expired_ns = now
                self.drop_before(self.first_at(horizon + 1))

    def next_expiry(self) -> int | None:
        """Wall time at which to look for messages that are too old."""
        if self.config.allow_msg_ttl and self.messages:
            found = [expires] if (expires := self._expiry().next()) else []
            if self.config.max_age_ns:
                found.append(max(self.oldest_ns() + self.config.max_age_ns, self.expired_ns + EXPIRE_EVERY_NS))
            return min(found, default=None)
        if not self.config.max_age_ns or not self.messages:
            return None
        return max(self.oldest_ns() + self.config.max_age_ns, self.expired_ns + EXPIRE_EVERY_NS)

    def purge(self, pattern: str, before: int, keep: int, after: After) -> int:
        purged = super().purge(pattern, before, keep, after)
        if not pattern and before > self.last_seq + 1 and not self.underway:  # the sequence goes on behind a purge
            self.assigned_seq = before - 1
            self.skip_to(before - 1)
            self.store.commit(_nobody_waits, urgent=False)
        return purged

    # ---- on disk

    def save(self, after: After) -> None:
        """Configuration and state, durably."""
        config = json.dumps(self.config.fields() | {"_announce": self.announce, "_created": self.created_ns}).encode()
        self.store.put_stream(self.id, self.account.name, self.name, config, dumps(self.state()))
        self.store.commit(after)

    def state(self) -> dict[str, object]:
        return super().state() | ({"origins": dict(self.positions)} if self.positions else {})

    def recover(self, record: StreamRecord) -> None:
        """As ``Messages.recover``, and the message ids within the window."""
        try:
            super().recover(record)
        finally:
            self.assigned_seq = self.last_seq
            self._recover_ids()
            self.enforce_limits()
            self._enforce_of_each(())

    def _recover_ids(self) -> None:
        """No more than the tail of the stream is read.  What the clock makes younger than now keeps its window."""
        wall, monotonic = self.clock.wall(), self.clock.monotonic()
        window = self.config.duplicate_window_ns
        found: list[tuple[int, str, int]] = []
        last = self.last_seq
        while rows := self._within(self.store.scan_back(self.id, last, 1024), wall - window):
            for row in rows:
                if row.headers and (msg_id := header_get(row.headers, "Nats-Msg-Id")):
                    found.append((monotonic - max(wall - row.time_ns, 0), msg_id, row.seq))
            last = rows[-1].seq - 1
        self.dedupe.restore(reversed(found))

    def _within(self, rows: list[Row], horizon: int) -> list[Row]:
        """Rows come newest first, and their times never rise."""
        return [row for row in rows if row.time_ns > horizon]


def _nobody_waits(error: StoreError | None) -> None:
    """What was to go is not seen any more; the next removal takes it along, or the next start does."""
