"""What a store that is not the edge's last one asks of the hub, held against a hub from a script."""

import base64
import json
import queue
from typing import Any

import pytest

from edge.core.router import Router
from edge.core.times import SECOND, Clock, rfc3339
from edge.downlink.past import ANSWER_NS, BATCH, KEY, Past, Results
from edge.jetstream.account import Limits, Stores
from edge.jetstream.jetstream import JetStream
from edge.jetstream.stream_config import StreamConfig
from edge.message import header_block
from edge.store.generation import GENERATION
from edge.store.memory import MemoryStore

TIME = rfc3339(1_800_000_000 * SECOND)
NONE = {"error": {"code": 404, "err_code": 10037, "description": "no message found"}}


class Link:
    def __init__(self, account: Any) -> None:
        self.account = account
        self.up = False
        self.rtt = 0
        self.listeners: list[Any] = []
        self.sent: list[tuple[str, Any, str]] = []
        self.why_not = ""

    def refusal(self, subject: str, size: int) -> str:
        return self.why_not

    def publish(self, subject: str, payload: bytes, reply: str = "", headers: bytes = b"") -> bool:
        self.sent.append((subject.removeprefix("$JS.hub.API."), json.loads(payload), reply))
        return True

    def turn(self, up: bool) -> None:
        self.up = up
        for listener in self.listeners:
            listener(up)


class Script:
    """``here``: commands in the mirror, which has their sequences."""

    def __init__(self, here: int = 0, values: dict[str, bytes] | None = None, is_damaged: bool = False) -> None:
        self.now = 5 * SECOND
        self.calls: queue.Queue[Any] = queue.Queue()
        self.store = MemoryStore(self.calls.put)
        self.account = Router().account("A")
        clock = Clock(lambda: self.now, lambda: self.now, lambda: None)
        jetstream = JetStream(Stores(self.store, MemoryStore(self.calls.put)), clock, "", "js")
        js = jetstream.add_account(self.account, Limits())
        self.queue = js.create_stream(StreamConfig(name="COMMANDS", subjects=("queued.commands.e1.>",)), lambda error: None)
        for _ in range(here):
            self.account.publish("queued.commands.e1.d.go", b"")
        self.store.values.update(values or {})
        self.settle()
        self.link = Link(self.account)
        self.told = 0
        self.start(is_damaged)

    def start(self, is_damaged: bool = False) -> None:
        clock = Clock(lambda: self.now, lambda: self.now, lambda: None)
        self.link.listeners.clear()
        self.past = Past(
            "e1", self.link, self.queue, "hub", Results("hub", "RESULTS"), dict(self.store.values), clock, "_INBOX.p",
            self.queue.last_seq > 0, is_damaged,
        )  # fmt: skip
        self.past.tell = self._tell
        self.settle()

    def _tell(self) -> None:
        self.told += 1

    def settle(self) -> None:
        self.account.router.flush()
        for _ in range(5):
            done: list[None] = []
            self.store.commit(lambda error, done=done: done.append(None))
            while not done or not self.calls.empty():
                self.calls.get(timeout=60)()
                self.account.router.flush()

    def asked(self) -> tuple[str, Any]:
        ((subject, body, self.reply),) = self.link.sent
        self.link.sent.clear()
        return subject, body

    def answer(self, fields: Any) -> None:
        self.account.publish(self.reply, json.dumps(fields).encode())

    def message(self, seq: int, id: str = "") -> None:
        hdrs = base64.b64encode(header_block([("Petiole-Command", id)])).decode()
        self.answer({"message": {"subject": "x", "seq": seq, "hdrs": hdrs, "time": TIME}})

    def consumer(self, pending: int) -> str:
        subject, body = self.asked()
        name = str(body["config"]["name"])
        assert subject == f"CONSUMER.CREATE.RESULTS.{name}.results.e1.>"
        self.answer({"name": name, "delivered": {"stream_seq": 4, "consumer_seq": 0}, "num_pending": pending})
        return name

    def show(self, name: str, seq: int, cseq: int, id: str) -> None:
        reply = f"$JS.ACK.RESULTS.{name}.1.{seq}.{cseq}.17.0"
        self.account.publish(self.reply, b"", reply=reply, headers=header_block([("Petiole-Command", id)]))

    def pass_time(self, ns: int) -> None:
        self.now += ns
        self.past.tick(self.now)


def restored(here: int = 0) -> Script:
    return Script(here, {KEY: b'{"generation":""}', GENERATION: b"g2"})


def test_the_edge_s_last_store_asks_nothing():
    for script in (Script(3), Script(3, {KEY: b'{"generation":"g","reason":"","until":0}', GENERATION: b"g"})):
        script.link.turn(True)
        assert (script.link.sent, script.past.is_open, script.past.doubts(1)) == ([], False, False)


