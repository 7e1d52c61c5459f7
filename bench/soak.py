"""``python -m bench.soak``: an edge, a hub of three nodes, a bad line between them, and what goes wrong, at random.

``--hub super``: a hub of two clusters with gateways between; the edge is linked to one, its stream is in the other.
``--streams``: mirrors and sources, of the hub's streams at the edge and of the edge's at the hub, have to be whole too.
Readings are published to the edge all the time, each until the edge has acknowledged it.  At the end everything is
well again, and four numbers are told: produced, stored at the hub, missing, duplicate.  Status 1 where they do not
balance.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import Placement
from nats.js.errors import APIError

from bench.bad_line import GOOD, BadLine, Quality, State
from bench.soak_streams import Way
from hub.errors import HubError
from hub.ledger import Account, balance
from hub.nats_client import GO_ON_FOR_EVER, operator
from hub.nats_conf import DOMAIN, HubNode, HubPlan, leaf_block
from hub.nats_server import HubCluster, find_nats_server
from hub.plan import free_ports, new_plan, save_plan
from hub.streams import STREAMS, TELEMETRY, ensure_streams, stored_messages
from hub.system_account import wait_ready

EDGE = "edge-1"
WEST, EAST = "west", "east"
READY_S = 60.0
DRAIN_S = 300.0
PAUSE_S = (1.0, 8.0)  # between two events
QUALITIES = {
    "good": GOOD,
    "2 s of latency": Quality(latency_s=1.0),
    "10 % loss": Quality(latency_s=0.05, loss=0.1),
    "64 kbit/s": Quality(latency_s=0.1, bytes_per_s=8000),
    "far, slow and lossy": Quality(latency_s=0.4, bytes_per_s=16000, loss=0.05),
}


def one_cluster() -> HubPlan:
    return new_plan("127.0.0.1", None, (EDGE,))


def super_cluster() -> HubPlan:
    """Three nodes in the west, where the edge is, and three in the east, where its stream is."""
    plan = one_cluster()
    names = [(cluster, f"{cluster}-{i}") for cluster in (WEST, EAST) for i in (1, 2, 3)]
    ports = iter(free_ports(plan.host, 4 * len(names)))
    nodes = (
        HubNode(name, next(ports), next(ports), next(ports), cluster=cluster, gateway_port=next(ports))
        for cluster, name in names
    )
    return dataclasses.replace(plan, nodes=tuple(nodes))


class Soak:
    def __init__(self, plan: HubPlan, folder: Path, binary: Path, rng: random.Random, rate: float) -> None:
        near = [node for node in plan.nodes if node.cluster == plan.nodes[0].cluster]
        ports = free_ports("127.0.0.1", len(near) + 1)
        nodes = [
            dataclasses.replace(node, leaf_advertise=f"127.0.0.1:{port}")
            for node, port in zip(near, ports, strict=False)
        ]
        self.near = dataclasses.replace(plan, nodes=tuple(nodes))
        self.plan = dataclasses.replace(plan, nodes=(*nodes, *plan.nodes[len(nodes) :]))
        self.line = BadLine([node.leaf_port for node in nodes], rng)
        self.line_ports = ports[: len(nodes)]
        self.port = ports[-1]
        self.hub = HubCluster(self.plan, folder)
        self.folder = folder
        self.binary = binary
        self.rng = rng
        self.interval = 1 / rate
        self.edge: subprocess.Popen[bytes] | None = None
        self.produced = 0
        self.is_over = False
        at_hub = {"num_replicas": 3, "placement": {"cluster": self.plan.nodes[-1].cluster}}
        self.ways = (
            Way("down", self.hub_client, DOMAIN, self.edge_client, (at_hub, {})),
            Way("up", self.edge_client, EDGE, self.hub_client, ({}, at_hub)),
        )

    # ---- the parts

    async def start(self) -> None:
        save_plan(self.plan, self.folder)
        await self.start_hub()
        there = Placement(cluster=self.plan.nodes[-1].cluster)
        async with operator(self.plan) as client:
            await ensure_streams(client, streams=tuple(stream.evolve(placement=there) for stream in STREAMS))
        await self.line.open(self.line_ports)
        config = self.folder / "edge.conf"
        config.write_text(
            f"{leaf_block(self.near, EDGE)}\nlisten: 127.0.0.1:{self.port}\n"
            f'jetstream {{ store_dir: "{self.folder / "edge"}", domain: {EDGE} }}\n'
        )
        config.chmod(0o600)
        self.start_edge()

    async def start_hub(self) -> None:
        for name in self.hub.missing():
            self.hub.start(name, self.binary)
        await wait_ready(self.plan, lambda: None, READY_S)

    def start_edge(self) -> None:
        with (self.folder / "edge.log").open("ab") as log:
            self.edge = subprocess.Popen(
                [sys.executable, "-m", "edge", "run", "-c", str(self.folder / "edge.conf")], stdout=log, stderr=log
            )

    def kill_edge(self) -> None:
        if self.edge is not None:
            self.edge.kill()
            self.edge.wait()
            self.edge = None

    def close(self) -> None:
        self.kill_edge()
        self.hub.stop()

    async def follow(self) -> list[asyncio.Task[None]]:
        """Streams that follow each other, and who publishes to them."""
        for way in self.ways:
            await way.make()
        return [
            asyncio.create_task(way.publish(letter, 4 * self.interval, lambda: self.is_over))
            for way in self.ways
            for letter in way.produced
        ]

    def hub_client(self) -> contextlib.AbstractAsyncContextManager[Client]:
        return operator(self.plan, GO_ON_FOR_EVER)

    # ---- readings

    async def publish(self) -> None:
        """Until it is over.  One that is not acknowledged is published again, under its id."""
        async with self.edge_client() as client:
            js = client.jetstream(timeout=2.0)
            begin = time.monotonic()
            while not self.is_over:
                number = self.produced + 1
                subject, headers = f"telemetry.{EDGE}.soak.{number % 10}", {"Nats-Msg-Id": f"soak-{number}"}
                while True:
                    try:
                        await js.publish(subject, b"%d" % number, headers=headers)
                        break
                    except (Error, APIError, OSError, TimeoutError):
                        await asyncio.sleep(0.05)
                self.produced = number
                await asyncio.sleep(max(0.0, begin + number * self.interval - time.monotonic()))

    @contextlib.asynccontextmanager
    async def edge_client(self) -> AsyncIterator[Client]:
        client = await nats.connect(
            f"nats://127.0.0.1:{self.port}", max_reconnect_attempts=GO_ON_FOR_EVER, reconnect_time_wait=0.05,
            error_cb=_unmentioned, connect_timeout=2,
        )  # fmt: skip
        try:
            yield client
        finally:
            with contextlib.suppress(OSError):
                await client.close()

    # ---- what goes wrong

    async def torment(self, seconds: float, say: Callable[[str], None]) -> None:
        end = time.monotonic() + seconds
        events: list[Callable[[], Awaitable[str]]] = [
            self.worsen, self.worsen, self.lose_line, self.lose_line, self.flap, self.kill_and_start_edge,
            self.kill_node, self.kill_all_nodes, self.step_down,
        ]  # fmt: skip
        if self.near.nodes != self.plan.nodes:
            events += [self.kill_cluster, self.kill_cluster]
        while time.monotonic() < end:
            await asyncio.sleep(self.rng.uniform(*PAUSE_S))
            say(await self.rng.choice(events)())

    async def worsen(self) -> str:
        name = self.rng.choice(list(QUALITIES))
        self.line.become(State.OPEN, QUALITIES[name])
        return f"line: {name}"

    async def lose_line(self) -> str:
        state = self.rng.choice([State.CUT, State.SILENT, State.MUTE, State.PORTAL])
        seconds = self.rng.uniform(0.5, 10)
        self.line.become(state)
        await asyncio.sleep(seconds)
        self.line.become(State.OPEN)
        return f"line: {state.value} for {seconds:.1f} s"

    async def flap(self) -> str:
        for _ in range(5):
            self.line.become(State.CUT)
            await asyncio.sleep(self.rng.uniform(0, 1))
            self.line.become(State.OPEN)
            await asyncio.sleep(self.rng.uniform(0, 2))
        return "line: flapped"

    async def kill_and_start_edge(self) -> str:
        self.kill_edge()
        await asyncio.sleep(self.rng.uniform(0, 3))
        self.start_edge()
        return "edge: killed and started"

    async def kill_node(self) -> str:
        node = self.rng.choice(self.plan.nodes).name
        self.hub.kill(node)
        await asyncio.sleep(self.rng.uniform(0, 5))
        await self.start_hub()
        return f"hub: {node} killed and started"

    async def kill_all_nodes(self) -> str:
        for node in self.plan.nodes:
            self.hub.kill(node.name)
        await asyncio.sleep(self.rng.uniform(0, 3))
        await self.start_hub()
        return "hub: all nodes killed and started"

    async def kill_cluster(self) -> str:
        """With its gateways: the other one is alone for a while."""
        cluster = self.rng.choice([EAST, WEST])
        for node in self.plan.nodes:
            if node.cluster == cluster:
                self.hub.kill(node.name)
        await asyncio.sleep(self.rng.uniform(0, 10))
        await self.start_hub()
        return f"hub: all of {cluster} killed and started"

    async def step_down(self) -> str:
        with contextlib.suppress(Error, HubError, TimeoutError):
            async with operator(self.plan) as client:
                await client.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{TELEMETRY}", b"", timeout=5)
        return "hub: another leader"

    # ---- the end

    async def settle(self, with_streams: bool) -> Account:
        self.line.become(State.OPEN, GOOD)
        self.line.reset()
        await self.start_hub()
        async with operator(self.plan, GO_ON_FOR_EVER) as client:
            js = client.jetstream(timeout=2.0)
            deadline = time.monotonic() + DRAIN_S
            while time.monotonic() < deadline:
                with contextlib.suppress(Error, APIError, TimeoutError):
                    if (await js.stream_info(TELEMETRY)).state.messages >= self.produced:
                        break
                await asyncio.sleep(0.2)
            await asyncio.sleep(2)  # what would come twice has time to come
            stored = [("soak", int(payload)) for _, payload in await stored_messages(client, TELEMETRY)]
        produced = {"soak": self.produced}
        for way in self.ways if with_streams else ():
            expected, found = await way.settle(DRAIN_S)
            produced |= expected
            stored += found
        return balance(produced, stored)


async def soak(
    plan: HubPlan, folder: Path, binary: Path, seed: int, seconds: float, rate: float, streams: bool,
    say: Callable[[str], None],
) -> Account:  # fmt: skip
    run = Soak(plan, folder, binary, random.Random(seed), rate)
    try:
        await run.start()
        publishing = [asyncio.create_task(run.publish()), *(await run.follow() if streams else ())]
        await run.torment(seconds, say)
        if run.edge is None or run.edge.poll() is not None:
            raise HubError("the edge has ended by itself")
        run.is_over = True
        await asyncio.gather(*publishing)
        return await run.settle(streams)
    finally:
        await run.line.close()
        run.close()


HUBS = {"cluster": one_cluster, "super": super_cluster}


async def _unmentioned(_: Exception) -> None:
    """The edge is killed on purpose."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of torment (%(default)g)")
    parser.add_argument("--seed", type=int, default=None, help="of the schedule (default: a random one, which is told)")
    parser.add_argument("--rate", type=float, default=50.0, help="readings a second (%(default)g)")
    parser.add_argument("--hub", choices=HUBS, default="cluster", help="of what kind (%(default)s)")
    parser.add_argument("--streams", action="store_true", help="mirrors and sources both ways as well")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    print(f"seed {seed}, {options.minutes:g} minutes")
    folder = Path(tempfile.mkdtemp(prefix="petiole-soak-", dir="/var/tmp"))
    try:
        binary = find_nats_server(None)
        plan = HUBS[options.hub]()
        seconds = options.minutes * 60
        account = asyncio.run(soak(plan, folder, binary, seed, seconds, options.rate, options.streams, _say))
    except HubError as exc:
        print(f"soak: {exc}; configurations, stores and logs are in {folder}", file=sys.stderr)
        return 1
    print(*account.lines(), *account.faults(), sep="\n")
    if not account.balances():
        print(f"configurations, stores and logs are in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
