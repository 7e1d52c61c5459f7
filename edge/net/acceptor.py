"""Sockets that are listened on where something goes on before a transport may have them: TLS, a PROXY header.

Everybody else is served by ``loop.create_server``, which is one coroutine less for each client.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from edge.errors import StartError

if TYPE_CHECKING:
    from edge.net.tls import Encryption

log = logging.getLogger("edge")

BACKLOG = 1024
MAX_PRELUDES = 1024  # peers that have not come through; the next ones wait in the kernel's queue
AT_ONCE = 64  # accepted in one turn of the loop
PAUSE_SECONDS = 1.0  # when there are no more file descriptors
TLS_HANDSHAKE = b"\x16"  # the first byte of every TLS client

Prelude = Callable[[socket.socket], Awaitable[None]]
Factory = Callable[[], asyncio.BaseProtocol]


class Listening(Protocol):
    """What listens, an ``asyncio.Server`` or an ``Acceptor``."""

    @property
    def sockets(self) -> Sequence[socket.socket]: ...
    def close(self) -> None: ...


class Acceptor:
    """Runs ``prelude`` for each socket that it accepts; the prelude hands it to a transport, or closes it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, prelude: Prelude) -> None:
        self.loop = loop
        self.prelude = prelude
        self.sockets: list[socket.socket] = []
        self.preludes: set[asyncio.Task[None]] = set()
        self.pause: asyncio.TimerHandle | None = None
        self.accepting = False

    async def listen(self, host: str, port: int) -> None:
        """OSError where that cannot be."""
        found = await self.loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            listening = socket.create_server(address, family=family, backlog=BACKLOG)
            listening.setblocking(False)
            self.sockets.append(listening)
        self._resume()

    def close(self) -> None:
        """Nobody comes in any more, and who was about to is sent away."""
        self._stop()
        for listening in self.sockets:
            listening.close()
        for task in list(self.preludes):
            task.cancel()

    def _resume(self) -> None:
        self.pause = None
        if not self.accepting:
            self.accepting = True
            for listening in self.sockets:
                self.loop.add_reader(listening, self._accept, listening)

    def _stop(self) -> None:
        if self.pause is not None:
            self.pause.cancel()
        if self.accepting:
            self.accepting = False
            for listening in self.sockets:
                self.loop.remove_reader(listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            if len(self.preludes) >= MAX_PRELUDES:
                self._stop()
                return
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                log.error("cannot accept connections: %s; trying again in a second", exc.strerror or exc)
                self._stop()
                self.pause = self.loop.call_later(PAUSE_SECONDS, self._resume)
                return
            accepted.setblocking(False)
            task = self.loop.create_task(self._run(accepted))
            self.preludes.add(task)
            task.add_done_callback(self._done)

    async def _run(self, accepted: socket.socket) -> None:
        try:
            await self.prelude(accepted)
        except OSError as exc:
            log.debug("a connection ended before it began: %s", exc)
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    def _done(self, task: asyncio.Task[None]) -> None:
        self.preludes.discard(task)
        if not self.accepting and self.pause is None and self.sockets[0].fileno() >= 0:
            self._resume()


async def accept(loop: asyncio.AbstractEventLoop, prelude: Prelude, host: str, port: int, what: str) -> Acceptor:
    """Listen; StartError with one line that says why not."""
    acceptor = Acceptor(loop, prelude)
    try:
        await acceptor.listen(host, port)
    except OSError as exc:
        acceptor.close()
        reason = exc.strerror or str(exc)
        raise StartError(f"cannot listen for {what} connections on {host}:{port}: {reason}") from exc
    return acceptor


async def accept_encrypted(
    loop: asyncio.AbstractEventLoop,
    factory: Factory,
    encryption: "Encryption",
    host: str,
    port: int,
    what: str,
    allow_plain: bool = False,
) -> Acceptor:
    """Listen for TLS, and with ``allow_plain`` for those who speak without it as well: the first byte tells."""

    async def prelude(accepted: socket.socket) -> None:
        encrypted = not allow_plain or await peek(loop, accepted, encryption.timeout) == TLS_HANDSHAKE
        await hand_over(loop, accepted, factory, encryption if encrypted else None)

    return await accept(loop, prelude, host, port, what)


async def hand_over(
    loop: asyncio.AbstractEventLoop, accepted: socket.socket, factory: Factory, encryption: "Encryption | None"
) -> None:
    """Give the socket to a transport, after the handshake where there is one.  OSError when that fails."""
    if encryption is None:
        await loop.connect_accepted_socket(factory, accepted)
        return
    from edge.net.tls import CLOSE_SECONDS

    await loop.connect_accepted_socket(
        factory,
        accepted,
        ssl=encryption.context,
        ssl_handshake_timeout=encryption.timeout,
        ssl_shutdown_timeout=CLOSE_SECONDS,
    )


async def peek(loop: asyncio.AbstractEventLoop, accepted: socket.socket, seconds: float, size: int = 1) -> bytes:
    """What comes next, left where it is; empty at the end of the stream, or when nothing has come in that time."""
    if not await readable(loop, accepted, seconds):
        return b""
    return accepted.recv(size, socket.MSG_PEEK)


async def readable(loop: asyncio.AbstractEventLoop, accepted: socket.socket, seconds: float) -> bool:
    """Has something come within that time?"""
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(accepted, _set, ready)
    try:
        async with asyncio.timeout(seconds):
            await ready
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(accepted)
    return True


def _set(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
