"""Sums of frames, by the definition of CRC-32C, and by what the package itself finds right."""

import cramjam
import pytest

from edge.protocol.s2_sum import MASK, PIECE, POLYNOMIAL, WORD, frame_sum

DATA = bytes(i * i % 251 for i in range(2 * PIECE + 500))


def by_definition(data: bytes) -> bytes:
    crc = WORD
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    crc ^= WORD
    return ((crc >> 15 | crc << 17) + MASK & WORD).to_bytes(4, "little")


def test_the_check_value_of_the_polynomial() -> None:
    assert by_definition(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + MASK & WORD).to_bytes(4, "little")


@pytest.mark.parametrize("size", [0, 1, 9, 1000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, len(DATA)])
def test_sums(size: int) -> None:
    """Of what fills one frame of Snappy's, and of what takes several."""
    assert frame_sum(DATA[:size], cramjam.snappy.compress) == by_definition(DATA[:size])
