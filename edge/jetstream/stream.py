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
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import NamedTuple

from edge.core.account import Account
from edge.core.peer import Subscription
from edge.core.request_info import MARK, REQUEST_INFO
from edge.core.times import Clock
from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.dedupe import Dedupe
from edge.jetstream.expectations import NOTHING, check_headers
from edge.jetstream.health import Health
from edge.jetstream.messages import BLOCK, After, Messages
from edge.jetstream.stream_config import StreamConfig
from edge.message import header_get, header_without
from edge.store.contract import NewRow, Row, Store, StreamRecord
from edge.subjects import is_wildcard, matches

OVERHEAD = 30  # bytes that nats-server's files take for each message; max_bytes counts them
MEMORY_OVERHEAD = 16
EXPIRE_EVERY_NS = 250_000_000  # messages leave by age in batches, as in nats-server

Answer = tuple[str, bytes]


class Batch(NamedTuple):
    """What one commit will bring."""

    rows: list[NewRow]
    size: int
    answers: list[Answer]


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
        self.configure(config)

    @property
    def name(self) -> str:
        return self.config.name

    def configure(self, config: StreamConfig) -> None:
        self.config = config
        self.dedupe.window_ns = config.duplicate_window_ns
        domain = f'"domain":{json.dumps(self.domain)},' if self.domain else ""
        self.ack_head = f'{{"stream":"{config.name}",{domain}"seq":'.encode()
        self.guarded = config.discard == "new" or config.max_msg_size > 0

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
            self.account.router.touched.append(self)
        self.incoming.append((subject, reply, headers, payload))

    def flush(self) -> None:
        """Give what was captured its sequence and queue it to the store."""
        incoming, self.incoming = self.incoming, []
        now = self.last_ns = max(self.clock.wall(), self.last_ns)
        self.moment = self.clock.monotonic()
        seq = self.assigned_seq
        rows: list[NewRow] = []
        self.rows, self.noted = rows, 0
        answers: list[Answer] = []
        size = 0
        head = self.ack_head
        full = errors.INSUFFICIENT_STORAGE if self.store.full else self.refusal()
        careful = self.guarded or full is not None
        for subject, reply, headers, payload in incoming:
            if headers or careful:
                refused = self._refuse(subject, headers, payload, size, full)
                if refused is not None:
                    if reply:
                        answers.append((reply, refused))
                    continue
            seq += 1
            rows.append((seq, subject, now, headers, payload))
            size += len(subject) + len(headers) + len(payload)
            if reply:
                answers.append((reply, b"%b%d}" % (head, seq)))
        self._submit(Batch(rows, size + self.overhead * len(rows), [] if self.config.no_ack else answers))

    def _submit(self, batch: Batch) -> None:
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
            if 0 < self.config.max_msg_size < message:
                raise errors.MESSAGE_TOO_LARGE
            if full is not None:
                raise full
            msg_id, duplicate = check_headers(self, subject, headers) if headers else NOTHING
            if duplicate:
                return b'%b%d,"duplicate": true}' % (self.ack_head, duplicate)
            if self.config.discard == "new":
                self._check_room(size + len(subject) + message + self.overhead)
            if msg_id:
                self.dedupe.add(msg_id, self.last_sequence() + 1, self.moment)
        except ApiError as error:
            return self._error(error)
        return None

    def _check_room(self, size: int) -> None:
        config = self.config
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
            failed = errors.INSUFFICIENT_STORAGE if error.full else errors.store_failed(str(error))
            self.account.publish_many([(reply, self._error(failed)) for reply, _ in batch.answers])
            return
        if batch.rows:
            self.health.works()
            self._become_visible(batch)
        self.account.publish_many(batch.answers)

    def _become_visible(self, batch: Batch) -> None:
        rows = self.underway.popleft()
        if self.ahead:
            for row in rows:
                if self.ahead.get(row[1]) == row[0]:
                    del self.ahead[row[1]]
        was_empty = not self.messages
        self.add(rows, batch.size)
        for watcher in self.watchers:
            watcher(self, rows)
        self.enforce_limits()
        for listener in self.listeners:
            listener()
        if was_empty and self.config.max_age_ns:
            self.clock.wake()

    def _roll_back(self) -> None:
        self.assigned_seq = self.last_seq
        self.underway.clear()
        self.ahead = None
        self.dedupe.forget(self.last_seq)

    # ---- limits

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

    def _expire(self) -> None:
        if self.config.max_age_ns and self.messages:
            now = self.clock.wall()
            horizon = now - self.config.max_age_ns
            if self.oldest_ns() <= horizon:
                self.expired_ns = now
                self.drop_before(self.first_at(horizon + 1))

    def next_expiry(self) -> int | None:
        """Wall time at which to look for messages that are too old."""
        if not self.config.max_age_ns or not self.messages:
            return None
        return max(self.oldest_ns() + self.config.max_age_ns, self.expired_ns + EXPIRE_EVERY_NS)

    def purge(self, pattern: str, before: int, keep: int, after: After) -> int:
        purged = super().purge(pattern, before, keep, after)
        if not pattern and before > self.last_seq + 1 and not self.underway:  # the sequence goes on behind a purge
            self.last_seq = self.assigned_seq = before - 1
            self.first_seq = before
            self._save_state()
            self.store.commit(_nobody_waits, urgent=False)
        return purged

    # ---- on disk

    def save(self, after: After) -> None:
        """Configuration and state, durably."""
        config = json.dumps(self.config.fields() | {"_announce": self.announce, "_created": self.created_ns}).encode()
        self.store.put_stream(self.id, self.account.name, self.name, config, self.state())
        self.store.commit(after)

    def recover(self, record: StreamRecord) -> None:
        """As ``Messages.recover``, and the message ids within the window."""
        try:
            super().recover(record)
        finally:
            self.assigned_seq = self.last_seq
            self._recover_ids()
            self.enforce_limits()

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
