"""CONNECT, against proxies that are none or say no."""

import asyncio
import contextlib
from typing import NamedTuple

import pytest

from edge.net.tunnel import tunnel


class Proxy(NamedTuple):
    host: str
    port: int
    user: str = ""
    password: str = ""
    encrypted: bool = False


class Behind(asyncio.BufferedProtocol):
    """Says hello, and keeps what comes."""

    def __init__(self) -> None:
        self.buffer = bytearray(100)
        self.got = b""
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"hello")  # type: ignore[attr-defined]

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, size: int) -> None:
        self.got += self.buffer[:size]

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


async def ask(answer: bytes, user: str = "", target: str = "hub") -> tuple[bytes, bytes, bytes]:
    """The head that the proxy got, what had come early, and what came later."""
    heads: list[bytes] = []

    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            if b" 200 " in answer:
                writer.write(await reader.read(5))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        served.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = int(server.sockets[0].getsockname()[1])
        way = await tunnel(Proxy("127.0.0.1", port, user, user and "p:w"), target, 7422)
        early, behind = way.early, Behind()
        await way.lead_to(behind)
        await behind.ended
        return heads[0], early, behind.got
    finally:
        await served.wait()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("early", [b"", b"INFO {}"])
def test_a_way_through(early: bytes) -> None:
    head, came, later = asyncio.run(ask(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n" + early, "u", "fd00::1"))
    assert head.startswith(b"CONNECT [fd00::1]:7422 HTTP/1.1\r\n")
    assert b"proxy-authorization: basic dTpwOnc=" in head.replace(b"Proxy-A", b"proxy-a").replace(b"Basic", b"basic")
    assert came + later in (early + b"hello", b"hello") and came == early


def test_without_a_login() -> None:
    head, _, _ = asyncio.run(ask(b"HTTP/1.0 200 OK\r\n\r\n"))
    assert b"uthorization" not in head


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "refused: 407 Proxy Authentication Required"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\nContent-Length: 0\r\n\r\n", "refused: 302 Found"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no answer of HTTP"),
        (b"", "closed|no answer of HTTP"),
        (b"HTTP/1.1 200 " + b"x" * 40_000, "no answer of HTTP"),
    ],
)
def test_no_way(answer: bytes, problem: str) -> None:
    with pytest.raises(OSError, match=problem):
        asyncio.run(ask(answer))


def test_no_proxy() -> None:
    with pytest.raises(OSError, match=r"proxy 127\.0\.0\.1:1: "):
        asyncio.run(tunnel(Proxy("127.0.0.1", 1), "hub", 7422))
