"""A leaf that dials, in transcripts: what it says, what it hears, and how time passes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from edge.core.account_spec import AccountLimits
from edge.core.auth import Answer, ConfiguredUsers, Credentials, Login, Refusal, User
from edge.core.compression_spec import Compression
from edge.core.leaf_inbound import FIRST_PING_NS, InboundLink, LeafTerms
from edge.core.leaf_link import PING_INTERVAL_NS, SECOND
from edge.core.leaf_wire import LeafIdentity
from edge.core.permissions import Permissions, SubjectRule
from edge.core.router import Router, Watcher

IDENTITY = LeafIdentity("NHUB", "hub", "2.15.1", "hub", True, 1000)
LOOP = "$LDS.OWN"


class Later:
    """Whoever decides takes time: ``say`` the verdict."""

    account, required, challenges = "$G", True, True

    def __init__(self) -> None:
        self.asked: list[Credentials] = []
        self.answers: list[Answer] = []

    def login(self, credentials: Credentials, answer: Answer) -> None:
        self.asked.append(credentials)
        self.answers.append(answer)

    def say(self, verdict: Login | Refusal) -> None:
        self.answers.pop()(verdict)


class Diary(Watcher):
    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []

    def connected(self, peer: Any, account: Any) -> None:
        self.entries.append(("connected", account.name))

    def refused(self, peer: Any, account: Any, reason: str) -> None:
        self.entries.append(("refused", reason))

    def disconnected(self, peer: Any, account: Any, reason: str) -> None:
        self.entries.append(("disconnected", reason))


class Hub:
    """This side: it is its links' host and their connection too."""

    def __init__(self, auth: Any = None, **terms: Any) -> None:
        self.terms = LeafTerms(**terms)
        self.router = Router()
        self.router.account("$G").loop_subject = LOOP
        self.diary = Diary()
        self.router.watchers.append(self.diary)
        self.auth = auth or ConfiguredUsers()
        self.now = 5 * SECOND

    def info(self, cid: int, more: dict[str, object]) -> dict[str, object]:
        return {"server_name": "hub", **more}

    def wall(self) -> int:
        return 1_000 * SECOND + self.now

    def monotonic(self) -> int:
        return self.now

    def leaf(self, **said: Any) -> "Leaf":
        leaf = Leaf(self)
        if said:
            leaf.connect(**said)
        return leaf


