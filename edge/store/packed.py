"""Payloads that are worth it stored shorter, for streams that ask for it: in the writer's thread and not on the loop.

A packed row has ``~time`` in place of its time, and its headers begin with the length of the payload, as text, and a
line feed.  The checksum is that of the row as it is stored.
"""

import zlib
from typing import Any

from edge.store.seal import seal_message

LEAST = 192  # bytes; of less there is nothing to gain (docs/store.md)
LEVEL = 1
SAMPLE = 4096  # of a long payload: most of them are pictures and archives, which do not get shorter


def pack(columns: list[Any], i: int) -> None:
    """The row whose columns begin at ``i``, in its place, if that makes it an eighth shorter."""
    id, subject, time_ns, headers, payload = columns[i : i + 5]
    size = len(payload)
    if size < LEAST or (size > 4 * SAMPLE and not _is_worth(payload[:SAMPLE])):
        return
    stored = zlib.compress(payload, LEVEL)
    if len(stored) > size - size // 8:
        return
    headers = b"%d\n%b" % (size, headers or b"")
    columns[i + 2 : i + 6] = ~time_ns, headers, stored, seal_message(id, ~time_ns, subject, headers, stored)


def _is_worth(sample: bytes) -> bool:
    return len(zlib.compress(sample, LEVEL)) < len(sample) - len(sample) // 8


def unpack(headers: bytes, stored: bytes) -> tuple[bytes, bytes]:
    """Headers and payload of a packed row.  ValueError when it is none."""
    size, _, rest = headers.partition(b"\n")
    length = int(size)
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(stored, length) if length else b""
    except zlib.error as exc:
        raise ValueError("it cannot be unpacked") from exc
    if len(payload) != length:
        raise ValueError("it is shorter than it was")
    return rest, payload
