"""Delivery to those who ask: pull requests that wait, in turn (reference: jetstream.md section 5)."""

from collections import deque
from typing import TYPE_CHECKING

from edge.jetstream.pull import BadRequest, PullRequest, over_cap, parse_pull, status
from edge.message import status_block

if TYPE_CHECKING:
    from edge.jetstream.consumer import Consumer


class Pulls:
    def __init__(self, consumer: "Consumer") -> None:
        self.consumer = consumer
        self.waiting: deque[PullRequest] = deque()

    def open(self) -> None:
        """Whoever wants messages asks."""

    # ---- requests

    def request(self, reply: str, body: bytes, now: int) -> None:
        """``CONSUMER.MSG.NEXT``: wait for messages, or a status at once."""
        consumer = self.consumer
        try:
            fields = parse_pull(body)
            request = PullRequest(reply, fields, now)
        except BadRequest as exc:
            consumer.say(reply, status(400, f"Bad Request - {exc}"))
            return
        if refusal := over_cap(consumer.config, fields):
            consumer.say(reply, status(409, refusal))
        elif self._has_room(request):
            self.waiting.append(request)
            self.deliver(now)
            if request.no_wait and not request.expires_at and request in self.waiting:
                self._end_no_wait(request)

    def _has_room(self, request: PullRequest) -> bool:
        most = self.consumer.config.max_waiting
        if len(self.waiting) >= most:
            self._drop_uninterested()
        if len(self.waiting) < most:
            return True
        if not request.heartbeat_ns:
            self.consumer.say(request.reply, status(409, "Exceeded MaxWaiting"))
        return False

    def _end_no_wait(self, request: PullRequest) -> None:
        self.waiting.remove(request)
        if self.waiting and self.consumer.num_pending():
            self.consumer.say(request.reply, status(408, "Requests Pending"))
        else:
            self.consumer.say(request.reply, status(404, "No Messages"))

    def _drop_uninterested(self) -> None:
        self.waiting = deque(request for request in self.waiting if self.consumer.has_listener(request.reply))

    # ---- delivery

    def deliver(self, now: int) -> None:
        """Give waiting requests what there is: what must come again before what is new."""
        consumer = self.consumer
        while self.waiting:
            request = self.waiting[0]
            if not consumer.has_listener(request.reply):
                self.waiting.popleft()
                continue
            if request.expires_at and request.expires_at <= now:
                self._expire(self.waiting.popleft())
                continue
            if request.sized:
                consumer.num_pending()  # counted now, it stays right when the message is taken
            row = consumer.next(now)
            if row is None:
                return
            if request.sized and consumer.size(row) > request.left_bytes:
                consumer.put_back(row)
                self.waiting.popleft()
                consumer.say(request.reply, status(409, "Message Size Exceeds MaxBytes", request))
                continue
            size = consumer.send(row, request.reply, now)
            request.batch -= 1
            request.left_bytes = max(request.left_bytes - size, 0)
            self._turn(request, now)

    def _turn(self, request: PullRequest, now: int) -> None:
        """One message was served: the next request's turn, or the end of this one."""
        self.waiting.popleft()
        if request.batch > 0:
            if request.heartbeat_ns:
                request.heartbeat_at = now + request.heartbeat_ns
            self.waiting.append(request)
        elif request.sized and request.left_bytes > 0:
            self.consumer.say(request.reply, status(409, "Batch Completed", request))

    # ---- time

    def deadline(self) -> int | None:
        return min((deadline for request in self.waiting if (deadline := request.deadline())), default=None)

    def tick(self, now: int) -> None:
        """End requests that have expired, send heartbeats."""
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
