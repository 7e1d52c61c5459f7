"""A hub of two clusters with gateways between them: three nodes in the east, two in the west; an edge at each, whose
streams and commands are in the other one.  Lines are cut, nodes and a whole cluster are killed."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Server, free_port
from tests.e2e.conftest import Proxy
from tests.e2e.sides import PATIENCE, Side, Way, numbers
from tests.old_hubs import since

NODE = """
listen: 127.0.0.1:{client}
server_name: {name}
jetstream {{ store_dir: "{folder}/{name}", domain: hub, sync_interval: always }}
accounts {{ A {{ jetstream: enabled, users: [ {{ user: a, password: p }} ] }}, SYS {{}} }}
system_account: SYS
no_auth_user: a
leafnodes {{ listen: 127.0.0.1:{leaf} }}
cluster {{ name: {cluster}, listen: 127.0.0.1:{route}, routes: [ {routes} ] }}
gateway {{ name: {cluster}, listen: 127.0.0.1:{gate}, gateways: [ {gateways} ] }}
"""
EDGE = """
listen: 127.0.0.1:{client}
server_name: {name}
jetstream {{ store_dir: "{folder}/{name}", domain: {name} }}
leafnodes {{ reconnect: "0.1s", remotes: [ {{ urls: [ {urls} ], no_randomize: true, ignore_discovered_servers: true }} ] }}
uplink {{
  TELEMETRY: {{ subjects: ["telemetry.{name}.>"], hub_domain: hub }}
  RESULTS: {{ subjects: ["results.{name}.>"], hub_domain: hub }}
}}
commands {{ hub_domain: hub, timeout: "20s" }}
"""
SIZES = {"east": 3, "west": 2}
EDGES = {"ash": "east", "oak": "west"}
EAST = {"placement": {"cluster": "east"}, "num_replicas": 3}
WEST = {"placement": {"cluster": "west"}}


class SuperCluster:
    def __init__(self, start_nats: Callable[..., Server], folder: Path) -> None:
        self.start_nats = start_nats
        self.folder = folder
        names = {cluster: [f"{cluster}{i}" for i in range(1, size + 1)] for cluster, size in SIZES.items()}
        self.routes = {cluster: [free_port() for _ in named] for cluster, named in names.items()}
        self.gates = {cluster: [free_port() for _ in named] for cluster, named in names.items()}
        self.nodes: dict[str, Server] = {}
        self.proxies: dict[str, list[Proxy]] = {}
        for cluster, named in names.items():
            self.proxies[cluster] = [self._node(cluster, i, name) for i, name in enumerate(named)]
        self.edges: dict[str, Side] = {}
        self.hub = Side(self.nodes["west2"])  # the one that is never killed
        self.far = Side(self.nodes["east1"])

    def _node(self, cluster: str, i: int, name: str) -> Proxy:
        leaf = free_port()
        gateways = ", ".join(f"{{ name: {other}, urls: [ {_urls(ports)} ] }}" for other, ports in self.gates.items())
        config = NODE.format(
            client=free_port(), name=name, folder=self.folder, leaf=leaf, cluster=cluster,
            route=self.routes[cluster][i], routes=_urls(self.routes[cluster]),
            gate=self.gates[cluster][i], gateways=gateways,
        )  # fmt: skip
        self.nodes[name] = self.start_nats(config, name)
        return Proxy(leaf)

    def start_edges(self, start_edge: Callable[..., Server]) -> None:
        for name, cluster in EDGES.items():
            urls = ", ".join(f'"nats-leaf://127.0.0.1:{proxy.port}"' for proxy in self.proxies[cluster])
            config = EDGE.format(client=free_port(), name=name, folder=self.folder, urls=urls)
            self.edges[name] = Side(start_edge(config, name))

    def close(self) -> None:
        for proxies in self.proxies.values():
            for proxy in proxies:
                proxy.close()

    def run(self, scene: Callable[["SuperCluster"], Awaitable[None]]) -> None:
        async def main() -> None:
            sides = (self.hub, self.far, *self.edges.values())
            for side in sides:
                await side.connect()
            try:
                await scene(self)
            finally:
                for side in sides:
                    await side.client.close()

        asyncio.run(main())

    async def kill(self, *names: str) -> None:
        """And start them again."""
        for name in names:
            await asyncio.to_thread(self.nodes[name].kill)
        for name in names:
            await asyncio.to_thread(self.nodes[name].start)


def _urls(ports: list[int]) -> str:
    return ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)


@pytest.fixture(scope="module")
def hub(module_servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperCluster]:
    start_edge, start_nats = module_servers
    made = SuperCluster(start_nats, tmp_path_factory.mktemp("super"))
    made.run(make_streams)
    made.start_edges(start_edge)
    yield made
    made.close()


async def make_streams(hub: SuperCluster) -> None:
    for name, subject in (("TELEMETRY", "telemetry.>"), ("COMMANDS", "queued.commands.>"), ("RESULTS", "results.>")):
        await create(hub.hub, name, subjects=[subject], **EAST)


async def create(side: Side, name: str, **fields: object) -> None:
    """There may be no leader yet, or not enough nodes known."""
    deadline = time.monotonic() + PATIENCE
    while "error" in (answer := await side.api(f"STREAM.CREATE.{name}", {"name": name, **fields})):
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.1)


async def answered(side: Side, subject: str, payload: bytes = b"") -> Any:
    """Asked until what knows the answer has been heard of."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer = await side.client.request(subject, payload, timeout=2)
            return answer.data
        except Exception as exc:
            assert time.monotonic() < deadline, (subject, exc)
            await asyncio.sleep(0.05)


