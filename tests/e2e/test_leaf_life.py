"""What is told of leafs that dial a server (LEAFZ, VARZ, ACCOUNTZ, the system account's events), and how they end:
reload, lame duck mode, shutdown.  The same with our edge as the hub and with a real nats-server."""

import json
import os
import re
import signal
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Server, Wire
from tests.e2e.test_leaf_listener import Leaf
from tests.e2e.test_reload import reload

Start = Callable[..., Server]

HUB = """
listen: 127.0.0.1:-1
server_name: hub
http: 127.0.0.1:-1
accounts {{
  A {{ users: [{{user: a, password: p}}, {users}] }}
  SYS {{ users: [{{user: s, password: p}}] }}
}}
system_account: SYS
lame_duck_duration: "30s"
lame_duck_grace_period: "1ms"
leafnodes {{ listen: 127.0.0.1:-1, compression: off, {leafs} }}
"""
LIMITED = '{user: b, password: p, permissions {publish: "up.>", subscribe: "down.>"}}'
WIDER = '{user: b, password: p, permissions {publish: ["up.>", "more.>"], subscribe: "down.>"}}'
A = {"user": "a", "pass": "p", "name": "e1", "cluster": "c1", "remote_account": "R"}


def config(users: str = LIMITED, leafs: str = "") -> str:
    return HUB.format(users=users, leafs=leafs)


def page(server: Server, path: str) -> Any:
    found = re.search(r"Starting http monitor on 127\.0\.0\.1:(\d+)", server.log.read_text())
    assert found
    with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/{path}", timeout=60) as answer:
        return json.load(answer)


def watch(server: Server) -> Wire:
    wire = server.wire()
    wire.login('{"verbose":false,"pedantic":false,"headers":true,"user":"s","pass":"p"}')
    wire.send(b"SUB $SYS.ACCOUNT.A.> 1\r\nSUB $SYS.SERVER.*.CLIENT.AUTH.ERR 2\r\nPING\r\n")
    wire.expect(rb".*?PONG\r\n")
    return wire


def event(wire: Wire, subject: str) -> Any:
    """The next one on this subject."""
    found = wire.expect(rb".*?MSG " + re.escape(subject.encode()).replace(rb"\*", rb"\S+") + rb" \d+ +(\d+)\r\n")
    return json.loads(wire.expect(rb".{%d}\r\n" % int(found.split()[-1])))


def both(wire: Wire, *subjects: str) -> list[Any]:
    """The next event on each subject, in whatever order they come."""
    heard: dict[str, Any] = {}
    while set(subjects) - set(heard):
        head = wire.expect(rb".*?MSG (\S+) \d+ +(\d+)\r\n").split()
        body = wire.expect(rb".{%d}\r\n" % int(head[-1]))
        heard[head[-3].decode()] = json.loads(body)
    return [heard[subject] for subject in subjects]


