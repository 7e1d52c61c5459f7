"""What became of commands while this store was not the edge's: it was put back from a backup, the disk is a new one, or
what it knew of them is damaged.

A command that lies at the hub, or waits here, may then have been run already.  Those that have a result at the hub
were; of the others nobody knows.  So before anything is run the hub is asked: which is the oldest command in doubt,
which the last that it has for this edge, and which of them have results since the oldest came.  A store that is empty
belongs to a new edge where the hub has no result of it, and nothing is in doubt.

The consumer that shows the results may live beside a replica that lags behind: what comes after the last message it
showed is asked of the stream's leader, one by one, until there is no more.
"""

import base64
import enum
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edge.core.leaf_link import LeafLink
from edge.core.times import SECOND, Clock, parse_rfc3339, rfc3339
from edge.downlink.command import ID, QUEUED
from edge.errors import StoreError
from edge.jetstream.origin_consumer import Delivery, parse_delivery
from edge.jetstream.stream import Stream
from edge.message import header_get
from edge.store.generation import GENERATION

log = logging.getLogger("edge")

KEY = "commands-past"  # a value of the store
ANSWER_NS = 20 * SECOND
FIRST_RETRY_NS, LAST_RETRY_NS = 2 * SECOND, 60 * SECOND
BATCH = 1000  # results that are asked for at a time
MAX_ENDED = 100_000
CONSUMER_LIFE_NS = 60 * SECOND
NOT_FOUND = (10037, 10059)  # no such message, no such stream
RESTORED = "the store was put back from a backup"
EMPTY = "the store is a new one"
DAMAGED = "what was noted of commands is damaged"


class Results(NamedTuple):
    """Where the results of this edge are at the hub."""

    hub_domain: str
    stream: str


class Step(enum.Enum):
    DONE = enum.auto()
    OLDEST = enum.auto()
    LAST = enum.auto()
    LIVED = enum.auto()
    CONSUMER = enum.auto()
    SHOWN = enum.auto()
    LEADER = enum.auto()


