"""A gateway and what is around it: accounts that share, isolated leafs, loops, limits of JWTs, a leaf that is slow, a
gateway that is away for a while.  The same with a real nats-server as the gateway, where it can be."""

import json
import time
from collections.abc import Callable
from typing import Any

from tests.conftest import PATIENCE, Server, Wire
from tests.e2e.mint import Operator
from tests.e2e.test_auth_callout import CONFIG, ISSUER, Service, by_name, enter
from tests.e2e.test_leaf import ask, await_interest, login, serve, wait_for
from tests.e2e.test_leaf_life import page
from tests.e2e.test_leaf_listener import Leaf

Start = Callable[..., Server]

SHARING = """
listen: 127.0.0.1:-1
server_name: gateway
accounts {
  A { users: [{user: a, password: p}], imports: [{service: {account: B, subject: "svc.b"}, to: "b.svc"},
      {stream: {account: B, subject: "readings.>"}, prefix: "of.b"}] }
  B { users: [{user: b, password: p}], exports: [{service: "svc.b"}, {stream: "readings.>"}] }
  SYS { users: [{user: s, password: p}] }
}
system_account: SYS
leafnodes { listen: 127.0.0.1:-1, compression: off }
"""


def as_user(user: str) -> dict[str, str]:
    return {"user": user, "pass": "p", "name": f"leaf-{user}", "cluster": f"c-{user}", "remote_account": "R"}


def client(server: Server, user: str) -> Wire:
    wire = server.wire()
    wire.login(f'{{"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"user":"{user}","pass":"p"}}')
    return wire


def test_leafs_use_what_accounts_share(either: Start) -> None:
    server = either(SHARING)
    a, b = Leaf(server, **as_user("a")), Leaf(server, **as_user("b"))
    assert "b.svc" in a.wanted and "b.svc" not in b.wanted
    a.send(b"LS+ of.b.>\r\nLS+ _INBOX.a.*\r\n")
    b.expect(rb"(?s:.)*?LS\+ readings.>\r\n")
    b.send(b"LMSG readings.t 2\r\n21\r\n")
    a.expect(rb"(LS[^\n]*\n)*LMSG of.b.readings.t 2\r\n21\r\n")
    responder = client(server, "b")
    responder.send(b"SUB svc.b 1\r\nPING\r\n")
    responder.expect(rb"PONG\r\n")
    a.send(b"LMSG b.svc _INBOX.a.1 3\r\nask\r\n")
    asked = responder.expect(rb"HMSG svc.b 1 _R_\S+ \d+ \d+\r\n.*?\r\n\r\nask\r\n")
    responder.send(b"PUB %b 6\r\nanswer\r\n" % asked.split()[3])
    a.expect(rb"(LS[^\n]*\n)*LMSG _INBOX.a.1 6\r\nanswer\r\n")
    responder.send(b"UNSUB 1\r\nPING\r\n")
    responder.expect(rb"PONG\r\n")
    b.send(b"LS+ svc.b\r\n")
    a.send(b"LS+ _INBOX.b.*\r\n")
    b.settle(interest=True)
    a.settle(interest=True)
    a.send(b"LMSG b.svc _INBOX.b.1 3\r\nask\r\n")
    asked = b.expect(rb"(LS[^\n]*\n)*HMSG svc.b _R_\S+ \d+ \d+\r\n.*?\r\n\r\nask\r\n")
    b.send(b"LMSG %b 6\r\nanswer\r\n" % asked.partition(b"HMSG")[2].split()[1])
    a.expect(rb"(LS[^\n]*\n)*LMSG _INBOX.b.1 6\r\nanswer\r\n")
    for leaf in (a, b):
        leaf.close()


def test_what_was_imported_is_not_exported_again(either: Start) -> None:
    """C has the readings of A, which are its own; not those of B, which A imports."""
    chain = '  C { users: [{user: c, password: p}], imports: [{stream: {account: A, subject: "of.b.>"}}] }\n  SYS'
    text = SHARING.replace("  SYS", chain, 1).replace('imports: [{service: {account: B, subject: "svc.b"}', 'exports: [{stream: "of.b.>"}], imports: [{service: {account: B, subject: "svc.b"}', 1)
    server = either(text)
    leaf = Leaf(server, **as_user("c"))
    leaf.send(b"LS+ of.b.>\r\n")
    leaf.settle(interest=True)
    for user, subject in (("b", b"readings.t"), ("a", b"of.b.readings.t")):
        wire = client(server, user)
        wire.send(b"PUB %s 1\r\n%s\r\nPING\r\n" % (subject, user.encode()))
        wire.expect(rb"PONG\r\n")
    leaf.expect(rb"(LS[^\n]*\n)*LMSG of.b.readings.t 1\r\na\r\n")
    leaf.settle(interest=True)
    leaf.close()


