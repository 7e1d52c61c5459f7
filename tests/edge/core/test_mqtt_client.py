"""MQTT clients without sockets: packets in, packets out, and a store whose commits return when the test says so."""

from collections.abc import Callable, Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.auth import Answer, Authenticator, ConfiguredUsers, Credentials, Login, Refusal, User
from edge.core.mqtt_broker import Broker, MqttLimits
from edge.core.mqtt_client import MqttClient
from edge.core.mqtt_repeats import Recent
from edge.core.mqtt_session import MAX_FILTERS
from edge.core.permissions import Permissions, SubjectRule
from edge.core.router import Router
from edge.errors import ProtocolError, StoreError
from edge.message import header_block, header_get
from edge.protocol.mqtt import (
    FAILURE,
    FROM_SERVER,
    Ack,
    Code,
    Connack,
    Connect,
    Kind,
    Packet,
    Parser,
    Publish,
    Signal,
    Suback,
    Subscribe,
    Unsubscribe,
    Will,
    encode,
)

SECOND = 1_000_000_000
ACCEPTED = Connack(False, Code.ACCEPTED)
PRESENT = Connack(True, Code.ACCEPTED)


class SlowStore:
    """Values that are committed when ``settle`` is called."""

    def __init__(self, values: Mapping[str, bytes] = {}) -> None:
        self.values = dict(values)
        self.pending: list[Callable[[], object]] = []
        self.units: list[tuple[list[Callable[[], object]], Callable[[StoreError | None], None]]] = []

    def put_value(self, key: str, value: bytes) -> None:
        self.pending.append(lambda: self.values.__setitem__(key, value))

    def drop_value(self, key: str) -> None:
        self.pending.append(lambda: self.values.pop(key, None))

    def commit(self, done: Callable[[StoreError | None], None], urgent: bool = True) -> None:
        self.units.append((self.pending, done))
        self.pending = []

    def settle(self, error: StoreError | None = None) -> None:
        units, self.units = self.units, []
        for writes, done in units:
            for write in writes if error is None else []:
                write()
            done(error)


class Shell:
    kind, ip, number, started_ns, certificate = "MQTT", "127.0.0.1", 1, 0, None

    def __init__(self, bench: "Bench") -> None:
        self.bench = bench
        self.congested = False
        self.closed: str | None = None
        self.resumed = 0
        self.written = b""
        self.parser = Parser(FROM_SERVER)

    def write(self, data: bytes) -> None:
        if self.closed is None:
            self.written += data

    def close(self, reason: str) -> None:
        if self.closed is None:
            self.client.flush()
            self.closed = reason
            self.client.end()

    def resume(self) -> None:
        self.resumed += 1

    def on_verdict(self) -> None:
        self.client.judged()
        self.bench.router.flush()

    def take(self) -> list[Packet]:
        written, self.written = self.written, b""
        return list(self.parser.receive_data(written))


class Bench:
    def __init__(
        self,
        values: Mapping[str, bytes] = {},
        recent: Iterable[Recent] = (),
        auth: Authenticator | None = None,
        limits: MqttLimits | None = None,
    ) -> None:
        self.router = Router()
        self.store = SlowStore(values)
        names = iter(f"random{i}" for i in range(1000))
        self.broker = Broker(
            self.router, auth or ConfiguredUsers(), limits or MqttLimits(), self.store, values, lambda: recent,
            lambda: next(names),
        )  # fmt: skip
        self.account = self.router.account("$G")
        self.stored: list[tuple[str, str, bytes, bytes]] = []
        self.now = 0

    def open(self) -> MqttClient:
        shell = Shell(self)
        shell.client = MqttClient(self.broker, shell, "test", self.now)
        return shell.client

    def connect(self, client_id: str = "c", expect: Packet = ACCEPTED, **fields: object) -> MqttClient:
        client = self.open()
        assert self.say(client, Connect(client_id, **fields)) == [expect]
        return client

    def say(self, client: MqttClient, *packets: Packet) -> list[Packet]:
        """One read chunk and the end of its batch; what the client got."""
        return self.say_bytes(client, b"".join(map(encode, packets)))

    def say_bytes(self, client: MqttClient, data: bytes) -> list[Packet]:
        try:
            client.receive(data, self.now)
        except ProtocolError as exc:
            client.shell.close(str(exc))
        self.router.flush()
        return client.shell.take()

    def settle(self, error: StoreError | None = None) -> None:
        self.store.settle(error)
        self.router.flush()

    def capture(self, subject: str) -> None:
        """A stream: what it is to store stands in ``stored`` as subject, reply, headers, payload."""
        self.account.subscribe(subject, lambda *message: self.stored.append(message), capture=True)

    def answer(self, index: int, answer: bytes = b'{"stream":"S","seq":1}') -> None:
        self.account.publish(self.stored[index][1], answer)
        self.router.flush()

    def listen(self, subject: str) -> list[tuple[str, bytes, bytes]]:
        heard: list[tuple[str, bytes, bytes]] = []
        self.account.subscribe(subject, lambda s, r, h, p: heard.append((s, h, p)))
        return heard

    def publish(self, subject: str, payload: bytes, qos: int | None = None) -> None:
        """As a NATS client does, or with ``qos`` as an MQTT client on another server."""
        headers = b"" if qos is None else header_block([("Nmqtt-Pub", str(qos))])
        self.account.publish(subject, payload, headers=headers)
        self.router.flush()


