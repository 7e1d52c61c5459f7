import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import cobs


@pytest.mark.parametrize(
    ("data", "wire"),
    [
        ("", "01"), ("00", "01 01"), ("00 00", "01 01 01"), ("11 22 00 33", "03 11 22 02 33"), ("11", "02 11"),
        ("11 00 00 00", "02 11 01 01 01"),
    ],
)  # fmt: skip
def test_table(data: str, wire: str) -> None:
    assert cobs.encode(bytes.fromhex(data)) == bytes.fromhex(wire)
    assert cobs.decode(bytes.fromhex(wire)) == bytes.fromhex(data)


@pytest.mark.parametrize("length", [253, 254, 255, 508, 509])
def test_long_pieces(length: int) -> None:
    data = bytes(range(1, 256)) * 3
    wire = cobs.encode(data[:length])
    assert 0 not in wire and cobs.decode(wire) == data[:length] and len(wire) <= length + 1 + length // 254
    assert cobs.encode(bytes(range(1, 255))) == b"\xff" + bytes(range(1, 255))


@given(st.binary(max_size=600))
def test_there_and_back(data: bytes) -> None:
    wire = cobs.encode(data)
    assert 0 not in wire and cobs.decode(wire) == data


@given(st.binary(max_size=300))
def test_any_bytes_are_data_or_an_error(wire: bytes) -> None:
    try:
        cobs.decode(wire)
    except cobs.CobsError:
        pass
