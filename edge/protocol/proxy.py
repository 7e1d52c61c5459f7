"""The PROXY protocol, versions 1 and 2: what a load balancer says of the client behind it, before the client speaks.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt.  Bytes in, an address out; no sockets, no clock.
"""

import ipaddress
from typing import NamedTuple, NoReturn

from edge.errors import ProtocolError

TEXT_PREFIX = b"PROXY "
BINARY_PREFIX = b"\r\n\r\n\x00\r\nQUIT\n"
BINARY_HEAD = 16  # the prefix, version and command, family and protocol, length of the rest
MAX_TEXT = 107  # of a line with its end
ADDRESS_SIZES = {0x10: 4, 0x20: 16}  # by family
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Source(NamedTuple):
    ip: str
    port: int


class ProxyReader:
    """Takes one header from the beginning of a connection, and not a byte of what follows it.

    ``take`` is shown what has come and says how much of it belongs to the header; that much is shown no more.  When
    ``done``, ``source`` is the client's address: None where the connection itself is meant, or where there was no
    header.  Then ``taken`` is what was taken for the beginning of one: the client's own first bytes.
    """

    def __init__(self) -> None:
        self.done = False
        self.source: Source | None = None
        self.taken = b""
        self.skip = 0  # bytes of a binary header that nobody reads

    def take(self, data: bytes) -> int:
        """ProtocolError for a header that is none, with what is wrong as its reason."""
        if self.skip:
            return self._skip(data)
        seen = self.taken + data
        if seen.startswith(TEXT_PREFIX):
            return self._take_text(seen)
        if seen.startswith(BINARY_PREFIX[: len(TEXT_PREFIX)]):
            return self._take_binary(seen)
        if TEXT_PREFIX.startswith(seen) or BINARY_PREFIX.startswith(seen):
            return self._keep(seen, len(seen))
        self.done = True
        return 0

    def _keep(self, seen: bytes, size: int) -> int:
        """The first ``size`` bytes belong to the header."""
        new = size - len(self.taken)
        self.taken = seen[:size]
        return new

    def _finish(self, seen: bytes, size: int) -> int:
        new = size - len(self.taken)
        self.taken = b""
        self.done = True
        return new

    # ---- version 1: a line

    def _take_text(self, seen: bytes) -> int:
        end = seen.find(b"\r\n", 0, MAX_TEXT)
        if end < 0:
            if len(seen) >= MAX_TEXT:
                _fail("the line is too long")
            return self._keep(seen, len(seen))
        self.source = _text_source(seen[len(TEXT_PREFIX) : end])
        return self._finish(seen, end + 2)

    # ---- version 2: binary

    def _take_binary(self, seen: bytes) -> int:
        if not BINARY_PREFIX.startswith(seen[: len(BINARY_PREFIX)]):
            _fail("the signature is wrong")
        if len(seen) < BINARY_HEAD:
            return self._keep(seen, len(seen))
        size = int.from_bytes(seen[14:16], "big")
        width = _address_width(seen[12], seen[13], size)
        needed = BINARY_HEAD + (2 * width + 4 if width else 0)
        if len(seen) < needed:
            return self._keep(seen, len(seen))
        if width:
            source = ipaddress.ip_address(seen[BINARY_HEAD : BINARY_HEAD + width])
            port = int.from_bytes(seen[needed - 4 : needed - 2], "big")
            self.source = Source(_plain(source), port)
        self.skip = BINARY_HEAD + size - needed
        if not self.skip:
            return self._finish(seen, needed)
        more = min(self.skip, len(seen) - needed)
        new = needed + more - len(self.taken)
        self.taken = b""
        self._skip(seen[needed:])
        return new

    def _skip(self, data: bytes) -> int:
        size = min(self.skip, len(data))
        self.skip -= size
        self.done = not self.skip
        return size


def _fail(what: str) -> NoReturn:
    raise ProtocolError("", f"PROXY header: {what}")


def _address_width(version: int, family: int, size: int) -> int:
    """Bytes of one address; 0 where the connection itself is meant."""
    if version >> 4 != 2:
        _fail(f"version {version >> 4} is not known")
    if version & 15 == 0:  # LOCAL: the load balancer's own
        return 0
    if version & 15 != 1:
        _fail(f"command {version & 15} is not known")
    if family & 15 != 1:
        _fail("it is not about a stream")
    if family & 0xF0 == 0:
        return 0
    width = ADDRESS_SIZES.get(family & 0xF0)
    if width is None:
        _fail(f"address family {family >> 4} is not known")
    if size < 2 * width + 4:
        _fail("it is too short for its addresses")
    return width


def _text_source(line: bytes) -> Source | None:
    words = line.decode("ascii", "replace").split()
    if words[:1] == ["UNKNOWN"]:
        return None
    if len(words) != 5:
        _fail("expected a protocol, two addresses and two ports")
    protocol, source, destination, port, destination_port = words
    if protocol not in ("TCP4", "TCP6"):
        _fail(f"protocol {protocol!r} is not known")
    address = _text_address(protocol, source)
    _text_address(protocol, destination)
    _text_port(destination_port)
    return Source(_plain(address), _text_port(port))


def _text_address(protocol: str, word: str) -> Address:
    try:
        address = ipaddress.ip_address(word)
    except ValueError as exc:
        raise ProtocolError("", f"PROXY header: {word!r} is not an address") from exc
    if address.version != int(protocol[-1]):
        _fail(f"{word!r} is not an address of {protocol}")
    return address


def _text_port(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 5 and int(word) <= 65535):
        _fail(f"{word!r} is not a port")
    return int(word)


def _plain(address: Address) -> str:
    """An IPv4 address that comes in an IPv6 one is shown as it is known."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
