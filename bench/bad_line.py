"""A line between an edge and its hub as lines are: slow, far, lossy, and at times not there in one of several ways.

A TCP relay that carries segments of 1,400 bytes each way through a queue of its own, as a modem does.  What is lost
is sent again by TCP after a while and holds up all that is behind it; so that is what a loss is here.
"""

import asyncio
import contextlib
import enum
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from types import TracebackType

SEGMENT = 1400
RETRANSMISSION_S = 0.3  # and the round trip
QUEUE_S = 0.25  # of data that the modem takes before its sender has to wait
PORTAL_PATIENCE_S = 0.2  # that a portal waits for a request before it answers all the same

Accepted = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class State(enum.Enum):
    OPEN = "open"
    CUT = "cut"  # connections are reset, and new ones refused
    SILENT = "silent"  # nothing arrives on either side, and nobody is told
    DEAF = "deaf"  # nothing that the hub says arrives; what the edge says does
    MUTE = "mute"  # new connections are accepted, and never answered
    PORTAL = "portal"  # new connections are answered in HTTP, with ``page``


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
        self.page = PORTAL_ANSWER
        self.carried = [0, 0]  # bytes that have arrived: down, up
        self.accepted = 0  # connections
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
        was_silent = before in (State.SILENT, State.DEAF) and state is State.OPEN
        if state in (State.CUT, State.MUTE, State.PORTAL) or was_silent:
            self.reset()  # after a silence both ends have given up on what was on the way

    def lose(self) -> None:
        """Whoever stands between has forgotten the connections there are: nothing of them arrives any more, on either
        side, and nobody is told of that either.  New ones are as good as any."""
        for call in self.calls:
            call.is_lost = True

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
            self.accepted += 1
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
        self.is_lost = False

    async def live(self, target: int) -> None:
        if self.line.state is State.CUT:
            return
        if self.line.state is State.PORTAL:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PORTAL_PATIENCE_S):
                    await self.reader.read(1)
            self.writers[0].write(self.line.page)
            await self.writers[0].drain()
            return
        if self.line.state is State.MUTE:
            while await self.reader.read(SEGMENT):
                pass
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", target)
        self.writers.append(writer)
        ways = [
            asyncio.create_task(Way(self, self.reader, writer, True).carry()),
            asyncio.create_task(Way(self, reader, self.writers[0], False).carry()),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if self.is_lost:
                await asyncio.wait(ways)  # the end of one side is not heard of at the other
        finally:
            self.reset()
            await asyncio.gather(*ways, return_exceptions=True)

    def reset(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Way:
    """One direction of a connection."""

    def __init__(
        self, call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_up: bool
    ) -> None:
        self.call = call
        self.line = call.line
        self.reader = reader
        self.writer = writer
        self.is_up = is_up
        self.queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self.free_at = self.last_due = 0.0

    async def carry(self) -> None:
        arriving = asyncio.create_task(self._arrive())
        try:
            await self._send()
            self.queue.put_nowait((self.last_due, b""))  # the end comes behind what was said before it
            await arriving
        finally:
            arriving.cancel()

    async def _send(self) -> None:
        clock = asyncio.get_running_loop()
        while True:
            quality = self.line.quality
            data = await self.reader.read(SEGMENT if quality is not GOOD else 1 << 18)
            if not data or self.writer.is_closing():
                return
            while self.call.is_lost:  # nobody takes it, so that TCP does not acknowledge it either
                if self.writer.is_closing():
                    return
                await asyncio.sleep(0.05)
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
            if not data or self.writer.is_closing():
                return
            if self._is_swallowed():
                continue  # for ever: the connection is reset when the line is back
            self.line.carried[self.is_up] += len(data)
            with contextlib.suppress(OSError):
                self.writer.write(data)
                await self.writer.drain()

    def _is_swallowed(self) -> bool:
        state = self.line.state
        return self.call.is_lost or state is State.SILENT or (state is State.DEAF and not self.is_up)


class Modem:
    """A line in a thread of its own, for those who are not in an event loop."""

    def __init__(self, targets: Sequence[int], seed: int = 1) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.line = BadLine(targets, random.Random(seed))
        self._run(self.line.open())

    @property
    def ports(self) -> list[int]:
        return self.line.ports

    @property
    def carried_up(self) -> int:
        return self.line.carried[True]

    @property
    def accepted(self) -> int:
        return self.line.accepted

    def become(self, state: State, quality: Quality | None = None, page: bytes | None = None) -> None:
        async def become() -> None:
            self.line.page = page or self.line.page
            self.line.become(state, quality)

        self._run(become())

    def lose(self) -> None:
        async def lose() -> None:
            self.line.lose()

        self._run(lose())

    def close(self) -> None:
        self._run(self.line.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def __enter__(self) -> "Modem":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, what: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self.loop).result()