def alice(*, publish: SubjectRule | None = None, subscribe: SubjectRule | None = None) -> Authenticator:
    rules = Permissions(publish or SubjectRule(), subscribe or SubjectRule())
    return ConfiguredUsers((User("alice", "secret", "$G", rules),))


LOGIN = {"user": "alice", "password": b"secret"}


# ---- CONNECT and the end


def test_ping() -> None:
    bench = Bench()
    client = bench.connect()
    assert bench.say(client, Signal(Kind.PINGREQ)) == [Signal(Kind.PINGRESP)]


@pytest.mark.parametrize("packet", [Signal(Kind.PINGREQ), Publish("a", b"x"), Signal(Kind.DISCONNECT)])
def test_the_first_packet_must_be_connect(packet: Packet) -> None:
    bench = Bench()
    heard = bench.listen("a")
    client = bench.open()
    assert bench.say(client, packet) == []
    assert client.shell.closed == "the first packet is not CONNECT"
    assert heard == []


def test_a_second_connect_closes() -> None:
    bench = Bench()
    client = bench.connect()
    assert bench.say(client, Connect("c")) == []
    assert client.shell.closed == "a second CONNECT"


@pytest.mark.parametrize("fields", [{}, {"user": "alice"}, {"user": "alice", "password": b"wrong"}, {"user": "bob"}])
def test_who_is_not_let_in(fields: dict[str, object]) -> None:
    bench = Bench(auth=alice())
    client = bench.open()
    heard = bench.listen(">")
    assert bench.say(client, Connect("c", **fields), Publish("a", b"x")) == [Connack(False, Code.NOT_AUTHORIZED)]
    assert client.shell.closed is not None
    assert heard == []


def test_user_and_password() -> None:
    Bench(auth=alice()).connect(**LOGIN)


def test_a_token_stands_in_the_place_of_the_password() -> None:
    Bench(auth=ConfiguredUsers(token="t0ken")).connect(user="any", password=b"t0ken")


class SlowUsers(ConfiguredUsers):
    """Answers when it is told to, as a bcrypt hash or an auth callout does."""

    def login(self, credentials: Credentials, answer: Answer) -> None:
        self.said = credentials
        self.answer = answer


def test_what_comes_before_a_late_verdict_waits_for_it() -> None:
    users = SlowUsers()
    bench = Bench(auth=users)
    heard = bench.listen("a")
    client = bench.open()
    assert bench.say(client, Connect("c", user="u", password=b"eyJ.x.y"), Publish("a", b"x")) == []
    assert heard == [] and users.said.jwt == "eyJ.x.y"
    users.answer(Login("$G", "u"))
    assert client.shell.take() == [ACCEPTED] and len(heard) == 1 and client.shell.resumed


def test_a_late_refusal() -> None:
    users = SlowUsers()
    bench = Bench(auth=users)
    heard = bench.listen("a")
    client = bench.open()
    assert bench.say(client, Connect("c"), Publish("a", b"x")) == []
    users.answer(Refusal())
    assert client.shell.take() == [Connack(False, Code.NOT_AUTHORIZED)] and heard == []


def test_a_verdict_for_a_client_that_has_gone() -> None:
    users = SlowUsers()
    bench = Bench(auth=users)
    client = bench.open()
    bench.say(client, Connect("c"))
    client.shell.close("gone")
    users.answer(Login("$G"))
    assert client.shell.take() == []


