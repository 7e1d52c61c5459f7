import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import cobs
from firmware_bridge.frame import (
    Ack,
    Command,
    Data,
    Frame,
    FrameReader,
    FrameTooLong,
    Hello,
    Result,
    Who,
    encode,
    parse,
)

FRAMES: list[Frame] = [
    Hello(0, 0xDEADBEEF, 7, 0, b"\xa1\x01\x61a"), Hello(513, 1, 1, 32, b"\xa0"), Data(1, 2, b"\0\0\0"), Data(65535, 1, b""),
    Ack(1, 0, 4294967295), Who(), Command(9, 1, b"\xa0"), Result(9, 1, b"x" * 200),
]  # fmt: skip
WIRE = b"".join(map(encode, FRAMES))


@pytest.mark.parametrize("step", range(1, 20))
def test_any_slices_give_the_same_frames(step: int) -> None:
    reader = FrameReader()
    got = [frame for at in range(0, len(WIRE), step) for frame in reader.receive(WIRE[at : at + step])]
    assert got == FRAMES and reader.dropped == 0


@pytest.mark.parametrize("at", range(len(WIRE)))
def test_split_at_every_byte(at: int) -> None:
    reader = FrameReader()
    assert [*reader.receive(WIRE[:at]), *reader.receive(WIRE[at:])] == FRAMES


@pytest.mark.parametrize("seed", range(50))
def test_a_damaged_byte_costs_one_frame_or_two(seed: int) -> None:
    rng = random.Random(seed)
    wire = bytearray(WIRE)
    wire[rng.randrange(len(wire))] ^= 1 << rng.randrange(8)
    got = list(FrameReader().receive(bytes(wire)))
    assert len(got) >= len(FRAMES) - 2 and all(frame in FRAMES for frame in got)


def test_noise_of_any_length_is_passed_over_in_bounded_memory() -> None:
    reader = FrameReader()
    for _ in range(1000):
        assert list(reader.receive(b"\x55" * 100)) == [] and len(reader.buffer) < 400
    assert list(reader.receive(b"\0" + encode(Who()))) == [Who()] and reader.dropped == 1


def test_a_frame_has_its_bounds() -> None:
    encode(Data(1, 1, b"x" * 245))
    with pytest.raises(FrameTooLong):
        encode(Data(1, 1, b"x" * 246))


def test_an_unknown_type_is_dropped() -> None:
    from zlib import crc32

    body = b"\x7fwhatever"
    assert parse(body + crc32(body).to_bytes(4, "little")) is None
    assert list(FrameReader().receive(cobs.encode(body + crc32(body).to_bytes(4, "little")) + b"\0")) == []


@given(st.binary(max_size=700))
def test_any_bytes_at_all(data: bytes) -> None:
    reader = FrameReader()
    list(reader.receive(data))
    assert [frame for frame in reader.receive(b"\0" + encode(Who()))][-1] == Who()
