"""A fleet on one machine: a hub of three nodes, many edges in few processes, and the hub killed in the middle.

Leaf links, streams and uplinks are the edge's own code (``edge/tools/fleet.py``); only the stores are in memory.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client
from nats.js.api import ExternalStream, StorageType, StreamConfig, StreamSource

from hub.errors import HubError
from hub.ledger import Account, Reading, balance
from hub.nats_client import GO_ON_FOR_EVER, operator
from hub.nats_conf import HubPlan, leaf_block
from hub.nats_server import HubCluster
from hub.plan import new_plan, save_plan
from hub.streams import TELEMETRY, ensure_streams, stored_messages
from hub.system_account import wait_ready

SOURCED = "SOURCED"
READY_S = 60.0
PATIENCE_S = 300.0
POLL_S = 0.1

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """``by_sourcing``: not the edges' uplinks bring the readings, a stream of the hub that sources theirs does."""

    edges: int
    processes: int = 2
    interval_s: float = 1.0
    before_s: float = 10.0
    away_s: float = 10.0
    by_sourcing: bool = False

    def names(self) -> list[str]:
        return [f"sim-{i + 1:04}" for i in range(self.edges)]

    @property
    def stream(self) -> str:
        return SOURCED if self.by_sourcing else TELEMETRY


@dataclass(frozen=True, slots=True)
class Report:
    """Seconds are counted from the moment the killed nodes were started again."""

    account: Account
    connected_s: float
    """Every edge has its link again."""
    drained_s: float
    """And nothing waits at any edge that was there at that moment or has come since."""

    def lines(self) -> list[str]:
        return [
            *self.account.lines(),
            f"all links back after              {self.connected_s:.1f} s",
            f"everything at the hub after       {self.drained_s:.1f} s",
        ]


class EdgeProcess:
    """One process of edges; what it said last."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.connected = self.produced = self.backlog = 0
        self.reports = 0
        self.devices: dict[str, int] = {}

    @classmethod
    async def start(cls, configs: Sequence[Path], interval_s: float) -> "EdgeProcess":
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge.tools.fleet"),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 22,
        )  # fmt: skip
        edges = cls(process)
        edges.order({"configs": [str(path) for path in configs], "interval_s": interval_s})
        return edges

    def order(self, order: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def listen(self) -> None:
        """Until its end, which is an error unless it was told to."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if "devices" in said:
                self.devices = said["devices"]
                continue
            self.connected, self.produced, self.backlog = said["connected"], said["produced"], said["backlog"]
            self.reports += 1
        raise HubError(f"a process of edges has ended with status {await self._process.wait()}")

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


async def simulate(plan: FleetPlan, directory: Path, binary: Path, say: Say) -> Report:
    """The whole run, in ``directory``; HubError when something that should have happened did not."""
    hub_plan = new_plan("127.0.0.1", None, tuple(plan.names()))
    save_plan(hub_plan, directory)
    hub = HubCluster(hub_plan, directory)
    try:
        await _start(hub, binary)
        say("hub: three nodes")
        async with operator(hub_plan, GO_ON_FOR_EVER) as client, _fleet(plan, hub_plan, directory) as fleet:
            await ensure_streams(client)
            if plan.by_sourcing:
                await _create_sourced(client, plan)
            return await _play(plan, hub, binary, client, fleet, say)
    finally:
        hub.stop()


async def _play(
    plan: FleetPlan, hub: HubCluster, binary: Path, client: Client, fleet: Sequence[EdgeProcess], say: Say
) -> Report:
    begin = time.monotonic()
    await _until(fleet, lambda: sum(edges.connected for edges in fleet) == plan.edges, "all edges are connected")
    say(f"{plan.edges} edges in {len(fleet)} processes are connected after {time.monotonic() - begin:.1f} s")
    await asyncio.sleep(plan.before_s)
    for node in hub.plan.nodes:
        hub.kill(node.name)
    say(f"hub: all nodes killed, for {plan.away_s:g} s")
    await asyncio.sleep(plan.away_s)
    back = time.monotonic()
    await _start(hub, binary)
    say(f"hub: serves again after {time.monotonic() - back:.1f} s; {_waiting(fleet)}")
    await _until(fleet, lambda: sum(edges.connected for edges in fleet) == plan.edges, "all edges are back")
    connected_s = time.monotonic() - back
    for edges in fleet:
        edges.order("stop")
    await _until(fleet, lambda: all(edges.devices for edges in fleet), "the edges say what they have produced")
    produced = {device: count for edges in fleet for device, count in edges.devices.items()}
    await _arrived(plan, client, fleet, sum(produced.values()))
    drained_s = time.monotonic() - back
    stored = [_reading(*message) for message in await stored_messages(client, plan.stream)]
    return Report(balance(produced, stored), connected_s, drained_s)


async def _arrived(plan: FleetPlan, client: Client, fleet: Sequence[EdgeProcess], produced: int) -> None:
    """Return when the hub has it all, or more."""
    js = client.jetstream(timeout=2.0)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):  # no leader, no answer: asked again
            if (await js.stream_info(plan.stream)).state.messages >= produced:
                return
        await asyncio.sleep(POLL_S)
    raise HubError(f"after {PATIENCE_S:g} s the hub has not got all {produced} readings; {_waiting(fleet)}")


def _waiting(fleet: Sequence[EdgeProcess]) -> str:
    return f"{sum(edges.backlog for edges in fleet)} messages wait at the edges"


def _reading(subject: str, payload: bytes) -> Reading:
    return subject.split(".")[1], int(payload)


async def _start(hub: HubCluster, binary: Path) -> None:
    for name in hub.missing():
        hub.start(name, binary)

    def fault() -> str | None:
        dead = hub.missing()
        return f"{dead[0]} has ended: {hub.last_words(dead[0])}" if dead else None

    await wait_ready(hub.plan, fault, READY_S)


async def _create_sourced(client: Client, plan: FleetPlan) -> None:
    sources = [
        StreamSource(name=TELEMETRY, external=ExternalStream(api=f"$JS.{name}.API")) for name in plan.names()
    ]
    await client.jetstream(timeout=30.0).add_stream(
        StreamConfig(name=SOURCED, sources=sources, num_replicas=3, storage=StorageType.FILE)
    )


@contextlib.asynccontextmanager
async def _fleet(plan: FleetPlan, hub: HubPlan, directory: Path) -> AsyncIterator[list[EdgeProcess]]:
    """The processes with all edges, heard all the time, and ended."""
    configs = [_config(plan, hub, name, directory) for name in plan.names()]
    fleet = [
        await EdgeProcess.start(configs[i :: plan.processes], plan.interval_s)
        for i in range(min(plan.processes, plan.edges))
    ]
    try:
        async with asyncio.TaskGroup() as tasks:
            listening = [tasks.create_task(edges.listen()) for edges in fleet]
            yield fleet
            for task in listening:
                task.cancel()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        for edges in fleet:
            await edges.end()


def _config(plan: FleetPlan, hub: HubPlan, edge: str, directory: Path) -> Path:
    """What ``petiole-hub up`` gives an edge; without its uplink where the hub fetches."""
    text = leaf_block(hub, edge)
    path = directory / f"{edge}.conf"
    path.write_text(text[: text.index("uplink {")] if plan.by_sourcing else text)
    path.chmod(0o600)
    return path


async def _until(fleet: Sequence[EdgeProcess], condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise HubError(f"waited {PATIENCE_S:g} s in vain until {what}: {sum(e.connected for e in fleet)} connected")
        await asyncio.sleep(POLL_S)
