"""Batches of which all messages are stored or none (``Nats-Batch-Id``; ADR-50; reference: jetstream.md section 3b).

Until its last message a batch is held in memory, within bounds: nothing of it is promised before the commit, and then
all of it goes to disk as one unit.
"""

import json

from edge.core.times import SECOND
from edge.errors import ApiError
from edge.jetstream import errors
from edge.jetstream.admission import Admission, Budget, Draft, Duplicate, Staged
from edge.jetstream.levels import API_LEVEL_TOO_LOW, too_high
from edge.message import header_add, header_get, header_without

IDLE_NS = 10 * SECOND
MAX_ID = 64
MAX_MESSAGES = 1000
MAX_OPEN = 50  # of one stream
MAX_BYTES = 32 << 20  # held for all batches of one stream; nats-server has no such bound
LEVEL = "Nats-Required-Api-Level"

INVALID_ID = errors.refused(10179, "atomic publish batch ID is invalid")
NO_SEQUENCE = errors.refused(10175, "atomic publish sequence is missing")
INCOMPLETE = errors.refused(10176, "atomic publish batch is incomplete")
INVALID_COMMIT = errors.refused(10200, "atomic publish batch commit is invalid")
TOO_LARGE = errors.refused(10199, f"atomic publish batch is too large: {MAX_MESSAGES}")
UNSUPPORTED = errors.refused(10177, "atomic publish unsupported header used: Nats-Expected-Last-Msg-Id")
TOO_MANY = ApiError(429, 10210, "atomic publish too many inflight")


class AtomicBatch:
    def __init__(self) -> None:
        self.seq = 0
        self.size = 0
        self.messages: list[tuple[str, bytes, bytes]] = []
        self.expires_at = 0


class AtomicBatches:
    """Those of one stream."""

    def __init__(self, admission: Admission, budget: Budget) -> None:
        self.admission = admission
        self.stream = admission.stream
        self.budget = budget
        self.open: dict[str, AtomicBatch] = {}
        self.size = 0

    def put(self, draft: Draft, batch_id: str, subject: str, headers: bytes, payload: bytes) -> bytes:
        """The answer to one message of a batch; empty: it is held for the commit.  ApiError: it was refused, and its
        batch is gone."""
        if len(batch_id) > MAX_ID:
            raise INVALID_ID
        seq = _sequence(headers)
        commit = header_get(headers, "Nats-Batch-Commit")
        count = seq - 1 if commit == "eob" else seq  # an end of its own is no message of the batch
        batch = self.open.get(batch_id) or self._begin(batch_id, seq, count)
        if commit not in (None, "1", "eob"):
            self._drop(batch_id)
            raise INVALID_COMMIT
        if header_get(headers, LEVEL) is not None:
            if too_high(headers):
                self._abandon(batch_id, "unsupported")
                raise API_LEVEL_TOO_LOW
            headers = header_without(headers, (f"{LEVEL}:",))
        batch.expires_at = self.stream.moment + IDLE_NS
        batch.seq += 1
        if batch.seq != seq or not count:
            self._abandon(batch_id, "incomplete")
            raise INCOMPLETE
        if count > MAX_MESSAGES:
            self._abandon(batch_id, "large")
            raise TOO_LARGE
        if commit != "eob":
            self._hold(batch_id, batch, (subject, headers, payload))
        if commit is None:
            return b""
        self._drop(batch_id)
        return self._commit(draft, batch_id, batch, commit == "eob")

    def _begin(self, batch_id: str, seq: int, count: int) -> AtomicBatch:
        if seq != 1:
            raise TOO_LARGE if count > MAX_MESSAGES else INCOMPLETE
        if len(self.open) >= MAX_OPEN or not self.budget.take():
            raise TOO_MANY
        batch = self.open[batch_id] = AtomicBatch()
        self.stream.clock.wake()
        return batch

    def _hold(self, batch_id: str, batch: AtomicBatch, message: tuple[str, bytes, bytes]) -> None:
        size = sum(map(len, message))
        if self.size + size > MAX_BYTES:
            self._abandon(batch_id, "large")
            raise errors.INSUFFICIENT_RESOURCES
        batch.size += size
        self.size += size
        batch.messages.append(message)

    def _commit(self, draft: Draft, batch_id: str, batch: AtomicBatch, eob: bool) -> bytes:
        mark = draft.mark()
        staged = Staged(set())
        try:
            for i, (subject, headers, payload) in enumerate(batch.messages, 1):
                if header_get(headers, "Nats-Expected-Last-Msg-Id"):
                    raise UNSUPPORTED
                admitted = self.admission.admit_staged(draft, staged, subject, headers, payload)
                if eob and i == len(batch.messages):
                    admitted = admitted._replace(headers=header_add(admitted.headers, [("Nats-Batch-Commit", "1")]))
                self.admission.store(draft, subject, admitted)
        except (ApiError, Duplicate) as exc:
            draft.go_back(mark)
            self.stream.forget_rows(draft.seq)
            if isinstance(exc, ApiError):
                raise
            raise errors.BATCH_DUPLICATE from exc
        told = json.dumps(batch_id).encode()
        return b'%b%d,"batch":%b,"count":%d}' % (self.stream.ack_head, draft.seq, told, len(batch.messages))

    # ---- the end

    def _abandon(self, batch_id: str, reason: str) -> None:
        self._drop(batch_id)
        self.stream.abandoned(batch_id, reason)

    def _drop(self, batch_id: str) -> None:
        self.size -= self.open.pop(batch_id).size
        self.budget.give_back()

    def clear(self) -> None:
        for batch_id in list(self.open):
            self._drop(batch_id)

    def deadline(self) -> int | None:
        """Monotonic."""
        return min((batch.expires_at for batch in self.open.values()), default=None)

    def tick(self, now: int) -> None:
        for batch_id in [batch_id for batch_id, batch in self.open.items() if batch.expires_at <= now]:
            self._abandon(batch_id, "timeout")


def _sequence(headers: bytes) -> int:
    text = header_get(headers, "Nats-Batch-Sequence") or ""
    if not (text.isdecimal() and text.isascii()) or int(text) >= 1 << 64:
        raise NO_SEQUENCE
    return int(text)
