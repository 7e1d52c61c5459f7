"""Several hubs, clusters of them, and what they and the leaf may be told: our leaf and the real one."""

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509

from tests.e2e.mint import Operator, creds
from tests.e2e.test_leaf import ask, login, wait_for, wants
from tests.e2e.test_leaf_ways import leafz
from tests.e2e.test_reload import reload
from tests.old_hubs import since

ISOLATION = since(2, 12, "isolation of leafs")
Start = Callable[..., Any]
HTTP = "http: 127.0.0.1:-1"
PROBES = rb"(MSG \S+ \S+ _INBOX.wants 0\r\n\r\n)*"  # of ``wants``, which may come late


class Sites:
    """Hubs and a leaf, by short configurations."""

    def __init__(self, start_nats: Start, start_leaf: Start, free_port: Callable[[], int]) -> None:
        self.start_nats, self.start_leaf, self.free_port = start_nats, start_leaf, free_port

    def hub(self, name: str, more: str = "", leafs: str = "", port: int = 0) -> tuple[Any, int]:
        port = port or self.free_port()
        config = f"listen: 127.0.0.1:-1\n{HTTP}\nserver_name: {name}\nleafnodes {{ listen: 127.0.0.1:{port}, {leafs} }}\n{more}"
        return self.start_nats(config, name), port

    def leaf(self, *remotes: str, more: str = "", name: str = "leaf") -> Any:
        config = f'listen: 127.0.0.1:-1\n{HTTP}\nserver_name: {name}\nleafnodes {{ reconnect: "0.1s", remotes: [ {", ".join(remotes)} ] }}\n{more}'
        return self.start_leaf(config, name)


def remote(port: int, more: str = "", user: str = "") -> str:
    return f'{{ url: "nats-leaf://{user}127.0.0.1:{port}", {more} }}'


@pytest.fixture
def sites(start_nats: Start, either: Start, free_port: Callable[[], int]) -> Sites:
    return Sites(start_nats, either, free_port)


@pytest.fixture
def our_sites(start_nats: Start, start_edge: Start, free_port: Callable[[], int]) -> Sites:
    return Sites(start_nats, start_edge, free_port)


def user(name: str) -> str:
    return f'"headers":true,"no_responders":true,"user":"{name}","pass":"{name}"'


def listen(server: Any, subject: str, options: str = '"headers":true,"no_responders":true') -> Any:
    wire = login(server, options)
    wire.send(f"SUB {subject} 1\r\nPING\r\n".encode())
    wire.expect(rb"PONG\r\n")
    return wire


def drained(wire: Any) -> bytes:
    """All that has come so far."""
    wire.send(b"PING\r\n")
    return bytes(wire.expect(rb".*?PONG\r\n"))


ACCOUNTS = "accounts { A { users: [{user: a, password: a}] }, B { users: [{user: b, password: b}] } }"


def test_an_account_for_each_remote(sites: Sites) -> None:
    """The same server is a leaf of two hubs, with an account for each; one of them has accounts of its own, too."""
    (one, p1), (two, p2) = sites.hub("one", ACCOUNTS), sites.hub("two")
    leaf = sites.leaf(remote(p1, "account: A", "b:b@"), remote(p2, "account: B"), more=ACCOUNTS)
    first, second = listen(one, "x", user("b")), listen(two, "x")
    a, b = login(leaf, user("a")), login(leaf, user("b"))
    wait_for(lambda: wants(a, "x") and wants(b, "x"))
    a.send(b"PUB x 1\r\na\r\nPING\r\n")
    b.send(b"PUB x 1\r\nb\r\nPING\r\n")
    first.expect(PROBES + rb"MSG x 1 1\r\na\r\n")
    second.expect(PROBES + rb"MSG x 1 1\r\nb\r\n")
    assert drained(first) == drained(second) == b"PONG\r\n"


