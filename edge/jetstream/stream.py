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
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from edge.core.account import Account
from edge.core.peer import Subscription
from edge.core.request_info import MARK, REQUEST_INFO
from edge.core.times import Clock, rfc3339
from edge.core.transforms import Transform
from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.admission import FAST, Admission, Answer, Draft
from edge.jetstream.dedupe import Dedupe
from edge.jetstream.fields import dumps
from edge.jetstream.health import Health
from edge.jetstream.messages import After, Messages
from edge.jetstream.origin import short_hash
from edge.jetstream.retention import Retention, nobody_waits
from edge.jetstream.room import Room
from edge.jetstream.schedules import Made, Schedules
from edge.jetstream.stream_config import StreamConfig
from edge.message import header_add, header_get, header_without
from edge.store.contract import NewRow, Row, Store, StreamRecord
from edge.subjects import is_wildcard, matches

if TYPE_CHECKING:  # most streams have none
    from edge.jetstream.inlet import Inlet

OVERHEAD = 30  # bytes that nats-server's files take for each message; max_bytes counts them
MEMORY_OVERHEAD = 16


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
        self.stamp_ns = 0  # wall time that its messages are stored with
        self.newest_id = ""  # of the last message that became visible, though it may have gone since
        self.dedupe = Dedupe(config.duplicate_window_ns)
        self.incoming: list[tuple[str, str, bytes, bytes]] = []
        self.subscriptions: list[Subscription] = []
        self.announce = True
        self.watchers: list[Callable[[Stream, list[NewRow]], None]] = []  # of every stream; told of what became visible
        self.abandoned: Callable[[str, str], None] = lambda batch, reason: None  # told of batches that came to nothing
        self.refusal: Callable[[], ApiError | None] = lambda: None  # why the account takes no more messages
        self.left: Callable[[], int | None] = lambda: None  # bytes that it still takes; None: any
        self.coming = 0  # bytes that have a sequence and are not on disk yet
        self.positions: Mapping[str, tuple[int, str]] = {}  # how far each source was taken, as of ``last_seq``
        self.inlet: Inlet | None = None  # what comes from other streams
        self.admission = Admission(self)
        self.retention = Retention(self)
        self.room: Room | None = None  # where new messages are refused rather than old ones dropped
        self.schedules: Schedules | None = None  # built when there may be any
        self.made: list[Made] = []  # by schedules, to be stored with the next batch
        self.configure(config)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def identity(self) -> str:
        """Of this stream and no other that has, or had, its name."""
        return short_hash(rfc3339(self.created_ns))

    def configure(self, config: StreamConfig) -> None:
        self.config = config
        self.dedupe.window_ns = config.duplicate_window_ns
        domain = f'"domain":{json.dumps(self.domain)},' if self.domain else ""
        self.ack_head = f'{{"stream":"{config.name}",{domain}"seq":'.encode()
        self.guarded = (
            config.discard == "new" or config.max_msg_size > 0 or config.sealed or config.allow_msg_counter
        )
        self.packs = config.compression != "none"
        transform = config.subject_transform
        self.transform = Transform(transform.src, transform.dest) if transform and transform.dest else None
        republish = config.republish
        self.republish = Transform(republish.src, republish.dest) if republish and republish.dest else None
        self.retention.configure()
        self.room = (self.room or Room(self)) if config.discard == "new" else None
        if not config.allow_msg_schedules:
            self.schedules = None
        self.admission.configure()

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
        if headers and MARK in headers:  # who asked is of no concern to who reads it later
            headers = header_without(headers, (f"{REQUEST_INFO}:",))
        if not self.incoming:
            self._touch()
        self.incoming.append((subject, reply, headers, payload))

    def _touch(self) -> None:
        if not self.incoming and not self.made:
            self.account.router.touched.append(self)

    def flush(self) -> None:
        """Give what was captured its sequence and queue it to the store."""
        incoming, self.incoming = self.incoming, []
        rows = self.open_batch()
        seq, now, head = self.assigned_seq, self.stamp_ns, self.ack_head
        full = errors.INSUFFICIENT_STORAGE if self.store.full else self.refusal()
        draft = Draft(rows, seq, full, self._left_for(incoming))
        answers, size = draft.answers, 0
        careful = self.guarded or full is not None or draft.left is not None
        if self.made:
            self._put_made(draft)
            seq, size = draft.seq, draft.size
        for subject, reply, headers, payload in incoming:
            if self.transform is not None:
                subject = self.transform.match(subject) or subject
            if headers or careful or reply.endswith(FAST):
                draft.seq, draft.size = seq, size
                self.admission.put(draft, subject, reply, headers, payload)
                seq, size = draft.seq, draft.size
                continue
            seq += 1
            rows.append((seq, subject, now, headers, payload))
            size += len(subject) + len(payload)
            if reply:
                answers.append((reply, b"%b%d}" % (head, seq)))
        size += self.overhead * len(rows)
        self.submit(Batch(rows, size, [] if self.config.no_ack else answers, draft.rollups))

    def _left_for(self, incoming: list[tuple[str, str, bytes, bytes]]) -> int | None:
        """Bytes, where they might not be enough for all of these."""
        left = self.left()
        if left is None:
            return None
        size = sum(len(subject) + len(headers) + len(payload) for subject, _, headers, payload in incoming)
        return left if size + self.overhead * len(incoming) > left else None

    def _put_made(self, draft: Draft) -> None:
        """Publishers' messages come behind."""
        made, self.made = self.made, []
        for message in made:
            if not self.admission.put_made(draft, message) and self.schedules is not None:
                self.schedules.again(message.scheduler, self.stamp_ns)

    def open_batch(self) -> list[NewRow]:
        """For rows that ``submit`` stores: until then they are part of what expectations are held against."""
        self.stamp_ns = max(self.clock.wall(), self.last_ns)
        self.moment = self.clock.monotonic()
        self.rows, self.noted = [], 0
        return self.rows

    def submit(self, batch: Batch) -> None:
        """Refusals and duplicates wait for their turn too: an answer never overtakes the commit it rests on."""
        rows = batch.rows
        if rows:
            self.assigned_seq, self.last_ns = rows[-1][0], rows[-1][2]
            self._note_ahead()
            self.underway.append(rows)
            self.coming += batch.size
            self.account.router.brake.add(batch.size)
            self.store.append(self.id, rows, self.packs)
        elif not batch.answers:
            return
        self.rows = []
        self.store.commit(partial(self._committed, batch), urgent=bool(batch.answers))

    # ---- what publishers' expectations are held against: what is on disk, under way, and earlier in this batch

    def last_sequence(self) -> int:
        return self.rows[-1][0] if self.rows else self.assigned_seq

    def last_id(self) -> str:
        newest = self.rows or (self.underway[-1] if self.underway else [])
        if newest:
            return _id_of(newest[-1][3])
        return self.newest_id

    def newest(self, subject: str) -> Row | None:
        """The last message of a subject, on disk or not."""
        seq = self.last_of(subject)
        for rows in (self.rows, *reversed(self.underway)):
            if rows and rows[0][0] <= seq:
                return next((Row(*row) for row in reversed(rows) if row[0] == seq), None)
        return self.get(seq) if seq else None

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

    def forget_rows(self, last: int) -> None:
        """What this batch had behind this sequence is not there any more."""
        self.ahead, self.noted = None, 0
        self.dedupe.forget(last)
        if self.room is not None:
            self.room.forget(last)

    def _note_ahead(self) -> None:
        """Count in what this batch has so far."""
        if self.ahead is not None:
            self.ahead.update({row[1]: row[0] for row in islice(self.rows, self.noted, None)})
            self.noted = len(self.rows)

    # ---- committed, then visible, then acked

    def _committed(self, batch: Batch, error: StoreError | None) -> None:
        if batch.rows:
            self.account.router.brake.arrived(batch.size)
        if error is not None:
            self._roll_back()
            self.health.failed(error)
        if batch.settled is not None:
            batch.settled(error)
        if error is not None:
            failed = errors.INSUFFICIENT_STORAGE if error.full else errors.store_failed(str(error))
            answer = self.admission.refusal(failed)
            self.account.publish_many([(reply, answer) for reply, _ in batch.answers])
            return
        replaced = self._replaced(batch) if batch.rollups else []
        if batch.rows:
            self.health.works()
            self._become_visible(batch)
        if batch.rollups:
            self._roll_up(batch, replaced)
        else:
            self.account.publish_many(batch.answers)

    def _replaced(self, batch: Batch) -> list[int]:
        """What goes for new messages that roll up their subjects.  Before those are counted themselves: most often
        there is then one message of the subject, and where that is needs no search."""
        seqs: set[int] = set()
        for last, subject in batch.rollups:
            if subject:
                seqs.update(self.seqs_of(subject))
                seqs.update(row[0] for row in batch.rows if row[1] == subject and row[0] < last)
        return sorted(seqs)

    def _roll_up(self, batch: Batch, replaced: list[int]) -> None:
        """What the new messages replace goes, and then the publishers hear."""
        self.drop_before(max((seq for seq, subject in batch.rollups if not subject), default=0))
        self.take(replaced, lambda error: self.account.publish_many(batch.answers))

    def _become_visible(self, batch: Batch) -> None:
        rows = self.underway.popleft()
        self.coming -= batch.size
        self.newest_id = _id_of(rows[-1][3])
        if self.ahead:
            for row in rows:
                if self.ahead.get(row[1]) == row[0]:
                    del self.ahead[row[1]]
        if self.room is not None:
            self.room.landed(rows[-1][0])
        was_empty = not self.messages
        last_seqs = [self.subjects.last_seq(row[1]) for row in rows] if self.republish is not None else []
        self.add(rows, batch.size)
        if self.schedules is not None:
            for row in rows:
                self.schedules.note(row, self.stamp_ns)
            self.clock.wake()
        for watcher in self.watchers:
            watcher(self, rows)
        self.retention.noticed(rows, was_empty)
        if self.republish is not None:
            self._tell_others(self.republish, rows, last_seqs)
        for listener in self.listeners:
            listener()

    def _roll_back(self) -> None:
        self.assigned_seq = self.last_seq
        self.underway.clear()
        self.coming = 0
        self.forget_rows(self.last_seq)
        self.admission.clear()
        if self.schedules is not None:
            self.schedules.failed(self.stamp_ns)

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

    # ---- time

    def deadline(self) -> int | None:
        """When ``tick`` has something to do; monotonic."""
        found = [self.retention.deadline()]
        if self.config.allow_msg_schedules:
            found.append(self._scheduled().deadline())
        wall, now = self.clock.wall(), self.clock.monotonic()
        deadlines = [now + max(time - wall, 0) for time in found if time is not None]
        if (deadline := self.admission.deadline()) is not None:
            deadlines.append(deadline)
        return min(deadlines, default=None)

    def tick(self) -> None:
        """Take away what is too old, publish what is scheduled."""
        self.retention.enforce_limits()
        self.retention.compact()
        self.admission.tick(self.clock.monotonic())
        if self.config.allow_msg_schedules:
            made = self._scheduled().due(self, self.clock.wall())
            if made:
                self._touch()
                self.made += made

    def _scheduled(self) -> Schedules:
        if self.schedules is None:
            self.schedules = Schedules()
            spent: list[int] = []  # a cut came between what they made and their end
            for row in self.walk(self.first_seq):
                if row.headers:
                    spent += self.schedules.spent_by(row.headers)
                    self.schedules.note(row, self.clock.wall())
            if spent:
                self.take(sorted(spent), nobody_waits)
        return self.schedules

    # ---- out

    def purge(self, pattern: str, before: int, keep: int, after: After) -> int:
        purged = super().purge(pattern, before, keep, after)
        if not pattern and before > self.last_seq + 1 and not self.underway:  # the sequence goes on behind a purge
            self.assigned_seq = before - 1
            self.skip_to(before - 1)
            self.store.commit(nobody_waits, urgent=False)
        return purged

    # ---- on disk

    def save(self, after: After) -> None:
        """Configuration and state, durably."""
        config = recorded(self.config, self.announce, self.created_ns)
        self.store.put_stream(self.id, self.account.name, self.name, config, dumps(self.state()))
        self.store.commit(after)

    def state(self) -> dict[str, object]:
        origins = {"origins": dict(self.positions)} if self.positions else {}
        return super().state() | {"ids": self.dedupe.ends()} | origins

    def recover(self, record: StreamRecord) -> None:
        """As ``Messages.recover``, and the message ids within the window."""
        try:
            super().recover(record)
        finally:
            self.assigned_seq = self.last_seq
            newest = self.store.scan_back(self.id, self.last_seq, 1)
            self.newest_id = _id_of(newest[0].headers) if newest else ""
            self._recover_ids(record.state)
            self.retention.enforce_all()
            while self.retention.goes_on:  # nobody is to see what should have gone meanwhile
                self.retention.enforce_limits()

    def _recover_ids(self, state: bytes) -> None:
        """No more is read than where they may stand.  What the clock makes younger than now keeps its window."""
        wall, monotonic = self.clock.wall(), self.clock.monotonic()
        found: list[tuple[int, str, int]] = []
        for first, last in self._places_of_ids(state):
            for row in self._newer_than(wall - self.config.duplicate_window_ns, first, last):
                if row.headers and (msg_id := header_get(row.headers, "Nats-Msg-Id")):
                    found.append((monotonic - max(wall - row.time_ns, 0), msg_id, row.seq))
        self.dedupe.restore(reversed(found))

    def _places_of_ids(self, state: bytes) -> list[tuple[int, int]]:
        """Sequences from ... to, the newest first: behind the state that was saved, and where that says so."""
        try:
            fields = json.loads(state)
            counted, (first, last) = int(fields["last"]), map(int, fields["ids"])
        except (ValueError, KeyError, TypeError):
            return [(1, self.last_seq)]
        return [(counted + 1, self.last_seq), (first, min(last, counted))]

    def _newer_than(self, horizon: int, first: int, last: int) -> Iterator[Row]:
        """From the last one on backwards: times never rise on that way."""
        while first <= last and (rows := self.store.scan_back(self.id, last, 1024)):
            for row in rows:
                if row.seq < first or row.time_ns <= horizon:
                    return
                yield row
            last = rows[-1].seq - 1


def recorded(config: StreamConfig, announce: bool, created_ns: int) -> bytes:
    """In the form in which it is kept."""
    return json.dumps(config.fields() | {"_announce": announce, "_created": created_ns}).encode()


def _id_of(headers: bytes) -> str:
    return header_get(headers, "Nats-Msg-Id") or "" if headers else ""
