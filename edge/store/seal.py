"""Checksums of what stands on disk, and subjects as the bytes they came in.

They find damage, not intent: CRC-32 misses no single flipped bit, wherever in a row it is.
"""

from zlib import crc32


def seal_message(id: int, time_ns: int, subject: bytes, headers: bytes | None, payload: bytes) -> int:
    crc = crc32(subject, (id ^ id >> 32 ^ time_ns ^ time_ns >> 32) & 0xFFFFFFFF)
    return crc32(payload, crc32(headers, crc) if headers else crc)


def id_before(id: int, time_ns: int, subject: bytes, headers: bytes | None, payload: bytes, crc: int) -> int | None:
    """Of a message that stands in the wrong place: where it stood before one bit of its sequence flipped.  A bit of its
    subject may look the same, so this is not where to put it back."""
    places = (id ^ 1 << bit for bit in range(32))
    return next((place for place in places if seal_message(place, time_ns, subject, headers, payload) == crc), None)


def seal_record(*fields: bytes) -> int:
    return crc32(b"\0".join(fields))


def to_bytes(text: str) -> bytes:
    """What a client sent need not be UTF-8: ``edge.protocol`` keeps stray bytes as surrogates."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate out of JSON, which no bytes stand behind
        return text.encode("utf-8", "surrogatepass")


def to_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
