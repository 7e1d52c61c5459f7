"""A hub, a link, a store and a clock that do what a test tells them: everything that can go wrong on the way."""

import base64
import heapq
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import pytest

from edge.errors import StoreError
from edge.message import header_get
from edge.protocol.leaf import Outgoing
from edge.store.contract import Row
from edge.subjects import matches
from edge.uplink.line import Line
from edge.uplink.progress import Progress
from edge.uplink.uplink import SECOND, Uplink

MS = 1_000_000
Event = Callable[[], None]


@dataclass
class Options:
    name: str = "TELEMETRY"
    subjects: tuple[str, ...] = ("telemetry.>",)
    hub_stream: str = "TELEMETRY"
    hub_domain: str = "hub"
    window: int = 8
    gather_ns: int = 0
    lane: str = "normal"
    weight: int = 0
    order: str = "live"
    receipts: str = ""
    compress: str = ""
    on_hub_loss: str = "continue"
    discard: str = "old"
    max_bytes: int = 1 << 30


@dataclass
class Stored:
    subject: str
    msg_id: str
    payload: bytes
    lost: str = ""


@dataclass
class HubStream:
    """What nats-server does with a stream, seen from outside."""

    created: str = "2026-11-23T00:00:00Z"
    duplicate_window: int = 2 * SECOND
    subjects: tuple[str, ...] = ("telemetry.>",)
    messages: dict[int, Stored] = field(default_factory=dict)
    last_seq: int = 0
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)  # id -> (sequence, time)
    batched: bool = False  # allow_batched
    flow: int = 3  # messages of a batch for one answer
    batches: dict[str, list[int]] = field(default_factory=dict)  # name -> sequence in it, the last stored, answered

    def publish(self, subject: str, msg_id: str, payload: bytes, now: int, lost: str = "") -> dict[str, object]:
        known = self.seen.get(msg_id)
        if known is not None and now - known[1] < self.duplicate_window:
            return {"stream": "TELEMETRY", "domain": "hub", "seq": known[0], "duplicate": True}
        self.last_seq += 1
        self.messages[self.last_seq] = Stored(subject, msg_id, payload, lost)
        self.seen[msg_id] = (self.last_seq, now)
        return {"stream": "TELEMETRY", "domain": "hub", "seq": self.last_seq}

    def info(self) -> dict[str, object]:
        first = min(self.messages, default=self.last_seq + 1)
        state = {"first_seq": first, "last_seq": self.last_seq}
        config = {"subjects": list(self.subjects), "allow_batched": self.batched}
        return {"created": self.created, "config": config, "state": state}

    def batch(
        self, reply: str, store: Callable[[], dict[str, object]], answer: Callable[[dict[str, object]], None]
    ) -> None:
        """One message of a fast batch; ``store`` answers as to a message by itself."""
        name, every, mode, number_text, operation, _ = reply.split(".")[-6:]
        number = int(number_text)
        if number == 1:
            self.batches[name] = [0, 0, 0]
            answer({"type": "ack", "seq": 0, "msgs": int(every)})
        if name not in self.batches:
            answer({"error": {"code": 400, "err_code": 10208, "description": "batch publish ID unknown"}})
            return
        batch = self.batches[name]
        if number != batch[0] + 1:
            answer({"type": "gap", "last_seq": batch[0] + 1, "seq": number})
            if mode == "fail":
                self.end_batch(name, answer)
                return
        stored = store()
        if "error" in stored:
            answer({"type": "err", "seq": number, "error": stored["error"]})
            if mode == "fail":
                self.end_batch(name, answer)
                return
        else:
            batch[1] = int(str(stored["seq"]))
        batch[0] = number
        if operation == "2":
            self.end_batch(name, answer)
        elif number >= batch[2] + self.flow:
            batch[2] = number
            answer({"type": "ack", "seq": number, "msgs": self.flow})

    def end_batch(self, name: str, answer: Callable[[dict[str, object]], None]) -> None:
        number, seq, _ = self.batches.pop(name)
        answer({"stream": "TELEMETRY", "domain": "hub", "seq": seq, "batch": name, "count": number})

    def get_last(self, pattern: str) -> dict[str, object]:
        seqs = (seq for seq in sorted(self.messages, reverse=True) if matches(pattern, self.messages[seq].subject))
        return self.get(next(seqs, self.last_seq + 1), ">")

    def get(self, seq: int, subject: str) -> dict[str, object]:
        for number in range(seq, self.last_seq + 1):
            found = self.messages.get(number)
            if found is not None and subject in (found.subject, ">"):
                block = f"NATS/1.0\r\nNats-Msg-Id: {found.msg_id}\r\n\r\n".encode()
                return {"message": {"seq": number, "hdrs": base64.b64encode(block).decode()}}
        return {"error": {"code": 404, "err_code": 10037, "description": "no message found"}}


