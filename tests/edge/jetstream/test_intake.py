"""An intake against an origin that is played from a script: what it asks, what it makes of the answers, and when it
asks again."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from edge.core.account import Account
from edge.core.peer import Link, Subscription
from edge.core.router import Router
from edge.core.times import SECOND, Clock
from edge.errors import ApiError
from edge.jetstream.intake import Intake, Message
from edge.jetstream.origin import External, Origin, OriginConsumer, read_origin, short_hash
from edge.jetstream.origin_consumer import MIRROR, SOURCE, Kind, Start, parse_delivery
from edge.message import header_get, status_block

HUB = External("$JS.hub.API", "")
LEVELS = b"NATS/1.0\r\nNats-Required-Api-Level: 5\r\nNats-Stream-Identity: \r\n\r\n"


class Owner:
    """A stream that keeps what it is given at once, or when it is told to."""

    def __init__(self) -> None:
        self.begin = Start()
        self.messages: list[Message] = []
        self.calls: list[Callable[[], None]] = []
        self.made: list[int] = []
        self.recreations = 0

    def start(self, intake: Intake) -> Start:
        return self.begin if not intake.seq else Start(intake.seq + 1)

    def established(self, intake: Intake, before: int, listen: Callable[[], None]) -> None:
        self.made.append(before)
        intake.seq = max(intake.seq, before)
        listen()

    def recreated(self, intake: Intake) -> None:
        self.recreations += 1

    def take(self, intake: Intake, message: Message) -> None:
        self.messages.append(message)

    def when_stored(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def store(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class Leaf(Link):
    """A hub that the script plays: it keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__("hub")
        self.sent: list[tuple[str, str, bytes, bytes]] = []

    def enqueue(self, subject: str, reply: str, queues: list[str], headers: bytes, payload: bytes) -> bool:
        self.sent.append((subject, reply, headers, payload))
        return True


