"""Uplinks on real streams, over a link whose other end is this test."""

import json
from collections.abc import Callable
from typing import NamedTuple

import pytest

from edge.config.options import UplinkBudget
from edge.core.leaf_link import SECOND
from edge.core.leaf_login import LeafLogin
from edge.core.leaf_remote import RemoteLink
from edge.core.leaf_rules import LinkRules
from edge.core.leaf_wire import LeafIdentity
from edge.core.router import Router
from edge.core.times import Clock
from edge.errors import StartError
from edge.jetstream.account import Limits, Stores
from edge.jetstream.jetstream import JetStream
from edge.jetstream.stream_config import StreamConfig
from edge.message import header_items
from edge.protocol.leaf import LeafParser
from edge.store.generation import GENERATION
from edge.store.memory import MemoryStore
from edge.uplink.status import Status
from edge.uplink.uplinks import Uplinks
from hub.payload import payload as unpacked


class Config(NamedTuple):
    name: str = "TELEMETRY"
    subjects: tuple[str, ...] = ("telemetry.>",)
    hub_stream: str = "HUBSTREAM"
    hub_domain: str = ""
    window: int = 16
    gather_ns: int = 0
    max_bytes: int = 1 << 20
    max_age_ns: int | None = None
    discard: str = "old"
    lane: str = "normal"
    weight: int = 0
    order: str = "live"
    receipts: str = ""
    compress: str = ""
    on_hub_loss: str = "continue"
    hours: tuple[tuple[int, int], ...] = ()
    time_zone: str = ""


class Hub:
    """A ``Wire`` that answers as a hub would, where ``answers`` is set."""

    def __init__(self) -> None:
        self.link: RemoteLink
        self.parser = LeafParser(self.on_message, self.on_line, 1 << 20)
        self.stored: list[tuple[str, bytes, bytes]] = []
        self.refuse = b""
        self.lines: list[bytes] = []
        self.back = b""

    def write(self, data: bytes) -> None:
        self.parser.receive(data)

    def close(self) -> None:
        pass

    def compress(self) -> None:
        pass

    def unsent(self) -> int:
        return 0

    def acknowledged(self) -> int:
        return 0

    def on_line(self, line: bytes) -> None:
        self.lines.append(line)

    def on_message(self, subject: str, reply: str, headers: bytes, payload: bytes, queues: object) -> None:
        if subject == "$JS.hub.API.STREAM.INFO.HUBSTREAM":
            state = {"first_seq": 1, "last_seq": len(self.stored)}
            self.answer(reply, {"created": "2026", "config": {"subjects": ["telemetry.>", "alarm.>"]}, "state": state})
        elif subject.startswith("$JS.hub.API.STREAM.MSG.GET."):
            self.answer(reply, {"error": {"code": 404, "err_code": 10037, "description": "no message found"}})
        elif payload == self.refuse and payload:
            self.answer(reply, {"error": {"code": 400, "err_code": 10054, "description": "too large"}})
        elif subject.startswith(("telemetry.", "alarm.")):
            self.stored.append((subject, headers, payload))
            self.answer(reply, {"stream": "HUBSTREAM", "domain": "hub", "seq": len(self.stored)})
        else:
            self.lines.append(f"{subject} {payload.decode()}".encode())

    def answer(self, reply: str, fields: dict[str, object]) -> None:
        body = json.dumps(fields).encode()
        self.back += b"LMSG %b %d\r\n%b\r\n" % (reply.encode(), len(body), body)


