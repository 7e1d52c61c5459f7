"""Streams across domains: a real nats-server as hub, an edge on a leaf connection, sources and mirrors in both
directions, links that are cut and servers that are killed in the middle.  Every message comes once, and in order.

``NATS_SERVER=…/nats-server`` runs this with an older hub: what those would lose they are refused, and so are we."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.partitions import ROWS, Row
from tests.e2e.sides import PATIENCE, Pair, Side, Way, numbers

HUB = """
listen: 127.0.0.1:{client}
server_name: hub
jetstream {{ store_dir: "{folder}/hub", domain: hub, sync_interval: always }}
leafnodes {{ listen: 127.0.0.1:{leaf} }}
"""
EDGE = """
listen: 127.0.0.1:{client}
server_name: edge
jetstream {{ store_dir: "{folder}/edge", domain: edge }}
leafnodes {{ reconnect: "0.1s", remotes: [ {{ urls: ["nats-leaf://127.0.0.1:{leaf}"], ignore_discovered_servers: true }} ] }}
"""


SITE = """
listen: 127.0.0.1:-1
server_name: site
ping_interval: "2s"
jetstream {{ store_dir: "{folder}/site", domain: hub }}
accounts {{ {accounts} }}
leafnodes {{ listen: 127.0.0.1:-1, authorization {{ users: [ {users} ] }} }}
"""
AT_SITE = """
listen: 127.0.0.1:{client}
server_name: {name}
ping_interval: "1s"
jetstream {{ store_dir: "{folder}/{name}", domain: {name} }}
leafnodes {{ reconnect: "0.1s", remotes: [ {{ urls: ["nats-leaf://{name}:p@127.0.0.1:{leaf}"], ignore_discovered_servers: true }} ] }}
"""


@pytest.fixture
def pair(start_nats: Any, start_edge: Any, make_proxy: Any, free_port: Any, tmp_path: Path) -> Pair:
    """Of servers that may be killed."""
    leaf = free_port()
    proxy = make_proxy(leaf)
    hub = Side(start_nats(HUB.format(client=free_port(), leaf=leaf, folder=tmp_path), "hub"))
    edge = Side(start_edge(EDGE.format(client=free_port(), leaf=proxy.port, folder=tmp_path)))
    return Pair(hub, edge, proxy)


@pytest.fixture
def pairs(
    start_nats: Any, start_edge: Any, make_proxy: Any, free_port: Any, tmp_path: Path
) -> list[tuple[Pair, Row]]:
    """One for each row, at one hub, where each edge has its own account."""
    names = [row.__name__ for row in ROWS]
    accounts = ", ".join(f"{name} {{ jetstream: enabled, users: [ {{ user: c_{name}, password: p }} ] }}" for name in names)
    users = ", ".join(f"{{ user: {name}, password: p, account: {name} }}" for name in names)
    hub = start_nats(SITE.format(folder=tmp_path, accounts=accounts, users=users), "site")
    found = []
    for row, name in zip(ROWS, names, strict=True):
        proxy = make_proxy(hub.ports["leafnode"])
        config = AT_SITE.format(client=free_port(), name=name, folder=tmp_path, leaf=proxy.port)
        edge = start_edge(config, name)
        found.append((Pair(Side(hub, f"c_{name}"), Side(edge), proxy, name), row))
    return found


LAST = 1500


async def begin(way: Way) -> None:
    """An origin with a gap, a work queue, and what follows them."""
    here, there, name = way.here, way.there, way.name
    await there.create("ORIGIN", subjects=[f"{name}.o.>"])
    await there.create("WORK", subjects=[f"{name}.w.>"], retention="workqueue")
    await there.create("SHORT", subjects=[f"{name}.s.>"])
    await there.publish(f"{name}.o", range(1, 11))
    await there.publish(f"{name}.w", range(1, 11))
    await there.publish(f"{name}.s", range(1, 6))
    await there.api("STREAM.MSG.DELETE.ORIGIN", {"seq": 4})
    await here.create("MIRROR", mirror=way.origin("ORIGIN"))
    parts = [
        way.origin("ORIGIN", filter_subject=f"{name}.o.1"),
        way.origin("ORIGIN", subject_transforms=[{"src": f"{name}.o.2", "dest": "two"}]),
    ]
    await here.create("PARTS", sources=parts)
    await here.create("DONE", sources=[way.origin("WORK")])
    await here.create("LONG", sources=[way.origin("SHORT")])
    await here.has("MIRROR", 9)
    await here.has("LONG", 5)
    if way.acknowledges:
        await here.has("DONE", 10)
    else:
        await here.is_refused("DONE", "server before 2.14")


async def follow_a_cut(way: Way) -> None:
    await way.here.has("MIRROR", 19)
    if way.acknowledges:
        await way.here.has("DONE", 20)
        await way.there.has("WORK", 0)


async def make_anew(way: Way) -> None:
    """An origin that begins again at 1, which was taken up to 5."""
    await way.there.api("STREAM.DELETE.SHORT")
    await way.there.create("SHORT", subjects=[f"{way.name}.s.>"])
    await way.there.publish(f"{way.name}.s", range(101, 105))


async def compare(way: Way) -> None:
    here, there, name = way.here, way.there, way.name
    await here.has("MIRROR", LAST - 1)
    origin = await there.messages("ORIGIN")
    assert await here.messages("MIRROR") == origin
    wanted = [number for number in numbers(origin) if number % 3]
    await here.has("PARTS", len(wanted))
    parts = await here.messages("PARTS")
    for subject, rest in ((f"{name}.o.1", 1), ("two", 2)):
        mine = [message for message in parts if message["subject"] == subject]
        assert numbers(mine) == numbers([message for message in origin if message["subject"] == f"{name}.o.{rest}"])
    if way.acknowledges:
        await here.has("DONE", LAST)
        assert sorted(numbers(await here.messages("DONE"))) == list(range(1, LAST + 1))
        await there.has("WORK", 0)
    else:
        await here.has("DONE", 0)
        await there.has("WORK", LAST)
    if way.tells_identity:
        await here.has("LONG", 9)
        assert numbers(await here.messages("LONG")) == [1, 2, 3, 4, 5, 101, 102, 103, 104]


async def kills(pair: Pair) -> None:
    """Both ways at once: nothing is lost, nothing comes twice, and all is in its order."""
    await pair.both(begin)
    pair.proxy.cut()
    await pair.both(lambda way: way.there.publish(f"{way.name}.o", range(11, 21)))
    await pair.both(lambda way: way.there.publish(f"{way.name}.w", range(11, 21)))
    pair.proxy.restore()
    await pair.both(follow_a_cut)
    await pair.both(make_anew)
    publishing = [
        asyncio.create_task(way.there.publish(f"{way.name}.{what}", range(21, LAST + 1)))
        for way in (pair.down, pair.up)
        for what in "ow"
    ]
    await pair.both(lambda way: way.there.reaches("ORIGIN", 150))
    await pair.edge.kill()
    await pair.both(lambda way: way.there.reaches("ORIGIN", 400))
    await pair.hub.kill()
    assert not all(task.done() for task in publishing)
    await asyncio.gather(*publishing)
    await pair.both(compare)


def test_streams_follow_their_origins_through_cuts_and_kills(pair: Pair, pairs: list[tuple[Pair, Row]]) -> None:
    """All at once: nearly all the time is nats-server's, until it notices that an origin is back."""

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(pair.run(kills))
            for each, row in pairs:
                group.create_task(each.run(row), name=row.__name__)

    asyncio.run(main())


