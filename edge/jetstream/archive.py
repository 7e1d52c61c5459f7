"""The archive of one stream: what a snapshot sends and a restore takes (docs/jetstream.md has the format).

From outside it is an S2 stream of nothing but chunks that every S2 reader passes over: tools made for the snapshots of
nats-server look at them as they go by.  Each chunk has a checksum that goes on from the one before; their contents, one
after the other, are records.  Both ends work on pieces: neither ever holds a whole stream.
"""

import json
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Any, NamedTuple
from zlib import compress, crc32, decompressobj
from zlib import error as ZlibError

from edge.store.contract import MAX_SEQ, Row
from edge.store.seal import to_bytes, to_text

VERSION = 1
S2_HEAD = b"\xff\x06\x00\x00S2sTwO"
OURS = 0x9E  # S2 has 0x80 to 0xfd for everybody's own chunks
MAGIC = b"petiole stream archive %d\n"
CONTENTS = 65536  # of one chunk
LONGEST = CONTENTS + 1024  # a chunk that did not get shorter is stored as it is
PLAIN, DEFLATED = 0, 1
LEVEL = 1  # three quarters of what level 6 saves, in a third of the time

CHUNK = Struct("<B3sBI")  # OURS, length of what follows, how, checksum of the contents
RECORD = Struct("<BI")  # kind, length
MESSAGE = Struct("<QqII")  # sequence, time, length of the subject, of the headers
MAX_RECORD = (64 << 20) + (1 << 20)  # the largest payload that can be configured, its headers and subject

STREAM, CONSUMER, ROW, END = b"SCME"


class ArchiveError(Exception):
    """Why this is no archive that can be used; one line."""


class StreamPart(NamedTuple):
    """``config`` as the API shows it; ``state`` as the stream keeps it; the consumers follow, then the messages."""

    config: dict[str, Any]
    state: dict[str, Any]
    consumers: int


class ConsumerPart(NamedTuple):
    name: str
    config: dict[str, Any]
    state: str


class EndPart(NamedTuple):
    """Nothing is missing before it."""

    messages: int


Part = StreamPart | ConsumerPart | Row | EndPart

FOREIGN = (
    "this is an archive of nats-server, whose format is private to nats-server; it can be restored there, and copied"
    " from there by a mirror or a source"
)
NO_ARCHIVE = "this is no archive of a stream"


# ---- out


class ArchiveWriter:
    """Turns parts into bytes; what is too little for a chunk waits for the next part."""

    def __init__(self) -> None:
        self.waiting = bytearray(MAGIC % VERSION)
        self.crc = 0
        self.begun = False

    def put(self, part: Part) -> bytes:
        for piece in _record(part):
            self.waiting += piece
        whole = len(self.waiting) - len(self.waiting) % CONTENTS
        if isinstance(part, EndPart):
            whole = len(self.waiting)
        elif not whole:
            return b""
        out = [] if self.begun else [S2_HEAD]
        self.begun = True
        with memoryview(self.waiting) as waiting:
            out += [self._chunk(waiting[at : min(at + CONTENTS, whole)]) for at in range(0, whole, CONTENTS)]
        del self.waiting[:whole]
        return b"".join(out)

    def _chunk(self, contents: memoryview) -> bytes:
        self.crc = crc32(contents, self.crc)
        how, stored = DEFLATED, compress(contents, LEVEL)
        if len(stored) >= len(contents):
            how, stored = PLAIN, bytes(contents)
        return CHUNK.pack(OURS, (len(stored) + 5).to_bytes(3, "little"), how, self.crc) + stored


def _record(part: Part) -> Iterable[bytes]:
    match part:
        case Row(seq, subject, time_ns, headers, payload):
            raw = to_bytes(subject)
            size = MESSAGE.size + len(raw) + len(headers) + len(payload)
            return RECORD.pack(ROW, size), MESSAGE.pack(seq, time_ns, len(raw), len(headers)), raw, headers, payload
        case StreamPart():
            kind = STREAM
        case ConsumerPart():
            kind = CONSUMER
        case EndPart():
            kind = END
    body = json.dumps(part._asdict(), separators=(",", ":")).encode()
    return RECORD.pack(kind, len(body)), body


# ---- in


