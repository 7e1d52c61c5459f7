"""The link in transcripts: what the hub writes, what it gets, and how time passes."""

import json
import re

import pytest

from edge.core.leaf_link import PING_INTERVAL_NS, SECOND
from edge.core.leaf_login import LeafLogin
from edge.core.leaf_pacing import HELD, Pacing
from edge.core.leaf_remote import Encrypted, RemoteLink
from edge.core.leaf_rules import LinkRules
from edge.core.leaf_wire import LeafIdentity, State
from edge.core.nkeys import KeyPair, decode_base64, verify
from edge.core.peer import Peer, PeerKind, Subscription
from edge.core.router import Router

IDENTITY = LeafIdentity("NEDGE", "edge1", "2.12.0", "edge", True, 1 << 20)
INFO = {"server_id": "NH", "server_name": "h2", "max_payload": 1000, "domain": "hub", "info_on_connect": True}


class FakeWire:
    def __init__(self) -> None:
        self.data = b""
        self.closed = False
        self.slow = False
        self.queued = self.written = 0
        self.encrypting = self.compressing = False

    def write(self, data: bytes) -> None:
        self.data += data
        self.written += len(data)
        if self.slow:
            self.queued += len(data)

    def close(self) -> None:
        self.closed = True

    def encrypt(self) -> None:
        self.encrypting = True

    def compress(self) -> None:
        self.compressing = True

    def unsent(self) -> int:
        return self.queued

    def acknowledged(self) -> int:
        return self.written - self.queued


class Hub:
    """The other end: ``send`` bytes, ``take`` what the link has written."""

    def __init__(self, rules: LinkRules | None = None) -> None:
        self.router = Router()
        self.account = self.router.account("$G")
        self.account.loop_subject = "$LDS.OWN"
        self.link = RemoteLink(self.router, self.account, IDENTITY, rules or LinkRules(domain="edge"))
        self.heard: list[bool] = []
        self.link.listeners.append(self.heard.append)
        self.now = 100 * SECOND

    def open(self, login: LeafLogin = LeafLogin(), tls: Encrypted = Encrypted.PLAIN) -> None:  # noqa: B008
        self.wire = FakeWire()
        self.link.opened(self.wire, "127.0.0.1:7422", login, self.now, tls)

    def send(self, data: bytes) -> None:
        self.link.receive(data, self.now)
        self.router.flush()

    def info(self, **fields: object) -> None:
        self.send(b"INFO " + json.dumps({**INFO, **fields}).encode() + b" \r\n")

    def take(self) -> bytes:
        data, self.wire.data = self.wire.data, b""
        return data

    def connect(self, **fields: object) -> None:
        """All of the handshake; what is wanted here has been announced and taken."""
        self.open()
        self.info()
        self.info(connect_info=True, remote_account="A", **fields)
        self.send(b"PONG\r\n")
        assert self.link.up
        self.take()

    def pass_time(self, duration: int) -> None:
        self.now += duration
        self.link.tick(self.now)
        self.router.flush()

    def client(self, subject: str, queue: str = "") -> list[tuple[str, str, bytes, bytes]]:
        got: list[tuple[str, str, bytes, bytes]] = []
        self.account.subscribe(subject, lambda *message: got.append(message), queue=queue)
        self.router.flush()
        return got

    def publish(self, subject: str, payload: bytes = b"", reply: str = "", headers: bytes = b"") -> int:
        delivered = self.account.publish(subject, payload, reply=reply, headers=headers)
        self.router.flush()
        return delivered.receivers


@pytest.fixture
def hub() -> Hub:
    return Hub()


def test_handshake(hub: Hub) -> None:
    hub.client("a.>")
    hub.client("q", "g")
    hub.client("q", "g")
    hub.account.subscribe("silent", lambda *message: None, announce=False)
    hub.open(LeafLogin("ua", "pa"))
    hub.info()
    verb, _, fields = hub.take().partition(b" ")
    assert verb == b"CONNECT"
    assert json.loads(fields) == {
        "version": "2.12.0",
        "server_id": "NEDGE",
        "name": "edge1",
        "cluster": "edge1",
        "headers": True,
        "protocol": 3,
        "compress_mode": "not supported",
        "remote_account": "$G",
        "jetstream": True,
        "domain": "edge",
        "user": "ua",
        "pass": "pa",
    }
    hub.info(connect_info=True, remote_account="A")
    announced = hub.take().decode().split("\r\n")
    assert announced[0] == "LS+ $LDS.OWN"
    assert sorted(announced[1:3]) == ["LS+ a.>", "LS+ q g 2"]
    assert announced[3:] == ["PING", ""]
    assert not hub.link.up and hub.heard == []
    hub.now += 7
    hub.send(b"LS+ hub.wants\r\nPONG\r\n")
    assert hub.link.up and hub.heard == [True]
    assert hub.link.rtt == 7 and hub.link.domain == "hub"


