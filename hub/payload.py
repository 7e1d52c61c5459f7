"""What an edge sent up compressed (``compress`` of its uplink), as it was."""

import zlib
from collections.abc import Mapping

from hub.errors import HubError

HEADER = "Content-Encoding"
MAX_BYTES = 64 << 20


def payload(headers: Mapping[str, str] | None, data: bytes) -> bytes:
    """Of a message of the hub's stream.  HubError for what is damaged, too large, or of an encoding nobody knows."""
    encoding = (headers or {}).get(HEADER, "")
    if not encoding:
        return data
    if encoding == "deflate":
        return _inflate(data)
    if encoding == "zstd":
        return _zstd(data)
    raise HubError(f"a payload with {HEADER}: {encoding}: known are deflate and zstd")


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data, MAX_BYTES)
    except zlib.error as exc:
        raise HubError(f"a payload with {HEADER}: deflate is damaged: {exc}") from exc
    if not inflater.eof:
        raise HubError(f"a payload with {HEADER}: deflate is cut short, or of more than {MAX_BYTES} bytes")
    return found


def _zstd(data: bytes) -> bytes:
    try:
        from cramjam import DecompressionError, zstd
    except ImportError as exc:
        raise HubError("a payload with Content-Encoding: zstd: install cramjam (petiole[s2]) to read it") from exc
    try:
        return bytes(zstd.decompress(data))
    except DecompressionError as exc:
        raise HubError(f"a payload with {HEADER}: zstd is damaged: {exc}") from exc