class Past:
    """``reason`` is empty where nothing is in doubt.  ``tell`` is called when everything in question is known.

    ``queue``: the mirror of the hub's stream of commands in ``hub_domain``.  ``is_known``: this store knows of
    commands; ``is_damaged``: something of that is lost, and nobody knows what.
    """

    def __init__(
        self,
        edge: str,
        link: LeafLink,
        queue: Stream,
        hub_domain: str,
        results: Results,
        values: Mapping[str, bytes],
        clock: Clock,
        inbox: str,
        is_known: bool,
        is_damaged: bool,
    ) -> None:
        self.edge = edge
        self.link = link
        self.queue = queue
        self.commands_api = f"$JS.{hub_domain}.API"
        self.results_api = f"$JS.{results.hub_domain}.API"
        self.results = results.stream
        self.clock = clock
        self.inbox = inbox
        self.tell: Callable[[], None] = lambda: None
        self.generation = values.get(GENERATION, b"").decode("ascii", "replace")
        self.until = 0  # the last sequence at the hub that is in doubt
        self.ended: set[str] = set()  # ids of commands of which the hub has a result
        self.reason = self._reason(values.get(KEY), is_known, is_damaged)
        self.step = Step.OLDEST if self.reason else Step.DONE
        self.since_ns = 0
        self.seq = 0  # of the stream of results: looked through up to here
        self.consumer = ""
        self.to_come = self.batch = 0
        self.asked = self.requests = 0
        self.due = 0
        self.backoff = FIRST_RETRY_NS
        self.waits = ""
        if self.reason:
            level = logging.INFO if self.reason == EMPTY else logging.WARNING
            log.log(level, "commands: %s: the hub is asked first for what may have been run already", self.reason)
            link.account.subscribe(f"{inbox}.*", self._on_answer)
            link.listeners.append(self._on_link)
        self._save()
        if self.reason and link.up:
            self._on_link(True)

    @property
    def is_open(self) -> bool:
        """Nothing may be run yet."""
        return self.step is not Step.DONE

    def state(self) -> str:
        """For whom it is of interest why nothing is run; empty where that is not so."""
        return f"{self.reason}; the hub is asked{f': {self.waits}' if self.waits else ''}" if self.is_open else ""

    def doubts(self, seq: int) -> bool:
        """May this command have been run by another life of this edge?  ``seq``: here."""
        return bool(self.reason) and seq <= self.until + self._offset()

    def deadline(self) -> int | None:
        return self.due or None

    def tick(self, now: int) -> None:
        if self.due and now >= self.due:
            if self.asked:
                self._rest("no answer from the hub")
            else:
                self._begin()

    # ---- on disk

    def _reason(self, kept: bytes | None, is_known: bool, is_damaged: bool) -> str:
        """Why commands are in doubt."""
        try:
            found = json.loads(kept) if kept is not None else {}
            generation, until = found.get("generation"), int(found.get("until", 0))
            reason = str(found.get("reason", ""))
        except (ValueError, TypeError, AttributeError):
            generation, reason, until, is_damaged = self.generation, "", 0, True
        if generation is None:
            return EMPTY if not is_known else RESTORED if self.generation else DAMAGED if is_damaged else ""
        if generation != self.generation:
            return RESTORED
        self.until = until
        return reason or (DAMAGED if is_damaged else "")

    def _save(self) -> None:
        fields = {"generation": self.generation, "reason": self.reason, "until": self.until}
        self.queue.store.put_value(KEY, json.dumps(fields).encode())
        self.queue.store.commit(_nobody_waits, False)

    def settled(self) -> None:
        """All that was in doubt has its end: it need not be asked for again."""
        if self.reason and not self.is_open:
            self.reason = ""
            self.ended.clear()
            self._save()

    def is_settled(self) -> bool:
        """Is everything that was in doubt here, or gone?  Then nothing of it can come any more."""
        return not self.is_open and bool(self.reason) and self.queue.last_seq >= self.until + self._offset()

    def _offset(self) -> int:
        """How much higher sequences are here than at the hub."""
        return int(getattr(self.queue.inlet, "offset", 0))

    # ---- the conversation

    def _on_link(self, up: bool) -> None:
        self.asked = self.due = 0
        if up and self.is_open:
            self.backoff = FIRST_RETRY_NS
            self._begin()

    def _begin(self) -> None:
        self.due = 0
        self.ended.clear()
        if not self.link.up:
            return
        rows = self.queue.scan(0, 1)
        if rows:
            self.since_ns = rows[0].time_ns
            self._ask_last()
        elif self.reason == DAMAGED:
            self._known(0)  # what is not here yet was never run
        else:
            body = {"seq": self._last_here() + 1, "next_by_subj": self._queued()}
            self._get(Step.OLDEST, self.commands_api, self.queue.name, body)

    def _ask_lived(self) -> None:
        if self.reason == EMPTY:
            self._get(Step.LIVED, self.results_api, self.results, {"last_by_subj": self._told()})
        else:
            self._ask_consumer()

    def _last_here(self) -> int:
        return max(self.queue.last_seq - self._offset(), 0)

    def _queued(self) -> str:
        return f"{QUEUED}commands.{self.edge}.>"

    def _told(self) -> str:
        return f"results.{self.edge}.>"

    def _ask_last(self) -> None:
        """What comes behind that is new, also if this is asked once more after a restart."""
        if self.reason == DAMAGED:
            self.until = self._last_here()
        if self.until:
            self._ask_lived()
            return
        self._get(Step.LAST, self.commands_api, self.queue.name, {"last_by_subj": self._queued()})

    def _get(self, step: Step, api: str, stream: str, body: Mapping[str, object]) -> None:
        self._ask(step, f"{api}.STREAM.MSG.GET.{stream}", body)

    def _ask(self, step: Step, subject: str, body: Mapping[str, object]) -> None:
        self.step = step
        self.requests += 1
        data = json.dumps(body).encode()
        if refusal := self.link.refusal(subject, len(data)):
            self._rest(refusal)
        elif self.link.publish(subject, data, f"{self.inbox}.{self.requests}"):
            self.asked = self.requests
            self.due = self.clock.monotonic() + max(ANSWER_NS, 4 * self.link.rtt)
            self.clock.wake()
        else:
            self._rest("the link takes nothing now")

    def _rest(self, reason: str) -> None:
        if reason != self.waits:
            log.warning("commands: nothing is run before the hub has told what it knows of it: %s", reason)
        self.waits = reason
        self.asked = 0
        self.due = self.clock.monotonic() + self.backoff
        self.backoff = min(self.backoff * 2, LAST_RETRY_NS)
        self.clock.wake()

    def _on_answer(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        if self.asked and self.step is Step.SHOWN and (place := parse_delivery(reply)) is not None:
            self._on_shown(place, headers)  # under the subject it has in the stream
            return
        if not self.asked or subject != f"{self.inbox}.{self.asked}":
            return
        if self.step is Step.SHOWN:  # a status: it has no more, or has been lost
            self._ask_leader()
            return
        self.asked = self.due = 0
        try:
            self._on_answered(json.loads(payload) if payload else {}, headers)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self._rest(f"its answer makes no sense: {payload[:100]!r}")

    def _on_answered(self, fields: dict[str, Any], headers: bytes) -> None:
        error = fields.get("error")
        if headers.startswith(b"NATS/1.0 503") or (error and error.get("err_code") not in NOT_FOUND):
            self._rest(str(error["description"]) if error else "nobody answers there")
            return
        message = fields.get("message", {})
        match self.step:
            case Step.OLDEST if error:
                self._known(0)
            case Step.OLDEST:
                self.since_ns = parse_rfc3339(message["time"])
                self._ask_last()
            case Step.LAST:
                self.until = max(0 if error else int(message["seq"]), self._last_here() if self.queue.messages else 0)
                self._ask_lived()
            case Step.LIVED if error:
                self._known(0)
            case Step.LIVED:
                self._ask_consumer()
            case Step.CONSUMER if error:  # no stream of results: nothing is known of any
                self._known(self.until)
            case Step.CONSUMER:
                self.consumer = str(fields["name"])
                self.seq = int(fields["delivered"]["stream_seq"])
                self.to_come = int(fields["num_pending"])
                self._go_on()
            case Step.LEADER if error:
                self._known(self.until)
            case Step.LEADER:
                self._note(int(message["seq"]), base64.b64decode(message.get("hdrs", "")))
                self._ask_leader()

    def _ask_consumer(self) -> None:
        self.requests += 1
        name = f"past-{self.inbox.rpartition('.')[2]}-{self.requests}"
        config = {
            "name": name, "deliver_policy": "by_start_time", "opt_start_time": rfc3339(self.since_ns),
            "ack_policy": "none", "filter_subject": self._told(), "headers_only": True, "replay_policy": "instant",
            "inactive_threshold": CONSUMER_LIFE_NS, "mem_storage": True, "num_replicas": 1,
        }  # fmt: skip
        subject = f"{self.results_api}.CONSUMER.CREATE.{self.results}.{name}.{self._told()}"
        self._ask(Step.CONSUMER, subject, {"stream_name": self.results, "config": config})

    def _go_on(self) -> None:
        """As many as are there, and what has come since from the leader."""
        if not self.to_come:
            self._ask_leader()
            return
        body = {"batch": min(self.to_come, BATCH), "expires": ANSWER_NS // 2}
        self._ask(Step.SHOWN, f"{self.results_api}.CONSUMER.MSG.NEXT.{self.results}.{self.consumer}", body)
        self.batch = min(self.to_come, BATCH)

    def _on_shown(self, place: Delivery, headers: bytes) -> None:
        if place.consumer != self.consumer or place.seq <= self.seq:
            return
        self._note(place.seq, headers)
        self.to_come -= 1
        self.batch -= 1
        self.due = self.clock.monotonic() + max(ANSWER_NS, 4 * self.link.rtt)
        if not self.batch:
            self._go_on()

    def _ask_leader(self) -> None:
        body = {"seq": self.seq + 1, "next_by_subj": self._told()}
        self._get(Step.LEADER, self.results_api, self.results, body)

    def _note(self, seq: int, headers: bytes) -> None:
        self.seq = seq
        if (id := header_get(headers, ID)) and len(self.ended) < MAX_ENDED:
            self.ended.add(id)

    def _known(self, until: int) -> None:
        """It may go on."""
        self.step, self.until, self.waits = Step.DONE, until, ""
        self.asked = self.due = 0
        if until:
            log.info("commands: the hub has %d results since the first that is in doubt", len(self.ended))
            self._save()
        else:
            self.settled()
        self.tell()


def _nobody_waits(error: StoreError | None) -> None:
    """What was not noted is asked again after a restart."""
