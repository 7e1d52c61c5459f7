"""The state that this edge reports: a bucket here, whose last values the hub gets.

What counts is the last value of a key, so nothing has to arrive that was overtaken, and a value may arrive twice: of
each key one message is under way at a time, and it is the newest.  The hub's PubAck is the proof; up to where
everything is there is on disk, so that a restart goes on from it.

The key ``<edge>.pump.level`` goes up as ``reported.<edge>.pump.level``: subjects of buckets do not cross leafs between
JetStream domains.  The hub's stream takes ``reported.>`` and stores it as its own bucket (docs/downlink.md).
"""

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from edge.core.leaf_link import LeafLink
from edge.core.peer import Subscription
from edge.core.times import SECOND, Clock
from edge.core.wall_clock import Moment
from edge.errors import StoreError
from edge.jetstream.stream import Stream
from edge.message import header_block, header_items
from edge.store.contract import Row
from edge.subjects import overlap
from edge.uplink.answers import Refused, parse_puback
from edge.uplink.headers import rfc3339

log = logging.getLogger("edge")

WINDOW = 32
ANSWER_NS = 10 * SECOND
FIRST_RETRY_NS, LAST_RETRY_NS = SECOND, 60 * SECOND
SAVE_NS = 2 * SECOND


class Purse(Protocol):
    """What may be spent on a metered line, in bytes."""

    def room(self, is_urgent: bool, now: int) -> int: ...
    def spend(self, size: int, is_urgent: bool) -> None: ...


class Flight(NamedTuple):
    seq: int
    sent_at: int  # monotonic


class Reported:
    """``stream``: of the bucket here, one value of each key; ``bucket`` its name."""

    def __init__(
        self,
        bucket: str,
        stream: Stream,
        link: LeafLink,
        values: Mapping[str, bytes],
        clock: Clock,
        moment: Callable[[int], Moment],
        purse: Purse | None,
        inbox: str,
    ) -> None:
        self.prefix = f"$KV.{bucket}."
        self.key = f"reported:{bucket}:{stream.created_ns}"
        self.stream = stream
        self.link = link
        self.clock = clock
        self.moment = moment
        self.purse = purse
        self.inbox = inbox
        kept = values.get(self.key, b"")
        self.floor = int(kept) if kept.isdigit() else 0
        self.next_seq = self.floor + 1
        self.waiting: dict[str, int] = {}  # the newest sequence of each subject that the hub may not have
        self.flights: dict[str, Flight] = {}
        self.retry_at = 0
        self.backoff = FIRST_RETRY_NS
        self.save_at = 0
        self.reason = ""
        link.account.subscribe(f"{inbox}.>", self._on_answer)
        link.listeners.append(self._on_link)
        link.account.interest_listeners.append(self._on_interest)
        stream.listeners.append(self._on_stored)
        self._on_stored()

    # ---- events

    def _on_stored(self) -> None:
        while rows := self.stream.scan(self.next_seq, 256):
            for row in rows:
                self.waiting[row.subject] = row.seq
            self.next_seq = rows[-1].seq + 1
        self._pump(self.clock.monotonic())

    def _on_link(self, up: bool) -> None:
        self.flights.clear()
        self.retry_at, self.backoff = 0, FIRST_RETRY_NS
        self._pump(self.clock.monotonic())

    def _on_interest(self, sub: Subscription, added: bool) -> None:
        """The hub has a stream for it now: until then it answers nothing."""
        if added and sub.peer is self.link and overlap(sub.subject, "reported.>") and (self.retry_at or self.flights):
            self.flights.clear()
            self.retry_at, self.backoff = self.clock.monotonic(), FIRST_RETRY_NS
            self.clock.wake()

    def _on_answer(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        seq, _, key = subject[len(self.inbox) + 1 :].partition(".")
        now, name = self.clock.monotonic(), self.prefix + key
        flight = self.flights.get(name)
        if flight is None or seq != str(flight.seq):
            return
        answer = parse_puback(headers, payload)
        if isinstance(answer, Refused) and not answer.permanent:
            self._rest(answer.reason, now)
            return
        if isinstance(answer, Refused):
            log.warning("reported %s: the hub will never take it: %s", key, answer.reason)
        else:
            self.reason, self.backoff = "", FIRST_RETRY_NS
        del self.flights[name]
        if self.waiting.get(name) == flight.seq:
            del self.waiting[name]
        self.save_at = self.save_at or now + SAVE_NS
        self._pump(now)

    def deadline(self) -> int | None:
        dues = [due for due in (self.retry_at, self.save_at) if due]
        dues += [flight.sent_at + ANSWER_NS for flight in self.flights.values()]
        return min(dues, default=None)

    def tick(self, now: int) -> None:
        if self.save_at and now >= self.save_at:
            self._save()
        if any(now >= flight.sent_at + ANSWER_NS for flight in self.flights.values()):
            self._rest("no answer from the hub", now)
        if self.retry_at and now >= self.retry_at:
            self.retry_at = 0
            self._pump(now)

    # ---- sending

    def _pump(self, now: int) -> None:
        if not self.link.up or self.retry_at:
            return
        for subject, seq in list(self.waiting.items()):
            if len(self.flights) >= WINDOW:
                break
            if subject in self.flights:
                continue
            if self.purse is not None and self.purse.room(False, now) <= 0:
                self.retry_at = now + SECOND
                break
            row = self.stream.get(seq)
            if row is None:  # its bucket has been purged, or it has just been overtaken
                del self.waiting[subject]
            elif not self._send(subject, row, now):
                break
        self.clock.wake()

    def _send(self, subject: str, row: Row, now: int) -> bool:
        key = subject.removeprefix(self.prefix)
        moment = self.moment(row.time_ns)
        kept = [item for item in header_items(row.headers) if not item[0].startswith("Nats-")]
        ours = [("Petiole-Time", rfc3339(moment.time_ns)), ("Petiole-Time-Quality", moment.quality)]
        headers = header_block([*kept, *ours])
        name, reply = f"reported.{key}", f"{self.inbox}.{row.seq}.{key}"
        if refusal := self.link.refusal(name, len(headers) + len(row.payload)):
            self._rest(refusal, now)
            return False
        if not self.link.publish(name, row.payload, reply, headers):
            self._rest("the link takes nothing more", now)
            return False
        self.flights[subject] = Flight(row.seq, now)
        if self.purse is not None:
            self.purse.spend(len(name) + len(reply) + len(headers) + len(row.payload), False)
        return True

    def _rest(self, reason: str, now: int) -> None:
        """Everything that is under way is sent again, after a while."""
        if reason != self.reason:
            log.warning("reported state: waiting: %s", reason)
        self.reason = reason
        self.flights.clear()
        self.retry_at = now + self.backoff
        self.backoff = min(self.backoff * 2, LAST_RETRY_NS)
        self.clock.wake()

    def _save(self) -> None:
        self.save_at = 0
        floor = min(self.waiting.values(), default=self.next_seq) - 1
        if floor > self.floor:
            self.floor = floor
            self.stream.store.put_value(self.key, str(floor).encode())
            self.stream.store.commit(_nobody_waits, False)


def _nobody_waits(error: StoreError | None) -> None:
    """After a restart more is sent than is needed."""