def test_two_hubs_of_one_account(sites: Sites) -> None:
    """What both want, both get, once.  Neither hears of the other's interest, but for what is wanted at the leaf, too."""
    (one, p1), (two, p2) = sites.hub("one"), sites.hub("two")
    leaf = sites.leaf(remote(p1), remote(p2))
    first, second, here = listen(one, "x"), listen(two, "x"), login(leaf)
    wait_for(lambda: len(leafz(leaf)) == 2 and wants(here, "x"))
    wait_for(lambda: b"MSG x 1 _INBOX" in drained(second) or not wants(here, "x"))
    here.send(b"PUB x 1\r\n1\r\nPING\r\n")
    here.expect(rb".*?PONG\r\n")
    first.expect(PROBES + rb"MSG x 1 1\r\n1\r\n")
    second.expect(PROBES + rb"MSG x 1 1\r\n1\r\n")
    far = listen(two, "far")
    assert not wants(login(one), "far")
    there = listen(leaf, "far")
    sender = login(one)
    wait_for(lambda: wants(sender, "far"))
    far.expect(rb"(MSG far 1 _INBOX.wants 0\r\n\r\n)+")
    there.expect(rb"(MSG far 1 _INBOX.wants 0\r\n\r\n)+")


def cluster(sites: Sites, web: bool) -> list[tuple[Any, int]]:
    """Three nodes; the port is that of leafs, or of WebSockets."""
    routes = [sites.free_port() for _ in range(3)]
    urls = ", ".join(f"nats-route://127.0.0.1:{port}" for port in routes)
    nodes = []
    for i, route in enumerate(routes, 1):
        port = sites.free_port()
        more = f"cluster {{ name: hub, listen: 127.0.0.1:{route}, routes: [{urls}] }}\n"
        if web:
            node, _ = sites.hub(f"n{i}", f"{more}websocket {{ listen: 127.0.0.1:{port}, no_tls: true }}")
        else:
            node, _ = sites.hub(f"n{i}", more, port=port)
        nodes.append((node, port))
    return nodes


@pytest.mark.parametrize("web", [False, True])
def test_a_cluster_is_found_by_one_of_its_nodes(web: bool, sites: Sites) -> None:
    """The node that was dialled dies for good: the leaf goes to one it was told of."""
    nodes = cluster(sites, web)
    port = nodes[0][1]
    leaf = sites.leaf(f'{{ url: "ws://127.0.0.1:{port}" }}' if web else remote(port))
    wire = listen(leaf, "here")
    there = login(nodes[2][0])
    wait_for(lambda: wants(there, "here"))
    nodes[0][0].kill()
    wait_for(lambda: not wants(there, "here"))
    wait_for(lambda: wants(there, "here"))
    wire.expect(rb"(MSG here 1 _INBOX.wants 0\r\n\r\n)+")
    ask_back(leaf, there)


def ask_back(leaf: Any, there: Any) -> None:
    """A request of the leaf's client is answered in the cluster."""
    there.send(b"SUB svc 7\r\nPING\r\n")
    there.expect(rb".*?PONG\r\n")
    here = login(leaf)
    wait_for(lambda: wants(here, "svc"))
    here.send(b"SUB inbox 1\r\nPUB svc inbox 1\r\n?\r\nPING\r\n")
    here.expect(rb".*?PONG\r\n")
    there.expect(PROBES + rb"MSG svc 7 inbox 1\r\n\?\r\n")
    there.send(b"PUB inbox 1\r\n!\r\n")
    here.expect(rb"MSG inbox 1 1\r\n!\r\n")


def test_a_loop_is_seen(sites: Sites) -> None:
    """The hub is a leaf of the leaf's other hub."""
    two, p2 = sites.hub("two")
    one, p1 = sites.hub("one", leafs=f"remotes: [{remote(p2)}]")
    wait_for(lambda: len(leafz(two)) == 1)
    leaf = sites.leaf(remote(p1), remote(p2))
    told = 'Loop detected for leafnode account="$G"'
    wait_for(lambda: told in leaf.log.read_text() and told in one.log.read_text() + two.log.read_text())
    wait_for(lambda: len(leafz(leaf)) < 2)


