"""The line between two ends that echo: what each state lets through."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from hub.demo.leaf_link import LeafLink, LinkState
from hub.plan import free_ports


class Far:
    """The hub's end: keeps what it was sent and answers it."""

    def __init__(self):
        self.got = b""
        self.news = asyncio.Event()

    async def serve(self, reader, writer):
        try:
            while data := await reader.read(100):
                self.got += data
                self.news.set()
                writer.write(data)
        except ConnectionResetError:
            pass
        writer.close()

    async def has(self, data):
        while self.got != data:
            self.news.clear()
            await self.news.wait()


@asynccontextmanager
async def line():
    far = Far()
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0)
    (port,) = free_ports("127.0.0.1", 1)
    link = LeafLink({port: server.sockets[0].getsockname()[1]})
    await link.open()
    try:
        yield link, far, port
    finally:
        await link.close()
        server.close()
        await server.wait_closed()


def talk(scene):
    async def main():
        async with line() as (link, far, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            await scene(link, far, port, reader, writer)
            await hang_up(writer)

    asyncio.run(main())


async def lost(link, count):
    while link.lost_bytes != count:
        await asyncio.sleep(0.01)


async def hang_up(writer):
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def ended(reader):
    try:
        return await reader.read(100) == b""
    except ConnectionResetError:
        return True


def test_cut_resets_and_refuses_until_up():
    async def scene(link, far, port, reader, writer):
        await link.change(LinkState.CUT)
        assert await ended(reader)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await link.change(LinkState.UP)
        again, other = await asyncio.open_connection("127.0.0.1", port)
        other.write(b"back")
        assert await again.readexactly(4) == b"back"
        await hang_up(other)

    talk(scene)


def test_lost_answers_still_arrive_at_the_hub():
    async def scene(link, far, port, reader, writer):
        await link.change(LinkState.ANSWERS_LOST)
        writer.write(b" once")
        await far.has(b"hello once")
        await lost(link, 5)
        await link.change(LinkState.UP)
        assert await ended(reader)  # the answer is gone: the connection may not go on as if nothing was

    talk(scene)


def test_silent_line_accepts_and_tells_nobody():
    async def scene(link, far, port, reader, writer):
        await link.change(LinkState.SILENT)
        writer.write(b" lost")
        other_reader, other = await asyncio.open_connection("127.0.0.1", port)
        other.write(b"INFO?")
        await other.drain()
        await lost(link, 10)
        assert far.got == b"hello"
        await link.change(LinkState.UP)
        assert await ended(reader) and await ended(other_reader)
        await hang_up(other)

    talk(scene)


def test_connection_that_lost_nothing_lives_on():
    async def scene(link, far, port, reader, writer):
        await link.change(LinkState.SILENT)
        await link.change(LinkState.UP)
        writer.write(b" on")
        assert await reader.readexactly(3) == b" on"

    talk(scene)


def test_hub_that_is_not_there():
    async def main():
        ours, nobody = free_ports("127.0.0.1", 2)
        link = LeafLink({ours: nobody})
        await link.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", ours)
        assert await ended(reader)
        await hang_up(writer)
        await link.close()

    asyncio.run(main())