class Script:
    def __init__(self, origin: Origin, kind: Kind = SOURCE) -> None:
        self.now = 1000 * SECOND
        self.account: Account = Router().account("A")
        self.owner = Owner()
        self.leaf = Leaf()
        self.api = Subscription(self.leaf, "$JS.hub.API.>", announce=False)
        self.flow = Subscription(self.leaf, "$JS.FC.>", announce=False)
        self.woken = 0
        clock = Clock(lambda: 0, lambda: self.now, self._wake)
        told = {"acc": "A", "domain": "edge", "stream": "AGG"}
        self.intake = Intake(self.owner, origin, kind, self.account, clock, "abcdefgh", told)

    def _wake(self) -> None:
        self.woken += 1

    def link(self) -> None:
        self.account.add(self.api)
        self.account.add(self.flow)

    def cut(self) -> None:
        self.account.remove(self.api)
        self.account.remove(self.flow)

    def begin(self) -> None:
        self.link()
        self.intake.begin()
        self.pass_time(SECOND)

    def pass_time(self, ns: int) -> None:
        end = self.now + ns
        while (deadline := self.intake.deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.intake.tick(self.now)
        self.now = end

    def requests(self) -> list[tuple[str, bytes, Any]]:
        """What was asked since the last time: subject, headers, body."""
        sent, self.leaf.sent = self.leaf.sent, []
        self.reply = sent[-1][1] if sent else ""
        return [(subject, headers, json.loads(body) if body else None) for subject, _, headers, body in sent]

    def answer(self, before: int = 0, name: str = "C", identity: str = "ident000", **more: object) -> None:
        ((_, _, body),) = self.requests()
        config = (body or {}).get("config", {}) | more
        fields = {"name": name, "config": config, "delivered": {"consumer_seq": 0, "stream_seq": before}}
        headers = f"NATS/1.0\r\nNats-Stream-Identity: {identity}\r\n\r\n".encode() if identity else b""
        self.account.publish(self.reply, json.dumps(fields).encode(), headers=headers)
        self.deliver = str(config.get("deliver_subject"))

    def refuse(self, code: int, err_code: int) -> None:
        self.requests()
        error = {"code": code, "err_code": err_code, "description": "no"}
        self.account.publish(self.reply, json.dumps({"error": error}).encode())

    def send(self, seq: int, cseq: int, name: str = "C", count: int = 1, pending: int = 0) -> None:
        reply = f"$JS.ACK.O.{name}.{count}.{seq}.{cseq}.17.{pending}@o.{seq}"
        self.account.deliver_from_leaf(self.leaf, self.deliver, reply, b"", b"m%d" % seq, ())

    def control(self, text: str, reply: str = "", **lines: str) -> None:
        items = [(name.replace("_", "-"), value) for name, value in lines.items()]
        self.account.deliver_from_leaf(self.leaf, self.deliver, reply, status_block(100, text, items), b"", ())

    def heartbeat(self, last: int) -> None:
        self.control("Idle Heartbeat", Nats_Last_Consumer=str(last))

    def seqs(self) -> list[int]:
        return [message.seq for message in self.owner.messages]


@pytest.fixture
def script() -> Script:
    return Script(Origin("O", external=HUB))


def test_it_asks_as_nats_server_does(script: Script) -> None:
    script.begin()
    ((subject, headers, body),) = script.requests()
    assert subject == "$JS.hub.API.CONSUMER.CREATE.O"
    assert headers == LEVELS
    deliver = body["config"].pop("deliver_subject")
    assert deliver.startswith("$JS.S.") and len(deliver) == 14
    assert script.reply.startswith("$JSC.R.") and len(script.reply) == 15
    metadata = {"_nats.src.acc": "A", "_nats.src.domain": "edge", "_nats.src.stream": "AGG"}
    assert body == {
        "stream_name": "O",
        "config": {
            "name": "JS_SRC_abcdefgh", "deliver_policy": "all", "ack_policy": "none", "ack_wait": 79200 * SECOND,
            "max_deliver": 1, "replay_policy": "instant", "flow_control": True, "idle_heartbeat": SECOND,
            "inactive_threshold": 10 * SECOND, "num_replicas": 0, "direct": True, "sourcing": True,
            "metadata": metadata,
        },
        "action": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "subject", "wanted"),
    [
        ({"filter_subject": "o.>"}, ".JS_SRC_abcdefgh.o.>", {"filter_subject": "o.>"}),
        ({"subject_transforms": [{"src": "o.1", "dest": "x"}]}, ".JS_SRC_abcdefgh.o.1", {"filter_subject": "o.1"}),
        (
            {"subject_transforms": [{"src": "o.1", "dest": "x"}, {"src": "o.2", "dest": ""}]},
            "",
            {"filter_subjects": ["o.1", "o.2"]},
        ),
    ],
)
def test_filters_are_the_origins_work(fields: dict[str, object], subject: str, wanted: dict[str, object]) -> None:
    origin = read_origin({"name": "O", "external": {"api": "$JS.hub.API", "deliver": "deliver.hub"}, **fields})
    assert origin is not None
    script = Script(origin)
    script.begin()
    ((asked, _, body),) = script.requests()
    assert asked == "$JS.hub.API.CONSUMER.CREATE.O" + subject
    assert body["config"].items() >= wanted.items()
    assert body["config"]["deliver_subject"].startswith("deliver.hub.S.")


def test_an_origin_that_is_made_later_is_asked_as_soon_as_it_is_there(script: Script) -> None:
    script.begin()
    news = "$JS.EVENT.ADVISORY.STREAM.CREATED.O"
    for refusals in (1, 2, 13):  # however long it waits by now
        for _ in range(refusals):
            while not script.leaf.sent:
                script.pass_time(SECOND)
            script.refuse(404, 10059)
        script.pass_time(3 * SECOND)
        assert (script.requests(), script.account.has_interest(news)) == ([], True)
        script.account.publish(news, b"{}")
        script.pass_time(1)
        assert len(script.leaf.sent) == 1
    script.answer()
    assert not script.account.has_interest(news)


def test_a_mirror_asks_without_an_identity() -> None:
    script = Script(Origin("O", external=HUB), MIRROR)
    script.owner.begin = Start(7)
    script.begin()
    ((_, headers, body),) = script.requests()
    assert headers == b"NATS/1.0\r\nNats-Required-Api-Level: 4\r\n\r\n"
    assert body["config"]["name"] == "JS_MIRROR_abcdefgh"
    assert (body["config"]["deliver_policy"], body["config"]["opt_start_seq"]) == ("by_start_sequence", 7)
    assert body["config"]["deliver_subject"].startswith("$JS.M.")
    assert body["config"]["metadata"]["_nats.mirror.stream"] == "AGG"


