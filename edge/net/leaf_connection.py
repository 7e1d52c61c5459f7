"""The connection of a leaf link, whoever has dialled: what is read goes to the link, what that writes to the socket.

``LeafConnection`` is a link's ``Wire``.  Below it is TCP, TLS, or a WebSocket's frames (``WebSocketTransport``).
"""

import array
import asyncio
import fcntl
import socket
import struct
import termios
import time
from typing import TYPE_CHECKING

from edge.core.leaf_link import LeafLink
from edge.core.router import Router
from edge.errors import ProtocolError

if TYPE_CHECKING:  # where something is compressed
    from edge.protocol.s2 import S2Reader, S2Writer

# What may wait here before plain messages are dropped: a PONG behind it must still reach the hub within its two
# minutes over a slow line.
WRITE_HIGH = 1 << 20
WRITE_LOW = 1 << 18
TCP_INFO_SIZE = 128
BYTES_ACKED = 120  # its place in struct tcp_info


class LeafConnection(asyncio.BufferedProtocol):
    """``ended`` is done when it is closed.  A subclass begins: it opens its link when it is made."""

    is_web = False  # there are frames of a WebSocket below

    def __init__(self, link: LeafLink, router: Router, buffer: bytearray) -> None:
        self.link = link
        self.router = router
        self.buffer = buffer
        self.view = memoryview(buffer)
        self.reader: S2Reader | None = None
        self.writer: S2Writer | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        """There is a transport."""
        raise NotImplementedError

    # ---- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.use(transport)
        self.socket: socket.socket = transport.get_extra_info("socket")
        self.begin()

    def use(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(WRITE_HIGH, WRITE_LOW)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, size: int) -> None:
        self.receive(bytes(self.view[:size]))

    def receive(self, data: bytes) -> None:
        if self.reader is not None and not self.reader.has_begun and data.startswith(b"-ERR"):
            self.reader = None  # refused before anything was compressed there
        if self.reader is not None:
            try:
                data = self.reader.decode(data)
            except ProtocolError as exc:
                self.link.failed(str(exc))
        self.link.receive(data, time.monotonic_ns())
        self.router.flush()
        if self.router.brake.is_on:
            self.transport.pause_reading()
            self.router.brake.wait(self._go_on)

    def _go_on(self) -> None:
        if not self.transport.is_closing() and not self.transport.is_reading():
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.closed(str(exc) if exc else "closed by the other side")
        self.router.flush()
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        self.link.congested = True

    def resume_writing(self) -> None:
        self.link.congested = False

    # ---- Wire

    def write(self, data: bytes) -> None:
        self.transport.write(data if self.writer is None else self.writer.encode(data))

    def compress(self) -> None:
        from edge.protocol.s2 import S2Reader, S2Writer

        self.reader, self.writer = S2Reader(), S2Writer()

    def close(self) -> None:
        """A peer that reads nothing any more would hold the last bytes, and the connection, for ever: cut it then."""
        self.transport.close()
        asyncio.get_running_loop().call_later(1.0, self.transport.abort)

    def unsent(self) -> int:
        return self.transport.get_write_buffer_size() + unacknowledged(self.socket)

    def acknowledged(self) -> int:
        return acknowledged(self.socket)


def unacknowledged(sock: socket.socket) -> int:
    """Bytes in the kernel that the peer's TCP has not acknowledged; 0 where the system does not say (not Linux)."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, count)
    except (OSError, ValueError):
        return 0
    return count[0]


def acknowledged(sock: socket.socket) -> int:
    """Bytes that the peer's TCP has acknowledged since the beginning; 0 where the system does not say."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
    except OSError:
        return 0
    return int(struct.unpack_from("=Q", info, BYTES_ACKED)[0]) if len(info) == TCP_INFO_SIZE else 0