def test_a_hub_without_a_second_info(hub: Hub) -> None:
    hub.open()
    hub.info(info_on_connect=False)
    assert re.fullmatch(rb"CONNECT .*\r\nLS\+ \$LDS.OWN\r\nPING\r\n", hub.take())


def test_interest_follows_the_subscriptions(hub: Hub) -> None:
    hub.connect()
    first = hub.account.subscribe("a", lambda *message: None)
    second = hub.account.subscribe("a", lambda *message: None)
    member = hub.account.subscribe("a", lambda *message: None, queue="g")
    other = hub.account.subscribe("a", lambda *message: None, queue="g")
    hub.router.flush()
    assert hub.take() == b"LS+ a\r\nLS+ a g 1\r\nLS+ a g 2\r\n"
    for sub in (first, other, second, member):
        hub.account.unsubscribe(sub)
    hub.router.flush()
    assert hub.take() == b"LS+ a g 1\r\nLS- a\r\nLS- a g\r\n"


def test_what_is_not_announced(hub: Hub) -> None:
    hub.connect()
    hub.account.subscribe("own", lambda *message: None, announce=False, capture=True)
    for subject in ("$JS.API.INFO", "$JS.API.>", "$KV.b.k", "$OBJ.>"):
        hub.account.subscribe(subject, lambda *message: None)
    other = Peer(PeerKind.LEAF, "another hub")
    hub.account.add(Subscription(other, "from.another.hub", announce=False))
    hub.router.flush()
    assert hub.take() == b""
    hub.account.subscribe("$JS.edge.API.>", lambda *message: None)
    hub.router.flush()
    assert hub.take() == b"LS+ $JS.edge.API.>\r\n"


def test_messages_up(hub: Hub) -> None:
    hub.connect()
    assert hub.publish("a", b"x") == 0
    hub.send(b"LS+ a\r\nLS+ q g1 1\r\nLS+ q g2 3\r\nLS+ w.>\r\nLS+ w.*\r\n")
    assert hub.publish("a", b"x") == 1
    assert hub.publish("a", b"x", "r") == 1
    assert hub.publish("a", b"x", "", b"NATS/1.0\r\n\r\n") == 1
    assert hub.publish("q", b"x") == 1
    assert hub.publish("q", b"x", "r") == 1
    assert hub.publish("w.1", b"x") == 1  # once, though two of the hub's interests match
    assert hub.take() == (
        b"LMSG a 1\r\nx\r\n"
        b"LMSG a r 1\r\nx\r\n"
        b"HMSG a 12 13\r\nNATS/1.0\r\n\r\nx\r\n"
        b"LMSG q | g1 g2 1\r\nx\r\n"
        b"LMSG q + r g1 g2 1\r\nx\r\n"
        b"LMSG w.1 1\r\nx\r\n"
    )
    hub.send(b"LS- a\r\nLS- q g1\r\nLS- nobody.asked\r\n")
    assert hub.publish("a", b"x") == 0
    hub.publish("q", b"x")
    assert hub.take() == b"LMSG q | g2 1\r\nx\r\n"
    assert (hub.link.out_msgs, hub.link.out_bytes) == (7, 19)


def test_members_here_come_before_members_at_the_hub(hub: Hub) -> None:
    hub.connect()
    got = hub.client("q", "g")
    hub.take()
    hub.send(b"LS+ q g 100\r\n")
    for _ in range(20):
        hub.publish("q", b"x")
    assert len(got) == 20 and hub.take() == b""


