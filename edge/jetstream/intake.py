"""The consumer that a stream has at one of its origins: asked for, listened to, and asked for again when it is lost
(reference: sourcing.md sections 1, 2 and 4).

Nothing is acknowledged on this way.  What makes it whole is the consumer's own count: a gap in it, or silence, ends
the consumer, and the next one begins behind the last message that was taken.  Where nats-server waits for an answer
that the link has lost (30 s), or for silence to be noticed (10 s), this asks again as soon as the origin can be
reached again.

Time is monotonic nanoseconds.
"""

import enum
import logging
import random
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from edge.core.account import Account
from edge.core.peer import Callback, PeerKind, Subscription
from edge.core.times import SECOND, Clock
from edge.errors import ApiError
from edge.jetstream.advisories import random_name
from edge.jetstream.origin import Origin
from edge.jetstream.origin_consumer import (
    DERIVED,
    SILENCE_NS,
    SOURCE,
    Created,
    Kind,
    Start,
    at_origin,
    creation,
    parse_answer,
    parse_delivery,
    parse_origin,
)
from edge.message import header_block, header_get
from edge.subjects import is_literal, matches

log = logging.getLogger("edge.jetstream")

ANSWER_NS = 10 * SECOND  # how long a request may take before it is asked again
RESET_ANSWER_NS = 5 * SECOND
BETWEEN_NS = 2 * SECOND  # two requests have at least this between them
RETURNED_NS = SECOND // 5  # or this, when the way to the origin is there again
BACKOFF_NS = 10 * SECOND  # for each failure
BACKOFF_MAX_NS = 120 * SECOND
REFUSED_MAX_NS = 60 * SECOND
FIRST_NS = (100_000_000, 200_000_000)  # a first request waits somewhere between these: others begin too
CONTROL = b"NATS/1.0 100 "
LEVEL_TOO_LOW, BAD_JSON, NOT_CHANGED, OTHER_IDENTITY, NO_STREAM = 10185, 10025, 10012, 10225, 10059
NEWS = "$JS.EVENT.ADVISORY.STREAM.CREATED."
UNAVAILABLE = 503
FLOW_CONTROL = "flow_control"
NOT_TOLD = ApiError(400, 10012, "a server before 2.14 does not answer which retention the origin has (STREAM.INFO)")
SENT_ONCE = ApiError(
    400, 10012, "the origin's retention is not limits: a server before 2.14 would lose what is on its way"
)


class Message(NamedTuple):
    """One that an origin sent: under the subject and with the time it has there."""

    subject: str
    headers: bytes
    payload: bytes
    seq: int
    time_ns: int


class Owner(Protocol):
    """The stream's side."""

    def start(self, intake: "Intake") -> Start: ...

    def established(self, intake: "Intake", before: int, listen: Callable[[], None]) -> None:
        """There is a consumer, which begins behind ``before``; ``listen`` lets it send."""

    def recreated(self, intake: "Intake") -> None:
        """The origin is another stream than the one that was known under this name."""

    def take(self, intake: "Intake", message: Message) -> None: ...

    def when_stored(self, call: Callable[[], None]) -> None:
        """``call`` once all that was taken until now is on disk."""


class State(enum.Enum):
    STOPPED = "stopped"
    WAITING = "waiting"  # until ``due``
    ASKING = "asking"  # until ``due``
    LISTENING = "listening"