def test_queues_behind_a_stream_import_count_with_their_members(start_edge: Start) -> None:
    """Ours alone: to nats-server each such leaf is one member, however many it has."""
    server = start_edge(SHARING)
    a, b = Leaf(server, **as_user("a")), Leaf(server, **as_user("b"))
    for said, told in ((b"LS+ of.b.readings.t g 4", b"LS+ readings.t g 4"), (b"LS+ of.b.readings.t g 2", b"LS+ readings.t g 2")):
        a.send(said + b"\r\n")
        b.expect(rb"(LS\S+ [^r][^\n]*\n|PING\r\n)*" + told.replace(b"+", rb"\+") + rb"\r\n")
    worker = client(server, "a")
    worker.send(b"SUB of.b.readings.t g 1\r\n")
    b.expect(rb"LS\+ readings.t g 3\r\n")
    a.send(b"LS- of.b.readings.t g\r\n")
    b.expect(rb"LS\+ readings.t g 1\r\n")
    worker.send(b"UNSUB 1\r\n")
    b.expect(rb"LS- readings.t g\r\n")
    for leaf in (a, b):
        leaf.close()


def test_a_leaf_of_the_system_account(either: Start) -> None:
    server = either(SHARING)
    leaf = Leaf(server, **as_user("s"))
    assert leaf.admitted["acc_is_sys"] is True and "$SYS.REQ.SERVER.PING.VARZ" in leaf.wanted
    leaf.send(b"LS+ _INBOX.s.*\r\nLMSG $SYS.REQ.SERVER.PING.IDZ _INBOX.s.1 0\r\n\r\n")
    answer = leaf.expect(rb"(LS[^\n]*\n)*H?LMSG _INBOX.s.1 \d+\r\n\{.*?\}\r\n|(LS[^\n]*\n)*LMSG _INBOX.s.1 [^\r]*\r\n.*?\}\r\n")
    assert b'"name":"gateway"' in answer
    leaf.close()


def test_a_hub_that_isolates_its_leafs(either: Start) -> None:
    server = either(SHARING.replace("compression: off", "compression: off, isolate_leafnode_interest: true"))
    one, two = (Leaf(server, **{**as_user("a"), "name": name, "cluster": name}) for name in ("one", "two"))
    one.send(b"LS+ mine\r\n")
    one.settle()
    wire = client(server, "a")
    wire.send(b"SUB all 1\r\n")
    two.expect(rb"LS\+ all\r\n")
    wire.send(b"PUB mine 1\r\nx\r\n")
    one.expect(rb"LS\+ all\r\nLMSG mine 1\r\nx\r\n")
    for leaf in (one, two):
        leaf.close()


def test_two_that_dial_each_other_find_the_loop(either: Start, start_nats: Start, free_port: Callable[[], int]) -> None:
    ports = free_port(), free_port()
    text = """
listen: 127.0.0.1:-1
server_name: {name}
leafnodes {{ listen: 127.0.0.1:{mine}, reconnect: "0.1s", remotes [{{ url: "nats-leaf://127.0.0.1:{other}" }}] }}
"""
    ours = either(text.format(name="round1", mine=ports[0], other=ports[1]), "round1")
    theirs = start_nats(text.format(name="round2", mine=ports[1], other=ports[0]), "round2")
    wait_for(lambda: "Loop detected for leafnode account" in ours.log.read_text() + theirs.log.read_text())


def test_a_namesake_below_a_gateway_is_its_own_cluster(start_edge: Start, start_nats: Start, free_port: Callable[[], int]) -> None:
    port = free_port()
    start_nats(f"listen: 127.0.0.1:-1\nleafnodes {{ listen: 127.0.0.1:{port} }}", "top")
    gateway = start_edge(
        "listen: 127.0.0.1:-1\nserver_name: same\nleafnodes { listen: 127.0.0.1:-1, remotes "
        f'[{{ url: "nats-leaf://127.0.0.1:{port}" }}] }}', "gateway"
    )
    below = start_edge(
        "listen: 127.0.0.1:-1\nserver_name: same\nleafnodes { remotes "
        f'[{{ url: "nats-leaf://127.0.0.1:{gateway.ports["leafnode"]}" }}] }}', "below"
    )
    below.wait_for_log("same cluster name")


# ---- operator mode


