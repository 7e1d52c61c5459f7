"""The frames of the serial link (protocol.md, section 1): bytes and typed values, both ways."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar
from zlib import crc32

from firmware_bridge import cobs

VERSION = 1
MAX_FRAME = 256  # decoded, with CRC
MAX_WIRE = 259  # encoded, without the zero
CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Hello:
    TYPE: ClassVar[int] = 1
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BHIIB")

    sid: int
    boot: int
    base: int
    window: int
    payload: bytes
    version: int = VERSION

    def body(self) -> bytes:
        return self.LAYOUT.pack(self.version, self.sid, self.boot, self.base, self.window) + self.payload

    @classmethod
    def read(cls, body: bytes) -> "Hello":
        version, sid, boot, base, window = cls.LAYOUT.unpack_from(body)
        return cls(sid, boot, base, window, body[cls.LAYOUT.size :], version)


@dataclass(frozen=True, slots=True)
class Data:
    TYPE: ClassVar[int] = 2
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<HI")

    sid: int
    seq: int
    payload: bytes

    def body(self) -> bytes:
        return self.LAYOUT.pack(self.sid, self.seq) + self.payload

    @classmethod
    def read(cls, body: bytes) -> "Data":
        sid, number = cls.LAYOUT.unpack_from(body)
        return cls(sid, number, body[cls.LAYOUT.size :])


@dataclass(frozen=True, slots=True)
class Ack:
    TYPE: ClassVar[int] = 3
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<HII")

    sid: int
    next: int
    seen: int

    def body(self) -> bytes:
        return self.LAYOUT.pack(self.sid, self.next, self.seen)

    @classmethod
    def read(cls, body: bytes) -> "Ack":
        return cls(*cls.LAYOUT.unpack_from(body))


@dataclass(frozen=True, slots=True)
class Who:
    TYPE: ClassVar[int] = 4
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<B")

    version: int = VERSION

    def body(self) -> bytes:
        return self.LAYOUT.pack(self.version)

    @classmethod
    def read(cls, body: bytes) -> "Who":
        return cls(*cls.LAYOUT.unpack_from(body))


@dataclass(frozen=True, slots=True)
class Command:
    TYPE: ClassVar[int] = 5
    LAYOUT: ClassVar[struct.Struct] = Data.LAYOUT

    sid: int
    id: int
    payload: bytes

    def body(self) -> bytes:
        return self.LAYOUT.pack(self.sid, self.id) + self.payload

    @classmethod
    def read(cls, body: bytes) -> "Command":
        sid, number = cls.LAYOUT.unpack_from(body)
        return cls(sid, number, body[cls.LAYOUT.size :])


@dataclass(frozen=True, slots=True)
class Result:
    TYPE: ClassVar[int] = 6
    LAYOUT: ClassVar[struct.Struct] = Data.LAYOUT

    sid: int
    id: int
    payload: bytes

    def body(self) -> bytes:
        return self.LAYOUT.pack(self.sid, self.id) + self.payload

    @classmethod
    def read(cls, body: bytes) -> "Result":
        sid, number = cls.LAYOUT.unpack_from(body)
        return cls(sid, number, body[cls.LAYOUT.size :])


Frame = Hello | Data | Ack | Who | Command | Result
FRAMES: dict[int, type[Frame]] = {frame.TYPE: frame for frame in (Hello, Data, Ack, Who, Command, Result)}


class FrameTooLong(ValueError):
    """This payload does not fit a frame."""


def decoded(frame: Frame) -> bytes:
    """Type, fields, payload and CRC."""
    content = bytes([frame.TYPE]) + frame.body()
    if len(content) + CRC.size > MAX_FRAME:
        raise FrameTooLong(f"a frame of {len(content) + CRC.size} bytes: at most {MAX_FRAME}")
    return content + CRC.pack(crc32(content))


def encode(frame: Frame) -> bytes:
    """As it goes on the wire, with the zero that ends it."""
    return cobs.encode(decoded(frame)) + b"\0"


def parse(content: bytes) -> Frame | None:
    """A decoded frame; None when it is damaged, too short, or of a type that is not known."""
    if len(content) < 1 + CRC.size or len(content) > MAX_FRAME:
        return None
    body, crc = content[: -CRC.size], content[-CRC.size :]
    frame = FRAMES.get(body[0])
    if frame is None or CRC.pack(crc32(body)) != crc or len(body) - 1 < frame.LAYOUT.size:
        return None
    return frame.read(body[1:])


class FrameReader:
    """Any slices of the wire in, frames out.  What cannot be a frame is counted and passed over up to the next zero."""

    def __init__(self) -> None:
        self.buffer = b""
        self.overlong = False
        self.dropped = 0

    def receive(self, data: bytes) -> Iterator[Frame]:
        *ended, rest = (self.buffer + data).split(b"\0")
        for wire in ended:
            overlong, self.overlong = self.overlong, False
            if not wire and not overlong:
                continue
            frame = None if overlong else self._decode(wire)
            if frame is None:
                self.dropped += 1
            else:
                yield frame
        if len(rest) > MAX_WIRE:
            rest, self.overlong = b"", True
        self.buffer = rest

    def _decode(self, wire: bytes) -> Frame | None:
        if len(wire) > MAX_WIRE:
            return None
        try:
            return parse(cobs.decode(wire))
        except cobs.CobsError:
            return None