class Leaf:
    """The other side of one connection: what it has been sent since it was last looked at is ``taken``."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.data = b""
        self.closed = self.compressed = False
        self.verdicts = 0
        self.link = InboundLink(hub.router, hub, hub.auth, IDENTITY)
        self.link.meet("192.0.2.1", 5000)
        self.greeting = json.loads(self.link.greeting()[5:])
        self.link.opened(self, self, hub.now)

    # the connection

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed = True

    def encrypt(self) -> None: ...

    def compress(self) -> None:
        assert not self.data, "what was written before is in clear"
        self.compressed = True

    def unsent(self) -> int:
        return 0

    def acknowledged(self) -> int:
        return 0

    def credentials(self) -> Credentials:
        return Credentials()

    def on_verdict(self) -> None:
        self.verdicts += 1
        self.link.decide(self.hub.now)
        self.hub.router.flush()

    # the leaf

    def send(self, data: bytes) -> bytes:
        self.link.receive(data, self.hub.now)
        self.hub.router.flush()
        return self.take()

    def take(self) -> bytes:
        data, self.data = self.data, b""
        return data

    def connect(self, **said: Any) -> bytes:
        fields = {"name": "e", "cluster": "c", "remote_account": "R", "headers": True, "version": "2.15.1", **said}
        return self.send(b"CONNECT " + json.dumps(fields).encode() + b"\r\n")

    def pass_time(self, ns: int) -> bytes:
        self.hub.now += ns
        self.link.tick(self.hub.now)
        self.hub.router.flush()
        return self.take()


def test_from_greeting_to_gone() -> None:
    hub = Hub()
    hub.router.account("$G").subscribe("want.*", print)
    leaf = hub.leaf()
    assert len(leaf.greeting["nonce"]) == 15 and "compression" not in leaf.greeting
    assert not hub.router.account("$G").links, "not before it has logged in"
    said = leaf.connect()
    assert said == (
        b'INFO {"server_name":"hub","connect_info":true,"remote_account":"$G"} \r\nLS+ $LDS.OWN\r\nLS+ want.*\r\n'
    )
    assert hub.router.account("$G").links == {leaf.link} and leaf.link.up and leaf.link.server_name == "e"
    assert leaf.pass_time(FIRST_PING_NS) == b"PING\r\n"
    hub.now += 7
    leaf.send(b"PONG\r\n")
    assert leaf.link.rtt == 7
    leaf.send(b"LS+ a\r\nLMSG a 1\r\nx\r\n")
    leaf.link.closed("closed by the other side")
    account = hub.router.account("$G")
    assert not account.links and not account.has_interest("a") and account.leaf_traffic.in_msgs == 1
    assert hub.diary.entries == [("connected", "$G"), ("disconnected", "Client Closed")]


def test_who_says_nothing_in_time() -> None:
    leaf = Hub(auth_timeout_ns=SECOND).leaf()
    assert leaf.pass_time(SECOND - 1) == b"" and not leaf.closed
    assert leaf.pass_time(1) == b"-ERR 'Authentication Timeout'\r\n" and leaf.closed


def test_a_leaf_that_falls_silent_is_stale() -> None:
    hub = Hub(ping_max=2)
    leaf = hub.leaf(name="e")
    leaf.take()
    assert leaf.pass_time(FIRST_PING_NS) == leaf.pass_time(PING_INTERVAL_NS) == b"PING\r\n"
    assert leaf.pass_time(PING_INTERVAL_NS) == b"-ERR 'Stale Connection'\r\n"
    leaf.link.closed("")
    assert hub.diary.entries[-1] == ("disconnected", "Stale Connection")


def test_a_verdict_that_takes_its_time() -> None:
    auth = Later()
    hub = Hub(auth)
    leaf = hub.leaf()
    heard: list[tuple[object, ...]] = []
    hub.router.account("B").subscribe("early", lambda *message: heard.append(message))
    assert leaf.connect(user="u", **{"pass": "p"}) == leaf.send(b"LS+ x\r\nLMSG early 2\r\nhi\r\n") == b""
    (asked,) = auth.asked
    assert (asked.user, asked.password, asked.kind, asked.nonce) == ("u", "p", "LEAFNODE", leaf.greeting["nonce"])
    assert leaf.pass_time(3 * SECOND) == b"", "whoever is asked has a time limit of its own"
    auth.say(Login("B", "u"))
    assert leaf.verdicts == 1 and b'"remote_account":"B"' in leaf.take()
    assert heard == [("early", "", b"", b"hi")] and hub.router.account("B").has_interest("x")


def test_a_refusal_that_takes_its_time() -> None:
    auth = Later()
    hub = Hub(auth)
    leaf = hub.leaf()
    leaf.connect(user="u")
    auth.say(Refusal())
    assert leaf.take() == b"-ERR 'Authorization Violation'\r\n" and leaf.closed
    leaf.link.closed("")
    assert hub.diary.entries == [("refused", "Authentication Failure")]


def test_a_verdict_on_who_is_gone_already() -> None:
    auth = Later()
    hub = Hub(auth)
    leaf = hub.leaf()
    leaf.connect(user="u")
    leaf.link.closed("")
    auth.say(Login("B", "u"))
    assert not hub.router.account("B").links and not hub.diary.entries


def test_limits_of_the_account_and_its_user() -> None:
    auth = Later()
    hub = Hub(auth)
    hub.router.account("B").limits = AccountLimits(max_leafnodes=1, max_subscriptions=5)
    first, second = hub.leaf(user="u"), hub.leaf(user="u", name="f")
    for _ in (second, first):
        auth.say(Login("B", "u", max_subscriptions=1, max_payload=4))
    assert first.take() == b"-ERR 'maximum account active connections exceeded'\r\n" and first.link.end.startswith("Maximum Account")
    second.take()
    assert second.send(b"LS+ a\r\nLS+ b\r\nLS+ a\r\nLS- a\r\nLS+ b\r\n") == b"-ERR 'maximum subscriptions exceeded'\r\n"
    assert second.send(b"LMSG x 5\r\nhello\r\n") == b"-ERR 'Maximum Payload Violation'\r\n"
    assert second.link.end == "Maximum Message Payload Exceeded"


def test_a_login_that_expires() -> None:
    auth = Later()
    hub = Hub(auth)
    leaf = hub.leaf(user="u")
    auth.say(Login("B", "u", expires_ns=hub.wall() + SECOND // 2))
    leaf.take()
    assert leaf.link.deadline() == hub.now + SECOND // 2
    assert leaf.pass_time(SECOND // 2) == b"-ERR 'User Authentication Expired'\r\n"
    assert leaf.link.end == "Authentication Expired" and leaf.link.deadline() is None


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Refusal(), b"-ERR 'Authorization Violation'\r\n"),
        (Refusal(withdrawn=("User Authentication Revoked", "Credentials Revoked")), b"-ERR 'User Authentication Revoked'\r\n"),
        (Login("C", "u"), b""),
    ],
)
def test_who_may_stay_no_longer(verdict: Login | Refusal, said: bytes) -> None:
    auth = Later()
    leaf = Hub(auth).leaf(user="u")
    auth.say(Login("B", "u"))
    leaf.take()
    leaf.link.judge_again()
    auth.say(verdict)
    assert leaf.take() == said and leaf.closed


def test_other_rights_are_told_and_hold_at_once() -> None:
    auth = Later()
    hub = Hub(auth)
    leaf = hub.leaf(user="u")
    auth.say(Login("B", "u"))
    leaf.send(b"LS+ a\r\nLS+ b\r\n")
    account = hub.router.account("B")
    account.publish("a", b"1")
    account.publish("b", b"1")
    hub.router.flush()
    assert leaf.take().endswith(b"LMSG a 1\r\n1\r\nLMSG b 1\r\n1\r\n")
    leaf.link.judge_again()
    auth.say(Login("B", "u", Permissions(subscribe=SubjectRule(("b",)))))
    assert b'"import":{"allow":["b"]}' in leaf.take()
    account.publish("a", b"2")
    account.publish("b", b"2")
    hub.router.flush()
    assert leaf.take() == b"LMSG b 1\r\n2\r\n"
    leaf.link.judge_again()
    auth.say(Login("B", "u", Permissions(subscribe=SubjectRule(("b",)))))
    assert leaf.take() == b"", "nothing has changed"


@pytest.mark.parametrize(
    ("ours", "theirs", "mode"),
    [("s2_auto", "s2_auto", "s2_fast"), ("s2_best", "accept", "s2_best"), ("accept", "s2_fast", "s2_fast"), ("s2_fast", "off", "off")],
)
def test_compression_is_settled_before_connect(ours: str, theirs: str, mode: str) -> None:
    leaf = Hub(compression=Compression(ours)).leaf()
    assert leaf.greeting["compression"] == ours
    said = leaf.send(f'INFO {{"compression":"{theirs}","client_id":1}} \r\n'.encode())
    assert leaf.compressed == (mode != "off") == bool(said)
    if said:
        told = json.loads(said[5:])
        assert told["nonce"] == leaf.greeting["nonce"] and told["compression"] == ("s2_auto" if ours == "s2_auto" else mode)
    assert leaf.send(b"INFO {}\r\n") == b"", "once"
    leaf.connect(compress_mode=mode)
    assert leaf.link.compression == mode


def test_a_compression_that_nobody_knows() -> None:
    leaf = Hub(compression=Compression("s2_auto")).leaf()
    assert leaf.send(b'INFO {"compression":"zip"}\r\n') == b"-ERR 'unsupported route compression mode \"zip\"'\r\n"


def test_a_loop_is_told_by_either_side() -> None:
    leaf = Hub().leaf(name="e")
    leaf.take()
    assert leaf.send(f"LS+ {LOOP}\r\n".encode()).startswith(b"-ERR 'Loop detected")
    other = Hub().leaf(name="e")
    other.send(b"-ERR 'Loop detected for leafnode account=\"A\"'\r\n")
    assert other.closed
    third = Hub().leaf(name="e")
    third.send(b"-ERR 'something else'\r\n")
    assert not third.closed


def test_why_a_leaf_is_none_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub(cluster="here", min_version="2.10.0")
    ends = []
    for said in ({"lang": "go"}, {"cluster": "a b"}, {"cluster": "here"}, {"gateway": "g"}, {"version": "2.9.0"}):
        leaf = hub.leaf(**said)
        assert leaf.closed and not hub.router.account("$G").links
        leaf.link.closed("")
        ends.append(hub.diary.entries[-1])
    assert ends == [
        ("disconnected", end)
        for end in ("Incorrect Port", "Protocol Violation", "Cluster Names Identical", "Wrong Gateway", "Minimum Version Required")
    ]


def test_one_line_in_the_log_for_each_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    hub = Hub(ConfiguredUsers([User("u", "p")]))
    leaf, stranger = hub.leaf(user="u", **{"pass": "p"}), hub.leaf(user="v")
    leaf.link.closed("closed by the other side")
    stranger.link.closed("")
    lines = [record.getMessage() for record in caplog.records]
    assert [line for line in lines if "closed" in line] == [
        f"192.0.2.1:5000 - lid:{stranger.link.cid} - Leafnode connection closed: Authentication Failure",
        f"192.0.2.1:5000 - lid:{leaf.link.cid} - Leafnode connection closed: Client Closed - Remote: e",
    ]
    assert f'192.0.2.1:5000 - lid:{stranger.link.cid} - authentication error - User "v"' in lines


def test_whoever_sends_over_a_link_may(make_bench: Callable[[], Any]) -> None:
    """An uplink would ask first; a leaf takes what it is sent."""
    leaf = Hub().leaf(name="e")
    leaf.take()
    assert leaf.link.refusal("anything", 1 << 30) == ""