async def much(way: Way) -> None:
    """More than the first windows hold, and more than the link's buffers."""
    here, there, name = way.here, way.there, way.name
    await there.create("BULK", subjects=[f"{name}.b.>"])
    await there.publish(f"{name}.b", range(1200), size=8000)
    await here.create("COPY", mirror=way.origin("BULK"))
    await here.create("AGG", sources=[way.origin("BULK")])
    await here.has("COPY", 1200)
    await here.has("AGG", 1200)
    assert [message["seq"] for message in await there.messages("BULK")] == [
        message["seq"] for message in await here.messages("COPY")
    ]
    assert numbers(await here.messages("AGG")) == numbers(await there.messages("BULK"))
    info = await here.info("COPY")
    assert info["mirror"].items() >= {"name": "BULK", "external": way.external, "lag": 0}.items()
    assert "error" not in info["mirror"]
    info = await there.info("BULK")
    assert info["state"]["consumer_count"] == 0


async def by_a_consumer_of_its_own(way: Way) -> None:
    if not way.acknowledges:
        return
    here, there, name = way.here, way.there, way.name
    await there.create("OWN", subjects=[f"{name}.c.>"])
    config = {
        "durable_name": "D", "deliver_subject": f"{name}.deliver", "ack_policy": "flow_control", "flow_control": True,
        "idle_heartbeat": 1_000_000_000, "max_ack_pending": 1000,
    }  # fmt: skip
    answer = await there.api("CONSUMER.CREATE.OWN.D", {"stream_name": "OWN", "config": config})
    assert "error" not in answer, answer
    await there.publish(f"{name}.c", range(50))
    consumer = {"name": "D", "deliver_subject": f"{name}.deliver"}
    await here.create("OWNED", sources=[way.origin("OWN", consumer=consumer)])
    await here.has("OWNED", 50)
    deadline = time.monotonic() + PATIENCE
    while (await there.api("CONSUMER.INFO.OWN.D"))["ack_floor"]["stream_seq"] < 50:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def ask_the_mirror(way: Way) -> None:
    """Where the origin is not, its mirror answers in its name."""
    here, there, name = way.here, way.there, way.name
    keys = f"KEYS_{name}"
    await there.create(keys, subjects=[f"{name}.k.>"], allow_direct=True)
    await here.create("KEYS_HERE", mirror=way.origin(keys), mirror_direct=True)
    await there.publish(f"{name}.k", range(3))
    await here.has("KEYS_HERE", 3)
    answer = await here.client.request(f"$JS.API.DIRECT.GET.{keys}.{name}.k.1", timeout=30)
    assert answer.data == b"1"
    assert answer.headers and answer.headers["Nats-Stream"] == "KEYS_HERE"