class Intake:
    """``name`` is that of our consumer there, for a stream to be known by; ``told`` what it tells of itself."""

    def __init__(
        self, owner: Owner, origin: Origin, kind: Kind, account: Account, clock: Clock, name: str, told: dict[str, str]
    ) -> None:
        self.owner = owner
        self.origin = origin
        self.kind = kind
        self.account = account
        self.clock = clock
        self.stable_name = kind.consumer + name
        self.told = {kind.metadata + key: value for key, value in told.items() if value}
        self.transforms = [transform.make() for transform in origin.transforms]
        self.state = State.STOPPED
        self.due = 0
        self.turn = 0  # counts consumers: what belongs to an earlier one is passed over
        self.asked_at: int | None = None
        self.fails = 0
        self.refusals = 0  # by the owner, since it last kept something
        self.complained = ""
        self.cut = False  # the way to the origin was lost since it was last asked
        self.levels = list(kind.levels)
        self.is_old = False  # the origin is a server before 2.14, as far as is known
        self.identity = ""  # of the origin stream, where that is known
        self.consumer = ""
        self.consumer_seq = 0
        self.seq = 0  # of the last message that was taken
        self.lag = 0
        self.heard_at: int | None = None
        self.error: ApiError | None = None
        self.unanswered: Callable[[], None] = self._on_none
        self.answer_sub: Subscription | None = None
        self.deliver_sub: Subscription | None = None
        self.news_sub: Subscription | None = None

    @property
    def shows_seq(self) -> bool:
        """A mirror's sequence is that of its last message anyway."""
        return self.kind is SOURCE

    @property
    def api_subject(self) -> str:
        """What anybody must listen to for the origin to be there."""
        return at_origin(self.origin, f"$JS.API.CONSUMER.CREATE.{self.origin.name}")

    def begin(self) -> None:
        self.account.interest_listeners.append(self._on_interest)
        self._wait(random.randrange(*FIRST_NS))

    def stop(self) -> None:
        if self._on_interest in self.account.interest_listeners:
            self.account.interest_listeners.remove(self._on_interest)
        self._cancel()
        self._end_news()
        self.state = State.STOPPED

    def forget(self) -> None:
        """The stream wants no more of this, ever: a consumer that outlives us need not."""
        self.stop()
        if self.origin.consumer is None:
            self._delete(self.stable_name)

    def _delete(self, name: str) -> None:
        self.account.publish(at_origin(self.origin, f"$JS.API.CONSUMER.DELETE.{self.origin.name}.{name}"))

    def again(self, error: ApiError) -> None:
        """What was taken last could not be kept: once more from where the owner says, soon at first.  Each time a
        window of messages may come in vain."""
        if self.state is State.STOPPED:
            return
        self.refusals += 1
        self._retry()
        self._tell(error)

    def kept(self) -> None:
        """What was taken could be kept."""
        if self.refusals:
            self.refusals = 0
            log.info("%s: goes on", self)

    def refuse(self, error: ApiError) -> None:
        """The owner cannot do with this origin as it is."""
        self._failed(error)

    # ---- time

    def deadline(self) -> int | None:
        if self.state is State.LISTENING:
            return (self.heard_at or 0) + SILENCE_NS
        return self.due if self.state is not State.STOPPED else None

    def tick(self, now: int) -> None:
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return
        match self.state:
            case State.WAITING:
                self._ask()
            case State.ASKING:
                self.unanswered()
            case State.LISTENING:
                self._retry()

    def _retry(self, between: int = BETWEEN_NS) -> None:
        """Ask again, not too soon after the last time."""
        self._cancel()
        now = self.clock.monotonic()
        since = now - self.asked_at if self.asked_at is not None else between
        pause = min(self.fails * BACKOFF_NS, BACKOFF_MAX_NS)
        if self.refusals > 1:
            pause = max(pause, min(BETWEEN_NS << min(self.refusals, 10), REFUSED_MAX_NS))
        self._wait(max(between - since, 0) + pause)

    def _wait(self, pause: int) -> None:
        self.state = State.WAITING
        self.due = self.clock.monotonic() + pause
        self.clock.wake()

    def _failed(self, error: ApiError | None) -> None:
        self.fails += 1
        self.is_old = False
        self._retry()
        self._tell(error)

    def _tell(self, error: ApiError | None) -> None:
        """One line for each thing that is wrong, however often."""
        self.error = error
        if error is not None and error.description != self.complained:
            self.complained = error.description
            log.warning("%s: %s (%d)", self, error.description, error.err_code)

    def __str__(self) -> str:
        external = self.origin.external
        where = f" at {external.api}" if external is not None else ""
        return f"stream {self.told[self.kind.metadata + 'stream']}: from {self.origin.name}{where}"

    def _cancel(self) -> None:
        self.turn += 1
        self.consumer = ""
        for sub in (self.answer_sub, self.deliver_sub):
            if sub is not None:
                self.account.unsubscribe(sub)
        self.answer_sub = self.deliver_sub = None

    def _on_interest(self, sub: Subscription, is_there: bool) -> None:
        """A hub that comes back may have been started anew: its consumer is gone, and whatever it was asked."""
        if sub.peer.kind not in (PeerKind.LEAF, PeerKind.GATE) or not matches(sub.subject, self.api_subject):
            return
        if not is_there:
            self.cut = True
            self.is_old = False
        elif self.cut or self.state is State.WAITING:
            self.cut = False
            self.fails = 0
            self._retry(RETURNED_NS)

    # ---- asking

    def _ask(self) -> None:
        self._cancel()
        self.cut = False
        self.error = None
        self.levels = [] if self.is_old else list(self.kind.levels)
        self._request()

    def _request(self) -> None:
        consumer = self.origin.consumer
        if consumer is None:
            subject, body = creation(
                self.origin, self.kind, self.stable_name, self.told, self.owner.start(self), bool(self.levels)
            )
        else:
            subject = at_origin(self.origin, f"$JS.API.CONSUMER.RESET.{self.origin.name}.{consumer.name}")
            body = b""
        self._send(subject, body, self._headers(), self._on_answer, self._on_none)

    def _send(
        self, subject: str, body: bytes, headers: bytes, on_answer: Callback, unanswered: Callable[[], None]
    ) -> None:
        self.state = State.ASKING
        self.unanswered = unanswered
        self.due = self.clock.monotonic() + (ANSWER_NS if self.origin.consumer is None else RESET_ANSWER_NS)
        self.clock.wake()
        if self.answer_sub is not None:  # what another server still answers to an earlier form is not for us
            self.account.unsubscribe(self.answer_sub)
        reply = f"$JSC.R.{random_name(8)}"
        self.answer_sub = self.account.subscribe(reply, on_answer)
        turn, sub = self.turn, self.answer_sub
        asked_at, self.asked_at = self.asked_at, self.clock.monotonic()
        sent = self.account.publish(subject, body, reply=reply, headers=headers)
        if not sent.receivers and self.turn == turn and self.answer_sub is sub:
            self.asked_at = asked_at  # nobody there: ``_on_interest`` tells when somebody is
            unanswered()

    def _on_none(self) -> None:
        self._failed(None)
        self._probe()

    def _headers(self) -> bytes:
        if not self.levels:
            return b""
        lines = [("Nats-Required-Api-Level", str(self.levels[0]))]
        if self.levels[0] >= 5:
            lines.append(("Nats-Stream-Identity", "" if self.identity.startswith(DERIVED) else self.identity))
        return header_block(lines)

    # ---- the answer

    def _on_answer(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        try:
            answer = parse_answer(payload)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self._failed(self.kind.setup_failed)
            return
        if isinstance(answer, ApiError):
            self._refused(answer)
        else:
            self._answered(answer, header_get(headers, "Nats-Stream-Identity") or "")

    def _refused(self, error: ApiError) -> None:
        if error.err_code == OTHER_IDENTITY:
            self._forget_origin()
            self._retry()
        elif error.err_code in (LEVEL_TOO_LOW, BAD_JSON) and self.levels:
            self.levels.pop(0)
            self._request()
        elif error.err_code == NOT_CHANGED and self.levels:
            self._ask_as_of_old()
        elif error.code == UNAVAILABLE:  # there is no leader yet, which takes seconds
            self._retry()
            self._tell(error)
        else:
            self._failed(error)
            if error.err_code == NO_STREAM and self.news_sub is None:
                self.news_sub = self.account.subscribe(f"{NEWS}{self.origin.name}", self._on_news)

    def _on_news(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """Its server tells that the origin is there: sooner than by asking, and for nothing on a metered line."""
        if self.state is State.WAITING:
            self.fails = 0
            self._retry()

    def _end_news(self) -> None:
        if self.news_sub is not None:
            self.account.unsubscribe(self.news_sub)
            self.news_sub = None

    def _ask_as_of_old(self) -> None:
        """2.10 and 2.11 take no notice of what they do not know: a name that stays is one consumer for them."""
        self.levels.clear()
        self._request()

    def _forget_origin(self) -> None:
        self.identity = ""
        self.seq = 0
        self.owner.recreated(self)

    def _answered(self, answer: Created, identity: str) -> None:
        if self.levels and not answer.is_sourcing and self.origin.consumer is None:
            self._ask_as_of_old()
        elif identity:
            self._agreed(answer, identity)
        else:
            subject = at_origin(self.origin, f"$JS.API.STREAM.INFO.{self.origin.name}")
            self._send(subject, b"", b"", partial(self._on_info, answer), partial(self._on_no_info, answer))

    def _on_info(self, answer: Created, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """What servers before 2.14 do not say by themselves, what their consumer does to the stream; and those before
        2.15, which stream it is.  As long as we do not listen the consumer sends nothing."""
        try:
            found = parse_origin(payload)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            found = self.kind.setup_failed
        if isinstance(found, ApiError):
            self._failed(found)
        elif found.retention != "limits" and answer.ack_policy != FLOW_CONTROL:
            self._failed(SENT_ONCE)
        elif self.identity.startswith(DERIVED) and self.identity != found.identity:
            if self.origin.consumer is None:  # one that lasts would begin where the old stream was left
                self._delete(answer.name)
            self._forget_origin()
            self._retry()
        else:
            self.is_old = not answer.is_sourcing
            self._agreed(answer, found.identity)

    def _on_no_info(self, answer: Created) -> None:
        """Who may not ask cannot notice a stream that was made anew; what could be lost is not asked for."""
        if answer.is_sourcing or answer.ack_policy == FLOW_CONTROL:
            self._agreed(answer, "")
        else:
            self._failed(NOT_TOLD)

    def _agreed(self, answer: Created, identity: str) -> None:
        deliver = answer.deliver_subject
        if self.origin.consumer is not None:
            if answer.ack_policy != FLOW_CONTROL:
                self._failed(self.kind.needs_flow)
                return
            deliver = self.origin.consumer.deliver_subject
        if self.answer_sub is not None:
            self.account.unsubscribe(self.answer_sub)
            self.answer_sub = None
        is_comparable = identity.startswith(DERIVED) is self.identity.startswith(DERIVED)
        if identity and self.identity and is_comparable and identity != self.identity:
            self._forget_origin()
            self._retry()
            return
        self.identity = identity
        turn = self.turn

        def listen() -> None:
            if self.turn == turn:
                self.lag = answer.pending
                self._listen(answer.name, deliver)

        self.owner.established(self, answer.before, listen)

    def _listen(self, name: str, deliver: str) -> None:
        self.fails = 0
        self.error = None
        if not self.refusals:
            self.complained = ""
        self.consumer = name
        self.consumer_seq = 0
        self.heard_at = self.clock.monotonic()
        self.state = State.LISTENING
        self._end_news()
        self.clock.wake()
        self.deliver_sub = self.account.subscribe(deliver, self._on_message)

    def _probe(self) -> None:
        """A consumer that was made for us lives on without us: when it is heard, it can be asked again."""
        if self.origin.consumer is not None:
            self.deliver_sub = self.account.subscribe(self.origin.consumer.deliver_subject, self._on_life)

    def _on_life(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        if self.state is State.WAITING and self.fails:
            self.fails = 0
            self._retry()

    # ---- messages

    def _on_message(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        self.heard_at = self.clock.monotonic()
        if headers.startswith(CONTROL) and not payload:
            self._on_control(reply, headers)
            return
        place = parse_delivery(reply)
        if place is None or place.consumer != self.consumer or place.deliveries > 1:
            return
        following = place.consumer_seq == self.consumer_seq + 1
        if place.seq <= self.seq:  # known; as when it was sent again after a reset
            self.consumer_seq += following
        elif following:
            self.consumer_seq += 1
            self.seq = place.seq
            self.lag = max(place.pending - 1, 0)
            self.owner.take(self, Message(subject, headers, payload, place.seq, place.time_ns))
        elif place.consumer_seq > self.consumer_seq:
            self._retry()

    def _on_control(self, reply: str, headers: bytes) -> None:
        if reply:
            self._answer_flow(reply)
            return
        last = header_get(headers, "Nats-Last-Consumer") or ""
        if last.isdecimal() and int(last) not in (0, self.consumer_seq):
            self._retry()
        elif stalled := header_get(headers, "Nats-Consumer-Stalled"):
            self._answer_flow(stalled)

    def _answer_flow(self, reply: str) -> None:
        """Behind the commit: what waits for the disk is bounded by the window, and where the answer acknowledges it
        may be gone at the origin."""
        lines = [("Nats-Last-Consumer", str(self.consumer_seq)), ("Nats-Last-Stream", str(self.seq))]
        turn, answer = self.turn, header_block(lines)

        def send() -> None:
            if self.turn == turn and is_literal(reply):
                self.account.publish(reply, headers=answer)

        self.owner.when_stored(send)
