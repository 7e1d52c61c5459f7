"""Which subjects spoke last: heard as they pass, and read from the ends of streams."""

from typing import Any

import pytest

from edge.core.router import Router
from edge.core.times import SECOND, Clock
from edge.jetstream.account import Limits, Stores
from edge.jetstream.jetstream import JetStream
from edge.jetstream.stream_config import stream_config
from edge.monitor import sensors
from edge.monitor.sensors import Seen, Sensors
from edge.store.memory import MemoryStore

BEGIN = 1_800_000_000 * SECOND


class Bench:
    def __init__(self) -> None:
        self.wall = BEGIN
        self.calls: list[Any] = []
        self.router = Router()
        self.account = self.router.account("A")
        clock = Clock(lambda: self.wall, lambda: self.wall, lambda: None)
        store = MemoryStore(self.calls.append)
        self.jetstream = JetStream(Stores(store, store), clock, "", "js")
        self.js = self.jetstream.add_account(self.account, Limits())
        self.sensors = Sensors(self.jetstream)

    def settle(self) -> None:
        self.router.flush()
        while self.calls:
            self.calls.pop(0)()
            self.router.flush()

    def stream(self, name: str, *subjects: str, **config: Any) -> Any:
        stream = self.js.create_stream(stream_config({"name": name, "subjects": list(subjects), **config}), lambda error: None)
        self.settle()
        return stream

    def publish(self, subject: str, seconds: int) -> None:
        self.wall = BEGIN + seconds * SECOND
        self.account.publish(subject, b"21.5")
        self.settle()

    def look(self) -> list[tuple[str, int]]:
        return [(seen.subject, (seen.time_ns - BEGIN) // SECOND) for seen in self.sensors.look()]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_last_of_each_subject(bench: Bench) -> None:
    bench.stream("T", "t.>")
    assert bench.look() == []
    for seconds, subject in enumerate(("t.a", "t.b", "t.a")):
        bench.publish(subject, seconds)
    assert bench.sensors.look() == [Seen("A", "t.a", "T", BEGIN + 2 * SECOND), Seen("A", "t.b", "T", BEGIN + SECOND)]
    bench.publish("t.b", 9)
    assert bench.look() == [("t.a", 2), ("t.b", 9)]


def test_who_fell_silent_stays(bench: Bench) -> None:
    stream = bench.stream("T", "t.>", max_msgs=1)
    bench.publish("t.a", 1)
    assert bench.look() == [("t.a", 1)]
    bench.publish("t.b", 2)
    assert stream.messages == 1
    assert bench.look() == [("t.a", 1), ("t.b", 2)]


def test_what_was_there_before_the_start(bench: Bench, monkeypatch: Any) -> None:
    """No more than the end of a stream is read, once."""
    monkeypatch.setattr(sensors, "LOOK_BACK", 3)
    monkeypatch.setattr(sensors, "MAX_READ", 2)
    bench.stream("T", "t.>")
    for i in range(6):
        bench.publish(f"t.{i}", i)
    bench.sensors = Sensors(bench.jetstream)
    bench.publish("t.5", 7)
    assert bench.look() == [("t.4", 4), ("t.5", 7)]


def test_a_message_that_goes_at_once(bench: Bench) -> None:
    """As one of an uplink does."""
    stream = bench.stream("T", "t.>")
    bench.publish("t.a", 1)
    stream.drop_before(stream.last_seq + 1)
    bench.publish("t.b", 2)
    stream.drop_before(stream.last_seq + 1)
    bench.settle()
    assert stream.messages == 0
    assert bench.look() == [("t.a", 1), ("t.b", 2)]


def test_the_oldest_are_forgotten(bench: Bench, monkeypatch: Any) -> None:
    monkeypatch.setattr(sensors, "MAX_SEEN", 2)
    monkeypatch.setattr(sensors, "MAX_KEPT", 4)
    bench.stream("T", "t.>")
    for i in range(9):
        bench.publish(f"t.{i}", i)
        assert all(len(times) <= 4 for times in bench.sensors.streams.values())
    assert bench.look() == [("t.7", 7), ("t.8", 8)]


def test_two_streams_with_one_subject(bench: Bench) -> None:
    other = bench.jetstream.add_account(bench.router.account("B"), Limits())
    bench.stream("T", "t.>")
    bench.publish("t.a", 1)
    bench.js = other
    bench.account = bench.router.account("B")
    bench.stream("T", "t.>")
    bench.publish("t.a", 2)
    assert [(seen.account, (seen.time_ns - BEGIN) // SECOND) for seen in bench.sensors.look()] == [("A", 1), ("B", 2)]


def test_buckets_are_no_sensors(bench: Bench) -> None:
    bench.stream("KV_config", "$KV.config.>")
    bench.publish("$KV.config.a", 1)
    assert bench.look() == []


def test_a_stream_of_the_same_name_made_anew(bench: Bench) -> None:
    bench.publish("t.a", 1)
    stream = bench.stream("T", "t.>")
    bench.publish("t.a", 2)
    bench.publish("t.a", 3)
    bench.look()
    bench.js.delete_stream(stream, lambda error: None)
    bench.settle()
    bench.stream("T", "t.>")
    bench.publish("t.a", 4)
    assert bench.look() == [("t.a", 4)]
