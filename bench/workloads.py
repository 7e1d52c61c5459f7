"""What is measured.  Each workload starts one contender afresh, drives it, and gives its figures by name."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from bench.load import BenchError, Counted, Load
from bench.servers import Contender, Cores, Server, allow_connections
from bench.streams import make_stream
from bench.table import Row, Target

SETTLE = 3.0  # seconds before memory is looked at: a Go heap shrinks a little after the start
PATIENCE = 20.0
MOST_RUNS = 100

Figures = dict[str, float]


class Stage:
    """Where servers are started: below ``folder``, on their core, each in a folder of its own."""

    def __init__(self, folder: Path, cores: Cores, load: Load) -> None:
        self.load = load
        self.cores = cores
        self._folder = folder
        self._numbers = count()

    def start(self, contender: Contender, store: Path | None = None) -> Server:
        """Over ``store``, which stays; without one over an empty one of its own."""
        return Server(contender, self.fresh(), self.cores.server, store)

    def start_hub(self) -> Server:
        """A nats-server for leaves, beside the load and away from what is measured."""
        return Server(HUB, self.fresh(), self.cores.load)

    def fresh(self) -> Path:
        return self._folder / str(next(self._numbers))


Run = Callable[[Stage, Contender], Figures]


@dataclass(frozen=True, slots=True)
class Workload:
    """``run`` is made for each of ``contenders`` in turn, the edge first, ``runs`` times at most; ``rows`` compare the
    others with it.  ``long``: --quick is without it."""

    name: str
    run: Run
    contenders: tuple[Contender, ...]
    rows: tuple[Row, ...]
    runs: int = MOST_RUNS
    long: bool = False


def deliver(**settings: int) -> Run:
    """Publishers as fast as they can, everything delivered."""

    def run(stage: Stage, contender: Contender) -> Figures:
        with stage.start(contender) as server:
            return figures(stage.load.run(server.port, "deliver", **settings))

    return run


def slow_consumer(stage: Stage, contender: Contender) -> Figures:
    """Ten receivers that keep up, and then beside them one that reads a megabyte a second, or nothing: what is left."""

    def kept(rate: int) -> float:
        with stage.start(contender) as server:
            counted = stage.load.run(server.port, "deliver", fan=10, slow=1, rate=rate)
            return counted.beside / counted.alone * 100

    return {"slow": kept(1_000_000), "deaf": kept(0)}


def request(**settings: int) -> Run:
    """One question at a time: through the server to who answers, and back."""

    def run(stage: Stage, contender: Contender) -> Figures:
        with stage.start(contender) as server:
            return figures(stage.load.run(server.port, "request", **settings))

    return run


def idle_leaf(stage: Stage, contender: Contender) -> Figures:
    """A leaf of a hub, with a stream, and nothing to do."""
    with stage.start_hub() as hub:
        port = hub.wait_for_log(r"Listening for leafnode connections on 127\.0\.0\.1:(\d+)")
        with stage.start(replace(contender, config=contender.config.replace("$HUB", port))) as server:
            hub.wait_for_log("Leafnode connection created")
            make_stream(server.port)
            time.sleep(SETTLE)
            return {"rss": server.rss_mb()}


def idle_connections(number: int) -> Run:
    """So many clients that said CONNECT and one SUB each, and now nothing."""

    def run(stage: Stage, contender: Contender) -> Figures:
        allow_connections(number)
        clients: list[socket.socket] = []
        with stage.start(contender) as server:
            try:
                for i in range(number):
                    clients.append(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))
                    greet(clients[-1], i)
                time.sleep(SETTLE)
                return {"rss": server.rss_mb()}
            finally:
                for client in clients:
                    client.close()

    return run


def greet(client: socket.socket, number: int) -> None:
    client.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB idle.%d 1\r\nPING\r\n' % number)
    received = b""
    while b"PONG\r\n" not in received:
        chunk = client.recv(4096)
        if not chunk or b"-ERR" in received:
            raise BenchError(f"connection {number + 1} was refused: {received[-200:]!r}")
        received += chunk


def start(stage: Stage, contender: Contender) -> Figures:
    with stage.start(contender) as server:
        return {"start": server.started_ms}


def figures(counted: Counted) -> Figures:
    return {"rate": counted.rate, "p50": counted.p50_us, "p99": counted.p99_us, "load_cpu": counted.load_cpu}


SIZE = 128  # bytes of payload, as load.c sends without being told
JETSTREAM = 'jetstream { store_dir: "$STORE" }'
LEAF = JETSTREAM + '\nserver_name: leaf\nleafnodes { remotes [ { url: "nats://leaf:secret@127.0.0.1:$HUB" } ] }'
HUB = Contender(
    "the hub", False,
    'server_name: hub\njetstream { store_dir: "$STORE", domain: hub }\n'
    'leafnodes { listen: "127.0.0.1:-1", authorization { user: leaf, password: secret } }',
)  # fmt: skip

# Who logs in, into one of several accounts, and may not do everything.
SECURED = """
accounts {
  LOAD { users: [ { user: load, password: secret, permissions: {
    publish: { allow: ["bench.>", "_INBOX.>"], deny: ["bench.secret.>"] }, subscribe: ["bench.>", "other.>", "_INBOX.>"]
  } } ] }
  OTHER { users: [ { user: other, password: other } ] }
}
"""

EDGE = Contender("edge", True)
EDGE_SECURED = Contender("edge", True, SECURED)
EDGE_JS = Contender("edge", True, JETSTREAM)
EDGE_LEAF = Contender("edge", True, LEAF)
NATS = Contender("nats-server", False)
NATS_SECURED = Contender("nats-server", False, SECURED)
NATS_JS = Contender("nats-server", False, JETSTREAM)
NATS_LEAF = Contender("nats-server", False, LEAF)
ALWAYS = Contender("nats-server, always", False, 'jetstream { store_dir: "$STORE", sync_interval: always }')
DEFAULT = Contender("nats-server, default", False, JETSTREAM)
LOGIN = "with login, permissions, accounts"
KEPT = Target(90, absolute=True)


def core(name: str, what: str, target: Target | None, **settings: int) -> Workload:
    row = Row(what, "deliveries/s", "rate", NATS.name, target)
    return Workload(name, deliver(**settings), (EDGE, NATS), (row,))


def secured(name: str, what: str, target: Target | None, **settings: int) -> Workload:
    row = Row(f"{what}; {LOGIN}", "deliveries/s", "rate", NATS_SECURED.name, target)
    return Workload(name, deliver(auth=1, **settings), (EDGE_SECURED, NATS_SECURED), (row,))


WORKLOADS = (
    core("one", "1 → 1, one subject, 128 B", Target(0.6)),
    core("ten", "1 → 10, one subject, 128 B", Target(1.5), fan=10),
    core("headers", "1 → 1, one subject, 128 B and a header", None, headers=1),
    core("subjects", "1 → 1, 100 subjects in turn, 128 B", None, subjects=100),
    core("wildcards", "4 → 4 through wildcards, 10,000 subjects, 1,000 other subscriptions, 128 B", None,
         lanes=4, subjects=2500, others=1000),
    Workload("request", request(), (EDGE, NATS), (
        Row("request and reply, one at a time, p50", "µs", "p50", NATS.name, less=True),
        Row("the same, p99", "µs", "p99", NATS.name, less=True),
    )),
    secured("one-secured", "1 → 1, one subject, 128 B", Target(0.6)),
    secured("ten-secured", "1 → 10, one subject, 128 B", Target(1.5), fan=10),
    secured("wildcards-secured", "4 → 4 through wildcards, 10,000 subjects, 1,000 other subscriptions, 128 B", None,
            lanes=4, subjects=2500, others=1000),
    Workload("request-secured", request(auth=1), (EDGE_SECURED, NATS_SECURED), (
        Row(f"request and reply, one at a time, p50; {LOGIN}", "µs", "p50", NATS_SECURED.name, less=True),
    )),
    Workload("slow", slow_consumer, (EDGE, NATS), (
        Row("1 → 10: what is left of its deliveries beside a receiver that reads 1 MB/s", "%", "slow", NATS.name, KEPT),
        Row("the same beside one that reads nothing", "%", "deaf", NATS.name, KEPT),
    )),
    Workload("leaf", idle_leaf, (EDGE_LEAF, NATS_LEAF), (
        Row("RSS idle, with JetStream and one leaf remote", "MB", "rss", NATS_LEAF.name, Target(30, absolute=True),
            less=True),
    )),
    Workload("connections", idle_connections(1000), (EDGE_JS, NATS_JS), (
        Row("RSS with JetStream and 1,000 idle connections", "MB", "rss", NATS_JS.name, Target(1), less=True),
    )),
    Workload("many-connections", idle_connections(5000), (EDGE, NATS), (
        Row("RSS with 5,000 idle connections", "MB", "rss", NATS.name, Target(0.5), less=True),
    )),
    Workload("start", start, (EDGE_JS, NATS_JS), (
        Row("start to first INFO, with JetStream", "ms", "start", NATS_JS.name, Target(200, absolute=True), less=True),
    )),
)  # fmt: skip
