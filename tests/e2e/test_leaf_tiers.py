"""Three tiers: a real hub, our edge as the gateway of a site, and below it our edge and a real nats-server.

With ``gateway`` a real nats-server too the same has to come out: where the two differ, ours is wrong."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.conftest import Server, free_port
from tests.e2e.test_leaf import ask, await_interest, login, serve, wait_for, wants
from tests.e2e.test_leaf_listener import Leaf

Start = Callable[..., Server]

HUB = """
listen: 127.0.0.1:-1
server_name: hub
jetstream {{ store_dir: "{folder}/hub", domain: hub }}
leafnodes {{ listen: 127.0.0.1:{port} }}
"""
GATEWAY = """
listen: 127.0.0.1:-1
server_name: gateway
http: 127.0.0.1:-1
jetstream {{ store_dir: "{folder}/gateway", domain: gateway }}
leafnodes {{ listen: 127.0.0.1:-1, reconnect: "0.1s", remotes [{{ url: "nats-leaf://127.0.0.1:{port}" }}] }}
"""
LEAF = """
listen: 127.0.0.1:-1
server_name: {name}
jetstream {{ store_dir: "{folder}/{name}", domain: {name} }}
leafnodes {{ reconnect: "0.1s", remotes [{{ url: "nats-leaf://127.0.0.1:{port}" }}] }}
"""


class Site(NamedTuple):
    hub: Server
    gateway: Server
    ours: Server
    theirs: Server

    def all(self) -> tuple[Server, ...]:
        return tuple(self)


@pytest.fixture(params=["edge", "nats"], scope="module")
def site(request: Any, module_servers: tuple[Start, Start], tmp_path_factory: Any) -> Site:
    start_edge, start_nats = module_servers
    fields = {"folder": tmp_path_factory.mktemp("js"), "port": free_port()}
    kind = request.param
    hub = start_nats(HUB.format(**fields), f"hub-{kind}")
    gateway = (start_edge if kind == "edge" else start_nats)(GATEWAY.format(**fields), f"gateway-{kind}")
    fields["port"] = gateway.ports["leafnode"]
    ours = start_edge(LEAF.format(name="ours", **fields), f"ours-{kind}")
    theirs = start_nats(LEAF.format(name="theirs", **fields), f"theirs-{kind}")
    site = Site(hub, gateway, ours, theirs)
    for server in site.all():
        serve(server, f"svc.{name_of(site, server)}")
    for server in site.all():
        for other in site.all():
            await_interest(server, f"svc.{name_of(site, other)}")
    return site


def name_of(site: Site, server: Server) -> str:
    return Site._fields[site.all().index(server)]


PAIRS = [(one, two) for one in Site._fields for two in Site._fields if one != two]


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_requests_go_from_any_tier_to_any_other(site: Site, one: str, two: str) -> None:
    asking = login(getattr(site, one))
    assert f"from {one}".encode() in ask(asking, f"svc.{two}", f"from {one}")


def test_messages_reach_every_tier_once(site: Site) -> None:
    listening = [login(server) for server in site.all()]
    for i, wire in enumerate(listening):
        wire.send(f"SUB all.* 1\r\nSUB end.{i} 2\r\nPING\r\n".encode())
        wire.expect(b"PONG\r\n")
    for server in site.all():
        for i in range(len(listening)):
            await_interest(server, f"end.{i}")
    for wire in listening:
        wire.expect(rb"(MSG end.\d 2 _INBOX.wants 0\r\n\r\n)*")
    for i, server in enumerate(site.all()):
        publisher = login(server)
        publisher.send(f"HPUB all.{i} 18 19\r\nNATS/1.0\r\nK: V\r\n\r\n{i}\r\n".encode())
    for wire in listening:
        frame = rb"(MSG end[^\n]*\r\n\r\n)*HMSG all.\d 1 18 19\r\nNATS/1.0\r\nK: V\r\n\r\n\d\r\n"
        got = sorted(wire.expect(frame)[-3:-2] for _ in range(4))
        assert got == [b"0", b"1", b"2", b"3"]
    for wire in listening:
        wire.send(b"PING\r\n")
        assert b"all" not in wire.expect(rb".*?PONG\r\n")
        wire.close()


def test_queue_groups_are_served_once_wherever_their_members_are(site: Site) -> None:
    members = [login(server) for server in (site.ours, site.theirs, site.theirs)]
    for member in members:
        member.send(b"SUB jobs.* crew 1\r\nPING\r\n")
        member.expect(b"PONG\r\n")
    for server in (site.hub, site.gateway):
        await_interest(server, "jobs.ready")
    wait_for(lambda: weight(site, "jobs.*") == 3)
    publisher = login(site.hub)
    publisher.send(b"PUB jobs.1 1\r\nx\r\n" * 300 + b"PING\r\n")
    publisher.expect(b"PONG\r\n")
    counts = [0] * len(members)
    wait_for(lambda: sum(count(member, counts, i) for i, member in enumerate(members)) >= 300)
    assert sum(counts) == 300
    assert 40 < counts[0] < 160, counts  # one of three
    for member in members:
        member.close()


def count(member: Any, counts: list[int], i: int) -> int:
    member.send(b"PING\r\n")
    counts[i] += member.expect(rb".*?PONG\r\n").count(b"MSG jobs.1 ")
    return counts[i]


def weight(site: Site, subject: str) -> int:
    """Of the group behind the gateway, as the hub tells it to others."""
    spy = Leaf(site.hub, name="spy", cluster="spy")
    spy.close()
    return next((int(line.split()[2]) for line in spy.wanted if line.startswith(f"{subject} ")), 0)


def api(wire: Any, call: str, request: Any = "") -> Any:
    answer = ask(wire, call, json.dumps(request) if request else "")
    return json.loads(answer.split(b"\r\n")[1])


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_jetstream_of_any_tier_is_at_hand_by_its_domain(site: Site, one: str, two: str) -> None:
    wire = login(getattr(site, one))
    await_interest(getattr(site, one), f"$JS.{two}.API.INFO")
    assert api(wire, f"$JS.{two}.API.INFO")["domain"] == two
    assert api(wire, "$JS.API.INFO")["domain"] == one
    wire.close()


def test_a_stream_is_made_filled_and_read_two_tiers_away(site: Site) -> None:
    hub = login(site.hub)
    config = {"name": "FAR", "subjects": ["far.>"], "storage": "memory"}
    for name in ("ours", "theirs"):
        assert "error" not in api(hub, f"$JS.{name}.API.STREAM.CREATE.FAR", config)
        consumer = {"stream_name": "FAR", "config": {"durable_name": "c", "ack_policy": "explicit"}}
        assert "error" not in api(hub, f"$JS.{name}.API.CONSUMER.DURABLE.CREATE.FAR.c", consumer)
    await_interest(site.hub, "far.probe")
    publisher = login(site.hub)
    publisher.send(b"".join(b"PUB far.x 4\r\nm%03d\r\n" % i for i in range(50)) + b"PING\r\n")
    publisher.expect(b"PONG\r\n")

    def stored(name: str) -> int:
        return int(api(hub, f"$JS.{name}.API.STREAM.INFO.FAR", {"subjects_filter": "far.x"})["state"]["messages"])

    for name in ("ours", "theirs"):
        wait_for(lambda name=name: stored(name) >= 50)  # type: ignore[misc]
        reader = login(site.hub)
        reader.send(b"SUB _INBOX.read.* 1\r\nPING\r\n")
        reader.expect(b"PONG\r\n")
        body = b'{"batch":60,"no_wait":true}'
        call = f"$JS.{name}.API.CONSUMER.MSG.NEXT.FAR.c"
        reader.send(b"PUB %b _INBOX.read.1 %d\r\n%b\r\n" % (call.encode(), len(body), body))
        got = reader.expect(rb".*?NATS/1.0 40[48] .*?\r\n\r\n")
        assert got.count(b"\r\nm0") >= 49, got[:300]
        for line in got.split(b"\r\n"):
            if line.startswith(b"MSG far"):
                reader.send(b"PUB %b 0\r\n\r\n" % line.split()[3])
        wait_for(lambda name=name: api(hub, f"$JS.{name}.API.CONSUMER.INFO.FAR.c")["num_ack_pending"] == 0)  # type: ignore[misc]
        api(hub, f"$JS.{name}.API.STREAM.DELETE.FAR")
        reader.close()


def test_a_request_that_nobody_takes_says_so_at_every_tier(site: Site) -> None:
    for server in site.all():
        assert not wants(login(server), "svc.nobody")


def test_a_bucket_is_written_and_watched_two_tiers_away(site: Site) -> None:
    """Keys go by the domain's API, as clients have it; what changes comes by their own subjects."""
    for name, server in (("ours", site.ours), ("theirs", site.theirs), ("gateway", site.gateway)):
        hub = login(site.hub)
        bucket = {"name": "KV_far", "subjects": ["$KV.far.>"], "max_msgs_per_subject": 1, "allow_direct": True}
        assert "error" not in api(hub, f"$JS.{name}.API.STREAM.CREATE.KV_far", bucket)
        put = ask(hub, f"$JS.{name}.API.$KV.far.key", f"value of {name}").split(b"\r\n")[1]
        assert json.loads(put) | {"domain": name} == {"stream": "KV_far", "seq": 1, "domain": name}
        got = ask(hub, f"$JS.{name}.API.DIRECT.GET.KV_far.$KV.far.key")
        assert f"value of {name}".encode() in got
        here = ask(login(server), "$JS.API.DIRECT.GET.KV_far.$KV.far.key")
        assert f"value of {name}".encode() in here
        assert api(login(site.hub), f"$JS.{name}.API.STREAM.DELETE.KV_far")["success"]
        hub.close()