def test_whoever_does_not_connect_is_closed_in_time() -> None:
    bench = Bench()
    client = bench.open()
    assert client.check(2 * SECOND) == ""
    assert client.check(2 * SECOND + 1) == "no CONNECT in time"


def test_keep_alive_is_one_and_a_half_times_what_was_said() -> None:
    bench = Bench()
    client = bench.connect(keepalive=10)
    bench.now = 5 * SECOND
    bench.say(client, Signal(Kind.PINGREQ))
    assert client.check(20 * SECOND) == ""
    assert client.check(20 * SECOND + 1) == "keep alive exceeded"
    assert bench.connect("other").check(10_000 * SECOND) == "", "0 is none"


def test_a_connect_that_is_too_large() -> None:
    bench = Bench()
    client = bench.open()
    assert bench.say(client, Connect("c", will=Will("w", b"x" * 65535, 0, False), user="u" * 65535)) == []
    assert client.shell.closed is not None and "are allowed" in client.shell.closed


def test_a_payload_that_is_too_large_touches_nobody_else() -> None:
    bench = Bench(limits=MqttLimits(max_payload=100))
    other = bench.connect("other")
    heard = bench.listen(">")
    client = bench.connect("large")
    assert bench.say(client, Publish("a", b"x" * 100), Publish("a", b"x" * 101)) == []
    assert client.shell.closed == "a payload of 101 bytes"
    assert [payload for _, _, payload in heard] == [b"x" * 100]
    assert bench.say(other, Signal(Kind.PINGREQ)) == [Signal(Kind.PINGRESP)]


def test_qos_2_closes_and_says_so() -> None:
    bench = Bench()
    client = bench.connect()
    assert bench.say(client, Publish("a/b", b"x", 2, packet_id=1)) == []
    assert client.shell.closed == "QoS 2 is not spoken here yet (topic 'a/b')"


# ---- messages


def test_publish_carries_its_qos_as_nats_server_writes_it() -> None:
    bench = Bench()
    heard = bench.listen("a.b")
    client = bench.connect()
    bench.say(client, Publish("a/b", b"\0\xff"))
    assert bench.say(client, Publish("a/b", b"1", 1, packet_id=9)) == [Ack(Kind.PUBACK, 9)]
    assert heard == [
        ("a.b", b"NATS/1.0\r\nNmqtt-Pub:0\r\n\r\n", b"\0\xff"),
        ("a.b", b"NATS/1.0\r\nNmqtt-Pub:1\r\n\r\n", b"1"),
    ]


def test_topics_arrive_as_they_were_sent() -> None:
    bench = Bench()
    client = bench.connect()
    assert bench.say(client, Subscribe(1, (("a/#", 0),))) == [Suback(1, (0,))]
    for topic in ("a", "a/b", "a//b", "a/b.c/"):
        assert bench.say(client, Publish(topic, b"x")) == [Publish(topic, b"x")]
    assert bench.say(client, Publish("b", b"x")) == []


def test_nats_messages_arrive_with_qos_0() -> None:
    bench = Bench()
    client = bench.connect()
    bench.say(client, Subscribe(1, (("a/+", 1),)))
    bench.publish("a.b", b"\0\r\n")
    assert client.shell.take() == [Publish("a/b", b"\0\r\n")]


def test_no_wildcard_sees_dollar_topics() -> None:
    bench = Bench()
    client = bench.connect()
    bench.say(client, Subscribe(1, (("#", 0), ("+/x", 0))))
    bench.publish("$SYS.x", b"1")
    assert client.shell.take() == []
    bench.say(client, Subscribe(2, (("$SYS/#", 0),)))
    bench.publish("$SYS.x", b"2")
    assert client.shell.take() == [Publish("$SYS/x", b"2")]


def test_subjects_without_a_topic_are_passed_over() -> None:
    bench = Bench()
    client = bench.connect()
    bench.say(client, Subscribe(1, (("#", 0),)))
    for subject in ("a+b", "a.#", "a\udcff"):
        bench.publish(subject, b"x")
    assert client.shell.take() == []