def test_requests_from_everywhere_to_everywhere(hub: SuperCluster) -> None:
    async def scene(hub: SuperCluster) -> None:
        sides = {"here": hub.hub, "far": hub.far, **hub.edges}
        for name, side in sides.items():

            async def answer(message: Any, name: str = name) -> None:
                await message.respond(name.encode() + message.data)

            await side.client.subscribe(f"svc.{name}", cb=answer)
            await side.client.flush()
        for asker in sides.values():
            for name in sides:
                assert await answered(asker, f"svc.{name}", b"!") == name.encode() + b"!"

    hub.run(scene)


def test_jetstream_of_each_domain_from_everywhere(hub: SuperCluster) -> None:
    async def scene(hub: SuperCluster) -> None:
        for name, side in hub.edges.items():
            await side.create("MINE", subjects=[f"mine.{name}"])
            await side.client.request(f"mine.{name}", name.encode(), timeout=5)
        for asker in (hub.hub, hub.far, *hub.edges.values()):
            for name in hub.edges:
                got = json.loads(await answered(asker, f"$JS.{name}.API.STREAM.MSG.GET.MINE", b'{"seq":1}'))
                assert got["message"]["subject"] == f"mine.{name}"
            info = json.loads(await answered(asker, "$JS.hub.API.STREAM.INFO.TELEMETRY"))
            assert info["cluster"]["leader"].startswith("east")

    hub.run(scene)


def test_a_command_and_its_result(hub: SuperCluster) -> None:
    """Its stream is in the east; it is for an edge of the west, and asked for in the west, and the other way round."""

    async def scene(hub: SuperCluster) -> None:
        done: list[bytes] = []
        for name, side in hub.edges.items():

            async def obey(message: Any) -> None:
                done.append(message.data)
                await message.respond(b'{"ok":true}')

            await side.client.subscribe(f"commands.{name}.pump.open", cb=obey)
            await side.client.flush()
        for name in hub.edges:
            await answered(hub.hub, f"queued.commands.{name}.pump.open", name.encode())
        await hub.hub.has("RESULTS", 2)
        assert sorted(done) == [b"ash", b"oak"]

    hub.run(scene)


def ways(hub: SuperCluster) -> list[Way]:
    """Down from a stream of the other cluster, and up to one."""
    return [
        way
        for name, side in hub.edges.items()
        for way in (Way(f"down.{name}", side, hub.hub, "hub"), Way(f"up.{name}", hub.hub, side, name))
    ]


def placed(way: Way) -> dict[str, object]:
    """In the cluster that the edge is not linked to, where this side is the hub."""
    return EAST if way.name.endswith("oak") else WEST


