"""The sums that frames of S2 streams carry: CRC-32C, masked as Snappy's framing format has it.

No package that is needed here computes one by itself, but what ``cramjam`` packs has the sum of each 64 KB in it.
"""

from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Any

POLYNOMIAL = 0x82F63B78  # Castagnoli's, the lowest power first
ONE = 1 << 31
PIECE = 1 << 16  # packed, it is one frame
STREAM_HEAD = 10
FRAME_HEAD = 4
MASK, WORD = 0xA282EAD8, 0xFFFFFFFF


def frame_sum(data: bytes, pack: Callable[[bytes], Any]) -> bytes:
    """The four bytes in front of a block that unpacks to ``data``; ``pack`` makes a stream of Snappy frames."""
    if not data:
        return MASK.to_bytes(4, "little")
    framed: bytes = bytes(pack(data))
    if len(data) <= PIECE:
        return framed[STREAM_HEAD + FRAME_HEAD : STREAM_HEAD + FRAME_HEAD + 4]
    sums, pos = [], STREAM_HEAD
    while pos < len(framed):
        sums.append(_unmasked(framed[pos + FRAME_HEAD : pos + FRAME_HEAD + 4]))
        pos += FRAME_HEAD + int.from_bytes(framed[pos + 1 : pos + FRAME_HEAD], "little")
    *first, last = sums
    whole = _joined(reduce(_behind, first), last, len(data) - len(first) * PIECE)
    return ((whole >> 15 | whole << 17) + MASK & WORD).to_bytes(4, "little")


def _unmasked(stored: bytes) -> int:
    turned = int.from_bytes(stored, "little") - MASK & WORD
    return (turned >> 17 | turned << 15) & WORD


def _behind(first: int, piece: int) -> int:
    return _joined(first, piece, PIECE)


def _joined(first: int, second: int, size: int) -> int:
    """The sum of two pieces, one behind the other; the second has ``size`` bytes."""
    return _times(first, _power(8 * size)) ^ second


@lru_cache(64)
def _power(exponent: int) -> int:
    """x to this power, modulo the polynomial."""
    result, square = ONE, ONE >> 1
    while exponent:
        if exponent & 1:
            result = _times(result, square)
        square = _times(square, square)
        exponent >>= 1
    return result


def _times(a: int, b: int) -> int:
    product = 0
    while a:
        if a & ONE:
            product ^= b
        a = a << 1 & WORD
        b = b >> 1 ^ (POLYNOMIAL if b & 1 else 0)
    return product
