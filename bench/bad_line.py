"""A line between an edge and its hub as lines are: slow, far, lossy, and at times not there in one of several ways.

A TCP relay that carries segments of 1,400 bytes each way through a queue of its own, as a modem does.  What is lost
is sent again by TCP after a while and holds up all that is behind it; so that is what a loss is here.
"""

import asyncio
import contextlib
import enum
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

SEGMENT = 1400
RETRANSMISSION_S = 0.3  # and the round trip
QUEUE_S = 0.25  # of data that the modem takes before its sender has to wait

Accepted = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class State(enum.Enum):
    OPEN = "open"
    CUT = "cut"  # connections are reset, and new ones refused
    SILENT = "silent"  # nothing arrives on either side, and nobody is told
    MUTE = "mute"  # new connections are accepted, and never answered
    PORTAL = "portal"  # new connections are answered in HTTP


@dataclass(frozen=True, slots=True)
class Quality:
    """``latency_s`` one way; ``bytes_per_s`` each way, 0: as fast as it goes; ``loss`` of segments, 0 to 1."""

    latency_s: float = 0.0
    bytes_per_s: float = 0.0
    loss: float = 0.0


GOOD = Quality()
PORTAL_ANSWER = b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/login\r\nContent-Length: 0\r\n\r\n"


class BadLine:
    """``targets``: ports of the hub; ``ports`` has as many, for the edge to connect to."""

    def __init__(self, targets: Sequence[int], rng: random.Random) -> None:
        self.targets = list(targets)
        self.rng = rng
        self.quality = GOOD
        self.state = State.OPEN
        self.ports: list[int] = []
        self.servers: list[asyncio.Server] = []
        self.calls: set[Call] = set()

    async def open(self, ports: Sequence[int] = ()) -> None:
        """Listen, on these ports or on free ones."""
        for i, target in enumerate(self.targets):
            server = await asyncio.start_server(self._accepting(target), "127.0.0.1", ports[i] if ports else 0)
            self.servers.append(server)
            self.ports.append(server.sockets[0].getsockname()[1])

    def become(self, state: State, quality: Quality | None = None) -> None:
        if quality is not None:
            self.quality = quality
        before, self.state = self.state, state
        if state in (State.CUT, State.MUTE, State.PORTAL) or (before is State.SILENT and state is State.OPEN):
            self.reset()  # after a silence both ends have given up on what was on the way

    def reset(self) -> None:
        for call in list(self.calls):
            call.reset()

    async def close(self) -> None:
        for server in self.servers:
            server.close()
        self.reset()
        while self.calls:
            await asyncio.sleep(0.01)

    def _accepting(self, target: int) -> Accepted:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            call = Call(self, reader, writer)
            self.calls.add(call)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await call.live(target)
            self.calls.discard(call)
            call.reset()

        return accepted


class Call:
    """One connection of the edge."""

    def __init__(self, line: BadLine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.line = line
        self.reader = reader
        self.writers = [writer]

    async def live(self, target: int) -> None:
        if self.line.state is State.CUT:
            return
        if self.line.state is State.PORTAL:
            await self.reader.read(1)
            self.writers[0].write(PORTAL_ANSWER)
            await self.writers[0].drain()
            return
        if self.line.state is State.MUTE:
            while await self.reader.read(SEGMENT):
                pass
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", target)
        self.writers.append(writer)
        ways = [
            asyncio.create_task(Way(self.line, self.reader, writer).carry()),
            asyncio.create_task(Way(self.line, reader, self.writers[0]).carry()),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.reset()
            await asyncio.gather(*ways, return_exceptions=True)

    def reset(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Way:
    """One direction of a connection."""

    def __init__(self, line: BadLine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.line = line
        self.reader = reader
        self.writer = writer
        self.queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self.free_at = self.last_due = 0.0

    async def carry(self) -> None:
        arriving = asyncio.create_task(self._arrive())
        try:
            await self._send()
        finally:
            arriving.cancel()

    async def _send(self) -> None:
        clock = asyncio.get_running_loop()
        while True:
            quality = self.line.quality
            data = await self.reader.read(SEGMENT if quality is not GOOD else 1 << 18)
            if not data:
                return
            now = clock.time()
            if quality.bytes_per_s:
                self.free_at = max(self.free_at, now) + len(data) / quality.bytes_per_s
            else:
                self.free_at = now
            due = self.free_at + quality.latency_s
            if quality.loss and self.line.rng.random() < quality.loss:
                due += RETRANSMISSION_S + 2 * quality.latency_s
            self.last_due = max(due, self.last_due)
            self.queue.put_nowait((self.last_due, data))
            if self.free_at - now > QUEUE_S:
                await asyncio.sleep(self.free_at - now - QUEUE_S)

    async def _arrive(self) -> None:
        clock = asyncio.get_running_loop()
        while True:
            due, data = await self.queue.get()
            if (wait := due - clock.time()) > 0:
                await asyncio.sleep(wait)
            if self.line.state is State.SILENT:
                continue  # for ever: the connection is reset when the line is back
            with contextlib.suppress(OSError):
                self.writer.write(data)
                await self.writer.drain()