def test_much_flows_both_ways(pair: Pair) -> None:
    async def scene(pair: Pair) -> None:
        await pair.both(much)
        await pair.both(by_a_consumer_of_its_own)
        await pair.both(ask_the_mirror)

    asyncio.run(pair.run(scene))


ACCOUNTS = """
listen: 127.0.0.1:-1
server_name: js
jetstream {{ store_dir: "{folder}/js" }}
accounts {{
  A {{ jetstream: enabled, users: [ {{ user: a, password: p }} ],
      exports: [ {{ service: "$JS.API.>" }}, {{ stream: "deliver.b.>" }}, {{ service: "$JS.FC.>" }} ] }}
  B {{ jetstream: enabled, users: [ {{ user: b, password: p }} ], imports: [
      {{ service: {{ account: A, subject: "$JS.API.>" }}, to: "JS.a.API.>" }},
      {{ stream: {{ account: A, subject: "deliver.b.>" }} }}, {{ service: {{ account: A, subject: "$JS.FC.>" }} }} ] }}
}}
"""


def test_another_account_is_an_origin_too(either: Callable[..., Any], tmp_path: Path) -> None:
    """By what it exports; 9 MB, so that flow control has to find its way back."""
    server = either(ACCOUNTS.format(folder=tmp_path))

    async def main() -> None:
        a, b = Side(server, "a"), Side(server, "b")
        await a.connect()
        await b.connect()
        await a.create("O", subjects=["o.>"])
        await a.publish("o", range(600), size=15000)
        origin = {"name": "O", "external": {"api": "JS.a.API", "deliver": "deliver.b"}}
        await b.create("M", mirror=origin)
        await b.create("S", sources=[origin])
        await b.has("M", 600)
        await b.has("S", 600)
        assert await b.messages("M") == await a.messages("O")
        assert [message["subject"] for message in await b.messages("S")] == [f"o.{i % 3}" for i in range(600)]
        await a.client.close()
        await b.client.close()

    asyncio.run(main())


def test_an_edge_is_the_origin_of_another(
    start_nats: Any, start_edge: Any, make_proxy: Any, free_port: Any, tmp_path: Path
) -> None:
    """Through the hub that both are leafs of, which has no part in it."""
    leaf = free_port()
    proxy = make_proxy(leaf)
    start_nats(HUB.format(client=free_port(), leaf=leaf, folder=tmp_path), "hub")
    config = EDGE.replace("edge", "{name}")
    there = Side(start_edge(config.format(client=free_port(), leaf=proxy.port, folder=tmp_path, name="north"), "north"))
    here = Side(start_edge(config.format(client=free_port(), leaf=leaf, folder=tmp_path, name="south"), "south"))

    async def main() -> None:
        await here.connect()
        await there.connect()
        way = Way("across", here, there, "north")
        await there.create("O", subjects=["across.o.>"])
        await there.create("W", subjects=["across.w.>"], retention="workqueue")
        await here.create("M", mirror=way.origin("O"))
        await here.create("S", sources=[way.origin("W")])
        await there.publish("across.o", range(300))
        await there.publish("across.w", range(300))
        await here.has("M", 300)
        await here.has("S", 300)
        proxy.cut()
        await there.publish("across.o", range(300, 400))
        await there.kill()
        await there.publish("across.w", range(300, 400))
        proxy.restore()
        await here.has("M", 400)
        await here.has("S", 400)
        await there.has("W", 0)
        assert await here.messages("M") == await there.messages("O")
        assert sorted(numbers(await here.messages("S"))) == list(range(400))
        await here.client.close()
        await there.client.close()

    asyncio.run(main())
