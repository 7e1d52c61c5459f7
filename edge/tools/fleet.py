"""Many edges in one process, each with its own link to the hub, its own streams (in memory) and uplinks.

``petiole-hub simulate`` runs a few of these, ``python -m edge.tools.fleet``.  Lines of JSON go in:

    {"configs": [PATH, ...], "interval_s": 1.0}   the edges' configurations; each publishes a reading every so often
    "stop"                                        no more readings
    "end"                                         (or the end of the input)

and lines of JSON come out: ``{"connected": 500, "produced": 12000, "backlog": 0}`` twice a second (edges, readings,
messages that the hub has not acknowledged), and after "stop" ``{"devices": {EDGE: READINGS}}``.  A reading is its
number, from 1 up, on ``telemetry.EDGE.sim.count``.
"""

import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import uvloop

from edge.config.load import load_config
from edge.config.options import Config
from edge.core.router import Router
from edge.core.times import Clock
from edge.core.wall_clock import WallClock
from edge.errors import PetioleError, StartError
from edge.flags import Flags
from edge.hubs import Hubs
from edge.jetstream.account import Limits, Stores, random_name
from edge.jetstream.jetstream import JetStream
from edge.jetstream.stream_config import StreamConfig
from edge.net.batch import soon
from edge.net.machine_clock import MachineClock
from edge.net.ticker import Ticker
from edge.store.memory import MemoryStore

TELEMETRY = "TELEMETRY"
REPORT_S = 0.5


class MemoryStorage:
    """What ``edge.storage.Storage`` is to a server, without a disk."""

    def __init__(self, router: Router, config: Config) -> None:
        assert config.jetstream is not None
        store = MemoryStore(soon(router))
        self.ticker = Ticker(asyncio.get_running_loop(), router)
        clock = Clock(time.time_ns, time.monotonic_ns, self.ticker.wake)
        self.store = store
        self.wall_clock = WallClock(MachineClock(), lambda value: None)
        self.values: dict[str, bytes] = {}
        self.jetstream = JetStream(Stores(store, store), clock, config.jetstream.domain, config.server_name)
        self.account = self.jetstream.add_account(router.account(config.leafnodes.remotes[0].account), Limits())
        self.jetstream.recover(store.load())
        self.jetstream.start()
        self.ticker.start(self.jetstream)


class SimulatedEdge:
    """One edge: where its configuration has no uplink, its stream TELEMETRY is there for the hub to source."""

    def __init__(self, config: Config) -> None:
        self.name = config.server_name
        self.router = Router()
        self.storage = MemoryStorage(self.router, config)
        self.hubs = Hubs(self.router, config, random_name(22), self.name, self.storage)
        self.tasks: list[asyncio.Task[None]] = []
        self.subject = f"telemetry.{self.name}.sim.count"
        self.produced = 0
        if not config.uplinks:
            self._create_stream()

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of the hubs."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.append(task)
        return task

    def produce(self) -> None:
        self.produced += 1
        self.storage.account.account.publish(self.subject, b"%d" % self.produced)
        self.router.flush()

    @property
    def is_connected(self) -> bool:
        return all(leaf.connector.link.up for leaf in self.hubs.leafs)

    @property
    def backlog(self) -> int:
        return self.storage.account.streams[TELEMETRY].messages

    def _create_stream(self) -> None:
        config = StreamConfig(name=TELEMETRY, subjects=(f"telemetry.{self.name}.>",))
        self.storage.account.create_stream(config, lambda error: None)


class Fleet:
    def __init__(self, edges: Sequence[SimulatedEdge], interval_s: float, rng: random.Random) -> None:
        self.edges = edges
        self.interval_s = interval_s
        self.rng = rng
        self.is_producing = True

    async def produce(self, edge: SimulatedEdge) -> None:
        """Not all at the same moment."""
        await asyncio.sleep(self.rng.random() * self.interval_s)
        while self.is_producing:
            edge.produce()
            await asyncio.sleep(self.interval_s)

    async def report(self) -> None:
        while True:
            say({
                "connected": sum(edge.is_connected for edge in self.edges),
                "produced": sum(edge.produced for edge in self.edges),
                "backlog": sum(edge.backlog for edge in self.edges),
            })
            await asyncio.sleep(REPORT_S)


async def run() -> None:
    """PetioleError for a configuration that cannot be used."""
    orders = await _lines()
    try:
        first = json.loads(await orders.readline() or "{}")
        configs = [load_config(path, Flags(), {}) for path in first["configs"]]
        interval_s = float(first["interval_s"])
    except (KeyError, TypeError, ValueError) as exc:
        raise StartError(f"expected a line of JSON with configs and interval_s: {exc!r}") from exc
    fleet = Fleet([SimulatedEdge(config) for config in configs], interval_s, random.Random())
    for edge in fleet.edges:
        edge.hubs.start(edge)
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(fleet.report()), *(loop.create_task(fleet.produce(edge)) for edge in fleet.edges)]
    while (line := await orders.readline()) and (order := json.loads(line)) != "end":
        if order == "stop":
            fleet.is_producing = False
            say({"devices": {edge.name: edge.produced for edge in fleet.edges}})
    for task in (*tasks, *(task for edge in fleet.edges for task in edge.tasks)):
        task.cancel()


def say(fields: dict[str, object]) -> None:
    print(json.dumps(fields), flush=True)


async def _lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def main() -> int:
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    try:
        uvloop.run(run())
    except PetioleError as exc:
        print(f"fleet: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
