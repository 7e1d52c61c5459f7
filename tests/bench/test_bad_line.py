import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from bench.bad_line import BadLine, Modem, Quality, State

Test = Callable[[BadLine], Awaitable[None]]


@asynccontextmanager
async def dialled(line: BadLine) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", line.ports[0])
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def on_a_line(test: Test, quality: Quality | None = None, state: State = State.OPEN) -> None:
    """``test`` with a line to a server that answers with what it is told."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        line = BadLine([server.sockets[0].getsockname()[1]], random.Random(1))
        await line.open()
        line.become(state, quality)
        try:
            async with asyncio.timeout(60):
                await test(line)
        finally:
            await line.close()
            server.close()

    asyncio.run(main())


def test_everything_comes_in_order_on_the_worst_line() -> None:
    async def test(line: BadLine) -> None:
        async with dialled(line) as (reader, writer):
            sent = bytes(range(256)) * 40
            begin = asyncio.get_running_loop().time()
            writer.write(sent)
            assert await reader.readexactly(len(sent)) == sent
            assert asyncio.get_running_loop().time() - begin >= 0.1 + len(sent) / 40_000  # there and back

    on_a_line(test, Quality(latency_s=0.05, bytes_per_s=40_000, loss=0.3))


def test_silence_is_not_told_and_ends_with_a_reset() -> None:
    async def test(line: BadLine) -> None:
        async with dialled(line) as (reader, writer):
            writer.write(b"a")
            assert await reader.readexactly(1) == b"a"
            line.become(State.SILENT)
            writer.write(b"b")
            waiting = asyncio.ensure_future(reader.read(1))
            assert not (await asyncio.wait([waiting], timeout=0.1))[0]
            line.become(State.OPEN)
            with suppress(ConnectionResetError):
                assert await waiting == b""

    on_a_line(test)


def test_last_words_arrive_before_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Modem([server.getsockname()[1]]) as modem:
        modem.become(State.OPEN, Quality(latency_s=0.2))
        with socket.create_connection(("127.0.0.1", modem.ports[0]), timeout=20) as near:
            far = server.accept()[0]
            far.sendall(b"these were the last words")
            far.close()
            assert near.recv(100) == b"these were the last words" and near.recv(1) == b""


def test_a_portal_answers_whatever_is_said() -> None:
    async def test(line: BadLine) -> None:
        async with dialled(line) as (reader, writer):
            writer.write(b"CONNECT {}\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 302")

    on_a_line(test, state=State.PORTAL)


def test_one_that_is_mute_accepts_and_says_nothing() -> None:
    async def test(line: BadLine) -> None:
        async with dialled(line) as (reader, writer):
            writer.write(b"CONNECT {}\r\n")
            waiting = asyncio.ensure_future(reader.read(1))
            assert not (await asyncio.wait([waiting], timeout=0.1))[0]
            waiting.cancel()

    on_a_line(test, state=State.MUTE)


def test_a_cut_line_ends_what_there_is() -> None:
    async def test(line: BadLine) -> None:
        async with dialled(line) as (reader, writer):
            writer.write(b"a")
            assert await reader.readexactly(1) == b"a"
            line.become(State.CUT)
            with suppress(ConnectionResetError):
                assert await reader.read(1) == b""

    on_a_line(test)


def test_what_is_lost_is_lost_for_both_sides_and_what_comes_next_is_not() -> None:
    async def test(line: BadLine) -> None:
        async with dialled(line) as (reader, writer):
            writer.write(b"a")
            assert await reader.readexactly(1) == b"a"
            line.lose()
            writer.write(b"b")
            waiting = asyncio.ensure_future(reader.read(1))
            async with dialled(line) as (other, other_writer):
                other_writer.write(b"c")
                assert await other.readexactly(1) == b"c"
            assert not (await asyncio.wait([waiting], timeout=0.1))[0]
            waiting.cancel()

    on_a_line(test)


def test_one_that_is_deaf_is_heard() -> None:
    async def test(line: BadLine) -> None:
        async with dialled(line) as (reader, writer):
            line.become(State.DEAF)
            writer.write(b"a")
            waiting = asyncio.ensure_future(reader.read(1))
            while line.carried != [0, 1]:
                await asyncio.sleep(0.01)
            assert not (await asyncio.wait([waiting], timeout=0.1))[0]
            line.become(State.OPEN)
            with suppress(ConnectionResetError):
                assert await waiting == b""

    on_a_line(test)


def test_a_portal_does_not_wait_for_a_request() -> None:
    async def test(line: BadLine) -> None:
        line.page = b"HTTP/1.1 200 OK\r\n\r\n<html>"
        async with dialled(line) as (reader, _):
            assert await reader.read() == line.page

    on_a_line(test, state=State.PORTAL)


def test_a_line_of_its_own_thread() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Modem([server.getsockname()[1]]) as modem:
        with socket.create_connection(("127.0.0.1", modem.ports[0]), timeout=60) as near:
            far = server.accept()[0]
            near.sendall(b"up")
            far.settimeout(60)
            assert far.recv(2) == b"up" and modem.carried_up == 2
            modem.become(State.CUT)
            with suppress(ConnectionResetError):
                assert near.recv(1) == b""
            far.close()