def test_messages_are_taken_in_order_with_subject_and_time(script: Script) -> None:
    script.begin()
    script.answer()
    script.send(1, 1, pending=5)
    assert script.intake.lag == 4
    script.send(4, 2)  # 2 and 3 are gone at the origin
    assert script.owner.messages == [Message("o.1", b"", b"m1", 1, 17), Message("o.4", b"", b"m4", 4, 17)]
    assert script.intake.lag == 0


def test_who_is_not_our_consumer_is_not_heard(script: Script) -> None:
    script.begin()
    script.answer()
    script.send(1, 1, name="OTHER")
    script.send(1, 1, count=2)
    script.account.publish(script.deliver, b"x")
    script.account.publish(script.deliver, b"x", reply="$JS.ACK.O.C.1.x.1.17.0")
    assert script.seqs() == []
    script.send(1, 1)
    assert script.seqs() == [1]


def test_a_gap_begins_a_new_consumer_behind_the_last_message(script: Script) -> None:
    script.begin()
    script.answer(identity="ident001")
    script.send(1, 1)
    script.send(3, 3)
    assert script.seqs() == [1]
    assert script.requests() == []  # not so soon after the last one
    script.pass_time(2 * SECOND)
    script.send(3, 3)
    ((_, headers, body),) = script.requests()
    assert header_get(headers, "Nats-Stream-Identity") == "ident001"
    assert (body["config"]["deliver_policy"], body["config"]["opt_start_seq"]) == ("by_start_sequence", 2)


def test_a_heartbeat_tells_of_messages_that_never_came(script: Script) -> None:
    script.begin()
    script.answer()
    script.send(1, 1)
    script.heartbeat(1)
    script.pass_time(9 * SECOND)
    script.heartbeat(1)
    script.pass_time(9 * SECOND)
    assert script.requests() == []
    script.heartbeat(2)
    script.pass_time(0)
    ((_, _, body),) = script.requests()
    assert body["config"]["opt_start_seq"] == 2


def test_silence_ends_a_consumer(script: Script) -> None:
    script.begin()
    script.answer()
    script.heartbeat(0)
    script.pass_time(10 * SECOND - 1)
    assert script.requests() == []
    script.pass_time(1)
    assert len(script.requests()) == 1


def test_a_new_consumer_sends_what_is_known_already(script: Script) -> None:
    """One that acknowledges begins behind what it knows to be acknowledged."""
    script.begin()
    script.answer()
    for seq in (1, 2, 3):
        script.send(seq, seq)
    script.pass_time(15 * SECOND)
    script.answer(name="D")
    for cseq, seq in enumerate((2, 3, 4), 1):
        script.send(seq, cseq, name="D")
    assert script.seqs() == [1, 2, 3, 4]
    script.heartbeat(3)
    assert script.intake.state.value == "listening"


def test_flow_control_is_answered_when_all_is_stored(script: Script) -> None:
    script.begin()
    script.answer()
    script.send(5, 1)
    script.control("FlowControl Request", "$JS.FC.O.C.abcd")
    script.send(6, 2)
    assert script.requests() == []
    script.owner.store()
    assert script.leaf.sent == [
        ("$JS.FC.O.C.abcd", "", b"NATS/1.0\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 5\r\n\r\n", b"")
    ]


def test_a_stalled_origin_is_answered(script: Script) -> None:
    script.begin()
    script.answer()
    script.control("Idle Heartbeat", Nats_Last_Consumer="0", Nats_Consumer_Stalled="$JS.FC.O.C.abcd")
    script.owner.store()
    assert [subject for subject, *_ in script.leaf.sent] == ["$JS.FC.O.C.abcd"]


def test_an_answer_of_an_earlier_consumer_is_not_sent(script: Script) -> None:
    """What it says of sequences is not true of the next one."""
    script.begin()
    script.answer()
    script.control("FlowControl Request", "$JS.FC.O.C.abcd")
    script.pass_time(15 * SECOND)
    script.requests()
    script.owner.store()
    assert script.leaf.sent == []


# ---- servers before 2.14


def answer_as_of_old(script: Script, before: int = 0) -> None:
    """What 2.10 and 2.11 make of any request: the consumer, without what they do not know."""
    script.answer(before, identity="", sourcing=None)


def tell_origin(script: Script, retention: str = "limits", created: str = "2026-01-01T00:00:00Z") -> None:
    ((subject, headers, body),) = script.requests()
    assert (subject, headers, body) == ("$JS.hub.API.STREAM.INFO.O", b"", None)
    answer = {"config": {"name": "O", "retention": retention}, "created": created}
    script.account.publish(script.reply, json.dumps(answer).encode())


