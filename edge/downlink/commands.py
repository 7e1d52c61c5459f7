"""Commands of the hub's stream, each run once: mirrored here, brought to their devices in order, their results sent up.

The mirror is the list of what waits (``received`` is on disk with the row); ``journal.py`` tells what became of each.
How one goes: ``sent`` to disk, the device is asked, its answer and the message with the result to disk in one commit,
the row is taken away.  The result then lies in an uplink's stream: it reaches the hub once, across any partition.

After a power cut ``sent`` means that nobody knows: it is run again where that is harmless (idempotent), and reported
``interrupted`` where not.
"""

import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Protocol, TypeGuard

from edge.core.leaf_link import LeafLink
from edge.core.peer import PeerKind, Subscription
from edge.core.times import SECOND, Clock, rfc3339
from edge.downlink.command import ID, QUEUED, Command, State, device_headers, verdict
from edge.downlink.journal import Journal, Record, spoiled
from edge.downlink.past import Past
from edge.errors import StoreError
from edge.jetstream.stream import Batch, Stream
from edge.message import header_block
from edge.store.contract import Row

log = logging.getLogger("edge")

MAX_OPEN = 1000  # in memory; the others wait in the mirror
MAX_EACH = 8  # for one device: many for one that is away must not keep others from theirs
LOOK_NS = 15 * SECOND  # at the wall clock, which may have been set
FIRST_RETRY_NS, LAST_RETRY_NS = SECOND, 30 * SECOND
SHOWN_RESULT = 1024  # characters, in the list of commands
MAX_RESULT = 512 << 10  # bytes of what the hub is told: more may be too large for it, and it would hear of no end
SHOWN = 100  # that have ended
ENDS = (State.DONE, State.FAILED, State.EXPIRED, State.INTERRUPTED)
CUT = "the power was cut, or the edge killed, while it ran; it may have been carried out"


class CommandOptions(Protocol):
    """``parallel`` commands at once for a device; its answer is waited for ``timeout_ns``; ``keep`` that have ended."""

    @property
    def parallel(self) -> int: ...
    @property
    def timeout_ns(self) -> int: ...
    @property
    def keep(self) -> int: ...


class Job:
    """A command that has not ended."""

    __slots__ = ("answer_due", "attempts", "backoff", "command", "record", "retry_at", "sent_ns", "state", "why")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.state = State.RECEIVED
        self.attempts = 0
        self.sent_ns = 0  # wall clock
        self.answer_due = 0  # monotonic; 0: nothing is waited for
        self.retry_at = 0
        self.backoff = FIRST_RETRY_NS
        self.why = ""  # it waits
        self.record: Record | None = None  # it has ended, and that is on its way to the disk

    def fields(self) -> Record:
        sent = rfc3339(self.sent_ns) if self.sent_ns else None
        found = self.command.fields() | {"state": self.state.value, "attempts": self.attempts, "sent": sent}
        return found | ({"waits": self.why} if self.why else {})


