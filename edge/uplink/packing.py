"""Payloads that go up compressed (``compress: zlib`` or ``zstd``), with a ``Content-Encoding`` that says so.

``deflate`` is the zlib format, as HTTP calls it; ``zstd`` is one frame.  Each message is by itself, so short ones gain
nothing: what would not become smaller by a good deal goes as it is, and so does what has an encoding already.
"""

from collections.abc import Callable

from edge.store.contract import Row

HEADER = "Content-Encoding"
LEAST = 200  # bytes: below, the header takes what is won
WORTH = 48  # bytes to win at least, of which the header takes some
ENCODINGS = {"zlib": "deflate", "zstd": "zstd"}


class Packer:
    """``method`` of ``ENCODINGS``.  ImportError where its package is not installed."""

    def __init__(self, method: str) -> None:
        self.encoding = ENCODINGS[method]
        self.compress = _zlib() if method == "zlib" else _zstd()

    def pack(self, row: Row) -> tuple[bytes, str]:
        """The payload as it goes up, and its encoding; empty for none."""
        if len(row.payload) < LEAST or b"\r\ncontent-encoding:" in row.headers.lower():
            return row.payload, ""
        packed = self.compress(row.payload)
        return (packed, self.encoding) if len(packed) + WORTH <= len(row.payload) else (row.payload, "")


def _zlib() -> Callable[[bytes], bytes]:
    from zlib import compress

    return lambda payload: compress(payload, 6)


def _zstd() -> Callable[[bytes], bytes]:
    from cramjam import zstd  # petiole[s2] brings it

    return lambda payload: bytes(zstd.compress(payload, 3))
