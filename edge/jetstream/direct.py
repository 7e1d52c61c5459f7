"""Direct get: the message itself instead of JSON about it, where it stood in its headers (jetstream.md section 6)."""

from collections.abc import Callable
from functools import partial
from typing import Any

from edge.core.account import Account
from edge.core.times import parse_rfc3339, rfc3339
from edge.errors import ApiError
from edge.jetstream.errors import invalid_json
from edge.jetstream.fields import parse_object
from edge.jetstream.stream import Stream
from edge.message import header_add, status_block
from edge.store.contract import Row
from edge.subjects import matches

KINDS = {
    "seq": "uint", "last_by_subj": "string", "next_by_subj": "string", "start_time": "string", "no_hdr": "bool",
    "batch": "int", "max_bytes": "int", "multi_last": "strings", "up_to_seq": "uint", "up_to_time": "string",
}  # fmt: skip
MAX_RESULTS = 1024

Fields = dict[str, Any]


class BadQuery(Exception):
    """Fields that do not go together."""


def find(fields: Fields) -> Callable[[Stream], Row | None]:
    """What a get asks for, to be looked up in a stream.  BadQuery when it is not clear which message."""
    seq, last, following = fields.get("seq", 0), fields.get("last_by_subj"), fields.get("next_by_subj")
    start = fields.get("start_time")
    start_ns = _time(start) if start is not None else None
    if not (seq or last or following or start) or (last and (seq or following or start)) or (seq and start):
        raise BadQuery
    if last:
        return lambda stream: stream.last_by_subject(last)

    def lookup(stream: Stream) -> Row | None:
        first = seq if start_ns is None else stream.first_at(start_ns)
        return stream.next_by_subject(first, following) if following else stream.get(first)

    return lookup


def _time(text: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError as exc:
        raise invalid_json(f'start_time: "{text}" is not a time') from exc


class DirectGet:
    """Answers ``DIRECT.GET.<stream>[.<subject>]`` for one stream that allows it."""

    def __init__(self, account: Account, stream: Stream) -> None:
        self.account = account
        self.stream = stream

    def answer(self, subject: str, reply: str, body: bytes) -> None:
        try:
            fields = parse_object(body, KINDS, strict=False)
        except ApiError:
            self._status(reply, 408, "Malformed Request")
            return
        if subject:
            fields["last_by_subj"] = subject
        if not any(fields.get(key) for key in ("seq", "last_by_subj", "next_by_subj", "start_time", "multi_last")):
            self._status(reply, 408, "Empty Request")
            return
        try:
            self._get(reply, fields)
        except BadQuery:
            self._status(reply, 408, "Bad Request")

    def _get(self, reply: str, fields: Fields) -> None:
        if fields.get("multi_last"):
            self._multi_last(reply, fields)
        elif fields.get("batch"):
            self._batch(reply, fields)
        elif (row := find(fields)(self.stream)) is None:
            self._status(reply, 404, "Message Not Found")
        elif fields.get("no_hdr"):
            self.account.publish(reply, row.payload)
        else:
            self.account.publish(reply, row.payload, headers=header_add(row.headers, self._place(row)))

    def _batch(self, reply: str, fields: Fields) -> None:
        """Up to ``batch`` messages from a sequence (or time) on, those of a subject when it says so."""
        if fields.get("last_by_subj"):
            raise BadQuery
        pattern = fields.get("next_by_subj") or ">"
        row = find(fields)(self.stream)
        rows: list[Row] = []
        room = fields.get("max_bytes") or 0
        while row is not None and len(rows) < min(fields["batch"], MAX_RESULTS):
            rows.append(row)
            room -= len(row.subject) + len(row.headers) + len(row.payload)
            if fields.get("max_bytes") and room <= 0:
                break
            row = self.stream.next_by_subject(row.seq + 1, pattern)
        if not rows:
            self._status(reply, 404, "Message Not Found")
            return
        wanted = None if pattern == ">" else partial(matches, pattern)
        self._send(reply, rows, self.stream.count_from(rows[0].seq, wanted), [], fields)

    def _multi_last(self, reply: str, fields: Fields) -> None:
        """The last message of each subject under some patterns."""
        if fields.get("up_to_seq") or fields.get("up_to_time"):  # needs every subject's history
            raise BadQuery
        index = self.stream.subjects
        subjects = {subject for pattern in fields["multi_last"] for subject in index.counts(pattern)}
        if len(subjects) > MAX_RESULTS and not fields.get("batch"):
            self._status(reply, 413, "Too Many Results")
            return
        seqs = sorted(index.last_seq(subject) for subject in subjects)
        found = [self.stream.get(seq) for seq in seqs[: fields.get("batch") or MAX_RESULTS]]
        rows = [row for row in found if row is not None]
        if not rows:
            self._status(reply, 404, "No Results")
            return
        self._send(reply, rows, len(seqs), [("Nats-UpTo-Sequence", str(self.stream.last_seq))], fields)

    def _send(self, reply: str, rows: list[Row], total: int, end: list[tuple[str, str]], fields: Fields) -> None:
        before = 0
        for i, row in enumerate(rows, 1):
            counts = _counts(total - i, before)
            headers = header_add(row.headers, self._place(row) + counts)
            self.account.publish(reply, row.payload, headers=headers)
            before = row.seq
        self.account.publish(reply, headers=status_block(204, "EOB", _counts(total - len(rows), before) + end))

    def _place(self, row: Row) -> list[tuple[str, str]]:
        return [
            ("Nats-Stream", self.stream.name),
            ("Nats-Subject", row.subject),
            ("Nats-Sequence", str(row.seq)),
            ("Nats-Time-Stamp", rfc3339(row.time_ns)),
        ]

    def _status(self, reply: str, code: int, text: str) -> None:
        self.account.publish(reply, headers=status_block(code, text))


def _counts(pending: int, before: int) -> list[tuple[str, str]]:
    return [("Nats-Num-Pending", str(pending)), ("Nats-Last-Sequence", str(before))]
