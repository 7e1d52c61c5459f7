"""Fast batches: many messages, each stored as it comes, and an answer to every so many of them (``allow_batched``;
reference: jetstream.md section 3b).

A message says in its reply subject what it is: ``<inbox>.<batch>.<flow>.<gap mode>.<sequence>.<operation>.$FI``.  What
is answered counts on the commit that the message goes to disk with; should that fail, the batch ends.
"""

import json
import re
from typing import NamedTuple

from edge.core.times import SECOND
from edge.errors import ApiError
from edge.jetstream import errors
from edge.jetstream.admission import Admission, Budget, Draft, Duplicate, Staged
from edge.jetstream.batches import LEVEL, MAX_ID
from edge.jetstream.fields import dumps
from edge.jetstream.levels import API_LEVEL_TOO_LOW, too_high
from edge.message import header_get, header_without

SUFFIX = ".$FI"
IDLE_NS = 10 * SECOND
MAX_OPEN = 1000  # of one stream
MAX_FLOW = 500  # messages for one answer, for all batches of a stream together
DEFAULT_FLOW = 10
START, APPEND, COMMIT, COMMIT_EOB, PING = range(5)
NUMBER = re.compile(r"[0-9]{1,20}")

INVALID_PATTERN = errors.refused(10206, "batch publish pattern is invalid")
INVALID_ID = errors.refused(10207, "batch publish ID is invalid")
UNKNOWN_ID = errors.refused(10208, "batch publish ID unknown")
TOO_MANY = ApiError(429, 10211, "batch publish too many inflight")


class Mark(NamedTuple):
    """What a reply subject says of its message."""

    batch: str
    flow: int
    gap_ok: bool
    seq: int
    operation: int


def parse_reply(reply: str) -> Mark:
    """ApiError 10206 for what is no reply of a fast batch."""
    parts = reply.removesuffix(SUFFIX).rsplit(".", 5)
    if len(parts) < 6:
        raise INVALID_PATTERN
    _, batch, flow, gap, seq_text, operation_text = parts
    seq = int(seq_text) if NUMBER.fullmatch(seq_text) else 0
    operation = int(operation_text) if NUMBER.fullmatch(operation_text) else -1
    if not START <= operation <= PING or not 0 < seq < (1 << 64) - 1 or gap not in ("ok", "fail"):
        raise INVALID_PATTERN
    if (seq == 1 and operation in (APPEND, COMMIT_EOB)) or (seq != 1 and operation == START):
        raise INVALID_PATTERN
    asked = int(flow) if NUMBER.fullmatch(flow) else 0
    return Mark(batch, min(asked or DEFAULT_FLOW, 65_535), gap == "ok", seq, operation)


class FastBatch:
    def __init__(self, mark: Mark, others: int) -> None:
        self.id = mark.batch
        self.gap_ok = mark.gap_ok
        self.most = mark.flow  # messages for one answer, by the client's wish
        self.every = 1 if others else min(MAX_FLOW, mark.flow)
        self.seq = 0  # the last that came
        self.stored_seq = 0  # the last that needs no more doing
        self.answered_seq = 0
        self.stream_seq = 0
        self.expires_at = 0


