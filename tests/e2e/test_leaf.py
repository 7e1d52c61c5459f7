"""A leaf link to a real hub.  The same tests run with a real nats-server as the leaf: where the two differ, ours is
wrong."""

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import nats
import pytest
from nats.js.errors import NoStreamResponseError

PATIENCE = 60.0
LOST = 10.0  # seconds: a request that came to a link as it went
NUMBERS = itertools.count(1000)

HUB = """
listen: 127.0.0.1:-1
server_name: hub1
leafnodes {{ listen: 127.0.0.1:{leaf} }}
{more}
"""
LEAF = """
listen: 127.0.0.1:-1
server_name: {name}
leafnodes {{ reconnect: "0.1s", remotes: [ {{ url: "nats-leaf://{credentials}127.0.0.1:{leaf}" {remote} }} ] }}
{more}
"""


class Site:
    """A hub, leafs, and raw clients of each."""

    def __init__(self, start_nats: Any, start_leaf: Any, free_port: Callable[[], int]) -> None:
        self.start_nats = start_nats
        self.start_leaf = start_leaf
        self.leaf_port = free_port()

    def hub(self, more: str = "") -> Any:
        self.the_hub = self.start_nats(HUB.format(leaf=self.leaf_port, more=more), "hub")
        return self.the_hub

    def leaf(self, name: str = "e1", credentials: str = "", remote: str = "", more: str = "", port: int = 0) -> Any:
        leaf = port or self.leaf_port
        fields = {"name": name, "credentials": credentials, "leaf": leaf, "remote": remote, "more": more}
        return self.start_leaf(LEAF.format(**fields), name)


@pytest.fixture
def site(start_nats: Any, either: Any, free_port: Callable[[], int]) -> Site:
    return Site(start_nats, either, free_port)


@pytest.fixture
def our_site(start_nats: Any, start_edge: Any, free_port: Callable[[], int]) -> Site:
    return Site(start_nats, start_edge, free_port)


def login(server: Any, options: str = '"headers":true,"no_responders":true') -> Any:
    wire = server.wire()
    wire.login('{"verbose":false,"pedantic":false,' + options + "}")
    return wire


def ask(wire: Any, subject: str, payload: str = "") -> bytes:
    """Request until somebody answers: interest takes its time from server to server.

    Once for all, where there is somebody: who answers may be far away, and a request has effects.
    """
    deadline = time.monotonic() + PATIENCE
    sid = next(NUMBERS)
    inbox = f"_INBOX.ask.{sid}"
    wire.send(f"SUB {inbox} {sid}\r\n".encode())
    while True:
        wire.send(f"PUB {subject} {inbox} {len(payload)}\r\n{payload}\r\nPING\r\n".encode())
        answer = wire.expect(rb"(H?MSG _INBOX[^\n]*\r\n.*?)?PONG\r\n")
        lost = time.monotonic() + LOST
        while f"MSG {inbox} ".encode() not in answer and time.monotonic() < lost:
            time.sleep(0.002)
            wire.send(b"PING\r\n")
            answer = wire.expect(rb"(H?MSG _INBOX[^\n]*\r\n.*?)?PONG\r\n")
        if f"MSG {inbox} ".encode() in answer and b" 503" not in answer:
            wire.send(f"UNSUB {sid}\r\nPING\r\n".encode())
            return bytes(answer + wire.expect(rb".*?PONG\r\n"))
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wants(wire: Any, subject: str) -> bool:
    """Does the server of ``wire`` know of anyone who wants ``subject``?  (A request without takers gets a 503.)"""
    wire.send(f"SUB _INBOX.wants 98\r\nPUB {subject} _INBOX.wants 0\r\n\r\nPING\r\n".encode())
    answer = wire.expect(rb"(H?MSG _INBOX.wants 98 [^\n]*\r\n.*?)*PONG\r\n")  # who wants it may answer, this time or the last
    wire.send(b"UNSUB 98\r\n")
    return b"\r\nNATS/1.0 503" not in answer