def test_what_monitoring_tells_of_leafs(either: Start) -> None:
    server = either(config())
    leaf = Leaf(server, **A, isolate=True, domain="d")
    leaf.send(b"LS+ a.b\r\nLS+ q w 3\r\nLMSG x 5\r\nhello\r\nHMSG x 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
    leaf.settle()
    told = page(server, "leafz?subs=1")
    assert told["leafnodes"] == 1
    (one,) = told["leafs"]
    assert re.fullmatch(r"[\d.]+\D+", one.pop("rtt"))
    assert one.pop("port") > 0 and one.pop("id") > 0 and sorted(one.pop("subscriptions_list")) == ["a.b", "q"]
    assert one == {
        "name": "e1", "is_spoke": False, "is_isolated": True, "account": "A", "ip": "127.0.0.1", "in_msgs": 2,
        "out_msgs": 0, "in_bytes": 19, "out_bytes": 0, "subscriptions": 2, "compression": "not supported",
    }  # fmt: skip
    assert page(server, "leafz?acc=SYS")["leafs"] == []
    varz = page(server, "varz")
    assert varz["leafnodes"] == 1 and varz["connections"] == 0
    assert varz["leaf"] == {"host": "127.0.0.1", "port": server.ports["leafnode"], "auth_timeout": 2, "tls_timeout": 2}
    assert (varz["in_msgs"], varz["in_bytes"], varz["in_client_msgs"]) == (2, 19, 0)
    account = page(server, "accountz?acc=A")["account_detail"]
    assert (account["leafnode_connections"], account["client_connections"]) == (1, 0)
    statz = page(server, "accstatz")["account_statz"]
    (found,) = [one for one in statz if one["acc"] == "A"]
    assert (found["leafnodes"], found["total_conns"], found["received"]["leafs"]) == (1, 1, {"msgs": 2, "bytes": 19})
    leaf.close()


def client_of(event: Any) -> dict[str, Any]:
    fields = event["client"]
    return {name: value for name, value in fields.items() if name not in ("start", "stop", "id", "rtt")}


def test_what_the_system_account_hears(either: Start) -> None:
    server = either(config())
    system = watch(server)
    leaf = Leaf(server, **A)
    said = {"host": "127.0.0.1", "acc": "A", "user": "a", "name": "e1", "ver": "2.12.0", "name_tag": "A", "kind": "Leafnode"}
    counted, came = both(system, "$SYS.ACCOUNT.A.SERVER.CONNS", "$SYS.ACCOUNT.A.CONNECT")
    assert counted["leafnodes"] == 1 and client_of(came) == said
    leaf.close()
    gone = event(system, "$SYS.ACCOUNT.A.DISCONNECT")
    assert client_of(gone) == said and gone["reason"] == "Client Closed"
    one, two = Leaf(server, **A), Leaf(server, **A)
    assert one.expect_closed().endswith(b"-ERR 'Duplicate Remote LeafNode Connection'\r\n")
    assert event(system, "$SYS.ACCOUNT.A.DISCONNECT")["reason"] == "Duplicate Remote LeafNode Connection"
    two.send(b"LMSG\r\n")
    two.expect_closed()
    assert event(system, "$SYS.ACCOUNT.A.DISCONNECT")["reason"] == "Protocol Violation"
    stranger = Leaf(server)
    stranger.say(**{**A, "pass": "x"})
    stranger.expect_closed()
    refused = event(system, "$SYS.SERVER.*.CLIENT.AUTH.ERR")
    assert client_of(refused) == {name: value for name, value in said.items() if name != "name_tag"} | {"acc": "N/A"}
    assert refused["reason"] == "Authentication Failure"
    for leaf in (one, two, stranger):
        leaf.close()


def test_a_leaf_may_be_kicked(either: Start) -> None:
    server = either(config())
    system, leaf = watch(server), Leaf(server, **A)
    body = json.dumps({"cid": leaf.hello["client_id"]}).encode()
    system.send(b"PUB $SYS.REQ.SERVER.%b.KICK r.1 %d\r\n%b\r\n" % (leaf.hello["server_id"].encode(), len(body), body))
    assert b"-ERR" not in leaf.expect_closed()
    assert event(system, "$SYS.ACCOUNT.A.DISCONNECT")["reason"] == "Kicked"
    leaf.close()


def test_a_reload_ends_those_whose_user_is_gone(start_edge: Start) -> None:
    """Ours alone: nats-server leaves leafs as they are."""
    server = start_edge(config())
    staying, leaving = Leaf(server, **A), Leaf(server, user="b", name="b", **{"pass": "p"})
    reload(server, config(users='{user: c, password: p}'))
    leaving.expect_closed()
    staying.settle()
    for leaf in (staying, leaving):
        leaf.close()


def test_a_reload_tells_of_other_rights(start_edge: Start) -> None:
    """Ours alone, too."""
    server = start_edge(config())
    leaf = Leaf(server, user="b", name="b", **{"pass": "p"})
    reload(server, config(users=WIDER))
    told = json.loads(leaf.expect(rb"(PING\r\n)?INFO \{.*?\} \r\n").partition(b"INFO")[2])
    assert told["export"] == {"allow": ["up.>", "more.>"]}
    leaf.send(b"LMSG more.x 1\r\nx\r\n")
    leaf.expect(rb"(LS\+[^\n]*\n)*")
    leaf.settle()
    leaf.close()


def test_users_for_leafs_alone_may_change(start_edge: Start) -> None:
    server = start_edge(config(leafs="authorization { users: [{user: l, password: p, account: A}] }"))
    leaf = Leaf(server, user="l", name="l", **{"pass": "p"})
    assert "LeafNode listener" in reload(server, config(leafs="authorization { users: [{user: m, password: p}] }"))
    leaf.expect_closed()
    other = Leaf(server, user="m", name="l", **{"pass": "p"})
    assert other.admitted["remote_account"] == "$G"
    leaf.close()
    other.close()


def test_a_lowered_limit_is_for_who_comes(either: Start) -> None:
    limited = config().replace("A { users:", "A { limits { max_leafnodes: %d }, users:")
    server = either(limited % 2)
    leafs = [Leaf(server, **{**A, "name": name, "cluster": name}) for name in ("e1", "e2")]
    reload(server, limited % 1)
    for leaf in leafs:
        leaf.send(b"LS+ still.here\r\n")
        leaf.settle(interest=True)
    third = Leaf(server)
    third.say(**{**A, "name": "e3", "cluster": "e3"})
    assert third.expect_closed().endswith(b"-ERR 'maximum account active connections exceeded'\r\n")
    leafs[0].close()
    leafs[1].close()
    third.close()


@pytest.mark.parametrize("change", ["listen: 127.0.0.1:4", "advertise: 'x:1'"])
def test_where_it_listens_stays(change: str, start_edge: Start) -> None:
    server = start_edge(config())
    text = config().replace("listen: 127.0.0.1:-1, ", change + ", ") if "listen" in change else config(leafs=change)
    assert "config reload not supported for leafnodes" in reload(server, text, "Failed to reload")


def test_lame_duck_mode_closes_them_and_lets_nobody_in(either: Start) -> None:
    server = either(config())
    leaf = Leaf(server, **A)
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGUSR2)
    assert b"-ERR" not in leaf.expect_closed()
    assert server.process.wait(60) in (0, 1)
    leaf.close()