class World:
    """Time, a hub, a link that can be cut, and a disk; the edge process on top of it can be killed and started anew.

    ``*_loss`` are probabilities; with all at 0 and no cut everything arrives in order.
    """

    def __init__(self, seed: int = 0, options: Options | None = None) -> None:
        self.random = random.Random(seed)
        self.options = options or Options()
        self.now = 1_000 * SECOND
        self.events: list[tuple[int, int, Event]] = []
        self.count = 0
        self.hub = HubStream()
        self.publish_loss = self.ack_loss = self.repeat = self.limbo = 0.0
        self.jitter_ns = 0
        self.bytes_per_s = 0  # that the line carries up; 0: any
        self.carried_at = 0  # when what was sent before has gone
        self.leaderless = False
        self.lag = 0  # messages that a follower may not have yet
        self.consumers: dict[str, list[tuple[int, str]]] = {}
        self.refusals: dict[bytes, dict[str, object]] = {}  # payload -> error
        self.forbidden = ""  # a subject that the hub's permissions deny
        # the disk
        self.rows: dict[int, Row] = {}
        self.last_seq = 0
        self.offset = 0  # of what a reading says from its sequence
        self.saved = Progress("e1", ((1, "EPOCH"),), 1).encode()
        self.dead: dict[str, tuple[Row, str]] = {}
        self.disk_fails = False
        # the process
        self.connection = 0
        self.up = False
        self.life = 0
        self.domain = "hub"
        self.rtt = 20 * MS
        self.pending_bytes = 0
        self.start()

    # ---- Backlog

    @property
    def created_ns(self) -> int:
        return 1

    @property
    def messages(self) -> int:
        return len(self.rows)

    @property
    def bytes(self) -> int:
        return sum(len(row.payload) for row in self.rows.values())

    def scan(self, first: int, limit: int) -> list[Row]:
        return list(islice((self.rows[seq] for seq in range(first, self.last_seq + 1) if seq in self.rows), limit))

    # ---- Ledger, DeadLetters

    def save(
        self, progress: bytes, settled: int, beyond: Sequence[tuple[int, int]], thinned: Sequence[int], urgent: bool
    ) -> None:
        leaving = [self.rows.pop(seq) for seq in thinned]
        life = self.life

        def commit() -> None:
            if self.disk_fails:
                self.rows.update({row.seq: row for row in leaving})
                self.uplink.on_saved(StoreError("disk full", full=True), self.now)
                return
            self.saved = progress
            gone = [seq for seq in self.rows if seq <= settled or any(a <= seq <= b for a, b in beyond)]
            for seq in gone:
                del self.rows[seq]
            self.uplink.on_saved(None, self.now)

        self.at(5 * MS, lambda: commit() if life == self.life else self.rows.update({row.seq: row for row in leaving}))

    def put(self, row: Row, msg_id: str, reason: str) -> None:
        def commit() -> None:
            self.dead[msg_id] = (row, reason)
            self.uplink.on_buried(row.seq, None, self.now)

        self.in_process(5 * MS, commit)

    # ---- HubLink

    def refusal(self, subject: str, size: int) -> str:
        return "not permitted" if subject == self.forbidden else ""

    def publish(self, subject: str, payload: bytes, reply: str = "", headers: bytes = b"") -> bool:
        assert subject != self.forbidden
        if not self.up:
            return False
        if self.random.random() < self.limbo:  # held up between the hub's nodes: arrives whatever happens to the link
            delay = 10 * MS + self.random.randrange(SECOND)
            self.at(delay, lambda: self.arrive(subject, payload, reply, headers))
        else:
            delay = self.carry(len(payload) + len(headers) + 80)
            self.on_link(delay, lambda: self.arrive(subject, payload, reply, headers))
        return True

    def publish_all(self, messages: Sequence[Outgoing]) -> int:
        went = [self.publish(subject, payload, reply, headers) for subject, reply, headers, payload in messages]
        return sum(len(headers) + len(payload) + 80 for _, _, headers, payload in messages) if all(went) else 0

    def carry(self, size: int) -> int:
        """How long that takes."""
        self.carried_at = max(self.carried_at, self.now)
        if self.bytes_per_s:
            self.carried_at += size * SECOND // self.bytes_per_s
        return self.carried_at - self.now + 10 * MS

    def arrive(self, subject: str, payload: bytes, reply: str, headers: bytes) -> None:
        """At the hub."""
        if self.leaderless:
            return
        if subject.startswith("$JS.hub.API.STREAM.INFO."):
            self.answer(reply, self.hub.info())
        elif subject.startswith("$JS.hub.API.STREAM.MSG.GET."):
            body = json.loads(payload)
            if last := body.get("last_by_subj"):
                self.answer(reply, self.hub.get_last(last))
            else:
                self.answer(reply, self.hub.get(body["seq"], body["next_by_subj"]))
        elif subject.startswith("$JS.hub.API.CONSUMER.CREATE."):
            config = json.loads(payload)["config"]
            # beside a replica that may lag behind its leader
            last = self.hub.last_seq - self.random.randrange(self.lag + 1)
            wanted = config["filter_subjects"]
            self.consumers[config["name"]] = [
                (seq, stored.msg_id)
                for seq, stored in sorted(self.hub.messages.items())
                if config["opt_start_seq"] <= seq <= last and (stored.subject in wanted or wanted == [">"])
            ]
            self.answer(reply, {"num_pending": len(self.consumers[config["name"]])})
        elif subject.startswith("$JS.hub.API.CONSUMER.MSG.NEXT."):
            name = subject.rpartition(".")[2]
            for number, (seq, msg_id) in enumerate(self.consumers[name], 1):
                if self.random.random() >= self.ack_loss:
                    self.show(
                        f"$JS.ACK.TELEMETRY.{name}.1.{seq}.{number}.1.0", f"NATS/1.0\r\nNats-Msg-Id: {msg_id}\r\n\r\n"
                    )
        elif self.random.random() >= self.publish_loss:
            if reply.endswith(".$FI"):
                self.hub.batch(reply, lambda: self.stored(subject, payload, headers), partial(self.answers, reply))
            else:
                self.answers(reply, self.stored(subject, payload, headers))

    def stored(self, subject: str, payload: bytes, headers: bytes) -> dict[str, object]:
        if payload in self.refusals:
            return {"error": self.refusals[payload]}
        msg_id = header_get(headers, "Nats-Msg-Id")
        assert msg_id
        return self.hub.publish(subject, msg_id, payload, self.now, header_get(headers, "Petiole-Lost") or "")

    def answers(self, reply: str, fields: dict[str, object]) -> None:
        """To what was published."""
        if self.random.random() >= self.ack_loss:
            self.answer(reply, fields)
        if self.random.random() < self.repeat:
            self.answer(reply, fields)

    def show(self, reply: str, headers: str) -> None:
        delay = 10 * MS + self.random.randrange(self.jitter_ns + 1)
        self.on_link(delay, lambda: self.uplink.on_scanned(reply, headers.encode(), self.now))

    def answer(self, reply: str, fields: dict[str, object]) -> None:
        tokens = reply.removeprefix(f"{self.inbox}.")
        body = json.dumps(fields).encode()
        delay = 10 * MS + self.random.randrange(self.jitter_ns + 1)
        self.on_link(delay, lambda: self.uplink.on_reply(tokens, b"", body, self.now))

    # ---- events

    def at(self, delay: int, event: Event) -> None:
        self.count += 1
        heapq.heappush(self.events, (self.now + delay, self.count, event))

    def in_process(self, delay: int, event: Event) -> None:
        """Lost when the process is killed before."""
        life = self.life
        self.at(delay, lambda: event() if life == self.life else None)

    def on_link(self, delay: int, event: Event) -> None:
        """Lost when the link is cut before, or the process killed."""
        connection = self.connection
        self.in_process(delay, lambda: event() if connection == self.connection and self.up else None)

    def run(self, duration: int) -> None:
        end = self.now + duration
        while True:
            due = self.uplink.deadline()
            at = min(end, self.events[0][0] if self.events else end, end if due is None else max(due, self.now))
            self.now = at
            if self.events and self.events[0][0] <= at:
                heapq.heappop(self.events)[2]()
            elif due is not None and due <= at:
                self.uplink.tick(self.now)
            else:
                return

    # ---- what a test does

    def start(self) -> None:
        progress = Progress.decode(self.options.name, self.saved)
        self.line = Line()
        self.uplink = self.make_uplink(progress)
        if self.up:
            self.uplink.on_link(True, self.now)

    def make_uplink(self, progress: Progress) -> Uplink:
        return Uplink(
            *(self.options, progress, self, self, self.line, self, self),
            *(self.inbox, lambda: None, lambda: "NEXT"),
        )

    @property
    def inbox(self) -> str:
        """Of this process and no other."""
        return f"_INBOX.q{self.life}x"

    def kill(self) -> None:
        """SIGKILL, and a new process on the same disk."""
        self.cut()
        self.life += 1
        self.start()

    def connect(self) -> None:
        if not self.up:
            self.up = True
            self.connection += 1
            self.carried_at = 0
            self.uplink.on_link(True, self.now)

    def backup(self) -> tuple[dict[int, Row], int, bytes]:
        return dict(self.rows), self.last_seq, self.saved

    def put_back(self, backup: tuple[dict[int, Row], int, bytes]) -> None:
        """Somebody copies an older state of the disk over it."""
        self.cut()
        self.life += 1
        self.rows, self.last_seq, self.saved = dict(backup[0]), *backup[1:]
        self.start()

    def cut(self) -> None:
        if self.up:
            self.up = False
            self.uplink.on_link(False, self.now)
            self.line.lost()

    def store(self, count: int, subject: str = "telemetry.e1.d1.t") -> None:
        """Readings that were committed here."""
        for _ in range(count):
            self.last_seq += 1
            seq = self.last_seq
            name = f"{subject}{self.random.randrange(3)}"
            self.rows[seq] = Row(seq, name, 1_795_000_000 * SECOND + seq, b"", str(seq + self.offset).encode())
        self.uplink.on_stored(self.now)

    def take(self, seqs: Iterable[int]) -> None:
        """The limits of the backlog take these."""
        for seq in seqs:
            self.rows.pop(seq, None)
        self.uplink.on_removed()

    def books(self) -> tuple[list[int], set[int]]:
        """What the hub was told: sequences that came, and those that it was told will not."""
        lost: set[int] = set()
        for receipt in self.receipts():
            span, _, _ = receipt.split("; ")
            span, _, step = span.partition("/")
            first, last = map(int, span.split("-"))
            lost.update(seq for seq in range(first, last + 1) if not step or seq % int(step))
        return self.arrived(), lost

    def arrived(self) -> list[int]:
        """What the hub's stream holds, in its order, by our sequences."""
        stored = (self.hub.messages[seq] for seq in sorted(self.hub.messages))
        return [int(message.payload) for message in stored if message.payload]

    def receipts(self) -> list[str]:
        """What it holds of losses."""
        return [message.lost for _, message in sorted(self.hub.messages.items()) if message.lost]

    def settle(self) -> None:
        """Everything works from here on, and there is time."""
        self.publish_loss = self.ack_loss = self.repeat = self.limbo = 0.0
        self.leaderless = self.disk_fails = False
        self.connect()
        self.run(300 * SECOND)


@pytest.fixture
def make_batched_world() -> Callable[..., World]:
    def make(options: Options) -> World:
        world = World(0, options)
        world.hub.batched = True
        return world

    return make


@pytest.fixture(params=[False, True], ids=["each by itself", "in batches"])
def make_world(request: pytest.FixtureRequest) -> Callable[..., World]:
    def make(seed: int = 0, options: Options | None = None) -> World:
        world = World(seed, options)
        world.hub.batched = request.param
        return world

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture
def make_options() -> Callable[..., Options]:
    return Options