def await_interest(server: Any, subject: str, present: bool = True) -> None:
    wire = login(server)
    wait_for(lambda: wants(wire, subject) == present)


def test_messages_cross_both_ways_with_headers_and_replies(site: Site) -> None:
    hub, leaf = site.hub(), site.leaf()
    up, down = login(hub), login(leaf)
    up.send(b"SUB up.* 1\r\nPING\r\n")
    down.send(b"SUB down.> 2\r\nPING\r\n")
    up.expect(b"PONG\r\n")
    down.expect(b"PONG\r\n")
    await_interest(leaf, "up.probe")
    up.expect(rb"MSG up.probe 1 _INBOX.wants 0\r\n\r\n")
    await_interest(hub, "down.probe")
    down.expect(rb"MSG down.probe 2 _INBOX.wants 0\r\n\r\n")
    down.send(b"PUB up.a 5\r\nhello\r\nHPUB up.b r.1 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\nPUB up.c 0\r\n\r\n")
    up.expect(rb"MSG up.a 1 5\r\nhello\r\n")
    up.expect(rb"HMSG up.b 1 r.1 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\n")
    up.expect(rb"MSG up.c 1 0\r\n\r\n")
    up.send(b"PUB down.x.y 5\r\nhello\r\nHPUB down.b r.1 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\n")
    down.expect(rb"MSG down.x.y 2 5\r\nhello\r\n")
    down.expect(rb"HMSG down.b 2 r.1 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\n")


def serve(server: Any, subject: str, queue: str = "") -> threading.Thread:
    """A responder that answers every request with what it was sent."""
    wire = login(server)
    wire.send(f"SUB {subject} {queue} 7\r\nPING\r\n".encode())
    wire.expect(b"PONG\r\n")
    wire.socket.settimeout(None)

    def answer() -> None:
        try:
            while True:
                head = wire.expect(rb"MSG [^\n]*\r\n|PING\r\n")
                if head == b"PING\r\n":
                    wire.send(b"PONG\r\n")
                    continue
                args = head.split()
                payload = wire.expect(b".{%d}\r\n" % int(args[-1]))
                wire.send(b"PUB %b %b\r\n%b" % (args[3], args[-1], payload))
        except (AssertionError, OSError):
            pass  # the server or the test has ended

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    return thread


def test_requests_cross_both_ways(site: Site) -> None:
    hub, leaf = site.hub(), site.leaf()
    up, down = login(hub), login(leaf)
    serve(hub, "svc.hub")
    serve(leaf, "svc.edge")
    assert b"from edge" in ask(down, "svc.hub", "from edge")
    assert b"from hub" in ask(up, "svc.edge", "from hub")
    assert not wants(down, "svc.nobody")


def test_a_queue_group_on_both_sides_gets_each_message_once(site: Site) -> None:
    hub, leaf = site.hub(), site.leaf()
    up, down = login(hub), login(leaf)
    members = [login(hub), login(leaf), login(leaf)]
    for member in members:
        member.send(b"SUB q.work g 1\r\nPING\r\n")
        member.expect(b"PONG\r\n")
    members[0].send(b"SUB all.clear 2\r\nPING\r\n")
    members[0].expect(b"PONG\r\n")
    await_interest(leaf, "all.clear")
    for publisher in (up, down):
        publisher.send(b"PUB q.work 1\r\nx\r\n" * 20 + b"PING\r\n")
        publisher.expect(rb"PONG\r\n")
    up.send(b"UNSUB 98\r\n")
    counted = 0
    for member in members:  # what is here comes first: the leaf's messages do not reach this member's PONG earlier
        member.send(b"PING\r\n")
        counted += member.expect(rb".*?PONG\r\n").count(b"MSG q.work")
    wait = time.monotonic() + PATIENCE
    while counted < 40 and time.monotonic() < wait:
        for member in members:
            member.send(b"PING\r\n")
            counted += member.expect(rb".*?PONG\r\n").count(b"MSG q.work")
    assert counted == 40


