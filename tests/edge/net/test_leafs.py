"""The shell of a leaf link against a small fake hub: dialling, turns, delays, the end."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest

from edge.core.compression_spec import Compression
from edge.core.leaf_wire import LeafIdentity
from edge.core.router import Router
from edge.net.leafs import LeafConnector, make_connector, possible

IDENTITY = LeafIdentity("NEDGE", "e1", "2.12.0", "", False, 1 << 20)
INFO = b'INFO {"server_id":"NH","max_payload":1048576%s} \r\n'


class Url(NamedTuple):
    host: str
    port: int
    user: str = "u"
    password: str = "p"
    encrypted: bool = False
    websocket: bool = False
    path: str = ""


class Remote(NamedTuple):
    urls: tuple[Url, ...]
    account: str = "$G"
    deny_imports: tuple[str, ...] = ()
    deny_exports: tuple[str, ...] = ()
    no_randomize: bool = True
    ignore_discovered_servers: bool = False
    dial_timeout_ns: int = 1_000_000_000
    first_info_timeout_ns: int = 1_000_000_000
    tls: None = None
    credentials: str = ""
    nkey: str = ""
    hub: bool = False
    isolate: bool = False
    request_isolation: bool = False
    compression: Compression = Compression()
    ws_compression: bool = False
    ws_no_masking: bool = False
    proxy: None = None


class FakeHub:
    """Completes the handshake of whoever comes; ``more`` goes into its INFO."""

    def __init__(self, more: bytes = b"") -> None:
        self.more = more
        self.came = 0
        self.read = b""
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self, port: int = 0) -> int:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return int(self.server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        self.writers.append(writer)
        writer.write(INFO % self.more)
        try:
            while line := await reader.readline():
                self.read += line
                if line == b"PING\r\n":
                    writer.write(b"PONG\r\n")
        except ConnectionError:
            pass
        finally:
            writer.close()

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def stop(self) -> None:
        self.server.close()
        for _ in range(10):  # turns of the loop: one that was let in as the test ended begins first, and ends in another
            self.hang_up()
            await asyncio.sleep(0)
        await self.server.wait_closed()


def connector(*ports: int, **more: bool) -> LeafConnector:
    remote = Remote(tuple(Url("127.0.0.1", port) for port in ports), **more)
    return make_connector(remote, IDENTITY, (), 1_000_000, Router())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene()

    asyncio.run(main())


async def lose(leaf: LeafConnector, *hubs: FakeHub) -> None:
    """Cut what is connected and wait for the next connection."""
    await until(lambda: leaf.link.up)
    count = leaf.link.connects
    for hub in hubs:
        hub.hang_up()
    await until(lambda: leaf.link.up and leaf.link.connects > count)


async def cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_it_connects_and_comes_back_after_every_end() -> None:
    async def scene() -> None:
        hub = FakeHub()
        leaf = connector(await hub.start())
        heard: list[bool] = []
        leaf.link.listeners.append(heard.append)
        task = asyncio.create_task(leaf.run())
        for _ in range(3):
            await lose(leaf, hub)
        assert b'"user":"u","pass":"p"' in hub.read
        await cancel(task)
        await until(lambda: not leaf.link.up)
        assert heard == [True, False] * 4
        await hub.stop()

    run(scene)


def test_every_url_has_its_turn_and_a_dead_one_stops_nothing(free_port: Callable[[], int]) -> None:
    async def scene() -> None:
        first, second = FakeHub(), FakeHub()
        leaf = connector(await first.start(), free_port(), await second.start())
        task = asyncio.create_task(leaf.run())
        while first.came < 2 or second.came < 2:
            await lose(leaf, first, second)
        await cancel(task)
        assert abs(first.came - second.came) <= 1
        await first.stop()
        await second.stop()

    run(scene)


@pytest.mark.parametrize("ignore", [False, True])
def test_hubs_that_a_hub_tells_of(ignore: bool) -> None:
    async def scene() -> None:
        second = FakeHub()
        told = b',"leafnode_urls":["127.0.0.1:%d","[::1]:","nonsense"]' % await second.start()
        first = FakeHub(told)
        leaf = connector(await first.start(), ignore_discovered_servers=ignore)
        task = asyncio.create_task(leaf.run())
        for _ in range(4):
            await lose(leaf, first, second)
        await cancel(task)
        assert (second.came > 0) is not ignore
        assert ignore or b'"user":"u"' in second.read
        await first.stop()
        await second.stop()

    run(scene)


def test_a_hub_away_all_night_is_one_line_in_the_log(
    free_port: Callable[[], int], caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        port = free_port()
        leaf = connector(port)
        task = asyncio.create_task(leaf.run())
        await until(lambda: leaf.tries > 5)
        warnings = [record for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) == 1 and f"cannot connect to 127.0.0.1:{port}: " in warnings[0].getMessage()
        hub = FakeHub()
        await hub.start(port)
        await until(lambda: leaf.link.up)
        await cancel(task)
        await hub.stop()

    caplog.set_level("DEBUG")
    run(scene)


def test_the_wait_is_the_interval_and_up_to_as_much_again() -> None:
    leaf = connector(1)
    leaf.reconnect_ns = 1_000_000_000
    leaf.rng = random.Random(7)
    waits = [leaf._delay() for _ in range(200)]
    assert 1.0 <= min(waits) < 1.1 and 1.9 < max(waits) <= 2.0
    leaf.link.retry_delay_ns = 30_000_000_000
    assert leaf._delay() == 30.0


def test_bytes_on_their_way_are_counted() -> None:
    async def scene() -> None:
        hub = FakeHub()
        leaf = connector(await hub.start())
        task = asyncio.create_task(leaf.run())
        await until(lambda: leaf.link.up)
        await until(lambda: leaf.link.pending_bytes == 0)
        reader = hub.writers[0].transport
        assert isinstance(reader, asyncio.ReadTransport)
        reader.pause_reading()
        for _ in range(100):
            leaf.link.publish("a", b"x" * 100_000)
        leaf.router.flush()
        assert leaf.link.pending_bytes > 0 and leaf.link.congested
        reader.resume_reading()
        await until(lambda: leaf.link.pending_bytes == 0 and not leaf.link.congested)
        await cancel(task)
        await hub.stop()

    run(scene)


def test_a_line_too_slow_for_any_timeout_is_waited_for_longer() -> None:
    """The hub's first word comes after half a second, and a tenth of one is what the configuration gives it."""

    class SlowHub(FakeHub):
        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.writers.append(writer)  # who has hung up meanwhile is closed, too
            await asyncio.sleep(0.5)
            await super()._serve(reader, writer)

    async def scene() -> None:
        hub = SlowHub()
        leaf = connector(await hub.start())
        leaf.link.terms = leaf.link.terms._replace(first_info_timeout_ns=100_000_000)
        task = asyncio.create_task(leaf.run())
        await until(lambda: leaf.link.up)
        assert leaf.patience in (8, 16)
        await cancel(task)
        await hub.stop()

    run(scene)