def test_qos_1_is_sent_again_until_it_is_acknowledged() -> None:
    bench = Bench()
    client = bench.connect(clean=False)
    bench.say(client, Subscribe(1, (("a", 2),)))
    bench.settle()
    assert client.shell.take() == [Suback(1, (1,))], "QoS 2 is granted as 1"
    for payload in (b"1", b"2", b"3"):
        bench.publish("a", payload, 1)
    sent = [Publish("a", b"%d" % n, 1, packet_id=n) for n in (1, 2, 3)]
    assert client.shell.take() == sent
    bench.say(client, Ack(Kind.PUBACK, 2), Ack(Kind.PUBACK, 77))
    client.shell.close("network")
    bench.publish("a", b"4", 1)
    bench.publish("a", b"qos 0 is not for who is away", 0)
    again = bench.open()
    assert bench.say(again, Connect("c", False)) == [
        PRESENT,
        sent[0]._replace(dup=True),
        sent[2]._replace(dup=True),
        Publish("a", b"4", 1, packet_id=4),
    ]


def test_what_a_client_does_not_acknowledge_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(limits=MqttLimits(max_unacked=2))
    client = bench.connect()
    bench.say(client, Subscribe(1, (("a", 1),)))
    for _ in range(5):
        bench.publish("a", b"x", 1)
    assert len(client.shell.take()) == 2
    assert caplog.text.count("messages are lost") == 1


def test_a_slow_consumer_loses_qos_0() -> None:
    bench = Bench()
    client = bench.connect()
    bench.say(client, Subscribe(1, (("#", 1),)))
    client.shell.congested = True
    bench.publish("a", b"0")
    bench.publish("a", b"1", 1)
    assert client.shell.take() == [Publish("a", b"1", 1, packet_id=1)]
    assert client.dropped == 1


def test_unsubscribe() -> None:
    bench = Bench()
    client = bench.connect()
    bench.say(client, Subscribe(1, (("a/#", 0), ("b", 0))))
    assert bench.say(client, Unsubscribe(2, ("a/#", "never"))) == [Ack(Kind.UNSUBACK, 2)]
    for subject in ("a", "a.b", "b"):
        bench.publish(subject, b"x")
    assert client.shell.take() == [Publish("b", b"x")]


def test_the_same_filter_again_is_one_subscription() -> None:
    bench = Bench()
    client = bench.connect()
    bench.say(client, Subscribe(1, (("a", 0),)), Subscribe(2, (("a", 1),)))
    bench.publish("a", b"x", 1)
    assert client.shell.take() == [Publish("a", b"x", 1, packet_id=1)]


def test_bad_filters_fail_one_by_one() -> None:
    bench = Bench()
    client = bench.connect()
    filters = (("a/#/b", 0), ("ok", 1), ("a b", 0), ("x/>", 0))
    assert bench.say(client, Subscribe(1, filters)) == [Suback(1, (FAILURE, 1, FAILURE, FAILURE))]


def test_permissions(caplog: pytest.LogCaptureFixture) -> None:
    rule = SubjectRule(allow=("ok.>", "$MQTT.>"), deny=("ok.secret",))
    bench = Bench(auth=alice(publish=SubjectRule(deny=("no.>",)), subscribe=rule))
    heard = bench.listen(">")
    client = bench.connect(**LOGIN)
    filters = (("ok/#", 0), ("other", 0), ("ok/secret", 0))
    assert bench.say(client, Subscribe(1, filters)) == [Suback(1, (0, FAILURE, FAILURE))]
    bench.publish("ok.secret", b"x")
    bench.publish("ok.open", b"y")
    assert client.shell.take() == [Publish("ok/open", b"y")]
    heard.clear()
    assert bench.say(client, Publish("no/1", b"x", 1, packet_id=1)) == [Ack(Kind.PUBACK, 1)]
    assert heard == [] and "permissions violation" in caplog.text


def test_filters_are_bounded() -> None:
    bench = Bench()
    client = bench.connect()
    many = tuple((f"f/{i}", 0) for i in range(MAX_FILTERS))
    assert bench.say(client, Subscribe(1, many), Subscribe(2, (("one/more", 0), ("f/0", 1)))) == [
        Suback(1, (0,) * MAX_FILTERS),
        Suback(2, (FAILURE, 1)),
    ]


# ---- sessions


def test_a_session_remembers_through_a_restart() -> None:
    bench = Bench()
    client = bench.connect(clean=False)
    assert bench.say(client, Subscribe(1, (("a/+", 1), ("b", 0)))) == [], "not before it is on disk"
    bench.settle()
    assert client.shell.take() == [Suback(1, (1, 0))]
    assert bench.say(client, Unsubscribe(2, ("b",))) == []
    bench.settle()
    assert client.shell.take() == [Ack(Kind.UNSUBACK, 2)]

    after = Bench(bench.store.values)
    client = after.connect(clean=False, expect=PRESENT)
    after.publish("a.x", b"x")
    after.publish("b", b"x")
    assert client.shell.take() == [Publish("a/x", b"x")]