class ArchiveReader:
    """Takes bytes in pieces of any length.  Everything raises ArchiveError; after one there is nothing more to be had.

    What was fed and not yet taken is held, so whoever feeds it waits for ``parts`` to run dry.
    """

    def __init__(self) -> None:
        self.raw = bytearray()
        self.contents = bytearray()
        self.crc = 0
        self.begun = False
        self.named = False  # the magic was there
        self.expected = 0  # consumers
        self.last_seq = 0
        self.messages = 0
        self.state: StreamPart | None = None
        self.ended = False

    def feed(self, data: bytes) -> None:
        self.raw += data

    def parts(self) -> Iterator[Part]:
        """What can be read of what was fed; a chunk is looked at when it is its turn."""
        while True:
            while (part := self._next()) is not None:
                yield part
            if not self._open_chunk():
                return

    def finish(self) -> None:
        """Nothing more comes."""
        if self.ended and not self.raw and not self.contents:
            return
        if not self.begun:
            raise ArchiveError(NO_ARCHIVE if self.raw else "the archive is empty")
        raise ArchiveError("the archive goes on behind its end" if self.ended else "the archive ends too early")

    # ---- chunks

    def _open_chunk(self) -> bool:
        """The contents of the next chunk, if all of it is there."""
        if not self.begun:
            if not S2_HEAD.startswith(self.raw[: len(S2_HEAD)]):
                raise ArchiveError(NO_ARCHIVE)
            if len(self.raw) <= len(S2_HEAD):
                return False
            if self.raw[len(S2_HEAD)] != OURS:
                raise ArchiveError(FOREIGN if self.raw[len(S2_HEAD)] in (0, 1) else NO_ARCHIVE)
            del self.raw[: len(S2_HEAD)]
            self.begun = True
        if len(self.raw) < CHUNK.size:
            return False
        kind, size, how, crc = CHUNK.unpack_from(self.raw)
        length = int.from_bytes(size, "little") + 4
        if kind != OURS or not CHUNK.size <= length <= LONGEST or how not in (PLAIN, DEFLATED):
            raise ArchiveError("the archive is damaged")
        if len(self.raw) < length:
            return False
        contents = _opened(how, bytes(self.raw[CHUNK.size : length]))
        self.crc = crc32(contents, self.crc)
        if self.crc != crc:
            raise ArchiveError("the archive is damaged: a checksum does not hold, or a part is missing")
        del self.raw[:length]
        self.contents += contents
        return True

    # ---- records

    def _next(self) -> Part | None:
        if not self.named and not self._name():
            return None
        if len(self.contents) < RECORD.size:
            return None
        kind, length = RECORD.unpack_from(self.contents)
        if length > MAX_RECORD:
            raise ArchiveError("the archive holds a message that is larger than any can be")
        if len(self.contents) < RECORD.size + length:
            return None
        body = bytes(self.contents[RECORD.size : RECORD.size + length])
        del self.contents[: RECORD.size + length]
        return self._part(kind, body)

    def _name(self) -> bool:
        end = self.contents.find(b"\n")
        if end < 0:
            return False
        name = bytes(self.contents[: end + 1])
        if name != MAGIC % VERSION:
            head = MAGIC.split(b"%")[0]
            newer = "the archive was written by a newer petiole-edge: use that one"
            raise ArchiveError(newer if name.startswith(head) else NO_ARCHIVE)
        del self.contents[: end + 1]
        self.named = True
        return True

    def _part(self, kind: int, body: bytes) -> Part:
        if self.ended:
            raise ArchiveError("the archive goes on behind its end")
        if (kind == STREAM) is (self.state is not None) or (self.expected and kind != CONSUMER):
            raise ArchiveError("the archive does not hold what it should, in order")
        try:
            if kind == ROW:
                return self._message(body)
            return self._object(kind, json.loads(body))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as exc:
            raise ArchiveError(f"the archive holds what is none of its parts: {exc}") from exc

    def _message(self, body: bytes) -> Row:
        if len(body) < MESSAGE.size:
            raise ValueError("a message is too short")
        seq, time_ns, subject, headers = MESSAGE.unpack_from(body)
        at, end = MESSAGE.size + subject, MESSAGE.size + subject + headers
        if end > len(body):
            raise ValueError(f"message {seq} is too short")
        if not self.last_seq < seq <= MAX_SEQ:
            raise ValueError(f"message {seq} comes behind {self.last_seq}")
        if time_ns < 0:
            raise ValueError(f"message {seq} is older than 1970")
        self.last_seq = seq
        self.messages += 1
        return Row(seq, to_text(body[MESSAGE.size : at]), time_ns, body[at:end], body[end:])

    def _object(self, kind: int, fields: dict[str, Any]) -> Part:
        if kind == STREAM:
            part = StreamPart(dict(fields["config"]), dict(fields["state"]), int(fields["consumers"]))
            self.state, self.expected = part, part.consumers
            return part
        if kind == CONSUMER:
            if not self.expected:
                raise ValueError("one consumer more than there are")
            self.expected -= 1
            return ConsumerPart(str(fields["name"]), dict(fields["config"]), str(fields["state"]))
        if kind != END:
            raise ValueError(f"a part of kind {kind}")
        self.ended = True
        if fields["messages"] != self.messages:
            raise ValueError(f"{self.messages} messages, and there should be {fields['messages']}")
        return EndPart(self.messages)


def _opened(how: int, stored: bytes) -> bytes:
    if how == PLAIN:
        return stored
    inflater = decompressobj()
    try:
        contents = inflater.decompress(stored, CONTENTS + 1)
    except ZlibError as exc:
        raise ArchiveError("the archive is damaged") from exc
    if not inflater.eof or inflater.unused_data or len(contents) > CONTENTS:
        raise ArchiveError("the archive is damaged")
    return contents
