"""What is measured.  A workload takes a running server and gives one figure."""

import asyncio
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nats
from nats.js.api import StreamConfig

from bench.contenders import Contender, Running, load

JETSTREAM = 'jetstream { store_dir: "$STORE" }'
ALWAYS = 'jetstream { store_dir: "$STORE", sync_interval: always }'
CONNECTIONS = 1000

Measure = Callable[[Path, Running, float], float]  # load generator, server, seconds


@dataclass(frozen=True, slots=True)
class Workload:
    """``target``: with ``absolute`` a bound on the edge's own figure, else the least (or with ``less`` the greatest)
    ratio of the edge's figure to that of ``rival``."""

    key: str
    what: str
    unit: str
    edge: Contender
    rival: Contender | None
    measure: Measure
    target: float
    less: bool = False
    absolute: bool = False
    seconds: float = 3.0


def core(subscribers: int) -> Measure:
    def measure(program: Path, server: Running, seconds: float) -> float:
        counted = load(program, server.port, "core", subscribers, 128, seconds)
        return counted["received"] / counted["seconds"]

    return measure


def publish(window: int) -> Measure:
    def measure(program: Path, server: Running, seconds: float) -> float:
        asyncio.run(make_stream(server.port))
        counted = load(program, server.port, "js", window, 128, seconds)
        return counted["received"] / counted["seconds"]

    return measure


def write_factor(program: Path, server: Running, seconds: float) -> float:
    """Bytes written to disk for each byte of payload, window 4,000."""
    asyncio.run(make_stream(server.port))
    before = server.written_bytes()
    counted = load(program, server.port, "js", 4000, 128, seconds)
    return (server.written_bytes() - before) / (counted["received"] * 128)


def one_in_flight(program: Path, server: Running, seconds: float) -> float:
    """Milliseconds for a publish and its PubAck, median, measured by the generator's mean of one in flight."""
    asyncio.run(make_stream(server.port))
    counted = load(program, server.port, "js", 1, 128, seconds)
    return counted["seconds"] / counted["received"] * 1000


def idle_rss(program: Path, server: Running, seconds: float) -> float:
    time.sleep(2)  # a leaf has its interest by then
    return server.rss_kb() / 1024


def connections_rss(program: Path, server: Running, seconds: float) -> float:
    """MB with so many clients that said CONNECT and one SUB each."""
    clients = []
    try:
        for i in range(CONNECTIONS):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            client.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB idle.%d 1\r\nPING\r\n' % i)
            clients.append(client)
        for client in clients:
            received = b""
            while b"PONG" not in received:
                received += client.recv(4096)
        return server.rss_kb() / 1024
    finally:
        for client in clients:
            client.close()


def first_info(program: Path, server: Running, seconds: float) -> float:
    return server.first_info * 1000


async def make_stream(port: int) -> None:
    nc = await nats.connect(f"nats://127.0.0.1:{port}")
    await nc.jetstream().add_stream(StreamConfig(name="BENCH", subjects=["js.>"], duplicate_window=1))
    await nc.close()


EDGE = Contender("edge", True)
EDGE_JS = Contender("edge", True, JETSTREAM)
NATS = Contender("nats-server", False)
NATS_JS = Contender("nats-server, default", False, JETSTREAM)
NATS_ALWAYS = Contender("nats-server, sync_interval always", False, ALWAYS)
# The hub of the leaf workload listens here; {leaf} becomes its port.
LEAF = "server_name: bench\n" + JETSTREAM + '\nleafnodes { remotes [ { url: "nats://127.0.0.1:{leaf}" } ] }'
HUB = 'server_name: hub\njetstream { store_dir: "$STORE", domain: hub }\nleafnodes { listen: "127.0.0.1:{leaf}" }'

WORKLOADS = [
    Workload("one", "1 → 1, 128 B", "deliveries/s", EDGE, NATS, core(1), 0.6),
    Workload("ten", "1 → 10, 128 B", "deliveries/s", EDGE, NATS, core(10), 1.5),
    Workload("js-always", "JetStream publish, window 4,000, 128 B, acks on disk on both sides", "acks/s", EDGE_JS,
             NATS_ALWAYS, publish(4000), 30),
    Workload("js-default", "the same against nats-server's default (its acks are not on disk)", "acks/s", EDGE_JS,
             NATS_JS, publish(4000), 0.5),
    Workload("js-one", "JetStream publish, one in flight, acks on disk on both sides", "ms", EDGE_JS, NATS_ALWAYS,
             one_in_flight, 1.5, less=True, seconds=2),
    Workload("js-written", "bytes written for each byte of payload, window 4,000, acks on disk on both sides", "bytes",
             EDGE_JS, NATS_ALWAYS, write_factor, 1.0, less=True),
    Workload("rss-leaf", "RSS idle with JetStream and one leaf remote", "MB", Contender("edge", True, LEAF),
             Contender("nats-server", False, LEAF), idle_rss, 30, less=True, absolute=True),
    Workload("rss-1000", "RSS with 1,000 idle connections", "MB", EDGE, NATS, connections_rss, 1.0, less=True),
    Workload("start", "start to first INFO, with JetStream", "ms", EDGE_JS, NATS_JS, first_info, 200, less=True,
             absolute=True),
]  # fmt: skip


def median_and_spread(figures: list[float]) -> tuple[float, float, float]:
    return statistics.median(figures), min(figures), max(figures)
