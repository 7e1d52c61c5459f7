"""A pull consumer: who waits for messages of a stream, and what comes next for whom.

Time comes in (``now``, monotonic nanoseconds), the next deadline comes out.  State is on disk with the stream's own
commits: an ack that somebody waits for (AckSync) is answered after the commit that holds it.
"""

import json
from collections import deque
from collections.abc import Callable, Container
from functools import partial

from edge.core.peer import Subscription
from edge.core.times import Clock, parse_rfc3339
from edge.errors import StoreError
from edge.jetstream.acks import Acks, parse_ack_subject, parse_nak_delay
from edge.jetstream.advisories import Advisories
from edge.jetstream.consumer_config import ConsumerConfig
from edge.jetstream.pull import BadRequest, PullRequest, over_cap, parse_pull, status
from edge.jetstream.stream import Stream
from edge.message import header_add, status_block
from edge.store.contract import Row
from edge.subjects import matches

READ_AHEAD = 256
MAX_VERDICTS = 10_000


class Consumer:
    def __init__(
        self,
        stream: Stream,
        config: ConsumerConfig,
        created_ns: int,
        clock: Clock,
        advisories: Advisories,
        first: int,
    ) -> None:
        """``first``: the sequence to begin with."""
        self.stream = stream
        self.account = stream.account
        self.config = config
        self.created_ns = created_ns
        self.clock = clock
        self.advisories = advisories
        self.begin(first)
        self.waiting: deque[PullRequest] = deque()
        self.ahead: deque[Row] = deque()  # matching rows read from the stream, not delivered yet
        self.read_seq = 0  # where reading ahead goes on; 0: behind what was delivered
        self.left: int | None = None  # matching messages not delivered yet, of those up to ``counted_seq``
        self.counted_seq = 0
        self.verdicts: dict[str, bool] = {}  # does this subject match?
        self.answers: list[str] = []  # replies of double acks that the next commit lets go
        self.subscriptions: list[Subscription] = []
        self.touched = self.dirty = self.closed = False
        self.active_at = clock.monotonic()
        self.armed = 0  # the deadline that the timer knows of
        self.delivered_ns = self.acked_ns = 0  # wall time of the last of its kind
        self.prefix = f"$JS.ACK.{stream.name}.{config.name}"

    @property
    def name(self) -> str:
        return self.config.name

    def begin(self, first: int) -> None:
        self.acks = Acks(self.config, first - 1)

    def configure(self, config: ConsumerConfig) -> None:
        """Another configuration; under other filters what was read ahead is read anew."""
        self.config = self.acks.config = config
        self.verdicts.clear()
        self._read_anew()

    def _read_anew(self) -> None:
        self.ahead.clear()
        self.read_seq = 0
        self.left = None

    # ---- requests

    def request(self, reply: str, body: bytes) -> None:
        """``CONSUMER.MSG.NEXT``: wait for messages, or a status at once."""
        now = self.active_at = self.clock.monotonic()
        try:
            fields = parse_pull(body)
            request = PullRequest(reply, fields, now)
        except BadRequest as exc:
            self._say(reply, status(400, f"Bad Request - {exc}"))
            return
        if refusal := over_cap(self.config, fields):
            self._say(reply, status(409, refusal))
        elif self._has_room(request):
            self.waiting.append(request)
            self.deliver(now)
            if request.no_wait and not request.expires_at and request in self.waiting:
                self._end_no_wait(request)
            self._arm()

    def _has_room(self, request: PullRequest) -> bool:
        if len(self.waiting) >= self.config.max_waiting:
            self._drop_uninterested()
        if len(self.waiting) < self.config.max_waiting:
            return True
        if not request.heartbeat_ns:
            self._say(request.reply, status(409, "Exceeded MaxWaiting"))
        return False

    def _end_no_wait(self, request: PullRequest) -> None:
        self.waiting.remove(request)
        if self.waiting and self.num_pending():
            self._say(request.reply, status(408, "Requests Pending"))
        else:
            self._say(request.reply, status(404, "No Messages"))

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
            if request.sized:
                self.num_pending()  # counted now, it stays right when the message is taken
            row = self._next()
            if row is None:
                return
            if request.sized and _size(row, self._ack_reply(row, *self.acks.peek(row.seq))) > request.left_bytes:
                self._put_back(row)
                self.waiting.popleft()
                self._say(request.reply, status(409, "Message Size Exceeds MaxBytes", request))
                continue
            self._send(row, request, now)
            self._turn(request, now)

    def _ack_reply(self, row: Row, cseq: int, count: int) -> str:
        return f"{self.prefix}.{count}.{row.seq}.{cseq}.{row.time_ns}.{self.num_pending()}"

    def _turn(self, request: PullRequest, now: int) -> None:
        """One message was served: the next request's turn, or the end of this one."""
        self.waiting.popleft()
        if request.batch > 0:
            if request.heartbeat_ns:
                request.heartbeat_at = now + request.heartbeat_ns
            self.waiting.append(request)
        elif request.sized and request.left_bytes > 0:
            self._say(request.reply, status(409, "Batch Completed", request))

    def _send(self, row: Row, request: PullRequest, now: int) -> None:
        ack_reply = self._ack_reply(row, *self.acks.deliver(row.seq, now))
        headers, payload = row.headers, row.payload
        request.batch -= 1
        request.left_bytes = max(request.left_bytes - _size(row, ack_reply), 0)
        if self.config.headers_only:
            headers, payload = header_add(headers, [("Nats-Msg-Size", str(len(payload)))]), b""
        match = self.account.sublist.match_once(request.reply)
        self.account.deliver(match, None, request.reply, ack_reply, headers, payload, row.subject)
        self.delivered_ns = self.clock.wall()
        self._touch()

    def _next(self) -> Row | None:
        """The next message to deliver, taken; None when there is none, or too much is unacknowledged."""
        while seq := self.acks.next_again():
            row = self.stream.get(seq)
            if row is not None:
                return row
            self.acks.ack(seq)  # damaged on disk: nobody can ever have it
        if self.acks.is_full():
            return None
        while self.ahead or self._read():
            row = self.ahead.popleft()
            if row.seq >= self.stream.first_seq:
                if self.left is not None and row.seq <= self.counted_seq:
                    self.left -= 1
                return row
        return None

    def _put_back(self, row: Row) -> None:
        if row.seq in self.acks.pending:
            self.acks.put_back(row.seq)
            return
        self.ahead.appendleft(row)
        if self.left is not None and row.seq <= self.counted_seq:
            self.left += 1

    def _read(self) -> bool:
        """Read ahead; False at the end of the stream."""
        seq = self._unread_seq()
        while rows := self.stream.scan(seq, READ_AHEAD):
            seq = self.read_seq = rows[-1].seq + 1
            self.ahead.extend([row for row in rows if self._wants(row.subject)] if self.config.filters else rows)
            if self.ahead:
                return True
        return False

    def _unread_seq(self) -> int:
        """Nothing before it is still to be delivered, but for what is in ``ahead``."""
        return max(self.read_seq, self.acks.delivered.stream_seq + 1)

    def _wants(self, subject: str) -> bool:
        verdict = self.verdicts.get(subject)
        if verdict is None:
            if len(self.verdicts) >= MAX_VERDICTS:
                self.verdicts.clear()
            verdict = self.verdicts[subject] = any(matches(pattern, subject) for pattern in self.config.filters)
        return verdict

    def num_pending(self) -> int:
        """Messages that match and have not been delivered."""
        last, wanted = self.stream.last_seq, self._wants if self.config.filters else None
        if self.left is None:
            self.left = len(self.ahead) + self.stream.count_from(self._unread_seq(), wanted)
        elif self.counted_seq < last:
            behind = max(self.counted_seq, self.acks.delivered.stream_seq)
            self.left += self.stream.count_from(behind + 1, wanted)
        self.counted_seq = last
        return self.left

    def on_visible(self) -> None:
        """The stream has new messages."""
        if self.waiting:
            self.deliver(self.clock.monotonic())
            self._arm()

    def on_removed(self, gone: Container[int], highest: int) -> None:
        """The stream has fewer messages."""
        if highest >= self._unread_seq():
            self._read_anew()
        elif highest > self.acks.delivered.stream_seq:
            self.ahead = deque(row for row in self.ahead if row.seq not in gone)
            self.left = None
        if self.acks.forget(gone, highest):
            self.acked_ns = self.clock.wall()
            self._touch()

    # ---- acks

    def ack(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """A message to ``$JS.ACK.<stream>.<consumer>.…``."""
        place = parse_ack_subject(subject)
        if place is None:
            return
        now = self.active_at = self.clock.monotonic()
        seq = place.stream_seq
        word, _, rest = payload.strip().partition(b" ")
        match word:
            case b"" | b"+ACK" | b"+OK":
                self._acked(seq)
            case b"+NXT":
                self._acked(seq)
                self._touch()
                if reply:
                    self.request(reply, rest)
                return
            case b"-NAK":
                self._nak(seq, rest, now)
                self.advisories.naked(self.stream.name, self.name, place)
            case b"+WPI":
                self.acks.postpone(seq, self.acks.wait_ns(place.deliveries), now)
            case b"+TERM":
                if seq in self.acks.pending:
                    reason = rest.decode("utf-8", "replace")
                    self.advisories.terminated(self.stream.name, self.name, place, reason)
                self._acked(seq)
        if reply:
            self.answers.append(reply)
        self._touch()
        if self.waiting:
            self.deliver(now)
        self._arm()

    def _acked(self, seq: int) -> None:
        self.acked_ns = self.clock.wall()
        self.acks.ack(seq)

    def _nak(self, seq: int, rest: bytes, now: int) -> None:
        delay = parse_nak_delay(rest)
        if delay > 0:
            self.acks.postpone(seq, delay, now)
        elif seq in self.acks.pending:
            self._redeliver(seq)

    def _redeliver(self, seq: int) -> None:
        count = self.acks.pending[seq].count
        if not self.acks.redeliver(seq):
            self.advisories.max_deliveries(self.stream.name, self.name, seq, count)
            self._touch()

    # ---- time

    def deadline(self) -> int | None:
        found = [deadline for request in self.waiting if (deadline := request.deadline())]
        if deadline := self.acks.deadline():
            found.append(deadline)
        if self.config.inactive_ns:
            found.append(self.active_at + self.config.inactive_ns)
        self.armed = min(found, default=0)
        return self.armed or None

    def _arm(self) -> None:
        """Wake the timer when it would ring too late."""
        known = self.armed
        deadline = self.deadline()
        if deadline is not None and (not known or deadline < known):
            self.clock.wake()

    def is_inactive(self, now: int) -> bool:
        """Has nobody asked for messages for longer than the threshold?"""
        if not self.config.inactive_ns or now < self.active_at + self.config.inactive_ns:
            return False
        self._drop_uninterested()
        if self.waiting:
            self.active_at = now
        return not self.waiting

    def tick(self, now: int) -> None:
        """Redeliver what was not acknowledged in time, end requests that have expired, send heartbeats."""
        for seq in self.acks.due(now):
            self._redeliver(seq)
        for request in list(self.waiting):
            if request.expires_at and request.expires_at <= now:
                self.waiting.remove(request)
                self._expire(request)
            elif request.heartbeat_at and request.heartbeat_at <= now:
                request.heartbeat_at = now + request.heartbeat_ns
                self._heartbeat(request)
        self.deliver(now)

    def _expire(self, request: PullRequest) -> None:
        self.active_at = self.clock.monotonic()
        self._say(request.reply, status(408, "Request Timeout", request))

    def _heartbeat(self, request: PullRequest) -> None:
        consumer_seq, stream_seq = self.acks.delivered
        last = [("Nats-Last-Consumer", str(consumer_seq)), ("Nats-Last-Stream", str(stream_seq))]
        self._say(request.reply, status_block(100, "Idle Heartbeat", last))

    def _say(self, reply: str, headers: bytes) -> None:
        self.account.deliver(self.account.sublist.match_once(reply), None, reply, "", headers, b"")

    # ---- on disk

    def _touch(self) -> None:
        self.dirty = True
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
        self.stream.store.put_consumer_state(self.stream.id, self.name, self.acks.encode())
        self.stream.store.commit(partial(self._saved, answers), urgent=bool(answers))

    def _saved(self, answers: list[str], error: StoreError | None) -> None:
        """On failure nobody is told: the client asks again, and the state goes with the next change."""
        if error is None:
            self.account.publish_many([(reply, b"") for reply in answers])
        else:
            self.dirty = True
            self.stream.health.failed(error)

    def save(self, after: Callable[[StoreError | None], None]) -> None:
        record = {"config": self.config.fields(), "durable": self.config.durable, "created": self.created_ns}
        config = json.dumps(record).encode()
        self.stream.store.put_consumer(self.stream.id, self.name, config, self.acks.encode())
        self.stream.store.commit(after)

    def restore(self, state: bytes) -> None:
        """ValueError or TypeError for what is no state: then the consumer begins anew."""
        self.acks.decode(state, self.stream.last_seq, self.clock.monotonic())

    def close(self) -> None:
        """No more: tell those who wait."""
        self.closed = True
        for request in self.waiting:
            self._say(request.reply, status(409, "Consumer Deleted"))
        self.waiting.clear()


def start_seq(stream: Stream, config: ConsumerConfig) -> int:
    """Where a consumer of this configuration begins."""
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


def _size(row: Row, ack_reply: str) -> int:
    """What a delivery counts for in a request's ``max_bytes``."""
    return len(row.subject) + len(ack_reply) + len(row.headers) + len(row.payload)
