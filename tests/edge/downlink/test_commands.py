"""Commands on real streams, with clocks that are set by hand and devices that answer as they are told."""

import json
import queue
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from edge.core.router import Router
from edge.core.times import SECOND, Clock, rfc3339
from edge.downlink.commands import Commands
from edge.downlink.journal import LOST, spoiled
from edge.downlink.past import Past, Results
from edge.errors import StoreError
from edge.jetstream.account import Limits, Stores
from edge.jetstream.jetstream import JetStream
from edge.jetstream.stream_config import StreamConfig
from edge.message import header_block, header_get
from edge.store.contract import VALUE_DAMAGED, VALUES_LOST
from edge.store.memory import MemoryStore

BEGIN = 1_800_000_000 * SECOND


class Options(NamedTuple):
    parallel: int = 1
    timeout_ns: int = 10 * SECOND
    keep: int = 3


class World:
    """``asked``: what devices were asked and have not answered, as (id, reply)."""

    def __init__(self, options: Options = Options()) -> None:  # noqa: B008
        self.options = options
        self.wall, self.now = BEGIN, 5 * SECOND
        self.clock_is_set = True
        self.failing: StoreError | None = None
        self.calls: queue.Queue = queue.Queue()
        self.store = MemoryStore(self.calls.put)
        self.asked: list[tuple[str, str]] = []
        self.count = 0
        self.start()

    def start(self) -> None:
        """A process with what was on disk."""
        self.calls = queue.Queue()
        self.store.call_soon = self.calls.put
        self.router = Router()
        account = self.account = self.router.account("A")
        clock = Clock(lambda: self.wall, lambda: self.now, lambda: None)
        self.jetstream = JetStream(Stores(self.store, MemoryStore(self.calls.put)), clock, "", "js")
        js = self.jetstream.add_account(account, Limits())
        found = self.store.load()
        self.jetstream.recover(found)
        self.jetstream.start()
        for name, subject in (("COMMANDS", "queued.commands.e1.>"), ("RESULTS", "results.e1.>")):
            js.create_stream(StreamConfig(name=name, subjects=(subject,)), lambda error: None)
        self.settle()
        self.queue, self.results = js.streams["COMMANDS"], js.streams["RESULTS"]
        self.asked.clear()
        link = SimpleNamespace(account=account, up=False)
        past = Past(
            "e1", link, self.queue, "hub", Results("hub", "RESULTS"), found.values, clock, "_INBOX.past", True, False
        )
        self.commands = Commands(
            "e1", self.options, link, self.queue, self.results, found.values, clock, lambda: self.clock_is_set,
            "_INBOX.x", past,
        )  # fmt: skip
        self.settle()

    def settle(self) -> None:
        self.router.flush()
        for _ in range(20):
            done: list[None] = []
            self.store.commit(lambda error, done=done: done.append(None))
            while not done or not self.calls.empty():
                self.calls.get(timeout=60)()
                self.router.flush()

    def listen(self, device: str = "*") -> None:
        self.account.subscribe(f"commands.e1.{device}.*", self._on_command)

    def _on_command(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        self.asked.append((header_get(headers, "Petiole-Command"), reply))

    def send(self, device: str = "d", seconds: float | None = None, **headers: str) -> str:
        self.count += 1
        id = f"c{self.count}"
        items = [("Nats-Msg-Id", id), *((name.replace("_", "-"), value) for name, value in headers.items())]
        if seconds is not None:
            items.append(("Petiole-Deadline", rfc3339(self.wall + int(seconds * SECOND))))
        self.account.publish(f"queued.commands.e1.{device}.go", b"{}", headers=header_block(items))
        self.settle()
        return id

    def answer(self, id: str, body: bytes = b"{}") -> None:
        (reply,) = [reply for asked, reply in self.asked if asked == id]
        self.asked = [entry for entry in self.asked if entry[0] != id]
        self.account.publish(reply, body)
        self.settle()

    def pass_time(self, seconds: float) -> None:
        end = self.now + int(seconds * SECOND)
        while (due := self.commands.deadline()) is not None and due <= end:
            self.wall += max(due - self.now, 0)
            self.now = max(due, self.now)
            self.commands.tick(self.now)
            self.settle()
        self.wall += end - self.now
        self.now = end

    def running(self) -> list[str]:
        return [id for id, _ in self.asked]

    def states(self) -> dict[str, str]:
        return {one["command"]: one["state"] for one in self.commands.report()["commands"]}

    def told(self) -> list[tuple[str, str]]:
        found = [json.loads(row.payload) for row in self.results.scan(1, 1000)]
        return [(one["command"], one["state"]) for one in found]


def test_one_after_the_other_for_each_device():
    world = World()
    world.listen()
    for device in ("a", "a", "b"):
        world.send(device)
    assert world.running() == ["c1", "c3"]
    world.answer("c1")
    assert world.running() == ["c3", "c2"]
    world.answer("c3")
    world.answer("c2", b'{"status":"failed"}')
    assert world.told() == [("c1", "done"), ("c3", "done"), ("c2", "failed")]
    assert (world.queue.messages, world.commands.jobs) == (0, {})


def test_two_at_once_and_what_was_busy_goes_first_again():
    world = World(Options(parallel=2))
    world.listen()
    for _ in range(4):
        world.send()
    assert world.running() == ["c1", "c2"]
    world.answer("c2", b'{"status":"busy"}')
    world.answer("c1", b'{"status":"busy"}')
    assert world.running() == []
    assert world.states()["c1"] == "received"
    world.pass_time(5)
    assert world.running() == ["c1", "c2"]


def test_deadlines():
    world = World()
    world.listen()
    world.send(seconds=-1)
    world.send()
    world.send(seconds=5)
    world.send(seconds=50)
    assert world.told() == [("c1", "expired")]
    world.pass_time(6)
    assert world.told()[1:] == [("c3", "expired")]
    world.answer("c2")
    assert world.running() == ["c4"]


def test_no_deadline_is_judged_by_a_clock_that_is_not_set():
    world = World()
    world.clock_is_set = False
    world.listen()
    world.send("a", seconds=3600)
    world.send("b")
    assert world.running() == ["c2"]
    assert "clock is not set" in world.commands.report()["commands"][0]["waits"]
    world.clock_is_set = True
    world.pass_time(31)
    assert world.running() == ["c2", "c1"]


def test_clock_that_is_put_forward_makes_deadlines_pass():
    world = World()
    world.send(seconds=3600)
    world.wall += 7200 * SECOND
    world.pass_time(16)
    assert world.told() == [("c1", "expired")]


@pytest.mark.parametrize(("idempotent", "state"), [("true", "received"), ("false", "failed")])
def test_device_that_does_not_answer(idempotent, state):
    world = World()
    world.listen()
    world.send(Petiole_Idempotent=idempotent)
    world.pass_time(10)
    assert world.states() == {"c1": state}
    (_, reply) = world.asked[0]
    world.account.publish(reply, b"{}")  # too late
    world.settle()
    assert world.states() == {"c1": state}


def test_device_that_comes_is_asked_soon():
    world = World()
    world.send()
    world.pass_time(100)
    assert world.states() == {"c1": "received"}
    world.listen()
    world.pass_time(0)
    assert world.running() == ["c1"]


@pytest.mark.parametrize(("idempotent", "state"), [("true", "sent"), ("false", "interrupted")])
def test_restart_in_the_middle(idempotent, state):
    world = World()
    world.listen()
    world.send(Petiole_Idempotent=idempotent)
    assert world.states() == {"c1": "sent"}
    world.start()
    world.listen()
    world.pass_time(2)
    assert world.states() == {"c1": state}
    world.start()
    assert len(world.told()) == (state == "interrupted")


def test_restart_after_a_device_was_offline_is_no_interruption():
    world = World()
    world.listen()
    world.send()
    world.answer("c1", b'{"status":"offline"}')
    world.start()
    assert world.states() == {"c1": "received"}


def test_row_that_outlived_its_command_is_not_run_again():
    world = World(Options(keep=1))
    world.listen()
    rows = []
    for _ in range(4):
        id = world.send()
        rows += world.queue.scan(1, 10)
        world.answer(id)
    assert list(world.states()) == ["c4"], "the others are forgotten"
    assert world.commands.journal.floor == 3
    world.store.append(world.queue.id, [tuple(row) for row in rows])  # as if they had not been taken away
    world.store.commit(lambda error: None)
    world.start()
    world.listen()
    world.pass_time(60)
    assert (world.running(), len(world.told()), world.queue.messages) == ([], 4, 0)


def test_command_that_makes_no_sense_is_refused_and_the_next_one_run():
    world = World()
    world.listen()
    world.send(Petiole_Deadline="soon")
    world.send()
    assert (world.told(), world.running()) == ([("c1", "failed")], ["c2"])


def test_more_than_fit_into_memory(monkeypatch):
    monkeypatch.setattr("edge.downlink.commands.MAX_OPEN", 3)
    world = World()
    for _ in range(7):
        world.send()
    assert (len(world.commands.jobs), world.commands.report()["not_shown"]) == (3, 4)
    world.listen()
    world.pass_time(0)
    for number in range(1, 8):
        world.answer(f"c{number}")
    assert world.told() == [(f"c{number}", "done") for number in range(1, 8)]


def test_what_a_device_answers_may_be_long():
    """The hub would never take it, and so never hear of the end."""
    world = World()
    world.listen()
    world.send()
    world.answer("c1", json.dumps({"status": "failed", "error": "x" * 600_000, "dump": "y" * 300_000}).encode())
    (row,) = world.results.scan(1, 10)
    found = json.loads(row.payload)
    assert (found["command"], found["state"], found["error"][:3], len(row.payload) < 5000) == ("c1", "failed", "xxx", True)
    assert len(json.dumps(world.commands.report())) < 5000


@pytest.mark.parametrize(
    "headers",
    [
        {"Petiole_Deadline": "2026-02-30T00:00:00Z"}, {"Petiole_Deadline": "\x00"}, {"Petiole_Deadline": "9" * 500},
        {"Nats_Msg_Id": "i" * 300},
    ],
)  # fmt: skip
def test_malformed_commands_fail_and_nothing_stops(headers):
    world = World()
    world.listen()
    items = [(name.replace("_", "-"), value) for name, value in headers.items()]
    world.account.publish("queued.commands.e1.d.go", b"{}", headers=header_block(items))
    world.account.publish("queued.commands.e1.short", b"\xff")
    world.account.publish("queued.commands.e1.a.b.c.d", b"")
    world.settle()
    good = world.send()
    assert [state for _, state in world.told()] == ["failed"] * 3
    assert world.running() == [good]
    assert world.commands.counts() == {
        "open": {"received": 0, "sent": 1}, "ended": {"done": 0, "failed": 3, "expired": 0, "interrupted": 0}
    }  # fmt: skip


@pytest.mark.parametrize("kept", [b"", b"\xff", b"[]", b'{"state":"flying"}', b'{"state":7}', b'{"state":"sent","attempts":"x"}'])
def test_damaged_note_costs_its_command(kept):
    world = World()
    world.listen()
    world.send()
    world.send()
    world.store.values["command:00000000000000000001"] = kept
    world.start()
    world.listen()
    assert world.told() == [("c1", "interrupted")]
    world.pass_time(5)
    assert world.running() == ["c2"]


def test_note_that_the_store_has_lost_costs_its_command(monkeypatch):
    world = World()
    world.listen()
    world.send()
    del world.store.values["command:00000000000000000001"]
    lines = [f"{VALUE_DAMAGED}command:00000000000000000001", f"{VALUE_DAMAGED}uplink:T", "stream COMMANDS: damaged"]
    monkeypatch.setattr(type(world.store), "damage", lines)
    world.start()
    (row,) = world.results.scan(1, 10)
    found = json.loads(row.payload)
    assert (found["command"], found["state"], found["error"]) == ("c1", "interrupted", LOST)


def test_which_notes_are_lost():
    assert spoiled([]) == (set(), False)
    assert spoiled([f"{VALUE_DAMAGED}command:{7:020d}", f"{VALUE_DAMAGED}clock"]) == ({7}, False)
    assert spoiled([f"{VALUE_DAMAGED}conmand:{7:020d}"]) == (set(), True)
    assert spoiled([f"{VALUE_DAMAGED}commands-floor"]) == spoiled([VALUES_LOST]) == (set(), True)


def test_many_for_a_device_that_is_away_keep_no_other_waiting(monkeypatch):
    monkeypatch.setattr("edge.downlink.commands.MAX_OPEN", 20)
    world = World(Options(keep=1))
    world.listen("b")
    for _ in range(50):
        world.send("away", seconds=3600)
    for _ in range(15):
        world.send("b")
    assert world.running() == ["c51"]
    for number in range(51, 66):
        world.answer(f"c{number}")
    assert len(world.told()) == 15
    assert world.commands.counts()["open"] == {"received": 50, "sent": 0}
    world.start()  # what ended is forgotten by now, and what waits is not
    world.listen("away")
    for number in range(1, 26):
        world.pass_time(0)
        assert world.running() == [f"c{number}"], "in their order"
        world.answer(f"c{number}")
    world.wall += 4000 * SECOND
    world.pass_time(60)
    assert sorted(world.told()[40:]) == [("c26", "failed"), *((f"c{number}", "expired") for number in range(27, 51))]
    assert (world.commands.passed, world.queue.messages) == ({}, 0)


def test_whoever_asks_is_told_what_commands_there_are():
    world = World()
    world.send()
    answers = []
    world.account.subscribe("_INBOX.me", lambda *message: answers.append(json.loads(message[3])))
    world.account.publish("petiole.e1.commands", b"", reply="_INBOX.me")
    assert [one["state"] for one in answers[0]["commands"]] == ["received"]
