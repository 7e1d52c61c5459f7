"""``python -m bench.slices``: how long what a stream gives up holds everybody else.

One thread does what the event loop does, one call after the other, and each is timed; so is each transaction of the
thread that writes, without what moves the log into the database: that comes once for every 16 MB, whoever wrote
them.  A publish waits for one of each at most.  CPU time is what a busy machine does not add to.
"""

import argparse
import contextlib
import json
import queue
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, ParamSpec, TypeVar
from unittest import mock

import apsw

from edge.core.router import Router
from edge.core.times import SECOND, Clock
from edge.errors import StoreError
from edge.jetstream.account import Stores
from edge.jetstream.jetstream import JetStream
from edge.jetstream.limits import Limits
from edge.store import writer
from edge.store.log_room import LogRoom
from edge.store.memory import MemoryStore
from edge.store.sqlite import SqliteStore
from edge.store.statements import Write, transact

MESSAGES = 300_000
SUBJECTS = 10_000
PAYLOAD = b"x" * 128

P = ParamSpec("P")
R = TypeVar("R")


class Held(NamedTuple):
    """Milliseconds, the longest of many: of CPU time, and as the clock goes."""

    calls: int
    cpu: float
    wall: float


class Instrument:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.calls, self.cpu, self.wall = 0, 0.0, 0.0
        self.less_cpu = self.less_wall = 0.0  # of the call that is going on, and somebody else's

    def time(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        self.less_cpu = self.less_wall = 0.0
        cpu, wall = time.thread_time(), time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            self.cpu = max(self.cpu, (time.thread_time() - cpu - self.less_cpu) * 1000)
            self.wall = max(self.wall, (time.perf_counter() - wall - self.less_wall) * 1000)
            self.calls += 1

    def leave_out(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        cpu, wall = time.thread_time(), time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            self.less_cpu += time.thread_time() - cpu
            self.less_wall += time.perf_counter() - wall

    def held(self) -> Held:
        return Held(self.calls, self.cpu, self.wall)


class Loop:
    """What the server's thread does, without sockets.  Time goes as ``ahead`` says."""

    def __init__(self, folder: str) -> None:
        self.calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.loop, self.writer = Instrument(), Instrument()
        self.ahead_ns = 0
        self.answers: list[bytes] = []
        self.moves, self.transact = LogRoom._committed, transact
        with contextlib.ExitStack() as patches:
            patches.enter_context(mock.patch.object(writer, "transact", self._transact))
            patches.enter_context(mock.patch.object(LogRoom, "_committed", self._moved))
            self.patches = patches.pop_all()
        self.router = Router()
        self.store = SqliteStore(folder, self.calls.put)
        clock = Clock(lambda: time.time_ns() + self.ahead_ns, lambda: time.monotonic_ns() + self.ahead_ns, lambda: None)
        self.jetstream = JetStream(Stores(self.store, MemoryStore(self.calls.put)), clock, "", "bench")
        self.account = self.router.account("A")
        self.jetstream.add_account(self.account, Limits())
        self.jetstream.recover(self.store.load())
        self.jetstream.start()
        self.clock = clock
        self.account.subscribe("_I.>", lambda subject, reply, headers, payload: self.answers.append(payload))

    def _transact(self, connection: apsw.Connection, writes: list[Write]) -> None:
        self.writer.time(self.transact, connection, writes)

    def _moved(self, connection: apsw.Connection, database: str, frames: int) -> int:
        return self.writer.leave_out(self.moves, self.store.writer.log_room, connection, database, frames)

    def close(self) -> None:
        self.store.close()
        self.patches.close()

    def ask(self, call: str, body: object) -> None:
        self._do(self.account.publish, f"$JS.API.{call}", json.dumps(body).encode(), reply="_I.api")
        self.settle()
        assert b'"error"' not in self.answers[-1], self.answers[-1]

    def fill(self, count: int) -> None:
        for number in range(count):
            self.account.publish(f"s.{number % SUBJECTS}", PAYLOAD, reply="_I.x")
            if number % 1000 == 999:
                self.settle()
        self.settle()
        self.answers.clear()

    def settle(self) -> None:
        """Until nothing is under way and nothing is due."""
        while True:
            self._do(self.router.flush)
            done: list[StoreError | None] = []
            self.store.commit(done.append)
            while not done or not self.calls.empty():
                self._do(self.calls.get())
                self._do(self.router.flush)
            deadline = self.jetstream.deadline()
            now = self.clock.monotonic()
            if not self.store.writer.doomed and (deadline is None or deadline > now):
                return
            self._do(self.jetstream.tick, now)

    def _do(self, call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        self.loop.time(call, *args, **kwargs)


def scenarios() -> Iterator[tuple[str, dict[str, object], Callable[[Loop], None]]]:
    """A name, the configuration of a stream that is filled, and what makes it give up nearly all of that."""

    def update(**fields: object) -> Callable[[Loop], None]:
        config = {"name": "S", "subjects": ["s.*"], **fields}
        return lambda loop: loop.ask("STREAM.UPDATE.S", config)

    def later(loop: Loop) -> None:
        loop.ahead_ns += 7200 * SECOND
        loop.settle()

    yield "compact_after passes", {"metadata": {"petiole.compact_after": "1h"}}, later
    yield "max_age passes", {"max_age": 3600 * SECOND}, later
    yield "max_msgs is lowered", {}, update(max_msgs=1000)
    yield "max_bytes is lowered", {}, update(max_bytes=1 << 18)
    yield "max_msgs_per_subject is lowered", {"max_msgs_per_subject": 1000}, update(max_msgs_per_subject=1)
    yield "purge of everything", {}, lambda loop: loop.ask("STREAM.PURGE.S", {})
    yield "purge of a wildcard", {}, lambda loop: loop.ask("STREAM.PURGE.S", {"filter": "s.*"})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.slices", description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES, help="in the stream (%(default)d)")
    options = parser.parse_args()
    print(f"| of {options.messages} messages | loop, longest ms: CPU | clock | writer: CPU | clock |")
    print("|---|---|---|---|---|")
    for name, config, give_up in scenarios():
        with tempfile.TemporaryDirectory(prefix="petiole-slices-") as folder:
            loop = Loop(folder)
            loop.ask("STREAM.CREATE.S", {"name": "S", "subjects": ["s.*"]} | config)
            loop.fill(options.messages)
            loop.loop.reset()
            loop.writer.reset()
            give_up(loop)
            loop.settle()
            loop.close()
        held = (loop.loop.held(), loop.writer.held())
        print(f"| {name} |" + "|".join(f" {each.cpu:.1f} | {each.wall:.1f} " for each in held) + "|", flush=True)


if __name__ == "__main__":
    main()