def test_a_remote_that_is_the_hub(sites: Sites) -> None:
    """``hub: true``: the other side is a leaf, and told what its siblings want."""
    (one, p1), (two, p2) = sites.hub("one"), sites.hub("two")
    leaf = sites.leaf(remote(p1, "hub: true"), remote(p2, "hub: true"))
    wire, sender = listen(two, "x"), login(one)
    wait_for(lambda: wants(sender, "x"))
    wire.expect(rb"(MSG x 1 _INBOX.wants 0\r\n\r\n)+")
    assert [link["is_spoke"] for link in leafz(leaf)] == [False, False]
    assert [link["is_spoke"] for link in leafz(one)] == [True]


@pytest.mark.parametrize("isolated", [False, pytest.param(True, marks=ISOLATION)])
def test_a_leaf_that_is_not_told_of_its_siblings(isolated: bool, sites: Sites) -> None:
    hub, port = sites.hub("hub")
    leaf = sites.leaf(remote(port, f"request_isolation: {isolated}".lower()))
    other = sites.start_leaf(
        f"listen: 127.0.0.1:-1\nserver_name: other\nleafnodes {{ remotes: [ {remote(port)} ] }}", "other"
    )
    listen(other, "of.other"), listen(hub, "of.hub")
    here = login(leaf)
    wait_for(lambda: wants(here, "of.hub"))
    up = login(hub)
    wait_for(lambda: wants(up, "of.other"))
    if isolated:
        assert not wants(here, "of.other")
    else:
        wait_for(lambda: wants(here, "of.other"))
    found = {link["name"]: link.get("is_isolated", False) for link in leafz(hub)}
    assert found == {"leaf": isolated, "other": False}


@pytest.mark.parametrize(("hub", "leaf"), [("", ""), ("compression: off", ""), pytest.param("isolate_leafnode_interest: true", "compression: s2_fast", marks=ISOLATION)])
def test_leafz(hub: str, leaf: str, sites: Sites) -> None:
    server, port = sites.hub("hub", leafs=hub)
    ours = sites.leaf(remote(port, leaf))
    wait_for(lambda: len(leafz(ours)) == 1 and len(leafz(server)) == 1)
    (link,) = leafz(ours)
    assert link["is_spoke"] and "is_isolated" not in link and link["name"] == "hub"
    assert (link["compression"] in ("off", "not supported")) is ("off" in hub)
    (link,) = leafz(server)
    assert not link["is_spoke"] and link.get("is_isolated", False) is ("isolate" in hub)


@since(2, 11, "tracing of messages")
def test_a_message_traced_across(sites: Sites) -> None:
    """Who asks hears of the way on each server."""
    hub, port = sites.hub("hub")
    leaf = sites.leaf(remote(port))
    up, here = listen(hub, "to"), login(leaf)
    wait_for(lambda: wants(here, "to"))
    drained(up)
    here.send(b"SUB told 5\r\nHPUB to 35 36\r\nNATS/1.0\r\nNats-Trace-Dest: told\r\n\r\nx\r\n")
    first = here.expect(rb"H?MSG told 5 .*?MSG told 5 [^\n]*\n.*?\}\]?\}\r\n")
    assert first.count(b'"type":"eg"') >= 2 and b'"name":"hub"' in first and b'"name":"leaf"' in first