def test_a_clean_session_ends_the_one_before() -> None:
    bench = Bench()
    bench.say(bench.connect(clean=False), Subscribe(1, (("a", 1),)))
    bench.settle()
    client = bench.open()
    assert bench.say(client, Connect("c"), Signal(Kind.PINGREQ)) == [], "not before the old one is off the disk"
    assert client.is_busy
    bench.settle()
    assert client.shell.take() == [ACCEPTED, Signal(Kind.PINGRESP)]
    assert client.shell.resumed
    bench.publish("a", b"x")
    assert client.shell.take() == []
    Bench(bench.store.values).connect(clean=False)


def test_a_clean_session_is_not_remembered() -> None:
    bench = Bench()
    client = bench.connect()
    bench.say(client, Subscribe(1, (("a", 1),)))
    client.shell.close("network")
    bench.connect(clean=False)
    [answers] = bench.account.sublist
    assert answers.subject.startswith("$MQTT.ack."), "and listens to nothing"


def test_a_subscription_that_cannot_be_kept_is_not_granted() -> None:
    bench = Bench()
    client = bench.connect(clean=False)
    bench.settle()
    bench.say(client, Subscribe(1, (("a", 1),)))
    bench.settle(StoreError("disk"))
    assert client.shell.take() == [Suback(1, (FAILURE,))]
    bench.publish("a", b"x")
    assert client.shell.take() == []


def test_subscriptions_that_cannot_be_kept_together() -> None:
    bench = Bench()
    client = bench.connect(clean=False)
    bench.settle()
    bench.say(client, Subscribe(1, (("a", 0),)), Subscribe(2, (("a", 1),)))
    bench.settle(StoreError("disk"))
    assert client.shell.take() == [Suback(1, (FAILURE,)), Suback(2, (FAILURE,))]
    assert bench.broker.sessions.get(bench.account, "c").filters == {}


def test_another_connection_takes_the_session() -> None:
    bench = Bench()
    heard = bench.listen("will")
    old = bench.connect(clean=False, will=Will("will", b"gone", 0, False))
    bench.say(old, Subscribe(1, (("a", 0),)))
    bench.settle()
    old.shell.take()
    new = bench.connect(clean=False, expect=PRESENT)
    assert old.shell.closed == "another connection has taken its client identifier"
    assert [payload for _, _, payload in heard] == [b"gone"]
    bench.publish("a", b"x")
    assert (old.shell.take(), new.shell.take()) == ([], [Publish("a", b"x")])


def test_clients_without_a_name_do_not_meet() -> None:
    bench = Bench()
    one, two = bench.connect(""), bench.connect("")
    assert one.shell.closed is None and two.shell.closed is None


def test_accounts_keep_their_sessions_apart() -> None:
    users = (User("a", "a", "A"), User("b", "b", "B"))
    bench = Bench(auth=ConfiguredUsers(users))
    one = bench.connect(user="a", password=b"a")
    two = bench.connect(user="b", password=b"b")
    bench.say(two, Subscribe(1, (("#", 0),)))
    assert bench.say(one, Publish("x", b"")) == [] and two.shell.take() == []
    assert one.shell.closed is None


def test_a_damaged_session_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    Bench({"mqtt.session $G c": b"[1]", "mqtt.session $G d": b'{"#/#": 1}'}).connect(clean=False)
    assert caplog.text.count("cannot be read") == 2


# ---- wills


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_will_is_published_when_the_client_fails(qos: int) -> None:
    bench = Bench()
    heard = bench.listen("w.t")
    client = bench.connect(will=Will("w/t", b"gone", qos, False))
    client.end()
    bench.router.flush()
    assert [(header_get(headers, "Nmqtt-Pub"), payload) for _, headers, payload in heard] == [
        (str(min(qos, 1)), b"gone")
    ]


def test_no_will_after_disconnect() -> None:
    bench = Bench()
    heard = bench.listen("w")
    client = bench.connect(will=Will("w", b"gone", 0, False))
    bench.say(client, Signal(Kind.DISCONNECT))
    assert client.shell.closed == "" and heard == []