def test_queue_members_at_the_leaf_alone_serve_the_hub(site: Site) -> None:
    hub, leaf = site.hub(), site.leaf()
    up = login(hub)
    serve(leaf, "q.svc", "g")
    serve(leaf, "q.svc", "g")
    assert b"one" in ask(up, "q.svc", "one")
    for text in ("two", "three", "four"):
        assert text.encode() in ask(up, "q.svc", text)


def heard(wires: list[Any], subject: bytes, total: int) -> list[int]:
    """How many messages each has, once all of them have come."""
    counts = [0] * len(wires)
    deadline = time.monotonic() + PATIENCE
    while sum(counts) < total and time.monotonic() < deadline:
        for i, wire in enumerate(wires):
            wire.send(b"PING\r\n")
            counts[i] += wire.expect(rb".*?PONG\r\n").count(b"MSG " + subject)
    return counts


def members_of(leaf: Any, hub: Any, name: str, count: int) -> list[Any]:
    """They are there when the hub knows of all of them, and has not been asked for their subject before."""
    await_interest(leaf, "hub.here")
    wires = [login(leaf) for _ in range(count)]
    for wire in wires:
        wire.send(b"SUB q.weighed g 1\r\nPING\r\n")
        wire.expect(rb"PONG\r\n")
    wires[0].send(b"SUB %s.here 2\r\nPING\r\n" % name.encode())
    wires[0].expect(rb"PONG\r\n")
    await_interest(hub, f"{name}.here")
    return wires


def test_leafs_get_their_share_of_a_queue_by_the_number_of_members(site: Site) -> None:
    """One member behind the first leaf, three behind the second; and nothing for them once the hub has its own."""
    hub = site.hub()
    up = login(hub)
    up.send(b"SUB hub.here 1\r\n")
    few, many = (members_of(site.leaf(name), hub, name, count) for name, count in (("e1", 1), ("e2", 3)))
    count = 1200
    wait_for(lambda: _both_get_some(up, few, many))
    up.send(b"PUB q.weighed 1\r\nx\r\n" * count)
    counts = heard(few + many, b"q.weighed", count)
    assert sum(counts) == count and abs(counts[0] / count - 0.25) < 0.1  # eight standard deviations
    assert all(counts)
    own = login(hub)
    own.send(b"SUB q.weighed g 1\r\nPING\r\n")
    own.expect(rb"PONG\r\n")
    up.send(b"PUB q.weighed 1\r\nx\r\n" * 20)
    assert heard([own], b"q.weighed", 20) == [20] and heard(few + many, b"q.weighed", 0) == [0] * 4


def _both_get_some(up: Any, few: list[Any], many: list[Any]) -> bool:
    """Both leafs have told how many they are: a hub that knows of two of the three yet gives the other one a third."""
    count = 2000
    up.send(b"PUB q.weighed 1\r\nx\r\n" * count)
    counts = heard(few + many, b"q.weighed", count)
    return 0 < counts[0] / count < 0.29  # four standard deviations off a quarter, and off a third


def test_tracing_headers_pass_as_they_are(site: Site) -> None:
    hub, leaf = site.hub(), site.leaf()
    up, down = login(hub), login(leaf)
    up.send(b"SUB traced.up 1\r\nPING\r\n")
    down.send(b"SUB traced.down 1\r\nPING\r\n")
    for wire in (up, down):
        wire.expect(rb"PONG\r\n")
    await_interest(hub, "traced.down")
    await_interest(leaf, "traced.up")
    block = b"NATS/1.0\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: a=b\r\n\r\n"
    for sender, receiver, subject in ((up, down, b"traced.down"), (down, up, b"traced.up")):
        sender.send(b"HPUB %b %d %d\r\n%bx\r\n" % (subject, len(block), len(block) + 1, block))
        receiver.expect(rb".*?HMSG " + subject + rb" 1 \d+ \d+\r\n" + block.replace(b".", rb"\."))


