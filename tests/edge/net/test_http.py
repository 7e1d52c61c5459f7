"""Peers that are slow, many, or do not read: each is given up, and nobody else notices."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edge.net import http
from edge.net.http import HttpListener
from edge.protocol.http import Request, Response

PATIENCE = 60
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
BIG = 8 << 20


def answer(request: Request) -> Response:
    body = b"x" * BIG if request.path == "/big" else request.path.encode()
    return Response(200, "text/plain", body)


Test = Callable[[HttpListener, int], Awaitable[None]]


def run(test: Test) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            listener = HttpListener(answer)
            port = await listener.start("127.0.0.1", 0)
            await test(listener, port)
            await listener.stop()

    asyncio.run(main())


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes = GET) -> bytes:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came before the end."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


def test_requests_follow_each_other() -> None:
    async def test(listener: HttpListener, port: int) -> None:
        reader, writer = await connect(port)
        for _ in range(3):
            assert (await ask(reader, writer)).endswith(b"/a")
        writer.write(GET * 2 + b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + GET)
        said = await ended(reader)
        assert said.count(b"HTTP/1.1 200 OK") == 3 and said.endswith(b"/b")
        writer.close()

    run(test)


def test_a_half_closed_peer_gets_its_answer() -> None:
    async def test(listener: HttpListener, port: int) -> None:
        reader, writer = await connect(port)
        writer.write(GET)
        writer.write_eof()
        assert (await ended(reader)).endswith(b"/a")
        writer.close()

    run(test)


def test_a_refusal_arrives_though_the_peer_still_sends() -> None:
    async def test(listener: HttpListener, port: int) -> None:
        reader, writer = await connect(port)
        writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 500_000)
        assert b" 413 " in await reader.readuntil(b"\r\n")
        writer.close()

    run(test)


@pytest.mark.parametrize("begin", [b"", b"GET /a HTTP/1.1\r\nHost: x\r\n", b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"])
def test_a_request_that_does_not_end(monkeypatch: Any, begin: bytes) -> None:
    """Not by a trickle either."""
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(http, "TICK_SECONDS", 0.02)

    async def test(listener: HttpListener, port: int) -> None:
        reader, writer = await connect(port)
        writer.write(begin)

        async def trickle() -> None:
            while begin.endswith(b"\r\n"):
                writer.write(b"A: b\r\n")
                await asyncio.sleep(0.01)

        task = asyncio.create_task(trickle())
        assert await ended(reader) == b""
        task.cancel()
        while listener.connections:
            await asyncio.sleep(0.01)
        writer.close()

    run(test)


def test_a_quiet_peer_may_stay_longer_than_a_slow_one(monkeypatch: Any) -> None:
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(http, "IDLE_SECONDS", 600)
    monkeypatch.setattr(http, "TICK_SECONDS", 0.02)

    async def test(listener: HttpListener, port: int) -> None:
        quiet_reader, quiet = await connect(port)
        await ask(quiet_reader, quiet)
        slow_reader, slow = await connect(port)
        assert await ended(slow_reader) == b""
        assert (await ask(quiet_reader, quiet)).endswith(b"/a")
        quiet.close()
        slow.close()

    run(test)


def test_a_peer_that_does_not_read(monkeypatch: Any) -> None:
    """It is asked for no more than it has read, and given up in the end."""
    monkeypatch.setattr(http, "WRITE_SECONDS", 0.3)
    monkeypatch.setattr(http, "TICK_SECONDS", 0.02)
    asked = 0

    async def test(listener: HttpListener, port: int) -> None:
        nonlocal asked

        def counted(request: Request) -> Response:
            nonlocal asked
            asked += 1
            return answer(request)

        listener.answer = counted
        _, writer = await connect(port)
        writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        while not listener.connections:
            await asyncio.sleep(0.01)
        while listener.connections:
            await asyncio.sleep(0.01)
        assert asked == 1
        writer.close()

    run(test)


def test_pipelined_requests_go_on_when_the_peer_reads() -> None:
    async def test(listener: HttpListener, port: int) -> None:
        reader, writer = await connect(port)
        writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + GET)
        for _ in range(3):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(BIG)
        assert (await reader.readuntil(b"/a")).startswith(b"HTTP/1.1 200 OK")
        writer.close()

    run(test)


def test_one_too_many_takes_the_place_of_the_most_silent() -> None:
    async def test(listener: HttpListener, port: int) -> None:
        peers = []
        for _ in range(http.MAX_CONNECTIONS):
            reader, writer = await connect(port)
            await ask(reader, writer)
            peers.append((reader, writer))
        await ask(*peers[0])  # not silent any more
        reader, writer = await connect(port)
        assert (await ask(reader, writer)).endswith(b"/a")
        assert await ended(peers[1][0]) == b""
        assert (await ask(*peers[0])).endswith(b"/a")
        assert len(listener.connections) == http.MAX_CONNECTIONS
        for _, peer in [*peers, (reader, writer)]:
            peer.close()

    run(test)


def test_the_timer_runs_only_while_somebody_is_there(monkeypatch: Any) -> None:
    monkeypatch.setattr(http, "TICK_SECONDS", 0.01)

    async def test(listener: HttpListener, port: int) -> None:
        assert listener.timer is None
        reader, writer = await connect(port)
        await ask(reader, writer)
        assert listener.timer is not None
        writer.close()
        while listener.timer is not None:
            await asyncio.sleep(0.01)

    run(test)
