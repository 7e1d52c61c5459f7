"""One uplink: a local stream drained into a stream of the hub, each message exactly once.

How it stays exactly once, wherever in the backlog its two fronts are:

1. A row leaves the local stream only after the hub's PubAck for it, or after it became a dead letter; what the
   backlog's own limits take first is noticed, and a receipt of it goes up in its place.
2. A message is sent again only when it was looked for at the hub and is not there.  So every doubt (a lost link, an
   answer that does not come, a refusal) ends in a resume (``resume.py``), never in a blind repetition.
3. What may be in doubt after a power cut is known beforehand: no row is sent that is not in a range ``leased`` in the
   progress on disk, no receipt that has no number there, and what the hub may have of them lies behind its ``hub_seq``.
4. What is settled beyond the oldest row that is not is in the same progress, as ranges, so it needs no looking for.

With ``order: strict`` there is one front, and nothing new is sent while an answer is overdue: messages behind a lost
one must not overtake it.
"""

import enum
import json
import logging
from collections.abc import Callable
from dataclasses import replace

from edge.errors import StoreError
from edge.subjects import overlap
from edge.uplink.answers import StreamState
from edge.uplink.delivery import Delivery
from edge.uplink.identity import Identity, latest, with_epoch
from edge.uplink.keeper import Keeper
from edge.uplink.line import URGENT, WEIGHTS, Line
from edge.uplink.meter import Meter, Watch
from edge.uplink.ports import Backlog, DeadLetters, HubLink, Ledger, UplinkOptions
from edge.uplink.progress import Progress
from edge.uplink.ranges import Ranges
from edge.uplink.resume import Resume
from edge.uplink.turns import FrontTurn

log = logging.getLogger("edge")

SECOND = 1_000_000_000
ANSWER_TIMEOUT_NS = 2 * SECOND  # and at least four times what an answer takes
BACKOFF_NS = SECOND // 4
BACKOFF_MAX_NS = 5 * SECOND
NO_LINK = "no link to the hub"
PROBES = 8  # newest rows whose subjects are looked at once after a start


class State(enum.Enum):
    DOWN = "down"  # no link
    RESUMING = "resuming"  # asks the hub what it has
    LIVE = "live"  # sends
    BLOCKED = "blocked"  # the hub does not take messages now; ``reason`` says why
    PAUSED = "paused"  # it is told not to send: by command
    STOPPED = "stopped"  # the hub has lost messages, and somebody has to say what is to be done
    CLOSED = "closed"  # or by its schedule
    SPENT = "spent"  # or by the budget