class Commands:
    """``queue``: the mirror; ``results``: the stream of the uplink that takes ``results.<edge>.>``; ``clock_is_set``:
    before that no deadline can be judged; ``past``: before it is known nothing is run."""

    def __init__(
        self,
        edge: str,
        options: CommandOptions,
        link: LeafLink,
        queue: Stream,
        results: Stream,
        values: Mapping[str, bytes],
        clock: Clock,
        clock_is_set: Callable[[], bool],
        inbox: str,
        past: Past,
    ) -> None:
        self.edge = edge
        self.options = options
        self.link = link
        self.account = link.account
        self.queue = queue
        self.results = results
        self.clock = clock
        self.clock_is_set = clock_is_set
        self.inbox = inbox
        self.past = past
        damaged = [seq for seq in spoiled(queue.store.damage)[0] if queue.get(seq) is not None]
        self.journal = Journal(queue.store, values, options.keep, damaged)
        self.jobs: dict[int, Job] = {}  # by sequence, ascending
        self.waiting: dict[str, deque[Job]] = {}  # by device, in their order
        self.running: dict[str, int] = {}  # by device
        self.ending: list[Job] = []  # the disk did not take their ends
        self.next_seq = 0
        self.passed: dict[str, int] = {}  # by device, the first that was left in the mirror before ``next_seq``
        self.ends: Counter[str] = Counter()  # since the start, by state
        self.hub_ns = 0  # the latest time that the hub has told: it is later now
        self.account.subscribe(f"{inbox}.*.*", self._on_answer)
        self.account.subscribe(f"petiole.{edge}.commands", self._on_question)
        self.account.interest_listeners.append(self._on_interest)
        queue.listeners.append(self._on_stored)
        past.tell = self._on_stored
        self._on_stored()

    # ---- events

    def _on_stored(self) -> None:
        """There are new rows in the mirror."""
        self._admit()
        self._run(self.clock.monotonic())
        self.clock.wake()

    def _on_interest(self, sub: Subscription, added: bool) -> None:
        """A device may be there now; what it says first should not be interrupted by a command, so: soon."""
        if added and sub.peer.kind is not PeerKind.LEAF and sub.subject.startswith("commands."):
            now = self.clock.monotonic()
            for job in self.jobs.values():
                if job.retry_at and not job.record:
                    job.retry_at, job.backoff = now, FIRST_RETRY_NS
            self.clock.wake()

    def deadline(self) -> int | None:
        now, wall = self.clock.monotonic(), self._wall()
        if self.past.is_open:
            return self.past.deadline()
        found = [due for job in self.jobs.values() for due in (job.retry_at, job.answer_due) if due]
        found += [now + max(job.command.deadline_ns - wall, 0) for job in self._deadlines()]
        if not found:
            return None
        return min(min(found), now + LOOK_NS)

    def tick(self, now: int) -> None:
        self.past.tick(now)
        for job in [job for job in self.jobs.values() if job.answer_due and now >= job.answer_due]:
            self._on_silence(job, now)
        ending, self.ending = self.ending, []
        for job in ending:
            if now >= job.retry_at:
                self._save_end(job)
            else:
                self.ending.append(job)
        self._run(now)

    def _deadlines(self) -> list[Job]:
        return [job for queue in self.waiting.values() for job in queue if job.command.deadline_ns]

    def _wall(self) -> int:
        return max(self.clock.wall(), self.hub_ns)

    # ---- what there is to do

    def _admit(self) -> None:
        if self.past.is_open:
            return
        done: list[int] = []
        while len(self.jobs) < MAX_OPEN and (rows := self.queue.scan(self.next_seq, 100)):
            for row in rows[: MAX_OPEN - len(self.jobs)]:
                self.next_seq = row.seq + 1
                self.hub_ns = max(self.hub_ns, row.time_ns)
                if not self._take(row):
                    done.append(row.seq)
        if done:
            self.queue.take(done, nobody_waits)
        if self.past.is_settled() and not any(self.past.doubts(seq) for seq in (*self.jobs, *self.passed.values())):
            self.past.settled()

    def _refill(self, device: str) -> None:
        """Its next ones, that were left in the mirror."""
        seq = self.passed.get(device)
        if seq is None or len(self.waiting.get(device, ())) > self.each // 2:
            return
        del self.passed[device]
        done: list[int] = []
        while device not in self.passed and seq < self.next_seq and (rows := self.queue.scan(seq, 100)):
            for row in rows:
                seq = row.seq + 1
                if row.seq >= self.next_seq or device in self.passed:
                    break
                if row.subject.startswith(f"{QUEUED}{self._subject_of(device)}.") and row.seq not in self.jobs:
                    if not self._take(row):
                        done.append(row.seq)
        if done:
            self.queue.take(done, nobody_waits)

    @property
    def each(self) -> int:
        return max(MAX_EACH, 2 * self.options.parallel)

    def _take(self, row: Row) -> bool:
        known = self.journal.state(row.seq)
        if known not in ("", State.SENT.value, State.RECEIVED.value):
            return False  # its row was to be taken away when the process ended
        command = Command.of(row, self.queue.name)
        if command.device in self.passed or len(self.waiting.get(command.device, ())) >= self.each:
            self.passed.setdefault(command.device, row.seq)
            return True
        in_doubt = self.past.doubts(row.seq)
        if in_doubt and command.id in self.past.ended:
            log.info("command %s: has a result at the hub: %s", command.id, self.past.reason)
            return False
        job = self.jobs[row.seq] = Job(command)
        attempts = self.journal.records.get(row.seq, {}).get("attempts", 0)
        job.attempts = attempts if isinstance(attempts, int) else 0
        if command.fault:
            self._end(job, State.FAILED, None, command.fault)
        elif known == State.SENT.value and not command.idempotent:
            self._end(job, State.INTERRUPTED, None, str(self.journal.records[row.seq].get("error") or CUT))
        elif in_doubt and not command.idempotent:
            self._end(job, State.INTERRUPTED, None, f"{self.past.reason}; it may have been carried out before")
        else:
            self.waiting.setdefault(command.device, deque()).append(job)
        return True

    def _run(self, now: int) -> None:
        wall = self._wall()
        for device in list(self.waiting):
            queue = self.waiting[device]
            for job in [job for job in queue if 0 < job.command.deadline_ns <= wall]:
                queue.remove(job)
                reason = f"its deadline passed while it waited{f': {job.why}' if job.why else ''}"
                self._end(job, State.EXPIRED, None, reason)
            while queue and self.running.get(device, 0) < self.options.parallel and self._may_run(queue[0], now):
                self._start(queue.popleft())
            if not queue:
                del self.waiting[device]

    def _may_run(self, job: Job, now: int) -> bool:
        if job.retry_at > now:
            return False
        if job.command.deadline_ns and not self.clock_is_set():
            job.why = "the clock is not set: nobody knows whether its deadline has passed"
        elif not self._is_there(job.command):
            job.why = "nobody answers for the device"
        else:
            return True
        self._wait(job, now)
        return False

    def _wait(self, job: Job, now: int) -> None:
        job.retry_at = now + job.backoff
        job.backoff = min(job.backoff * 2, LAST_RETRY_NS)

    def _is_there(self, command: Command) -> bool:
        """Somebody here, or behind a leaf of ours; what the hub listens to does not count."""
        match = self.account.sublist.match(self._subject(command))
        subs = [*match.plain, *(sub for group in match.queues for sub in group)]
        return any(sub.peer is not self.link for sub in subs)

    def _subject(self, command: Command) -> str:
        return f"{self._subject_of(command.device)}.{command.verb}"

    def _subject_of(self, device: str) -> str:
        return f"commands.{self.edge}.{device}"

    # ---- one of them

    def _start(self, job: Job) -> None:
        device = job.command.device
        self.running[device] = self.running.get(device, 0) + 1
        job.state, job.retry_at, job.why = State.SENT, 0, ""
        job.attempts += 1
        job.sent_ns = self.clock.wall()
        record = job.fields()
        self.journal.put(job.command.seq, record)
        self.queue.store.commit(partial(self._noted, job, record))

    def _noted(self, job: Job, record: Record, error: StoreError | None) -> None:
        """It is on disk that it is sent: now it may be."""
        now = self.clock.monotonic()
        if error is not None:
            self._back(job, f"it could not be noted: {error}", now)
            return
        self.journal.noted(job.command.seq, record)
        rows = self.queue.scan(job.command.seq, 1)
        if not rows or rows[0].seq != job.command.seq:
            self._end(job, State.FAILED, None, "its message is not there any more")
            return
        job.answer_due = now + self.options.timeout_ns
        self.clock.wake()
        given = self.account.publish(
            self._subject(job.command),
            rows[0].payload,
            reply=f"{self.inbox}.{job.command.seq}.{job.attempts}",
            headers=device_headers(job.command, rows[0].headers),
            origin=self.link,
        )
        if not given.receivers:
            self._postpone(job, "nobody answers for the device", now)

    def _on_answer(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        seq, attempt = subject.split(".")[-2:]
        job = self.jobs.get(int(seq)) if seq.isdecimal() else None
        if job is None or not job.answer_due or attempt != str(job.attempts):
            return
        found = verdict(headers, payload)
        if found.again:
            self._postpone(job, found.error, self.clock.monotonic())
        elif found.doubtful and job.command.idempotent:
            self._back(job, found.error, self.clock.monotonic())
        else:
            self._end(job, found.state, found.result, found.error)

    def _on_silence(self, job: Job, now: int) -> None:
        seconds = self.options.timeout_ns / SECOND
        reason = f"the device did not answer within {seconds:g} s"
        if job.command.idempotent:
            self._back(job, reason, now)
        else:
            self._end(job, State.FAILED, None, f"{reason}; it may have been carried out")

    def _postpone(self, job: Job, why: str, now: int) -> None:
        """It was surely not carried out: it is not ``sent`` any more."""
        self.journal.drop(job.command.seq)
        self.queue.store.commit(partial(self._dropped, job.command.seq), False)
        self._back(job, why, now)

    def _dropped(self, seq: int, error: StoreError | None) -> None:
        if error is None and (job := self.jobs.get(seq)) is not None and job.state is State.RECEIVED:
            self.journal.dropped(seq)

    def _back(self, job: Job, why: str, now: int) -> None:
        """It is the next of its device again."""
        self._free(job)
        job.state, job.why = State.RECEIVED, why
        self._wait(job, now)
        device = job.command.device
        queue = [*self.waiting.get(device, ()), job]
        self.waiting[device] = deque(sorted(queue, key=lambda each: each.command.seq))
        self.clock.wake()

    def _free(self, job: Job) -> None:
        job.answer_due = 0
        if job.state is State.SENT:
            device = job.command.device
            self.running[device] -= 1
            if not self.running[device]:
                del self.running[device]

    # ---- the end of one

    def _end(self, job: Job, state: State, result: object, error: str) -> None:
        self._free(job)
        job.state = state
        job.record = job.fields() | {"ended": rfc3339(self.clock.wall()), "result": result, "error": error}
        self._save_end(job)

    def _save_end(self, job: Job) -> None:
        """That it has ended and the message that tells the hub: one commit."""
        command, record = job.command, job.record
        assert record is not None
        job.retry_at = 0
        self.journal.put(command.seq, record)
        rows = self.results.open_batch()
        headers = header_block([(ID, command.id), ("Petiole-Command-State", job.state.value)])
        payload = self._told(record)
        subject = f"results.{self.edge}.{command.device or '_'}"
        rows.append((self.results.assigned_seq + 1, subject, self.results.stamp_ns, headers, payload))
        size = len(subject) + len(headers) + len(payload) + self.results.overhead
        self.results.submit(Batch(rows, size, [], [], partial(self._ended, job, record)))

    def _told(self, record: Record) -> bytes:
        payload = json.dumps({"edge": self.edge} | record, ensure_ascii=False).encode("utf-8", "replace")
        return payload if len(payload) <= MAX_RESULT else self._told(_short(record))

    def _ended(self, job: Job, record: Record, error: StoreError | None) -> None:
        now = self.clock.monotonic()
        if error is not None:
            log.warning("command %s: its end could not be stored: %s", job.command.id, error)
            self._wait(job, now)
            self.ending.append(job)
            self.clock.wake()
            return
        log.info("command %s: %s.%s: %s", job.command.id, job.command.device, job.command.verb, job.state.value)
        seq = job.command.seq
        self.ends[job.state.value] += 1
        self.journal.noted(seq, record)
        del self.jobs[seq]
        self.queue.take([seq], nobody_waits)
        self._refill(job.command.device)
        self._admit()
        self.journal.prune(min((*self.jobs, *self.passed.values()), default=self.next_seq), nobody_waits)
        self._run(now)
        self.clock.wake()

    # ---- for whoever asks

    def report(self) -> dict[str, Any]:
        """``petiole.<edge>.commands``: those that have not ended, and the last that have."""
        ended = [record for seq, record in sorted(self.journal.records.items()) if seq not in self.jobs][-SHOWN:]
        waiting = [job.record or job.fields() for job in islice(self.jobs.values(), MAX_OPEN)]
        left = max(self.queue.messages - len(self.jobs), 0)
        return {
            "edge": self.edge,
            "waits": self.past.state(),
            "commands": [_short(record) for record in (*ended, *waiting)],
            "not_shown": left,
        }

    def counts(self) -> dict[str, dict[str, int]]:
        """By state: those that are here, and those that have ended since the start."""
        here = Counter(job.state.value for job in self.jobs.values() if not job.record)
        left = max(self.queue.messages - len(self.jobs), 0)
        open = {"received": here[State.RECEIVED.value] + left, "sent": here[State.SENT.value]}
        return {"open": open, "ended": {state.value: self.ends[state.value] for state in ENDS}}

    def _on_question(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        if reply:
            self.account.publish(reply, json.dumps(self.report(), ensure_ascii=False).encode("utf-8", "replace"))


def _short(record: Record) -> Record:
    """All that devices and senders wrote at will is cut."""
    short = {key: f"{value[:SHOWN_RESULT]}..." for key, value in record.items() if _is_long(value)}
    result = json.dumps(record.get("result"), ensure_ascii=False)
    cut = {"result": f"{result[:SHOWN_RESULT]}..."} if len(result) > SHOWN_RESULT else {}
    return record | short | cut


def _is_long(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) > SHOWN_RESULT


def nobody_waits(error: StoreError | None) -> None:
    """What was to go is still there after the next start, and goes then."""
