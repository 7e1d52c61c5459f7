"""The line between the edge and the hub, as a TCP proxy that can go bad the ways lines do."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum


class LinkState(Enum):
    UP = "up"
    ANSWERS_LOST = "answers lost"
    """What the edge sends arrives, nothing comes back: every PubAck in flight is in doubt."""
    SILENT = "silent"
    """Nothing arrives on either side and nobody is told, as when a radio loses its cell."""
    CUT = "cut"
    """Connections are reset and new ones refused."""


LOST_UPWARD = frozenset({LinkState.SILENT})
LOST_DOWNWARD = frozenset({LinkState.SILENT, LinkState.ANSWERS_LOST})

Accepted = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class LeafLink:
    """Listens once for each leaf port of the hub; the edge knows only these listeners."""

    def __init__(self, ports: dict[int, int]) -> None:
        self.state = LinkState.UP
        self.lost_bytes = 0
        self._ports = ports  # ours -> the hub's, all on 127.0.0.1
        self._servers: list[asyncio.Server] = []
        self._lines: set[_Line] = set()

    async def open(self) -> None:
        for ours, hubs in self._ports.items():
            self._servers.append(await asyncio.start_server(self._accepting(hubs), "127.0.0.1", ours))

    async def change(self, state: LinkState) -> None:
        """From now on the link behaves so.

        A connection that has lost bytes is reset when the link is up again: its ends no longer agree.
        """
        self.state = state
        if state is LinkState.CUT:
            await self.close()
        elif not self._servers:
            await self.open()
        if state is LinkState.UP:
            for line in [line for line in self._lines if line.lossy]:
                line.reset()

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        while self._lines:
            line = next(iter(self._lines))
            line.reset()
            await line.ended.wait()

    def _accepting(self, port: int) -> Accepted:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = _Line(self, reader, writer)
            self._lines.add(line)
            try:
                await line.carry(port)
            except OSError:
                pass  # an end that goes away is what a line is there to bear
            finally:
                await line.close()
                self._lines.discard(line)
                line.ended.set()

        return accepted


class _Line:
    """One connection of the edge and its continuation to the hub."""

    def __init__(self, link: LeafLink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._link = link
        self._reader = reader
        self._writers = [writer]
        self.lossy = False
        self.ended = asyncio.Event()

    async def carry(self, port: int) -> None:
        if self._link.state is LinkState.SILENT:
            await self._pump(self._reader, None, LOST_UPWARD)
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self._writers.append(writer)
        upward = asyncio.create_task(self._pump(self._reader, writer, LOST_UPWARD))
        downward = asyncio.create_task(self._pump(reader, self._writers[0], LOST_DOWNWARD))
        try:
            await asyncio.wait((upward, downward), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.reset()
            await asyncio.gather(upward, downward, return_exceptions=True)

    def reset(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        self.reset()
        for writer in self._writers:
            with suppress(OSError):
                await writer.wait_closed()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, lost: frozenset[LinkState]
    ) -> None:
        while data := await reader.read(65536):
            if writer is None or self._link.state in lost:
                self.lossy = True
                self._link.lost_bytes += len(data)
            else:
                writer.write(data)
                await writer.drain()
