"""A stream: messages of some subjects, in a sequence, on disk before anybody is told.

The way of a message: ``capture`` (the router's callback) gathers; ``flush`` at the end of the batch gives each its
sequence and queues them to the store as one unit; ``_committed`` makes them visible, tells those who read the
stream, and only then answers the publishers.

Invariants:
 1. last_seq is what is on disk; assigned_seq >= last_seq counts what is under way.
 2. A failed commit takes assigned_seq back to last_seq: no gap, and nothing of it was ever visible or answered.
 3. Rows between first_seq and last_seq may be missing (deleted); nothing outside that range is served.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from edge.core.account import Account
from edge.core.peer import Subscription
from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.dedupe import Dedupe
from edge.jetstream.stream_config import StreamConfig
from edge.jetstream.subject_index import SubjectIndex
from edge.jetstream.tail import Tail
from edge.message import header_get
from edge.store.contract import NewRow, Row, Store, StreamRecord
from edge.subjects import matches

MAX_HEADERS = 64 * 1024
OVERHEAD = 30  # bytes that nats-server's files take for each message; max_bytes counts them
CHECKPOINT_EVERY = 10_000  # messages; what a start has to count again

Answer = tuple[str, bytes]
After = Callable[[StoreError | None], None]


class Batch(NamedTuple):
    """What one commit will bring."""

    rows: list[NewRow]
    size: int
    answers: list[Answer]


class Stream:
    def __init__(
        self,
        id: int,
        account: Account,
        config: StreamConfig,
        created_ns: int,
        store: Store,
        wall: Callable[[], int],
        domain: str = "",
    ) -> None:
        self.id = id
        self.account = account
        self.store = store
        self.wall = wall
        self.domain = domain
        self.created_ns = created_ns
        self.first_seq = max(config.first_seq, 1)
        self.last_seq = self.assigned_seq = self.first_seq - 1
        self.last_ns = 0  # of the last message given a sequence: time never runs backwards in a stream
        self.first_ns = 0  # of the message at first_seq; 0: unknown or none
        self.messages = 0
        self.bytes = 0
        self.checkpoint_seq = 0
        self.dedupe = Dedupe(config.duplicate_window_ns)
        self.index: SubjectIndex | None = None
        self.tail = Tail()
        self.incoming: list[tuple[str, str, bytes, bytes]] = []
        self.listeners: list[Callable[[], None]] = []  # called when messages have become visible
        self.removal_listeners: list[Callable[[], None]] = []  # called when messages have been taken away
        self.subscriptions: list[Subscription] = []
        self.announce = True
        self.closed = False
        self.is_full: Callable[[], bool] = lambda: False  # the account's storage is used up
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
            self.subscriptions.append(
                self.account.subscribe(subject, self.capture, announce=announce, capture=not self.config.no_ack)
            )

    def stop(self) -> None:
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
        if self.closed:
            return
        now = self.last_ns = max(self.wall(), self.last_ns)
        seq = self.assigned_seq
        rows: list[NewRow] = []
        answers: list[Answer] = []
        size = 0
        acks = not self.config.no_ack
        head = self.ack_head
        if self.is_full():
            full = self._error(errors.INSUFFICIENT_STORAGE)
            answers = [(reply, full) for _, reply, _, _ in incoming if reply and acks]
            incoming = []
        for subject, reply, headers, payload in incoming:
            if headers or self.guarded:
                refused = self._refuse(subject, headers, payload, seq, len(rows), size)
                if refused is not None:
                    if reply and acks:
                        answers.append((reply, refused))
                    continue
            seq += 1
            rows.append((seq, subject, now, headers, payload))
            size += len(subject) + len(headers) + len(payload)
            if headers:
                self._remember(headers, seq, now)
            if reply and acks:
                answers.append((reply, b"%b%d}" % (head, seq)))
        self.assigned_seq = seq
        if self.index is not None:
            for row in rows:
                self.index.add(row[1], row[0])
        self._submit(Batch(rows, size + OVERHEAD * len(rows), answers))

    def _submit(self, batch: Batch) -> None:
        """Refusals and duplicates wait for their turn too: an answer never overtakes the commit it rests on."""
        if batch.rows:
            self.store.append(self.id, batch.rows)
        if self.assigned_seq - self.checkpoint_seq >= CHECKPOINT_EVERY and self.assigned_seq == self.last_seq + len(
            batch.rows
        ):
            self.checkpoint_seq = self.assigned_seq
            self.store.put_stream_state(self.id, self._state(self.messages + len(batch.rows), self.bytes + batch.size))
        self.store.commit(partial(self._committed, batch), urgent=bool(batch.answers))

    def _remember(self, headers: bytes, seq: int, now: int) -> None:
        msg_id = header_get(headers, "Nats-Msg-Id")
        if msg_id:
            self.dedupe.add(msg_id, seq, now)

    def _refuse(
        self, subject: str, headers: bytes, payload: bytes, last: int, pending: int, pending_size: int
    ) -> bytes | None:
        """The answer to a message that is not stored: a duplicate's ack, or an error."""
        try:
            if headers:
                duplicate = self._check_headers(subject, headers, last)
                if duplicate:
                    return b'%b%d,"duplicate": true}' % (self.ack_head, duplicate)
            self._check_limits(len(subject) + len(headers) + len(payload), pending, pending_size)
        except ApiError as error:
            return self._error(error)
        return None

    def _check_headers(self, subject: str, headers: bytes, last: int) -> int:
        """The sequence of the message that this one repeats, or 0."""
        if len(headers) > MAX_HEADERS:
            raise errors.HEADERS_TOO_LARGE
        if b"\r\nNats-" not in headers:
            return 0
        expected = header_get(headers, "Nats-Expected-Stream")
        if expected and expected != self.name:
            raise errors.EXPECTED_STREAM
        msg_id = header_get(headers, "Nats-Msg-Id")
        if msg_id and (duplicate := self.dedupe.find(msg_id, self.last_ns)):
            return duplicate
        expected = header_get(headers, "Nats-Expected-Last-Sequence")
        if expected and expected != str(last):
            raise errors.wrong_last_sequence(last)
        expected = header_get(headers, "Nats-Expected-Last-Msg-Id")
        if expected is not None:
            last_id = self.dedupe.order[-1][1] if self.dedupe.order else ""
            if expected != last_id:
                raise errors.wrong_last_msg_id(last_id)
        expected = header_get(headers, "Nats-Expected-Last-Subject-Sequence")
        if expected:
            pattern = header_get(headers, "Nats-Expected-Last-Subject-Sequence-Subject") or subject
            found = self.subjects.last_seq(pattern)
            if expected != str(found):
                raise errors.wrong_last_sequence(found)
        return 0

    def _check_limits(self, size: int, pending: int, pending_size: int) -> None:
        config = self.config
        if 0 < config.max_msg_size < size:
            raise errors.MESSAGE_TOO_LARGE
        if config.discard == "new":
            messages = self.messages + self.assigned_seq - self.last_seq + pending + 1
            if 0 < config.max_msgs < messages:
                raise errors.store_failed("maximum messages exceeded")
            total = self.bytes + pending_size + pending * OVERHEAD + size + OVERHEAD
            if 0 < config.max_bytes < total:
                raise errors.store_failed("maximum bytes exceeded")

    def _error(self, error: ApiError) -> bytes:
        fields = {"error": errors.error_fields(error), "stream": self.name, "seq": 0}
        return json.dumps(fields, separators=(",", ":")).encode()

    # ---- committed, then visible, then acked

    def _committed(self, batch: Batch, error: StoreError | None) -> None:
        if self.closed:
            return
        if error is not None:
            self._roll_back()
            failed = errors.INSUFFICIENT_STORAGE if error.full else errors.store_failed(str(error))
            self.account.publish_many([(reply, self._error(failed)) for reply, _ in batch.answers])
            return
        rows = batch.rows
        if rows:
            self.last_seq = rows[-1][0]
            if not self.messages:
                self.first_seq, self.first_ns = rows[0][0], rows[0][2]
            self.messages += len(rows)
            self.bytes += batch.size
            if self.listeners:
                self.tail.extend(rows)
            self._enforce_limits()
            for listener in self.listeners:
                listener()
        self.account.publish_many(batch.answers)

    def _roll_back(self) -> None:
        self.assigned_seq = self.last_seq
        self.dedupe.forget(self.last_seq)
        self.index = None

    # ---- out

    @property
    def subjects(self) -> SubjectIndex:
        if self.index is None:
            self.index = SubjectIndex(self.store, self.id)
        return self.index

    def get(self, seq: int) -> Row | None:
        if not self.first_seq <= seq <= self.last_seq:
            return None
        return self.tail.get(seq) or self.store.read(self.id, seq)

    def last_by_subject(self, pattern: str) -> Row | None:
        seq = self.subjects.last_seq(pattern)
        return self.get(seq) if seq else None

    def scan(self, first: int, limit: int) -> list[Row]:
        """Up to ``limit`` visible rows from ``first`` on."""
        first = max(first, self.first_seq)
        if first > self.last_seq:
            return []
        if self.tail.covers(first):
            return self.tail.rows_from(first, limit)
        return self.store.scan(self.id, first, self.last_seq, limit)

    def next_by_subject(self, first: int, pattern: str) -> Row | None:
        while rows := self.scan(first, 256):
            for row in rows:
                if matches(pattern, row.subject):
                    return row
            first = rows[-1].seq + 1
        return None

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

    def count_from(self, seq: int) -> int:
        """Visible messages from ``seq`` on."""
        seq = max(seq, self.first_seq)
        if seq > self.last_seq:
            return 0
        if self.messages == self.last_seq - self.first_seq + 1:
            return self.last_seq - seq + 1
        return self.store.count(self.id, seq, self.last_seq)[0]

    # ---- taking away

    def _enforce_limits(self) -> None:
        """Make room as max_msgs, max_bytes and max_age demand; the disk follows with the next commit."""
        config = self.config
        if config.discard == "old":
            while 0 < config.max_msgs < self.messages:
                over = self.messages - config.max_msgs
                self._drop_oldest(partial(_is_among, over), over)
            while 0 < config.max_bytes < self.bytes:
                self._drop_oldest(lambda row, dropped: self.bytes > config.max_bytes)
        self.expire()

    def expire(self) -> None:
        """Take away what is older than max_age."""
        if self.config.max_age_ns and self.messages:
            horizon = self.wall() - self.config.max_age_ns
            while self.messages and self.oldest_ns() <= horizon:
                self._drop_oldest(lambda row, dropped: row.time_ns <= horizon)

    def oldest_ns(self) -> int:
        if not self.first_ns and self.messages:
            rows = self.scan(self.first_seq, 1)
            self.first_ns = rows[0].time_ns if rows else 0
        return self.first_ns

    def next_expiry(self) -> int | None:
        """Wall time at which the oldest message is due."""
        if not self.config.max_age_ns or not self.messages:
            return None
        return self.oldest_ns() + self.config.max_age_ns

    def _drop_oldest(self, is_due: Callable[[Row, int], bool], limit: int = 64) -> None:
        """Drop from the front while ``is_due``, a block of rows at most."""
        rows = self.scan(self.first_seq, min(limit, 256))
        dropped: list[Row] = []
        for row in rows:
            if not is_due(row, len(dropped)):
                break
            dropped.append(row)
            self.bytes -= _size(row)
        if not rows:  # what the count says is there cannot be read: believe the disk
            self.messages, self.bytes = 0, 0
            self.first_seq = self.last_seq + 1
            return
        if dropped:
            self.messages -= len(dropped)
            self._forget(dropped)
            self._advance(dropped[-1].seq + 1)
            self._removed()

    def _advance(self, first: int) -> None:
        """Everything before ``first`` is gone."""
        self.store.delete_range(self.id, 0, first - 1)
        self.first_seq, self.first_ns = first, 0
        if self.messages:
            rows = self.scan(first, 1)
            if rows:
                self.first_seq, self.first_ns = rows[0].seq, rows[0].time_ns
        else:
            self.first_seq = self.last_seq + 1

    def _forget(self, rows: list[Row]) -> None:
        if self.index is not None:
            self.index.remove(rows)

    def _removed(self, after: After | None = None) -> None:
        self._save_state()
        self.store.commit(after or _nobody_waits, urgent=after is not None)
        for listener in self.removal_listeners:
            listener()

    def drop_before(self, seq: int) -> None:
        """Take away all that is visible before ``seq``; the caller commits (an uplink, together with its position)."""
        seq = min(seq, self.last_seq + 1)
        if seq <= self.first_seq:
            return
        messages, size = self.store.count(self.id, self.first_seq, seq - 1)
        self.messages -= messages
        self.bytes -= size + messages * OVERHEAD
        self.index = None
        self._advance(seq)
        self._save_state()

    def delete(self, seq: int, after: After) -> bool:
        """Take one message away; False when it is not there."""
        row = self.get(seq)
        if row is None:
            return False
        self.store.delete(self.id, [seq])
        self.messages -= 1
        self.bytes -= _size(row)
        self._forget([row])
        self.tail.clear()
        if seq == self.first_seq:
            self._advance(seq + 1)
        self._removed(after)
        return True

    def purge(self, pattern: str, before: int, keep: int, after: After) -> int:
        """Take away what matches ``pattern`` (all, when empty): all of it, or what is before a sequence, or all but
        the last ``keep``.  The number of messages."""
        doomed = self._doomed(pattern, before or self.last_seq + 1, keep)
        self.store.delete(self.id, [row.seq for row in doomed])
        self.messages -= len(doomed)
        self.bytes -= sum(map(_size, doomed))
        self._forget(doomed)
        self.tail.clear()
        if doomed and doomed[0].seq == self.first_seq:
            gone = {row.seq for row in doomed}
            first = self.first_seq
            while first in gone:
                first += 1
            self._advance(first)
        self._removed(after)
        return len(doomed)

    def _doomed(self, pattern: str, before: int, keep: int) -> list[Row]:
        found: list[Row] = []
        first = self.first_seq
        while rows := self.scan(first, 1024):
            found += [row for row in rows if row.seq < before and (not pattern or matches(pattern, row.subject))]
            first = rows[-1].seq + 1
            if first >= before:
                break
        return found[:-keep] if keep else found

    # ---- on disk

    def save(self, after: After) -> None:
        """Configuration and state, durably."""
        config = json.dumps(self.config.fields() | {"_announce": self.announce}).encode()
        self.store.put_stream(self.id, self.account.name, self.name, config, self._state(self.messages, self.bytes))
        self.store.commit(after)

    def _save_state(self) -> None:
        self.store.put_stream_state(self.id, self._state(self.messages, self.bytes))

    def _state(self, messages: int, size: int) -> bytes:
        """As of ``last_seq`` + what is about to be committed with it; rows behind it are counted at the next start."""
        last = self.last_seq + (messages - self.messages)
        fields = {
            "created": self.created_ns, "first": self.first_seq, "last": last, "messages": messages, "bytes": size,
        }  # fmt: skip
        return json.dumps(fields).encode()

    def recover(self, record: StreamRecord) -> None:
        """Go on from what is on disk: the state that was saved, and the rows behind it."""
        state = json.loads(record.state)
        self.created_ns = state["created"]
        self.first_seq = state["first"]
        self.last_seq = self.assigned_seq = max(state["last"], record.last_seq)
        self.checkpoint_seq = state["last"]
        messages, size = self.store.count(self.id, state["last"] + 1, self.last_seq)
        self.messages = state["messages"] + messages
        self.bytes = state["bytes"] + size + messages * OVERHEAD
        if not state["messages"] and messages:
            self.first_seq = record.first_seq
        last = self.store.scan_back(self.id, self.last_seq, 1)
        self.last_ns = last[0].time_ns if last else 0
        self._recover_ids()
        self._enforce_limits()

    def _recover_ids(self) -> None:
        """The message ids within the window; no more than the tail of the stream is read."""
        horizon = self.wall() - self.config.duplicate_window_ns
        found: list[tuple[int, str, int]] = []
        last = self.last_seq
        while rows := self.store.scan_back(self.id, last, 1024):
            for row in rows:
                if row.time_ns < horizon:
                    rows = []
                    break
                if row.headers and (msg_id := header_get(row.headers, "Nats-Msg-Id")):
                    found.append((row.time_ns, msg_id, row.seq))
            if not rows:
                break
            last = rows[-1].seq - 1
        self.dedupe.restore(reversed(found))


def _is_among(count: int, row: Row, dropped: int) -> bool:
    return dropped < count


def _size(row: Row) -> int:
    return len(row.subject) + len(row.headers) + len(row.payload) + OVERHEAD


def _nobody_waits(error: StoreError | None) -> None:
    """The next start takes away again what this commit did not."""