def make_old(script: Script, **fields: str) -> None:
    script.begin()
    answer_as_of_old(script)
    ((_, headers, body),) = script.requests()
    assert headers == b"" and "sourcing" not in body["config"]
    script.leaf.sent.append(("", script.reply, b"", json.dumps(body).encode()))
    answer_as_of_old(script)
    tell_origin(script, **fields)


@pytest.mark.parametrize("err_code", [10185, 10025])
def test_older_servers_are_asked_in_their_own_way(script: Script, err_code: int) -> None:
    script.begin()
    script.refuse(412, err_code)
    ((_, headers, _),) = script.requests()
    assert headers == b"NATS/1.0\r\nNats-Required-Api-Level: 4\r\n\r\n"
    script.account.publish(
        script.reply, json.dumps({"error": {"code": 412, "err_code": err_code, "description": ""}}).encode()
    )
    ((_, headers, body),) = script.requests()
    assert headers == b""
    assert "sourcing" not in body["config"]
    assert body["config"]["name"].startswith("JS_SRC_abcdefgh_")


def test_a_server_that_takes_no_notice_is_asked_under_another_name(script: Script) -> None:
    make_old(script)
    script.send(1, 1)
    script.send(2, 2)
    assert script.seqs() == [1, 2]
    script.pass_time(15 * SECOND)  # it is known by now
    ((_, headers, body),) = script.requests()
    assert headers == b""
    assert body["config"]["name"].startswith("JS_SRC_abcdefgh_")
    assert body["config"]["opt_start_seq"] == 3


def test_a_server_that_has_a_consumer_of_that_name_is_asked_under_another_one(script: Script) -> None:
    script.begin()
    script.refuse(500, 10012)
    ((_, headers, body),) = script.requests()
    assert headers == b""
    assert body["config"]["name"].startswith("JS_SRC_abcdefgh_")


def test_an_older_server_may_have_become_a_newer_one(script: Script) -> None:
    make_old(script)
    script.send(1, 1)
    assert script.intake.identity.startswith("~")
    script.cut()
    script.link()
    script.pass_time(3 * SECOND)
    ((_, headers, body),) = script.requests()
    assert headers == LEVELS
    script.leaf.sent.append(("", script.reply, b"", json.dumps(body).encode()))
    script.answer(before=1, identity="ident001")
    script.send(2, 1)
    assert script.seqs() == [1, 2]
    assert script.owner.recreations == 0


