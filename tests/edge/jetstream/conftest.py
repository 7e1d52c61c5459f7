"""JetStream without sockets and without waiting: one account, a store, clocks that are set by hand."""

import json
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.core.router import Router
from edge.core.times import SECOND, Clock
from edge.errors import StoreError
from edge.jetstream.account import JetStreamAccount, Limits, Stores
from edge.jetstream.consumer import Consumer
from edge.jetstream.jetstream import JetStream
from edge.jetstream.stream import Stream
from edge.store.contract import Done, Store
from edge.store.memory import MemoryStore
from edge.store.sqlite import SqliteStore

BEGIN = 1_800_000_000 * SECOND


WRITES = {
    "append", "delete", "delete_range", "erase", "put_stream", "put_stream_state", "drop_stream", "put_consumer",
    "put_consumer_state", "drop_consumer", "put_value", "drop_value",
}  # fmt: skip


class Gate:
    """A store in front of a store, whose commits can be made to fail as the contract says."""

    def __init__(self, store: Store, call_soon: Callable[[Callable[[], None]], None]) -> None:
        self.store = store
        self.call_soon = call_soon
        self.writes: list[tuple[str, Any]] = []
        self.failing: StoreError | None = None
        self.commits: list[bool] = []  # urgent?
        self.full = False

    def __getattr__(self, name: str) -> Any:
        if name in WRITES:
            return lambda *args: self.writes.append((name, args))
        return getattr(self.store, name)

    def commit(self, done: Done, urgent: bool = True) -> None:
        self.commits.append(urgent)
        writes, self.writes = self.writes, []
        error = self.failing
        if error is not None:
            self.call_soon(lambda: done(error))
            return
        for name, args in writes:
            getattr(self.store, name)(*args)
        self.store.commit(done, urgent)


class Bench:
    def __init__(self, make_store: Callable[..., Store], limits: Limits, domain: str) -> None:
        self.make_store = make_store
        self.limits = limits
        self.domain = domain
        self.wall = BEGIN
        self.now = 5_000 * SECOND
        self.calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.open()

    # ---- a process

    def open(self) -> None:
        self.calls = queue.Queue()
        self.router = Router()
        self.account = self.router.account("A")
        self.received: list[tuple[str, str, bytes, bytes]] = []
        self.woken = 0
        self.account.subscribe("_I.>", lambda *message: self.received.append(message))
        self.gate = Gate(self.make_store(self.calls.put), self.calls.put)
        memory = MemoryStore(self.calls.put)
        clock = Clock(lambda: self.wall, lambda: self.now, self._wake)
        self.jetstream = JetStream(Stores(self.gate, memory), clock, self.domain, "js")
        self.js: JetStreamAccount = self.jetstream.add_account(self.account, self.limits)
        self.jetstream.recover(self.gate.load())
        self.jetstream.start()
        self.settle()

    def _wake(self) -> None:
        self.woken += 1

    def reopen(self) -> None:
        """The process ends after its last commit, and another one begins."""
        self.gate.close()
        self.open()

    def flush(self) -> None:
        """The end of a batch; nothing is committed yet."""
        self.router.flush()

    def settle(self) -> None:
        """Until every commit has been told of, those too that followed upon others, and nothing is left to do."""
        before = -1
        while before != len(self.gate.commits):
            before = len(self.gate.commits)
            self._settle_once()

    def _settle_once(self) -> None:
        self.router.flush()
        done: list[None] = []
        self.gate.store.commit(lambda error: done.append(None))
        while not done or not self.calls.empty():
            self.calls.get(timeout=60)()
            self.router.flush()

    def pass_time(self, ns: int) -> None:
        """The timer rings at each deadline on the way."""
        end = self.now + ns
        while (deadline := self.jetstream.deadline()) is not None and deadline <= end:
            self.wall += max(deadline - self.now, 0)
            self.now = max(deadline, self.now)
            self.jetstream.tick(self.now)
            self.settle()
        self.wall += end - self.now
        self.now = end

    # ---- its clients

    def publish(self, subject: str, payload: bytes = b"x", reply: str = "_I.ack", **headers: str) -> None:
        block = b""
        if headers:
            lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
            block = f"NATS/1.0\r\n{lines}\r\n".encode()
        self.account.publish(subject, payload, reply=reply, headers=block)

    def take(self) -> list[tuple[str, str, bytes, bytes]]:
        received, self.received[:] = list(self.received), []
        return received

    def acks(self) -> list[Any]:
        """What publishers were answered: sequences, or error codes as negative numbers."""
        answers = [json.loads(payload) for _, _, _, payload in self.take()]
        return [-answer["error"]["err_code"] if "error" in answer else answer["seq"] for answer in answers]

    def stored(self, subject: str, payload: bytes = b"x", **headers: str) -> list[Any]:
        self.publish(subject, payload, **headers)
        self.settle()
        return self.acks()

    def api(self, call: str, body: object = None) -> Any:
        """The answer to one request; the bench settles for it."""
        self.settle()
        self.received.clear()
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.account.publish(f"$JS.API.{call}", data, reply="_I.api")
        self.settle()
        (answer,) = [payload for subject, _, _, payload in self.take() if subject == "_I.api"]
        return json.loads(answer)

    def stream(self, **fields: object) -> Stream:
        config = {"name": "S", "subjects": ["s.>"], **fields}
        answer = self.api("STREAM.CREATE.S", config)
        assert "error" not in answer, answer
        return self.js.streams["S"]

    def consumer(self, name: str = "C", **fields: object) -> Consumer:
        config = {"durable_name": name, "ack_policy": "explicit", **fields}
        answer = self.api(f"CONSUMER.CREATE.S.{name}", {"stream_name": "S", "config": config})
        assert "error" not in answer, answer
        return self.js.consumers["S"][name]

    def pull(self, name: str = "C", **fields: object) -> list[tuple[str, str, bytes, bytes]]:
        """Ask for messages, and what came at once."""
        body = json.dumps(fields or {"batch": 100, "no_wait": True}).encode()
        self.account.publish(f"$JS.API.CONSUMER.MSG.NEXT.S.{name}", body, reply="_I.pull")
        self.settle()
        return self.take()


