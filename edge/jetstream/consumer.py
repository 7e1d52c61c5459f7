"""A pull consumer: what was delivered of a stream, what is acknowledged, what must be delivered again.

Time comes in (``now``, monotonic nanoseconds), the next deadline comes out.  State is on disk with the stream's own
commits: an ack that somebody waits for (AckSync) is answered after the commit that holds it.
"""

import heapq
import json
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from edge.core.peer import Subscription
from edge.errors import StoreError
from edge.jetstream.consumer_config import ConsumerConfig
from edge.jetstream.pull import BadRequest, PullRequest, parse_pull, status
from edge.jetstream.stream import Stream
from edge.jetstream.times import parse_rfc3339
from edge.message import header_add, status_block
from edge.store.contract import Row
from edge.subjects import matches

READ_AHEAD = 256


class Pending:
    """A message that was delivered and not acknowledged."""

    __slots__ = ("count", "cseq", "deadline")

    def __init__(self, cseq: int, count: int, deadline: int) -> None:
        self.cseq = cseq
        self.count = count  # deliveries so far
        self.deadline = deadline  # monotonic ns


class Position(NamedTuple):
    consumer_seq: int
    stream_seq: int


class Events(NamedTuple):
    """Whom a consumer tells of what; the advisories of its stream."""

    max_deliveries: Callable[["Consumer", int, int], None]
    terminated: Callable[["Consumer", int, int, int, str], None]


