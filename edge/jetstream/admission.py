"""May this message be stored, and as what?  (reference: jetstream.md section 3)

The order of the questions is nats-server's: of several things that are wrong with a message its first one is told.
"""

import json
from typing import TYPE_CHECKING, NamedTuple

from edge.errors import ApiError
from edge.jetstream import errors
from edge.jetstream.counters import add, increment
from edge.jetstream.expectations import (
    MAX_HEADERS,
    check_last_id,
    check_sequence,
    check_source,
    check_stream,
    check_subject_sequence,
    check_ttl,
    check_ttl_allowed,
    expected_of_subject,
    rollup_of,
)
from edge.jetstream.schedules import NEXT, PURGE, SCHEDULER, Made, check_schedule
from edge.message import header_get
from edge.store.contract import NewRow

if TYPE_CHECKING:
    from edge.jetstream.batches import AtomicBatches
    from edge.jetstream.fast_batches import FastBatches
    from edge.jetstream.stream import Stream

OURS = b"\r\nNats-"
ONE_ID = b"\r\nNats-Msg-Id:"
FAST = ".$FI"  # ends the reply subjects of fast batches
MAX_ATOMIC, MAX_FAST = 1000, 50_000  # batches open in the whole server

Answer = tuple[str, bytes]


class Budget:
    """How many batches may still be opened in the whole server."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self) -> bool:
        if not self.left:
            return False
        self.left -= 1
        return True

    def give_back(self) -> None:
        self.left += 1


class Budgets:
    def __init__(self) -> None:
        self.atomic = Budget(MAX_ATOMIC)
        self.fast = Budget(MAX_FAST)


class Staged(NamedTuple):
    """The subjects of what comes earlier in the same batch."""

    subjects: set[str]


class Duplicate(Exception):
    """This message is stored already, under ``seq``."""

    def __init__(self, seq: int) -> None:
        super().__init__(seq)
        self.seq = seq


class Admitted(NamedTuple):
    """As it is stored.  ``total``: of a counter."""

    headers: bytes
    payload: bytes
    msg_id: str = ""
    total: str = ""


class Draft:
    """What one commit will bring, while it is put together.  ``rollups``: what is to go once it is there, as
    (sequence, subject or all)."""

    __slots__ = ("answers", "full", "left", "rollups", "rows", "seq", "size")

    def __init__(self, rows: list[NewRow], seq: int, full: ApiError | None, left: int | None) -> None:
        self.rows = rows
        self.seq = seq  # of the last row
        self.size = 0  # of subjects, headers and payloads
        self.full = full  # why nothing more can be stored
        self.left = left  # bytes that the account still takes; None: any
        self.answers: list[Answer] = []
        self.rollups: list[tuple[int, str]] = []

    def mark(self) -> tuple[int, int, int, int]:
        return len(self.rows), len(self.rollups), self.seq, self.size

    def go_back(self, mark: tuple[int, int, int, int]) -> None:
        """To where it was then, but for what was answered."""
        rows, rollups, self.seq, self.size = mark
        del self.rows[rows:], self.rollups[rollups:]


class Admission:
    """Of one stream."""

    def __init__(self, stream: "Stream") -> None:
        self.stream = stream
        self.budgets = Budgets()
        self.atomic: AtomicBatches | None = None  # built with the first
        self.fast: FastBatches | None = None

    def put(self, draft: Draft, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """One message: into the draft, or refused."""
        if reply.endswith(FAST):
            self._put_fast(draft, subject, reply, headers, payload)
            return
        if headers and (batch := header_get(headers, "Nats-Batch-Id")):
            self._put_atomic(draft, batch, subject, reply, headers, payload)
            return
        try:
            admitted = self.admit(draft, subject, headers, payload)
        except Duplicate as known:
            answer = b'%b%d,"duplicate": true}' % (self.stream.ack_head, known.seq)
        except ApiError as error:
            answer = self.refusal(error)
        else:
            self.store(draft, subject, admitted)
            total = b',"val":"%b"' % admitted.total.encode() if admitted.total else b""
            answer = b"%b%d%b}" % (self.stream.ack_head, draft.seq, total)
        if reply:
            draft.answers.append((reply, answer))

    def refusal(self, error: ApiError) -> bytes:
        fields = {"error": errors.error_fields(error), "stream": self.stream.name, "seq": 0}
        return json.dumps(fields, separators=(",", ":")).encode()

    def store(self, draft: Draft, subject: str, admitted: Admitted) -> None:
        stream = self.stream
        headers = admitted.headers
        draft.seq += 1
        if headers and stream.config.allow_rollup:
            if rollup := header_get(headers, "Nats-Rollup"):
                draft.rollups.append((draft.seq, "" if rollup.lower() == "all" else subject))
            if header_get(headers, NEXT) == PURGE and (scheduler := header_get(headers, SCHEDULER)):
                draft.rollups.append((draft.seq, scheduler))
        if headers and stream.config.marker_ttl_ns:
            headers = stream.retention.outlive_marker(headers)
        draft.rows.append((draft.seq, subject, stream.stamp_ns, headers, admitted.payload))
        draft.size += len(subject) + len(headers) + len(admitted.payload)
        if admitted.msg_id:
            stream.dedupe.add(admitted.msg_id, draft.seq, stream.moment)

    # ---- batches

    def _put_atomic(
        self, draft: Draft, batch: str, subject: str, reply: str, headers: bytes, payload: bytes
    ) -> None:
        try:
            self._check_batch(draft, headers, payload, self.stream.config.allow_atomic, errors.ATOMIC_DISABLED)
            if self.atomic is None:
                from edge.jetstream.batches import AtomicBatches

                self.atomic = AtomicBatches(self, self.budgets.atomic)
            answer = self.atomic.put(draft, batch, subject, headers, payload)
        except ApiError as error:
            answer = self.refusal(error)
        if reply:
            draft.answers.append((reply, answer))

    def _put_fast(self, draft: Draft, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        try:
            self._check_batch(draft, headers, payload, self.stream.config.allow_batched, errors.BATCHES_DISABLED)
            from edge.jetstream.fast_batches import FastBatches, parse_reply

            if self.fast is None:
                self.fast = FastBatches(self, self.budgets.fast)
            self.fast.put(draft, parse_reply(reply), subject, reply, headers, payload)
        except ApiError as error:
            draft.answers.append((reply, self.refusal(error)))

    def _check_batch(
        self, draft: Draft, headers: bytes, payload: bytes, allowed: bool, disabled: ApiError
    ) -> None:
        """Of a message of any batch, before anything else."""
        config = self.stream.config
        if config.sealed:
            raise errors.SEALED
        if draft.full is not None:
            raise draft.full
        if 0 < config.max_msg_size < len(headers) + len(payload):
            raise errors.MESSAGE_TOO_LARGE
        if not allowed:
            raise disabled

    def admit_staged(self, draft: Draft, staged: Staged, subject: str, headers: bytes, payload: bytes) -> Admitted:
        """As ``admit``, for a message of a batch of which ``staged`` comes before it."""
        stream = self.stream
        if len(headers) > MAX_HEADERS:
            raise errors.HEADERS_TOO_LARGE
        by = increment(headers, payload, stream.config.allow_msg_counter)
        check_stream(stream, headers)
        check_ttl_allowed(stream, headers)
        check_ttl(headers)
        msg_id = self._new_id(headers)
        check_source(headers)
        if by is None and stream.config.allow_msg_counter:
            raise errors.INCREMENT_MISSING
        if by is not None:
            headers, payload, _ = add(stream.newest(subject), headers, by)
        if 0 < stream.config.max_msg_size < len(headers) + len(payload):
            raise errors.MESSAGE_TOO_LARGE
        if check_sequence(stream, headers) and staged.subjects:
            raise errors.WRONG_LAST_CONSTANT
        expected = expected_of_subject(headers, subject)
        if expected is not None and expected[0] in staged.subjects:
            raise errors.WRONG_LAST_CONSTANT
        check_subject_sequence(stream, subject, headers)
        if b"\r\nNats-Schedule" in headers:
            headers = check_schedule(stream, subject, headers, stream.stamp_ns)
        self._check_staged_rollup(staged, subject, headers)
        staged.subjects.add(subject)
        self._take_room(subject, Admitted(headers, payload))
        return Admitted(headers, payload, msg_id)

    def _check_staged_rollup(self, staged: Staged, subject: str, headers: bytes) -> None:
        """What a batch rolls up was there before it."""
        rollup = rollup_of(self.stream, headers)
        if (rollup == "sub" and subject in staged.subjects) or (rollup == "all" and staged.subjects):
            raise errors.rollup_failed(f"batch rollup {rollup} invalid")

    def configure(self) -> None:
        """No batch goes on of a kind that is not allowed any more."""
        if self.atomic is not None and not self.stream.config.allow_atomic:
            self.atomic.clear()
        if self.fast is not None and not self.stream.config.allow_batched:
            self.fast.clear()

    def clear(self) -> None:
        """No batch goes on."""
        for batches in (self.atomic, self.fast):
            if batches is not None:
                batches.clear()

    def deadline(self) -> int | None:
        """Monotonic."""
        found = [batches.deadline() for batches in (self.atomic, self.fast) if batches is not None]
        return min((deadline for deadline in found if deadline is not None), default=None)

    def tick(self, now: int) -> None:
        for batches in (self.atomic, self.fast):
            if batches is not None:
                batches.tick(now)

    # ---- schedules

    def put_made(self, draft: Draft, made: Made) -> bool:
        """What a schedule publishes: it was asked everything when the schedule was; False: there is no room for it."""
        admitted = Admitted(made.headers, made.payload)
        try:
            self._check_size(draft, made.subject, admitted)
        except ApiError:
            return False
        self.store(draft, made.subject, admitted)
        return True

    # ---- the questions

    def admit(self, draft: Draft, subject: str, headers: bytes, payload: bytes) -> Admitted:
        """ApiError or Duplicate: it is not stored."""
        stream = self.stream
        if stream.config.sealed:
            raise errors.SEALED
        if 0 < stream.config.max_msg_size < len(headers) + len(payload):
            raise errors.MESSAGE_TOO_LARGE
        admitted = Admitted(headers, payload)
        if headers and (ours := headers.count(OURS)):
            if ours == 1 and ONE_ID in headers:  # by far the most
                admitted = Admitted(headers, payload, self._new_id(headers))
            else:
                admitted = self._by_headers(subject, headers, payload)
        if stream.config.allow_msg_counter and not admitted.total:
            raise errors.INCREMENT_MISSING
        self._check_size(draft, subject, admitted)
        return admitted

    def _by_headers(self, subject: str, headers: bytes, payload: bytes) -> Admitted:
        stream = self.stream
        by = increment(headers, payload, stream.config.allow_msg_counter)
        check_stream(stream, headers)
        check_ttl_allowed(stream, headers)
        check_subject_sequence(stream, subject, headers)
        check_sequence(stream, headers)
        if b"\r\nNats-Schedule" in headers:
            headers = check_schedule(stream, subject, headers, stream.stamp_ns)
        check_source(headers)
        msg_id = self._new_id(headers)
        check_last_id(stream, headers)
        rollup_of(stream, headers)
        if by is None:
            return Admitted(headers, payload, msg_id)
        counted = add(stream.newest(subject), headers, by)
        return Admitted(counted.headers, counted.payload, msg_id, counted.total)

    def _new_id(self, headers: bytes) -> str:
        msg_id = header_get(headers, "Nats-Msg-Id") or ""
        if msg_id and (duplicate := self.stream.find_id(msg_id)):
            raise Duplicate(duplicate)
        return msg_id

    def _check_size(self, draft: Draft, subject: str, admitted: Admitted) -> None:
        stream = self.stream
        message = len(admitted.headers) + len(admitted.payload)
        if 0 < stream.config.max_msg_size < message:
            raise errors.MESSAGE_TOO_LARGE
        if len(admitted.headers) > MAX_HEADERS:
            raise errors.HEADERS_TOO_LARGE
        if draft.full is not None:
            raise draft.full
        if draft.left is not None:
            size = draft.size + len(subject) + message + stream.overhead * (len(draft.rows) + 1)
            if size > draft.left:
                raise errors.RESOURCES_EXCEEDED
        if admitted.headers:
            check_ttl(admitted.headers)
        self._take_room(subject, admitted)

    def _take_room(self, subject: str, admitted: Admitted) -> None:
        room = self.stream.room
        if room is not None:
            headers = admitted.headers
            size = len(subject) + len(headers) + len(admitted.payload) + self.stream.overhead
            room.take(subject, size, bool(headers) and bool(header_get(headers, "Nats-Rollup")))