def test_interest_goes_when_its_last_subscriber_goes(site: Site) -> None:
    hub, leaf = site.hub(), site.leaf()
    down = login(leaf)
    down.send(b"SUB gone 1\r\nSUB gone 2\r\nSUB gone g 3\r\n")
    await_interest(hub, "gone")
    down.send(b"UNSUB 1\r\nUNSUB 3\r\nPING\r\n")
    down.expect(rb".*?PONG\r\n")
    assert wants(login(hub), "gone")
    down.send(b"UNSUB 2\r\n")
    await_interest(hub, "gone", present=False)
    other = login(leaf)
    other.send(b"SUB gone 1\r\n")
    await_interest(hub, "gone")
    other.close()
    await_interest(hub, "gone", present=False)


def test_a_hub_that_restarts_is_found_again_with_all_interest(site: Site) -> None:
    hub, leaf = site.hub(), site.leaf()
    serve(leaf, "svc.edge")
    up = login(hub)
    assert b"before" in ask(up, "svc.edge", "before")
    for how in (hub.kill, hub.stop):
        how()
        hub.start()
        up = login(hub)
        assert b"after" in ask(up, "svc.edge", "after")
        serve(hub, "svc.hub")
        assert b"after" in ask(login(leaf), "svc.hub", "after")


USERS = """
no_auth_user: op
authorization { users: [
  { user: op, password: op }
  { user: e1, password: "p:1", permissions: {
      publish: { allow: ["up.>", "_INBOX.>"], deny: ["up.secret"] }, subscribe: ["down.>", "_INBOX.>"] } }
] }
"""


def test_what_the_hub_does_not_permit_stays_here_and_the_link_lives(site: Site) -> None:
    hub = site.hub(more=USERS)
    leaf = site.leaf(credentials="e1:p%3A1@")
    up, down = login(hub), login(leaf)
    up.send(b"SUB > 1\r\nPING\r\n")
    up.expect(b"PONG\r\n")
    await_interest(leaf, "up.probe")
    up.expect(rb"MSG up.probe 1 _INBOX.wants 0\r\n\r\n")
    down.send(b"SUB other.sub 1\r\nSUB down.sub 2\r\nSUB > 3\r\nPING\r\n")
    down.send(b"PUB other.x 1\r\nx\r\nPUB up.secret 1\r\nx\r\nPUB up.ok 1\r\nx\r\n")
    up.expect(rb"MSG up.ok 1 1\r\nx\r\n")
    await_interest(hub, "down.sub")
    log = hub.log.read_text()
    assert "Violation" not in log and log.count("Leafnode connection created") == 1


def test_two_leafs_reach_each_other_through_the_hub(site: Site) -> None:
    site.hub()
    first, second = site.leaf("e1"), site.leaf("e2")
    serve(first, "svc.one")
    serve(second, "svc.two")
    assert b"hi" in ask(login(first), "svc.two", "hi")
    assert b"ho" in ask(login(second), "svc.one", "ho")


def test_deny_lists_of_the_remote(site: Site) -> None:
    hub = site.hub()
    leaf = site.leaf(remote=', deny_imports: ["in.secret"], deny_exports: ["out.secret"]')
    up, down = login(hub), login(leaf)
    up.send(b"SUB out.* 1\r\n")
    down.send(b"SUB in.* 2\r\n")
    await_interest(leaf, "out.probe")
    await_interest(hub, "in.probe")
    up.expect(rb"MSG out.probe[^\n]*\r\n\r\n")
    down.expect(rb"MSG in.probe[^\n]*\r\n\r\n")
    down.send(b"PUB out.secret 1\r\nx\r\nPUB out.ok 1\r\nx\r\n")
    up.expect(rb"MSG out.ok 1 1\r\nx\r\n")
    up.send(b"PUB in.secret 1\r\nx\r\nPUB in.ok 1\r\nx\r\n")
    down.expect(rb"MSG in.ok 2 1\r\nx\r\n")


def jetstream(domain: str, folder: Any) -> str:
    return f'jetstream {{ domain: {domain}, store_dir: "{folder}" }}'


