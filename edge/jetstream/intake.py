"""The consumer that a stream has at one of its origins: asked for, listened to, and asked for again when it is lost
(reference: sourcing.md sections 1, 2 and 4).

Nothing is acknowledged on this way.  What makes it whole is the consumer's own count: a gap in it, or silence, ends
the consumer, and the next one begins behind the last message that was taken.  Where nats-server waits for an answer
that the link has lost (30 s), or for silence to be noticed (10 s), this asks again as soon as the origin can be
reached again.

Time is monotonic nanoseconds.
"""

import enum
import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from edge.core.account import Account
from edge.core.peer import PeerKind, Subscription
from edge.core.times import SECOND, Clock
from edge.errors import ApiError
from edge.jetstream.advisories import random_name
from edge.jetstream.fields import MAX_INT64, dumps
from edge.jetstream.origin import Origin
from edge.message import header_block, header_get
from edge.subjects import is_literal, matches

HEARTBEAT_NS = SECOND
SILENCE_NS = 10 * SECOND  # from the origin, and its consumer is taken for lost
ANSWER_NS = 10 * SECOND  # how long a request may take before it is asked again
RESET_ANSWER_NS = 5 * SECOND
BETWEEN_NS = 2 * SECOND  # two requests have at least this between them
BACKOFF_NS = 10 * SECOND  # for each failure
BACKOFF_MAX_NS = 120 * SECOND
FIRST_NS = (100_000_000, 200_000_000)  # a first request waits somewhere between these: others begin too
ACK_WAIT_NS = 22 * 3600 * SECOND
CONTROL = b"NATS/1.0 100 "
LEVEL_TOO_LOW, BAD_JSON, OTHER_IDENTITY = 10185, 10025, 10225


class Message(NamedTuple):
    """One that an origin sent: under the subject and with the time it has there."""

    subject: str
    headers: bytes
    payload: bytes
    seq: int
    time_ns: int


class Start(NamedTuple):
    """Where the next consumer begins: at a sequence, at a time, or (neither) with all there is."""

    seq: int = 0
    time: str = ""


class Kind(NamedTuple):
    """What mirrors and sources do in their own ways."""

    consumer: str  # what their consumers' names begin with
    letter: str  # of their deliver subjects
    metadata: str
    levels: tuple[int, ...]  # API levels to ask for, the best first
    setup_failed: ApiError
    needs_flow: ApiError


