"""Sockets of leafs: who never logs in, and who is ended by us."""

import asyncio
import time
from typing import Any

import pytest

from edge.core.auth import ConfiguredUsers
from edge.core.leaf_inbound import LeafTerms
from edge.core.leaf_wire import LeafIdentity
from edge.core.router import Router
from edge.net.leaf_listener import LeafListener, LeafOptions

IDENTITY = LeafIdentity("NHUB", "hub", "2.15.1", "", False, 1 << 20)
OPTIONS = LeafOptions(LeafTerms(auth_timeout_ns=50_000_000), {"server_name": "hub", "host": "h", "odd": 1})


async def until(what: Any) -> None:
    end = time.monotonic() + 15
    while not what():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def make(options: LeafOptions = OPTIONS) -> LeafListener:
    return LeafListener(Router(), ConfiguredUsers(), IDENTITY, options)


def test_greeted_timed_out_and_forgotten() -> None:
    async def main() -> None:
        listener = make()
        port = await listener.start("127.0.0.1", 0)
        assert port == listener.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        hello = await reader.readline()
        assert hello.startswith(b'INFO {"server_name":"hub","host":"h","client_id":1,"nonce":"') and b"odd" not in hello
        assert len(listener.connections) == 1 and listener.find(1) is not None and listener.find(2) is None
        assert await reader.read() == b"-ERR 'Authentication Timeout'\r\n"
        writer.close()
        await until(lambda: not listener.connections)
        await listener.stop()

    asyncio.run(main())


def test_there_is_a_limit_to_their_number() -> None:
    async def main() -> None:
        listener = make(OPTIONS._replace(max_connections=1))
        port = await listener.start("127.0.0.1", 0)
        first, second = await asyncio.open_connection("127.0.0.1", port), await asyncio.open_connection("127.0.0.1", port)
        assert (await first[0].readline()).startswith(b"INFO ")
        assert await second[0].read() == b"-ERR 'maximum connections exceeded'\r\n"
        for _, writer in (first, second):
            writer.close()
        await listener.stop()

    asyncio.run(main())


def test_whoever_is_here_at_the_end_is_closed() -> None:
    async def main() -> None:
        listener = make()
        port = await listener.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b'CONNECT {"name":"e"}\r\nPING\r\n')
        while b"PONG" not in await reader.readline():
            pass
        assert len(listener.closers()) == 1
        await listener.stop()
        assert await reader.read() == b""
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    asyncio.run(main())
