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
MAX_RESULTS = 1024  # messages for one request
MAX_BYTES = 64 << 20

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
        raise invalid_json(f'"{text}" is not a time') from exc


SEARCHES = ("seq", "last_by_subj", "next_by_subj", "multi_last", "start_time")
UNFIT = {"last_by_subj", "next_by_subj", "multi_last", "seq", "batch", "start_time", "up_to_seq", "up_to_time"}
APART = (
    {"seq", "last_by_subj"}, {"seq", "start_time"}, {"start_time", "last_by_subj"}, {"last_by_subj", "next_by_subj"},
    {"last_by_subj", "batch"}, {"last_by_subj", "multi_last"}, {"next_by_subj", "multi_last"},
    {"up_to_seq", "up_to_time"},
)  # fmt: skip


class DirectGet:
    """Answers ``DIRECT.GET.<stream>[.<subject>]`` for one stream that allows it."""

    def __init__(self, account: Account, stream: Stream) -> None:
        self.account = account
        self.stream = stream

    def answer(self, subject: str, reply: str, body: bytes) -> None:
        if not subject and not body:
            self._status(reply, 408, "Empty Request")
            return
        try:
            fields = _read(body)
        except ApiError:
            self._status(reply, 408, "Malformed Request")
            return
        if subject:
            if UNFIT & fields.keys():
                self._status(reply, 408, "Bad Request")
                return
            fields["last_by_subj"] = subject
        if not any(name in fields for name in SEARCHES):
            self._status(reply, 408, "Empty Request")
        elif any(pair <= fields.keys() for pair in APART):
            self._status(reply, 408, "Bad Request")
        elif "multi_last" in fields:
            self._multi_last(reply, fields)
        elif "batch" in fields:
            self._batch(reply, fields)
        else:
            self._one(reply, fields)

    def _one(self, reply: str, fields: Fields) -> None:
        row = find(fields)(self.stream)
        if row is None:
            self._status(reply, 404, "Message Not Found")
        elif fields.get("no_hdr"):
            self.account.publish(reply, row.payload)
        else:
            self.account.publish(reply, row.payload, headers=header_add(row.headers, self._place(row)))

    def _batch(self, reply: str, fields: Fields) -> None:
        """Up to ``batch`` messages from a sequence (or time) on, those of a subject when it says so."""
        stream, pattern = self.stream, fields.get("next_by_subj") or ">"
        first = stream.first_at(_time(fields["start_time"])) if "start_time" in fields else fields.get("seq", 0)
        wanted = None if pattern == ">" else partial(matches, pattern)
        pending, before, room = stream.count_from(first, wanted), 0, fields.get("max_bytes") or MAX_BYTES
        for sent in range(min(fields["batch"], MAX_RESULTS)):
            row = stream.next_by_subject(first, pattern)
            if row is None and not sent:
                self._status(reply, 404, "Message Not Found")
                return
            if row is None or room <= 0:
                break
            if fields.get("no_hdr"):
                self.account.publish(reply, row.payload)
            else:
                pending -= 1
                self._send(reply, row, _counts(pending, before))
            room -= _size(row)
            before, first = row.seq, row.seq + 1
        self.account.publish(reply, headers=status_block(204, "EOB", _counts(pending, before)))

    def _multi_last(self, reply: str, fields: Fields) -> None:
        """The last message of each subject under some patterns, up to a sequence (or time) when it says so."""
        stream = self.stream
        up_to = fields.get("up_to_seq", 0)
        if "up_to_time" in fields:
            up_to = stream.first_at(_time(fields["up_to_time"])) - 1
            if up_to < stream.first_seq:
                self._status(reply, 404, "No Results")
                return
        up_to = up_to or stream.last_seq
        seqs = stream.last_seqs(fields["multi_last"], up_to, MAX_RESULTS)
        if len(seqs) > MAX_RESULTS:
            self._status(reply, 413, "Too Many Results")
            return
        if not seqs:
            self._status(reply, 404, "No Results")
            return
        pending, before, sent = len(seqs), 0, 0
        room, most = fields.get("max_bytes") or MAX_BYTES, max(fields.get("batch", 0), 0) or MAX_RESULTS
        for seq in seqs:
            if room <= 0 or sent >= most:
                break
            pending -= 1
            row = stream.get(seq) if seq >= fields.get("seq", 0) else None
            if row is not None:
                self._send(reply, row, _counts(pending, before))
                before, room, sent = seq, room - _size(row), sent + 1
        end = [*_counts(pending, before), ("Nats-UpTo-Sequence", str(up_to))]
        self.account.publish(reply, headers=status_block(204, "EOB", end))

    def _send(self, reply: str, row: Row, counts: list[tuple[str, str]]) -> None:
        self.account.publish(reply, row.payload, headers=header_add(row.headers, self._place(row) + counts))

    def _place(self, row: Row) -> list[tuple[str, str]]:
        return [
            ("Nats-Stream", self.stream.name),
            ("Nats-Subject", row.subject),
            ("Nats-Sequence", str(row.seq)),
            ("Nats-Time-Stamp", rfc3339(row.time_ns)),
        ]

    def _status(self, reply: str, code: int, text: str) -> None:
        self.account.publish(reply, headers=status_block(code, text))


def _read(body: bytes) -> Fields:
    """Those that say something."""
    fields = parse_object(body, KINDS, strict=False)
    for name in ("start_time", "up_to_time"):
        if name in fields:
            _time(fields[name])
    return {name: value for name, value in fields.items() if value}


def _counts(pending: int, before: int) -> list[tuple[str, str]]:
    return [("Nats-Num-Pending", str(pending)), ("Nats-Last-Sequence", str(before))]


def _size(row: Row) -> int:
    return len(row.subject) + len(row.headers) + len(row.payload)
