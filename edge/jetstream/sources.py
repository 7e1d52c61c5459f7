"""Streams that flow into another one: each message under a new sequence, with where it comes from in its header.

How far each origin has been taken is on disk with the messages: in the stream's state up to its last checkpoint, and
behind that in the messages' own headers.  So a power cut neither loses a message nor brings one twice.
"""

import json
from collections.abc import Callable, Iterable

from edge.errors import ApiError
from edge.jetstream import errors
from edge.jetstream.counters import HEADER as INCREMENT
from edge.jetstream.counters import add_sourced
from edge.jetstream.inlet import NOT_OURS, Inlet, Position, transformed, without
from edge.jetstream.intake import Intake, Message
from edge.jetstream.origin import Origin, short_hash
from edge.jetstream.origin_consumer import SOURCE, Start
from edge.jetstream.stream import Stream
from edge.message import header_get
from edge.store.contract import NewRow, StreamRecord

HEADER = b"Nats-Stream-Source: "
REPLACED = (*NOT_OURS, b"Nats-Stream-Source:")
LOOK_BACK = 100_000  # messages that are searched for those of a source that is configured anew
BLOCK = 1024


class Sources(Inlet):
    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        for origin in stream.config.sources:
            self._add(origin)

    def _add(self, origin: Origin) -> Intake:
        stream = self.stream
        told = {"acc": stream.account.name, "domain": stream.domain, "stream": stream.name}
        intake = Intake(self, origin, SOURCE, stream.account, stream.clock, self._name(origin), told)
        self._restore(intake)
        self.intakes[origin.key] = intake
        return intake

    def update(self, old: Iterable[Origin]) -> None:
        """Other sources; those that stay go on."""
        update_positions(self.stream, old)
        keys = {origin.key for origin in self.stream.config.sources}
        for key in self.intakes.keys() - keys:
            self.intakes.pop(key).forget()
        for origin in self.stream.config.sources:
            if origin.key not in self.intakes:
                self._add(origin).begin()

    def _name(self, origin: Origin) -> str:
        """The same at each start, so that an origin knows its consumer again."""
        stream = self.stream
        name = short_hash(" ".join(filter(None, (stream.name, stream.account.name, stream.domain))))
        if sum(other.name == origin.name for other in stream.config.sources) > 1:
            name += f" {origin.key}"
        return short_hash(name)

    def start(self, intake: Intake) -> Start:
        if intake.seq:
            return Start(intake.seq + 1)
        origin = intake.origin
        return Start(origin.opt_start_seq, "" if origin.opt_start_seq else origin.opt_start_time)

    def established(self, intake: Intake, before: int, listen: Callable[[], None]) -> None:
        intake.seq = max(intake.seq, before)
        listen()

    def _row(self, intake: Intake, identity: str, message: Message, size: int, full: ApiError | None) -> NewRow | None:
        stream = self.stream
        subject = transformed((*intake.transforms, stream.transform), message.subject)
        headers = without(message.headers, REPLACED)
        headers = _with_line(headers, HEADER + source_line(intake.origin, message, identity))
        msg_id = header_get(headers, "Nats-Msg-Id")
        if msg_id and stream.find_id(msg_id):
            return None
        payload = message.payload
        if stream.config.allow_msg_counter:
            if not header_get(headers, INCREMENT):
                raise errors.INCREMENT_MISSING
            counted = add_sourced(stream.newest(subject), headers, payload, intake.origin.place, message.subject)
            headers, payload = counted.headers, counted.payload
        self._check(subject, headers, payload, size, full)
        seq = stream.last_sequence() + 1
        if msg_id:
            stream.dedupe.add(msg_id, seq, stream.moment)
        return seq, subject, stream.stamp_ns, stream.retention.outlive_marker(headers), payload

    def _restore(self, intake: Intake) -> None:
        intake.seq, intake.identity = self.stream.positions.get(intake.origin.key, (0, ""))

    def _moved(self, positions: dict[str, Position]) -> None:
        self.stream.positions = {**self.stream.positions, **positions}


def source_line(origin: Origin, message: Message, identity: str) -> bytes:
    """``<place> <sequence> <filters> <destinations> <subject>[ <identity>]``."""
    place, filters, destinations = origin.key.split(" ")
    line = f"{place} {message.seq} {filters} {destinations} {message.subject}"
    return (f"{line} {identity}" if identity else line).encode("utf-8", "surrogateescape")


def _with_line(headers: bytes, line: bytes) -> bytes:
    return b"%b%b\r\n\r\n" % (headers[:-2] or b"NATS/1.0\r\n", line)


def parse_source(value: str) -> tuple[str, Position] | None:
    """The key of the origin and how far it was taken with this message; None for what names no origin."""
    fields = value.split(" ")
    if len(fields) < 5 or not fields[1].isdecimal() or len(fields[1]) > 19:
        return None
    return " ".join((fields[0], *fields[2:4])), Position(int(fields[1]), fields[5] if len(fields) > 5 else "")


# ---- how far each origin has been taken


def recover_positions(stream: Stream, record: StreamRecord) -> None:
    """From the stream's state, and from the messages behind it.  A state that is damaged: from all messages."""
    saved, floor = saved_positions(record.state)
    wanted = {origin.key for origin in stream.config.sources}
    found = _find(stream, wanted, floor, record.last_seq)
    stream.positions = {key: value for key, value in (saved | found).items() if key in wanted}


def saved_positions(state: bytes) -> tuple[dict[str, Position], int]:
    """Positions, and the sequence that they were true with."""
    try:
        fields = json.loads(state)
        saved = fields.get("origins", {}).items()
        return {key: Position(int(seq), str(identity)) for key, (seq, identity) in saved}, int(fields["last"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, 0


def update_positions(stream: Stream, old: Iterable[Origin]) -> None:
    """The configuration has other sources: those that went are forgotten, one that comes again is looked for."""
    keys = {origin.key for origin in stream.config.sources}
    new = keys - {origin.key for origin in old}
    kept = {key: value for key, value in stream.positions.items() if key in keys}
    stream.positions = kept | _find(stream, new, stream.last_seq - LOOK_BACK, stream.last_seq)


def _find(stream: Stream, keys: Iterable[str], floor: int, last: int) -> dict[str, Position]:
    """The newest of each key among the messages behind ``floor``."""
    missing, found = set(keys), dict[str, Position]()
    while missing and last > floor and (rows := stream.store.scan_back(stream.id, last, BLOCK)):
        for row in rows:
            value = header_get(row.headers, "Nats-Stream-Source") if row.headers and row.seq > floor else None
            parsed = parse_source(value) if value else None
            if parsed is not None and parsed[0] in missing:
                found[parsed[0]] = parsed[1]
                missing.remove(parsed[0])
        last = rows[-1].seq - 1
    return found