def test_messages_down(hub: Hub) -> None:
    hub.connect()
    plain, members, others = hub.client("a.*"), [hub.client("a.b", "g"), hub.client("a.b", "g")], hub.client("a.b", "h")
    hub.send(b"LS+ a.b\r\n")  # no message returns to where it came from
    hub.take()
    hub.send(b"LMSG a.b 1\r\n1\r\nHMSG a.b + r g 12 13\r\nNATS/1.0\r\n\r\n2\r\nLMSG a.b | g h 1\r\n3\r\n")
    assert plain == [
        ("a.b", "", b"", b"1"),
        ("a.b", "r", b"NATS/1.0\r\n\r\n", b"2"),
        ("a.b", "", b"", b"3"),
    ]
    assert sorted(message[3] for member in members for message in member) == [b"2", b"3"]
    assert others == [("a.b", "", b"", b"3")]
    assert hub.take() == b""
    assert (hub.link.in_msgs, hub.link.in_bytes) == (3, 15)


def test_jetstream_deliveries_name_their_subject_behind_the_reply(hub: Hub) -> None:
    hub.connect()
    got = hub.client("_INBOX.x.*")
    hub.take()
    hub.send(b"LMSG _INBOX.x.1 $JS.ACK.S.C.1.1.1.1.0@edge.p 1\r\nx\r\n")
    assert got == [("edge.p", "$JS.ACK.S.C.1.1.1.1.0", b"", b"x")]
    hub.send(b"LS+ _INBOX.y\r\n")
    hub.account.publish("_INBOX.y", b"x", reply="$JS.ACK.S.C.1.1.1.1.0", shown="edge.p")
    hub.router.flush()
    assert hub.take() == b"LMSG _INBOX.y $JS.ACK.S.C.1.1.1.1.0@edge.p 1\r\nx\r\n"


def test_jetstream_of_either_side_stays_there(hub: Hub) -> None:
    hub.connect()
    hub.send(b"LS+ $JS.API.>\r\nLS+ $JS.hub.API.INFO\r\nLS+ $KV.>\r\nLS+ $JS.edge.API.>\r\nLS+ >\r\n")
    for subject in ("$JS.API.INFO", "$KV.b.k", "$OBJ.x", "$JS.edge.API.INFO"):
        assert hub.publish(subject, b"x") == 0
    assert hub.publish("$JS.hub.API.INFO", b"", "r") == 1
    assert hub.take() == b"LMSG $JS.hub.API.INFO r 0\r\n\r\n"
    got = hub.client(">")
    hub.send(b"LMSG $JS.API.INFO 0\r\n\r\nLMSG $KV.b.k 0\r\n\r\nLMSG $JS.edge.API.INFO r 0\r\n\r\n")
    assert got == [("$JS.edge.API.INFO", "r", b"", b"")]


def test_uplink_subjects() -> None:
    hub = Hub(LinkRules(up_only=["telemetry.>"], domain="edge"))
    got = hub.client("telemetry.>")
    hub.connect()
    hub.send(b"LS+ telemetry.>\r\n")
    assert hub.publish("telemetry.e1.t", b"x") == 1 and len(got) == 1
    hub.send(b"LMSG telemetry.e2.t 1\r\ny\r\n")
    assert len(got) == 1 and hub.take() == b""
    assert hub.link.publish("telemetry.e1.t", b"x", "r", b"NATS/1.0\r\n\r\n")
    hub.router.flush()
    assert hub.take() == b"HMSG telemetry.e1.t r 12 13\r\nNATS/1.0\r\n\r\nx\r\n"


def test_the_hub_is_asked_not_to_send_what_is_denied() -> None:
    hub = Hub(LinkRules(deny_imports=["secret.>"], up_only=["telemetry.>"]))
    hub.open()
    hub.info()
    assert b'"deny_pub":["secret.>","telemetry.>"]' in hub.take()