def test_requests_of_the_hubs_jetstream_by_two_domains(sites: Sites, tmp_path: Any) -> None:
    """Each hub's own domain is reached, and answered by that hub alone."""
    stores = [f'jetstream {{ store_dir: "{tmp_path / name}", domain: {name} }}' for name in ("d1", "d2", "mine")]
    (_, p1), (_, p2) = sites.hub("one", stores[0]), sites.hub("two", stores[1])
    leaf = sites.leaf(remote(p1), remote(p2), more=stores[2])
    here = login(leaf)
    for name in ("d1", "d2", "mine"):
        assert f'"domain":"{name}"'.encode() in ask(here, f"$JS.{name}.API.INFO")
    assert b'"domain":"mine"' in ask(here, "$JS.API.INFO")


def test_an_uplink_goes_on_when_its_remote_has_changed(our_sites: Sites, tmp_path: Any) -> None:
    """A reload: the hub has moved, and the entry says more than before."""
    stores = [f'jetstream {{ store_dir: "{tmp_path / name}", domain: {domain} }}' for name, domain in (("h1", "hub"), ("h2", "hub"), ("edge", "e"))]
    (one, p1), (two, p2) = our_sites.hub("one", stores[0]), our_sites.hub("two", stores[1])
    for server in (one, two):
        assert b'"name":"UP"' in ask(login(server), "$JS.API.STREAM.CREATE.UP", '{"name":"UP","subjects":["up.>"]}')
    more = stores[2] + "\nuplink { U { subjects: [up.>], hub_stream: UP, hub_domain: hub } }"
    leaf = our_sites.leaf(remote(p1), more=more)
    here = login(leaf)

    def arrives(server: Any, number: int) -> None:
        asker = login(server)
        here.send(b"PUB up.%d 1\r\nx\r\nPING\r\n" % number)
        here.expect(rb".*?PONG\r\n")
        wait_for(lambda: b'"seq"' in ask(asker, "$JS.API.STREAM.MSG.GET.UP", f'{{"last_by_subj":"up.{number}"}}'))

    arrives(one, 1)
    reload(leaf, leaf.config.read_text().replace(str(p1), str(p2)).replace(",  }", ", compression: s2_best, deny_imports: no.> }"))
    arrives(two, 2)
    reload(leaf, leaf.config.read_text().replace("deny_imports", "disabled: true, deny_imports"))
    wait_for(lambda: not leafz(leaf) and not leafz(two))
    reload(leaf, leaf.config.read_text().replace("disabled: true, ", ""))
    arrives(two, 3)


@pytest.mark.parametrize("isolated", [False, True])
def test_a_hub_that_is_not_told_of_our_leafs(isolated: bool, sites: Sites) -> None:
    """Three tiers: the one in the middle keeps to itself what the lowest wants."""
    hub, port = sites.hub("hub")
    middle_port = sites.free_port()
    middle = sites.start_leaf(
        f"listen: 127.0.0.1:-1\n{HTTP}\nserver_name: middle\nleafnodes {{ listen: 127.0.0.1:{middle_port}, "
        f'reconnect: "0.1s", remotes: [ {remote(port, f"isolate: {isolated}".lower())} ] }}', "middle",
    )  # fmt: skip
    low = sites.start_nats(f"listen: 127.0.0.1:-1\nserver_name: low\nleafnodes {{ remotes: [ {remote(middle_port)} ] }}", "low")
    listen(low, "of.low"), listen(middle, "of.middle")
    up, inside = login(hub), login(middle)
    wait_for(lambda: wants(up, "of.middle") and wants(inside, "of.low"))
    if isolated:
        assert not wants(up, "of.low")
    else:
        wait_for(lambda: wants(up, "of.low"))
    (link,) = [link for link in leafz(middle) if link["name"] == "hub"]
    assert link["is_spoke"] and link.get("is_isolated", False) is isolated