@pytest.fixture(params=["sqlite", "memory"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """The same contract over both stores."""
    yield from _bench(request.param, tmp_path, Limits(), "")


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(limits: Limits | None = None, domain: str = "", store: str = "sqlite") -> Bench:
        folder = tmp_path / str(len(benches))
        benches.append(Bench(_maker(store, folder), limits or Limits(), domain))
        return benches[-1]

    yield make
    for bench in benches:
        bench.gate.close()


def _bench(store: str, folder: Path, limits: Limits, domain: str) -> Iterator[Bench]:
    bench = Bench(_maker(store, folder), limits, domain)
    yield bench
    bench.gate.close()


def _maker(store: str, folder: Path) -> Callable[..., Store]:
    if store == "sqlite":
        return lambda call_soon: SqliteStore(str(folder / "store"), call_soon)
    kept: list[MemoryStore] = []

    def remembered(call_soon: Callable[[Callable[[], None]], None]) -> MemoryStore:
        """Memory outlives its process here, so that recovery is the same test for both."""
        if not kept:
            kept.append(MemoryStore(call_soon))
        kept[0].call_soon = call_soon
        return kept[0]

    return remembered


def delivered(messages: list[tuple[str, str, bytes, bytes]]) -> list[tuple[int, int]]:
    """(stream sequence, times delivered) of each delivery among these."""
    replies = [reply.split(".") for _, reply, _, _ in messages if reply.startswith("$JS.ACK.")]
    return [(int(parts[5]), int(parts[4])) for parts in replies]


def statuses(messages: list[tuple[str, str, bytes, bytes]]) -> list[str]:
    return [
        headers.split(b"\r\n")[0].decode().removeprefix("NATS/1.0 ")
        for _, reply, headers, _ in messages
        if not reply and headers
    ]


@pytest.fixture(name="delivered")
def delivered_fixture() -> Callable[..., list[tuple[int, int]]]:
    return delivered


@pytest.fixture(name="statuses")
def statuses_fixture() -> Callable[..., list[str]]:
    return statuses