def test_a_protocol_violation_brings_the_will() -> None:
    bench = Bench()
    heard = bench.listen("w")
    client = bench.connect(will=Will("w", b"gone", 0, False))
    bench.say(client, Publish("a/+", b"x"))
    assert client.shell.closed and len(heard) == 1


def test_a_will_needs_a_topic() -> None:
    bench = Bench()
    client = bench.open()
    assert bench.say(client, Connect("c", will=Will("a/#", b"", 0, False))) == []
    assert client.shell.closed


# ---- retained messages


def test_a_retained_message_waits_for_subscribers() -> None:
    bench = Bench()
    live = bench.connect("live")
    bench.say(live, Subscribe(1, (("r/#", 1),)))
    client = bench.connect()
    assert bench.say(client, Publish("r/x", b"1", 1, retain=True, packet_id=5)) == [], "not before it is on disk"
    assert live.shell.take() == [Publish("r/x", b"1", 1, packet_id=1)], "new to who listens: RETAIN is 0"
    bench.settle()
    assert client.shell.take() == [Ack(Kind.PUBACK, 5)]
    for topic_filter, qos in (("r/x", 0), ("r/+", 1)):
        late = bench.connect(f"late{qos}")
        assert bench.say(late, Subscribe(1, ((topic_filter, qos),))) == [
            Suback(1, (qos,)),
            Publish("r/x", b"1", qos, True, packet_id=qos),
        ]


def test_retained_messages_survive_a_restart_until_they_are_taken_away() -> None:
    bench = Bench()
    client = bench.connect()
    bench.say(
        client, Publish("r/x", b"1", retain=True), Publish("r/x", b"2", retain=True), Publish("r/y", b"3", retain=True)
    )
    bench.settle()
    after = Bench(bench.store.values)
    client = after.connect()
    after.say(client, Publish("r/y", b"", retain=True))
    assert after.say(client, Subscribe(1, (("r/#", 0),))) == [Suback(1, (0,)), Publish("r/x", b"2", retain=True)]
    after.settle()
    assert [key for key in after.store.values if "retained" in key] == ["mqtt.retained $G r.x"]


def test_a_retained_message_that_cannot_be_kept_is_not_acknowledged() -> None:
    bench = Bench()
    client = bench.connect()
    bench.say(client, Publish("r", b"1", 1, retain=True, packet_id=5))
    bench.settle(StoreError("disk"))
    assert client.shell.take() == [] and client.shell.closed
    late = bench.connect("late")
    assert bench.say(late, Subscribe(1, (("r", 0),))) == [Suback(1, (0,))]


# ---- streams


def test_puback_only_after_the_stream_has_it() -> None:
    bench = Bench()
    bench.capture("t.>")
    client = bench.connect()
    message = Publish("t/1", b"x", 1, packet_id=4)
    assert bench.say(client, message, Publish("free", b"", 1, packet_id=5), message._replace(packet_id=6)) == []
    assert header_get(bench.stored[0][2], "Nmqtt-Pub") == "1"
    bench.answer(1)
    assert client.shell.take() == [], "in the order in which they came"
    bench.answer(0)
    assert client.shell.take() == [Ack(Kind.PUBACK, n) for n in (4, 5, 6)]


@pytest.mark.parametrize(
    "answer", [b'{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}', b"forged", b"[]"]
)
def test_what_a_stream_refuses_is_not_acknowledged(answer: bytes) -> None:
    bench = Bench()
    bench.capture("t")
    client = bench.connect()
    bench.say(client, Publish("t", b"x", 1, packet_id=4))
    bench.answer(0, answer)
    if answer == b"[]":
        assert client.shell.closed is None, "no error in it"
    else:
        assert client.shell.take() == [] and client.shell.closed
        assert "the stream did not take packet 4" in client.shell.closed


def test_qos_0_waits_for_nobody() -> None:
    bench = Bench()
    bench.capture("t")
    bench.say(bench.connect(), Publish("t", b"x"))
    assert [(subject, reply, payload) for subject, reply, _, payload in bench.stored] == [("t", "", b"x")]


def test_a_stream_that_never_answers() -> None:
    bench = Bench()
    bench.capture("t")
    client = bench.connect(keepalive=1000)
    message = Publish("t", b"x", 1, packet_id=4)
    bench.say(client, message)
    assert client.check(30 * SECOND) == ""
    assert client.check(30 * SECOND + 1) == "a stream did not answer in time"
    client.shell.close("late")
    again = bench.connect()
    bench.say(again, message._replace(dup=True))
    assert len(bench.stored) == 2, "it is a new message"