MIRROR = Kind(
    "JS_MIRROR_", "M", "_nats.mirror.", (4,),
    ApiError(500, 10029, "invalid consumer create response"),
    ApiError(400, 10214, "stream mirror consumer requires flow control ack policy"),
)  # fmt: skip
SOURCE = Kind(
    "JS_SRC_", "S", "_nats.src.", (5, 4),
    ApiError(500, 10045, "invalid consumer create response"),
    ApiError(400, 10217, "stream source consumer requires flow control ack policy"),
)  # fmt: skip


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
        self.cut = False  # the way to the origin was lost since it was last asked
        self.levels = list(kind.levels)
        self.identity = ""  # of the origin stream, where that is known
        self.consumer = ""
        self.consumer_seq = 0
        self.seq = 0  # of the last message that was taken
        self.lag = 0
        self.heard_at: int | None = None
        self.error: ApiError | None = None
        self.answer_sub: Subscription | None = None
        self.deliver_sub: Subscription | None = None

    @property
    def shows_seq(self) -> bool:
        """A mirror's sequence is that of its last message anyway."""
        return self.kind is SOURCE

    @property
    def api_subject(self) -> str:
        """What anybody must listen to for the origin to be there."""
        return self._at_origin(f"$JS.API.CONSUMER.CREATE.{self.origin.name}")

    def begin(self) -> None:
        self.account.interest_listeners.append(self._on_interest)
        self._wait(random.randrange(*FIRST_NS))

    def stop(self) -> None:
        if self._on_interest in self.account.interest_listeners:
            self.account.interest_listeners.remove(self._on_interest)
        self._cancel()
        self.state = State.STOPPED

    def forget(self) -> None:
        """The stream wants no more of this, ever: a consumer that outlives us need not."""
        self.stop()
        if self.origin.consumer is None:
            self.account.publish(self._at_origin(f"$JS.API.CONSUMER.DELETE.{self.origin.name}.{self.stable_name}"))

    def again(self, failed: bool = False) -> None:
        """What was taken last could not be kept: once more from where the owner says, soon or (``failed``) later."""
        if failed:
            self.fails = max(self.fails, 1)
        self._retry()

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
                self._failed(None)
                self._probe()
            case State.LISTENING:
                self._retry()

    def _retry(self) -> None:
        """Ask again, not too soon after the last time."""
        self._cancel()
        now = self.clock.monotonic()
        since = now - self.asked_at if self.asked_at is not None else BETWEEN_NS
        pause = min(self.fails * BACKOFF_NS, BACKOFF_MAX_NS)
        self._wait(max(BETWEEN_NS - since, 0) + pause)

    def _wait(self, pause: int) -> None:
        self.state = State.WAITING
        self.due = self.clock.monotonic() + pause
        self.clock.wake()

    def _failed(self, error: ApiError | None) -> None:
        self.error = error
        self.fails += 1
        self._retry()

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
        elif self.cut or self.state is State.WAITING:
            self.cut = False
            self.fails = 0
            self._retry()

    # ---- asking

    def _ask(self) -> None:
        self._cancel()
        self.cut = False
        self.error = None
        self.levels = list(self.kind.levels)
        self._request()

    def _request(self) -> None:
        consumer = self.origin.consumer
        self.state = State.ASKING
        self.due = self.clock.monotonic() + (ANSWER_NS if consumer is None else RESET_ANSWER_NS)
        self.clock.wake()
        if self.answer_sub is not None:  # what another server still answers to an earlier form is not for us
            self.account.unsubscribe(self.answer_sub)
        reply = f"$JSC.R.{random_name(8)}"
        self.answer_sub = self.account.subscribe(reply, self._on_answer)
        if consumer is None:
            subject, body = self._creation()
        else:
            subject, body = f"$JS.API.CONSUMER.RESET.{self.origin.name}.{consumer.name}", b""
        turn, sub = self.turn, self.answer_sub
        asked_at, self.asked_at = self.asked_at, self.clock.monotonic()
        sent = self.account.publish(self._at_origin(subject), body, reply=reply, headers=self._headers())
        if not sent.receivers and self.turn == turn and self.answer_sub is sub:
            self.asked_at = asked_at  # nobody there: ``_on_interest`` tells when somebody is
            self._failed(None)

    def _headers(self) -> bytes:
        if not self.levels:
            return b""
        lines = [("Nats-Required-Api-Level", str(self.levels[0]))]
        if self.levels[0] >= 5:
            lines.append(("Nats-Stream-Identity", self.identity))
        return header_block(lines)

    def _creation(self) -> tuple[str, bytes]:
        """Subject and body of the request for a consumer."""
        origin, start = self.origin, self.owner.start(self)
        name = self.stable_name
        if not self.levels:  # an older server would take the name for the consumer it has
            name += f"_{random_name(8)}"
        filters = [transform.src for transform in origin.transforms]
        single = origin.filter_subject or (filters[0] if len(filters) == 1 else "")
        policy = "by_start_sequence" if start.seq else "by_start_time" if start.time else "all"
        config: dict[str, object] = {
            "name": name, "deliver_policy": policy, "opt_start_seq": start.seq, "opt_start_time": start.time,
            "ack_policy": "none", "ack_wait": ACK_WAIT_NS, "max_deliver": 1, "filter_subject": single,
            "filter_subjects": [] if single else filters, "replay_policy": "instant", "flow_control": True,
            "deliver_subject": self._deliver_subject(), "idle_heartbeat": HEARTBEAT_NS,
            "inactive_threshold": SILENCE_NS, "num_replicas": 0, "direct": True, "sourcing": bool(self.levels),
            "metadata": self.told,
        }  # fmt: skip
        config = {key: value for key, value in config.items() if value or key == "num_replicas"}
        subject = f"$JS.API.CONSUMER.CREATE.{origin.name}"
        if single:
            subject += f".{name}.{single}"
        return subject, dumps({"stream_name": origin.name, "config": config, "action": ""})

    def _deliver_subject(self) -> str:
        external, letter = self.origin.external, self.kind.letter
        prefix = external.deliver if external is not None and external.deliver else "$JS"
        return f"{prefix}.{letter}.{random_name(8)}".replace("..", ".")

    def _at_origin(self, subject: str) -> str:
        if self.origin.external is None:
            return subject
        return subject.replace("$JS.API", self.origin.external.api, 1).replace("..", ".")

    # ---- the answer

    def _on_answer(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        try:
            answer = _parse_answer(payload)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self._failed(self.kind.setup_failed)
            return
        if isinstance(answer, ApiError):
            self._refused(answer)
        else:
            self._answered(answer, header_get(headers, "Nats-Stream-Identity") or "")

    def _refused(self, error: ApiError) -> None:
        if error.err_code == OTHER_IDENTITY:
            self.identity = ""
            self.seq = 0
            self.owner.recreated(self)
            self._retry()
        elif error.err_code in (LEVEL_TOO_LOW, BAD_JSON) and self.levels:
            self.levels.pop(0)
            self._request()
        else:
            self._failed(error)

    def _answered(self, answer: "Created", identity: str) -> None:
        deliver = answer.deliver_subject
        if self.origin.consumer is not None:
            if answer.ack_policy != "flow_control":
                self._failed(self.kind.needs_flow)
                return
            deliver = self.origin.consumer.deliver_subject
        if self.answer_sub is not None:
            self.account.unsubscribe(self.answer_sub)
            self.answer_sub = None
        if identity and self.identity and identity != self.identity:
            self.seq = 0
            self.owner.recreated(self)
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
        self.consumer = name
        self.consumer_seq = 0
        self.heard_at = self.clock.monotonic()
        self.state = State.LISTENING
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


class Created(NamedTuple):
    """What an origin answers of a consumer: its first message is the first behind ``before``, and so many follow."""

    name: str
    deliver_subject: str
    ack_policy: str
    before: int
    pending: int


def _parse_answer(payload: bytes) -> Created | ApiError:
    """ValueError and its like for what is no answer."""
    answer: dict[str, Any] = json.loads(payload)
    if error := answer.get("error"):
        return ApiError(int(error["code"]), int(error["err_code"]), str(error["description"]))
    config = answer["config"]
    deliver = config["deliver_subject"]
    if not is_literal(deliver):
        raise ValueError(deliver)
    before = int(answer["delivered"]["stream_seq"])
    pending = int(answer.get("num_pending") or 0)
    return Created(str(answer["name"]), deliver, str(config.get("ack_policy")), max(before, 0), pending)


class Delivery(NamedTuple):
    """What the reply of a delivery says of it."""

    consumer: str
    deliveries: int
    seq: int
    consumer_seq: int
    time_ns: int
    pending: int


def parse_delivery(reply: str) -> Delivery | None:
    """``$JS.ACK.<stream>.<consumer>.<count>.<sseq>.<cseq>.<time>.<pending>``, or the longer form that names domain and
    account first; None for anything else."""
    parts = reply.split(".")
    if parts[:2] != ["$JS", "ACK"] or (len(parts) != 9 and len(parts) < 11):
        return None
    consumer, *numbers = parts[3:9] if len(parts) == 9 else parts[5:11]
    if not all(number.isdecimal() and number.isascii() and len(number) < 20 for number in numbers):
        return None
    count, seq, consumer_seq, time_ns, pending = map(int, numbers)
    if time_ns > MAX_INT64:
        return None
    return Delivery(consumer, count, seq, consumer_seq, time_ns, pending)
