"""What is sent, and what comes of it: rows become bursts, answers settle them, and what can never arrive gets out of
the way with a receipt or as a dead letter."""

import logging
from collections.abc import Callable, Sequence
from itertools import takewhile

from edge.core.times import SECOND
from edge.errors import StoreError
from edge.store.contract import Row
from edge.uplink.answers import BatchAck, BatchError, BatchGap, PubAck, Refused, parse_batch_answer
from edge.uplink.fronts import SCAN, Cursor, Fronts
from edge.uplink.gathering import Gathering
from edge.uplink.headers import receipt_headers
from edge.uplink.keeper import Keeper
from edge.uplink.line import URGENT, Line
from edge.uplink.losses import LIMITS, REFUSED, THINNED, Losses
from edge.uplink.meter import Meter
from edge.uplink.ports import Backlog, DeadLetters, HubLink, UplinkOptions
from edge.uplink.ranges import Ranges
from edge.uplink.sender import Draft, Sender
from edge.uplink.thinning import Combs, Thinner
from edge.uplink.window import Burst, Window, runs

log = logging.getLogger("edge")

LEASE = 8  # windows that each front may send before the progress on disk must move
SINGLE_NS = 60 * SECOND
BURSTS = 4  # that the window holds at least: while one is answered, others are on the way


