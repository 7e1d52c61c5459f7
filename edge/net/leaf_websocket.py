"""A leaf link that goes by WebSocket: the request to the hub, then frames."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from edge.net.leaf_connection import LeafConnection
from edge.net.websocket_transport import WebSocketTransport
from edge.protocol.websocket_client import WebSocketAsker

wire_log = logging.getLogger("edge.websocket")
wire_log.setLevel(logging.WARNING)  # the library tells of every handshake and every frame

MAX_MESSAGE = 64 << 20


class Place(Protocol):
    """Where the hub is."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def path(self) -> str: ...


class LeafWebSocket(asyncio.BufferedProtocol):
    """The socket below ``inner``, which is made when the hub has granted the request; until then ``failed`` hears of
    what went wrong, and whether it is that nothing came in time, once."""

    def __init__(
        self, place: Place, secure: bool, compressed: bool, masked: bool, timeout: float, inner: LeafConnection,
        failed: Callable[[str, bool], None],
    ) -> None:  # fmt: skip
        self.stream = WebSocketAsker(
            place.host, place.port, secure, place.path, compressed=compressed, masked=masked, max_message=MAX_MESSAGE,
            logger=wire_log,
        )  # fmt: skip
        self.inner = inner
        inner.is_web = True
        self.failed = failed
        self.timeout = timeout
        self.is_lost = self.is_late = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.timer = asyncio.get_running_loop().call_later(self.timeout, self._too_late)
        self.transport.write(self.stream.request())

    def _too_late(self) -> None:
        self.stream.problem = "no answer to the WebSocket request"
        self.is_late = True
        self.transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.inner.buffer

    def buffer_updated(self, size: int) -> None:
        stream, was_open = self.stream, self.stream.is_open
        for payload in stream.receive(bytes(self.inner.view[:size])):
            if stream.is_open and not was_open:
                was_open = True
                self.timer.cancel()
                self.inner.connection_made(WebSocketTransport(self))
            if payload:
                self.inner.receive(payload)
        self.transport.write(stream.outgoing())
        if stream.ended:
            self.close()
            self._lose(ConnectionError(stream.problem) if stream.problem else None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.timer.cancel()
        self._lose(exc)

    def _lose(self, exc: Exception | None) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        if self.stream.is_open:
            self.inner.connection_lost(exc)
        else:
            self.failed(self.stream.problem or str(exc or "closed by the other side"), self.is_late)

    def pause_writing(self) -> None:
        if self.stream.is_open:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        if self.stream.is_open:
            self.inner.resume_writing()

    def say_goodbye(self) -> None:
        """The link has been closed from here."""
        self.transport.write(self.stream.close("Client Closed"))
        self.close()

    def close(self) -> None:
        self.transport.close()