def test_accounts_that_are_keys(sites: Sites, tmp_path: Any) -> None:
    """An operator of ours, another of the hub's: each has its own account, and the remote joins them."""
    ours, theirs = Operator(1), Operator(3)
    a, b = ours.account("A"), theirs.account("B")
    port = sites.free_port()
    hub = sites.start_nats(theirs.config(more=f"leafnodes {{ listen: 127.0.0.1:{port} }}"), "hub")
    path = creds(tmp_path, b.user(1), 1)
    more = f'leafnodes {{ reconnect: "0.1s", remotes: [ {remote(port, f"account: {a.public}, credentials: {path}")} ] }}'
    leaf = sites.start_leaf(ours.config(more=more.replace(path, f'"{path}"')), "leaf")
    logins = [f'"headers":true,"no_responders":true,"jwt":"{it.user(2, bearer_token=True)}"' for it in (b, a)]
    up, here = listen(hub, "x", logins[0]), login(leaf, logins[1])
    wait_for(lambda: wants(here, "x"))
    up.expect(rb"(MSG x 1 _INBOX.wants 0\r\n\r\n)+")


@pytest.mark.parametrize("named", [True, False])
def test_certificates_of_a_cluster(named: bool, sites: Sites, authority: Any) -> None:
    """The other node is known by its address: its certificate bears the name of the first one, or its own address."""
    localhost = x509.DNSName("localhost")
    second = localhost if named else x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    routes = [sites.free_port(), sites.free_port()]
    urls = ", ".join(f"nats-route://127.0.0.1:{port}" for port in routes)
    nodes = []
    for i, (name, route) in enumerate(zip((localhost, second), routes, strict=True), 1):
        pair = authority.make(f"node{i}", name)
        more = f"cluster {{ name: hub, listen: 127.0.0.1:{route}, routes: [{urls}] }}"
        nodes.append(sites.hub(f"n{i}", more, f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}", timeout: 2 }}'))
    wait_for(lambda: all("Route connection created" in node.log.read_text() for node, _ in nodes))
    leaf = sites.leaf(f'{{ url: "tls://localhost:{nodes[0][1]}", tls {{ ca_file: "{authority.file}" }} }}')
    listen(leaf, "here")
    there = login(nodes[1][0])
    wait_for(lambda: wants(there, "here"))
    nodes[0][0].kill()
    wait_for(lambda: not wants(there, "here"))
    wait_for(lambda: wants(there, "here"))


def test_requests_through_a_super_cluster(sites: Sites) -> None:
    """Who asks and who answers are in two clusters with a gateway between; the leaf is at one of them."""
    gates = {name: sites.free_port() for name in ("east", "west")}
    known = ", ".join(f'{{ name: {name}, url: "nats://127.0.0.1:{port}" }}' for name, port in gates.items())
    hubs = {}
    for name, port in gates.items():
        gateway = f"gateway {{ name: {name}, listen: 127.0.0.1:{port}, gateways: [ {known} ] }}\nsystem_account: SYS\naccounts {{ SYS {{}}, A {{ users: [{{user: a, password: a}}] }} }}\nno_auth_user: a"
        hubs[name] = sites.hub(name, gateway)
    for hub, _ in hubs.values():
        hub.wait_for_log("Outbound gateway connection")
        hub.wait_for_log("Inbound gateway connection")
    leaf = sites.leaf(remote(hubs["east"][1]))
    here, far = login(leaf), login(hubs["west"][0])
    for asked, asker in ((here, far), (far, here)):
        asked.send(b"SUB svc.%d 1\r\nPING\r\n" % id(asked))
        asked.expect(rb".*?PONG\r\n")
        wait_for(lambda asked=asked, asker=asker: wants(asker, f"svc.{id(asked)}"))
        asker.send(b"SUB inbox.%d 2\r\nPUB svc.%d inbox.%d 1\r\n?\r\n" % (id(asker), id(asked), id(asker)))
        found = asked.expect(rb".*?MSG svc.\d+ 1 (\S+) 1\r\n\?\r\n")
        reply = found.split()[-3]
        asked.send(b"PUB %s 1\r\n!\r\nUNSUB 1\r\n" % reply)
        asker.expect(rb".*?MSG inbox.\d+ 2 1\r\n!\r\n")