def test_the_hubs_jetstream_is_reached_by_its_domain_and_not_without(site: Site, tmp_path: Any) -> None:
    site.hub(more=jetstream("hub", tmp_path / "js"))
    leaf = site.leaf()
    down = login(leaf)
    assert b'"domain":"hub"' in ask(down, "$JS.hub.API.INFO")
    assert not wants(down, "$KV.bucket.key")
    assert not wants(down, "$JS.API.INFO")


def test_the_leafs_jetstream_is_used_from_the_hub(site: Site, tmp_path: Any) -> None:
    """Create, publish, pull, acknowledge: all of it through ``$JS.e1.API`` and the leaf."""
    hub = site.hub(more=jetstream("hub", tmp_path / "js"))
    leaf = site.leaf(more=jetstream("e1", tmp_path / "leaf-js"))
    await_interest(hub, "$JS.e1.API.INFO")

    async def main() -> None:
        client = await nats.connect(hub.url)
        js = client.jetstream(domain="e1", timeout=5)
        await js.add_stream(name="LOCAL", subjects=["sensors.>"])
        wait = time.monotonic() + PATIENCE
        while True:
            try:
                ack = await js.publish("sensors.a", b"first", headers={"Unit": "C"})
                break
            except NoStreamResponseError:  # the interest is on its way
                assert time.monotonic() < wait
        assert (ack.stream, ack.domain, ack.seq) == ("LOCAL", "e1", 1)
        for number in range(2, 6):
            await js.publish("sensors.b", str(number).encode())
        subscription = await js.pull_subscribe("sensors.>", "worker", stream="LOCAL")
        messages = []
        while len(messages) < 5:
            messages += await subscription.fetch(5 - len(messages), timeout=5)
        assert [m.subject for m in messages] == ["sensors.a"] + ["sensors.b"] * 4
        assert [m.data for m in messages] == [b"first", b"2", b"3", b"4", b"5"]
        assert messages[0].headers == {"Unit": "C"}
        for message in messages:
            await message.ack_sync(timeout=5)
        info = await js.consumer_info("LOCAL", "worker")
        assert (info.num_ack_pending, info.num_pending, info.ack_floor.stream_seq) == (0, 0, 5)
        await client.close()

    asyncio.run(main())
    assert b'"streams":1' in ask(login(leaf), "$JS.API.INFO")


def test_wrong_credentials_are_said_and_tried_again(our_site: Site) -> None:
    our_site.hub(more=USERS)
    leaf = our_site.leaf(credentials="e1:wrong@")
    leaf.wait_for_log("Authorization Violation")
    wait_for(lambda: our_site.the_hub.log.read_text().count("Authentication Failure") >= 3 or _refused(our_site) >= 3)
    assert leaf.log.read_text().count("Authorization Violation") == 1


def _refused(site: Site) -> int:
    return int(site.the_hub.log.read_text().count("authentication error"))


def test_a_silent_line_is_cut_and_the_link_comes_back(our_site: Site, make_proxy: Any) -> None:
    hub = our_site.hub()
    proxy = make_proxy(our_site.leaf_port)
    leaf = our_site.leaf(port=proxy.port, remote=", ignore_discovered_servers: true")
    serve(leaf, "svc.edge")
    up = login(hub)
    assert b"one" in ask(up, "svc.edge", "one")
    proxy.cut()
    leaf.wait_for_log("disconnected")
    proxy.restore()
    assert b"two" in ask(login(hub), "svc.edge", "two")


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x01" * 50 + b"\r\n", b"INFO {]\r\n", b"LMSG a\r\n"]
)
def test_a_hub_that_talks_nonsense_harms_nobody_else(our_site: Site, garbage: bytes) -> None:
    """And the leaf goes on trying."""
    came = 0
    with socket.create_server(("127.0.0.1", our_site.leaf_port)) as listener:
        listener.settimeout(PATIENCE)
        leaf = our_site.leaf()
        here = login(leaf)
        here.send(b"SUB a 1\r\n")
        while came < 3:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(garbage)
                connection.settimeout(PATIENCE)
                while connection.recv(4096):
                    pass
            came += 1
            here.send(b"PUB a 1\r\nx\r\n")
            here.expect(rb"MSG a 1 1\r\nx\r\n")