def test_no_more_is_read_while_too_many_wait() -> None:
    bench = Bench()
    bench.capture("t")
    client = bench.connect(keepalive=1)
    bench.say(client, *[Publish("t", b"x", 1, packet_id=n) for n in range(1, 1025)])
    assert client.is_busy and client.check(20 * SECOND) == "", "keep alive: we do not listen"
    bench.answer(0)
    assert not client.is_busy and client.shell.resumed == 1


# ---- the same message again


def stop_and_lose(bench: Bench, client: MqttClient) -> MqttClient:
    """The connection breaks; the client comes back."""
    client.shell.close("network")
    return bench.connect(clean=False, expect=PRESENT)


def make_stream_bench() -> tuple[Bench, MqttClient]:
    bench = Bench()
    bench.capture("t")
    return bench, bench.connect(clean=False)


def test_a_repeat_is_acknowledged_and_not_stored() -> None:
    bench, client = make_stream_bench()
    message = Publish("t", b"x", 1, packet_id=7)
    bench.say(client, message)
    bench.answer(0)
    again = stop_and_lose(bench, client)
    assert bench.say(again, message._replace(dup=True)) == [Ack(Kind.PUBACK, 7)]
    assert len(bench.stored) == 1


def test_a_repeat_of_what_is_under_way_waits_for_the_same_answer() -> None:
    bench, client = make_stream_bench()
    message = Publish("t", b"x", 1, packet_id=7)
    bench.say(client, message)
    again = stop_and_lose(bench, client)
    assert bench.say(again, message._replace(dup=True), message._replace(dup=True)) == []
    bench.answer(0)
    assert again.shell.take() == [Ack(Kind.PUBACK, 7), Ack(Kind.PUBACK, 7)]
    assert len(bench.stored) == 1


def test_a_new_message_with_an_old_packet_id_is_stored() -> None:
    bench, client = make_stream_bench()
    message = Publish("t", b"21.5", 1, packet_id=1)
    for i in range(3):
        bench.say(client, message)
        bench.answer(i)
    assert len(bench.stored) == 3
    again = stop_and_lose(bench, client)
    bench.say(again, message._replace(dup=True))
    assert len(bench.stored) == 4, "this client uses its packet id again and again: better twice than never"


def test_a_client_of_one_packet_id_whose_puback_never_left() -> None:
    bench, client = make_stream_bench()
    message = Publish("t", b"21.5", 1, packet_id=1)
    for i in range(3):
        bench.say(client, message)
        bench.answer(i)
    bench.say(client, message)
    again = stop_and_lose(bench, client)
    bench.answer(3)
    assert bench.say(again, message._replace(dup=True)) == [Ack(Kind.PUBACK, 1)]
    assert len(bench.stored) == 4, "it cannot have been another message"


@pytest.mark.parametrize("change", [{"payload": b"y"}, {"topic": "t2"}, {"packet_id": 8}])
def test_another_message_with_dup_is_stored(change: dict[str, object]) -> None:
    bench, client = make_stream_bench()
    bench.capture("t2")
    message = Publish("t", b"x", 1, packet_id=7)
    bench.say(client, message)
    bench.answer(0)
    bench.say(stop_and_lose(bench, client), message._replace(dup=True, **change))
    assert len(bench.stored) == 2


def test_what_was_refused_is_stored_when_it_comes_again() -> None:
    bench, client = make_stream_bench()
    message = Publish("t", b"x", 1, packet_id=7)
    bench.say(client, message)
    bench.answer(0, b'{"error":{"description":"full"}}')
    again = bench.connect(clean=False, expect=PRESENT)
    bench.say(again, message._replace(dup=True))
    assert len(bench.stored) == 2


def test_a_restart_finds_it_in_the_stream() -> None:
    """SIGKILL between commit and PUBACK: the row is all there is."""
    bench, client = make_stream_bench()
    message = Publish("t", b"x", 1, packet_id=7)
    bench.say(client, message)
    subject, _, headers, payload = bench.stored[0]
    after = Bench(bench.store.values, [Recent("$G", subject, headers, payload)])
    after.capture("t")
    again = after.connect(clean=False)
    assert after.say(again, message._replace(dup=True)) == [Ack(Kind.PUBACK, 7)]
    assert after.stored == []
    after.say(again, message)
    assert len(after.stored) == 1, "without DUP it is a new one"


