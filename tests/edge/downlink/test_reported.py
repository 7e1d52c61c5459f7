"""Reported state on a real stream, to a hub that answers as it is told."""

import json
import queue

import pytest

from edge.core.router import Router
from edge.core.times import SECOND, Clock
from edge.core.wall_clock import CLOCK, Moment
from edge.downlink.reported import WINDOW, Reported
from edge.jetstream.account import Limits, Stores
from edge.jetstream.jetstream import JetStream
from edge.jetstream.stream_config import StreamConfig
from edge.message import header_block, header_items
from edge.store.memory import MemoryStore


class Link:
    def __init__(self, account) -> None:
        self.account = account
        self.up = True
        self.rtt = 0
        self.listeners = []
        self.sent = []  # subject, payload, reply, headers
        self.why_not = ""

    def refusal(self, subject: str, size: int) -> str:
        return self.why_not

    def publish(self, subject: str, payload: bytes, reply: str = "", headers: bytes = b"") -> bool:
        self.sent.append((subject, payload, reply, headers))
        return True


class Purse:
    def __init__(self) -> None:
        self.left = 1 << 20

    def room(self, is_urgent: bool, now: int) -> int:
        return self.left

    def spend(self, size: int, is_urgent: bool) -> None:
        self.left -= size


class World:
    def __init__(self) -> None:
        self.now = 5 * SECOND
        self.store = MemoryStore(lambda call: None)
        self.purse = Purse()
        self.start()

    def start(self) -> None:
        self.calls: queue.Queue = queue.Queue()
        self.store.call_soon = self.calls.put
        self.router = Router()
        self.account = self.router.account("A")
        clock = Clock(lambda: self.now, lambda: self.now, lambda: None)
        jetstream = JetStream(Stores(self.store, MemoryStore(self.calls.put)), clock, "", "js")
        js = jetstream.add_account(self.account, Limits())
        found = self.store.load()
        jetstream.recover(found)
        config = StreamConfig(name="KV_R", subjects=("$KV.R.e1.>",), max_msgs_per_subject=1, allow_rollup=True)
        stream = js.create_stream(config, lambda error: None)
        self.settle()
        self.link = Link(self.account)
        self.reported = Reported(
            "R", stream, self.link, found.values, clock, lambda ns: Moment(ns, CLOCK), self.purse, "_INBOX.r"
        )
        self.settle()

    def settle(self) -> None:
        self.router.flush()
        for _ in range(10):
            done: list[None] = []
            self.store.commit(lambda error, done=done: done.append(None))
            while not done or not self.calls.empty():
                self.calls.get(timeout=60)()
                self.router.flush()

    def put(self, key: str, value: bytes, *items: tuple[str, str]) -> None:
        self.account.publish(f"$KV.R.e1.{key}", value, headers=header_block(items) if items else b"")
        self.settle()

    def take(self) -> list[tuple[str, bytes]]:
        self.replies = [reply for _, _, reply, _ in self.link.sent]
        sent, self.link.sent = [(subject, payload) for subject, payload, _, _ in self.link.sent], []
        return sent

    def answer(self, reply: str, **error: object) -> None:
        body = {"error": {"code": 503, **error}} if error else {"stream": "KV_R", "seq": 1}
        self.account.publish(reply, json.dumps(body).encode())
        self.settle()

    def pass_time(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.reported.tick(self.now)
        self.settle()


def test_newest_value_and_one_at_a_time():
    world = World()
    for value in (b"1", b"2", b"3"):
        world.put("a", value)
    assert world.take() == [("reported.e1.a", b"1")]
    world.answer(world.replies[0])
    assert world.take() == [("reported.e1.a", b"3")]
    world.answer(world.replies[0])
    assert (world.take(), world.reported.waiting) == ([], {})


def test_deletions_and_times_go_along_and_nothing_that_meant_the_stream_here():
    world = World()
    world.put("a", b"", ("KV-Operation", "DEL"), ("Nats-Rollup", "sub"))
    items = header_items(world.link.sent[0][3])
    assert items[0] == ("KV-Operation", "DEL")
    assert [name for name, _ in items[1:]] == ["Petiole-Time", "Petiole-Time-Quality"]


def test_offline_and_restarted_only_the_last_values_are_sent():
    world = World()
    world.put("a", b"0")
    world.take()
    world.answer(world.replies[0])
    world.pass_time(3)  # that is on disk
    world.link.up = False
    for value in range(5):
        world.put("b", b"%d" % value)
    assert world.take() == []
    world.start()
    assert world.take() == [("reported.e1.b", b"4")]


def test_link_that_is_lost_in_between():
    world = World()
    world.put("a", b"1")
    world.take()
    late = world.replies[0]
    world.put("a", b"2")
    world.reported._on_link(False)
    world.take()
    world.reported._on_link(True)
    assert world.take() == [("reported.e1.a", b"2")]
    world.answer(late)  # the hub had got it: it says nothing of the newer one
    assert world.reported.waiting == {"$KV.R.e1.a": 2}


@pytest.mark.parametrize("how", ["refused", "silent", "forbidden"])
def test_hub_that_does_not_take_it_is_asked_again(how):
    world = World()
    world.link.why_not = "not permitted" if how == "forbidden" else ""
    world.put("a", b"1")
    world.take()
    if how == "refused":
        world.answer(world.replies[0], err_code=10077, description="maximum bytes exceeded")
    world.link.why_not = ""
    world.pass_time(10)
    world.pass_time(1)
    assert world.take() == [("reported.e1.a", b"1")]


def test_what_will_never_be_taken_is_given_up():
    world = World()
    world.put("a", b"1")
    world.take()
    world.answer(world.replies[0], err_code=10054, description="message size exceeds maximum allowed")
    world.pass_time(100)
    assert (world.take(), world.reported.waiting) == ([], {})


def test_so_many_are_under_way():
    world = World()
    world.link.up = False
    for number in range(WINDOW + 5):
        world.put(f"k{number}", b"x")
    world.link.up = True
    world.reported._on_link(True)
    assert len(world.take()) == WINDOW


def test_spent_budget():
    world = World()
    world.purse.left = 0
    world.put("a", b"1")
    assert world.take() == []
    world.purse.left = 1000
    world.pass_time(1)
    assert world.take() == [("reported.e1.a", b"1")]
    assert 800 < world.purse.left < 1000
