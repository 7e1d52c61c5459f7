"""Store and forward to real hubs: cut lines, killed edges, killed nodes, and every reading once; in its order where
that was asked for."""

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.api import RetentionPolicy, StorageType, StreamConfig

from tests.old_hubs import is_since

PATIENCE = 90.0  # elections take seconds, and the machine may be busy
PARTITION = 2.5  # seconds: longer than the dedupe window of the hub's stream
WINDOW = 1  # second: that dedupe window

EDGE = """
listen: 127.0.0.1:-1
server_name: e1
jetstream {{ store_dir: "{folder}", domain: e1 }}
leafnodes {{ reconnect: "0.1s", remotes: [ {{ urls: [{urls}], ignore_discovered_servers: true }} ] }}
uplink {{ TELEMETRY: {{ subjects: ["telemetry.>"], hub_domain: hub, hub_stream: TELEMETRY {more} }} }}
"""
NODE = """
listen: 127.0.0.1:{client}
server_name: {name}
jetstream {{ store_dir: "{folder}/{name}", domain: hub, sync_interval: always }}
leafnodes {{ listen: 127.0.0.1:{leaf} }}
{cluster}
"""


class Hub:
    """One nats-server, or a cluster of three; each leaf port is behind a proxy of its own."""

    def __init__(self, start_nats: Any, make_proxy: Any, free_port: Callable[[], int], folder: Path, size: int) -> None:
        names = [f"n{i}" for i in range(size)]
        routes = [free_port() for _ in names]
        self.nodes: dict[str, Any] = {}
        self.proxies = []
        self.size = size
        for name, route in zip(names, routes, strict=True):
            leaf = free_port()
            listed = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
            cluster = f"cluster {{ name: hub, listen: 127.0.0.1:{route}, routes: [{listed}] }}" if size > 1 else ""
            config = NODE.format(client=free_port(), name=name, folder=folder, leaf=leaf, cluster=cluster)
            self.nodes[name] = start_nats(config, name)
            self.proxies.append(make_proxy(leaf))

    def urls(self) -> str:
        return ", ".join(f'"nats-leaf://127.0.0.1:{proxy.port}"' for proxy in self.proxies)

    def cut(self) -> None:
        for proxy in self.proxies:
            proxy.cut()

    def restore(self) -> None:
        for proxy in self.proxies:
            proxy.restore()

    def do(self, what: Callable[[Any], Awaitable[Any]]) -> Any:
        """``what(jetstream)`` until it succeeds: an election may be running."""
        return asyncio.run(self._do(what))

    async def _do(self, what: Callable[[Any], Awaitable[Any]]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while True:
            servers = [node.url for node in self.nodes.values() if node.process is not None]
            try:
                client = await nats.connect(servers=servers, connect_timeout=2, error_cb=_ignore)
                try:
                    return await what(client.jetstream(timeout=2))
                finally:
                    await client.close()
            except Exception as exc:  # whatever a half-dead cluster answers
                assert time.monotonic() < deadline, repr(exc)
                await asyncio.sleep(0.2)

    def create_stream(self, **more: Any) -> None:
        config = StreamConfig(
            name="TELEMETRY",
            subjects=["telemetry.>"],
            num_replicas=self.size,
            storage=StorageType.FILE,
            retention=RetentionPolicy.LIMITS,
            duplicate_window=WINDOW,
            **{"allow_batched": is_since(2, 14) or None} | more,
        )
        self.do(lambda js: js.add_stream(config))

    def count(self) -> int:
        return int(self.do(lambda js: js.stream_info("TELEMETRY")).state.messages)

    def leader(self) -> str:
        return str(self.do(lambda js: js.stream_info("TELEMETRY")).cluster.leader)

    def await_count(self, least: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while (count := self.count()) < least:
            assert time.monotonic() < deadline, f"{count} of {least}"
            time.sleep(0.1)

    def readings(self) -> list[int]:
        """What the stream holds, in its order."""

        async def read(js: Any) -> list[int]:
            info = await js.stream_info("TELEMETRY")
            subscription = await js.subscribe("telemetry.>", ordered_consumer=True)
            messages = [await subscription.next_msg(timeout=5) for _ in range(info.state.messages)]
            return [int(message.data) for message in messages]

        return list(self.do(read))


def _tool(*arguments: object) -> None:
    done = subprocess.run([sys.executable, "-m", "edge", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


async def _ignore(error: Exception) -> None:
    """The test polls; what the client reports in between is expected."""


class Station:
    """An edge and what its sensors have published: 1, 2, 3 ..."""

    def __init__(self, start_edge: Any, folder: Path) -> None:
        self.start_edge = start_edge
        self.folder = folder
        self.published = 0

    def start(self, urls: str, more: str = "") -> "Station":
        self.edge = self.start_edge(EDGE.format(folder=self.folder, urls=urls, more=more), "e1")
        return self

    def publish(self, count: int) -> None:
        """Readings of three devices; each is acknowledged by the edge: it is on disk there."""
        wire = self.edge.wire()
        wire.login('{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}')
        wire.send(b"SUB acks 1\r\nPING\r\n")
        wire.expect(b"PONG\r\n")
        for _ in range(count):
            self.published += 1
            body = str(self.published).encode()
            wire.send(b"PUB telemetry.e1.d%d.t acks %d\r\n%b\r\n" % (self.published % 3, len(body), body))
        for _ in range(count):
            wire.expect(rb'MSG acks 1 \d+\r\n\{"stream":"TELEMETRY",[^\n]*\}\r\n')
        wire.close()

    def crash(self) -> None:
        self.edge.kill()
        self.edge.start()

    def everything(self) -> list[int]:
        return list(range(1, self.published + 1))

    def status(self) -> dict[str, Any]:
        wire = self.edge.wire()
        wire.login('{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}')
        wire.send(b"SUB st 1\r\nPUB petiole.e1.status st 0\r\n\r\n")
        body = wire.expect(rb"MSG st 1 \d+\r\n\{.*?\}\r\n")
        wire.close()
        return dict(json.loads(body.partition(b"\r\n")[2]))

    def await_empty(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while (status := self.status())["uplinks"]["TELEMETRY"]["backlog_messages"]:
            assert time.monotonic() < deadline, status
            time.sleep(0.1)

    def selected(self) -> tuple[int, int]:
        """Messages and bytes of the uplink's stream, as the database says."""
        with sqlite3.connect(f"file:{self.folder}/petiole.db?mode=ro", uri=True) as database:
            count, size = database.execute(
                "SELECT count(*), coalesce(sum(length(subject) + coalesce(length(headers), 0) + length(payload)), 0)"
                " FROM messages WHERE stream = 'TELEMETRY'"
            ).fetchone()
        database.close()
        return int(count), int(size)


@pytest.fixture
def make_hub(start_nats: Any, make_proxy: Any, free_port: Callable[[], int], tmp_path: Path) -> Callable[..., Hub]:
    return lambda size=1: Hub(start_nats, make_proxy, free_port, tmp_path, size)


@pytest.fixture
def station(start_edge: Any, tmp_path: Path) -> Station:
    return Station(start_edge, tmp_path / "edge-store")


def test_readings_reach_the_hub_in_order_and_leave_the_edge(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    hub.create_stream()
    station.start(hub.urls())
    station.publish(500)
    station.await_empty()
    assert hub.readings() == station.everything()
    message = hub.do(lambda js: js.get_msg("TELEMETRY", 1))
    assert re.fullmatch(r"e1:[\w-]+:1", message.headers["Nats-Msg-Id"])
    assert re.fullmatch(r"20\d\d-.*T.*\.\d{6}Z", message.headers["Petiole-Time"])
    assert "Petiole-Time-Quality" not in message.headers
    assert station.selected() == (0, 0)


def test_the_status_is_what_the_database_says(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    hub.create_stream()
    hub.cut()
    station.start(hub.urls())
    station.publish(300)
    status = station.status()
    assert status["edge"] == "e1" and status["leaf"]["connected"] is False
    uplink = status["uplinks"]["TELEMETRY"]
    assert uplink["state"] == "down" and uplink["oldest_age_s"] >= 0 and uplink["acked_seq"] == 0
    assert (uplink["backlog_messages"], uplink["backlog_bytes"]) == station.selected()
    assert uplink["backlog_messages"] == 300
    hub.restore()
    station.await_empty()
    status = station.status()
    uplink = status["uplinks"]["TELEMETRY"]
    assert status["leaf"]["connected"] and status["leaf"]["rtt_ms"] > 0
    assert (uplink["state"], uplink["acked_seq"], uplink["hub_seq"], uplink["in_flight"]) == ("live", 300, 300, 0)
    assert uplink["oldest_age_s"] is None and uplink["last_puback"] is not None

    async def ask(js: Any) -> Any:
        return await js._nc.request("petiole.e1.status", timeout=2)

    assert json.loads(hub.do(ask).data)["uplinks"]["TELEMETRY"]["acked_seq"] == 300


def test_partitions_longer_than_the_dedupe_window(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    hub.create_stream()
    station.start(hub.urls(), ", window: 16")
    station.publish(100)
    hub.await_count(1)
    hub.cut()
    station.publish(1500)
    for step in range(4):  # cut again in the middle of draining
        time.sleep(PARTITION)
        hub.restore()
        hub.await_count(150 + 250 * step)
        hub.cut()
    station.publish(100)
    time.sleep(PARTITION)
    hub.restore()
    station.await_empty()
    assert sorted(hub.readings()) == station.everything()


def test_the_edge_is_killed_in_the_middle_of_draining(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    hub.create_stream()
    hub.cut()
    station.start(hub.urls(), ", order: strict")
    station.publish(4000)
    hub.restore()
    for step in range(4):
        hub.await_count(1 + 800 * step)
        station.edge.kill()
        time.sleep(PARTITION)
        station.edge.start()
        station.publish(20)
    station.await_empty()
    assert hub.readings() == station.everything()


def test_the_hub_is_killed_in_the_middle_of_draining(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    hub.create_stream()
    hub.cut()
    station.start(hub.urls())
    station.publish(3000)
    hub.restore()
    for step in range(3):
        hub.await_count(1 + 800 * step)
        hub.nodes["n0"].kill()
        time.sleep(PARTITION)
        hub.nodes["n0"].start()
    station.await_empty()
    assert sorted(hub.readings()) == station.everything()


def test_a_cluster_loses_its_leaders_in_the_middle_of_draining(make_hub: Any, station: Station) -> None:
    hub = make_hub(3)
    hub.create_stream()
    hub.cut()
    station.start(hub.urls(), ", order: strict")
    station.publish(2000)
    hub.restore()
    for step in range(3):
        hub.await_count(1 + 300 * step)
        leader = hub.leader()
        hub.nodes[leader].kill()
        station.publish(300)
        hub.await_count(100 + 300 * step)
        hub.nodes[leader].start()
    station.crash()
    station.await_empty()
    assert hub.readings() == station.everything()


def test_each_node_of_a_cluster_dies_once_and_the_line_with_it(make_hub: Any, station: Station) -> None:
    hub = make_hub(3)
    hub.create_stream()
    station.start(hub.urls())
    for name in list(hub.nodes):
        station.publish(400)
        hub.nodes[name].kill()
        hub.cut()
        station.publish(400)
        time.sleep(PARTITION)
        hub.restore()
        hub.await_count(station.published)
        hub.nodes[name].start()
    station.await_empty()
    assert sorted(hub.readings()) == station.everything()


def test_a_stream_that_is_made_later(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    station.start(hub.urls())
    station.publish(50)
    station.edge.wait_for_log("uplink TELEMETRY: waiting: stream TELEMETRY: stream not found")
    assert station.status()["uplinks"]["TELEMETRY"]["state"] in ("blocked", "resuming")
    hub.create_stream()
    station.await_empty()
    assert sorted(hub.readings()) == station.everything()


def test_a_reading_that_the_hub_will_never_take(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    hub.create_stream(max_msg_size=2000)
    station.start(hub.urls())
    station.publish(5)
    wire = station.edge.wire()
    wire.login('{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}')
    wire.send(b"SUB big 1\r\nPUB telemetry.e1.big big 4000\r\n" + b"9" * 4000 + b"\r\n")
    wire.expect(rb'MSG big 1 \d+\r\n\{"stream":"TELEMETRY",[^\n]*\}\r\n')
    station.publish(5)
    station.await_empty()
    assert hub.readings() == station.everything()
    assert station.status()["uplinks"]["TELEMETRY"]["dead"] == 1
    wire.send(b'SUB get 2\r\nPUB $JS.API.STREAM.MSG.GET.TELEMETRY_DEAD get 9\r\n{"seq":1}\r\n')
    letter = wire.expect(rb"MSG get 2 \d+\r\n\{.*?\}\}\r\n")
    assert b"petiole.dead.TELEMETRY.telemetry.e1.big" in letter


def test_a_hub_without_room_gets_everything_once_there_is(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    hub.create_stream(max_msgs=20, discard="new")
    station.start(hub.urls())
    station.publish(60)
    station.edge.wait_for_log("maximum messages exceeded")
    assert hub.readings() == list(range(1, 21))

    async def widen(js: Any) -> None:
        config = (await js.stream_info("TELEMETRY")).config
        config.max_msgs = -1
        await js.update_stream(config)

    hub.do(widen)
    station.await_empty()
    assert sorted(hub.readings()) == station.everything()


def test_telemetry_of_other_edges_does_not_come_down(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    hub.create_stream()
    station.start(hub.urls())
    wire = station.edge.wire()
    wire.login()
    wire.send(b"SUB > 1\r\nPING\r\n")  # a curious client at the edge must not draw the fleet's telemetry here
    wire.expect(b".*?PONG\r\n")
    station.publish(10)
    station.await_empty()
    hub.do(lambda js: js.publish("telemetry.e2.d1.t", b"0"))
    hub.do(lambda js: js._nc.publish("news", b"!"))
    seen = wire.expect(rb".*?MSG news 1 1\r\n!\r\n")
    assert b"telemetry.e1.d1.t" in seen and b"telemetry.e2" not in seen
    assert station.status()["uplinks"]["TELEMETRY"]["acked_seq"] == 10
    assert sorted(hub.readings()) == [0, *station.everything()]


def test_live_values_and_alarms_do_not_wait_for_a_backlog(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    hub.create_stream()
    hub.do(lambda js: js.add_stream(StreamConfig(name="ALARMS", subjects=["alarm.>"])))
    hub.cut()
    more = '}, ALARMS: { subjects: ["alarm.>"], hub_domain: hub, lane: urgent }, budget: { rate: "64KB/s"'
    station.start(hub.urls(), more)
    station.publish(1500)
    time.sleep(1.2)  # until nothing of that is fresh
    hub.restore()
    hub.await_count(1)
    station.publish(1)
    wire = station.edge.wire()
    wire.login('{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}')
    wire.send(b"PUB alarm.e1.fire 4\r\nfire\r\n")
    while hub.do(lambda js: js.stream_info("ALARMS")).state.messages < 1:
        assert hub.count() < 1501, "the alarm came behind the backlog"
    station.await_empty()
    found = hub.readings()
    assert sorted(found) == station.everything()
    assert found.index(1501) < 1500


def test_paused_from_the_hub_and_again_after_a_kill(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    hub.create_stream()
    station.start(hub.urls())
    station.publish(10)
    station.await_empty()

    async def tell(js: Any, verb: str) -> Any:
        return json.loads((await js._nc.request(f"petiole.e1.uplink.TELEMETRY.{verb}", timeout=2)).data)

    assert hub.do(lambda js: tell(js, "pause")) == {"uplink": "TELEMETRY", "paused": True}
    station.publish(10)
    station.crash()
    assert hub.do(lambda js: tell(js, "pause"))["paused"]  # the link is there again
    uplink = station.status()["uplinks"]["TELEMETRY"]
    assert (uplink["state"], uplink["backlog_messages"]) == ("paused", 10)
    assert (uplink["backlog_messages"], uplink["backlog_bytes"]) == station.selected()
    assert hub.count() == 10
    assert not hub.do(lambda js: tell(js, "resume"))["paused"]
    station.await_empty()
    assert sorted(hub.readings()) == station.everything()


def test_what_the_limits_take_is_told_to_the_hub(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    hub.create_stream()
    hub.cut()
    station.start(hub.urls(), ", max_bytes: 100KB, discard: thin")
    for _ in range(60):
        station.publish(50)
    kept = station.selected()[0]
    assert kept < 2000
    station.crash()
    hub.restore()
    station.await_empty()

    async def read(js: Any) -> tuple[list[int], list[str]]:
        info = await js.stream_info("TELEMETRY")
        subscription = await js.subscribe("telemetry.>", ordered_consumer=True)
        messages = [await subscription.next_msg(timeout=5) for _ in range(info.state.messages)]
        lost = [message.headers["Petiole-Lost"] for message in messages if "Petiole-Lost" in message.headers]
        return sorted(int(message.data) for message in messages if message.data), lost

    deadline = time.monotonic() + PATIENCE
    while station.status()["uplinks"]["TELEMETRY"]["receipts_waiting"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    arrived, receipts = hub.do(read)
    lost: set[int] = set()
    for receipt in receipts:
        span, _, step = receipt.split("; ")[0].partition("/")
        first, last = map(int, span.split("-"))
        lost.update(seq for seq in range(first, last + 1) if not step or seq % int(step))
    assert len(arrived) == kept and sorted([*arrived, *lost]) == station.everything()
    reasons = station.status()["uplinks"]["TELEMETRY"]["lost_by_reason"]
    assert reasons["thinned"] > 500 and sum(reasons.values()) == len(lost)


def test_an_edge_from_a_backup(make_hub: Any, station: Station, tmp_path: Path) -> None:
    hub = make_hub()
    hub.create_stream()
    station.start(hub.urls())
    station.publish(50)
    station.await_empty()
    hub.cut()
    station.publish(50)
    _tool("backup", "-s", station.folder, tmp_path / "copy.db")
    hub.restore()
    station.publish(50)
    station.await_empty()
    station.edge.kill()
    station.folder = tmp_path / "other-store"
    _tool("restore", tmp_path / "copy.db", station.folder)
    station.start(hub.urls())
    station.edge.wait_for_log("its store was restored from a backup: a new epoch begins behind 100")
    station.publish(50)
    station.await_empty()
    assert sorted(hub.readings()) == station.everything()


def test_a_hub_whose_stream_is_another_one(make_hub: Any, station: Station) -> None:
    hub = make_hub()
    hub.create_stream()
    station.start(hub.urls(), ", on_hub_loss: stop")
    station.publish(20)
    station.await_empty()
    hub.cut()
    station.publish(20)
    hub.do(lambda js: js.delete_stream("TELEMETRY"))
    hub.create_stream()
    hub.restore()
    station.edge.wait_for_log("stopped until petiole.<edge>.uplink.TELEMETRY.resume")
    assert station.status()["uplinks"]["TELEMETRY"]["state"] == "stopped"
    hub.do(lambda js: js._nc.request("petiole.e1.uplink.TELEMETRY.resume", timeout=2))
    station.await_empty()
    assert sorted(hub.readings()) == list(range(21, 41))


def test_each_uplink_goes_to_the_hub_that_it_names(
    start_nats: Any, make_proxy: Any, free_port: Callable[[], int], start_edge: Any, tmp_path: Path
) -> None:
    north = Hub(start_nats, make_proxy, free_port, tmp_path / "north", 1)
    south = Hub(start_nats, make_proxy, free_port, tmp_path / "south", 1)
    north.create_stream()
    south.do(lambda js: js.add_stream(StreamConfig(name="ALARMS", subjects=["alarm.>"])))
    urls = north.urls() + '], ignore_discovered_servers: true }, { name: south, urls: [' + south.urls()
    station = Station(start_edge, tmp_path / "edge-store")
    station.start(urls, '}, ALARMS: { subjects: ["alarm.>"], hub_domain: hub, remote: south')
    wire = station.edge.wire()
    wire.login()
    wire.send(b"PUB alarm.e1.fire 4\r\nfire\r\nPING\r\n")
    wire.expect(b"PONG\r\n")
    station.publish(20)
    station.await_empty()
    assert north.readings() == station.everything()
    deadline = time.monotonic() + PATIENCE
    while south.do(lambda js: js.stream_info("ALARMS")).state.messages != 1:
        assert time.monotonic() < deadline
    assert station.status()["uplinks"]["ALARMS"]["remote"] == "south"
    assert "alarm.e1.fire" not in str(north.do(lambda js: js.streams_info()))
