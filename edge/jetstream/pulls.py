"""Delivery to those who ask: pull requests that wait, in turn (reference: jetstream.md section 5)."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge.core.peer import Subscription, sole_receiver
from edge.jetstream.burst import NOTHING, Burst, burst
from edge.jetstream.priority import Pin, check_request, overflows
from edge.jetstream.pull import BadRequest, PullRequest, over_cap, parse_pull, status
from edge.jetstream.push import HOLD_NS, PER_MESSAGE, SLICE
from edge.message import status_block

if TYPE_CHECKING:
    from edge.jetstream.consumer import Consumer


class Pulls:
    def __init__(self, consumer: "Consumer") -> None:
        self.consumer = consumer
        self.waiting: deque[PullRequest] = deque()
        self.pin = Pin(consumer)
        self.go_on_at = 0  # there was more to send than a turn allows, or somebody does not keep up

    def open(self) -> None:
        """Whoever wants messages asks."""

    # ---- requests

    def request(self, reply: str, body: bytes, now: int) -> None:
        """``CONSUMER.MSG.NEXT``: wait for messages, or a status at once."""
        consumer = self.consumer
        try:
            fields = parse_pull(body)
            request = PullRequest(reply, fields, now)
            if refusal := over_cap(consumer.config, fields):
                consumer.say(reply, status(409, refusal))
                return
            check_request(consumer, fields)
        except BadRequest as exc:
            consumer.say(reply, status(400, f"Bad Request - {exc}"))
            return
        if self.pin.id and request.pin and request.pin != self.pin.id:
            consumer.say(reply, status(423, "Nats-Pin-Id mismatch"))
        elif request.no_wait and (end := self._nothing_left(request)):
            consumer.say(reply, end)
        elif self._has_room(request):
            if self.pin.id and request.pin:
                self.pin.renew(now)
            self._line_up(request)
            self.deliver(now)

    def _line_up(self, request: PullRequest) -> None:
        """At the end; of policy ``prioritized`` behind those of its own priority."""
        if self.consumer.config.priority_policy != "prioritized":
            self.waiting.append(request)
            return
        at = sum(other.priority <= request.priority for other in self.waiting)
        self.waiting.insert(at, request)

    def _has_room(self, request: PullRequest) -> bool:
        most = self.consumer.config.max_waiting
        if len(self.waiting) >= most:
            self._drop_uninterested()
        if len(self.waiting) < most:
            return True
        if not request.heartbeat_ns:
            self.consumer.say(request.reply, status(409, "Exceeded MaxWaiting"))
        return False

    def _nothing_left(self, request: PullRequest) -> bytes:
        """What one hears who does not want to wait, and for whom there is nothing; empty where there is."""
        left = self.consumer.num_pending() + len(self.consumer.acks.again)
        if not left:
            return b"" if request.expires_at else status(404, "No Messages")
        return status(408, "Requests Pending") if left < sum(other.batch for other in self.waiting) else b""

    def _end_no_wait(self, request: PullRequest) -> None:
        self.waiting.remove(request)
        self.consumer.say(request.reply, status(404, "No Messages"))

    def _drop_uninterested(self) -> None:
        self.waiting = deque(request for request in self.waiting if self.consumer.has_listener(request.reply))

    # ---- delivery

    def deliver(self, now: int) -> None:
        """Give waiting requests what there is: what must come again before what is new."""
        self.go_on_at = 0
        self._deliver(now)
        if self.go_on_at:
            self.consumer.clock.wake()
            return
        for request in [request for request in self.waiting if request.no_wait and not request.expires_at]:
            self._end_no_wait(request)

    def _deliver(self, now: int) -> None:
        consumer = self.consumer
        passed_over = 0
        room = SLICE
        while len(self.waiting) > passed_over:
            request = self.waiting[0]
            if room <= 0:
                self.go_on_at = now
                return
            listeners = self._listeners(request.reply)
            if not listeners:
                self.waiting.popleft()
                continue
            if request.expires_at and request.expires_at <= now:
                self._expire(self.waiting.popleft())
                continue
            if room == SLICE and any(sub.peer.is_loaded() for sub in listeners):
                self.go_on_at = now + HOLD_NS
                self.waiting.rotate(-1)
                passed_over += 1
                continue
            if not self._may_be_served(request):
                self.waiting.rotate(-1)
                passed_over += 1
                continue
            if request.pin and request.pin != self.pin.id:
                self.waiting.popleft()
                consumer.say(request.reply, status(423, "Nats-Wrong-Pin-Id", request))
                continue
            if (sent := self._burst(request, room, now)).messages:
                room -= sent.size + sent.messages * PER_MESSAGE
                continue
            if request.sized:
                consumer.num_pending()  # counted now, it stays right when the message is taken
            row = consumer.next(now)
            if row is None:
                return
            passed_over = 0
            if self.pinning and not self.pin.id:
                self.pin.give(request, now)
            if request.sized and consumer.size(row) > request.left_bytes:
                consumer.put_back(row)
                self.waiting.popleft()
                consumer.say(request.reply, status(409, "Message Size Exceeds MaxBytes", request))
                continue
            extra = [("Nats-Pin-Id", self.pin.id)] if self.pinning else ()
            size = consumer.send(row, request.reply, now, extra)
            room -= size + PER_MESSAGE
            request.batch -= 1
            request.left_bytes = max(request.left_bytes - size, 0)
            self._turn(request, now)

    def _burst(self, first: PullRequest, room: int, now: int) -> Burst:
        """All that is asked for, where nothing but the number of messages decides and all of it goes one way: who
        consumes without a pause has two requests here at times."""
        receiver = sole_receiver(self.consumer.account.sublist.match_once(first.reply))
        if receiver is None or self.consumer.config.priority_policy:
            return NOTHING
        if any(other.sized or other.reply != first.reply or 0 < other.expires_at <= now for other in self.waiting):
            return NOTHING
        asked = sum(max(request.batch, 1) for request in self.waiting)
        sent = burst(self.consumer, receiver, min(asked, room // PER_MESSAGE + 1), now)
        if len(self.waiting) == 1 and sent.messages:
            first.batch -= sent.messages
            self._turn(first, now)
            return sent
        for _ in range(sent.messages):  # each in its turn
            self.waiting[0].batch -= 1
            self._turn(self.waiting[0], now)
        return sent

    def _listeners(self, reply: str) -> Sequence[Subscription]:
        plain, queues = self.consumer.account.sublist.match_once(reply)
        return plain if not queues else [*plain, *(sub for group in queues for sub in group)]

    @property
    def pinning(self) -> bool:
        return self.consumer.config.priority_policy == "pinned_client"

    def _may_be_served(self, request: PullRequest) -> bool:
        """Is it this request's turn, as far as priorities are concerned?"""
        match self.consumer.config.priority_policy:
            case "overflow":
                return overflows(self.consumer, request)
            case "pinned_client":
                return not self.pin.id or bool(request.pin)
        return True

    def unpin(self, reason: str) -> None:
        self.pin.take(reason)
        self.deliver(self.consumer.clock.monotonic())

    def _turn(self, request: PullRequest, now: int) -> None:
        """One message was served: the next request's turn, or the end of this one."""
        self.waiting.popleft()
        if request.batch > 0:
            if request.heartbeat_ns:
                request.heartbeat_at = now + request.heartbeat_ns
            self._line_up(request)
        elif request.sized and request.left_bytes > 0:
            self.consumer.say(request.reply, status(409, "Batch Completed", request))

    # ---- time

    def deadline(self) -> int | None:
        found = [deadline for request in self.waiting if (deadline := request.deadline())]
        if self.pin.expires_at:
            found.append(self.pin.expires_at)
        if self.go_on_at:
            found.append(self.go_on_at)
        return min(found, default=None)

    def tick(self, now: int) -> None:
        """End requests that have expired, send heartbeats."""
        if 0 < self.pin.expires_at <= now:
            self.unpin("timeout")
        for request in list(self.waiting):
            if request.expires_at and request.expires_at <= now:
                self.waiting.remove(request)
                self._expire(request)
            elif request.heartbeat_at and request.heartbeat_at <= now:
                request.heartbeat_at = now + request.heartbeat_ns
                self._heartbeat(request)

    def is_wanted(self) -> bool:
        """Does anybody wait for messages?"""
        self._drop_uninterested()
        return bool(self.waiting)

    def _expire(self, request: PullRequest) -> None:
        self.consumer.active_at = self.consumer.clock.monotonic()
        self.consumer.say(request.reply, status(408, "Request Timeout", request))

    def _heartbeat(self, request: PullRequest) -> None:
        consumer_seq, stream_seq = self.consumer.acks.delivered
        last = [("Nats-Last-Consumer", str(consumer_seq)), ("Nats-Last-Stream", str(stream_seq))]
        self.consumer.say(request.reply, status_block(100, "Idle Heartbeat", last))

    def detach(self) -> None:
        """Nobody finds the consumer any more."""

    def close(self) -> None:
        """Tell those who wait."""
        for request in self.waiting:
            self.consumer.say(request.reply, status(409, "Consumer Deleted"))
        self.waiting.clear()
