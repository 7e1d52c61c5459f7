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
    rollup_of,
)
from edge.jetstream.schedules import NEXT, PURGE, SCHEDULER, Made, check_schedule
from edge.message import header_get
from edge.store.contract import NewRow

if TYPE_CHECKING:
    from edge.jetstream.stream import Stream

OURS = b"\r\nNats-"
ONE_ID = b"\r\nNats-Msg-Id:"

Answer = tuple[str, bytes]


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

    __slots__ = ("answers", "full", "rollups", "rows", "seq", "size")

    def __init__(self, rows: list[NewRow], seq: int, full: ApiError | None) -> None:
        self.rows = rows
        self.seq = seq  # of the last row
        self.size = 0  # of subjects, headers and payloads
        self.full = full  # why nothing more can be stored
        self.answers: list[Answer] = []
        self.rollups: list[tuple[int, str]] = []


class Admission:
    """Of one stream."""

    def __init__(self, stream: "Stream") -> None:
        self.stream = stream

    def put(self, draft: Draft, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """One message: into the draft, or refused."""
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
                draft.rollups.append((draft.seq, "" if rollup == "all" else subject))
            if header_get(headers, NEXT) == PURGE and (scheduler := header_get(headers, SCHEDULER)):
                draft.rollups.append((draft.seq, scheduler))
        if headers and stream.config.marker_ttl_ns:
            headers = stream.retention.outlive_marker(headers)
        draft.rows.append((draft.seq, subject, stream.stamp_ns, headers, admitted.payload))
        draft.size += len(subject) + len(headers) + len(admitted.payload)
        if admitted.msg_id:
            stream.dedupe.add(admitted.msg_id, draft.seq, stream.moment)

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
        if header_get(headers, "Nats-Batch-Id"):
            raise errors.ATOMIC_DISABLED
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
        if admitted.headers:
            check_ttl(admitted.headers)
        if stream.room is not None:
            rolls_up = bool(admitted.headers) and bool(header_get(admitted.headers, "Nats-Rollup"))
            stream.room.take(subject, len(subject) + message + stream.overhead, rolls_up)
