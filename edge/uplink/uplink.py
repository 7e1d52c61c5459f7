"""One uplink: a local stream drained into a stream of the hub, in order, each message exactly once.

How it stays exactly once:

1. A row leaves the local stream only after the hub's PubAck for it, or after it became a dead letter.
2. A message is sent again only when it was looked for at the hub and is not there.  So every doubt (a lost link, an
   answer that does not come, a refusal) ends in a resume (``resume.py``), never in a blind repetition.
3. What may be in doubt after a power cut is known beforehand: no row is sent that lies behind the ``limit`` of the
   progress on disk, and what the hub may have of them lies behind its ``hub_seq``.

Nothing new is sent while an answer is overdue: messages behind a lost one must not overtake it.
"""

import enum
import json
import logging
from collections.abc import Callable
from dataclasses import replace

from edge.errors import StoreError
from edge.store.contract import Row
from edge.subjects import overlap
from edge.uplink.answers import Refused, parse_puback
from edge.uplink.headers import hub_headers
from edge.uplink.ports import Backlog, DeadLetters, HubLink, Ledger, UplinkOptions
from edge.uplink.progress import Progress
from edge.uplink.resume import Resume
from edge.uplink.window import Window

log = logging.getLogger("edge")

SECOND = 1_000_000_000
WINDOW_BYTES = 128 * 1024  # in flight: what a slow line has to carry before a PONG or a command gets its turn
LEASE = 8  # windows that may be sent before the progress on disk must move
SAVE_INTERVAL_NS = SECOND
ANSWER_TIMEOUT_NS = 2 * SECOND  # without any answer at all, and at least four round trips
BACKOFF_NS = SECOND // 4
BACKOFF_MAX_NS = 5 * SECOND
SCAN = 64  # rows read at a time


class State(enum.Enum):
    DOWN = "down"  # no link
    RESUMING = "resuming"  # asks the hub what it has
    LIVE = "live"  # sends
    BLOCKED = "blocked"  # the hub does not take messages now; ``reason`` says why