def test_new_edge_runs_everything():
    script = Script()
    script.link.turn(True)
    assert script.asked() == ("STREAM.MSG.GET.COMMANDS", {"seq": 1, "next_by_subj": "queued.commands.e1.>"})
    script.message(8)
    assert script.asked() == ("STREAM.MSG.GET.COMMANDS", {"last_by_subj": "queued.commands.e1.>"})
    script.message(9)
    assert script.asked() == ("STREAM.MSG.GET.RESULTS", {"last_by_subj": "results.e1.>"})
    assert script.past.is_open
    script.answer(NONE)
    assert (script.past.is_open, script.past.doubts(9), script.told) == (False, False, 1)
    script.start()
    assert not script.past.is_open, "it is noted"


def test_nothing_at_the_hub_is_nothing_in_doubt():
    script = restored()
    script.link.turn(True)
    script.asked()
    script.answer(NONE)
    assert (script.past.is_open, script.past.doubts(1)) == (False, False)


def test_restored_edge_reads_what_the_hub_was_told():
    script = restored(here=2)
    assert script.past.state() == "the store was put back from a backup; the hub is asked"
    script.link.turn(True)
    assert script.asked()[1] == {"last_by_subj": "queued.commands.e1.>"}
    script.message(7)
    name = script.consumer(pending=2)
    assert script.asked() == (f"CONSUMER.MSG.NEXT.RESULTS.{name}", {"batch": 2, "expires": ANSWER_NS // 2})
    script.show(name, 5, 1, "a")
    script.show("another", 6, 2, "stale")
    script.show(name, 9, 2, "b")
    assert script.asked() == ("STREAM.MSG.GET.RESULTS", {"seq": 10, "next_by_subj": "results.e1.>"})
    script.message(11, "c")  # the consumer was beside a replica that lags behind
    assert script.asked()[1]["seq"] == 12
    script.answer(NONE)
    assert script.past.ended == {"a", "b", "c"}
    assert [script.past.doubts(seq) for seq in (1, 7, 8)] == [True, True, False]
    assert not script.past.is_settled(), "of what is in doubt there is more to come"


def test_what_comes_later_is_not_in_doubt_after_a_restart_in_the_middle():
    script = restored(here=2)
    script.link.turn(True)
    script.asked()
    script.message(7)
    script.consumer(pending=0)
    script.asked()
    script.answer(NONE)
    script.settle()
    script.link.turn(False)
    script.start()
    assert script.past.is_open
    script.link.turn(True)
    script.consumer(pending=0)
    assert script.past.until == 7


def test_consumer_that_is_lost_costs_only_questions():
    script = restored(here=1)
    script.link.turn(True)
    script.asked()
    script.message(1)
    name = script.consumer(pending=3 * BATCH)
    script.asked()
    script.show(name, 5, 1, "a")
    script.account.publish(script.reply, b"", headers=b"NATS/1.0 409 Consumer Deleted\r\n\r\n")
    for seq in (6, 7):
        assert script.asked()[1]["seq"] == seq
        script.message(seq, f"x{seq}")
    script.asked()
    script.answer(NONE)
    assert script.past.ended == {"a", "x6", "x7"}


@pytest.mark.parametrize(
    "answer",
    [
        [], 7, "x", {}, {"message": 3}, {"message": {"seq": "x"}}, {"error": {"code": 503, "err_code": 10008, "description": "no"}},
        {"error": 1}, {"message": None},
    ],
)  # fmt: skip
def test_answers_that_are_none_are_asked_for_again(answer):
    script = restored(here=1)
    script.link.turn(True)
    script.asked()
    script.answer(answer)
    assert script.past.is_open and not script.link.sent
    assert script.past.waits in script.past.state()
    script.pass_time(2 * SECOND)
    assert script.asked()[1] == {"last_by_subj": "queued.commands.e1.>"}


def test_no_answer_no_permission_no_link():
    script = restored(here=1)
    script.link.why_not = "the hub does not permit it"
    script.link.turn(True)
    assert script.past.waits == "the hub does not permit it"
    script.link.why_not = ""
    script.pass_time(2 * SECOND)
    script.asked()
    script.pass_time(ANSWER_NS)
    assert script.past.waits == "no answer from the hub"
    script.link.turn(False)
    script.pass_time(600 * SECOND)
    assert not script.link.sent
    script.link.turn(True)
    script.asked()


def test_lost_notes_put_in_doubt_what_is_here():
    script = Script(2, {KEY: b'{"generation":""}'}, is_damaged=True)
    script.link.turn(True)
    script.consumer(pending=0)
    script.asked()
    script.answer(NONE)
    assert [script.past.doubts(seq) for seq in (1, 2, 3)] == [True, True, False]
    assert script.past.is_settled()
    script.past.settled()
    script.settle()
    script.start()
    assert (script.past.is_open, script.past.doubts(1)) == (False, False)


def test_damaged_note_of_the_past_itself():
    for kept in (b"\xff", b"[]", b'{"until":"x"}', b'{"generation":"","until":{}}'):
        assert Script(1, {KEY: kept}).past.is_open