class Uplink:
    """``inbox``: replies to ``<inbox>.<tokens>`` come to ``on_reply``, messages to ``scan_inbox`` to ``on_scanned``;
    ``wake``: the deadline has become earlier."""

    def __init__(
        self,
        options: UplinkOptions,
        progress: Progress,
        backlog: Backlog,
        link: HubLink,
        line: Line,
        ledger: Ledger,
        dead_letters: DeadLetters,
        inbox: str,
        wake: Callable[[], None],
        new_epoch: Callable[[], str],
        is_kept: bool = True,
    ) -> None:
        self.options = options
        self.name = options.name
        self.is_copy = not is_kept and len(progress.epochs) > 1  # of a store that went on without it
        self.backlog = backlog
        self.link = link
        self.line = line
        self.inbox = inbox
        self.scan_inbox = f"{inbox}_scan"
        self.wake = wake
        self.new_epoch = new_epoch
        self.state = State.DOWN
        self.reason = NO_LINK
        self.is_urgent = options.lane == URGENT
        weight = options.weight or WEIGHTS[options.lane]
        line.add(FrontTurn(self, fresh, self.is_urgent, weight) for fresh in (True, False))
        self.keeper = Keeper(progress, is_kept, ledger, self._snapshot)
        self.delivery = Delivery(
            *(options, backlog, link, line, self.keeper, dead_letters, inbox, self._block, self._on_settled)
        )
        self.unsearched = Ranges(progress.leased)  # what may have been sent by an earlier process
        self.start_seq = backlog.last_seq
        self.was_checked = False  # that the hub has nothing of ours that we know nothing of
        self.accepts_loss = False  # by command
        self.has_to_search = False
        self.hub_created = progress.hub_created
        self.paused = progress.paused
        self.closed = ""  # why its schedule lets nothing go now
        self.resume: Resume | None = None
        self.questions = 0
        self.retry_at: int | None = None
        self.backoff = BACKOFF_NS
        self.answer_due: int | None = None  # to a question of the resume
        self.patience = 0  # no answer is overdue before
        self.watch = Watch(self.name)
        self.coming = Meter()
        self.seen_seq = backlog.last_seq

    @property
    def identity(self) -> Identity:
        return self.delivery.sender.identity

    # ---- for monitoring

    def shown(self) -> tuple[State, str]:
        """Its state and the reason as an operator sees them."""
        if self.paused:
            return State.PAUSED, "paused by command"
        if self.state is not State.LIVE:
            return self.state, self.reason
        if self.closed:
            return State.CLOSED, self.closed
        spent = self.line.refusal(self.is_urgent)
        return (State.SPENT, spent) if spent else (State.LIVE, "")

    @property
    def held(self) -> str:
        """Why nothing is to be sent, though it could; what is in flight goes on."""
        return "paused" if self.paused else self.closed

    # ---- events

    def on_hours(self, closed: str, now: int) -> None:
        """The schedule: why nothing may go, or nothing."""
        if closed == self.closed:
            return
        log.info("uplink %s: %s", self.name, closed or "the hours of its schedule have begun")
        self.closed = closed
        self._pump(now)

    def pause(self, paused: bool, now: int) -> None:
        """``on_saved`` follows when that will outlive a power cut."""
        if paused != self.paused:
            log.info("uplink %s: %s", self.name, "paused by command" if paused else "goes on by command")
        self.paused = paused
        if not paused and self.state is State.STOPPED:
            self.accepts_loss = True
            self._resume(now)
        self.keeper.save(urgent=True)
        self._pump(now)

    def on_link(self, up: bool, now: int) -> None:
        if up:
            self.backoff = BACKOFF_NS
            self.delivery.single_until = 0
            self._resume(now)
        else:
            self._stop(State.DOWN, NO_LINK)

    def on_stored(self, now: int) -> None:
        """New rows can be read."""
        last = self.backlog.last_seq
        self.coming.add(last - self.seen_seq, now)
        self.seen_seq = last
        self.watch.waits(now)
        self.delivery.stored(now)
        self.delivery.thin(self.unsearched)
        self._pump(now)
        self.wake()

    def on_removed(self) -> None:
        """Rows have gone from the backlog."""
        self.delivery.fronts.forget()

    def on_reply(self, tokens: str, headers: bytes, payload: bytes, now: int) -> None:
        """``q<number>``: the hub's answer to a question; others to what was sent."""
        size = len(headers) + len(payload)
        self.line.charge(wire_size(f"{self.inbox}.{tokens}", "", len(headers), size), self.is_urgent)
        number = tokens.removeprefix("q")
        if number != tokens and number.isdecimal():
            if self.resume is not None and len(number) < 20:
                self._on_answer(self.resume, int(number), headers, payload, now)
        else:
            self.delivery.told(tokens, headers, payload, now)
        self.wake()

    def on_scanned(self, reply: str, headers: bytes, now: int) -> None:
        """A message to ``scan_inbox``: what a consumer at the hub shows to a resume."""
        if self.resume is not None:
            self.resume.on_scanned(reply, headers)
            self._go_on_resuming(self.resume, True, now)
            self.wake()

    def on_saved(self, error: StoreError | None, now: int) -> None:
        """What ``Ledger.save`` was given is on disk, or is not."""
        keeper = self.keeper
        keeper.saved(error, now)
        if error is None and (keeper.again or not self._is_noted()):
            keeper.save(urgent=True)
        elif error is None and self.delivery.window.floor > keeper.progress.acked:
            keeper.save_soon(now)
        self._pump(now)
        self.wake()

    def on_buried(self, seq: int, error: StoreError | None, now: int) -> None:
        """A dead letter is on disk, or is not."""
        self.delivery.buried(seq, error, now)
        if error is not None and self.state is State.LIVE:
            self._block(f"a dead letter cannot be stored: {error}", now)
        self.wake()

    def deadline(self) -> int | None:
        dues = (
            *(self.retry_at, self.answer_due, self._ack_due(), self.keeper.due),
            *(self.delivery.gathering.until, self.watch.deadline()),
        )
        return min((due for due in dues if due is not None), default=None)

    def tick(self, now: int) -> None:
        if self.retry_at is not None and now >= self.retry_at:
            self._resume(now)
        for due in (self.answer_due, self._ack_due()):
            if due is not None and now >= due:
                self._on_silence(now)
        self.keeper.tick(now)
        if self.delivery.gathering.tick(now):
            self._pump(now)
        self._watch(now)

    def _watch(self, now: int) -> None:
        """Whether it is alarming that nothing goes."""
        if not self.backlog.messages or self.held or self.line.refusal(self.is_urgent):
            self.watch.rests()
        else:
            self.watch.waits(now)
            self.watch.tick(now, self.backlog.messages, self.reason or "the hub does not answer")

    # ---- resuming

    def _resume(self, now: int) -> None:
        """Ask the hub before anything is sent (again)."""
        self.retry_at = None
        if not self.link.up:
            return
        self.delivery.restart()
        self.state = State.RESUMING
        for request in ("STREAM.INFO", "STREAM.MSG.GET"):
            if refusal := self.link.refusal(f"{self._api()}.{request}.{self.options.hub_stream}", 0):
                self._block(refusal, now)
                return
        consumer = f"petiole_{self.inbox.rpartition('.')[2]}_{self.questions}"
        self.resume = Resume(self.options.hub_stream, self._key_of, consumer, self._ask, self._pull)
        self._expect_answer(now)
        self.resume.start()
        self.wake()

    def _key_of(self, msg_id: str) -> int:
        return self.identity.key_of(msg_id)  # which may change while it is asked

    def _api(self) -> str:
        domain = self.options.hub_domain or self.link.domain
        return f"$JS.{domain}.API" if domain else "$JS.API"

    def _ask(self, request: str, body: dict[str, object]) -> int:
        self.questions += 1
        self._request(request, body, f"{self.inbox}.q{self.questions}")
        return self.questions

    def _pull(self, request: str, body: dict[str, object]) -> None:
        self._request(request, body, self.scan_inbox)

    def _request(self, request: str, body: dict[str, object], reply: str) -> None:
        subject, payload = f"{self._api()}.{request}", json.dumps(body).encode()
        self.link.publish(subject, payload, reply)
        self.line.charge(wire_size(subject, reply, 0, len(payload)), self.is_urgent)

    def _on_answer(self, resume: Resume, number: int, headers: bytes, payload: bytes, now: int) -> None:
        knew_state = resume.state is not None
        resume.on_answer(number, headers, payload)
        self._go_on_resuming(resume, knew_state, now)

    def _go_on_resuming(self, resume: Resume, knew_state: bool, now: int) -> None:
        self._expect_answer(now)
        if resume.failure:
            self._block(resume.failure, now)
        elif resume.state is not None and not knew_state:
            self._check_hub(resume, now)
        elif self.has_to_search and not resume.is_probing:
            self._search(resume, now)
        if self.resume is not None and resume.done:
            self._go_live(resume, now)

    def _check_hub(self, resume: Resume, now: int) -> None:
        """Is the hub's stream still the one we know, and where to look for what is in doubt?"""
        state = resume.state
        assert state is not None
        name = self.options.hub_stream
        if not any(overlap(ours, theirs) for ours in self.options.subjects for theirs in state.subjects):
            self._block(f"the hub's stream {name} does not take {', '.join(self.options.subjects)}", now)
            return
        if not self.hub_created:
            self.delivery.window.rebase(state.last_seq)  # nothing was ever sent: nothing before this can be ours
        elif (loss := self._hub_loss(state)) and not self._goes_on_after(loss, now):
            return
        self.hub_created = state.created
        self.delivery.sender.batches = state.batched
        self.delivery.sender.max_msg_size = state.max_msg_size
        self.has_to_search = True
        if not self.was_checked:
            self.was_checked = True
            newest = self.backlog.scan(max(self.backlog.last_seq - PROBES, 1), PROBES)
            resume.probe({*self.options.subjects, *(row.subject for row in newest)})
        if not resume.is_probing:
            self._search(resume, now)

    def _search(self, resume: Resume, now: int) -> None:
        self.has_to_search = False
        if resume.highest > max(self.backlog.last_seq, self.start_seq):
            log.error(
                "uplink %s: the hub has message %d of this edge, which has come to %d only: its store is an older "
                "copy, so a new epoch begins; what it holds is looked for at the hub",
                *(self.name, resume.highest, self.start_seq),
            )
            self._begin_epoch()
        resume.search(self.delivery.doubts(self.unsearched), self.delivery.window.after)

    def _begin_epoch(self) -> None:
        """The sequences that come have been given before, to other messages."""
        epochs = with_epoch(self.identity.epochs, self.start_seq + 1, self.new_epoch())
        self.delivery.sender.identity = Identity(self.keeper.progress.edge, epochs)
        self.is_copy = True
        if self.start_seq > self.delivery.window.floor:
            self.unsearched.add(self.delivery.window.floor + 1, self.start_seq)

    def _hub_loss(self, state: StreamState) -> str:
        """What the hub's stream has lost of what it had acknowledged, if anything."""
        name = self.options.hub_stream
        if state.created != self.hub_created:
            return f"the hub's stream {name} is a new one, created {state.created}"
        if state.last_seq < self.delivery.window.known:
            return (
                f"the hub's stream {name} ends at {state.last_seq}, but had acknowledged {self.delivery.window.known}: "
                "it has lost messages"
            )
        if state.first_seq > self.delivery.window.after + 1 and (self.delivery.window.doubts or len(self.unsearched)):
            return (
                f"the hub's stream {name} begins at {state.first_seq}: whether it had stored what was on its way "
                f"when it was at {self.delivery.window.after} cannot be told"
            )
        return ""

    def _goes_on_after(self, loss: str, now: int) -> bool:
        """As the configuration has decided."""
        policy = "continue" if self.accepts_loss else self.options.on_hub_loss
        if policy == "stop":
            self._stop(State.STOPPED, f"{loss}; stopped until petiole.<edge>.uplink.{self.name}.resume")
            log.error("uplink %s: %s", self.name, self.reason)
            return False
        log.warning("uplink %s: %s; it goes on, as on_hub_loss: %s says", self.name, loss, self.options.on_hub_loss)
        self.accepts_loss = False
        if "begins at" not in loss:
            self.delivery.window.rebase(0)
        if policy == "resend":
            self.delivery.window.forget_settled(self.keeper.removed)
        return True

    def _go_live(self, resume: Resume, now: int) -> None:
        self.delivery.keep_found(resume.found)
        if resume.found:
            log.info("uplink %s: %d messages in doubt had arrived", self.name, len(resume.found))
        self.unsearched = Ranges()
        self.has_to_search = False
        if self.is_copy:  # that other one is long gone, and nothing of it is on its way any more
            self.delivery.window.doubts.clear()
            self.is_copy = False
        self.delivery.restart()
        self.delivery.window.forget_overdue()
        self.resume = None
        self.answer_due = None
        self.state = State.LIVE
        self.reason = ""
        self.keeper.save_soon(now)
        if not self._is_noted():
            self.keeper.save(urgent=True)
        self._pump(now)

    def _is_noted(self) -> bool:
        """Would a resume after a power cut look at this stream of the hub, and early enough in it?  (Rule 3.)"""
        noted = self.keeper.progress
        if not self.keeper.is_kept:
            return False
        if self.hub_created != noted.hub_created or self.identity.epochs[-1] != noted.epochs[-1]:
            return False
        return self.delivery.window.after >= noted.hub_seq

    # ---- sending

    def _pump(self, now: int) -> None:
        if self.state is State.LIVE:
            self.line.pump(now)

    def send(self, fresh: bool, room: int, now: int) -> int:
        """About ``room`` bytes of what is fresh, or of what is not; how many were sent."""
        if self.state is not State.LIVE or self.held or not self._is_noted():
            return 0
        was_empty = not self.delivery.window
        sent = self.delivery.send(fresh, room, now)
        if was_empty and self.delivery.window:
            self.wake()
        return sent

    def _on_settled(self, now: int) -> None:
        self.backoff = BACKOFF_NS
        self.watch.moves(now, not self.delivery.is_all_settled)
        self.keeper.save_soon(now)
        if not self._is_noted():
            self.keeper.save()
        if self.delivery.is_worthwhile():
            self._pump(now)

    # ---- doubt

    def _expect_answer(self, now: int) -> None:
        self.answer_due = now + self._timeout()

    def _timeout(self) -> int:
        return max(ANSWER_TIMEOUT_NS, 4 * self.link.rtt, 4 * self.line.pace.base_ns)

    def _ack_due(self) -> int | None:
        """Answers to later messages say nothing about the first."""
        oldest = self.delivery.window.oldest
        return None if oldest is None else max(oldest + self._timeout(), self.patience)

    def _on_silence(self, now: int) -> None:
        """A slow line that still carries our bytes away is not silent."""
        if self.link.up and self.link.pending_bytes:
            self.patience = now + self._timeout()
            if self.answer_due is not None:
                self._expect_answer(now)
        elif self.resume is not None and self.resume.scanning:
            self.resume.end_scan()  # the shortcut leads nowhere
            self._expect_answer(now)
            self._go_on_resuming(self.resume, True, now)
        elif self.resume is not None or self.delivery.window:
            self._block(f"no answer from stream {self.options.hub_stream} of the hub", now)

    def _block(self, reason: str, now: int) -> None:
        """Ask again after a while, for ever."""
        if reason != self.reason:
            log.warning("uplink %s: waiting: %s", self.name, reason)
        self._stop(State.BLOCKED, reason)
        self.retry_at = now + self.backoff
        self.backoff = min(self.backoff * 2, BACKOFF_MAX_NS)
        self.wake()

    def _stop(self, state: State, reason: str) -> None:
        if self.resume is not None:
            self.delivery.keep_found(self.resume.found)
        self.delivery.restart()
        self.resume = None
        self.answer_due = None
        self.retry_at = None
        self.state = state
        self.reason = reason

    def _snapshot(self) -> Progress:
        """What must survive."""
        delivery = self.delivery
        window, losses = delivery.window, delivery.losses
        delivery.combs.forget_up_to(window.floor)
        leased = delivery.lease()
        for pair in self.unsearched:
            leased.add(*pair)
        leased.remove_up_to(window.floor)
        return replace(
            self.keeper.progress,
            epochs=latest(self.identity.epochs, window.floor),
            acked=window.floor,
            settled=tuple(window.settled),
            leased=tuple(leased),
            hub_seq=window.after,
            hub_created=self.hub_created,
            dead=delivery.dead,
            losses=tuple(losses.waiting),
            receipts=losses.receipts,
            gone=dict(losses.gone),
            paused=self.paused,
            combs=tuple(delivery.combs.combs),
        )


def wire_size(subject: str, reply: str, header_size: int, size: int) -> int:
    """Of the whole of an HMSG: its line, its body, and the ends of both."""
    return len(subject) + len(reply) + len(f"HMSG   {header_size} {size}") + size + 4
