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
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge.errors import StoreError
from edge.store.contract import Row
from edge.subjects import overlap
from edge.uplink.answers import (
    BatchAck,
    BatchError,
    BatchGap,
    PubAck,
    Refused,
    StreamState,
    parse_batch_answer,
)
from edge.uplink.fronts import SCAN, Cursor, Fronts
from edge.uplink.headers import receipt_headers
from edge.uplink.identity import Identity, latest, with_epoch
from edge.uplink.line import URGENT, WEIGHTS, Line
from edge.uplink.losses import LIMITS, REFUSED, THINNED, Losses
from edge.uplink.meter import Meter, Watch
from edge.uplink.ports import Backlog, DeadLetters, HubLink, Ledger, UplinkOptions
from edge.uplink.progress import Progress
from edge.uplink.ranges import Ranges
from edge.uplink.resume import Resume
from edge.uplink.sender import Sender
from edge.uplink.thinning import Combs, Thinner
from edge.uplink.turns import FrontTurn
from edge.uplink.window import Burst, Window, runs

log = logging.getLogger("edge")

SECOND = 1_000_000_000
LEASE = 8  # windows that each front may send before the progress on disk must move
SAVE_INTERVAL_NS = SECOND
ANSWER_TIMEOUT_NS = 2 * SECOND  # and at least four times what an answer takes
BACKOFF_NS = SECOND // 4
NO_LINK = "no link to the hub"
BACKOFF_MAX_NS = 5 * SECOND
PROBES = 8  # newest rows whose subjects are looked at once after a start
BURSTS = 4  # that the window holds at least: while one is answered, others are on the way
GATHERED = 128  # messages that wait for no others


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
        self.progress = progress  # as it is on disk, once it ``is_kept``
        self.is_kept = is_kept
        self.is_copy = not is_kept and len(progress.epochs) > 1  # of a store that went on without it
        self.backlog = backlog
        self.link = link
        self.line = line
        self.ledger = ledger
        self.dead_letters = dead_letters
        self.inbox = inbox
        self.scan_inbox = f"{inbox}_scan"
        self.wake = wake
        self.new_epoch = new_epoch
        self.identity = Identity(progress.edge, progress.epochs)
        self.state = State.DOWN
        self.reason = NO_LINK
        self.window = Window(progress.acked, progress.settled, progress.hub_seq)
        self.fronts = Fronts(backlog, self.window, options.order == "strict")
        self.is_urgent = options.lane == URGENT
        weight = options.weight or WEIGHTS[options.lane]
        line.add(FrontTurn(self, fresh, self.is_urgent, weight) for fresh in (True, False))
        self.leased = Ranges(progress.leased)  # what may be sent
        self.unsearched = Ranges(progress.leased)  # by an earlier process, perhaps
        self.start_seq = backlog.last_seq
        self.was_checked = False  # that the hub has nothing of ours that we know nothing of
        self.accepts_loss = False  # by command
        self.has_to_search = False
        self.hub_created = progress.hub_created
        self.dead = progress.dead
        self.paused = progress.paused
        self.losses = Losses(progress.losses, progress.receipts, progress.gone)
        self.receipt_subject = options.receipts or receipt_subject(options.subjects[0], progress.edge)
        self.resume: Resume | None = None
        self.questions = 0
        self.retry_at: int | None = None
        self.backoff = BACKOFF_NS
        self.answer_due: int | None = None  # to a question of the resume
        self.patience = 0  # no answer is overdue before
        self.save_due: int | None = None
        self.saving = False
        self.save_again = False  # something waits for more than what is on its way
        self.saved = progress  # what is on its way there
        self.removed = Ranges()  # settled beyond the floor, and not in the backlog any more
        self.removing: list[tuple[int, int]] = []
        self.dying: set[int] = set()  # on their way to the dead letters
        self.last_ack = 0  # monotonic ns; 0: none since the start
        self.sender = Sender(options, self.identity, self.window, link, inbox)
        self.refuses_batches = False  # the hub, though its stream takes them
        self.gather_until: int | None = None
        self.has_gathered = False
        self.thinner = Thinner(backlog, options.max_bytes) if options.discard == "thin" else None
        self.combs = Combs(progress.combs)
        self.watch = Watch(self.name)
        self.coming, self.going, self.going_bytes = Meter(), Meter(), Meter()
        self.seen_seq = backlog.last_seq
        self.closed = ""  # why its schedule lets nothing go now

    # ---- for monitoring

    @property
    def acked_seq(self) -> int:
        return self.window.floor

    @property
    def hub_seq(self) -> int:
        return self.window.known

    @property
    def lost(self) -> int:
        return self.losses.total

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
        self._save(urgent=True)
        self._pump(now)

    def on_link(self, up: bool, now: int) -> None:
        if up:
            self.backoff = BACKOFF_NS
            self.refuses_batches = False
            self._resume(now)
        else:
            self._stop(State.DOWN, NO_LINK)

    def on_stored(self, now: int) -> None:
        """New rows can be read."""
        last = self.backlog.last_seq
        self.coming.add(last - self.seen_seq, now)
        self.seen_seq = last
        self.watch.waits(now)
        self.fronts.stored(now)
        if self.options.gather_ns and self.gather_until is None and not self.has_gathered:
            self.gather_until = now + self.options.gather_ns
            self.wake()
        if self.thinner is not None and self.thinner.is_due():
            self._thin(self.thinner)
        self._pump(now)

    def on_removed(self) -> None:
        """Rows have gone from the backlog."""
        self.fronts.forget()

    def on_reply(self, tokens: str, headers: bytes, payload: bytes, now: int) -> None:
        """``q<number>``: the hub's answer to a question; others to what was sent."""
        size = len(headers) + len(payload)
        self.line.charge(wire_size(f"{self.inbox}.{tokens}", "", len(headers), size), self.is_urgent)
        number = tokens.removeprefix("q")
        if number != tokens and number.isdecimal():
            if self.resume is not None and len(number) < 20:
                self._on_answer(self.resume, int(number), headers, payload, now)
        else:
            self._on_told(tokens, headers, payload, now)
        self.wake()

    def on_scanned(self, reply: str, headers: bytes, now: int) -> None:
        """A message to ``scan_inbox``: what a consumer at the hub shows to a resume."""
        if self.resume is not None:
            self.resume.on_scanned(reply, headers)
            self._go_on_resuming(self.resume, True, now)
            self.wake()

    def on_saved(self, error: StoreError | None, now: int) -> None:
        """What ``Ledger.save`` was given is on disk, or is not."""
        self.saving = False
        if error is not None:
            self.save_again = False
            self.save_due = now + SAVE_INTERVAL_NS
        else:
            self.progress = self.saved
            self.is_kept = True
            self.leased = Ranges(self.saved.leased)
            for first, last in self.removing:
                self.removed.add(first, last)
            self.removed.remove_up_to(self.progress.acked)
            if self.save_again or not self._is_noted():
                self._save(urgent=True)
            elif self.window.floor > self.progress.acked:
                self._save_soon(now)
        self._pump(now)
        self.wake()

    def on_buried(self, seq: int, error: StoreError | None, now: int) -> None:
        """A dead letter is on disk, or is not."""
        self.dying.discard(seq)
        if error is None:
            self.dead += 1
            self.window.settle(seq, 0)
            self._settled([seq], now)
        elif self.state is State.LIVE:
            self._block(f"a dead letter cannot be stored: {error}", now)
        self.wake()

    def deadline(self) -> int | None:
        dues = (
            *(self.retry_at, self.answer_due, self._ack_due(), self.save_due, self.gather_until),
            self.watch.deadline(),
        )
        return min((due for due in dues if due is not None), default=None)

    def tick(self, now: int) -> None:
        if self.retry_at is not None and now >= self.retry_at:
            self._resume(now)
        for due in (self.answer_due, self._ack_due()):
            if due is not None and now >= due:
                self._on_silence(now)
        if self.save_due is not None and now >= self.save_due:
            self._save()
        if self.gather_until is not None and now >= self.gather_until:
            self.gather_until, self.has_gathered = None, True
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
        if not self.link.up:
            return
        self._restart()
        self.state = State.RESUMING
        self.retry_at = None
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

    def _restart(self) -> None:
        """What was in flight is in doubt."""
        window = self.window
        for burst in window.bursts.values():
            self.line.ended(burst.size, self.is_urgent, 0, 0, answered=False)
        window.restart()
        for seq in self.dying:
            window.taken.add(seq, seq)
        self.fronts.restart()

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
            self.window.rebase(state.last_seq)  # nothing was ever sent: nothing before this can be ours
        elif (loss := self._hub_loss(state)) and not self._goes_on_after(loss, now):
            return
        self.hub_created = state.created
        self.sender.batches = state.batched and not self.refuses_batches
        self.sender.max_msg_size = state.max_msg_size
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
        resume.search(self._doubts(), self.window.after)

    def _begin_epoch(self) -> None:
        """The sequences that come have been given before, to other messages."""
        epochs = with_epoch(self.identity.epochs, self.start_seq + 1, self.new_epoch())
        self.identity = self.sender.identity = Identity(self.progress.edge, epochs)
        self.is_copy = True
        if self.start_seq > self.window.floor:
            self.unsearched.add(self.window.floor + 1, self.start_seq)

    def _hub_loss(self, state: StreamState) -> str:
        """What the hub's stream has lost of what it had acknowledged, if anything."""
        name = self.options.hub_stream
        if state.created != self.hub_created:
            return f"the hub's stream {name} is a new one, created {state.created}"
        if state.last_seq < self.window.known:
            return (
                f"the hub's stream {name} ends at {state.last_seq}, but had acknowledged {self.window.known}: "
                "it has lost messages"
            )
        if state.first_seq > self.window.after + 1 and (self.window.doubts or len(self.unsearched)):
            return (
                f"the hub's stream {name} begins at {state.first_seq}: whether it had stored what was on its way "
                f"when it was at {self.window.after} cannot be told"
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
            self.window.rebase(0)
        if policy == "resend":
            self.window.forget_settled(self.removed)
        return True

    def _doubts(self) -> list[tuple[int, str]]:
        """What may have been sent and is not settled, with its subject; empty where the row is gone."""
        window = self.window
        if len(self.unsearched):
            last = self.backlog.last_seq
            unknown = (gap for pair in self.unsearched for gap in window.settled.gaps(*pair))
            keys = [key for first, end in unknown for key in range(max(first, window.floor + 1), min(end, last) + 1)]
            keys += [-loss.number for loss in self.losses.waiting if loss.number]
            window.doubt(keys, self.progress.hub_seq)
        found = [(key, self.receipt_subject) for key in window.doubts if key < 0]
        return found + self._with_subjects(sorted(key for key in window.doubts - self.dying if key > 0))

    def _with_subjects(self, seqs: list[int]) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        rows: dict[int, str] = {}
        until = 0  # it is known which rows there are up to here
        for seq in seqs:
            if seq > until:
                block = self.backlog.scan(seq, SCAN)
                rows = {row.seq: row.subject for row in block}
                until = block[-1].seq if block else self.backlog.last_seq
            found.append((seq, rows.get(seq, "")))
        return found

    def _go_live(self, resume: Resume, now: int) -> None:
        self._keep_found(resume)
        if resume.found:
            log.info("uplink %s: %d messages in doubt had arrived", self.name, len(resume.found))
        self.unsearched = Ranges()
        self.has_to_search = False
        if self.is_copy:  # that other one is long gone, and nothing of it is on its way any more
            self.window.doubts.clear()
            self.is_copy = False
        self.fronts.restart()
        self.resume = None
        self.answer_due = None
        self.state = State.LIVE
        self.reason = ""
        self._save_soon(now)
        if not self._is_noted():
            self._save(urgent=True)
        self._pump(now)

    def _is_noted(self) -> bool:
        """Would a resume after a power cut look at this stream of the hub, and early enough in it?  (Rule 3.)"""
        noted = self.progress
        if not self.is_kept:
            return False
        if self.hub_created != noted.hub_created or self.identity.epochs[-1] != noted.epochs[-1]:
            return False
        return self.window.after >= noted.hub_seq

    # ---- sending

    def _pump(self, now: int) -> None:
        if self.state is State.LIVE:
            self.line.pump(now)

    def send(self, fresh: bool, room: int, now: int) -> int:
        """About ``room`` bytes of what is fresh, or of what is not; how many were sent."""
        if self.state is not State.LIVE or self.held or not self._is_noted():
            return 0
        sent = 0 if fresh else self._send_receipts(now)
        cursor = self.fronts.pick(fresh, now)
        if cursor is None or (fresh and self._is_gathering(cursor)):
            return sent
        was_empty = not self.window
        sent += self._send_rows(cursor, room - sent, now)
        self._look_ahead(cursor)
        if cursor.next_seq > self.backlog.last_seq:
            self.gather_until, self.has_gathered = None, False
        if was_empty and self.window:
            self.wake()
        return sent

    def _is_gathering(self, cursor: Cursor) -> bool:
        return self.gather_until is not None and self.backlog.last_seq - cursor.next_seq < GATHERED

    def _send_rows(self, cursor: Cursor, room: int, now: int) -> int:
        draft, space = self.sender.draft(room), self._space()
        while draft.room > 0 and len(draft.keys) < space:
            rows = cursor.block(self.leased, space - len(draft.keys))
            self._note_missing(cursor)
            if not rows:
                break
            count, refusal = self.sender.fill(draft, rows)
            cursor.next_seq = rows[0].seq + count
            if refusal:
                self._bury(rows[count], refusal)
                cursor.next_seq += 1
        if not draft.keys:
            return 0
        sent = self.sender.send(draft.keys, draft.messages, now)
        if not sent:
            cursor.next_seq = draft.keys[0]
        self.line.sent(sent, self.is_urgent)
        return sent

    def _space(self) -> int:
        """How many messages may go together now."""
        window, size = self.options.window, len(self.window) + len(self.dying)
        if not self.sender.batches:
            return window - size
        if self.fronts.strict:  # what is behind a gap of one batch must not go ahead in another
            return 0 if size else window
        return min(window - size, max(window // BURSTS, 1))

    def _look_ahead(self, cursor: Cursor) -> None:
        """Lease what comes next before it is needed."""
        seq = cursor.next_seq
        if seq > self.backlog.last_seq:
            return
        if seq not in self.leased:
            self._save(urgent=True)
        elif (probe := seq + self.options.window * LEASE // 2) <= self.backlog.last_seq:
            if probe not in self.leased and probe not in self.window.taken:
                self._save()

    def _send_receipts(self, now: int) -> int:
        """Those whose numbers are on disk."""
        sent = 0
        for loss in self.progress.losses:
            key = -loss.number
            if not key or self.window.carries(key) or self.losses.find(loss.number) is None:
                continue
            headers = receipt_headers(self.identity.id_of(key), loss.header())
            if refusal := self.link.refusal(self.receipt_subject, len(headers)):
                log.warning("uplink %s: no receipt for %s: %s", self.name, loss.header(), refusal)
                self.window.settle(key, 0)
                self._settled([key], now)
            else:
                sent += self.sender.send([key], [(self.receipt_subject, "", headers, b"")], now)
        self.line.sent(sent, self.is_urgent)
        if not any(loss.number for loss in self.losses.waiting) and self.losses.number_all():
            self._save(urgent=True)
        return sent

    def _note_missing(self, cursor: Cursor) -> None:
        """Rows that are not there any more are not gone in silence.  What is fresh has no gaps but those."""
        for first, last in cursor.pop_missing():
            count = self.combs.untold(first, last)
            if count:
                self.losses.add(first, last, count, LIMITS)
                log.warning(
                    "uplink %s: the limits of its backlog dropped %d messages that the hub has not got (%d to %d)",
                    *(self.name, count, first, last),
                )
            self.window.lose(first, last)

    def _thin(self, thinner: Thinner) -> None:
        """What was never sent may go, each with its receipt in the same commit."""
        if self.saving:
            return
        window = self.window
        spared = window.taken.copy()
        for key in [*window.doubts, *self.dying]:
            if key > 0:
                spared.add(key, key)
        for first, last in self.unsearched:
            spared.add(first, last)
        cuts = thinner.cuts(window.floor, spared)
        if not cuts:
            return
        for cut in cuts:
            self.combs.add(cut.comb)
            self.losses.add(cut.comb.first, cut.comb.last, len(cut.rows), THINNED, cut.comb.step)
        log.warning(
            "uplink %s: its backlog is nearly full: between %d and %d every message that %d does not divide has gone",
            *(self.name, cuts[0].comb.first, cuts[-1].comb.last, thinner.step),
        )
        self.fronts.forget()
        self._save(urgent=True, thinned=[seq for cut in cuts for seq in cut.rows])

    # ---- the hub's answers

    def _on_told(self, tokens: str, headers: bytes, payload: bytes, now: int) -> None:
        place = self.sender.place(tokens)
        burst = self.window.find(place.burst) if place is not None else None
        if place is None or burst is None or place.at >= len(burst.keys):
            return  # nothing that was sent, or known already
        match parse_batch_answer(headers, payload):
            case PubAck(stream=stream) if stream != self.options.hub_stream:
                self._block(f"stream {stream} of the hub took the message, not {self.options.hub_stream}", now)
            case PubAck(seq=hub_seq, count=0):
                self._on_single(burst, place.at, hub_seq, now)
            case PubAck(seq=hub_seq, count=count):
                self._on_arrived(burst, count, hub_seq, now)
                if burst.open_keys() and burst.number in self.window.bursts:
                    self._block("the hub did not take the whole of a batch", now)
            case BatchAck(seq=count):
                self._on_arrived(burst, count, 0, now)
            case BatchGap():
                self._on_failed(burst, "messages of a batch did not come to the hub's stream", now)
            case BatchError(seq=number, refused=refused) if 0 < number <= len(burst.keys):
                self._on_refused(burst, number - 1, refused, now)
            case Refused() as refused:
                self._on_refused(burst, place.at, refused, now)

    def _on_single(self, burst: Burst, at: int, hub_seq: int, now: int) -> None:
        """An answer of a hub, or of an account there, that makes no batch of what is one."""
        if at == burst.answered:
            self._on_arrived(burst, at + 1, hub_seq, now)
        elif key := burst.keys[at]:
            self.window.drop(burst, at)
            self.window.settle(key, hub_seq)
            self._settled([key], now)

    def _on_arrived(self, burst: Burst, count: int, hub_seq: int, now: int) -> None:
        is_in_flight = burst.number in self.window.bursts
        keys, size = self.window.answer(burst, count, hub_seq, now)
        self.backoff = BACKOFF_NS
        self.last_ack = now
        if is_in_flight:
            self.going_bytes.add(size, now)
            self.line.ended(size, self.is_urgent, burst.sent_at, now, answered=True)
        self._settled(keys, now)

    def _on_refused(self, burst: Burst, at: int, answer: Refused, now: int) -> None:
        key = burst.keys[at]
        if burst.number not in self.window.bursts or not key:
            return
        self.refuses_batches |= answer.is_of_batch
        if not answer.permanent:
            self._block(answer.reason, now)
            return
        rows = self.backlog.scan(key, 1) if key > 0 else []
        self.window.drop(burst, at)
        if rows and rows[0].seq == key:
            self._bury(rows[0], answer.reason)
        else:
            if key > 0:  # the limits of the backlog took it meanwhile
                self.losses.add(key, key, 1, REFUSED)
            else:
                log.warning("uplink %s: the hub takes no receipt of losses: %s", self.name, answer.reason)
            self.window.settle(key, 0)
            self._settled([key], now)
        if len(burst.keys) == 1:
            self._close(burst)

    def _on_failed(self, burst: Burst, reason: str, now: int) -> None:
        if burst.number in self.window.bursts:
            self._block(reason, now)

    def _close(self, burst: Burst) -> None:
        """Nobody answers it any more."""
        _, size = self.window.answer(burst, len(burst.keys), 0, burst.heard_at)
        self.line.ended(size, self.is_urgent, 0, 0, answered=False)

    def _bury(self, row: Row, reason: str) -> None:
        """Out of the way of all that wait behind it; settled once the dead letter is on disk."""
        if row.seq in self.dying:
            return
        self.dying.add(row.seq)
        self.window.taken.add(row.seq, row.seq)
        log.warning("uplink %s: message %d on %s will never be taken: %s", self.name, row.seq, row.subject, reason)
        self.dead_letters.put(row, self.identity.id_of(row.seq), reason)

    def _settled(self, keys: Sequence[int], now: int) -> None:
        self.going.add(len(keys), now)
        self.watch.moves(now, self.window.floor < self.backlog.last_seq)
        for key in keys:
            if key < 0:
                self.losses.told(-key)
        self._save_soon(now)
        if not self._is_noted():
            self._save()
        in_flight = len(self.window)
        if not in_flight or (in_flight * 4 <= self.options.window * 3 and self.line.is_worthwhile()):
            self._pump(now)  # not for every answer one message

    # ---- doubt

    def _expect_answer(self, now: int) -> None:
        self.answer_due = now + self._timeout()

    def _timeout(self) -> int:
        return max(ANSWER_TIMEOUT_NS, 4 * self.link.rtt, 4 * self.line.pace.base_ns)

    def _ack_due(self) -> int | None:
        """Answers to later messages say nothing about the first."""
        oldest = self.window.oldest
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
        elif self.resume is not None or self.window:
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
            self._keep_found(self.resume)
        self._restart()
        self.resume = None
        self.answer_due = None
        self.retry_at = None
        self.state = state
        self.reason = reason

    def _keep_found(self, resume: Resume) -> None:
        for key, hub_seq in resume.found.items():
            self.window.settle(key, hub_seq)
            if key < 0:
                self.losses.told(-key)

    # ---- what must survive

    def _save_soon(self, now: int) -> None:
        if self.save_due is None:
            self.save_due = now + SAVE_INTERVAL_NS

    def _save(self, urgent: bool = False, thinned: Sequence[int] = ()) -> None:
        """Progress to disk, and the rows that it makes superfluous off it."""
        self.save_due = None
        if self.saving:
            self.save_again |= urgent
            return
        self.saving, self.save_again = True, False
        window = self.window
        self.combs.forget_up_to(window.floor)
        self.removing = [gap for pair in window.settled for gap in self.removed.gaps(*pair)]
        self.saved = replace(
            self.progress,
            epochs=latest(self.identity.epochs, window.floor),
            acked=window.floor,
            settled=tuple(window.settled),
            leased=tuple(self._lease()),
            hub_seq=window.after,
            hub_created=self.hub_created,
            dead=self.dead,
            losses=tuple(self.losses.waiting),
            receipts=self.losses.receipts,
            gone=dict(self.losses.gone),
            paused=self.paused,
            combs=tuple(self.combs.combs),
        )
        self.ledger.save(self.saved.encode(), window.floor, self.removing, thinned, urgent)

    def _lease(self) -> Ranges:
        """What may have been sent, and what may be sent next, without what is settled."""
        window = self.window
        leased = Ranges(self.unsearched)
        for key in sorted(key for key in window.doubts if key > 0):
            leased.add(key, key)
        for burst in window.bursts.values():
            for pair in runs(burst.open_keys()):
                leased.add(*pair)
        for cursor in self.fronts:
            first = max(cursor.next_seq, window.floor + 1)
            leased.add(first, first + self.options.window * LEASE)
        leased.remove_up_to(window.floor)
        return leased


def receipt_subject(pattern: str, edge: str) -> str:
    """One that the hub's stream takes: ``telemetry.<edge>.lost`` for ``telemetry.>``."""
    name = "".join("_" if char in " \t\r\n.*>" else char for char in edge)
    tokens = [name if token == "*" else token for token in pattern.split(".")]
    if tokens[-1] == ">":
        tokens[-1:] = ["lost"] if name in tokens else [name, "lost"]
    return ".".join(tokens)


def wire_size(subject: str, reply: str, header_size: int, size: int) -> int:
    """Of the whole of an HMSG: its line, its body, and the ends of both."""
    return len(subject) + len(reply) + len(f"HMSG   {header_size} {size}") + size + 4


