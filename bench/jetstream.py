"""What is measured of JetStream (``python -m bench --only publish``, and so on)."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.load import BenchError, Counted
from bench.servers import Contender, Server
from bench.streams import consumer_state, make_consumer, make_stream, messages_of_stream, serving_ms
from bench.table import Row, Target
from bench.workloads import ALWAYS, DEFAULT, EDGE_JS, SIZE, Figures, Run, Stage, Workload, figures

MANY = 10_000  # subjects
STORED = 1_000_000
LITTLE, MUCH = 10_000, 10_000_000
PASSES = 15
REST = 12.0  # seconds: nats-server gives up what it has read ten seconds ago
TELEMETRY_SIZE, TELEMETRY_RATE = 100, 200
TELEMETRY_SECONDS = 20  # some checkpoints are among them
KEPT = 10_000  # by a stream with a limit
DROPS = 300_000
FEW_KEPT, FEW_DROPS = 500, 4500
ON_DISK = "`sync_interval: always`"
NOT_ON_DISK = "its default: acks not on disk"
EDGE_SECOND = replace(EDGE_JS, config=EDGE_JS.config.replace("}", ", commit_window: 1s }"))


def publish(window: int, size: int = SIZE) -> Run:
    """Publishes to a new stream, so many without their ack; each ack is checked, and the stream is asked afterwards."""

    def run(stage: Stage, contender: Contender) -> Figures:
        with stage.start(contender) as server:
            make_stream(server.port)
            before = server.written_bytes()
            counted = stage.load.run(server.port, "publish", window=window, size=size)
            check_stream(server, counted.received)
        return {**figures(counted), "written": (server.all_written - before) / (counted.received * size)}

    return run


def check_stream(server: Server, messages: int) -> None:
    kept = messages_of_stream(server.port)
    if kept != messages:
        raise BenchError(f"{server.contender.name} has {kept} messages in its stream and should have {messages}")


def pull(stage: Stage, contender: Contender) -> Figures:
    """Batch by batch, every message acknowledged by itself; in the end the consumer must know of each ack."""
    with stage.start(contender) as server:
        make_stream(server.port)
        stage.load.run(server.port, "publish", count=STORED)
        make_consumer(server.port)
        counted = stage.load.run(server.port, "pull")
        check_acks(server, counted.received)
        return figures(counted)


def check_acks(server: Server, messages: int, after: int = 0) -> None:
    state = consumer_state(server.port)
    if state.num_ack_pending or state.ack_floor is None or state.ack_floor.stream_seq < after + messages:
        raise BenchError(f"{server.contender.name} was acknowledged {messages} messages and says {state}")


def stored(stage: Stage, contender: Contender) -> Figures:
    """A million messages: what they cost in memory at rest, how fast they are read in order, what that takes."""
    with stage.start(contender) as server:
        make_stream(server.port)
        stage.load.run(server.port, "publish", count=STORED, subjects=MANY)
        time.sleep(REST)
        rest = server.rss_mb()
        with watched(server) as seen:
            counted = stage.load.run(server.port, "ordered", count=STORED, subjects=MANY)
        return {**figures(counted), "rest": rest, "reading": max(seen)}


@contextmanager
def watched(server: Server) -> Iterator[list[float]]:
    """Its resident memory in MB, twenty times a second."""
    seen: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            seen.append(server.rss_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
        seen.append(server.rss_mb())


def telemetry(stage: Stage, contender: Contender) -> Figures:
    """A trickle that nobody waits for: bytes written for each byte of payload, the end of the server included."""
    found = {"written": wear(stage, contender)}
    found["written_second"] = wear(stage, EDGE_SECOND) if contender.is_edge else found["written"]
    return found


def wear(stage: Stage, contender: Contender) -> float:
    with stage.start(contender) as server:
        make_stream(server.port)
        before = server.written_bytes()
        sent = trickle(stage, server)
        time.sleep(1.5)  # the commit window
        check_stream(server, sent)
    return (server.all_written - before) / (sent * TELEMETRY_SIZE)


def trickle(stage: Stage, server: Server) -> int:
    load = replace(stage.load, seconds=TELEMETRY_SECONDS)
    return load.run(server.port, "telemetry", rate=TELEMETRY_RATE, size=TELEMETRY_SIZE).sent


def dropped(stage: Stage, contender: Contender) -> Figures:
    """What a message more costs that drives another one out, in bytes written beyond what storing it costs."""

    def written(kept: int, drops: int, window: int, max_msgs: int = -1) -> int:
        with stage.start(contender) as server:
            make_stream(server.port, max_msgs)
            before = server.written_bytes()
            stage.load.run(server.port, "publish", count=kept + drops, window=window)
            check_stream(server, kept if max_msgs > 0 else kept + drops)
        return server.all_written - before

    def for_each(kept: int, drops: int, window: int) -> float:
        return (written(kept, drops, window, kept) - written(kept, drops, window)) / drops

    return {"bulk": for_each(KEPT, DROPS, 4000), "single": for_each(FEW_KEPT, FEW_DROPS, 1)}


def ten_million(stage: Stage, contender: Contender) -> Figures:
    """A stream of so many messages, made once: starts over it, and what publishing and consuming cost beside a small
    one, in turn."""
    store = stage.fresh()
    with stage.start(contender, store) as server:
        make_stream(server.port)
        stage.load.run(server.port, "publish", count=MUCH, subjects=MANY)
    starts = [start_over(stage, contender, store) for _ in range(PASSES // 3)]
    messages = MUCH + len(starts)
    small, large = [], []
    for _ in range(PASSES // 5):
        small.append(flat(stage, contender, stage.fresh(), 0))
        large.append(flat(stage, contender, store, messages))
        messages += large[-1].published
    return {
        "info": median(info for info, _ in starts),
        "serving": median(serving for _, serving in starts),
        "publish": median(one.publish_rate for one in large) / median(one.publish_rate for one in small) * 100,
        "consume": median(one.consume_rate for one in large) / median(one.consume_rate for one in small) * 100,
    }


def start_over(stage: Stage, contender: Contender, store: Path) -> tuple[float, float]:
    """To the first INFO, and to the ack of a message."""
    with stage.start(contender, store) as server:
        return server.started_ms, serving_ms(server.port, server.begin)


class Flat(NamedTuple):
    consume_rate: float
    publish_rate: float
    published: int


def flat(stage: Stage, contender: Contender, store: Path, messages: int) -> Flat:
    """Rates over a store that holds so many, none: over a new one with a few."""
    with stage.start(contender, store) as server:
        if not messages:
            make_stream(server.port)
            messages = stage.load.run(server.port, "publish", count=LITTLE, subjects=MANY).received
            first = 0
        else:
            first = MUCH // 2
        consumed = [consume(stage, server, first) for _ in range(PASSES)]
        published = stage.load.run(server.port, "publish", after=messages)
        return Flat(median(one.rate for one in consumed), published.rate, published.received)


def consume(stage: Stage, server: Server, first: int) -> Counted:
    make_consumer(server.port, first)
    counted = stage.load.run(server.port, "pull", count=LITTLE, after=first, subjects=MANY)
    check_acks(server, LITTLE, first)
    return counted


def published(name: str, what: str, always: float, default: float, size: int, runs: int) -> Workload:
    return Workload(name, publish(4000, size), (EDGE_JS, ALWAYS, DEFAULT), (
        Row(f"JetStream publish, window 4,000, {what}, each ack on disk", "acks/s", "rate", ALWAYS.name, Target(always),
            against=ON_DISK),
        Row("the same", "acks/s", "rate", DEFAULT.name, Target(default), against=NOT_ON_DISK),
        Row("the same: bytes written for each byte of payload", "", "written", ALWAYS.name, less=True, against=ON_DISK),
        Row("the same", "", "written", DEFAULT.name, less=True, against=NOT_ON_DISK),
    ), runs)  # fmt: skip


KEPT_RATE = Target(90, absolute=True)
WEAR = f"{TELEMETRY_RATE} messages/s of {TELEMETRY_SIZE} B, nobody waits: bytes written for each byte of payload"
HALF, THIRD, SAME = Target(0.5), Target(1 / 3), Target(1)
INFO_MS, SERVING_MS = Target(300, absolute=True), Target(2000, absolute=True)

WORKLOADS = (
    published("publish", "128 B", 30, 0.6, SIZE, 5),
    published("publish-1k", "1 KB", 20, 0.45, 1024, 3),
    Workload("publish-one", publish(1), (EDGE_JS, ALWAYS, DEFAULT), (
        Row("JetStream publish, one in flight, 128 B, p50", "µs", "p50", ALWAYS.name, Target(1.1), less=True,
            against=ON_DISK),
        Row("the same, p99", "µs", "p99", ALWAYS.name, less=True, against=ON_DISK),
        Row("JetStream publish, one in flight, 128 B, p50", "µs", "p50", DEFAULT.name, less=True, against=NOT_ON_DISK),
        Row("the same, p99", "µs", "p99", DEFAULT.name, less=True, against=NOT_ON_DISK),
    )),
    Workload("pull", pull, (EDGE_JS, DEFAULT), (
        Row("pull consumer, batches of 100, each message acknowledged", "messages/s", "rate", DEFAULT.name, HALF),
    ), runs=3),
    Workload("stored", stored, (EDGE_JS, DEFAULT), (
        Row("1 M stored messages of 128 B read by an ordered consumer", "messages/s", "rate", DEFAULT.name, HALF),
        Row("RSS with 1 M messages of 128 B on 10,000 subjects, at rest", "MB", "rest", DEFAULT.name, SAME, less=True),
        Row("the same while they are read, at most", "MB", "reading", DEFAULT.name, SAME, less=True),
    ), runs=1, long=True),
    Workload("telemetry", telemetry, (EDGE_JS, ALWAYS, DEFAULT), (
        Row(WEAR, "", "written", ALWAYS.name, THIRD, less=True, against=ON_DISK),
        Row("the same, commit window of 1 s", "", "written_second", ALWAYS.name, THIRD, less=True, against=ON_DISK),
        Row(WEAR, "", "written", DEFAULT.name, less=True, against="its default: not on disk"),
    ), runs=1, long=True),
    Workload("dropped", dropped, (EDGE_JS, DEFAULT), (
        Row("bytes written for each message that max_msgs drops, at full rate", "B", "bulk", DEFAULT.name, less=True),
        Row("the same with one in flight", "B", "single", DEFAULT.name, less=True),
    ), runs=1, long=True),
    Workload("ten-million", ten_million, (EDGE_JS, DEFAULT), (
        Row("10 M messages stored: start to first INFO", "ms", "info", DEFAULT.name, INFO_MS, less=True),
        Row("the same to the first ack of a publish", "ms", "serving", DEFAULT.name, SERVING_MS, less=True),
        Row("publish rate at 10 M messages, of that at 10,000", "%", "publish", DEFAULT.name, KEPT_RATE),
        Row("consume rate at 10 M messages, of that at 10,000", "%", "consume", DEFAULT.name, KEPT_RATE),
    ), runs=1, long=True),
)  # fmt: skip
