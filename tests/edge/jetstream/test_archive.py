"""The archive of a stream by itself: what goes in comes out, in pieces of any size, and damage never does."""

import random
import zlib

import pytest

from edge.jetstream.archive import (
    CHUNK,
    CONTENTS,
    FOREIGN,
    MAGIC,
    MESSAGE,
    NO_ARCHIVE,
    OURS,
    RECORD,
    S2_HEAD,
    ArchiveError,
    ArchiveReader,
    ArchiveWriter,
    ConsumerPart,
    EndPart,
    Part,
    StreamPart,
)
from edge.store.contract import Row

HEAD = StreamPart({"name": "S"}, {"last": 9}, 1)
CONSUMER = ConsumerPart("c", {"durable": "c"}, "[[0,0,0,0],[]]")


def rows(count: int, size: int = 200) -> list[Part]:
    maker = random.Random(1)
    return [Row(i * 2 + 1, f"s.{i % 7}", 10**18 + i, b"NATS/1.0\r\nA: b\r\n\r\n" if i % 3 else b"", maker.randbytes(size)) for i in range(count)]


def archive(parts: list[Part]) -> bytes:
    writer = ArchiveWriter()
    return b"".join(map(writer.put, parts))


def whole(count: int = 5, size: int = 200) -> list[Part]:
    return [HEAD, CONSUMER, *rows(count, size), EndPart(count)]


def read(data: bytes, piece: int = 1 << 20) -> list[Part]:
    reader = ArchiveReader()
    found: list[Part] = []
    for at in range(0, len(data), piece):
        reader.feed(data[at : at + piece])
        found += reader.parts()
    reader.finish()
    return found


@pytest.mark.parametrize("piece", [1, 7, 1024, 1 << 20])
def test_what_goes_in_comes_out(piece: int) -> None:
    odd: list[Part] = [Row(11, "s.\udcff\udc80", 5, b"", b""), Row(12, "s.ä", 0, b"", bytes(300_000)), EndPart(7)]
    parts = [HEAD, CONSUMER, *rows(5), *odd]
    assert read(archive(parts), piece) == parts


def test_chunks_come_out_as_they_are_full() -> None:
    writer = ArchiveWriter()
    assert writer.put(HEAD) == writer.put(CONSUMER) == b""
    held = 0
    for row in rows(400, 4000):
        writer.put(row)
        held = max(held, len(writer.waiting))
    assert held < CONTENTS
    large = archive(whole(300, 4000))
    assert len(large) < 300 * 4100  # random bytes do not get shorter, nor much longer
    assert len(archive([HEAD, CONSUMER, Row(1, "s", 1, b"", bytes(1 << 20)), EndPart(1)])) < 20_000


def test_to_tools_for_s2_it_is_a_stream_of_chunks_to_be_skipped() -> None:
    data = archive(whole(200, 4000))
    assert data.startswith(S2_HEAD)
    at = len(S2_HEAD)
    while at < len(data):
        assert 0x80 <= data[at] <= 0xFD
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "little")
    assert at == len(data)


def test_no_damage_comes_through() -> None:
    data = archive(whole(40, 3000))
    maker = random.Random(2)
    for at in [*range(30), *maker.sample(range(30, len(data)), 150)]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << maker.randrange(8)
        with pytest.raises(ArchiveError):
            read(bytes(damaged))


def test_no_archive_that_was_cut_or_put_together_comes_through() -> None:
    data = archive(whole(80, 3000))
    for end in [1, 5, 10, 11, 40, len(data) // 2, len(data) - 1]:
        with pytest.raises(ArchiveError, match="too early" if end > 10 else "no archive"):
            read(data[:end])
    first = len(S2_HEAD) + 4 + int.from_bytes(data[len(S2_HEAD) + 1 : len(S2_HEAD) + 4], "little")
    second = first + 4 + int.from_bytes(data[first + 1 : first + 4], "little")
    for wrong in (data[:first] + data[second:], data[:second] + data[first:], data + data, data + b"x"):
        with pytest.raises(ArchiveError):
            read(wrong)
    with pytest.raises(ArchiveError, match="is empty"):
        read(b"")


def test_what_others_wrote_is_named() -> None:
    with pytest.raises(ArchiveError) as foreign:
        read(S2_HEAD + b"\x00\x85\x34\x00" + bytes(100))
    assert str(foreign.value) == FOREIGN
    for data in (b"garbage" * 100, b"\x1f\x8b" + bytes(50), S2_HEAD + b"\x9d" + bytes(20)):
        with pytest.raises(ArchiveError) as other:
            read(data)
        assert str(other.value) == NO_ARCHIVE
    with pytest.raises(ArchiveError, match="newer petiole-edge"):
        read(chunk(MAGIC % 2))


def chunk(contents: bytes, stored: bytes | None = None, how: int = 0) -> bytes:
    stored = contents if stored is None else stored
    return S2_HEAD + CHUNK.pack(OURS, (len(stored) + 5).to_bytes(3, "little"), how, zlib.crc32(contents)) + stored


def record(kind: bytes, body: bytes) -> bytes:
    return RECORD.pack(kind[0], len(body)) + body


STREAM = record(b"S", b'{"config":{},"state":{},"consumers":0}')


@pytest.mark.parametrize(
    "contents",
    [
        record(b"E", b'{"messages":0}'),
        STREAM + STREAM,
        STREAM + record(b"C", b'{"name":"c","config":{},"state":""}'),
        record(b"S", b'{"config":{},"state":{},"consumers":1}') + record(b"E", b'{"messages":0}'),
        STREAM + record(b"E", b'{"messages":1}'),
        STREAM + record(b"E", b'{"messages":0}') + record(b"E", b'{"messages":0}'),
        STREAM + record(b"M", b"short"),
        STREAM + record(b"M", MESSAGE.pack(1, 1, 2, 3) + b"s"),
        STREAM + record(b"M", MESSAGE.pack(0, 1, 1, 0) + b"s"),
        STREAM + record(b"M", MESSAGE.pack(1 << 41, 1, 1, 0) + b"s"),
        STREAM + record(b"M", MESSAGE.pack(1, -1, 1, 0) + b"s"),
        STREAM + record(b"M", MESSAGE.pack(2, 1, 1, 0) + b"s") * 2,
        STREAM + record(b"X", b"{}"),
        STREAM + RECORD.pack(b"M"[0], (1 << 32) - 1),
        record(b"S", b"[]"),
        record(b"S", b"[" * 5000),
        record(b"S", b'{"config":5,"state":{},"consumers":0}'),
    ],
)
def test_records_that_make_no_sense(contents: bytes) -> None:
    with pytest.raises(ArchiveError):
        read(chunk(MAGIC % 1 + contents))


def test_a_chunk_is_never_larger_than_chunks_are() -> None:
    bomb = bytes(CONTENTS + 1)
    for stored in (zlib.compress(bomb), zlib.compress(bomb * 1000), zlib.compress(b"x")[:-1], zlib.compress(b"x") + b"x"):
        with pytest.raises(ArchiveError):
            read(chunk(bomb, stored, how=1))