@pytest.mark.parametrize("retention", ["workqueue", "interest"])
def test_an_older_server_is_not_asked_for_what_it_would_lose(
    script: Script, retention: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_old(script, retention=retention)
    script.send(1, 1)
    assert script.seqs() == []
    assert "a server before 2.14 would lose what is on its way" in caplog.text


def test_a_stream_of_an_older_server_that_was_made_anew(script: Script) -> None:
    make_old(script)
    script.send(5, 1)
    script.pass_time(15 * SECOND)
    answer_as_of_old(script, before=5)
    tell_origin(script, created="2026-02-02T00:00:00Z")
    assert script.owner.recreations == 1
    script.requests()
    script.pass_time(3 * SECOND)
    ((_, _, body),) = script.requests()
    assert body["config"]["deliver_policy"] == "all"


def test_a_server_without_identities_is_asked_when_the_stream_was_made(script: Script) -> None:
    """2.14, whose consumers acknowledge."""
    script.begin()
    script.answer(identity="", ack_policy="flow_control")
    tell_origin(script, "workqueue")
    script.send(5, 1)
    assert script.seqs() == [5]
    script.pass_time(15 * SECOND)
    script.answer(before=5, identity="", ack_policy="flow_control")
    tell_origin(script, "workqueue", created="2026-02-02T00:00:00Z")
    assert script.owner.recreations == 1
    ((subject, _, _),) = script.requests()
    assert subject == "$JS.hub.API.CONSUMER.DELETE.O.C"
    script.pass_time(3 * SECOND)
    ((_, headers, body),) = script.requests()
    assert headers == LEVELS and body["config"]["deliver_policy"] == "all"


@pytest.mark.parametrize("is_sourcing", [True, False])
def test_who_may_not_ask_goes_on_where_nothing_can_be_lost(
    is_sourcing: bool, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.begin()
    if is_sourcing:
        script.answer(identity="")
    else:
        answer_as_of_old(script)
        answer_as_of_old(script)
    script.requests()
    script.pass_time(10 * SECOND)
    script.deliver = str(script.intake.deliver_sub.subject) if script.intake.deliver_sub else ""
    assert bool(script.deliver) is is_sourcing
    assert ("does not answer which retention" in caplog.text) is not is_sourcing


def test_an_older_server_that_tells_nothing_is_asked_again(script: Script) -> None:
    script.begin()
    answer_as_of_old(script)
    ((_, _, body),) = script.requests()
    script.leaf.sent.append(("", script.reply, b"", json.dumps(body).encode()))
    answer_as_of_old(script)
    script.requests()
    script.account.publish(script.reply, b'{"config": 5}')
    assert script.intake.error is not None
    script.pass_time(15 * SECOND)
    assert script.requests()


def test_an_origin_that_was_made_anew_is_taken_from_its_beginning(script: Script) -> None:
    script.begin()
    script.answer(identity="ident001")
    script.send(5, 1)
    script.pass_time(15 * SECOND)
    script.refuse(400, 10225)
    assert script.owner.recreations == 1
    script.pass_time(3 * SECOND)
    ((_, headers, body),) = script.requests()
    assert headers == LEVELS
    assert body["config"]["deliver_policy"] == "all"


def test_failures_wait_longer_each_time(script: Script) -> None:
    script.begin()
    waits = []
    for _ in range(14):
        script.refuse(404, 10059)
        assert script.intake.error is not None and script.intake.error.err_code == 10059
        before = script.now
        while not script.leaf.sent:
            script.pass_time(SECOND)
        waits.append((script.now - before) // SECOND)
    assert waits[:3] == [12, 22, 32]
    assert waits[-1] == 122


def test_what_cannot_be_kept_is_asked_for_less_and_less(script: Script, caplog: pytest.LogCaptureFixture) -> None:
    """Each time a window of messages comes in vain, and the line may be metered."""
    script.begin()
    waits = []
    for _ in range(8):
        script.answer()
        script.send(1, 1)
        script.intake.seq = 0
        script.intake.again(ApiError(500, 10047, "no room"))
        before = script.now
        while not script.leaf.sent:
            script.pass_time(SECOND)
        waits.append((script.now - before) // SECOND)
    assert waits == [2, 10, 18, 34, 62, 62, 62, 62]
    assert caplog.text.count("stream AGG: from O at $JS.hub.API: no room (10047)") == 1
    script.answer()
    script.intake.kept()
    script.intake.again(ApiError(500, 10047, "no room"))
    script.pass_time(2 * SECOND)
    assert len(script.requests()) == 1


def test_an_answer_that_does_not_come_is_asked_for_again(script: Script) -> None:
    script.begin()
    assert len(script.requests()) == 1
    script.pass_time(10 * SECOND)
    assert script.requests() == []
    script.pass_time(10 * SECOND)
    assert len(script.requests()) == 1


def test_it_asks_as_soon_as_the_origin_can_be_reached(script: Script) -> None:
    script.intake.begin()
    script.pass_time(60 * SECOND)
    assert script.requests() == []
    script.link()
    script.pass_time(0)
    assert len(script.requests()) == 1


def test_a_link_that_comes_back_is_asked_at_once(script: Script) -> None:
    script.begin()
    script.answer()
    script.send(1, 1)
    script.pass_time(5 * SECOND)
    script.cut()
    script.pass_time(SECOND)
    script.link()
    script.pass_time(0)
    ((_, _, body),) = script.requests()
    assert body["config"]["opt_start_seq"] == 2


def test_a_link_that_flaps_is_asked_again_each_time(script: Script) -> None:
    script.begin()
    for _ in range(3):
        script.answer()
        script.cut()
        script.pass_time(SECOND // 10)
        script.link()
        script.pass_time(SECOND // 5)


def test_a_cluster_without_a_leader_is_asked_again_soon(script: Script) -> None:
    script.begin()
    for _ in range(5):
        script.refuse(503, 10008)
        script.pass_time(3 * SECOND)
    script.answer()
    script.send(1, 1)
    assert script.seqs() == [1]


def test_a_request_that_went_with_the_link_is_not_waited_for(script: Script) -> None:
    script.begin()
    assert len(script.requests()) == 1
    script.cut()
    script.pass_time(3 * SECOND)
    script.link()
    script.pass_time(0)
    assert len(script.requests()) == 1


def test_other_interest_is_no_sign(script: Script) -> None:
    script.begin()
    script.answer()
    other = Subscription(script.leaf, "$JS.other.API.>", announce=False)
    script.account.add(other)
    script.account.remove(other)
    script.account.add(other)
    script.pass_time(5 * SECOND)
    assert script.requests() == []


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"{", b"[]", b"7", b"null", b"{}", b'{"error": 7}', b'{"error": {"code": "x"}}', b'{"name":"C"}',
        b'{"name":"C","config":{},"delivered":{"stream_seq":0}}', b"[" * 100_000,
        b'{"name":"C","config":{"deliver_subject":">"},"delivered":{"stream_seq":0}}',
        b'{"name":"C","config":{"deliver_subject":7},"delivered":{"stream_seq":0}}',
        b'{"name":"C","config":{"deliver_subject":"x"},"delivered":{"stream_seq":null}}',
    ],
)  # fmt: skip
def test_answers_that_are_none_are_survived(script: Script, answer: bytes) -> None:
    script.begin()
    script.requests()
    script.account.publish(script.reply, answer)
    assert script.intake.error is not None and script.intake.error.err_code == 10045
    script.pass_time(15 * SECOND)
    assert len(script.requests()) == 1


def test_a_consumer_that_was_made_for_us_is_reset() -> None:
    script = Script(Origin("O", external=HUB, consumer=OriginConsumer("DUR", "dur.deliver")))
    script.begin()
    ((subject, headers, body),) = script.requests()
    assert (subject, headers, body) == ("$JS.hub.API.CONSUMER.RESET.O.DUR", LEVELS, None)
    script.pass_time(17 * SECOND)
    script.requests()
    config = {"ack_policy": "flow_control", "deliver_subject": "dur.deliver"}
    answer = {"name": "DUR", "config": config, "delivered": {"stream_seq": 3}}
    identity = b"NATS/1.0\r\nNats-Stream-Identity: ident000\r\n\r\n"
    script.account.publish(script.reply, json.dumps(answer).encode(), headers=identity)
    script.deliver = "dur.deliver"
    script.send(4, 1, name="DUR")
    assert script.seqs() == [4]


def test_a_consumer_without_flow_control_is_refused() -> None:
    script = Script(Origin("O", external=HUB, consumer=OriginConsumer("DUR", "dur.deliver")))
    script.begin()
    script.answer(ack_policy="explicit", deliver_subject="dur.deliver")
    assert script.intake.error is not None and script.intake.error.err_code == 10217


def test_a_sign_of_life_ends_the_wait_for_a_consumer_that_was_made_for_us() -> None:
    script = Script(Origin("O", external=HUB, consumer=OriginConsumer("DUR", "dur.deliver")))
    script.begin()
    script.pass_time(5 * SECOND)
    assert len(script.requests()) == 1
    script.deliver = "dur.deliver"
    script.heartbeat(0)
    script.pass_time(0)
    assert len(script.requests()) == 1


def test_what_is_deleted_tells_its_origin(script: Script) -> None:
    script.begin()
    script.answer()
    script.intake.forget()
    assert [subject for subject, *_ in script.leaf.sent] == ["$JS.hub.API.CONSUMER.DELETE.O.JS_SRC_abcdefgh"]
    script.send(1, 1)
    script.pass_time(60 * SECOND)
    assert script.seqs() == []
    assert script.account.interest_listeners == []


def test_deliveries_are_read_in_both_forms() -> None:
    short = parse_delivery("$JS.ACK.O.C.1.2.3.4.5")
    assert short is not None and short == parse_delivery("$JS.ACK.hub.szMpdrwD.O.C.1.2.3.4.5.r4nd")
    assert (short.consumer, short.deliveries, short.seq, short.consumer_seq, short.time_ns, short.pending) == (
        "C", 1, 2, 3, 4, 5,
    )  # fmt: skip
    assert parse_delivery("$JS.ACK.O.C.1.2.3.4") is None
    assert parse_delivery("$JS.ACK.O.C.1.2.3.99999999999999999999.5") is None
    assert parse_delivery("") is None


def test_names_are_made_short_as_nats_server_does() -> None:
    assert short_hash("$G") == "szMpdrwD"
    assert short_hash("$JS.edge.API") == "n1VdnVvB"