class Uplink:
    """``inbox``: replies to ``<inbox>.<token>`` come to ``on_reply``, messages to ``scan_inbox`` to ``on_scanned``;
    ``wake``: the deadline has become earlier."""

    def __init__(
        self,
        options: UplinkOptions,
        progress: Progress,
        backlog: Backlog,
        link: HubLink,
        ledger: Ledger,
        dead_letters: DeadLetters,
        inbox: str,
        wake: Callable[[], None],
    ) -> None:
        self.options = options
        self.name = options.name
        self.progress = progress  # as it is on disk
        self.backlog = backlog
        self.link = link
        self.ledger = ledger
        self.dead_letters = dead_letters
        self.inbox = inbox
        self.scan_inbox = f"{inbox}_scan"
        self.wake = wake
        self.id_prefix = f"{progress.edge}:{progress.epoch}:"
        self.state = State.DOWN
        self.reason = ""
        self.window = Window(progress.acked, progress.hub_seq)
        self.next_seq = progress.acked + 1
        self.sent_until = progress.limit  # rows up to here may have been sent
        self.hub_created = progress.hub_created
        self.dead = progress.dead
        self.lost = 0  # rows that the local stream's limits took before they were sent
        self.resume: Resume | None = None
        self.questions = 0
        self.retry_at: int | None = None
        self.backoff = BACKOFF_NS
        self.answer_due: int | None = None
        self.save_due: int | None = None
        self.saving = False
        self.saved = progress  # what is on its way there
        self.dying: set[int] = set()  # on their way to the dead letters
        self.last_ack = 0  # monotonic ns; 0: none since the start

    # ---- for monitoring

    @property
    def acked_seq(self) -> int:
        return self.window.floor

    @property
    def hub_seq(self) -> int:
        return self.window.known

    # ---- events

    def on_link(self, up: bool, now: int) -> None:
        if up:
            self.backoff = BACKOFF_NS
            self._resume(now)
        else:
            self._stop(State.DOWN, "no link to the hub")

    def on_stored(self, now: int) -> None:
        """New rows can be read."""
        self._pump(now)

    def on_reply(self, token: str, headers: bytes, payload: bytes, now: int) -> None:
        """``a<seq>``: the hub's answer to a message; ``q<number>``: to a question of the resume."""
        kind, number = token[:1], token[1:]
        if not number.isdecimal() or len(number) > 19:
            return
        if kind == "a":
            self._on_puback(int(number), headers, payload, now)
        elif kind == "q" and self.resume is not None:
            self._on_answer(self.resume, int(number), headers, payload, now)
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
            self.save_due = now + SAVE_INTERVAL_NS
        else:
            self.progress = self.saved
            if not self._is_noted():
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
            self._settle(seq, 0, now)
        elif self.state is State.LIVE:
            self._block(f"a dead letter cannot be stored: {error}", now)
        self.wake()

    def deadline(self) -> int | None:
        dues = [due for due in (self.retry_at, self.answer_due, self.save_due) if due is not None]
        return min(dues, default=None)

    def tick(self, now: int) -> None:
        if self.retry_at is not None and now >= self.retry_at:
            self._resume(now)
        if self.answer_due is not None and now >= self.answer_due:
            self._on_silence(now)
        if self.save_due is not None and now >= self.save_due:
            self._save()

    # ---- resuming

    def _resume(self, now: int) -> None:
        """Ask the hub before anything is sent (again)."""
        if not self.link.up:
            return
        self.window.restart()
        self.next_seq = self.window.floor + 1
        self.state = State.RESUMING
        self.retry_at = None
        for request in ("STREAM.INFO", "STREAM.MSG.GET"):
            if refusal := self.link.refusal(f"{self._api()}.{request}.{self.options.hub_stream}", 0):
                self._block(refusal, now)
                return
        consumer = f"petiole_{self.inbox.rpartition('.')[2]}_{self.questions}"
        self.resume = Resume(self.options.hub_stream, self.id_prefix, consumer, self._ask, self._pull)
        self._expect_answer(now)
        self.resume.start()
        self.wake()

    def _api(self) -> str:
        domain = self.options.hub_domain or self.link.domain
        return f"$JS.{domain}.API" if domain else "$JS.API"

    def _ask(self, request: str, body: dict[str, object]) -> int:
        self.questions += 1
        self.link.publish(f"{self._api()}.{request}", json.dumps(body).encode(), f"{self.inbox}.q{self.questions}")
        return self.questions

    def _pull(self, request: str, body: dict[str, object]) -> None:
        self.link.publish(f"{self._api()}.{request}", json.dumps(body).encode(), self.scan_inbox)

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
        if self.resume is not None and resume.done:
            self._go_live(resume, now)

    def _check_hub(self, resume: Resume, now: int) -> None:
        """Is the hub's stream still the one we know, and where to look for what is in doubt?"""
        state = resume.state
        assert state is not None
        name = self.options.hub_stream
        if not self.hub_created:
            self.window.rebase(state.last_seq)  # nothing was ever sent: nothing before this can be ours
        elif state.created != self.hub_created:
            log.warning("uplink %s: the hub's stream %s is a new one, created %s", self.name, name, state.created)
            self.window.rebase(0)
        elif state.last_seq < self.window.known:
            log.warning(
                "uplink %s: the hub's stream %s ends at %d, but had acknowledged %d: it has lost messages",
                *(self.name, name, state.last_seq, self.window.known),
            )
            self.window.rebase(0)
        elif state.first_seq > self.window.after + 1 and self.sent_until > self.window.floor:
            log.info(
                "uplink %s: the hub's stream %s begins at %d: what it had stored of ours between %d and that is gone",
                *(self.name, name, state.first_seq, self.window.after),
            )
        self.hub_created = state.created
        if not any(overlap(ours, theirs) for ours in self.options.subjects for theirs in state.subjects):
            self._block(f"the hub's stream {name} does not take {', '.join(self.options.subjects)}", now)
        else:
            resume.search(self._doubts(), self.window.after)

    def _doubts(self) -> list[tuple[int, str]]:
        """Rows that may have been sent and are not settled."""
        doubts: list[tuple[int, str]] = []
        is_settled = self.window.is_settled
        seq = self.window.floor + 1
        while seq <= self.sent_until:
            rows = self.backlog.scan(seq, SCAN)
            doubts += [(r.seq, r.subject) for r in rows if r.seq <= self.sent_until and not is_settled(r.seq)]
            if not rows:
                break
            seq = rows[-1].seq + 1
        return doubts

    def _go_live(self, resume: Resume, now: int) -> None:
        self._keep_found(resume)
        if resume.found:
            log.info("uplink %s: %d messages in doubt had arrived", self.name, len(resume.found))
        self.window.resumed()
        self.sent_until = self.window.floor
        self.resume = None
        self.answer_due = None
        self.state = State.LIVE
        self.reason = ""
        if not self._is_noted():
            self._save(urgent=True)
        self._pump(now)

    def _is_noted(self) -> bool:
        """Would a resume after a power cut look at this stream of the hub, and early enough in it?  (Rule 3.)"""
        return self.hub_created == self.progress.hub_created and self.window.after >= self.progress.hub_seq

    # ---- sending

    def _pump(self, now: int) -> None:
        """Send what the window allows."""
        if self.state is not State.LIVE or not self._is_noted():
            return
        was_empty = not self.window
        while self._has_room():
            rows = self.backlog.scan(self.next_seq, min(SCAN, self.options.window))
            if not rows:
                break
            self._note_lost()
            for row in rows:
                if not self._has_room() or not self._send(row, now):
                    return self._pumped(was_empty, now)
        self._pumped(was_empty, now)

    def _pumped(self, was_empty: bool, now: int) -> None:
        if was_empty and self.window:
            self._expect_answer(now)
            self.wake()

    def _has_room(self) -> bool:
        window = self.window
        return len(window.order) < self.options.window and window.bytes < WINDOW_BYTES

    def _send(self, row: Row, now: int) -> bool:
        """False when no more can be sent now."""
        if self.window.pass_over(row.seq):
            self.next_seq = row.seq + 1
            self._save_soon(now)
            return True
        self.next_seq = row.seq
        if row.seq > self.progress.limit:
            self._save(urgent=True)
            return False
        msg_id = f"{self.id_prefix}{row.seq}"
        headers = hub_headers(row, msg_id)
        size = len(headers) + len(row.payload)
        refusal = self.link.refusal(row.subject, size)
        if not refusal and not self.link.publish(row.subject, row.payload, f"{self.inbox}.a{row.seq}", headers):
            return False
        self.window.send(row.seq, size)
        self.next_seq = row.seq + 1
        self.sent_until = max(self.sent_until, row.seq)
        if refusal:
            self._bury(row, refusal)
        return True

    def _note_lost(self) -> None:
        """Rows that the limits of the local stream took before the hub had them are not gone in silence."""
        first, expected = self.backlog.first_seq, self.next_seq
        lost = first - expected - sum(expected <= seq < first for seq in self.window.settled_ahead)
        if lost > 0:
            self.lost += lost
            log.warning(
                "uplink %s: the limits of its backlog dropped %d messages that the hub has not got (%d to %d)",
                *(self.name, lost, expected, first - 1),
            )
        self.next_seq = max(first, expected)

    # ---- the hub's answers

    def _on_puback(self, seq: int, headers: bytes, payload: bytes, now: int) -> None:
        answer = parse_puback(headers, payload)
        if isinstance(answer, Refused):
            self._on_refused(seq, answer, now)
            return
        if answer.stream != self.options.hub_stream:
            self._block(f"stream {answer.stream} of the hub took the message, not {self.options.hub_stream}", now)
            return
        if seq > self.sent_until:
            return  # nothing that was sent, or sent so long ago that it was looked for since
        self.backoff = BACKOFF_NS
        self.last_ack = now
        self._settle(seq, answer.seq, now)

    def _on_refused(self, seq: int, answer: Refused, now: int) -> None:
        if seq not in self.window.flights or seq in self.dying:
            return
        if not answer.permanent:
            self._block(answer.reason, now)
            return
        rows = self.backlog.scan(seq, 1)
        if rows and rows[0].seq == seq:
            self._bury(rows[0], answer.reason)
        else:
            self._settle(seq, 0, now)  # the limits of the backlog took it meanwhile

    def _bury(self, row: Row, reason: str) -> None:
        """Out of the way of all that wait behind it; settled once the dead letter is on disk."""
        if row.seq in self.dying:
            return
        self.dying.add(row.seq)
        log.warning("uplink %s: message %d on %s will never be taken: %s", self.name, row.seq, row.subject, reason)
        self.dead_letters.put(row, f"{self.id_prefix}{row.seq}", reason)

    def _settle(self, seq: int, hub_seq: int, now: int) -> None:
        floor = self.window.floor
        self.window.settle(seq, hub_seq)
        self._save_soon(now)
        if self.window.floor + self.options.window * LEASE // 2 > self.progress.limit or not self._is_noted():
            self._save()
        if self.state is State.LIVE:
            if not self.window:
                self.answer_due = None
            elif self.window.floor > floor:  # answers to later messages say nothing about the first
                self._expect_answer(now)
            self._pump(now)

    # ---- doubt

    def _expect_answer(self, now: int) -> None:
        self.answer_due = now + max(ANSWER_TIMEOUT_NS, 4 * self.link.rtt)

    def _on_silence(self, now: int) -> None:
        """A slow line that still carries our bytes away is not silent."""
        if self.link.up and self.link.pending_bytes:
            self._expect_answer(now)
        elif self.resume is not None and self.resume.scanning:
            self.resume.end_scan()  # the shortcut leads nowhere
            self._expect_answer(now)
        elif set(self.window.flights) <= self.dying and self.state is State.LIVE:
            self.answer_due = None  # none of what is in flight has gone to the hub
        else:
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
        self.window.restart()
        self.resume = None
        self.answer_due = None
        self.retry_at = None
        self.state = state
        self.reason = reason

    def _keep_found(self, resume: Resume) -> None:
        for seq, hub_seq in resume.found.items():
            self.window.settle(seq, hub_seq)

    # ---- what must survive

    def _save_soon(self, now: int) -> None:
        if self.save_due is None:
            self.save_due = now + SAVE_INTERVAL_NS

    def _save(self, urgent: bool = False) -> None:
        """Progress to disk, and the rows that it makes superfluous off it."""
        self.save_due = None
        if self.saving:
            return  # ``on_saved`` looks again
        self.saving = True
        window = self.window
        self.saved = replace(
            self.progress,
            acked=window.floor,
            limit=max(window.floor, self.next_seq, self.sent_until) + self.options.window * LEASE,
            hub_seq=window.after,
            hub_created=self.hub_created,
            dead=self.dead,
        )
        self.ledger.save(self.saved.encode(), window.floor, urgent)