def test_permissions_of_the_hub(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    hub.connect(**{"import": {"allow": ["down.>", "_INBOX.>"]}, "export": {"allow": ["up.>"], "deny": ["up.secret"]}})
    hub.send(b"LS+ up.>\r\nLS+ other.>\r\n")
    assert hub.publish("up.ok", b"x") == 1
    for _ in range(3):
        assert hub.publish("up.secret", b"x") == 0
    assert hub.publish("other.x", b"x") == 0
    assert hub.take() == b"LMSG up.ok 1\r\nx\r\n"
    assert caplog.text.count('publish to "up.secret"') == 1
    hub.client("other.sub")
    hub.client("down.sub")
    assert hub.take() == b"LS+ down.sub\r\n"
    assert not hub.link.publish("other.x", b"x") and "not permit" in hub.link.refusal("other.x", 1)
    hub.info(connect_info=True, export={"allow": ["other.>"]})  # changed while connected
    assert b"LS+ other.sub" in hub.take()
    assert hub.publish("other.x", b"x") == 1 and hub.publish("up.ok", b"x") == 0


def test_what_is_larger_than_the_hub_takes_would_close_the_link(hub: Hub) -> None:
    hub.connect()
    hub.send(b"LS+ a\r\n")
    assert hub.publish("a", b"x" * 1000) == 1
    assert hub.publish("a", b"x" * 1001) == 0
    assert not hub.link.publish("a", b"x" * 1001)
    assert "max_payload of 1000" in hub.link.refusal("a", 1001)


def test_a_congested_link_drops_messages_and_keeps_the_rest(hub: Hub) -> None:
    hub.connect()
    hub.send(b"LS+ a\r\n")
    hub.link.congested = True
    assert hub.publish("a", b"x") == 0
    assert hub.link.publish("a", b"y")
    hub.send(b"PING\r\n")
    assert hub.take() == b"LMSG a 1\r\ny\r\nPONG\r\n"
    assert hub.link.dropped == 1


def paced(hub: Hub) -> None:
    """Connected over a far line, where something urgent shares it."""
    hub.link.pacing = Pacing(lambda: hub.now)
    hub.open()
    hub.info()
    hub.info(connect_info=True, remote_account="A")
    hub.now += SECOND
    hub.send(b"PONG\r\nLS+ a\r\n")
    assert hub.link.up and hub.link.rtt == SECOND
    hub.take()


def test_what_is_urgent_goes_before_a_flood_that_waits_and_nothing_is_lost_or_out_of_order(hub: Hub) -> None:
    paced(hub)
    sent = [b"%03d" % i + b"x" * 197 for i in range(1000)]
    for payload in sent:
        hub.publish("a", payload)
    assert hub.link.publish("alarm", b"fire")
    hub.router.flush()
    first = hub.take()
    assert first.endswith(b"LMSG alarm 4\r\nfire\r\n") and b"PING\r\n" in first and len(first) < 40_000
    everything = found = first
    while found:
        hub.now += SECOND
        hub.send(b"PONG\r\n" * found.count(b"PING\r\n"))
        found = hub.take()
        everything += found
    assert re.findall(rb"LMSG a 200\r\n(.{200})\r\n", everything) == sent
    assert hub.link.out_msgs == 1001 and not hub.link.pacing.waiting


def test_what_waits_behind_a_flood_has_a_bound_and_ends_with_the_connection(hub: Hub) -> None:
    paced(hub)
    for _ in range(HELD // 900 + 50):
        hub.publish("a", b"x" * 900)
    assert hub.link.congested and hub.link.dropped > 0
    assert hub.link.publish("alarm", b"fire")
    hub.link.closed("gone")
    assert not hub.link.pacing.waiting
    paced(hub)
    assert not hub.link.congested and hub.publish("a", b"1") == 1 and b"LMSG a 1\r\n1\r\n" in hub.take()


def test_a_congested_link_carries_what_waits_by_itself(hub: Hub) -> None:
    """A source is in windows, a request is small: to lose them costs a new beginning."""
    hub.connect()
    hub.send(b"LS+ $JS.S.abc\r\nLS+ $JS.hub.API.>\r\n")
    hub.link.congested = True
    assert hub.publish("$JS.S.abc", b"x") == 1
    assert hub.publish("$JS.hub.API.INFO", b"") == 1
    assert hub.link.dropped == 0


def test_a_lost_link_takes_the_hubs_interest_with_it(hub: Hub) -> None:
    hub.connect()
    hub.send(b"LS+ a\r\nLS+ q g 1\r\n")
    hub.link.closed("cut")
    assert hub.heard == [True, False]
    assert not hub.account.has_interest("a") and not hub.account.has_interest("q")
    hub.client("b")
    assert not hub.link.publish("a", b"x")
    assert hub.link.state is State.DOWN and hub.link.deadline() is None
    hub.connect()
    assert hub.heard == [True, False, True]


@pytest.mark.parametrize(
    "garbage, answer",
    [
        (b"LMSG a\r\n", b""),
        (b"LS+\r\n", b""),
        (b"LS+ a..b\r\n", b""),
        (b"HTTP/1.1 400 Bad Request\r\n", b"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"LMSG a 2000000\r\n", b"-ERR 'Maximum Payload Violation'\r\n"),
        (b"INFO {]\r\n", b""),
        (b"\x00\xff\r\n", b"-ERR 'Unknown Protocol Operation'\r\n"),
    ],
)
def test_malformed_bytes_close_this_link_only(hub: Hub, garbage: bytes, answer: bytes) -> None:
    hub.connect()
    got = hub.client("ok")
    hub.take()
    hub.send(b"LMSG ok 1\r\n1\r\n" + garbage + b"LMSG ok 1\r\n2\r\n")
    assert hub.wire.closed and hub.take() == answer
    assert [message[3] for message in got] == [b"1"]
    hub.link.closed("")
    hub.connect()
    assert hub.publish("ok", b"3") == 1


@pytest.mark.parametrize("data", [b"LMSG a 1\r\nx\r\n", b"LS+ a\r\n", b"PING\r\n"])
def test_info_comes_first(hub: Hub, data: bytes) -> None:
    hub.open()
    hub.send(data)
    assert hub.wire.closed and hub.take() == b"-ERR 'Unknown Protocol Operation'\r\n"


def test_a_portal_is_named_and_told_nothing(hub: Hub) -> None:
    hub.open()
    hub.send(b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n")
    assert hub.wire.closed and hub.take() == b"" and "a portal that wants a login" in hub.link.last_error


@pytest.mark.parametrize(
    "text, delay",
    [
        ("Authorization Violation", 0),
        ('Loop detected for leafnode account="A". Delaying attempt to reconnect for 30s', 30 * SECOND),
        ("remote leafnode has same cluster name", 30 * SECOND),
        ('connection rejected since minimum version required is "v2.13"', 5 * SECOND),
    ],
)
def test_errors_of_the_hub(hub: Hub, text: str, delay: int, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        hub.open()
        hub.info()
        hub.send(f"-ERR '{text}'\r\n".encode())
        assert hub.wire.closed
        hub.link.closed("closed by the hub")
        assert hub.link.retry_delay_ns == delay
    assert caplog.text.count(text) == 1  # not thirty thousand lines in a night


def test_a_hub_without_patience_is_named(hub: Hub) -> None:
    hub.open()
    hub.info()
    hub.send(b"-ERR 'Authentication Timeout'\r\n")
    assert hub.wire.closed and "authorization { timeout: 10 }" in hub.link.last_error


def test_a_loop_is_seen_by_its_own_id(hub: Hub) -> None:
    hub.connect()
    hub.send(b"LS+ $LDS.theirs\r\n")
    assert hub.take() == b"" and not hub.wire.closed
    hub.send(b"LS+ $LDS.OWN\r\n")
    assert b'-ERR \'Loop detected for leafnode account="$G"' in hub.take()
    assert hub.wire.closed and hub.link.retry_delay_ns == 30 * SECOND


def test_a_hub_that_says_nothing(hub: Hub) -> None:
    hub.open()
    assert hub.link.deadline() == hub.now + SECOND
    hub.pass_time(SECOND)
    assert hub.wire.closed and "no INFO" in hub.link.last_error


def test_a_hub_that_does_not_answer_connect(hub: Hub) -> None:
    hub.open()
    hub.info()
    hub.take()
    hub.pass_time(2 * SECOND)
    assert hub.wire.closed and hub.take() == b"-ERR 'Stale Leaf Node Connection - Closing'\r\n"


def test_a_hub_that_wants_tls_is_told_of(hub: Hub) -> None:
    hub.open()
    hub.info(tls_required=True)
    assert hub.wire.closed and hub.take() == b"" and "TLS" in hub.link.last_error


def test_tls_comes_between_info_and_connect(hub: Hub) -> None:
    hub.open(tls=Encrypted.AFTER_INFO)
    hub.info(tls_required=True)
    assert hub.wire.encrypting and hub.take() == b"" and hub.link.state is State.AWAITS_TLS
    hub.link.encrypted(hub.now)
    hub.router.flush()
    assert hub.take().startswith(b"CONNECT ")


def test_a_handshake_that_never_ends(hub: Hub) -> None:
    hub.open(tls=Encrypted.AFTER_INFO)
    hub.info(tls_required=True)
    hub.now = hub.link.deadline() or 0
    hub.link.tick(hub.now)
    assert hub.wire.closed and "TLS" in hub.link.last_error
    hub.link.encrypted(hub.now)  # too late
    assert hub.take() == b""


def test_encrypted_from_the_start(hub: Hub) -> None:
    hub.open(tls=Encrypted.FROM_THE_START)
    hub.info(tls_required=True)
    assert not hub.wire.encrypting and hub.take().startswith(b"CONNECT ")


def test_logins(hub: Hub) -> None:
    key = KeyPair("U", bytes(32))
    said = {}
    for name, login in {
        "user": LeafLogin("u", "p"), "token": LeafLogin("t"), "nkey": LeafLogin(seed=key.seed),
        "jwt": LeafLogin(jwt="J", seed=key.seed), "damaged": LeafLogin(seed="SUX"),
    }.items():  # fmt: skip
        hub.open(login)
        hub.info(nonce="abc")
        line = hub.take()
        said[name] = json.loads(line.split(b"\r\n")[0][8:]) if line else {}
    assert (said["user"]["user"], said["user"]["pass"]) == ("u", "p")
    assert (said["token"]["user"], said["token"]["auth_token"]) == ("t", "t")
    assert said["nkey"]["nkey"] == key.public and said["jwt"]["jwt"] == "J" and "nkey" not in said["jwt"]
    for name in ("nkey", "jwt"):
        assert verify(key.public, b"abc", decode_base64(said[name]["sig"]))
    assert said["damaged"] == {} and hub.wire.closed and "no login" in hub.link.last_error


def test_ping_is_answered_at_once(hub: Hub) -> None:
    hub.connect()
    hub.send(b"PING\r\n")
    assert hub.take() == b"PONG\r\n"


def next_ping(hub: Hub) -> int:
    """How long it takes until the link does something again."""
    begin = hub.now
    while not hub.wire.closed:
        due = hub.link.deadline()
        assert due is not None and due > hub.now
        hub.pass_time(due - hub.now)
        if hub.wire.data:
            break
    return hub.now - begin


def test_a_half_open_link_is_noticed_and_sooner_once_there_is_doubt(hub: Hub) -> None:
    hub.connect()
    assert next_ping(hub) == PING_INTERVAL_NS and hub.take() == b"PING\r\n"
    assert next_ping(hub) == PING_INTERVAL_NS // 2 and hub.take() == b"PING\r\n"
    assert not hub.wire.closed
    assert next_ping(hub) == PING_INTERVAL_NS // 2
    assert hub.wire.closed and hub.take() == b"-ERR 'Stale Connection'\r\n"


def test_a_far_hub_has_time_to_answer(hub: Hub) -> None:
    hub.connect()
    next_ping(hub)
    hub.take()
    hub.now += 4 * SECOND
    hub.send(b"PONG\r\n")
    assert hub.link.rtt == 4 * SECOND
    next_ping(hub)
    assert hub.take() == b"PING\r\n"
    assert next_ping(hub) == 4 * 4 * SECOND and not hub.wire.closed


def test_a_link_that_answers_lives(hub: Hub) -> None:
    hub.connect()
    for _ in range(10):
        hub.pass_time(PING_INTERVAL_NS)
        assert hub.take() == b"PING\r\n"
        hub.now += 5
        hub.send(b"PONG\r\n")
        assert hub.link.rtt == 5
    assert not hub.wire.closed


def test_any_bytes_from_the_hub_are_a_sign_of_life(hub: Hub) -> None:
    hub.connect()
    for _ in range(10):
        hub.send(b"LMSG a 100\r\n" if _ == 0 else b"x")
        hub.pass_time(PING_INTERVAL_NS)
    assert not hub.wire.closed


def test_a_slow_line_that_takes_our_bytes_lives_however_late_the_pong(hub: Hub) -> None:
    hub.connect()
    hub.send(b"LS+ a\r\n")
    hub.wire.slow = True
    for _ in range(200):
        hub.publish("a", b"x" * 1000)
    for _ in range(10):
        hub.wire.queued -= 5000
        hub.pass_time(PING_INTERVAL_NS)
    assert not hub.wire.closed
    for _ in range(3):  # and now nothing moves any more
        hub.pass_time(PING_INTERVAL_NS)
    assert hub.wire.closed
