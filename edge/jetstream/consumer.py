"""A consumer: what of a stream goes out, what of it is acknowledged, what comes again.  The way out is its ``way``.

Time comes in (``now``, monotonic nanoseconds), the next deadline comes out.  State is on disk with the stream's own
commits: an ack that somebody waits for (AckSync) is answered after the commit that holds it.
"""

import json
import random
from collections.abc import Callable, Container, Iterable
from functools import partial

from edge.core.peer import Subscription
from edge.core.times import SECOND, Clock, parse_rfc3339
from edge.errors import StoreError
from edge.jetstream.acks import AckPlace, Acks, parse_ack_subject, parse_nak_delay
from edge.jetstream.advisories import Advisories
from edge.jetstream.consumer_config import ConsumerConfig
from edge.jetstream.cursor import Cursor
from edge.jetstream.messages import Purge
from edge.jetstream.pace import Pace
from edge.jetstream.pulls import Pulls
from edge.jetstream.push import Push
from edge.jetstream.stream import Stream
from edge.message import header_add
from edge.store.contract import Row
from edge.subjects import subset

MAX_BURST = 1 << 20
SAVE_NS = SECOND  # how long the place of somebody who watches may stay unsaved
ACKS = (b"", b"+ACK", b"+OK")


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
        self.way: Pulls | Push = Push(self) if config.deliver_subject else Pulls(self)
        self.pace = self._make_pace()
        self.not_before = 0  # the pace allows nothing earlier; monotonic
        self.paused_ns = 0  # until this wall time nothing is delivered
        self._pause()
        self.soon = False  # to be delivered at the end of this batch
        self.answers: list[str] = []  # replies of double acks that the next commit lets go
        self.subscriptions: list[Subscription] = []
        self.touched = self.dirty = self.closed = False
        self.active_at = clock.monotonic()
        self.armed = 0  # the deadline that the timer knows of
        self.save_at = 0  # its place is not saved before
        self.saving = 0  # commits under way that hold its state
        self.delivered_ns = self.acked_ns = 0  # wall time of the last of its kind
        self.prefix = f"$JS.ACK.{stream.name}.{config.name}"

    @property
    def name(self) -> str:
        return self.config.name

    def begin(self, first: int) -> None:
        self.acks = Acks(self.config, first - 1)
        self.cursor = Cursor(self.stream, self.config.filters, first - 1)
        if self.config.deliver_policy == "last_per_subject":
            self._pick(self.stream.last_seq)

    def _pick(self, up_to: int) -> None:
        self.cursor.pick_last(up_to)
        self.acks.picked_up_to = up_to if self.cursor.picked else 0

    def configure(self, config: ConsumerConfig) -> None:
        """Another configuration; under other filters what was read ahead is read anew."""
        moved = config.deliver_subject != self.config.deliver_subject
        self.config = self.acks.config = config
        self.cursor.filter(config.filters)
        self.pace = self._make_pace()
        self._pause()
        if moved:
            self.way.close()
            self.way = Push(self)
            self.way.open(soon=True)

    def _make_pace(self) -> Pace | None:
        config = self.config
        if config.replay_policy == "instant" and not config.rate_limit_bps:
            return None
        replay_until = self.stream.last_seq if config.replay_policy == "original" else 0
        return Pace(config.rate_limit_bps, max(self.stream.config.max_msg_size, MAX_BURST), replay_until)

    def _pause(self) -> None:
        until = parse_rfc3339(self.config.pause_until) if self.config.pause_until else 0
        self.paused_ns = until if until > self.clock.wall() else 0

    def _resume(self) -> None:
        self.paused_ns = 0
        self.advisories.paused(self.stream.name, self.name, self.config.pause_until, False)

    def reset(self, seq: int) -> int:
        """Begin again at ``seq``, or behind the ack floor (0).  ValueError where its policy does not allow that."""
        first = seq or max(self.acks.floor.stream_seq, self.acks.passed) + 1
        match self.config.deliver_policy:
            case _ if not seq:
                pass
            case "all":
                pass
            case "by_start_sequence":
                if seq < self.config.opt_start_seq:
                    raise ValueError("below start seq")
            case "by_start_time":
                if seq < self.stream.first_at(parse_rfc3339(self.config.opt_start_time)):
                    raise ValueError("below start time")
            case _:
                raise ValueError("not allowed")
        self.acks = Acks(self.config, first - 1)
        self.cursor = Cursor(self.stream, self.config.filters, first - 1)
        self.delivered_ns = self.acked_ns = 0
        self.stream.retention.review()
        self._touch()
        self.deliver_soon()
        return first

    def open(self) -> None:
        """It can be found now: messages may go."""
        self.way.open()

    # ---- for the way that messages go

    def request(self, reply: str, body: bytes) -> None:
        """``CONSUMER.MSG.NEXT``."""
        now = self.active_at = self.clock.monotonic()
        self.way.request(reply, body, now)
        self._arm()

    def has_listener(self, subject: str) -> bool:
        plain, queues = self.account.sublist.match_once(subject)
        return bool(plain or queues)

    def next(self, now: int) -> Row | None:
        """The next message to deliver, taken; None when there is none, too much is unacknowledged, or it is too
        early for the consumer's pace."""
        if now < self.not_before or self.paused_ns:
            return None
        row = self._take()
        if row is not None and self.pace is not None:
            wait = self.pace.delay(row, self.size(row), now)
            if wait:
                self.not_before = now + wait
                self.put_back(row)
                return None
        return row

    def _take(self) -> Row | None:
        while seq := self.acks.next_again():
            if count := self.acks.give_up(seq):
                self.advisories.max_deliveries(self.stream.name, self.name, seq, count)
                self._touch()
                continue
            row = self.stream.get(seq)
            if row is not None:
                return row
            self.acks.ack(seq)  # damaged on disk: nobody can ever have it
        if self.acks.is_full():
            return None
        row = self.cursor.next()
        if row is None:
            self.acks.looked = self.stream.last_seq
        return row

    def is_plain(self) -> bool:
        """Does every message go out as it is, and as soon as it can?"""
        return self.pace is None and not self.paused_ns and not self.config.headers_only

    def put_back(self, row: Row) -> None:
        """``next`` was in vain."""
        if row.seq in self.acks.pending:
            self.acks.put_back(row.seq)
        else:
            self.cursor.put_back(row)

    def size(self, row: Row) -> int:
        """What a delivery counts for in a request's ``max_bytes``."""
        ack_reply = self._ack_reply(row, *self.acks.peek(row.seq))
        return len(row.subject) + len(ack_reply) + sum(map(len, self._content(row)))

    def _content(self, row: Row) -> tuple[bytes, bytes]:
        """Headers and payload as they go out."""
        if not self.config.headers_only:
            return row.headers, row.payload
        return header_add(row.headers, [("Nats-Msg-Size", str(len(row.payload)))]), b""

    def send(self, row: Row, subject: str, now: int, extra: Iterable[tuple[str, str]] = ()) -> int:
        """Deliver to ``subject``; its size as ``size`` counts it."""
        place = self.acks.deliver(row.seq, now)
        self.cursor.delivered = max(self.cursor.delivered, row.seq)
        ack_reply = self._ack_reply(row, *place)
        headers, payload = self._content(row)
        size = len(row.subject) + len(ack_reply) + len(headers) + len(payload)
        if extra:
            headers = header_add(headers, extra)
        match = self.account.sublist.match_once(subject)
        self.account.deliver(match, None, subject, ack_reply, headers, payload, row.subject)
        if self.config.ack_policy == "none":
            self.stream.retention.acknowledged((row.seq,))
        self.note_delivery()
        return size

    def note_delivery(self) -> None:
        self.delivered_ns = self.clock.wall()
        self._touch()

    def _ack_reply(self, row: Row, cseq: int, count: int) -> str:
        return f"{self.prefix}.{count}.{row.seq}.{cseq}.{row.time_ns}.{self.num_pending()}"

    def say(self, subject: str, headers: bytes, reply: str = "") -> None:
        """A status."""
        self.account.deliver(self.account.sublist.match_once(subject), None, subject, reply, headers, b"")

    def num_pending(self) -> int:
        """Messages that match and have not been delivered."""
        return self.cursor.num_pending()

    def deliver_soon(self) -> None:
        """At the end of this batch: whoever begins to listen has then said all it wants."""
        self.soon = True
        self._enlist()

    # ---- the stream

    def on_visible(self) -> None:
        """The stream has new messages.  Of those that it does not want it knows only when somebody asks."""
        before, looked = self.acks.delivered, self.acks.looked
        self.way.deliver(self.clock.monotonic())
        if self.acks.delivered == before:
            self.acks.looked = looked
        self._arm()

    def on_removed(self, gone: Container[int], highest: int, purge: Purge | None = None) -> None:
        """The stream has fewer messages.  A purge of what it wants takes it to what is left."""
        self.cursor.on_removed(gone, highest)
        if purge is not None and (place := self._behind(purge)):
            forgotten = self.acks.purge(place, gone)
            self._touch()
            self.cursor.delivered = max(self.cursor.delivered, self.acks.delivered.stream_seq)
        else:
            forgotten = self.acks.forget(gone, highest)
        if forgotten:
            self.acked_ns = self.clock.wall()
            self._touch()

    def _behind(self, purge: Purge) -> int:
        """The first sequence that it can still want; 0 where the purge is not its concern."""
        filters, pattern = self.config.filters, purge.pattern
        if not pattern or (filters and all(subset(each, pattern) for each in filters)):
            return purge.matching_seq or purge.last_seq + 1
        concerned = not filters or any(subset(pattern, each) for each in filters)
        return purge.first_seq if concerned else 0

    # ---- acks

    def ack(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """A message to ``$JS.ACK.<stream>.<consumer>.…``."""
        place = parse_ack_subject(subject)
        if place is None:
            return
        now = self.active_at = self.clock.monotonic()
        seq = place.stream_seq
        was_delivered = seq <= self.acks.delivered.stream_seq  # else: of a consumer that had this name in another life
        if payload in ACKS:
            if not was_delivered:
                return
            self._sample(place, now)
            self._acked(seq, place.consumer_seq)
        elif payload.startswith(b"+NXT"):
            if was_delivered:
                self._sample(place, now)
                self._acked(seq, place.consumer_seq)
                self._touch()
            if reply:
                self.request(reply, payload[4:])
            return
        elif payload.startswith(b"-NAK"):
            self._nak(place, payload[4:], now)
        elif payload == b"+WPI":
            self.acks.postpone(seq, self.acks.wait_ns(place.deliveries), now)
        elif payload.startswith(b"+TERM"):
            reason = payload[5:].strip().decode("utf-8", "replace")
            self.advisories.terminated(self.stream.name, self.name, place, reason)
            if not was_delivered:
                return
            self._acked(seq, place.consumer_seq)
        if reply:
            self.answers.append(reply)
        self._touch()
        self.way.deliver(now)
        self._arm()

    def ack_many(self, seqs: list[int]) -> None:
        """As ``ack`` for each of these: explicit ones that nobody waits for."""
        now = self.active_at = self.clock.monotonic()
        last = self.acks.delivered.stream_seq
        if max(seqs) > last:
            seqs = [seq for seq in seqs if seq <= last]
            if not seqs:
                return
        self.acked_ns = self.clock.wall()
        self.stream.retention.acknowledged(self.acks.ack_each(seqs))
        self._touch()
        self.way.deliver(now)
        self._arm()

    def _sample(self, place: AckPlace, now: int) -> None:
        percent = self.config.sample_freq.removesuffix("%")
        if not percent or self.config.ack_policy != "explicit":
            return
        known = self.acks.pending.get(place.stream_seq)
        if known is not None and random.randrange(100) < int(percent):
            self.advisories.acked(self.stream.name, self.name, place, now - known.delivered_at)

    def acknowledge(self, seq: int) -> None:
        """Everything up to ``seq``, by its receiver's word."""
        self._acked(seq)
        self._touch()

    def _acked(self, seq: int, cseq: int = 0) -> None:
        self.acked_ns = self.clock.wall()
        self.stream.retention.acknowledged(self.acks.ack(seq, cseq))

    def wants(self, subject: str) -> bool:
        return not self.config.filters or self.cursor.wants(subject)

    def needs(self, seq: int) -> bool:
        return seq in self.acks.pending or seq > self.cursor.delivered or seq in self.cursor.picked

    def seen(self) -> int:
        return self.cursor.delivered

    def _nak(self, place: AckPlace, rest: bytes, now: int) -> None:
        seq, delay = place.stream_seq, parse_nak_delay(rest)
        acks = self.acks
        if seq not in acks.pending or not acks.floor.consumer_seq < place.consumer_seq <= acks.delivered.consumer_seq:
            return
        self.advisories.naked(self.stream.name, self.name, place)
        if delay > 0:
            acks.again.pop(seq, None)
            acks.postpone(seq, delay, now)
        else:
            acks.redeliver(seq)

    # ---- time

    def deadline(self) -> int | None:
        found = [deadline] if (deadline := self.way.deadline()) is not None else []
        if deadline := self.acks.deadline():
            found.append(deadline)
        if self.not_before:
            found.append(self.not_before)
        if self.paused_ns:
            found.append(self.clock.monotonic() + max(self.paused_ns - self.clock.wall(), 0))
        if self.config.inactive_ns:
            found.append(self.active_at + self.config.inactive_ns)
        if self.dirty and self.save_at:
            found.append(self.save_at)
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
        if self.way.is_wanted():
            self.active_at = now
            return False
        return True

    def tick(self, now: int) -> None:
        """Redeliver what was not acknowledged in time, end requests that have expired, send heartbeats."""
        if self.not_before <= now:
            self.not_before = 0
        if self.paused_ns and self.paused_ns <= self.clock.wall():
            self._resume()
        if self.dirty and 0 < self.save_at <= now:
            self._enlist()
        for seq in self.acks.due(now):
            self.acks.redeliver(seq)
        self.way.tick(now)
        self.way.deliver(now)

    # ---- on disk

    def _touch(self) -> None:
        self.dirty = True
        self._enlist()

    def _enlist(self) -> None:
        if not self.touched:
            self.touched = True
            self.account.router.touch(self)

    def flush(self) -> None:
        """The end of a batch: save what has changed, and answer double acks once that is on disk."""
        self.touched = False
        if self.closed:
            return
        if self.soon:
            self.soon = False
            self.way.deliver(self.clock.monotonic())
            self._arm()
        if self.dirty and not self.config.direct and not self._may_wait():
            self._save_state()

    def _may_wait(self) -> bool:
        """Of those who watch a bucket or read in order a place that is saved with each message would wear the disk
        more than the messages do.  What they get once more after a cut they tell by the consumer's own count.
        What changes while a commit is under way goes with the next one, unless somebody waits for it."""
        config = self.config
        if self.saving and not self.answers:
            return True
        if config.durable or config.ack_policy != "none" or self.stream.config.retention != "limits":
            return False
        now = self.clock.monotonic()
        if now < self.save_at:
            self._arm()
            return True
        self.save_at = now + SAVE_NS
        return False

    def settle(self) -> None:
        """The end of the process: nothing waits any longer."""
        if self.dirty and not self.config.direct:
            self._save_state()

    def _save_state(self) -> None:
        self.dirty = False
        if not self.cursor.picked:
            self.acks.picked_up_to = 0
        answers, self.answers = self.answers, []
        self.stream.store.put_consumer_state(self.stream.id, self.name, self.acks.encode())
        self.saving += 1
        self.stream.store.commit(partial(self._saved, answers), urgent=bool(answers))

    def _saved(self, answers: list[str], error: StoreError | None) -> None:
        """On failure nobody is told: the client asks again, and the state goes with the next change."""
        self.saving -= 1
        if error is None:
            if self.dirty:
                self._enlist()
            self.account.publish_many([(reply, b"") for reply in answers])
        else:
            self.dirty = True
            self.stream.health.failed(error)

    def save(self, after: Callable[[StoreError | None], None]) -> None:
        """One that another stream sources with is not on disk: it is asked for again, from where that stream is."""
        if self.config.direct:
            self.stream.store.commit(after)
            return
        config = json.dumps(self.record()).encode()
        self.stream.store.put_consumer(self.stream.id, self.name, config, self.acks.encode())
        self.stream.store.commit(after)

    def record(self) -> dict[str, object]:
        """What it is, but for its state, in the form in which it is kept."""
        return {"config": self.config.fields(), "durable": self.config.durable, "created": self.created_ns}

    def restore(self, state: bytes) -> None:
        """ValueError or TypeError for what is no state: then the consumer begins anew."""
        self.acks.decode(state, self.stream.last_seq, self.clock.monotonic())
        gone = self.stream.missing(self.acks.pending)  # a cut came before it was said that they are gone
        self.acks.forget(gone, max(gone, default=0))
        self.cursor = Cursor(self.stream, self.config.filters, self.acks.delivered.stream_seq)
        if self.acks.picked_up_to:
            self._pick(self.acks.picked_up_to)

    def close(self) -> None:
        """No more: tell those who wait."""
        self.closed = True
        self.way.close()


def start_seq(stream: Stream, config: ConsumerConfig) -> int:
    """Where a consumer of this configuration begins."""
    if config.opt_start_seq:
        return max(config.opt_start_seq, stream.first_seq if stream.last_seq else 0, 1)
    match config.deliver_policy:
        case "last" if config.filters:
            first = max(stream.subjects.last_seq(pattern) for pattern in config.filters)
        case "last":
            first = stream.last_seq
        case "new":
            first = stream.last_seq + 1
        case "by_start_time":
            first = _first_since(stream, config)
        case "last_per_subject" if stream.config.max_msgs_per_subject != 1:
            seqs = stream.subjects.last_seqs(config.filters)
            first = seqs[0] if seqs else stream.last_seq
        case _:
            first = stream.first_seq
    if not stream.last_seq:
        return 1
    return max(min(first, stream.last_seq + 1), stream.first_seq)


def _first_since(stream: Stream, config: ConsumerConfig) -> int:
    """The first message of a time; nearer to the first one that it wants, where that is known."""
    return stream.first_at(parse_rfc3339(config.opt_start_time))
