"""S2 streams, the compression of leaf links, as frames of the Snappy framing format: what nats-server (klauspost's s2)
writes is read, and what is written is Snappy's, which it reads.

Blocks are packed, and those without S2's extension unpacked, by ``cramjam``, which is optional: without it there is no
compression.  Sums are checked: TCP's are weak, and a proxy between may have faults of its own.  No sockets, no clock.
"""

import importlib.util

from edge.errors import ProtocolError
from edge.protocol.s2_sum import frame_sum

IDENTIFIERS = (b"S2sTwO", b"sNaPpY")
COMPRESSED, PLAIN, FIRST_SKIPPED, IDENTIFIER = 0x00, 0x01, 0x80, 0xFF
HEAD = 4
SUM = 4
MAX_BLOCK = 1 << 20  # unpacked: what nats-server writes at most
MAX_FRAME = MAX_BLOCK + 64  # what does not shrink is sent plain
STREAM_HEAD = 10  # of an identifier frame
REPEAT_SIZES = {5: (1, 4), 6: (2, 1 << 8), 7: (3, 1 << 16)}  # bytes of the length that follow, and what is added to it


def is_available() -> bool:
    """Is the package for it installed?"""
    return importlib.util.find_spec("cramjam") is not None


class S2Writer:
    """``encode`` makes of each chunk what the other side can read at once."""

    __slots__ = ("compress", "has_begun")

    def __init__(self) -> None:
        import cramjam

        self.compress = cramjam.snappy.compress
        self.has_begun = False

    def encode(self, data: bytes) -> bytes:
        if not data:
            return b""
        framed = bytes(self.compress(data))
        if self.has_begun:
            return framed[STREAM_HEAD:]
        self.has_begun = True
        return framed


class S2Reader:
    """``decode`` gives what has come whole.  ProtocolError for what is no such stream, after which there is nothing."""

    __slots__ = ("buffer", "has_begun", "pack", "unpack")

    def __init__(self) -> None:
        import cramjam

        self.unpack = cramjam.snappy.decompress_raw
        self.pack = cramjam.snappy.compress
        self.buffer = b""
        self.has_begun = False

    def decode(self, data: bytes) -> bytes:
        data = self.buffer + data if self.buffer else data
        found: list[bytes] = []
        pos = 0
        while pos + HEAD <= len(data):
            kind = data[pos]
            size = int.from_bytes(data[pos + 1 : pos + HEAD], "little")
            if size > MAX_FRAME:
                raise ProtocolError("compressed frame too long")
            end = pos + HEAD + size
            if end > len(data):
                break
            found.append(self._frame(kind, data[pos + HEAD : end]))
            pos = end
        self.buffer = data[pos:]
        return b"".join(found)

    def _frame(self, kind: int, body: bytes) -> bytes:
        if kind == IDENTIFIER:
            if body not in IDENTIFIERS:
                raise ProtocolError("not an S2 stream")
            self.has_begun = True
            return b""
        if not self.has_begun:
            raise ProtocolError("not an S2 stream")
        if kind >= FIRST_SKIPPED:
            return b""
        if kind not in (COMPRESSED, PLAIN) or len(body) < SUM:
            raise ProtocolError("unknown frame in an S2 stream")
        plain = self._block(body[SUM:]) if kind == COMPRESSED else body[SUM:]
        if frame_sum(plain, self.pack) != body[:SUM]:
            raise ProtocolError("wrong sum of a compressed frame: it was garbled on its way")
        return plain

    def _block(self, block: bytes) -> bytes:
        size, begin = unpacked_size(block)
        try:
            unpacked = bytes(self.unpack(block))
        except Exception:  # of a kind of its own, which has no base but this
            return unpack_s2(block, begin, size)
        return unpacked


def unpacked_size(block: bytes) -> tuple[int, int]:
    """The size that a block says it has, and where its content begins."""
    size = 0
    for i, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            if size > MAX_BLOCK:
                break
            return size, i + 1
    raise ProtocolError("compressed block too long")


def unpack_s2(block: bytes, pos: int, size: int) -> bytes:
    """A block with S2's extension: a copy of offset 0 repeats the offset before it.  ProtocolError for a broken one."""
    out = bytearray()
    offset = 0
    try:
        while pos < len(block):
            tag = block[pos]
            kind = tag & 3
            if kind == 0:
                length, pos = _literal_size(block, pos)
                if pos + length > len(block):
                    raise ProtocolError("broken compressed block")
                out += block[pos : pos + length]
                pos += length
            else:
                offset, length, pos = _copy(block, pos, offset)
                _repeat(out, offset, length)
            if len(out) > size:
                break
    except IndexError:
        raise ProtocolError("broken compressed block") from None
    if len(out) != size:
        raise ProtocolError("broken compressed block")
    return bytes(out)


def _literal_size(block: bytes, pos: int) -> tuple[int, int]:
    """And where it begins."""
    length = block[pos] >> 2
    if length < 60:
        return length + 1, pos + 1
    more = length - 59
    return int.from_bytes(block[pos + 1 : pos + 1 + more], "little") + 1, pos + 1 + more


def _copy(block: bytes, pos: int, offset: int) -> tuple[int, int, int]:
    """Offset, length, and where the next one begins."""
    tag = block[pos]
    kind = tag & 3
    if kind == 2:
        return block[pos + 1] | block[pos + 2] << 8, (tag >> 2) + 1, pos + 3
    if kind == 3:
        block[pos + 4]
        return int.from_bytes(block[pos + 1 : pos + 5], "little"), (tag >> 2) + 1, pos + 5
    length = tag >> 2 & 7
    new = (tag & 0xE0) << 3 | block[pos + 1]
    pos += 2
    if new:
        return new, length + 4, pos
    if length not in REPEAT_SIZES:
        return offset, length + 4, pos
    more, added = REPEAT_SIZES[length]
    block[pos + more - 1]
    return offset, int.from_bytes(block[pos : pos + more], "little") + added + 4, pos + more


def _repeat(out: bytearray, offset: int, length: int) -> None:
    """What is copied may overlap what it becomes."""
    if not 0 < offset <= len(out) or length > MAX_BLOCK:
        raise ProtocolError("broken compressed block")
    begin = len(out) - offset
    if length <= offset:
        out += out[begin : begin + length]
        return
    pattern = bytes(out[begin:])
    out += (pattern * (length // offset + 1))[:length]