def test_jwts_of_leafs_their_limits_and_their_end(start_edge: Start) -> None:
    operator = Operator()
    a = operator.account("A")
    a.claims["limits"] = {"leaf": 1, "conn": -1, "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True}
    server = start_edge(operator.config(more="leafnodes { listen: 127.0.0.1:-1, compression: off }"))
    limited = a.user(1, bearer_token=True, pub={"allow": ["up.>"]}, allowed_connection_types=["LEAFNODE"])
    leaf = Leaf(server, jwt=limited, name="one")
    assert leaf.admitted["export"] == {"allow": ["up.>"]} and leaf.admitted["remote_account"] == a.key.public
    second = Leaf(server)
    second.say(jwt=limited, name="two")
    assert second.expect_closed() == b"-ERR 'maximum account active connections exceeded'\r\n"
    leaf.close()
    for claims in ({"allowed_connection_types": ["STANDARD"]}, {"exp": 1}):
        stranger = Leaf(server)
        stranger.say(jwt=a.user(2, bearer_token=True, **claims))
        assert stranger.expect_closed() == b"-ERR 'Authorization Violation'\r\n"
        stranger.close()
    wait_for(lambda: page_leafs(server) == 0)
    short = Leaf(server, jwt=a.user(3, bearer_token=True, exp=int(time.time()) + 2), name="short")
    assert short.expect_closed().endswith(b"-ERR 'User Authentication Expired'\r\n")
    second.close()
    short.close()


def page_leafs(server: Server) -> int:
    return server.log.read_text().count("Leafnode connection created") - server.log.read_text().count("Leafnode connection closed")


def test_a_service_is_asked_about_leafs(either: Start) -> None:
    server = either(CONFIG % (ISSUER.public, "") + "leafnodes { listen: 127.0.0.1:-1, compression: off }")
    service = Service(enter(server, "auth"), by_name, ISSUER)
    good, bad = Leaf(server, name="e", user="limited", **{"pass": "limited"}), Leaf(server)
    assert good.admitted["remote_account"] == "APP"
    assert (good.admitted["export"], good.admitted["import"]) == ({"allow": ["a"]}, {"deny": ["b"]})
    asked = service.requests[-1]["nats"]
    assert asked["client_info"]["kind"] == "Leafnode" and asked["connect_opts"]["name"] == "e"
    assert "type" not in asked["client_info"]
    bad.say(user="refused", **{"pass": "refused"})
    assert bad.expect_closed() == b"-ERR 'Authorization Violation'\r\n"
    for leaf in (good, bad):
        leaf.close()


# ---- a leaf that is slow


def fill(server: Server, leaf: Leaf, megabytes: int) -> Wire:
    leaf.send(b"LS+ much\r\n")
    leaf.settle()
    wire = client(server, "a")
    for _ in range(megabytes):
        wire.send(b"PUB much 65536\r\n" + bytes(65536) + b"\r\n" + (b"PUB much 65536\r\n" + bytes(65536) + b"\r\n") * 15)
    wire.send(b"PING\r\n")
    wire.expect(rb".*?PONG\r\n")
    return wire


def test_a_leaf_that_takes_nothing_holds_up_nobody_and_takes_no_memory(start_edge: Start) -> None:
    server = start_edge(SHARING.replace("system_account: SYS", "system_account: SYS\nhttp: 127.0.0.1:-1\nmax_pending: 4MB"))
    slow, quick = (Leaf(server, **{**as_user("a"), "name": name}) for name in ("slow", "quick"))  # of one cluster
    before = page(server, "varz")["mem"]
    publisher = fill(server, slow, 60)
    quick.send(b"LS+ else\r\n")
    quick.settle()
    publisher.send(b"PUB else 1\r\nx\r\n")
    quick.expect(rb"LMSG else 1\r\nx\r\n")
    assert page(server, "varz")["mem"] - before < 30 << 20
    server.wait_for_log("too slow for what is published")
    for leaf in (slow, quick):
        leaf.close()


def test_a_slow_leaf_may_be_closed(start_edge: Start) -> None:
    text = SHARING.replace("compression: off", 'compression: off, write_deadline: "200ms", write_timeout: close')
    server = start_edge(text.replace("system_account: SYS", "system_account: SYS\nmax_pending: 4MB"))
    slow = Leaf(server, **as_user("a"))
    fill(server, slow, 30)
    server.wait_for_log("Leafnode connection closed: Slow Consumer (Write Deadline) - Remote: leaf-a")
    slow.close()


# ---- a gateway that is away


def test_leafs_come_back_and_a_stream_two_tiers_away_is_sourced_on(
    start_edge: Start, start_nats: Start, free_port: Callable[[], int], tmp_path: Any
) -> None:
    ports = free_port(), free_port()
    server = """
listen: 127.0.0.1:-1
server_name: {name}
jetstream {{ store_dir: "{folder}", domain: {name} }}
leafnodes {{ {leafs} reconnect: "0.1s" {remotes} }}
"""
    dial = 'remotes [{{ url: "nats-leaf://127.0.0.1:{}" }}]'

    def text(name: str, leafs: str, remotes: str) -> str:
        return server.format(name=name, folder=tmp_path / name, leafs=leafs, remotes=remotes)

    hub = start_nats(text("hub", f"listen: 127.0.0.1:{ports[0]},", ""), "hub")
    gateway = start_edge(text("gateway", f"listen: 127.0.0.1:{ports[1]},", "," + dial.format(ports[0])), "gateway")
    below = start_edge(text("below", "", "," + dial.format(ports[1])), "below")
    await_interest(hub, "$JS.below.API.INFO")
    down, up = login(below), login(hub)
    stream = {"name": "EVENTS", "subjects": ["events"], "storage": "file"}
    assert b"error" not in ask(down, "$JS.API.STREAM.CREATE.EVENTS", json.dumps(stream))
    source = {"name": "EVENTS", "external": {"api": "$JS.below.API", "deliver": "deliver.hub"}}
    mirror = {"name": "ALL", "sources": [source], "storage": "memory"}
    assert b"error" not in ask(up, "$JS.API.STREAM.CREATE.ALL", json.dumps(mirror))

    def stored() -> int:
        asking = login(hub)
        answer = ask(asking, "$JS.API.STREAM.INFO.ALL")
        asking.close()
        return int(json.loads(answer.split(b"\r\n")[1])["state"]["messages"])

    def publish(first: int) -> None:
        down.send(b"".join(b"PUB events 5\r\n%05d\r\n" % i for i in range(first, first + 100)) + b"PING\r\n")
        down.expect(rb".*?PONG\r\n")

    publish(0)
    wait_for(lambda: stored() == 100)
    gateway.kill()
    publish(100)
    gateway.start()
    publish(200)
    deadline = time.monotonic() + 2 * PATIENCE
    while (have := stored()) != 300:
        assert have < 300 and time.monotonic() < deadline, have
        time.sleep(0.05)
    serve(below, "svc.below")
    await_interest(hub, "svc.below")
    assert b"again" in ask(login(hub), "svc.below", "again")




def test_a_gateway_sources_from_its_leafs_and_goes_on_when_they_are_back(
    start_edge: Start, start_nats: Start, tmp_path: Any
) -> None:
    server = """
listen: 127.0.0.1:-1
server_name: {name}
jetstream {{ store_dir: "{folder}", domain: {name} }}
leafnodes {{ {leafs} }}
"""
    gateway = start_edge(server.format(name="gateway", folder=tmp_path / "g", leafs="listen: 127.0.0.1:-1"), "gateway")
    dial = f'reconnect: "0.1s", remotes [{{ url: "nats-leaf://127.0.0.1:{gateway.ports["leafnode"]}" }}]'
    below = [
        start(server.format(name=name, folder=tmp_path / name, leafs=dial), name)
        for name, start in (("one", start_edge), ("two", start_nats))
    ]
    for leaf in below:
        name = leaf.config.stem
        await_interest(gateway, f"$JS.{name}.API.INFO")
        stream = {"name": "EVENTS", "subjects": [f"events.{name}"], "storage": "file"}
        assert b"error" not in ask(login(leaf), "$JS.API.STREAM.CREATE.EVENTS", json.dumps(stream))
    external = [{"name": "EVENTS", "external": {"api": f"$JS.{name}.API", "deliver": ""}} for name in ("one", "two")]
    both = {"name": "ALL", "sources": external, "storage": "file"}
    assert b"error" not in ask(login(gateway), "$JS.API.STREAM.CREATE.ALL", json.dumps(both))

    def stored() -> int:
        asking = login(gateway)
        answer = ask(asking, "$JS.API.STREAM.INFO.ALL")
        asking.close()
        return int(json.loads(answer.split(b"\r\n")[1])["state"]["messages"])

    def publish(leaf: Server) -> None:
        wire = login(leaf)
        wire.send(b"PUB events.%b 5\r\nhello\r\n" % leaf.config.stem.encode() * 50 + b"PING\r\n")
        wire.expect(rb".*?PONG\r\n")
        wire.close()

    for leaf in below:
        publish(leaf)
    wait_for(lambda: stored() == 100)
    for leaf in below:
        leaf.kill()
        leaf.start()
        publish(leaf)
    wait_for(lambda: stored() == 200)


def test_three_in_a_ring_find_the_loop(either: Start, start_nats: Start, free_port: Callable[[], int]) -> None:
    ports = [free_port() for _ in range(3)]
    text = """
listen: 127.0.0.1:-1
server_name: {name}
leafnodes {{ listen: 127.0.0.1:{mine}, reconnect: "0.1s", remotes [{{ url: "nats-leaf://127.0.0.1:{other}" }}] }}
"""
    ring = []
    for i, start in enumerate((either, start_nats, start_nats)):
        name = f"ring{i}"
        ring.append(start(text.format(name=name, mine=ports[i], other=ports[(i + 1) % 3]), name))
    wait_for(lambda: any("Loop detected" in server.log.read_text() for server in ring))
