"""The listener for NATS clients."""

import asyncio
import logging
import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edge.core.auth import Authenticator
from edge.core.router import Router
from edge.errors import StartError
from edge.net.connection import Connection
from edge.net.info import ServerInfo
from edge.protocol import nats

if TYPE_CHECKING:
    from edge.net.acceptor import Listening
    from edge.net.entrance import Entrance
    from edge.net.trace import Tracer

log = logging.getLogger("edge")

READ_SIZE = 64 * 1024  # larger reads fall out of the cache and fan-out suffers (reference: performance.md)


@dataclass(frozen=True, slots=True)
class ClientLimits:
    max_payload: int = 1 << 20
    max_control_line: int = 4096
    max_pending: int = 64 << 20
    max_connections: int = 65_536
    max_subscriptions: int = 0
    max_subscription_tokens: int = 0
    no_fast_producer_stall: bool = False
    ping_interval_ns: int = 120_000_000_000
    ping_max: int = 2
    write_deadline_ns: int = 10_000_000_000
    auth_timeout: float = 2.0  # seconds


class ClientListener:
    def __init__(
        self, router: Router, auth: Authenticator, limits: ClientLimits, info: ServerInfo
    ) -> None:
        self.router = router
        self.auth = auth
        self.limits = limits
        self.info = info
        self.tracer: Tracer | None = None
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray(READ_SIZE)
        self.view = memoryview(self.buffer)
        self.connections: dict[int, Connection] = {}
        self.hot: set[Connection] = set()  # receivers that this batch found far behind
        self.total = 0
        self.slow_consumers = 0
        self.stale_connections = 0
        self.stalls = 0  # of publishers, because of receivers that were far behind
        self.system_account = ""
        self.clock = time.monotonic_ns()  # coarse, for last_seen
        self.server: Listening | None = None
        self.entrance: Entrance | None = None  # where there is more between socket and client than INFO
        self.timer: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that it became (``port`` 0: the system's choice).  StartError when it is taken."""
        self.server = await self._listen(host, port)
        self._tick()
        return int(self.server.sockets[0].getsockname()[1])

    async def _listen(self, host: str, port: int) -> "Listening":
        if self.entrance is None:
            return await listen(self.loop, self.make, host, port, "client")
        from edge.net.acceptor import accept
        from edge.net.entrance import ClientPrelude

        return await accept(self.loop, ClientPrelude(self, self.entrance), host, port, "client")

    async def stop(self) -> None:
        """No new clients; those that are here are closed after what was written to them has gone out."""
        if self.timer is not None:
            self.timer.cancel()
        if self.server is not None:
            self.server.close()
        for connection in list(self.connections.values()):
            connection.close_with("", "Server Shutdown")
        await asyncio.sleep(0)

    # ---- lame duck mode

    def stop_accepting(self) -> None:
        if self.server is not None:
            self.server.close()

    def announce_lame_duck(self) -> None:
        for connection in self.connections.values():
            connection.tell_lame_duck()
        self.router.flush()

    def closers(self) -> list[Callable[[], None]]:
        return [partial(connection.close_with, "", "Server Shutdown") for connection in self.connections.values()]

    # ---- connections

    def now(self) -> int:
        return time.monotonic_ns()

    def opened(self, connection: Connection) -> None:
        if len(self.connections) >= self.limits.max_connections:
            connection.close_with(nats.MAX_CONNECTIONS_EXCEEDED, "Maximum Connections Exceeded")
            return
        self.connections[connection.cid] = connection
        if connection.auth.required:
            self.loop.call_later(connection.limits.auth_timeout, connection.authentication_timeout)

    def admitted(self, connection: Connection) -> None:
        """It has shown who it is."""

    def new_nonce(self) -> str:
        """What a client signs with its nkey; empty where nobody has to."""
        return urlsafe_b64encode(os.urandom(11)).decode().rstrip("=") if self.auth.challenges else ""

    def closed(self, connection: Connection) -> None:
        self.connections.pop(connection.cid, None)
        self.hot.discard(connection)

    def make(self) -> Connection:
        return Connection(self, self.next_cid())

    def next_cid(self) -> int:
        self.total += 1
        return self.router.next_cid()

    def _tick(self) -> None:
        self.clock = self.now()
        for connection in list(self.connections.values()):
            connection.check(self.clock)
        self.router.flush()
        self.timer = self.loop.call_later(0.5, self._tick)


async def listen(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], asyncio.BaseProtocol],
    host: str,
    port: int,
    what: str,
) -> asyncio.Server:
    """A listening socket, or one line that says why not."""
    try:
        return await loop.create_server(factory, host, port, reuse_address=True, backlog=1024)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise StartError(f"cannot listen for {what} connections on {host}:{port}: {reason}") from exc