class FastBatches:
    """Those of one stream."""

    def __init__(self, admission: Admission, budget: Budget) -> None:
        self.admission = admission
        self.stream = admission.stream
        self.budget = budget
        self.open: dict[str, FastBatch] = {}

    def put(self, draft: Draft, mark: Mark, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """One message, with whatever it is answered.  ApiError: it was refused as any message is."""
        if len(mark.batch) > MAX_ID:
            raise INVALID_ID
        batch = self.open.get(mark.batch) or self._begin(mark)
        if header_get(headers, LEVEL) is not None:
            if too_high(headers):
                self._drop(batch)
                raise API_LEVEL_TOO_LOW
            headers = header_without(headers, (f"{LEVEL}:",))
        batch.expires_at = self.stream.moment + IDLE_NS
        if mark.operation == PING:
            self._ping(draft, batch, mark, reply)
            return
        if not self._follows(draft, batch, mark, reply):
            return
        if mark.operation == COMMIT_EOB:
            batch.seq -= 1
            self._end(draft, batch, reply)
            return
        if mark.seq == 1 and mark.operation != COMMIT:
            _say(draft, reply, {"type": "ack", "seq": 0, "msgs": batch.every})
        self._store(draft, batch, mark, subject, reply, headers, payload)

    def _begin(self, mark: Mark) -> FastBatch:
        if mark.seq != 1:
            raise UNKNOWN_ID
        if len(self.open) >= MAX_OPEN or not self.budget.take():
            raise TOO_MANY
        batch = self.open[mark.batch] = FastBatch(mark, len(self.open))
        self.stream.clock.wake()
        return batch

    def _ping(self, draft: Draft, batch: FastBatch, mark: Mark, reply: str) -> None:
        """The client has heard nothing for a while."""
        if mark.seq > batch.seq:
            _say(draft, reply, {"type": "gap", "last_seq": batch.seq + 1, "seq": mark.seq + 1})
            if not batch.gap_ok:
                self._end(draft, batch, reply)
                return
            batch.seq = batch.stored_seq = mark.seq
            if self._answer(draft, batch, reply):
                return
        _say(draft, reply, {"type": "ack", "seq": batch.answered_seq, "msgs": batch.every})

    def _follows(self, draft: Draft, batch: FastBatch, mark: Mark, reply: str) -> bool:
        """Is this the message that was expected, or may some be missing?"""
        batch.seq += 1
        if mark.seq == batch.seq:
            return True
        _say(draft, reply, {"type": "gap", "last_seq": batch.seq, "seq": mark.seq})
        if batch.gap_ok and mark.seq > batch.seq:
            batch.seq = mark.seq
            return True
        batch.seq -= 1
        self._end(draft, batch, reply)
        return False

    def _store(
        self,
        draft: Draft,
        batch: FastBatch,
        mark: Mark,
        subject: str,
        reply: str,
        headers: bytes,
        payload: bytes,
    ) -> None:
        try:
            admitted = self.admission.admit_staged(draft, Staged(set()), subject, headers, payload)
        except Duplicate as known:
            self._known(draft, batch, mark, reply, known.seq)
            return
        except ApiError as error:
            self._refused(draft, batch, mark, reply, error)
            return
        self.admission.store(draft, subject, admitted)
        batch.stored_seq, batch.stream_seq = batch.seq, draft.seq
        if mark.operation == COMMIT:
            self._end(draft, batch, reply)
        else:
            self._answer(draft, batch, reply)

    def _known(self, draft: Draft, batch: FastBatch, mark: Mark, reply: str, seq: int) -> None:
        """It is stored already: as good as stored now."""
        batch.stored_seq = mark.seq
        self._answer(draft, batch, reply)
        if mark.operation != COMMIT:
            return
        if not batch.gap_ok and batch.seq == 1:
            told = json.dumps(batch.id).encode()
            ack = b'%b%d,"duplicate": true,"batch":%b,"count":%d}' % (self.stream.ack_head, seq, told, mark.seq)
            draft.answers.append((reply, ack))
            self._drop(batch)
        else:
            self._end(draft, batch, reply)

    def _refused(self, draft: Draft, batch: FastBatch, mark: Mark, reply: str, error: ApiError) -> None:
        if not batch.gap_ok and batch.seq == 1:
            self._drop(batch)
            raise error
        _say(draft, reply, {"type": "err", "seq": mark.seq, "error": errors.error_fields(error)})
        if batch.gap_ok and mark.operation != COMMIT:
            return
        batch.seq -= 1
        self._end(draft, batch, reply)

    # ---- answers

    def _answer(self, draft: Draft, batch: FastBatch, reply: str) -> bool:
        """To every so many messages; how many, changes with how many batches there are."""
        if batch.stored_seq < batch.answered_seq + batch.every:
            return False
        batch.answered_seq += (batch.stored_seq - batch.answered_seq) // batch.every * batch.every
        most = min(max(MAX_FLOW // len(self.open), 1), batch.most)
        if batch.every < most:
            batch.every = min(batch.every * 2, most)
        elif batch.every > most:
            batch.every = max(batch.every // 2, most)
        _say(draft, reply, {"type": "ack", "seq": batch.answered_seq, "msgs": batch.every})
        return True

    def _end(self, draft: Draft, batch: FastBatch, reply: str) -> None:
        """What was stored up to here is the batch."""
        self._drop(batch)
        told = json.dumps(batch.id).encode()
        ack = b'%b%d,"batch":%b,"count":%d}' % (self.stream.ack_head, batch.stream_seq, told, batch.seq)
        draft.answers.append((reply, ack))

    # ---- the end

    def _drop(self, batch: FastBatch) -> None:
        del self.open[batch.id]
        self.budget.give_back()

    def clear(self) -> None:
        for batch in list(self.open.values()):
            self._drop(batch)

    def deadline(self) -> int | None:
        """Monotonic."""
        return min((batch.expires_at for batch in self.open.values()), default=None)

    def tick(self, now: int) -> None:
        for batch in [batch for batch in self.open.values() if batch.expires_at <= now]:
            self._drop(batch)


def _say(draft: Draft, reply: str, fields: dict[str, object]) -> None:
    draft.answers.append((reply, dumps(fields)))