class Edge:
    """A process on a disk that outlives it."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.disk = MemoryStore(self.soon.append)
        self.now = 1000 * SECOND
        self.wall = 1_795_000_000 * SECOND
        self.ids = 0
        self.hub = Hub()

    def new_id(self) -> str:
        self.ids += 1
        return f"ID{self.ids}"

    def start(self, *configs: Config, budget: UplinkBudget | None = None) -> "Edge":
        self.router = Router()
        self.account = self.router.account("$G")
        clock = Clock(lambda: self.wall + self.now, lambda: self.now, lambda: None)
        stores = Stores(self.disk, MemoryStore(self.soon.append))
        self.server = JetStream(stores, clock, "e1", "e1")
        self.jetstream = self.server.add_account(self.account, Limits())
        found = self.disk.load()
        self.server.recover(found)
        rules = LinkRules(up_only=[subject for config in configs for subject in config.subjects], domain="e1")
        identity = LeafIdentity("N", "e1", "2.12.0", "e1", True, 1 << 20)
        self.link = self.hub.link = RemoteLink(self.router, self.account, identity, rules)
        self.uplinks = Uplinks(
            configs, "e1", self.account, self.jetstream, self.link, found.values, clock, self.new_id, budget
        )  # fmt: skip
        self.status = Status("e1", self.account, self.link, [self.uplinks], clock)
        self.run()
        return self

    def run(self) -> None:
        """Until nothing more happens, and a while of time."""
        for _ in range(30):
            self.now += SECOND // 5
            while self.soon or self.hub.back:
                calls, self.soon[:] = self.soon[:], []
                for call in calls:
                    call()
                self.router.flush()
                back, self.hub.back = self.hub.back, b""
                self.link.receive(back, self.now)
                self.router.flush()
            self.uplinks.tick(self.now)
            self.router.flush()

    def connect(self) -> None:
        self.link.opened(self.hub, "hub:7422", LeafLogin(), self.now)
        info = b'INFO {"domain":"hub","max_payload":1048576,"info_on_connect":true,"connect_info":true} \r\n'
        self.link.receive(info + info + b"PONG\r\n", self.now)
        self.router.flush()
        self.run()

    def publish(self, *payloads: bytes, subject: str = "telemetry.e1.d.t") -> None:
        for payload in payloads:
            self.account.publish(subject, payload)
        self.router.flush()
        self.run()

    def ask(self, subject: str) -> dict[str, object]:
        got: list[bytes] = []
        sub = self.account.subscribe("answer", lambda subject, reply, headers, payload: got.append(payload))
        self.account.publish(subject, reply="answer")
        self.run()
        self.account.unsubscribe(sub)
        return dict(json.loads(got[0]))

    def up(self, name: str = "TELEMETRY") -> dict[str, object]:
        report = self.status.report()
        uplinks = report["uplinks"]
        assert isinstance(uplinks, dict)
        return dict(uplinks[name])


@pytest.fixture
def edge() -> Edge:
    return Edge()


def test_the_local_stream_is_bounded_and_ours_and_unknown_to_the_hub(edge: Edge) -> None:
    edge.start(Config(max_age_ns=3600 * SECOND, discard="new"))
    config = edge.jetstream.stream("TELEMETRY").config
    assert (config.subjects, config.max_bytes, config.max_age_ns) == (("telemetry.>",), 1 << 20, 3600 * SECOND)
    assert (config.discard, config.storage) == ("new", "file")
    edge.connect()
    assert not any(b"telemetry" in line for line in edge.hub.lines if line.startswith(b"LS+"))


def test_up_and_gone(edge: Edge) -> None:
    edge.start(Config())
    edge.publish(b"1", b"2")
    assert edge.up()["backlog_messages"] == 2 and edge.up()["state"] == "down"
    edge.connect()
    edge.publish(b"3")
    assert [payload for _, _, payload in edge.hub.stored] == [b"1", b"2", b"3"]
    state = edge.up()
    assert (state["backlog_messages"], state["backlog_bytes"], state["acked_seq"], state["hub_seq"]) == (0, 0, 3, 3)
    assert state["state"] == "live" and str(state["last_puback"]).startswith("2026-")


def test_another_process_goes_on_where_this_one_ended(edge: Edge) -> None:
    edge.start(Config()).connect()
    edge.publish(b"1", b"2")
    edge.link.closed("")
    edge.publish(b"3")
    edge.start(Config(max_bytes=1 << 21))
    assert edge.jetstream.stream("TELEMETRY").config.max_bytes == 1 << 21
    assert edge.up()["backlog_messages"] == 1
    edge.connect()
    assert [payload for _, _, payload in edge.hub.stored] == [b"1", b"2", b"3"]
    ids = [headers.partition(b"Nats-Msg-Id: ")[2].partition(b"\r\n")[0] for _, headers, _ in edge.hub.stored]
    epoch = ids[0].split(b":")[1]
    assert ids == [b"e1:%b:%d" % (epoch, seq) for seq in (1, 2, 3)]


def test_a_stream_made_anew_begins_a_new_epoch(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    edge.start(Config()).connect()
    edge.publish(b"1")
    edge.link.closed("")
    edge.jetstream.delete_stream(edge.jetstream.stream("TELEMETRY"), lambda error: None)
    edge.run()
    edge.now += SECOND
    edge.start(Config()).connect()
    edge.publish(b"2")
    assert [payload for _, _, payload in edge.hub.stored] == [b"1", b"2"]
    assert edge.hub.stored[0][1] != edge.hub.stored[1][1]
    assert "a new epoch begins" in caplog.text


def test_somebody_elses_stream_is_not_taken_over(edge: Edge) -> None:
    edge.start()
    edge.jetstream.create_stream(StreamConfig("TELEMETRY", ("mine",)), lambda error: None)
    edge.run()
    with pytest.raises(StartError, match="uplink TELEMETRY: there is a stream of this name that is not an uplink's"):
        edge.start(Config())


def test_subjects_that_a_stream_has_already(edge: Edge) -> None:
    edge.start()
    edge.jetstream.create_stream(StreamConfig("MINE", ("telemetry.e1.>",)), lambda error: None)
    edge.run()
    with pytest.raises(StartError, match=r"uplink TELEMETRY: its stream cannot be kept: .*overlap"):
        edge.start(Config())


def test_a_dead_letter_has_its_reason_and_waits_for_a_person(edge: Edge) -> None:
    edge.start(Config()).connect()
    edge.hub.refuse = b"bad"
    edge.account.publish("telemetry.e1.x", b"bad", headers=b"NATS/1.0\r\nUnit: C\r\nNats-Msg-Id: own\r\n\r\n")
    edge.publish(b"good")
    assert [payload for _, _, payload in edge.hub.stored] == [b"good"]
    letter = edge.jetstream.stream("TELEMETRY_DEAD").get(1)
    assert letter is not None
    assert (letter.subject, letter.payload) == ("petiole.dead.TELEMETRY.telemetry.e1.x", b"bad")
    assert b"Petiole-Dead-Reason: too large\r\n" in letter.headers and b"Unit: C\r\n" in letter.headers
    assert edge.up()["dead"] == 1 and edge.up()["backlog_messages"] == 0
    edge.start(Config())
    assert edge.up()["dead"] == 1


def test_status_is_answered_here_and_to_the_hub(edge: Edge) -> None:
    edge.start(Config()).connect()
    got: list[bytes] = []
    edge.account.subscribe("here", lambda subject, reply, headers, payload: got.append(payload))
    edge.account.publish("petiole.e1.status", reply="here")
    report = json.loads(got[0])
    assert report["edge"] == "e1"
    assert report["leaf"] == {"connected": True, "rtt_ms": None, "remote": "hub:7422"}
    assert set(report["uplinks"]) == {"TELEMETRY"}
    assert b"LS+ petiole.e1.status" in edge.hub.lines
    edge.link.receive(b"LS+ there\r\nLMSG petiole.e1.status there 0\r\n\r\n", edge.now)
    edge.router.flush()
    assert any(line.startswith(b'there {"edge": "e1"') for line in edge.hub.lines)


def test_two_uplinks_do_not_mix(edge: Edge) -> None:
    edge.start(Config(), Config("ALARMS", ("alarm.>",), hub_stream="OTHER")).connect()
    edge.publish(b"1")
    edge.publish(b"!", subject="alarm.e1")
    assert [payload for _, _, payload in edge.hub.stored] == [b"1"]
    assert edge.up("ALARMS")["backlog_messages"] == 1 and edge.up()["backlog_messages"] == 0


def test_paused_by_command_until_it_is_told_to_go_on(edge: Edge) -> None:
    edge.start(Config()).connect()
    assert edge.ask("petiole.e1.uplink.TELEMETRY.pause") == {"uplink": "TELEMETRY", "paused": True}
    edge.publish(b"1", b"2")
    assert edge.hub.stored == [] and edge.up()["state"] == "paused" and edge.up()["backlog_messages"] == 2
    edge.link.closed("")
    edge.start(Config()).connect()  # another process
    edge.publish(b"3")
    edge.now += 100 * SECOND
    edge.run()
    assert edge.hub.stored == [] and edge.up()["state"] == "paused" and edge.up()["stalled"] is False
    assert edge.ask("petiole.e1.uplink.TELEMETRY.resume") == {"uplink": "TELEMETRY", "paused": False}
    assert sorted(payload for _, _, payload in edge.hub.stored) == [b"1", b"2", b"3"]
    assert edge.up()["state"] == "live"


def test_the_hub_may_tell_it_as_well(edge: Edge) -> None:
    edge.start(Config()).connect()
    assert b"LS+ petiole.e1.uplink.TELEMETRY.pause" in edge.hub.lines
    edge.link.receive(b"LS+ there\r\nLMSG petiole.e1.uplink.TELEMETRY.pause there 0\r\n\r\n", edge.now)
    edge.router.flush()
    edge.run()
    assert b'there {"uplink": "TELEMETRY", "paused": true}' in edge.hub.lines


def test_bulk_waits_for_its_hours_and_says_so(edge: Edge) -> None:
    night = Config(hours=((22 * 60, 6 * 60),), time_zone="UTC", lane="bulk")
    edge.wall = 1_795_435_200 * SECOND - edge.now  # noon
    edge.start(night).connect()
    edge.publish(b"1")
    state = edge.up()
    assert edge.hub.stored == []
    assert (state["state"], state["reason"]) == ("closed", "schedule: only 22:00-06:00 UTC")
    edge.wall += 11 * 3600 * SECOND
    edge.now += 20 * SECOND
    edge.run()
    assert [payload for _, _, payload in edge.hub.stored] == [b"1"]


def test_the_budget_of_a_day_is_spent_and_the_reserve_is_for_alarms(edge: Edge) -> None:
    budget = UplinkBudget(daily=4000, reserve_for="urgent", reserve_percent=50, time_zone="UTC")
    alarms = Config("ALARMS", ("alarm.>",), hub_stream="HUBSTREAM", lane="urgent")
    edge.start(Config(), alarms, budget=budget).connect()
    edge.publish(*[b"x" * 200] * 30)
    stored = len(edge.hub.stored)
    assert 0 < stored < 10
    assert edge.up()["state"] == "spent" and "kept for urgent lanes" in str(edge.up()["reason"])
    edge.publish(b"fire", subject="alarm.e1")
    report = edge.status.report()["budgets"][""]
    assert isinstance(report, dict) and report["daily"] == 4000 and report["used"] > 2000
    edge.start(Config(), alarms, budget=budget).connect()  # the day is the same
    edge.run()
    assert len([entry for entry in edge.hub.stored if entry[2].startswith(b"x")]) == stored
    assert [entry for entry in edge.hub.stored if entry[2] == b"fire"]


def test_nothing_goes_for_a_minute(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    edge.start(Config())
    edge.publish(b"1")
    edge.now += 61 * SECOND
    edge.run()
    assert edge.up()["stalled"] is True
    assert "uplink TELEMETRY: ALARM: nothing has gone for 60 s, 1 messages wait: no link to the hub" in caplog.text
    edge.connect()
    assert edge.up()["stalled"] is False and edge.up()["time_to_drained_s"] == 0


def test_how_long_until_it_is_full(edge: Edge) -> None:
    edge.start(Config(max_bytes=100_000))
    for _ in range(20):
        edge.publish(b"x" * 100)
    state = edge.up()
    assert state["time_to_drained_s"] is None
    assert isinstance(state["time_to_full_s"], float) and 1000 < state["time_to_full_s"] < 10_000


def test_a_store_from_a_backup_begins_a_new_epoch_and_asks_for_what_it_holds(
    edge: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    edge.start(Config()).connect()
    edge.publish(b"1", b"2")
    edge.link.closed("")
    edge.publish(b"3")
    edge.disk.put_value(GENERATION, b"another")
    edge.disk.commit(lambda error: None)
    edge.run()
    edge.start(Config())
    assert "uplink TELEMETRY: its store was restored from a backup: a new epoch begins behind 3" in caplog.text
    edge.publish(b"4")
    edge.connect()
    assert sorted(payload for _, _, payload in edge.hub.stored) == [b"1", b"2", b"3", b"4"]
    ids = {
        payload: headers.partition(b"Nats-Msg-Id: ")[2].partition(b"\r\n")[0]
        for _, headers, payload in edge.hub.stored
    }
    first, second = ids[b"3"].split(b":")[1], ids[b"4"].split(b":")[1]
    assert first == ids[b"1"].split(b":")[1] != second
    assert (ids[b"3"], ids[b"4"]) == (b"e1:%b:3" % first, b"e1:%b:4" % second)
    edge.start(Config()).connect()
    edge.publish(b"5")
    assert edge.hub.stored[-1][1].partition(b"Nats-Msg-Id: ")[2].startswith(b"e1:%b:5\r\n" % second)
    assert caplog.text.count("restored from a backup") == 1


@pytest.mark.parametrize("method, encoding", [("zlib", b"deflate"), ("zstd", b"zstd")])
def test_what_becomes_smaller_goes_up_compressed(edge: Edge, method: str, encoding: bytes) -> None:
    edge.start(Config(compress=method)).connect()
    long = json.dumps([{"celsius": 20.5, "humidity": 40 + number} for number in range(50)]).encode()
    edge.account.publish("telemetry.e1.z", long, headers=b"NATS/1.0\r\ncontent-encoding: br\r\n\r\n")
    edge.publish(long, b"short", bytes(range(256)))
    found = {
        unpacked(dict(header_items(headers)), data): b"Content-Encoding: " + encoding in headers
        for _, headers, data in edge.hub.stored[1:]
    }
    assert found == {long: True, b"short": False, bytes(range(256)): False}
    assert edge.hub.stored[0][2] == long
    assert len(edge.hub.stored[1][2]) < len(long) // 4