class Consumer:
    def __init__(
        self,
        stream: Stream,
        config: ConsumerConfig,
        created_ns: int,
        monotonic: Callable[[], int],
        wake: Callable[[], None],
        events: Events,
    ) -> None:
        self.stream = stream
        self.account = stream.account
        self.config = config
        self.created_ns = created_ns
        self.monotonic = monotonic
        self.wake = wake
        self.events = events
        self.delivered = Position(0, self._start_seq() - 1)
        self.ack_floor = self.delivered
        self.pending: dict[int, Pending] = {}  # by stream sequence, in the order of first delivery
        self.deadlines: list[tuple[int, int]] = []  # heap of (deadline, stream sequence); stale entries stay behind
        self.again: deque[int] = deque()  # stream sequences due for another delivery
        self.waiting: deque[PullRequest] = deque()
        self.ahead: deque[Row] = deque()  # matching rows read from the stream, not delivered yet
        self.read_seq = 0  # where reading ahead goes on; 0: behind ``delivered``
        self.matched: int | None = None  # filtered consumers: messages not delivered yet; None: count anew
        self.redelivered: dict[int, int] = {}
        self.answers: list[str] = []  # replies of double acks that the next commit lets go
        self.subscriptions: list[Subscription] = []
        self.touched = self.dirty = self.closed = False
        self.active_at = monotonic()
        self.prefix = f"$JS.ACK.{stream.name}.{config.name}"

    @property
    def name(self) -> str:
        return self.config.name

    def _start_seq(self) -> int:
        stream, config = self.stream, self.config
        match config.deliver_policy:
            case "last":
                rows = stream.scan(stream.last_seq, 1)
                last = stream.subjects.last_seq(config.filter_subject) if config.filter_subject else 0
                return last or (rows[0].seq if rows else stream.last_seq + 1)
            case "new":
                return stream.last_seq + 1
            case "by_start_sequence":
                return max(config.opt_start_seq, 1)
            case "by_start_time":
                return stream.first_at(parse_rfc3339(config.opt_start_time))
        return max(stream.first_seq, 1)

    # ---- requests

    def request(self, reply: str, body: bytes) -> None:
        """``CONSUMER.MSG.NEXT``: wait for messages, or a status at once."""
        now = self.active_at = self.monotonic()
        try:
            fields = parse_pull(body)
            request = PullRequest(reply, fields, now)
        except BadRequest as exc:
            self._say(reply, status(400, f"Bad Request - {exc}"))
            return
        if (refusal := self._over_cap(fields)) is not None:
            self._say(reply, status(409, refusal))
            return
        if len(self.waiting) >= self.config.max_waiting:
            self._drop_uninterested()
            if len(self.waiting) >= self.config.max_waiting:
                if not request.heartbeat_ns:
                    self._say(reply, status(409, "Exceeded MaxWaiting"))
                return
        self.waiting.append(request)
        self.deliver(now)
        if request.no_wait and not request.expires_at and request in self.waiting:
            self.waiting.remove(request)
            if self.waiting and self.num_pending():
                self._say(reply, status(408, "Requests Pending"))
            else:
                self._say(reply, status(404, "No Messages"))
        self.wake()

    def _over_cap(self, fields: dict[str, Any]) -> str | None:
        config = self.config
        if 0 < config.max_batch < fields.get("batch", 1):
            return f"Exceeded MaxRequestBatch of {config.max_batch}"
        if 0 < config.max_expires_ns < (fields.get("expires") or config.max_expires_ns + 1):
            return f"Exceeded MaxRequestExpires of {_go_duration(config.max_expires_ns)}"
        if 0 < config.max_bytes < fields.get("max_bytes", 0):
            return f"Exceeded MaxRequestMaxBytes of {config.max_bytes}"
        return None

    def _drop_uninterested(self) -> None:
        self.waiting = deque(request for request in self.waiting if self._listens(request.reply))

    def _listens(self, reply: str) -> bool:
        plain, queues = self.account.sublist.match_once(reply)
        return bool(plain or queues)

    # ---- delivery

    def deliver(self, now: int) -> None:
        """Give waiting requests what there is: what must come again before what is new."""
        while self.waiting:
            request = self.waiting[0]
            if not self._listens(request.reply):
                self.waiting.popleft()
                continue
            if request.expires_at and request.expires_at <= now:
                self._expire(self.waiting.popleft())
                continue
            row = self._next()
            if row is None:
                return
            size = len(row.subject) + len(row.headers) + len(row.payload)
            if request.sized and size > request.left_bytes:
                self._put_back(row)
                self.waiting.popleft()
                self._say(request.reply, status(409, "Message Size Exceeds MaxBytes", request))
                continue
            self._send(row, request, size, now)
            self._turn(request, now)

    def _turn(self, request: PullRequest, now: int) -> None:
        """One message was served: the next request's turn, or the end of this one."""
        self.waiting.popleft()
        if request.batch:
            if request.heartbeat_ns:
                request.heartbeat_at = now + request.heartbeat_ns
            self.waiting.append(request)
        elif request.sized and request.left_bytes > 0:
            self._say(request.reply, status(409, "Batch Completed", request))

    def _send(self, row: Row, request: PullRequest, size: int, now: int) -> None:
        delivered, _ = self.delivered
        cseq = delivered + 1
        known = self.pending.get(row.seq)
        count = (known.count if known else 0) + 1
        self.delivered = Position(cseq, max(row.seq, self.delivered.stream_seq))
        if self.config.ack_policy == "none":
            self.ack_floor = self.delivered
        else:
            deadline = now + self._ack_wait(count)
            if known:
                known.count, known.deadline = count, deadline
                self.redelivered[row.seq] = count
            else:
                self.pending[row.seq] = Pending(cseq, count, deadline)
            heapq.heappush(self.deadlines, (deadline, row.seq))
        reply = f"{self.prefix}.{count}.{row.seq}.{cseq}.{row.time_ns}.{self.num_pending()}"
        headers, payload = row.headers, row.payload
        if self.config.headers_only:
            headers, payload = header_add(headers, [("Nats-Msg-Size", str(len(payload)))]), b""
        request.batch -= 1
        request.left_bytes = max(request.left_bytes - size, 0)
        self.account.publish(request.reply, payload, reply=reply, headers=headers, shown=row.subject)
        self._touch(dirty=True)

    def _ack_wait(self, count: int) -> int:
        backoff = self.config.backoff_ns
        return backoff[min(count, len(backoff)) - 1] if backoff else self.config.ack_wait_ns

    def _next(self) -> Row | None:
        """The next message to deliver, taken; None when there is none, or too much is unacknowledged."""
        while self.again:
            seq = self.again.popleft()
            if seq in self.pending:
                row = self.stream.get(seq)
                if row is not None:
                    return row
                del self.pending[seq]  # taken away in the meantime
        if 0 < self.config.max_ack_pending <= len(self.pending):
            return None
        while True:
            if not self.ahead and not self._read():
                return None
            row = self.ahead.popleft()
            if row.seq >= self.stream.first_seq:
                if self.matched:
                    self.matched -= 1
                return row

    def _put_back(self, row: Row) -> None:
        if row.seq in self.pending:
            self.again.appendleft(row.seq)
            return
        self.ahead.appendleft(row)
        if self.matched is not None:
            self.matched += 1

    def _read(self) -> bool:
        """Read ahead; False at the end of the stream."""
        filters = self.config.filters
        seq = max(self.read_seq, self.delivered.stream_seq + 1)
        while rows := self.stream.scan(seq, READ_AHEAD):
            seq = rows[-1].seq + 1
            self.ahead.extend(
                rows if not filters else [row for row in rows if any(matches(f, row.subject) for f in filters)]
            )
            self.read_seq = seq
            if self.ahead:
                return True
        return False

    def num_pending(self) -> int:
        """Messages that match and have not been delivered."""
        if not self.config.filters:
            return self.stream.count_from(self.delivered.stream_seq + 1)
        if self.matched is None:
            records = self.stream.store.subjects(
                self.stream.id, max(self.delivered.stream_seq + 1, self.stream.first_seq), self.stream.last_seq
            )
            self.matched = sum(record.messages for record in records if self._matches(record.subject))
        return self.matched

    def _matches(self, subject: str) -> bool:
        return any(matches(pattern, subject) for pattern in self.config.filters)

    def on_visible(self) -> None:
        """The stream has new messages."""
        if self.config.filters:
            self.matched = None
        if self.waiting:
            self.deliver(self.monotonic())

    def on_removed(self) -> None:
        """The stream has fewer messages: what was read ahead may be among those gone."""
        self.ahead.clear()
        self.read_seq = 0
        self.matched = None
        gone = [seq for seq in self.pending if seq < self.stream.first_seq]
        for seq in gone:
            del self.pending[seq]
        if gone:
            self._move_floor()
            self._touch(dirty=True)

    # ---- acks

    def ack(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """A message to ``$JS.ACK.<stream>.<consumer>.…``."""
        now = self.active_at = self.monotonic()
        parts = subject.split(".")
        numbers = parts[4:7] if len(parts) == 9 else parts[6:9]
        if len(numbers) < 3 or not all(number.isdigit() for number in numbers):
            return
        count, seq, cseq = map(int, numbers)
        word, _, rest = payload.strip().partition(b" ")
        match word:
            case b"" | b"+ACK" | b"+OK":
                self._acked(seq)
            case b"+NXT":
                self._acked(seq)
                if reply:
                    self.request(reply, rest)
                return
            case b"-NAK":
                self._nak(seq, rest, now)
            case b"+WPI":
                self._postpone(seq, self._ack_wait(count), now)
            case b"+TERM":
                if seq in self.pending:
                    self.events.terminated(self, seq, cseq, count, rest.decode("utf-8", "replace"))
                self._acked(seq)
        if reply:
            self.answers.append(reply)
        self._touch(dirty=True)
        self.deliver(now)
        self.wake()

    def _acked(self, seq: int) -> None:
        if self.config.ack_policy == "all":
            for known in [known for known in self.pending if known <= seq]:
                del self.pending[known]
                self.redelivered.pop(known, None)
        elif self.pending.pop(seq, None) is not None:
            self.redelivered.pop(seq, None)
        self._move_floor()

    def _move_floor(self) -> None:
        if self.pending:
            seq, first = next(iter(self.pending.items()))
            self.ack_floor = Position(first.cseq - 1, seq - 1)
        else:
            self.ack_floor = self.delivered

    def _nak(self, seq: int, rest: bytes, now: int) -> None:
        delay = _delay(rest)
        if delay > 0:
            self._postpone(seq, delay, now)
        elif seq in self.pending:
            self._redeliver(seq)

    def _postpone(self, seq: int, wait_ns: int, now: int) -> None:
        known = self.pending.get(seq)
        if known is not None:
            known.deadline = now + wait_ns
            heapq.heappush(self.deadlines, (known.deadline, seq))

    def _redeliver(self, seq: int) -> None:
        """Once more, unless it was delivered as often as it may be: then it is nobody's any more."""
        known = self.pending[seq]
        known.deadline = 0
        if 0 < self.config.max_deliver <= known.count:
            del self.pending[seq]
            self.events.max_deliveries(self, seq, known.count)
            self._touch(dirty=True)
        elif seq not in self.again:
            self.again.append(seq)

    # ---- time

    def deadline(self) -> int | None:
        found = [request.deadline() for request in self.waiting if request.deadline()]
        while self.deadlines and not self._is_current(*self.deadlines[0]):
            heapq.heappop(self.deadlines)
        if self.deadlines:
            found.append(self.deadlines[0][0])
        if self.config.inactive_ns and not self.waiting:
            found.append(self.active_at + self.config.inactive_ns)
        return min(found, default=None)

    def _is_current(self, deadline: int, seq: int) -> bool:
        known = self.pending.get(seq)
        return known is not None and known.deadline == deadline

    def is_inactive(self, now: int) -> bool:
        return bool(self.config.inactive_ns and not self.waiting and now >= self.active_at + self.config.inactive_ns)

    def tick(self, now: int) -> None:
        """Redeliver what was not acknowledged in time, end requests that have expired, send heartbeats."""
        while self.deadlines and (not self._is_current(*self.deadlines[0]) or self.deadlines[0][0] <= now):
            deadline, seq = heapq.heappop(self.deadlines)
            if self._is_current(deadline, seq):
                self._redeliver(seq)
        for request in list(self.waiting):
            if request.expires_at and request.expires_at <= now:
                self.waiting.remove(request)
                self._expire(request)
            elif request.heartbeat_at and request.heartbeat_at <= now:
                request.heartbeat_at = now + request.heartbeat_ns
                self._heartbeat(request)
        if self.waiting:
            self.active_at = now
        self.deliver(now)

    def _expire(self, request: PullRequest) -> None:
        self.active_at = self.monotonic()
        self._say(request.reply, status(408, "Request Timeout", request))

    def _heartbeat(self, request: PullRequest) -> None:
        last = [("Nats-Last-Consumer", str(self.delivered[0])), ("Nats-Last-Stream", str(self.delivered[1]))]
        self._say(request.reply, status_block(100, "Idle Heartbeat", last))

    def _say(self, reply: str, headers: bytes) -> None:
        self.account.publish(reply, headers=headers)

    # ---- on disk

    def _touch(self, dirty: bool) -> None:
        self.dirty = self.dirty or dirty
        if not self.touched:
            self.touched = True
            self.account.router.touch(self)

    def flush(self) -> None:
        """The end of a batch: save what has changed, and answer double acks once that is on disk."""
        self.touched = False
        if self.closed or not self.dirty:
            return
        self.dirty = False
        answers, self.answers = self.answers, []
        self.stream.store.put_consumer_state(self.stream.id, self.name, self.state())
        self.stream.store.commit(partial(self._saved, answers), urgent=bool(answers))

    def _saved(self, answers: list[str], error: StoreError | None) -> None:
        """On failure nobody is told: the client asks again, and the state goes with the next change."""
        if error is not None:
            self.dirty = True
        else:
            self.account.publish_many([(reply, b"") for reply in answers])

    def save(self, after: Callable[[StoreError | None], None]) -> None:
        record = {"config": self.config.fields(), "durable": self.config.durable, "created": self.created_ns}
        config = json.dumps(record).encode()
        self.stream.store.put_consumer(self.stream.id, self.name, config, self.state())
        self.stream.store.commit(after)

    def state(self) -> bytes:
        """Positions, and pending messages as runs of consecutive sequences with the same count."""
        runs: list[list[int]] = []
        for seq, known in self.pending.items():
            if runs and runs[-1][0] + runs[-1][2] == seq and runs[-1][1] + runs[-1][2] == known.cseq:
                if runs[-1][3] == known.count:
                    runs[-1][2] += 1
                    continue
            runs.append([seq, known.cseq, 1, known.count])
        return json.dumps([[*self.delivered, *self.ack_floor], runs], separators=(",", ":")).encode()

    def restore(self, state: bytes, now: int) -> None:
        """Messages that were pending wait for their ack once more from now on.  ValueError for what is no state."""
        (dc, ds, fc, fs), runs = json.loads(state)
        self.delivered, self.ack_floor = Position(dc, ds), Position(fc, fs)
        for seq, cseq, length, count in runs:
            for i in range(length):
                self.pending[seq + i] = Pending(cseq + i, count, now + self._ack_wait(count))
                if count > 1:
                    self.redelivered[seq + i] = count
                heapq.heappush(self.deadlines, (self.pending[seq + i].deadline, seq + i))
        # What a cut took back from the stream was never delivered either.
        if self.delivered.stream_seq > self.stream.last_seq:
            self.delivered = Position(dc, self.stream.last_seq)
        if self.ack_floor.stream_seq > self.delivered.stream_seq:
            self.ack_floor = self.delivered

    def close(self, code: int, text: str) -> None:
        """No more: tell those who wait."""
        self.closed = True
        for request in self.waiting:
            self._say(request.reply, status(code, text, request))
        self.waiting.clear()


def _delay(rest: bytes) -> int:
    """Nanoseconds of ``-NAK {"delay": ns}`` or ``-NAK 5s``; 0 for none or what cannot be read."""
    rest = rest.strip()
    if not rest:
        return 0
    if rest.startswith(b"{"):
        try:
            delay = json.loads(rest).get("delay", 0)
        except ValueError:
            return 0
        return delay if type(delay) is int else 0
    units = {b"ns": 1, b"us": 1_000, b"ms": 1_000_000, b"s": 1_000_000_000, b"m": 60_000_000_000}
    number = rest.rstrip(b"nmsu")
    unit = units.get(rest[len(number) :], 0)
    try:
        return int(float(number) * unit)
    except (ValueError, OverflowError):
        return 0


def _go_duration(ns: int) -> str:
    return f"{ns / 1e9:g}s" if ns >= 1_000_000_000 else f"{ns / 1e6:g}ms"
