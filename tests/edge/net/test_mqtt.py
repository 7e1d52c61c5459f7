"""The MQTT listener on real sockets, within this process."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from edge.core.auth import ConfiguredUsers
from edge.core.mqtt_broker import MqttLimits
from edge.core.router import Router
from edge.errors import StartError
from edge.net.mqtt import MqttListener
from edge.protocol.mqtt import (
    FROM_SERVER,
    Ack,
    Connack,
    Connect,
    Kind,
    Packet,
    Parser,
    Publish,
    Signal,
    Suback,
    Subscribe,
    Will,
    encode,
)
from edge.store.memory import MemoryStore

PATIENCE = 60.0


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.parser = Parser(FROM_SERVER)
        self.heard: list[Packet] = []

    def send(self, *packets: Packet) -> None:
        self.writer.write(b"".join(map(encode, packets)))

    async def expect(self, *packets: Packet) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.heard) < len(packets):
                chunk = await self.reader.read(65536)
                assert chunk, f"closed after {self.heard}"
                self.heard += self.parser.receive_data(chunk)
        assert self.heard[: len(packets)] == list(packets)
        del self.heard[: len(packets)]

    async def expect_closed(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


class Bench:
    def __init__(self, limits: MqttLimits) -> None:
        self.router = Router()
        loop = asyncio.get_running_loop()

        def batch(call: Callable[[], None]) -> None:
            call()
            self.router.flush()

        store = MemoryStore(lambda call: loop.call_soon(batch, call))
        self.listener = MqttListener(self.router, ConfiguredUsers(), limits, store, {}, tuple)
        self.clients: list[Client] = []

    async def open(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client

    async def connect(self, client_id: str = "", will: Will | None = None, keepalive: int = 0) -> Client:
        client = await self.open()
        client.send(Connect(client_id, will=will, keepalive=keepalive))
        await client.expect(Connack(False, 0))
        return client


def serve(scenario: Callable[[Bench], Awaitable[None]], limits: MqttLimits | None = None) -> None:
    async def main() -> None:
        bench = Bench(limits or MqttLimits())
        bench.port = await bench.listener.start("127.0.0.1", 0)
        try:
            await scenario(bench)
        finally:
            await bench.listener.stop()
            for client in bench.clients:
                client.writer.close()
            async with asyncio.timeout(PATIENCE):
                while bench.listener.connections:
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_conversation_in_single_bytes() -> None:
    async def scenario(bench: Bench) -> None:
        client = await bench.open()
        packets = [
            Connect("c"),
            Subscribe(1, (("a/#", 1),)),
            Publish("a/b", b"hi", 1, packet_id=3),
            Signal(Kind.PINGREQ),
        ]
        for byte in b"".join(map(encode, packets)):
            client.writer.write(bytes((byte,)))
            await client.writer.drain()
            await asyncio.sleep(0)
        await client.expect(
            Connack(False, 0),
            Suback(1, (1,)),
            Publish("a/b", b"hi", 1, packet_id=1),
            Ack(Kind.PUBACK, 3),
            Signal(Kind.PINGRESP),
        )

    serve(scenario)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x00\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x10\xff\xff\xff\x7f",
        encode(Connect("x")) + encode(Publish("a", b"x" * 2000)),
        encode(Connect("x")) + b"\x82\x02\0\1",
        encode(Connect("x")) + b"\x30\x04\0\2\xff\xff",
    ],
)
def test_bad_input_closes_that_connection_and_no_other(rubbish: bytes) -> None:
    async def scenario(bench: Bench) -> None:
        witness = await bench.connect("witness")
        bad = await bench.open()
        bad.writer.write(rubbish)
        await bad.expect_closed()
        witness.send(Signal(Kind.PINGREQ))
        await witness.expect(Signal(Kind.PINGRESP))

    serve(scenario, MqttLimits(max_payload=1000))


def test_silence_before_connect_and_after(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def scenario(bench: Bench) -> None:
        watcher = await bench.connect("watcher")
        watcher.send(Subscribe(1, (("will", 0),)))
        await watcher.expect(Suback(1, (0,)))
        mute = await bench.open()
        silent = await bench.connect("silent", Will("will", b"gone", 0, False), keepalive=1)
        await mute.expect_closed()
        await silent.expect_closed()
        await watcher.expect(Publish("will", b"gone"))

    serve(scenario, MqttLimits(connect_timeout_ns=100_000_000))
    assert "no CONNECT in time" in caplog.text and "keep alive exceeded" in caplog.text


def test_a_broken_connection_brings_the_will() -> None:
    async def scenario(bench: Bench) -> None:
        watcher = await bench.connect("watcher")
        watcher.send(Subscribe(1, (("will", 0),)))
        await watcher.expect(Suback(1, (0,)))
        client = await bench.connect("c", Will("will", b"gone", 0, False))
        client.writer.transport.abort()
        await watcher.expect(Publish("will", b"gone"))

    serve(scenario)


def test_a_client_that_reads_nothing_is_bounded_and_closed(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(bench: Bench) -> None:
        slow = await bench.connect("slow")
        slow.send(Subscribe(1, (("#", 0),)))
        await slow.expect(Suback(1, (0,)))
        slow.writer.transport.pause_reading()
        [connection] = bench.listener.connections.values()
        account = bench.router.account("$G")
        while not connection.closing:
            for _ in range(100):
                account.publish("a", b"x" * 10_000)
            bench.router.flush()
            assert connection.transport.get_write_buffer_size() < 3_000_000
            await asyncio.sleep(0.01)
        assert connection.client.dropped

    serve(scenario, MqttLimits(max_pending=1_000_000, write_deadline_ns=1_000_000_000))
    assert "QoS 0 messages are dropped" in caplog.text and "slow consumer (write deadline)" in caplog.text


def test_one_connection_too_many() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.connect()
        extra = await bench.open()
        assert await extra.expect_closed() == b""
        witness = bench.clients[0]
        witness.send(Signal(Kind.PINGREQ))
        await witness.expect(Signal(Kind.PINGRESP))

    serve(scenario, MqttLimits(max_connections=1))


def test_reading_stops_while_too_many_wait_for_a_stream() -> None:
    async def scenario(bench: Bench) -> None:
        replies: list[str] = []
        account = bench.router.account("$G")
        account.subscribe("t", lambda subject, reply, headers, payload: replies.append(reply), capture=True)
        client = await bench.connect()
        count = 4000
        client.send(*[Publish("t", b"x" * 200, 1, packet_id=n) for n in range(1, count + 1)])
        [connection] = bench.listener.connections.values()
        async with asyncio.timeout(PATIENCE):
            while connection.transport.is_reading():
                await asyncio.sleep(0.01)
            assert len(replies) < count
            for answered in range(count):
                while len(replies) <= answered:
                    await asyncio.sleep(0.001)
                account.publish(replies[answered], b'{"stream":"S","seq":1}')
                bench.router.flush()
        await client.expect(*[Ack(Kind.PUBACK, n) for n in range(1, count + 1)])

    serve(scenario)


def test_shutdown_brings_no_wills() -> None:
    async def scenario(bench: Bench) -> None:
        heard: list[str] = []
        bench.router.account("$G").subscribe("will", lambda subject, *rest: heard.append(subject))
        client = await bench.connect("c", Will("will", b"gone", 0, False))
        await bench.listener.stop()
        await client.expect_closed()
        assert heard == []

    serve(scenario)


def test_a_port_in_use_is_one_line() -> None:
    async def scenario(bench: Bench) -> None:
        other = Bench(MqttLimits())
        with pytest.raises(StartError, match=f"cannot listen for MQTT connections on 127.0.0.1:{bench.port}"):
            await other.listener.start("127.0.0.1", bench.port)

    serve(scenario)
