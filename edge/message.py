"""The header block of a NATS message: ``NATS/1.0[ <code>[ <text>]]``, then ``Name: value`` lines, then an empty line,
each ended by CRLF.

Names keep their case and may repeat; nothing here rewrites what a client sent (reference: core.md section 2).
"""

from collections.abc import Iterable

VERSION = b"NATS/1.0"
END = b"\r\n\r\n"


def raw(text: str) -> bytes:
    """A subject may hold other bytes than UTF-8: they come out as they came in."""
    return text.encode("utf-8", "surrogateescape")


def header_block(items: Iterable[tuple[str, str]], status: str = "") -> bytes:
    """A block with these headers; ``status`` is what follows the version, as in ``404 No Messages``."""
    head = f"NATS/1.0 {status}\r\n" if status else "NATS/1.0\r\n"
    return raw(head + "".join(f"{name}: {value}\r\n" for name, value in items) + "\r\n")


def status_block(code: int, text: str = "", items: Iterable[tuple[str, str]] = ()) -> bytes:
    return header_block(items, f"{code} {text}" if text else str(code))


def header_add(headers: bytes, items: Iterable[tuple[str, str]]) -> bytes:
    """The same block with ``items`` behind the headers it has; an empty block becomes a new one."""
    if not headers:
        return header_block(items)
    return headers[:-2] + raw("".join(f"{name}: {value}\r\n" for name, value in items)) + b"\r\n"


def header_set(headers: bytes, name: str, value: str) -> bytes:
    """The same block with this header once, at its end, whatever it said of ``name`` before."""
    if not headers:
        return header_block([(name, value)])
    key = name.encode() + b":"
    lines = [line for line in headers[:-4].split(b"\r\n") if not line.startswith(key)]
    return b"\r\n".join([*lines, key + b" " + raw(value), b"", b""])


def header_without(headers: bytes, prefixes: tuple[str, ...]) -> bytes:
    """The same block without the headers whose lines begin so; empty when none is left."""
    lines = headers.split(b"\r\n")[:-2]
    starts = tuple(prefix.encode() for prefix in prefixes)
    kept = [line for line in lines if not line.startswith(starts)]
    return b"\r\n".join([*kept, b"", b""]) if len(kept) > 1 else b""


def header_items(headers: bytes) -> list[tuple[str, str]]:
    """Every header in order; a line without a colon is passed over."""
    found = []
    for line in headers.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            found.append((name.decode("utf-8", "replace"), value.strip().decode("utf-8", "replace")))
    return found


def header_get(headers: bytes, name: str) -> str | None:
    """The first value of ``name`` (case-sensitive, as the server does it), or None."""
    key = b"\r\n" + name.encode() + b":"
    at = headers.find(key)
    if at < 0:
        return None
    value, _, _ = headers[at + len(key) :].partition(b"\r\n")
    return value.strip().decode("utf-8", "replace")
