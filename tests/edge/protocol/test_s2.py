"""S2 streams: what nats-server writes is read, what is written Snappy reads, and nothing else does harm."""

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ProtocolError
from edge.protocol.s2 import MAX_BLOCK, S2Reader, S2Writer, is_available, unpack_s2, unpacked_size
from edge.protocol.s2_sum import frame_sum

HEAD = b"\xff\x06\x00\x00S2sTwO"


def frame(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "little") + body


def summed(kind: int, plain: bytes, body: bytes) -> bytes:
    return frame(kind, frame_sum(plain, cramjam.snappy.compress) + body)


def varint(size: int) -> bytes:
    out = b""
    while size >= 0x80:
        out += bytes([size & 0x7F | 0x80])
        size >>= 7
    return out + bytes([size])


def literal(data: bytes) -> bytes:
    length = len(data) - 1
    if length < 60:
        return bytes([length << 2]) + data
    more = (length.bit_length() + 7) // 8
    return bytes([(59 + more) << 2]) + length.to_bytes(more, "little") + data


def copy(offset: int, length: int) -> bytes:
    """The shortest of Snappy's three forms; ``length`` up to 64."""
    if 4 <= length <= 11 and offset < 2048:
        return bytes([offset >> 8 << 5 | (length - 4) << 2 | 1, offset & 0xFF])
    if offset < 65536:
        return bytes([(length - 1) << 2 | 2]) + offset.to_bytes(2, "little")
    return bytes([(length - 1) << 2 | 3]) + offset.to_bytes(4, "little")


def repeat(length: int) -> bytes:
    """S2's own: the offset of the copy before."""
    for code, more, added in ((7, 3, 4 + (1 << 16)), (6, 2, 4 + (1 << 8)), (5, 1, 8)):
        if length >= added:
            return bytes([code << 2 | 1, 0]) + (length - added).to_bytes(more, "little")
    return bytes([(length - 4) << 2 | 1, 0])


class Packed:
    """A block that is put together by hand, and what it stands for."""

    def __init__(self) -> None:
        self.block, self.plain, self.offset = b"", b"", 0

    def literal(self, data: bytes) -> None:
        self.block += literal(data)
        self.plain += data

    def copy(self, offset: int, length: int) -> None:
        self.offset = offset
        self.block += copy(offset, length)
        self._take(length)

    def repeat(self, length: int) -> None:
        self.block += repeat(length)
        self._take(length)

    def _take(self, length: int) -> None:
        for _ in range(length):
            self.plain += self.plain[-self.offset : len(self.plain) - self.offset + 1]

    def whole(self) -> bytes:
        return varint(len(self.plain)) + self.block


OPS = st.lists(
    st.tuples(st.sampled_from("lcr"), st.binary(min_size=1, max_size=200), st.integers(1, 3000), st.integers(4, 64)), max_size=12
)


@given(OPS)
def test_blocks_with_repeated_offsets(ops: list[tuple[str, bytes, int, int]]) -> None:
    packed = Packed()
    packed.literal(b"begin")
    for what, data, offset, length in ops:
        if what == "l":
            packed.literal(data)
        elif what == "c":
            packed.copy(min(offset, len(packed.plain)), length)
        elif packed.offset:
            packed.repeat(length * (1 + offset % 9))
    assert S2Reader().decode(HEAD + summed(0, packed.plain, packed.whole())) == packed.plain


@pytest.mark.parametrize("length", [4, 7, 8, 9, 259, 260, 261, 65539, 65540, 65541, 70000])
def test_long_repeats(length: int) -> None:
    packed = Packed()
    packed.literal(b"abc")
    packed.copy(3, 4)
    packed.block += repeat(length)
    plain = (b"abc" * (length // 3 + 4))[: 7 + length]
    assert unpack_s2(packed.block, 0, len(plain)) == plain


@given(st.lists(st.binary(max_size=5000), max_size=8), st.integers(1, 700))
def test_what_is_written_is_read_however_it_is_cut(chunks: list[bytes], step: int) -> None:
    writer, reader = S2Writer(), S2Reader()
    stream = b"".join(map(writer.encode, chunks))
    got = b"".join(reader.decode(stream[i : i + step]) for i in range(0, len(stream), step))
    assert got == b"".join(chunks)
    assert not stream or bytes(cramjam.snappy.decompress(stream)) == got
    assert not stream or stream.startswith(b"\xff\x06\x00\x00sNaPpY")


def test_much_at_once() -> None:
    data = bytes(range(256)) * 4000
    assert S2Reader().decode(S2Writer().encode(data)) == data


def test_frames_that_say_nothing() -> None:
    reader = S2Reader()
    stream = HEAD + frame(0xFE, b"padding") + frame(0x99, b"index") + HEAD + summed(1, b"plain", b"plain")
    assert reader.decode(stream) == b"plain"


@pytest.mark.parametrize(
    "stream",
    [
        b"INFO {}\r\nPING\r\n",
        frame(1, b"sum.plain"),
        frame(0xFF, b"S3sTwO"),
        HEAD + frame(2, b"sum.plain"),
        HEAD + frame(1, b"su"),
        HEAD + b"\x00\xff\xff\xff",
        HEAD + frame(0, b"sum." + varint(MAX_BLOCK + 1) + b"\x00a"),
        HEAD + frame(0, b"sum." + b"\xff" * 9),
        HEAD + frame(0, b"sum."),
        HEAD + frame(0, b"sum." + varint(9) + literal(b"abc")),
        HEAD + frame(0, b"sum." + varint(2) + literal(b"abc")),
        HEAD + frame(0, b"sum." + varint(9) + literal(b"abc")[:-1]),
        HEAD + frame(0, b"sum." + varint(9) + literal(b"abc") + repeat(6)),
        HEAD + frame(0, b"sum." + varint(9) + literal(b"abc") + copy(4, 6)),
        HEAD + frame(0, b"sum." + varint(MAX_BLOCK) + literal(b"abc") + copy(1, 4) + bytes([7 << 2 | 1, 0, 255, 255])),
        HEAD + frame(0, b"sum." + varint(8) + literal(b"abc") + b"\x01"),
        HEAD + frame(0, b"sum." + varint(8) + literal(b"abc") + b"\x02\x01"),
        HEAD + frame(0, b"sum." + varint(8) + literal(b"abc") + b"\x03\x01\x00\x00"),
    ],
)
def test_what_is_no_such_stream(stream: bytes) -> None:
    with pytest.raises(ProtocolError) as problem:
        S2Reader().decode(stream)
    assert "sum of" not in str(problem.value)


def garbled(frame: bytes, at: int) -> bytes:
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]


def test_a_frame_that_was_garbled_is_not_passed_on() -> None:
    plain = b"a word and a word"
    packed = Packed()
    packed.literal(plain[:11])
    packed.copy(11, 6)
    for frame, ends in ((summed(1, plain, plain), (5, 9, -1)), (summed(0, packed.plain, packed.whole()), (5, 12, 14))):
        for at in ends:
            reader = S2Reader()
            assert reader.decode(HEAD + frame)
            with pytest.raises(ProtocolError, match="wrong sum"):
                reader.decode(garbled(frame, at % len(frame)))


@given(st.binary(max_size=300))
def test_nothing_breaks_it(data: bytes) -> None:
    for stream in (data, HEAD + data, HEAD + frame(0, b"sum." + data)):
        try:
            S2Reader().decode(stream)
        except ProtocolError:
            pass


def test_sizes() -> None:
    assert unpacked_size(varint(300) + b"x") == (300, 2)
    assert is_available()
