"""PROXY headers, whole and in pieces.  What is taken for one and what is refused is nats-server's judgement too:
``tests/e2e/test_proxy_protocol.py`` sends the same headers to both."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ProtocolError
from edge.protocol.proxy import BINARY_PREFIX, ProxyReader, Source

V4 = b"\x01\x02\x03\x04\x05\x06\x07\x08" + struct.pack("!HH", 1111, 4222)
V6 = bytes(15) + b"\x01" + bytes(16) + struct.pack("!HH", 1111, 4222)
MAPPED = bytes(10) + b"\xff\xff\x01\x02\x03\x04" + bytes(16) + struct.pack("!HH", 1111, 4222)


def binary(version_command: int, family: int, rest: bytes, size: int | None = None) -> bytes:
    return (
        BINARY_PREFIX
        + bytes([version_command, family])
        + struct.pack("!H", len(rest) if size is None else size)
        + rest
    )


def feed(chunks: list[bytes]) -> tuple[ProxyReader, bytes]:
    """As the socket is read: what is not taken stays and is seen again.  The reader and what was left."""
    reader = ProxyReader()
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        while buffer and not reader.done:
            size = reader.take(buffer)
            assert 0 <= size <= len(buffer)
            buffer = buffer[size:]
            assert size or reader.done or not buffer
    return reader, buffer


GOOD = [
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 1111 4222\r\n", Source("1.2.3.4", 1111)),
    (b"PROXY TCP6 2001:db8::1 ::1 1111 4222\r\n", Source("2001:db8::1", 1111)),
    (b"PROXY TCP6 ::ffff:1.2.3.4 ::1 11 1\r\n", Source("1.2.3.4", 11)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN and whatever\r\n", None),
    (binary(0x21, 0x11, V4), Source("1.2.3.4", 1111)),
    (binary(0x21, 0x11, V4 + b"\x03\x00\x04abcd"), Source("1.2.3.4", 1111)),
    (binary(0x21, 0x21, V6), Source("::1", 1111)),
    (binary(0x21, 0x21, MAPPED), Source("1.2.3.4", 1111)),
    (binary(0x20, 0x00, b""), None),
    (binary(0x20, 0x00, b"abcd"), None),
    (binary(0x21, 0x01, b"ab"), None),
    (binary(0x21, 0x11, V4 + bytes(65535 - len(V4))), Source("1.2.3.4", 1111)),
]
BAD = [
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1111\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 111111 1\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 1\r\n",
    b"PROXY TCP4 ::1 ::1 11 1\r\n",
    b"PROXY TCP6 1.2.3.4 ::1 11 1\r\n",
    b"PROXY UDP4 1.2.3.4 1.1.1.1 11 1\r\n",
    b"PROXY TCP4 somewhere 1.1.1.1 11 1\r\n",
    b"PROXY \r\n",
    b"PROXY " + b"x" * 120 + b"\r\n",
    b"PROXY TCP4 \xff\xff\r\n",
    binary(0x31, 0x11, V4),
    binary(0x22, 0x11, V4),
    binary(0x21, 0x12, V4),
    binary(0x21, 0x00, b"abcd"),
    binary(0x21, 0x31, bytes(216)),
    binary(0x21, 0x11, V4[:-1]),
    binary(0x21, 0x21, V4),
    b"\r\n\r\n\x00\rxQUIT\n",
]


@pytest.mark.parametrize(("header", "source"), GOOD)
def test_a_header_is_taken_and_nothing_behind_it(header: bytes, source: Source | None) -> None:
    for chunks in ([header + b"PING\r\n"], [bytes([byte]) for byte in header + b"PING\r\n"], [header, b"PING\r\n"]):
        reader, left = feed(chunks)
        assert reader.done
        assert (reader.source, left, reader.taken) == (source, b"PING\r\n", b"")


@pytest.mark.parametrize("header", BAD)
def test_a_bad_header_is_refused_however_it_comes(header: bytes) -> None:
    for chunks in ([header], [bytes([byte]) for byte in header]):
        with pytest.raises(ProtocolError) as caught:
            feed(chunks)
        assert caught.value.reason.startswith("PROXY header: ")
        assert not str(caught.value)


@pytest.mark.parametrize("begin", [b"CONNECT {}\r\n", b"PING\r\n", b"PRO\r\n", b"\r\nPING\r\n", b"\x16\x03\x01"])
def test_without_a_header_every_byte_is_the_clients(begin: bytes) -> None:
    for chunks in ([begin], [bytes([byte]) for byte in begin]):
        reader, left = feed(chunks)
        assert reader.done
        assert reader.source is None
        assert reader.taken + left == begin


@given(
    st.lists(st.binary(max_size=40), max_size=20),
    st.sampled_from([b"", b"PROXY ", BINARY_PREFIX, b"PROXY TCP4 1.2.3.4 ", BINARY_PREFIX + b"\x21\x11"]),
)
def test_whatever_comes_little_is_kept(chunks: list[bytes], begin: bytes) -> None:
    try:
        reader, left = feed([begin, *chunks])
    except ProtocolError:
        return
    assert len(reader.taken) <= 107
    if reader.done and reader.source is None and reader.taken:
        assert reader.taken + left == begin + b"".join(chunks)