@pytest.mark.parametrize(
    ("late", "rtt_ms", "before", "after"),
    [(True, 0, 1, 2), (True, 0, 16, 16), (False, 0, 4, 4), (False, 1, 8, 1), (False, 600, 1, 3), (False, 2000, 1, 8), (False, 60_000, 1, 16)],
)
def test_patience(late: bool, rtt_ms: int, before: int, after: int) -> None:
    leaf = connector(1)
    leaf.patience = before
    leaf._learn(late, rtt_ms * 1_000_000)
    assert leaf.patience == after


def test_a_name_is_resolved_and_each_of_its_addresses_tried() -> None:
    async def scene() -> None:
        hub = FakeHub()
        port = await hub.start()
        leaf = make_connector(Remote((Url("localhost", port),)), IDENTITY, (), 1_000_000, Router())
        task = asyncio.create_task(leaf.run())
        await until(lambda: leaf.link.up)
        assert leaf.tries == 1
        await cancel(task)
        await hub.stop()
        nowhere = make_connector(Remote((Url("nowhere.invalid", port),)), IDENTITY, (), 1_000_000, Router())
        task = asyncio.create_task(nowhere.run())
        await until(lambda: "cannot connect to nowhere.invalid" in nowhere.link.last_error)
        await cancel(task)

    run(scene)


def test_without_the_package_links_are_not_compressed_and_say_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert possible(Compression("s2_fast")) == Compression("s2_fast")
    monkeypatch.setattr("edge.protocol.s2.is_available", lambda: False)
    assert possible(Compression("off")) == Compression("off") and not caplog.text
    assert not possible(Compression()).is_wanted
    assert "cramjam is not installed (petiole[s2])" in caplog.text