class Delivery:
    """``block``: the hub takes nothing now, for this reason; ``settled``: it has taken something."""

    def __init__(
        self,
        options: UplinkOptions,
        backlog: Backlog,
        link: HubLink,
        line: Line,
        keeper: Keeper,
        dead_letters: DeadLetters,
        inbox: str,
        block: Callable[[str, int], None],
        settled: Callable[[int], None],
    ) -> None:
        progress = keeper.progress
        self.options = options
        self.name = options.name
        self.backlog = backlog
        self.line = line
        self.keeper = keeper
        self.dead_letters = dead_letters
        self.block = block
        self.settled = settled
        self.is_urgent = options.lane == URGENT
        self.window = Window(progress.acked, progress.settled, progress.hub_seq)
        self.fronts = Fronts(backlog, self.window, options.order == "strict")
        self.sender = Sender(options, progress, self.window, link, inbox)
        self.gathering = Gathering(options.gather_ns)
        self.losses = Losses(progress.losses, progress.receipts, progress.gone)
        self.receipt_subject = options.receipts or receipt_subject(options.subjects[0], progress.edge)
        self.combs = Combs(progress.combs)
        self.thinner = Thinner(backlog, options.max_bytes) if options.discard == "thin" else None
        self.dead = progress.dead
        self.dying: set[int] = set()  # on their way to the dead letters
        self.single_until = 0  # the hub takes no batches before, though its stream does
        self.last_ack = 0  # monotonic ns; 0: none since the start
        self.going, self.going_bytes = Meter(), Meter()

    @property
    def is_all_settled(self) -> bool:
        return self.window.floor >= self.backlog.last_seq

    def stored(self, now: int) -> None:
        """New rows can be read."""
        self.fronts.stored(now)
        self.gathering.begin(now)

    def restart(self) -> None:
        """What was in flight is in doubt."""
        for burst in self.window.bursts.values():
            self.line.ended(burst.size, self.is_urgent, 0, 0, answered=False)
        self.window.restart()
        for seq in self.dying:
            self.window.taken.add(seq, seq)
        self.fronts.restart()

    # ---- out

    def send(self, fresh: bool, room: int, now: int) -> int:
        """About ``room`` bytes of what is fresh, or of what is not; how many were sent."""
        sent = 0 if fresh else self._send_receipts(now)
        cursor = self.fronts.pick(fresh, now)
        if cursor is None or (fresh and self.gathering.waits_for_more(self.backlog.last_seq - cursor.next_seq)):
            return sent
        sent += self._send_rows(cursor, room - sent, now)
        self._look_ahead(cursor)
        if cursor.next_seq > self.backlog.last_seq:
            self.gathering.end()
        return sent

    def _send_rows(self, cursor: Cursor, room: int, now: int) -> int:
        draft = self._draft(cursor, room, now)
        if not draft.keys:
            return 0
        as_batch = self._makes_batches(now) and not draft.is_repeated
        sent = self.sender.send(draft.keys, draft.messages, now, as_batch)
        if not sent:
            cursor.next_seq = draft.keys[0]
        self.line.sent(sent, self.is_urgent)
        return sent

    def _draft(self, cursor: Cursor, room: int, now: int) -> Draft:
        draft = Draft(room)
        while draft.room > 0:
            rows = cursor.block(self.keeper.leased, self.options.window)
            self._note_missing(cursor)
            if not draft.keys:
                draft.is_repeated = bool(rows) and rows[0].seq in self.window.doubts
            rows = self._alike(rows, draft.is_repeated)[: self._space(draft, now)]
            if not rows:
                break
            count, refusal = self.sender.fill(draft, rows)
            cursor.next_seq = rows[0].seq + count
            if refusal:
                self._bury(rows[count], refusal)
                cursor.next_seq += 1
        return draft

    def _alike(self, rows: list[Row], is_repeated: bool) -> list[Row]:
        """What was sent before, or what never was."""
        if not self.window.doubts:
            return rows
        return list(takewhile(lambda row: (row.seq in self.window.doubts) == is_repeated, rows))

    def _makes_batches(self, now: int) -> bool:
        return self.sender.batches and now >= self.single_until

    def _space(self, draft: Draft, now: int) -> int:
        """How many messages more may go together now."""
        window, size = self.options.window, len(self.window) + len(self.dying)
        if self._makes_batches(now) and not draft.is_repeated:
            if not self.fronts.strict:
                return max(min(window - size, max(window // BURSTS, 1)) - len(draft.keys), 0)
            if size:  # what is behind a gap of one batch must not go ahead in another
                return 0
        return max(window - size - len(draft.keys), 0)

    def _look_ahead(self, cursor: Cursor) -> None:
        """Lease what comes next before it is needed."""
        seq = cursor.next_seq
        if seq > self.backlog.last_seq:
            return
        if seq not in self.keeper.leased:
            self.keeper.save(urgent=True)
        elif (probe := seq + self.options.window * LEASE // 2) <= self.backlog.last_seq:
            if probe not in self.keeper.leased and probe not in self.window.taken:
                self.keeper.save()

    def lease(self) -> Ranges:
        """What may have been sent, and what may be sent next, without what is settled."""
        window = self.window
        leased = Ranges()
        for key in sorted(key for key in window.doubts if key > 0):
            leased.add(key, key)
        for burst in window.bursts.values():
            for pair in runs(burst.open_keys()):
                leased.add(*pair)
        for cursor in self.fronts:
            first = max(cursor.next_seq, window.floor + 1)
            leased.add(first, first + self.options.window * LEASE)
        return leased

    # ---- losses

    def _send_receipts(self, now: int) -> int:
        """Those whose numbers are on disk."""
        sent = 0
        for loss in self.keeper.progress.losses:
            key = -loss.number
            if not key or self.window.carries(key) or self.losses.find(loss.number) is None:
                continue
            headers = receipt_headers(self.sender.identity.id_of(key), loss.header())
            if refusal := self.sender.refusal(self.receipt_subject, len(headers)):
                log.warning("uplink %s: no receipt for %s: %s", self.name, loss.header(), refusal)
                self._settle(key, now)
            else:
                sent += self.sender.send([key], [(self.receipt_subject, "", headers, b"")], now)
        self.line.sent(sent, self.is_urgent)
        if not any(loss.number for loss in self.losses.waiting) and self.losses.number_all():
            self.keeper.save(urgent=True)
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

    def thin(self, unsearched: Ranges) -> None:
        """What was never sent may go where it becomes too much, each with its receipt in the same commit."""
        thinner, window = self.thinner, self.window
        if thinner is None or not thinner.is_due() or self.keeper.is_busy:
            return
        spared = window.taken.copy()
        for key in [*window.doubts, *self.dying]:
            if key > 0:
                spared.add(key, key)
        for first, last in unsearched:
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
        self.keeper.save(urgent=True, thinned=[seq for cut in cuts for seq in cut.rows])

    # ---- the hub's answers

    def told(self, tokens: str, headers: bytes, payload: bytes, now: int) -> None:
        """``tokens`` of its subject, behind the inbox."""
        place = self.sender.place(tokens)
        burst = self.window.find(place.burst) if place is not None else None
        if place is None or burst is None or place.at >= len(burst.keys):
            return  # nothing that was sent, or known already
        match parse_batch_answer(headers, payload):
            case PubAck(stream=stream) if stream != self.options.hub_stream:
                wanted = self.options.hub_stream
                self._on_failed(burst, f"stream {stream} of the hub took the message, not {wanted}", now)
            case PubAck(seq=hub_seq, count=None):
                self._on_single(burst, place.at, hub_seq, now)
            case PubAck(seq=hub_seq, count=int(count)):
                self._on_arrived(burst, count, hub_seq, now)
                if burst.open_keys():
                    self._on_failed(burst, "the hub did not take the whole of a batch", now)
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
            self._settle(key, now, hub_seq)
            self._pass(burst)

    def _on_arrived(self, burst: Burst, count: int, hub_seq: int, now: int) -> None:
        is_in_flight = burst.number in self.window.bursts
        keys, size = self.window.answer(burst, count, hub_seq, now)
        self.last_ack = now
        if is_in_flight:
            self.going_bytes.add(size, now)
            self.line.ended(size, self.is_urgent, burst.sent_at, now, answered=True)
        self._pass(burst)
        self._settled(keys, now)

    def _on_refused(self, burst: Burst, at: int, answer: Refused, now: int) -> None:
        key = burst.keys[at]
        if burst.number not in self.window.bursts or not key:
            return
        if answer.is_of_batches:
            self.single_until = now + SINGLE_NS
        if not answer.permanent:
            burst.limit = at
            self.block(answer.reason, now)
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
            self._settle(key, now)
        self._pass(burst)

    def _on_failed(self, burst: Burst, reason: str, now: int) -> None:
        if burst.number in self.window.bursts:
            self.block(reason, now)

    def _pass(self, burst: Burst) -> None:
        """By the next of its keys that something else has become of: nobody will answer for them."""
        count = burst.answered
        while count < len(burst.keys) and not burst.keys[count]:
            count += 1
        if count > burst.answered and burst.number in self.window.bursts:
            _, size = self.window.answer(burst, count, 0, burst.heard_at)
            self.line.ended(size, self.is_urgent, 0, 0, answered=False)

    def _settle(self, key: int, now: int, hub_seq: int = 0) -> None:
        self.window.settle(key, hub_seq)
        self._settled([key], now)

    def _settled(self, keys: Sequence[int], now: int) -> None:
        self.going.add(len(keys), now)
        for key in keys:
            if key < 0:
                self.losses.told(-key)
        self.settled(now)

    def is_worthwhile(self) -> bool:
        """To send again: not for every answer one message."""
        in_flight = len(self.window)
        return not in_flight or (in_flight * 4 <= self.options.window * 3 and self.line.is_worthwhile())

    # ---- dead letters

    def _bury(self, row: Row, reason: str) -> None:
        """Out of the way of all that wait behind it; settled once the dead letter is on disk."""
        if row.seq in self.dying:
            return
        self.dying.add(row.seq)
        self.window.taken.add(row.seq, row.seq)
        log.warning("uplink %s: message %d on %s will never be taken: %s", self.name, row.seq, row.subject, reason)
        self.dead_letters.put(row, self.sender.identity.id_of(row.seq), reason)

    def buried(self, seq: int, error: StoreError | None, now: int) -> None:
        """The dead letter is on disk, or is not."""
        self.dying.discard(seq)
        if error is None:
            self.dead += 1
            self._settle(seq, now)

    # ---- what a resume looks for, and finds

    def doubts(self, unsearched: Ranges) -> list[tuple[int, str]]:
        """What may have been sent and is not settled, with its subject; empty where the row is gone."""
        window = self.window
        if len(unsearched):
            last = self.backlog.last_seq
            unknown = (gap for pair in unsearched for gap in window.settled.gaps(*pair))
            keys = [key for first, end in unknown for key in range(max(first, window.floor + 1), min(end, last) + 1)]
            keys += [-loss.number for loss in self.losses.waiting if loss.number]
            window.doubt(keys, self.keeper.progress.hub_seq)
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

    def keep_found(self, found: dict[int, int]) -> None:
        for key, hub_seq in found.items():
            self.window.settle(key, hub_seq)
            if key < 0:
                self.losses.told(-key)


def receipt_subject(pattern: str, edge: str) -> str:
    """One that the hub's stream takes: ``telemetry.<edge>.lost`` for ``telemetry.>``."""
    name = "".join("_" if char in " \t\r\n.*>" else char for char in edge)
    tokens = [name if token == "*" else token for token in pattern.split(".")]
    if tokens[-1] == ">":
        tokens[-1:] = ["lost"] if name in tokens else [name, "lost"]
    return ".".join(tokens)
