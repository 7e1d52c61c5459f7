"""A snapshot: the archive of a stream on its way to who asked for it, in chunks, no more of them than are acknowledged.

What it says is as of its beginning: the messages that were there (but for those that are taken away before their turn),
and the consumers with their places.  Publishers and consumers go on meanwhile, because it works in short turns.
"""

import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from edge.core.peer import Subscription
from edge.core.times import SECOND, rfc3339
from edge.jetstream.advisories import random_name
from edge.jetstream.archive import ArchiveWriter, ConsumerPart, EndPart, Part, StreamPart
from edge.jetstream.info import Fields, stored
from edge.jetstream.stream import Stream
from edge.message import status_block
from edge.store.contract import Row
from edge.subjects import matches

if TYPE_CHECKING:
    from edge.jetstream.account import JetStreamAccount

INTEREST_NS = 2 * SECOND  # how long somebody may take to listen
ACK_NS = 5 * SECOND  # how long all chunks under way may be without an ack
TURN = 64 << 10  # bytes of messages that are packed before others have their turn
ROWS = 64

log = logging.getLogger("edge.jetstream")


class Asked(NamedTuple):
    deliver: str
    with_consumers: bool
    with_check: bool  # a message that is damaged ends it
    chunk: int  # bytes
    window: int  # chunks under way


class Snapshot:
    """``begin`` after the request is answered."""

    def __init__(
        self, jetstream: "JetStreamAccount", stream: Stream, asked: Asked, state: Fields, client: object
    ) -> None:
        self.jetstream = jetstream
        self.account = jetstream.account
        self.clock = jetstream.clock
        self.stream = stream
        self.asked = asked
        self.state = state  # as the API shows it
        self.client = client
        self.start_ns = self.clock.wall()
        self.writer = ArchiveWriter()
        self.parts: deque[Part] = deque(_head(jetstream, stream, asked.with_consumers))
        self.next_seq, self.last_seq = stream.first_seq, stream.last_seq
        self.messages = 0
        self.packed = bytearray()
        self.is_packed = False  # all of it
        self.chunks = 0
        self.free = asked.window
        self.deadline_ns: int | None = None
        self.begun = self.turning = self.done = False
        self.ack_subject = f"$JS.SNAPSHOT.ACK.{stream.name}.{random_name(22)}"
        self.acks: Subscription | None = None

    def begin(self) -> None:
        log.info("Starting snapshot for stream '%s > %s'", self.account.name, self.stream.name)
        self.jetstream.advisories.snapshot_created(self.stream.name, self.state, self.client)
        self.acks = self.account.subscribe(f"{self.ack_subject}.>", self._acked)
        self.account.interest_listeners.append(self._on_interest)
        if self.account.has_interest(self.asked.deliver):
            self._start()
        else:
            self._wait(INTEREST_NS)

    def _start(self) -> None:
        self.begun = True
        self._wait(ACK_NS)
        self._go_on()

    # ---- what comes back

    def _acked(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        self.free += 1
        self._go_on()

    def _on_interest(self, sub: Subscription, is_new: bool) -> None:
        if is_new is not self.begun and matches(sub.subject, self.asked.deliver):
            self.jetstream.later(self._look)  # others are still being told of this change

    def _look(self) -> None:
        is_wanted = self.account.has_interest(self.asked.deliver)
        if self.done or is_wanted is self.begun:
            return
        if is_wanted:
            self._start()
        else:
            self._end("no interest", status_block(408, "No Interest"))

    # ---- what goes out

    def _go_on(self) -> None:
        if not self.turning:
            self.turning = True
            self.jetstream.later(self._turn)

    def _turn(self) -> None:
        """A little more is packed, and at most one chunk sent."""
        self.turning = False
        if self.done or not self.free:
            return
        problem = self._pack()
        if problem:
            self._end(problem, status_block(500, problem))
        elif len(self.packed) >= self.asked.chunk:
            self._send()
            self._go_on()
        elif self.is_packed:
            if self.packed:
                self.account.publish(self.asked.deliver, bytes(self.packed))
            self._end("", status_block(204) if self.chunks else b"")
        else:
            self._go_on()

    def _send(self) -> None:
        chunk = bytes(memoryview(self.packed)[: self.asked.chunk])
        del self.packed[: self.asked.chunk]
        self.chunks += 1
        self.free -= 1
        self._wait(ACK_NS)
        self.account.publish(self.asked.deliver, chunk, reply=f"{self.ack_subject}.{len(chunk)}.{self.chunks}")

    def _pack(self) -> str:
        """Until there is a chunk, or this turn is over; why it cannot go on."""
        room = TURN
        while len(self.packed) < self.asked.chunk and room > 0 and not self.is_packed:
            if not self.parts and (problem := self._read()):
                return problem
            part = self.parts.popleft()
            if isinstance(part, Row):
                self.messages += 1
                room -= len(part.payload) + len(part.headers) + 100
            elif isinstance(part, EndPart):
                part, self.is_packed = EndPart(self.messages), True
            self.packed += self.writer.put(part)
        return ""

    def _read(self) -> str:
        """The next messages, or the end."""
        stream = self.stream
        if self.jetstream.streams.get(stream.name) is not stream:
            return "stream deleted"
        rows = [row for row in stream.scan(self.next_seq, ROWS) if row.seq <= self.last_seq]
        last = rows[-1].seq if rows else self.last_seq
        if self.asked.with_check and self._missing(len(rows), last):
            return f"messages between {self.next_seq} and {last} are damaged"
        self.next_seq = last + 1
        self.parts.extend(rows or [EndPart(0)])
        return ""

    def _missing(self, found: int, last: int) -> bool:
        stream, first = self.stream, max(self.next_seq, self.stream.first_seq)
        there = stream.store.count(stream.id, first, last)[0] if first <= last else 0
        return there - sum(first <= seq <= last for seq in stream.leaving) > found

    # ---- time, and the end

    def _wait(self, ns: int) -> None:
        self.deadline_ns = self.clock.monotonic() + ns
        self.clock.wake()

    def deadline(self) -> int | None:
        return self.deadline_ns

    def tick(self, now: int) -> None:
        if self.deadline_ns is None or now < self.deadline_ns:
            return
        if not self.begun:  # nats-server sends all the same
            self._start()
        elif self.free:
            self._wait(ACK_NS)
        else:
            self._end("no flow response", status_block(408, "No Flow Response"))

    def _end(self, problem: str, headers: bytes) -> None:
        self.done = True
        self.jetstream.transfers.discard(self)
        if self.acks is not None:
            self.account.unsubscribe(self.acks)
        self.account.interest_listeners.remove(self._on_interest)
        self.account.publish(self.asked.deliver, headers=headers)
        now = self.clock.wall()
        start, end = rfc3339(self.start_ns), rfc3339(now)
        self.jetstream.advisories.snapshot_completed(self.stream.name, start, end, self.client, problem)
        name = f"stream '{self.account.name} > {self.stream.name}'"
        if problem:
            log.warning("Snapshot for %s failed: %s", name, problem)
        else:
            log.info("Completed snapshot of %d messages for %s", self.messages, name)


def _head(jetstream: "JetStreamAccount", stream: Stream, with_consumers: bool) -> list[Part]:
    consumers = [
        ConsumerPart(consumer.name, consumer.record(), consumer.acks.encode().decode())
        for consumer in jetstream.consumers[stream.name].values()
        if with_consumers and not consumer.config.direct
    ]
    config = stored(stream.config.fields(), stream.config.level)
    return [StreamPart(config, stream.state(), len(consumers)), *consumers]