def test_a_restart_finds_it_noted_when_the_stream_has_lost_it() -> None:
    """An uplink has carried it away."""
    bench, client = make_stream_bench()
    message = Publish("t", b"x", 1, packet_id=7)
    bench.say(client, message)
    bench.answer(0)
    bench.store.commit(lambda error: None)  # the uplink's: the note goes with it
    bench.settle()
    after = Bench(bench.store.values)
    after.capture("t")
    assert after.say(after.connect(clean=False, expect=PRESENT), message._replace(dup=True)) == [Ack(Kind.PUBACK, 7)]
    assert after.stored == []


def test_goodbye_ends_what_is_remembered() -> None:
    bench, client = make_stream_bench()
    bench.say(client, Publish("t", b"x", 1, packet_id=7))
    bench.answer(0)
    bench.say(client, Signal(Kind.DISCONNECT))
    bench.store.commit(lambda error: None)
    bench.settle()
    assert bench.broker.repeats.logs == {}
    assert not [key for key in bench.store.values if key.startswith("mqtt.log")]


def test_a_retained_repeat_is_kept_though_it_is_not_stored_again() -> None:
    bench, client = make_stream_bench()
    message = Publish("t", b"x", 1, retain=True, packet_id=7)
    bench.say(client, message)
    bench.answer(0)
    bench.settle(StoreError("disk"))
    again = bench.connect(clean=False, expect=PRESENT)
    assert bench.say(again, message._replace(dup=True)) == []
    bench.settle()
    assert again.shell.take() == [Ack(Kind.PUBACK, 7)]
    assert bench.store.values["mqtt.retained $G t"] == b"\1x"
    assert len(bench.stored) == 1


# ---- whatever is said


topics = st.sampled_from(["t", "a/b", "a/#", "+", "#", "$x", "", "a b", "r/é", "a/>"])
ids = st.integers(1, 4)
wills = st.builds(Will, topics, st.binary(max_size=3), st.integers(0, 2), st.booleans())
conversations = st.lists(
    st.one_of(
        st.builds(
            Connect,
            st.sampled_from(["c", "d", ""]),
            st.booleans(),
            st.integers(0, 3),
            st.none() | wills,
            st.none(),
            st.none(),
        ),
        st.builds(Publish, topics, st.binary(max_size=3), st.integers(0, 2), st.booleans(), st.booleans(), ids),
        st.builds(Subscribe, ids, st.lists(st.tuples(topics, st.integers(0, 2)), min_size=1, max_size=3).map(tuple)),
        st.builds(Unsubscribe, ids, st.lists(topics, min_size=1, max_size=3).map(tuple)),
        st.builds(Ack, st.sampled_from([Kind.PUBACK, Kind.PUBREL]), ids),
        st.sampled_from([Signal(Kind.PINGREQ), Signal(Kind.DISCONNECT)]),
    ),
    max_size=8,
)
steps = st.lists(
    st.tuples(
        st.integers(0, 2), conversations | st.binary(max_size=20), st.sampled_from(["", "settle", "fail", "answer"])
    ),
    max_size=8,
)


@given(steps)
def test_nothing_that_clients_say_breaks_the_server(steps: list[tuple[int, list[Packet] | bytes, str]]) -> None:
    bench = Bench()
    bench.capture("t")
    clients = [bench.open() for _ in range(3)]
    answered = 0
    for who, said, then in steps:
        client = clients[who]
        if client.shell.closed is not None:
            client = clients[who] = bench.open()
            bench.say(client, Connect(f"c{who}", False))
        if isinstance(said, bytes):
            bench.say_bytes(client, said)
        else:
            bench.say_bytes(client, b"".join(map(encode, said)))
        if then in ("settle", "fail"):
            bench.settle(StoreError("disk") if then == "fail" else None)
        elif then == "answer" and answered < len(bench.stored):
            if bench.stored[answered][1]:
                bench.answer(answered)
            answered += 1
    for client in clients:
        client.shell.close("end")
    bench.settle()
    live = [session for session in bench.broker.sessions.sessions.values() if session.outlet is not None]
    assert live == []
    witness = bench.open()
    assert bench.say(witness, Connect("witness"), Signal(Kind.PINGREQ)) == [ACCEPTED, Signal(Kind.PINGRESP)]
