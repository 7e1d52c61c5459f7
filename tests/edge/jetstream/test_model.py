"""Random lives of a stream and its consumers, held against a list that does the same the slow way."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from edge.errors import StoreError
from edge.subjects import matches

SUBJECTS = ["s.a", "s.b", "s.c"]
FILTERS: dict[str, dict[str, Any]] = {
    "ALL": {},
    "A": {"filter_subject": "s.a"},
    "AB": {"filter_subjects": ["s.a", "s.b"]},
    "NONE": {"ack_policy": "none"},
}


class Model:
    def __init__(self) -> None:
        self.rows: dict[int, str] = {}
        self.last = 0
        self.limit = 30

    def publish(self, subject: str) -> None:
        self.last += 1
        self.rows[self.last] = subject
        while len(self.rows) > self.limit:
            del self.rows[min(self.rows)]

    def purge(self, pattern: str, before: int, keep: int) -> int:
        doomed = [seq for seq, subject in self.rows.items() if matches(pattern, subject) and seq < (before or self.last + 1)]
        doomed = doomed[:-keep] if keep else doomed
        for seq in doomed:
            del self.rows[seq]
        return len(doomed)


class Life:
    def __init__(self, bench: Any, dice: random.Random) -> None:
        self.bench = bench
        self.dice = dice
        self.model = Model()
        self.delivered = dict.fromkeys(FILTERS, 0)  # the highest stream sequence
        self.unacked: dict[str, list[tuple[int, str]]] = {name: [] for name in FILTERS}
        bench.stream(max_msgs=self.model.limit)
        for name, fields in FILTERS.items():
            bench.consumer(name, max_ack_pending=-1, **fields)

    @property
    def stream(self) -> Any:
        return self.bench.js.streams["S"]

    def step(self) -> None:
        acts: list[Callable[[], None]] = [self.publish] * 5 + [self.pull] * 4 + [self.ack] * 3 + [self.query] * 2
        self.dice.choice([*acts, self.delete, self.purge, self.fail, self.restart])()

    def publish(self) -> None:
        subjects = [self.dice.choice(SUBJECTS) for _ in range(self.dice.randint(1, 6))]
        for subject in subjects:
            self.bench.publish(subject)
            self.model.publish(subject)
        if self.dice.random() < 0.7:
            self.bench.settle()

    def fail(self) -> None:
        self.bench.settle()
        self.bench.take()
        self.bench.gate.failing = StoreError("disk I/O error")
        self.bench.publish(self.dice.choice(SUBJECTS))
        self.bench.settle()
        self.bench.api("STREAM.PURGE.S", {"filter": self.dice.choice(SUBJECTS)})
        self.bench.gate.failing = None
        for name in FILTERS:  # consumers must look again at what did not go after all
            self.unacked[name] = [item for item in self.unacked[name] if item[0] in self.stream_pending(name)]

    def stream_pending(self, name: str) -> dict[int, Any]:
        pending: dict[int, Any] = self.bench.js.consumers["S"][name].acks.pending
        return pending

    def pull(self) -> None:
        self.bench.settle()
        self.bench.take()
        name = self.dice.choice(list(FILTERS))
        wanted = self.undelivered(name)
        batch = self.dice.randint(1, 8)
        messages = self.bench.pull(name, batch=batch, no_wait=True)
        places = [reply.split(".") for _, reply, _, _ in messages if reply.startswith("$JS.ACK.")]
        assert [int(parts[5]) for parts in places] == wanted[:batch], name
        for i, parts in enumerate(places):
            assert int(parts[8]) == len(wanted) - i - 1, f"pending of {name}"
            self.delivered[name] = int(parts[5])
            if name != "NONE":
                self.unacked[name].append((int(parts[5]), ".".join(parts)))

    def undelivered(self, name: str) -> list[int]:
        config = self.bench.js.consumers["S"][name].config
        return [
            seq
            for seq, subject in self.model.rows.items()
            if seq > self.delivered[name] and (not config.filters or any(matches(f, subject) for f in config.filters))
        ]

    def ack(self) -> None:
        name = self.dice.choice(list(FILTERS))
        if self.unacked[name]:
            _, reply = self.unacked[name].pop(self.dice.randrange(len(self.unacked[name])))
            self.bench.account.publish(reply, b"+ACK")
            self.bench.flush()

    def delete(self) -> None:
        self.bench.settle()
        if self.model.rows:
            seq = self.dice.choice(list(self.model.rows))
            del self.model.rows[seq]
            assert self.stream.delete(seq, lambda error: None)

    def purge(self) -> None:
        self.bench.settle()
        pattern = self.dice.choice([*SUBJECTS, "s.*", ""])
        before, keep = self.dice.choice([(0, 0), (0, 3), (self.dice.randint(1, self.model.last + 1), 0)])
        purged = self.stream.purge(pattern, before, keep, lambda error: None)
        assert purged == self.model.purge(pattern or ">", before, keep)

    def query(self) -> None:
        self.bench.settle()
        subject = self.dice.choice([*SUBJECTS, "s.*"])
        last = max((seq for seq, held in self.model.rows.items() if matches(subject, held)), default=0)
        found = self.stream.last_by_subject(subject)
        assert (found.seq if found else 0) == last

    def restart(self) -> None:
        self.bench.settle()
        self.bench.reopen()

    def check(self) -> None:
        self.bench.settle()
        stream, rows = self.stream, self.model.rows
        assert [(row.seq, row.subject) for row in stream.walk(0)] == list(rows.items())
        assert (stream.messages, stream.last_seq) == (len(rows), self.model.last)
        assert stream.first_seq == min(rows, default=self.model.last + 1)
        assert stream.bytes == sum(len(subject) + 1 + stream.overhead for subject in rows.values())
        assert stream.subjects.count == {s: n for s in SUBJECTS if (n := list(rows.values()).count(s))}
        for name in FILTERS:
            consumer = self.bench.js.consumers["S"][name]
            assert consumer.num_pending() == len(self.undelivered(name)), name
            alive = [seq for seq, _ in self.unacked[name] if seq in rows]
            assert sorted(consumer.acks.pending) == sorted(alive), name
            assert consumer.acks.floor.stream_seq <= consumer.acks.delivered.stream_seq


@pytest.mark.parametrize("seed", range(25))
def test_a_random_life(bench: Any, seed: int) -> None:
    life = Life(bench, random.Random(seed))
    for _ in range(12):
        for _ in range(6):
            life.step()
        life.check()