async def follow(way: Way) -> None:
    label = way.name.replace(".", "_")
    is_down = way.name.startswith("down")
    await create(way.there, f"O_{label}", subjects=[f"{way.name}.o.>"], **(placed(way) if is_down else {}))
    await create(way.there, f"W_{label}", subjects=[f"{way.name}.w.>"], retention="workqueue", **(placed(way) if is_down else {}))
    more = {} if is_down else placed(way)
    await create(way.here, f"M_{label}", mirror=way.origin(f"O_{label}"), **more)
    await create(way.here, f"D_{label}", sources=[way.origin(f"W_{label}")], **more)
    await publish(way, range(1, 101))
    await whole(way, 100)


async def publish(way: Way, some: range) -> None:
    await way.there.publish(f"{way.name}.o", some)
    await way.there.publish(f"{way.name}.w", some)


async def whole(way: Way, last: int) -> None:
    label = way.name.replace(".", "_")
    await way.here.has(f"M_{label}", last)
    await way.here.has(f"D_{label}", last)
    await way.there.has(f"W_{label}", 0)
    origin = await way.there.messages(f"O_{label}")
    assert [(one["seq"], one["data"]) for one in await way.here.messages(f"M_{label}")] == [
        (one["seq"], one["data"]) for one in origin
    ]
    assert sorted(numbers(await way.here.messages(f"D_{label}"))) == list(range(1, last + 1))


@since(2, 14, "acknowledgements of what is sourced")
def test_streams_follow_their_origins(hub: SuperCluster) -> None:
    async def scene(hub: SuperCluster) -> None:
        await asyncio.gather(*map(follow, ways(hub)))
        for proxies in hub.proxies.values():
            for proxy in proxies:
                proxy.cut()
        await asyncio.gather(*(publish(way, range(101, 151)) for way in ways(hub)))
        for proxies in hub.proxies.values():
            for proxy in proxies:
                proxy.restore()
        await asyncio.gather(*(whole(way, 150) for way in ways(hub)))

    hub.run(scene)


class Sensors:
    """Publish 1, 2, 3, ... at an edge, as fast as it keeps them, until they are told to stop."""

    def __init__(self, side: Side, name: str) -> None:
        self.side, self.subject = side, f"telemetry.{name}"
        self.produced = 0
        self.is_over = False

    async def run(self) -> None:
        while not self.is_over:
            await self.side.publish(self.subject, range(self.produced + 1, self.produced + 11))
            self.produced += 10
            await asyncio.sleep(0.02)


async def has_come_further(hub: SuperCluster) -> None:
    """There is more at the hub than there was."""
    last = None
    deadline = time.monotonic() + PATIENCE
    while True:
        state = (await hub.hub.info("TELEMETRY")).get("state")  # there may be no leader
        if state is not None and last is None:
            last = state["last_seq"]
        elif state is not None and state["last_seq"] > last:
            return
        assert time.monotonic() < deadline, state
        await asyncio.sleep(0.05)


def test_each_reading_once_whatever_goes_wrong(hub: SuperCluster) -> None:
    async def scene(hub: SuperCluster) -> None:
        sensors = {name: Sensors(side, name) for name, side in hub.edges.items()}
        tasks = [asyncio.create_task(each.run()) for each in sensors.values()]
        await has_come_further(hub)
        await hub.kill("west1")  # which the oak is linked to
        await has_come_further(hub)
        await hub.hub.api("STREAM.LEADER.STEPDOWN.TELEMETRY")
        await has_come_further(hub)
        before = {name: each.produced for name, each in sensors.items()}
        await hub.kill("east1", "east2", "east3")  # with their gateways
        await has_come_further(hub)
        assert all(each.produced > before[name] for name, each in sensors.items())
        for each in sensors.values():
            each.is_over = True
        await asyncio.gather(*tasks)
        total = sum(each.produced for each in sensors.values())
        await hub.hub.has("TELEMETRY", total)
        stored = await hub.hub.messages("TELEMETRY")
        for name, each in sensors.items():
            mine = [one for one in stored if one["subject"].startswith(f"telemetry.{name}.")]
            assert sorted(numbers(mine)) == list(range(1, each.produced + 1))
        assert len(stored) == total

    hub.run(scene)