def test_a_shutdown_closes_them(either: Start) -> None:
    server = either(config())
    leaf = Leaf(server, **A)
    assert server.stop() in (0, 1)
    assert b"-ERR" not in leaf.expect_closed()
    leaf.close()


def test_a_leaf_that_does_not_answer_is_stale(either: Start) -> None:
    server = either(config() + 'ping_interval: "50ms"\nping_max: 1\n')
    leaf = Leaf(server, **A)
    assert leaf.expect_closed().endswith(b"-ERR 'Stale Connection'\r\n")
    leaf.close()


def traced(events: Any) -> list[dict[str, Any]]:
    """What happened, without when and to whom by number."""
    left_out = ("ts", "cid")
    return [{name: value for name, value in event.items() if name not in left_out and value != ""} for event in events]


def test_a_trace_follows_a_message_to_a_leaf_and_from_one(either: Start) -> None:
    server = either(config())
    leaf, client = Leaf(server, **A, protocol=3), server.wire()
    client.login('{"verbose":false,"pedantic":false,"headers":true,"user":"a","pass":"p"}')
    client.send(b"SUB trace.dest 1\r\nSUB up.x 2\r\nPING\r\n")
    client.expect(rb"PONG\r\n")
    leaf.send(b"LS+ down.x\r\n")
    leaf.settle(interest=True)
    headers = b"NATS/1.0\r\nNats-Trace-Dest: trace.dest\r\n\r\n"
    client.send(b"HPUB down.x %d %d\r\n%bhi\r\n" % (len(headers), len(headers) + 2, headers))
    carried = leaf.expect(rb"HMSG down.x \d+ \d+\r\n.*?\r\n\r\nhi\r\n")
    assert b"Nats-Trace-Dest: trace.dest\r\n" in carried and b"Nats-Trace-Hop: 1\r\n" in carried
    told = json.loads(client.expect(rb"MSG trace.dest 1 +\d+\r\n[^\n]*\n").partition(b"\r\n")[2])
    assert traced(told["events"]) == [
        {"type": "in", "kind": 0, "acc": "A", "subj": "down.x"},
        {"type": "eg", "kind": 4, "name": "e1", "hop": "1"},
    ]
    leaf.send(b"HMSG up.x %d %d\r\n%bhi\r\n" % (len(headers), len(headers) + 2, headers))
    frames = rb"(HMSG up.x 2 \d+ \d+\r\n.*?\r\n\r\nhi\r\n|MSG trace.dest 1 +\d+\r\n[^\n]*\n)"
    heard = client.expect(frames) + client.expect(frames)
    told = json.loads(heard.partition(b"MSG trace.dest")[2].split(b"\r\n")[1])
    assert traced(told["events"]) == [
        {"type": "in", "kind": 4, "name": "e1", "acc": "A", "subj": "up.x"},
        {"type": "eg", "kind": 0, "sub": "up.x"},
    ]
    leaf.close()
