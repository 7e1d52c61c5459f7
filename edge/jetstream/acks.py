"""What a consumer has delivered, what of it is acknowledged, and what must be delivered again.

No clock, no I/O: ``now`` and deadlines are monotonic nanoseconds.
"""

import heapq
import json
from collections import OrderedDict, deque
from collections.abc import Container, Sequence
from typing import NamedTuple

from edge.jetstream.consumer_config import ConsumerConfig
from edge.jetstream.durations import MAX_NS, parse_duration


class Pending:
    """A message that was delivered and not acknowledged."""

    __slots__ = ("count", "cseq", "deadline", "delivered_at")

    def __init__(self, cseq: int, count: int, deadline: int) -> None:
        self.cseq = cseq  # of its first delivery
        self.count = count  # deliveries so far
        self.deadline = deadline  # 0: it waits for its next delivery
        self.delivered_at = 0  # the last time


class Position(NamedTuple):
    consumer_seq: int
    stream_seq: int


class Acks:
    def __init__(self, config: ConsumerConfig, before: int) -> None:
        """Nothing delivered yet; ``before`` is the stream sequence before the first that may be."""
        self.config = config
        self.delivered = Position(0, before)
        self.floor = self.delivered
        self.pending: dict[int, Pending] = {}  # by stream sequence
        self.order: deque[int] = deque()  # pending sequences by first delivery; acknowledged ones stay until in front
        self.deadlines: list[tuple[int, list[int]]] = []  # heap of those armed together; stale ones stay behind
        self.again: OrderedDict[int, None] = OrderedDict()  # stream sequences due for another delivery
        self.redelivered: dict[int, int] = {}
        self.looked = before  # up to here there was nothing more for those who asked
        self.passed = before  # up to here when everything was acknowledged the last time
        self.picked_up_to = 0  # up to here only the last message of each subject is delivered; 0: that is done

    def is_full(self) -> bool:
        """Must something be acknowledged before anything new is delivered?"""
        return 0 < self.config.max_ack_pending <= len(self.pending)

    def room(self) -> int:
        """How many new messages may be delivered before something must be acknowledged."""
        most = self.config.max_ack_pending
        return max(most - len(self.pending), 0) if most > 0 else MAX_NS

    def wait_ns(self, count: int) -> int:
        """How long the ``count``-th delivery waits for its ack."""
        backoff = self.config.backoff_ns
        return backoff[min(count, len(backoff)) - 1] if backoff else self.config.ack_wait_ns

    # ---- deliveries

    def peek(self, seq: int) -> tuple[int, int]:
        """What ``deliver`` would return."""
        known = self.pending.get(seq)
        return self.delivered.consumer_seq + 1, known.count + 1 if known else 1

    def deliver(self, seq: int, now: int) -> tuple[int, int]:
        """The message is being delivered: its consumer sequence, and how many times it has been delivered now."""
        cseq = self.delivered.consumer_seq + 1
        self.delivered = Position(cseq, max(seq, self.delivered.stream_seq))
        if self.config.ack_policy == "none":
            self.floor = self.delivered
            return cseq, 1
        known = self.pending.get(seq)
        if known is None:
            known = self.pending[seq] = Pending(cseq, 0, 0)
            self.order.append(seq)
        known.count += 1
        if known.count > 1:
            self.redelivered[seq] = known.count
        known.delivered_at = now
        if self.config.ack_policy != "flow_control":
            self._arm(seq, known, now + self.wait_ns(known.count))
        return cseq, known.count

    def deliver_new(self, seqs: Sequence[int], now: int) -> None:
        """As ``deliver`` for each of these, which are in order and have not been delivered before."""
        before = self.delivered.consumer_seq
        self.delivered = Position(before + len(seqs), seqs[-1])
        if self.config.ack_policy == "none":
            self.floor = self.delivered
            return
        deadline = now + self.wait_ns(1) if self.config.ack_policy != "flow_control" else 0
        for cseq, seq in enumerate(seqs, before + 1):
            known = self.pending[seq] = Pending(cseq, 1, deadline)
            known.delivered_at = now
        self.order.extend(seqs)
        if deadline:
            heapq.heappush(self.deadlines, (deadline, [*seqs]))

    def next_again(self) -> int:
        """The sequence that is due for another delivery, taken; 0 for none."""
        while self.again:
            seq, _ = self.again.popitem(last=False)
            if seq in self.pending:
                return seq
        return 0

    def put_back(self, seq: int) -> None:
        """``next_again`` was in vain."""
        self.again[seq] = None
        self.again.move_to_end(seq, last=False)

    def redeliver(self, seq: int) -> None:
        """Once more, when somebody asks for messages."""
        self.pending[seq].deadline = 0
        self.again[seq] = None

    def give_up(self, seq: int) -> int:
        """Delivered as often as it may be, it is nobody's any more: how often that was; 0: it may be delivered."""
        count = self.pending[seq].count
        if not 0 < self.config.max_deliver <= count:
            return 0
        del self.pending[seq]
        self.redelivered[seq] = count
        return count

    # ---- acks

    def ack(self, seq: int, cseq: int = 0) -> list[int]:
        """The sequences that this acknowledges; ``cseq``: of the delivery that it is for, where that is known."""
        if self.config.ack_policy not in ("all", "flow_control"):
            return self.ack_each([seq])
        if cseq and (cseq <= self.floor.consumer_seq or seq <= self.floor.stream_seq):
            return []
        acked = [known for known in self.pending if known <= seq]
        for known in acked:
            self._drop(known)
        self._move_floor()
        if cseq:
            self.floor = Position(cseq, seq)
        return acked

    def ack_each(self, seqs: Sequence[int]) -> list[int]:
        """As ``ack`` for each of these, where acks are explicit."""
        pending, first = self.pending, self._holding()
        acked = [seq for seq in seqs if pending.pop(seq, None) is not None]
        if self.redelivered:
            for seq in seqs:
                self.redelivered.pop(seq, None)
        if acked and (not pending or first not in pending):
            self._move_floor()
        return acked

    def _holding(self) -> int:
        """The first pending sequence: while that is pending the floor stays where it is."""
        order, pending = self.order, self.pending
        while order and order[0] not in pending:
            order.popleft()
        return order[0] if order else 0

    def postpone(self, seq: int, wait_ns: int, now: int) -> None:
        """Wait so long from now on.  What is due already stays so."""
        known = self.pending.get(seq)
        if known is not None:
            self._arm(seq, known, now + wait_ns)

    def forget(self, gone: Container[int], highest: int) -> bool:
        """These are not in the stream any more, none above ``highest``; was any of them pending?"""
        if not self.order or self.order[0] > highest:
            return False
        first = self._holding()
        found = [seq for seq in self.pending if seq in gone]
        for seq in found:
            self._drop(seq)
        if found and first not in self.pending:
            self._move_floor()
        return bool(found)

    def purge(self, first: int, gone: Container[int]) -> bool:
        """These are not in the stream any more, and nothing before ``first`` comes any more; was any pending?"""
        self.delivered = Position(self.delivered.consumer_seq, max(self.delivered.stream_seq, first - 1))
        found = [seq for seq in self.pending if seq < first or seq in gone]
        highest = max((self.pending[seq].cseq for seq in found), default=0)
        for seq in found:
            self._drop(seq)
        if not self.pending:  # else nats-server says where it has looked to only later
            self.delivered = Position(self.delivered.consumer_seq, max(self.delivered.stream_seq, self.looked))
        self._move_floor()
        if highest > self.floor.consumer_seq:  # by the stream alone it is before what is pending
            self.floor = Position(highest, self.floor.stream_seq)
        return bool(found)

    def _drop(self, seq: int) -> None:
        del self.pending[seq]
        self.redelivered.pop(seq, None)

    def _move_floor(self) -> None:
        order, pending = self.order, self.pending
        while order and order[0] not in pending:
            order.popleft()
        if order:
            self.floor = Position(pending[order[0]].cseq - 1, order[0] - 1)
        else:
            self.floor = self.delivered
            self.passed = max(self.delivered.stream_seq, self.looked)

    # ---- time

    def _arm(self, seq: int, known: Pending, deadline: int) -> None:
        known.deadline = deadline
        heapq.heappush(self.deadlines, (deadline, [seq]))

    def deadline(self) -> int:
        """When the next message has waited long enough for its ack; 0 for never."""
        self._pop_stale()
        return self.deadlines[0][0] if self.deadlines else 0

    def due(self, now: int) -> list[int]:
        """The messages that have waited long enough, taken: each is to be redelivered."""
        found = []
        while self.deadlines and self.deadlines[0][0] <= now:
            deadline, seqs = heapq.heappop(self.deadlines)
            for seq in seqs:
                known = self.pending.get(seq)
                if known is not None and known.deadline == deadline:
                    known.deadline = 0
                    found.append((deadline, seq))
        return [seq for _, seq in sorted(found)]

    def _pop_stale(self) -> None:
        deadlines, pending = self.deadlines, self.pending
        while deadlines:
            deadline, seqs = deadlines[0]
            while seqs:
                known = pending.get(seqs[-1])
                if known is not None and known.deadline == deadline:
                    return
                seqs.pop()
            heapq.heappop(deadlines)

    # ---- on disk

    def encode(self) -> bytes:
        """Positions, and pending messages as runs of consecutive sequences with the same count."""
        runs: list[list[int]] = []
        for seq in self.order:
            known = self.pending.get(seq)
            if known is None:
                continue
            last = runs[-1] if runs else [0, 0, 0, 0]
            if last[0] + last[2] == seq and last[1] + last[2] == known.cseq and last[3] == known.count:
                last[2] += 1
            else:
                runs.append([seq, known.cseq, 1, known.count])
        picked = [self.picked_up_to] if self.picked_up_to else []
        return json.dumps([[*self.delivered, *self.floor], runs, *picked], separators=(",", ":")).encode()

    def decode(self, state: bytes, last_seq: int, now: int) -> None:
        """Messages that were pending wait for their ack anew.  ValueError or TypeError for what is no state.

        What a power cut took back from the stream behind ``last_seq`` was never delivered either.
        """
        (dc, ds, fc, fs), runs, *picked = json.loads(state)
        pending = [
            (seq + i, Pending(cseq + i, count, 0))
            for seq, cseq, length, count in runs
            for i in range(length)
            if seq + i <= last_seq
        ]
        self.picked_up_to = min(int(picked[0]), last_seq) if picked else 0
        self.delivered = Position(int(dc), min(int(ds), last_seq))
        self.floor = min(Position(int(fc), int(fs)), self.delivered, key=lambda position: position.stream_seq)
        for seq, known in pending:
            self.pending[seq] = known
            self.order.append(seq)
            if known.count > 1:
                self.redelivered[seq] = known.count
            self._arm(seq, known, now + self.wait_ns(known.count))


class AckPlace(NamedTuple):
    """What an ack's subject says of the delivery that it is for."""

    deliveries: int
    stream_seq: int
    consumer_seq: int


def parse_ack_subject(subject: str) -> AckPlace | None:
    """``$JS.ACK.<stream>.<consumer>.<count>.<sseq>.<cseq>.<time>.<pending>``, or the longer form that names domain and
    account first; None for anything else."""
    parts = subject.split(".")
    numbers = parts[4:7] if len(parts) == 9 else parts[6:9]
    if len(numbers) < 3 or not all(number.isdecimal() and number.isascii() for number in numbers):
        return None
    return AckPlace(*map(int, numbers))


def parse_nak_delay(rest: bytes) -> int:
    """Nanoseconds of ``-NAK {"delay": ns}`` or ``-NAK 5s``; 0 for none or what cannot be read."""
    text = rest.decode("utf-8", "replace").strip()
    try:
        if not text.startswith("{"):
            return parse_duration(text)
        delay = json.loads(text).get("delay", 0)
        return delay if type(delay) is int and abs(delay) <= MAX_NS else 0
    except (ValueError, RecursionError):
        return 0
