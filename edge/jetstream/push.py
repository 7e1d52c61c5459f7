"""Delivery without asking: to a subject, while somebody listens there (reference: jetstream.md section 4).

Flow control: when half of the window has gone out, the receiver is asked to answer; what was sent up to then is its
to account for, and once more than the window is out nothing follows until the answer.  Each answer doubles the
window, up to ``MAX_WINDOW``.
"""

import random
from collections import deque
from typing import TYPE_CHECKING

from edge.core.peer import Link, Peer, Subscription, sole_receiver
from edge.jetstream.burst import NOTHING, Burst, burst
from edge.jetstream.pull import PullRequest, status
from edge.message import header_get, status_block

if TYPE_CHECKING:
    from edge.jetstream.consumer import Consumer

MAX_WINDOW = 32 << 20
SLICE = 1 << 19  # bytes that go in one turn: others want theirs
LINK_SLICE = 1 << 17  # over a leaf connection: a slow one has to carry it before a PONG or a command gets its turn
PER_MESSAGE = 512  # what the turn of a small message costs, in bytes
HOLD_NS = 10_000_000
FIRST_WINDOW = MAX_WINDOW // 16
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Push:
    """``open`` and ``close`` stand around its life: it watches who listens and hears answers to flow control."""

    def __init__(self, consumer: "Consumer") -> None:
        self.consumer = consumer
        self.waiting: deque[PullRequest] = deque()  # nobody asks
        self.active = self.unseen = False
        self.window = FIRST_WINDOW
        self.sent = 0  # bytes that the receiver has not accounted for
        self.asked = ""  # the flow control request that is out
        self.asked_for = 0  # bytes that its answer accounts for
        self.heartbeat_at = 0
        self.links: list[Link] = []  # that lead to listeners
        self.receivers: list[Peer] = []  # listeners here
        self.go_on_at = 0  # there was more to send than a turn allows, or somebody does not keep up
        self.answers: Subscription | None = None

    def open(self, soon: bool = False) -> None:
        """``soon``: at the end of this batch whoever listens is looked for, when the client has its answer."""
        consumer = self.consumer
        consumer.account.interest_listeners.append(self._on_interest)
        if consumer.config.flow_control:
            subject = f"$JS.FC.{consumer.stream.name}.{consumer.name}.*"
            self.answers = consumer.account.subscribe(subject, self._on_answer)
        if soon:
            self.unseen = True
            consumer.deliver_soon()
        else:
            self._look()

    def close(self) -> None:
        self.detach()

    def detach(self) -> None:
        if self._on_interest in self.consumer.account.interest_listeners:
            self.consumer.account.interest_listeners.remove(self._on_interest)
        if self.answers is not None:
            self.consumer.account.unsubscribe(self.answers)
            self.answers = None
        self.active = False

    def unpin(self, reason: str) -> None:
        """Nobody is pinned where nobody asks."""

    def request(self, reply: str, body: bytes, now: int) -> None:
        self.consumer.say(reply, status(409, "Consumer is push based"))

    # ---- who listens

    def _on_interest(self, sub: Subscription, is_there: bool) -> None:
        if self.active is not is_there and sub.subject == self.consumer.config.deliver_subject:
            self._look()

    def _look(self) -> None:
        """Only who names the subject counts: somebody who reads along under a wildcard takes nothing."""
        consumer = self.consumer
        subject, group = consumer.config.deliver_subject, consumer.config.deliver_group
        plain, queues = consumer.account.sublist.match_once(subject)
        groups = [plain] if not group else [members for members in queues if members[0].queue == group]
        listeners = [sub for members in groups for sub in members if sub.subject == subject]
        listening = bool(listeners)
        self.links = [sub.peer for sub in listeners if isinstance(sub.peer, Link)]
        self.receivers = [sub.peer for sub in listeners if not isinstance(sub.peer, Link)]
        now = consumer.clock.monotonic()
        if listening is self.active:
            return
        self.active = listening
        consumer.active_at = now
        if listening:
            self.sent = self.asked_for = 0
            self.asked = ""
            self.heartbeat_at = now + consumer.config.idle_heartbeat_ns if consumer.config.idle_heartbeat_ns else 0
        consumer.clock.wake()
        if listening:
            consumer.deliver_soon()

    def is_wanted(self) -> bool:
        return self.active

    # ---- delivery

    def deliver(self, now: int) -> None:
        if self.unseen:
            self.unseen = False
            self._look()
        consumer = self.consumer
        config = consumer.config
        self.go_on_at = 0
        if self._is_loaded():
            self.go_on_at = now + HOLD_NS
            consumer.clock.wake()
            return
        room = LINK_SLICE if self.links else SLICE
        while self.active and not (config.flow_control and self.sent > self.window):
            if room <= 0 or any(link.is_congested() for link in self.links):
                self.go_on_at = now if room <= 0 else now + HOLD_NS
                consumer.clock.wake()
                return
            sent = self._send(room // PER_MESSAGE + 1, now)
            if not sent.messages:
                return
            room -= sent.size + sent.messages * PER_MESSAGE
            if config.idle_heartbeat_ns:
                self.heartbeat_at = now + config.idle_heartbeat_ns
            if config.flow_control:
                self._count(sent.size)

    def _send(self, most: int, now: int) -> Burst:
        consumer, subject = self.consumer, self.consumer.config.deliver_subject
        receiver = sole_receiver(consumer.account.sublist.match_once(subject))
        if receiver is not None and (sent := burst(consumer, receiver, most, now)).messages:
            return sent
        row = consumer.next(now)
        return NOTHING if row is None else Burst(1, consumer.send(row, subject, now))

    def _is_loaded(self) -> bool:
        """What one of them is too slow for stays on disk: in memory it would wait for it anyway."""
        loaded = (peer.is_loaded() for peer in self.receivers)
        return bool(self.receivers) and (all(loaded) if self.consumer.config.deliver_group else any(loaded))

    def _count(self, size: int) -> None:
        self.sent += size
        if not self.asked:
            if self.sent > self.window // 2:
                self._ask()
        elif self.sent - self.asked_for >= self.window:
            self.asked_for += size

    def _ask(self) -> None:
        consumer = self.consumer
        name = "".join(random.choices(ALPHABET, k=4))
        self.asked = f"$JS.FC.{consumer.stream.name}.{consumer.name}.{name}"
        self.asked_for = self.sent
        consumer.say(consumer.config.deliver_subject, status_block(100, "FlowControl Request"), self.asked)

    def _on_answer(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        if subject != self.asked:
            return
        self.window = min(self.window * 2, MAX_WINDOW)
        self.sent = max(self.sent - self.asked_for, 0)
        self.asked, self.asked_for = "", 0
        consumer = self.consumer
        if consumer.config.ack_policy == "flow_control" and headers:
            last = header_get(headers, "Nats-Last-Stream") or ""
            if last.isdecimal() and int(last):
                consumer.acknowledge(int(last))
        consumer.deliver_soon()

    # ---- time

    def deadline(self) -> int | None:
        if not self.active:
            return None
        return min(filter(None, (self.heartbeat_at, self.go_on_at)), default=None)

    def tick(self, now: int) -> None:
        if not self.active or not self.heartbeat_at or now < self.heartbeat_at:
            return
        consumer = self.consumer
        self.heartbeat_at = now + consumer.config.idle_heartbeat_ns
        consumer_seq, stream_seq = consumer.acks.delivered
        lines = [("Nats-Last-Consumer", str(consumer_seq)), ("Nats-Last-Stream", str(stream_seq))]
        if self.asked:
            lines.append(("Nats-Consumer-Stalled", self.asked))
        consumer.say(consumer.config.deliver_subject, status_block(100, "Idle Heartbeat", lines))
        if consumer.config.ack_policy == "flow_control" and consumer.acks.pending and not self.asked:
            self._ask()
