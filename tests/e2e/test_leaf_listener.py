"""What a leaf is told and may say, byte by byte: the same transcripts with our listener and with nats-server's."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import Server, Wire

Start = Callable[..., Server]

PLAIN = """
listen: 127.0.0.1:-1
server_name: hub1
leafnodes { listen: 127.0.0.1:-1, compression: off }
"""
RULES = """
listen: 127.0.0.1:-1
server_name: hub2
accounts {
  A {
    users: [
      {user: limited, password: p, permissions {
        publish: "up.>", subscribe: {allow: ["down.>", "_INBOX.>"], deny: "down.secret"}, allow_responses: {max: 1}}},
      {user: free, password: p},
      {user: browser, password: p, allowed_connection_types: [STANDARD]},
    ]
    limits { max_leafnodes: 2, max_subscriptions: 9 }
  }
}
leafnodes { listen: 127.0.0.1:-1, compression: off, min_version: 2.9.0 }
"""
OWN = """
listen: 127.0.0.1:-1
server_name: hub3
accounts { A { users: [{user: a, password: p}] }, B { users: [{user: b, password: p}] } }
leafnodes {
  listen: 127.0.0.1:-1, compression: off, no_advertise: true
  authorization { timeout: 0.3, users: [{user: la, password: p, account: A}, {user: lb, password: p, account: B}] }
  remotes: [{url: "nats-leaf://127.0.0.1:1", account: A}]
}
"""
STREAMS = """
listen: 127.0.0.1:-1
server_name: hub4
jetstream { store_dir: %s, domain: hub }
leafnodes { listen: 127.0.0.1:-1, compression: off }
"""
USUAL = {  # of every account
    "$SYS.REQ.USER.INFO", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.STATZ", "$SYS.REQ.SERVER.PING.CONNZ",
}  # fmt: skip


class Leaf(Wire):
    """A raw leaf."""

    def __init__(self, server: Server, **said: Any) -> None:
        super().__init__(server.ports["leafnode"])
        self.hello = json.loads(self.info[5:])
        if said:
            self.connect(**said)

    def say(self, **said: Any) -> None:
        self.send(b"CONNECT " + json.dumps({"version": "2.12.0", "headers": True, **said}).encode() + b"\r\n")

    def connect(self, **said: Any) -> None:
        """Log in, and read what is wanted there."""
        self.say(**said)
        self.admitted = json.loads(self.expect(rb"INFO \{.*?\} \r\n")[5:])
        self.send(b"PING\r\n")
        self.wanted = {line[4:].decode() for line in self.expect(rb".*?PONG\r\n").split(b"\r\n")[:-2] if line != b"PING"}

    def settle(self, interest: bool = False) -> None:
        """All that was sent has been taken; ``interest`` may have come meanwhile, and nothing else."""
        self.send(b"PING\r\n")
        self.expect(rb"(PING\r\n|LS[^\n]*\n)*PONG\r\n" if interest else rb"(PING\r\n)*PONG\r\n")


@pytest.fixture(params=["edge", "nats"], scope="module")
def start(request: pytest.FixtureRequest, module_servers: tuple[Start, Start]) -> Start:
    return module_servers[0] if request.param == "edge" else module_servers[1]


@pytest.fixture(scope="module")
def plain(start: Start) -> Server:
    return start(PLAIN, "plain")


@pytest.fixture(scope="module")
def ruled(start: Start) -> Server:
    return start(RULES, "ruled")


@pytest.fixture(scope="module")
def own(start: Start) -> Server:
    return start(OWN, "own")


@pytest.fixture
def leaf(plain: Server) -> Iterator[Leaf]:
    leaf = Leaf(plain, name="e", remote_account="R")
    yield leaf
    leaf.close()


def login(server: Server, user: str = "") -> Wire:
    wire = server.wire()
    who = f'"user":"{user}","pass":"p",' if user else ""
    wire.login("{" + who + '"verbose":false,"pedantic":false,"headers":true,"no_responders":true}')
    return wire


def test_the_greeting(plain: Server) -> None:
    leaf = Leaf(plain)
    port = plain.ports["leafnode"]
    hello = leaf.hello
    assert {name: type(hello[name]) for name in ("server_id", "go", "nonce", "client_id")} == {
        "server_id": str, "go": str, "nonce": str, "client_id": int,
    }  # fmt: skip
    assert len(hello["nonce"]) == 15
    assert {name: value for name, value in hello.items() if name not in ("server_id", "go", "nonce", "client_id", "git_commit")} == {
        "server_name": "hub1", "version": "2.15.1", "proto": 3, "host": "127.0.0.1", "port": port, "headers": True,
        "auth_required": True, "max_payload": 1048576, "ip": f"127.0.0.1:{port}", "compression": "off", "api_lvl": 5,
        "info_on_connect": True, "leafnode_urls": [f"127.0.0.1:{port}"],
    }  # fmt: skip
    leaf.close()


def test_who_is_admitted_hears_where_and_what_is_wanted(plain: Server) -> None:
    client = login(plain)
    client.send(b"SUB a.* 1\r\nSUB q.work g 2\r\nSUB q.work g 3\r\nPING\r\n")
    client.expect(rb"PONG\r\n")
    leaf = Leaf(plain, name="e1", remote_account="R")
    assert leaf.admitted["connect_info"] is True and leaf.admitted["remote_account"] == "$G"
    assert "nonce" not in leaf.admitted and "compression" not in leaf.admitted and "import" not in leaf.admitted
    loop = {subject for subject in leaf.wanted if re.fullmatch(r"\$LDS\.\w{22}", subject)}
    assert len(loop) == 1
    assert leaf.wanted == {*USUAL, *loop, "a.*", "q.work g 2"}
    client.send(b"SUB a.* 4\r\nSUB q.work g 5\r\nUNSUB 1\r\nUNSUB 4\r\nUNSUB 2\r\nUNSUB 3\r\nUNSUB 5\r\n")
    leaf.expect(rb"LS\+ q.work g 3\r\nLS- a\.\*\r\nLS\+ q.work g 2\r\nLS\+ q.work g 1\r\nLS- q.work g\r\n")
    leaf.close()


def test_messages_from_a_leaf(plain: Server, leaf: Leaf) -> None:
    client = login(plain)
    client.send(b"SUB m.> 1\r\nSUB m.q g 2\r\nSUB m.q h 3\r\nPING\r\n")
    client.expect(rb"PONG\r\n")
    leaf.send(b"LMSG m.a 5\r\nhello\r\nLMSG m.b r.1 2\r\nhi\r\nHMSG m.c 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\n")
    client.expect(rb"MSG m.a 1 5\r\nhello\r\nMSG m.b 1 r.1 2\r\nhi\r\nHMSG m.c 1 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\n")
    leaf.send(b"LMSG m.q 1\r\n1\r\nLMSG m.q | g 1\r\n2\r\nHMSG m.q + r.2 g h 12 13\r\nNATS/1.0\r\n\r\n3\r\n")
    client.expect(rb"MSG m.q 1 1\r\n1\r\nMSG m.q 1 1\r\n2\r\nMSG m.q 2 1\r\n2\r\n")
    heard = client.expect(rb"(HMSG m.q . r.2 12 13\r\nNATS/1.0\r\n\r\n3\r\n){3}")
    assert {line.split()[2] for line in heard.split(b"\r\n") if line.startswith(b"HMSG")} == {b"1", b"2", b"3"}


def test_messages_to_a_leaf(plain: Server, leaf: Leaf) -> None:
    client = login(plain)
    leaf.send(b"LS+ t.>\r\nLS+ t.q g 2\r\nLS+ t.q h 1\r\nLS+ t.*\r\n")
    leaf.settle()
    client.send(b"PUB t.a 2\r\nhi\r\nPUB t.b r.1 2\r\nhi\r\nHPUB t.c 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\n")
    leaf.expect(rb"(LS\+ [^\n]*\n)*LMSG t.a 2\r\nhi\r\nLMSG t.b r.1 2\r\nhi\r\nHMSG t.c 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\n")
    client.send(b"PUB t.q 1\r\n1\r\nHPUB t.q r.2 12 13\r\nNATS/1.0\r\n\r\n2\r\n")
    leaf.expect(rb"LMSG t.q \| (g h|h g) 1\r\n1\r\nHMSG t.q \+ r.2 (g h|h g) 12 13\r\nNATS/1.0\r\n\r\n2\r\n")
    leaf.send(b"LS- t.>\r\nLS- t.q g\r\nLS- t.q h\r\nLS- t.*\r\nLS- t.nothing\r\n")
    leaf.settle()
    client.send(b"PUB t.a 2\r\nno\r\nPING\r\n")
    client.expect(rb"PONG\r\n")
    leaf.settle()


def test_who_takes_no_headers_gets_none(plain: Server) -> None:
    client, leaf = login(plain), Leaf(plain, name="old", headers=False)
    leaf.send(b"LS+ h.x\r\n")
    leaf.settle()
    client.send(b"HPUB h.x r.1 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\n")
    leaf.expect(rb"LMSG h.x r.1 2\r\nhi\r\n")
    leaf.close()


def test_requests_go_both_ways(plain: Server, leaf: Leaf) -> None:
    client = login(plain)
    client.send(b"SUB svc.hub 1\r\nSUB _INBOX.c.* 2\r\nPING\r\n")
    client.expect(rb"PONG\r\n")
    leaf.expect(rb"LS\+ svc.hub\r\nLS\+ _INBOX.c.\*\r\n")
    leaf.send(b"LS+ svc.leaf\r\nLS+ _INBOX.l.*\r\nLMSG svc.hub _INBOX.l.1 3\r\nask\r\n")
    client.expect(rb"MSG svc.hub 1 _INBOX.l.1 3\r\nask\r\n")
    client.send(b"PUB _INBOX.l.1 6\r\nanswer\r\nPUB svc.leaf _INBOX.c.1 3\r\nask\r\n")
    leaf.expect(rb"LMSG _INBOX.l.1 6\r\nanswer\r\nLMSG svc.leaf _INBOX.c.1 3\r\nask\r\n")
    leaf.send(b"LMSG _INBOX.c.1 6\r\nanswer\r\n")
    client.expect(rb"MSG _INBOX.c.1 2 6\r\nanswer\r\n")
    client.send(b"PUB svc.nobody _INBOX.c.2 0\r\n\r\n")
    client.expect(rb"HMSG _INBOX.c.2 2 \d+ \d+\r\nNATS/1.0 503")


def test_one_leaf_hears_what_another_wants_and_says(plain: Server) -> None:
    one, two = Leaf(plain, name="one", cluster="one"), Leaf(plain, name="two", cluster="two")
    one.send(b"LS+ between\r\nLS+ shared g 2\r\n")
    two.expect(rb"LS\+ between\r\nLS\+ shared g 2\r\n")
    two.send(b"LS+ shared g 3\r\nLMSG between 2\r\nhi\r\n")
    one.expect(rb"LS\+ shared g 3\r\nLMSG between 2\r\nhi\r\n")
    one.send(b"LS+ shared g 5\r\n")
    two.expect(rb"LS\+ shared g 5\r\n")
    client = login(plain)
    client.send(b"SUB shared g 1\r\n")
    one.expect(rb"LS\+ shared g 4\r\n")
    two.expect(rb"LS\+ shared g 6\r\n")
    one.close()
    two.expect(rb"LS- between\r\nLS\+ shared g 1\r\n|LS\+ shared g 1\r\nLS- between\r\n")
    two.close()


def test_leafs_of_one_cluster_know_of_each_other_already(plain: Server) -> None:
    one, two = Leaf(plain, name="one", cluster="same"), Leaf(plain, name="two", cluster="same")
    third = Leaf(plain, name="three", cluster="other")
    one.send(b"LS+ kin.x\r\n")
    third.expect(rb"LS\+ kin.x\r\n")
    two.send(b"LS+ kin.y\r\nLMSG kin.x 2\r\nhi\r\n")
    third.expect(rb"LS\+ kin.y\r\n")
    third.send(b"LMSG kin.x 2\r\nyo\r\n")
    one.expect(rb"LMSG kin.x 2\r\nyo\r\n")
    two.settle()
    for leaf in (one, two, third):
        leaf.close()


def test_a_leaf_that_asks_for_it_hears_nothing_of_the_others(plain: Server) -> None:
    one, alone = Leaf(plain, name="one", cluster="one"), Leaf(plain, name="alone", cluster="alone", isolate=True)
    one.send(b"LS+ iso.x\r\n")
    one.settle()
    client = login(plain)
    client.send(b"SUB iso.y 1\r\n")
    alone.expect(rb"LS\+ iso.y\r\n")
    alone.send(b"LS+ iso.z\r\nLMSG iso.x 2\r\nhi\r\n")
    one.expect(rb"(LS\+ iso.y\r\nLS\+ iso.z\r\n|LS\+ iso.z\r\nLS\+ iso.y\r\n)LMSG iso.x 2\r\nhi\r\n")
    one.close()
    alone.close()


EARLY = [b"PING\r\n", b"LS+ x\r\n", b"LMSG x 2\r\nhi\r\n", b"FOO\r\n"]


@pytest.mark.parametrize("sent", EARLY)
def test_connect_comes_first(plain: Server, sent: bytes) -> None:
    leaf = Leaf(plain)
    leaf.send(sent)
    assert leaf.expect_closed() == b"-ERR 'Authorization Violation'\r\n"
    leaf.close()


REFUSED = [
    ({"lang": "go"}, b"-ERR 'attempted to connect to leaf node port'\r\n"),
    ({"cluster": "a b"}, b"-ERR 'cluster name cannot contain spaces'\r\n"),
    ({"gateway": "x"}, b"-ERR 'Rejecting connection from gateway \"x\" on the leafnode port'\r\n"),
    ({"name": 5}, b""),
]


@pytest.mark.parametrize(("said", "answer"), REFUSED)
def test_a_connect_that_is_none_of_a_leaf(plain: Server, said: dict[str, Any], answer: bytes) -> None:
    leaf = Leaf(plain)
    leaf.say(**said)
    assert leaf.expect_closed() == answer
    leaf.close()


BROKEN = [
    (b"FOO bar\r\n", b"-ERR 'Unknown Protocol Operation'\r\n"),
    (b"LMSG foo\r\n", b""),
    (b"LS+ a b\r\n", b""),
    (b"LMSG x 2\r\nhiXX", b"-ERR 'Unknown Protocol Operation'\r\n"),
    (b"LMSG x 2000000\r\n", b"-ERR 'Maximum Payload Violation'\r\n"),
    (b"LMSG x a b c 1\r\n", b""),
]


@pytest.mark.parametrize(("sent", "answer"), BROKEN)
def test_what_is_no_line_of_a_leaf_ends_it(leaf: Leaf, sent: bytes, answer: bytes) -> None:
    leaf.send(sent)
    assert leaf.expect_closed() == answer


def test_an_invalid_subject_is_refused_alone(leaf: Leaf) -> None:
    leaf.send(b"LS+ a..b\r\n")
    leaf.expect(rb"-ERR 'Invalid Subscription'\r\n")
    leaf.send(b"INFO {}\r\n+OK\r\n-ERR 'x'\r\n")
    leaf.settle()


def test_a_loop_ends_the_link(plain: Server) -> None:
    leaf = Leaf(plain, name="loop")
    own = next(subject for subject in leaf.wanted if subject.startswith("$LDS."))
    leaf.send(f"LS+ {own}\r\n".encode())
    text = b"-ERR 'Loop detected for leafnode account=\"$G\". Delaying attempt to reconnect for 30s'\r\n"
    assert leaf.expect_closed() == text
    leaf.close()


def test_who_comes_again_takes_the_place_of_the_first(plain: Server) -> None:
    said = {"name": "twin", "cluster": "c", "remote_account": "R"}
    first, other = Leaf(plain, **said), Leaf(plain, **{**said, "remote_account": "S"})
    again = Leaf(plain, **said)
    assert first.expect_closed().endswith(b"-ERR 'Duplicate Remote LeafNode Connection'\r\n")
    other.settle()
    again.settle()
    for leaf in (first, other, again):
        leaf.close()


def test_a_hub_may_dial_too(plain: Server) -> None:
    """Then we are the leaf: only our own interest is told, and that of our leafs."""
    client = login(plain)
    client.send(b"SUB own.x 1\r\nPING\r\n")
    client.expect(rb"PONG\r\n")
    ours, hub = Leaf(plain, name="ours", cluster="ours"), Leaf(plain, name="hub", cluster="hub", is_hub=True)
    assert "own.x" in hub.wanted
    ours.send(b"LS+ from.leaf\r\n")
    hub.expect(rb"LS\+ from.leaf\r\n")
    hub.send(b"LS+ from.hub\r\n")
    ours.expect(rb"LS\+ from.hub\r\n")
    other = Leaf(plain, name="hub2", cluster="hub2", is_hub=True)
    assert "from.leaf" in other.wanted and "from.hub" not in other.wanted
    for leaf in (ours, hub, other):
        leaf.close()


# ---- users and their rights


def test_users_of_the_server(ruled: Server) -> None:
    for said in ({"user": "free", "pass": "x"}, {"user": "browser", "pass": "p"}, {}):
        leaf = Leaf(ruled)
        leaf.say(**said)
        assert leaf.expect_closed() == b"-ERR 'Authorization Violation'\r\n"
        leaf.close()
    leaf = Leaf(ruled, user="free", **{"pass": "p"})
    assert leaf.admitted["remote_account"] == "A"
    leaf.close()


def test_rights_are_told_and_hold(ruled: Server) -> None:
    client = login(ruled, "free")
    client.send(b"SUB > 1\r\nPING\r\n")
    client.expect(rb"PONG\r\n")
    leaf = Leaf(ruled, user="limited", **{"pass": "p"})
    assert leaf.admitted["export"] == {"allow": ["up.>"]}
    assert leaf.admitted["import"] == {"allow": ["down.>", "_INBOX.>"], "deny": ["down.secret"]}
    leaf.send(b"LS+ >\r\nLS+ down.x\r\nLMSG up.a 2\r\nhi\r\n")
    client.expect(rb"MSG up.a 1 2\r\nhi\r\n")
    leaf.settle()
    client.send(b"UNSUB 1\r\nPUB down.secret 1\r\n1\r\nPUB other 1\r\n2\r\nPUB down.ask r.1 1\r\n3\r\nPUB down.x 1\r\n4\r\n")
    leaf.expect(rb"(LS. [^\n]*\n)*LMSG down.ask r.1 1\r\n3\r\nLMSG down.x 1\r\n4\r\n")
    client.send(b"SUB r.> 2\r\nPING\r\n")
    client.expect(rb"PONG\r\n")
    leaf.send(b"LMSG r.1 2\r\nok\r\n")
    client.expect(rb"MSG r.1 2 2\r\nok\r\n")
    leaf.send(b"LMSG r.1 2\r\nno\r\n")
    assert leaf.expect_closed().endswith(b"-ERR 'Permissions Violation for Publish to \"r.1\"'\r\n")
    leaf.close()


VIOLATIONS = [
    ("limited", b"LMSG no.a 1\r\nx\r\n", b"Publish to \"no.a\""),
    ("limited", b"LS+ up.x\r\n", b"Subscription to \"up.x\""),
    ("limited", b"LS+ down.secret\r\n", b"Subscription to \"down.secret\""),
    ("free", b"LS+ $KV.b.k\r\n", b"Subscription to \"$KV.b.k\""),
    ("free", b"LS+ no.thanks\r\n", b"Subscription to \"no.thanks\""),
]


@pytest.mark.parametrize(("user", "sent", "what"), VIOLATIONS)
def test_a_violation_ends_the_link(ruled: Server, user: str, sent: bytes, what: bytes) -> None:
    leaf = Leaf(ruled, user=user, deny_pub=["no.>"], **{"pass": "p"})
    leaf.send(sent)
    assert leaf.expect_closed() == b"-ERR 'Permissions Violation for " + what + b"'\r\n"
    leaf.close()


def test_limits_of_the_account(ruled: Server) -> None:
    one, two = (Leaf(ruled, user="free", name=name, **{"pass": "p"}) for name in ("one", "two"))
    three = Leaf(ruled)
    three.say(user="free", name="three", **{"pass": "p"})
    assert three.expect_closed() == b"-ERR 'maximum account active connections exceeded'\r\n"
    one.send(b"".join(b"LS+ many.%d\r\n" % i for i in range(11)))
    one.expect(rb"(-ERR 'maximum subscriptions exceeded'\r\n){2}")
    one.settle()
    for leaf in (one, two, three):
        leaf.close()


def test_old_leafs_are_turned_away(ruled: Server) -> None:
    leaf = Leaf(ruled)
    leaf.say(user="free", version="2.8.4", **{"pass": "p"})
    leaf.expect(rb"INFO \{.*?\} \r\n")
    assert leaf.expect_closed() == b"-ERR 'connection rejected since minimum version required is \"2.9.0\"'\r\n"
    leaf.close()


def test_users_for_leafs_alone_and_an_account_each(own: Server) -> None:
    leaf = Leaf(own)
    leaf.say(user="a", **{"pass": "p"})
    assert leaf.expect_closed() == b"-ERR 'Authorization Violation'\r\n"
    leaf.close()
    a, b = (Leaf(own, user=user, **{"pass": "p"}) for user in ("la", "lb"))
    assert (a.admitted["remote_account"], b.admitted["remote_account"]) == ("A", "B")
    assert "leafnode_urls" not in a.hello and a.hello["cluster"] == "hub3"
    client = login(own, "b")
    client.send(b"SUB only.b 1\r\n")
    b.expect(rb"LS\+ only.b\r\n")
    a.settle()
    a.close()
    b.close()


def test_a_leaf_of_our_own_cluster(own: Server) -> None:
    leaf = Leaf(own)
    leaf.say(user="la", cluster="hub3", **{"pass": "p"})
    assert leaf.expect_closed() == b"-ERR 'remote leafnode has same cluster name'\r\n"
    leaf.close()


def test_who_says_nothing_is_sent_away(own: Server) -> None:
    leaf = Leaf(own)
    assert leaf.expect_closed() == b"-ERR 'Authentication Timeout'\r\n"
    leaf.close()


# ---- JetStream


def test_jetstream_is_at_hand_by_its_domain(start: Start, tmp_path: Any) -> None:
    hub = start(STREAMS % tmp_path, "streams")
    leaf = Leaf(hub, name="e", domain="edge", jetstream=True)
    assert leaf.hello["domain"] == "hub" and leaf.hello["jetstream"] is True
    assert "$JS.API.>" in leaf.wanted
    assert any(subject in leaf.wanted for subject in ("$JS.hub.API.>", "$JS.hub.API.STREAM.>"))
    leaf.send(b"LS+ _INBOX.l.*\r\nLMSG $JS.hub.API.INFO _INBOX.l.1 0\r\n\r\n")
    assert b'"domain":"hub"' in leaf.expect(rb"LMSG _INBOX.l.1 \d+\r\n\{.*?\}\r\n")
    leaf.send(b"LS+ $JS.edge.API.>\r\n")
    leaf.settle()
    client = login(hub)
    client.send(b"SUB _INBOX.c.* 1\r\nPUB $JS.edge.API.INFO _INBOX.c.1 0\r\n\r\n")
    leaf.expect(rb"LS\+ _INBOX.c.\*\r\nLMSG \$JS.edge.API.INFO _INBOX.c.1 0\r\n\r\n")
    leaf.send(b"LMSG _INBOX.c.1 2\r\n{}\r\n")
    client.expect(rb"MSG _INBOX.c.1 1 2\r\n\{\}\r\n")
    leaf.send(b"LS+ $KV.>\r\n")
    leaf.settle()
    client.send(b"PUB $KV.b.k 1\r\nx\r\nPING\r\n")
    client.expect(rb"PONG\r\n")
    leaf.settle()
    leaf.close()
