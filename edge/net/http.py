"""The listener for HTTP and HTTPS: sockets and clocks around ``edge/protocol/http.py``.

Every peer is bounded: in what it sends, in the time for it, in the time to read its answer; and so is their number:
when there is one too many, the one that has been silent for longest goes.  Imported only where it is configured.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edge.net.listener import listen
from edge.protocol.http import HttpStream, Refused, Request, Response

if TYPE_CHECKING:
    from edge.net.acceptor import Listening
    from edge.net.tls import Encryption

WHAT = "monitoring"
MAX_CONNECTIONS = 32
REQUEST_SECONDS = 5.0  # for a whole request, as nats-server has it for the head
IDLE_SECONDS = 120.0  # between two requests
WRITE_SECONDS = 120.0  # for a peer that does not read
LINGER_SECONDS = 1.0  # for what a peer still sends: a reset would take our last answer from it
TICK_SECONDS = 0.5
WRONG_SCHEME = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"  # as Go has it

DATE = "%a, %d %b %Y %H:%M:%S GMT"

Answerer = Callable[[Request], Response]


class HttpConnection(asyncio.Protocol):
    """One peer.  ``deadline`` and ``heard`` are the loop's time: when it is given up, when it last said something."""

    def __init__(self, listener: "HttpListener") -> None:
        self.listener = listener
        self.stream = HttpStream()
        self.closing = False
        self.congested = False
        self.deadline = self.heard = listener.loop.time()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._give(REQUEST_SECONDS)
        self.listener.opened(self)

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        if not self.stream.is_begun:
            self._give(REQUEST_SECONDS)
        self.stream.receive(data)
        self._serve()

    def eof_received(self) -> bool:
        """What is written by then still goes out."""
        if not self.closing:
            self.stream.receive(b"")
            self._serve()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        self.listener.closed(self)

    def pause_writing(self) -> None:
        self.congested = True
        self.transport.pause_reading()
        self._give(WRITE_SECONDS)

    def resume_writing(self) -> None:
        self.congested = False
        if not self.closing:
            self.transport.resume_reading()
            self._wait()
            self._serve()

    # ---- requests

    def _serve(self) -> None:
        """Whatever is here, in order; while the peer does not read, nothing more is answered."""
        try:
            while not self.closing and not self.congested:
                request = self.stream.next_request()
                if request is None:
                    return
                self._write(self.listener.answer(request))
        except Refused as exc:
            if self.stream.may_answer:
                self._write(exc.response, last=True)
            else:
                self._finish()

    def _write(self, response: Response, last: bool = False) -> None:
        data = self.stream.respond(response, time.strftime(DATE, time.gmtime()), last)
        self._wait()
        self.transport.write(data)
        if self.stream.is_over:
            self._finish()

    def _finish(self) -> None:
        """Nothing more is looked at; what is written goes out."""
        self.closing = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._give(WRITE_SECONDS if self.congested else LINGER_SECONDS)
        else:
            self.transport.close()

    # ---- clocks

    def _wait(self) -> None:
        self._give(REQUEST_SECONDS if self.stream.is_begun else IDLE_SECONDS)

    def _give(self, seconds: float) -> None:
        self.heard = self.listener.loop.time()
        self.deadline = self.heard + seconds

    def check(self, now: float) -> None:
        if now >= self.deadline:
            self.transport.abort()


class HttpListener:
    """``answer`` is called for each request, and answers at once."""

    def __init__(self, answer: Answerer, encryption: "Encryption | None" = None) -> None:
        self.answer = answer
        self.encryption = encryption
        self.loop = asyncio.get_running_loop()
        self.connections: dict[HttpConnection, None] = {}  # in the order in which they came
        self.server: Listening | None = None
        self.timer: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that it became.  StartError when it is taken."""
        self.server = await self._listen(host, port)
        return int(self.server.sockets[0].getsockname()[1])

    async def _listen(self, host: str, port: int) -> "Listening":
        if self.encryption is None:
            return await listen(self.loop, self.make, host, port, WHAT)
        from edge.net.acceptor import accept

        return await accept(self.loop, self._prelude, host, port, WHAT)

    async def _prelude(self, accepted: socket.socket) -> None:
        """Who forgot the s of https is told."""
        from edge.net.acceptor import TLS_HANDSHAKE, hand_over, peek

        assert self.encryption is not None
        first = await peek(self.loop, accepted, self.encryption.timeout)
        if first == TLS_HANDSHAKE:
            await hand_over(self.loop, accepted, self.make, self.encryption)
            return
        if first:
            accepted.recv(65536)  # a reset would take the answer away
            accepted.send(WRONG_SCHEME)
        accepted.close()

    async def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.server is not None:
            self.server.close()
        for connection in list(self.connections):
            connection.transport.close()
        await asyncio.sleep(0)

    # ---- lame duck mode: who looks may look until the end

    def stop_accepting(self) -> None: ...
    def announce_lame_duck(self) -> None: ...

    def closers(self) -> Sequence[Callable[[], None]]:
        return ()

    # ---- connections

    def make(self) -> HttpConnection:
        return HttpConnection(self)

    def opened(self, connection: HttpConnection) -> None:
        self.connections[connection] = None
        if len(self.connections) > MAX_CONNECTIONS:
            min(self.connections, key=lambda each: each.heard).transport.abort()
        if self.timer is None:
            self._tick()

    def closed(self, connection: HttpConnection) -> None:
        self.connections.pop(connection, None)

    def _tick(self) -> None:
        now = self.loop.time()
        for connection in list(self.connections):
            connection.check(now)
        self.timer = self.loop.call_later(TICK_SECONDS, self._tick) if self.connections else None
