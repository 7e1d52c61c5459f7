"""The documents of monitoring, through requests of the system account: the same scene on our server and on the real
one, compared value by value.  What must differ has a word in its place: times, numbers of connections, sizes."""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeout

from edge.protocol.mqtt import Connect, Kind, Signal, Subscribe, encode
from tests.e2e.mint import Operator, key

Start = Callable[..., Any]
Ask = Callable[..., Awaitable[Any]]

PATIENCE = 60.0
SERVER = "listen: 127.0.0.1:-1\nserver_name: core\n"
ACCOUNTS = """
accounts {
  SYS { users: [{user: s, password: s}] }
  A { users: [{user: a, password: a}, {user: n, password: n}], jetstream: enabled,
      exports: [{service: "svc.>", latency: {sampling: 50, subject: lat}}, {service: "str.>", response_type: stream},
                {stream: "st.>"}, {stream: priv, accounts: [B]}],
      mappings: {"m.*": "n.$1", w: [{destination: w1, weight: 30%}, {destination: w2, weight: 50%}]} }
  B { users: [{user: b, password: b}],
      imports: [{service: {account: A, subject: "svc.x"}, to: my.x}, {stream: {account: A, subject: "st.>"}, prefix: p},
                {stream: {account: A, subject: priv}}] }
}
system_account: SYS
no_auth_user: n
"""
MOMENTS = (
    "start", "now", "stop", "last_activity", "created", "first_ts", "last_ts", "ts", "last_active", "config_load_time",
    "update_time", "time", "tls_cert_not_after",
)  # fmt: skip
LENGTHS = ("rtt", "uptime", "idle")
OURS = ("version", "go", "git_commit", "feature_flags", "compress_ok", "limits", "level")
NUMBERS = ("mem", "cpu", "port", "http_port", "config_digest", "num_cache", "pending_bytes")
UNCOUNTED = ("num_matches", "cache_hit_rate", "max_fanout", "avg_fanout", "num_inserts", "num_removes", "num_subscriptions")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
INBOX = re.compile(r"_INBOX\.\w+")
LENGTH = re.compile(r"(\d+y)?(\d+d)?(\d+h)?(\d+m)?\d+(\.\d+)?(s|ms|µs|ns)")


def plain(value: Any, key: str = "") -> Any:
    """What both must have in common."""
    match value:
        case dict():
            return {name: plain(item, name) for name, item in value.items() if name not in OURS}
        case list() if key in ("subscriptions_list", "accounts"):
            return sorted(value) if value and isinstance(value[0], str) else by_subject(value)
        case list() if key in ("subscriptions_list_detail", "exports", "imports"):
            return by_subject(value)
        case list():
            return [plain(item) for item in value]
    if key in MOMENTS:
        return "moment" if MOMENT.fullmatch(value) else value
    if key in LENGTHS:
        return "length" if LENGTH.fullmatch(value) else value
    if key in NUMBERS or key in UNCOUNTED:
        return type(value).__name__ if isinstance(value, str) else "number"
    if isinstance(value, str):
        return INBOX.sub("_INBOX", value) if key != "server_id" else "id"
    return "id" if key in ("cid", "id") and value else value


def by_subject(items: list[Any]) -> list[Any]:
    """Without what nats-server imports and exports for itself."""
    kept = [plain(item) for item in items if not item["subject"].startswith(("$SYS.", "$JS."))]
    return sorted(kept, key=lambda item: (item["subject"], item.get("sid", ""), item.get("account", "")))


async def connect(server: Any, user: str = "", **options: Any) -> Client:
    async def quiet(error: Exception) -> None: ...

    login = {"user": user, "password": user} if user else {}
    options = {"allow_reconnect": False, "max_reconnect_attempts": 0, "error_cb": quiet, **login, **options}
    return await nats.connect(options.pop("url", server.url), **options)


def asker(nc: Client, id: str) -> Ask:
    """``ask(document, **options)``: the data of the answer, or its error.  ``of``: an account."""

    async def ask(document: str, of: str = "", **options: Any) -> Any:
        place = f"ACCOUNT.{of}" if of else f"SERVER.{id}"
        body = json.dumps(options).encode() if options else b""
        try:
            message = await nc.request(f"$SYS.REQ.{place}.{document}", body, timeout=PATIENCE)
        except NatsTimeout:
            return "silence"
        answer = json.loads(message.data)
        return answer["error"] if "error" in answer else answer["data"]

    return ask


async def system(server: Any) -> tuple[Client, Ask]:
    nc = await connect(server, "s")
    return nc, asker(nc, nc._server_info["server_id"])


async def settled(ask: Callable[[], Awaitable[Any]], done: Callable[[Any], bool]) -> Any:
    """What is asked for, once it is as it should be: nats-server notes the end of a connection a little later."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not done(found := await ask()):
        assert asyncio.get_running_loop().time() < deadline, found
    return found


async def guest(port: int, client_id: str, *filters: tuple[str, int]) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode(Connect(client_id, True, 60, None, "a", b"a")))
    await reader.readexactly(4)
    writer.write(encode(Subscribe(1, filters)))
    await reader.readexactly(4 + len(filters))
    return writer


async def refused(server: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await reader.readline()
    writer.write(b'CONNECT {"user":"bad","pass":"bad","name":"bad","lang":"x","version":"1"}\r\n')
    assert b"Authorization Violation" in await reader.read()
    writer.close()
    await writer.wait_closed()


def on_both(start_edge: Start, start_nats: Start, scene: Callable[..., Any], config: str, **things: Any) -> Any:
    """What the scene brings, the same on both; ``STORE`` in ``config`` is a folder for each."""
    found = []
    for start, name in ((start_edge, "edge"), (start_nats, "nats")):
        server = start(config.replace("STORE", name), name)
        found.append(asyncio.run(asyncio.wait_for(scene(server, **things), 2 * PATIENCE)))
    ours, theirs = found
    assert ours.keys() == theirs.keys()
    for question in theirs:
        assert (question, *lines(ours[question])) == (question, *lines(theirs[question]))
    return ours


def lines(value: Any) -> list[str]:
    return json.dumps(value, indent=1, sort_keys=True).splitlines()


def store(tmp_path: Path) -> str:
    return f'jetstream {{ store_dir: "{tmp_path}/STORE", domain: d, max_mem: 10MB, max_file: 100MB }}\n'


# ---- connections


def shown(document: Any) -> Any:
    """Who is shown, in their order."""
    if "connections" not in document:
        return document
    counts = {name: document[name] for name in ("num_connections", "total", "offset", "limit")}
    return counts, [conn.get("name") or conn.get("mqtt_client") or conn["kind"] for conn in document["connections"]]


async def busy(server: Any, name: str, subs: int, msgs: int, size: int, **options: Any) -> Client:
    nc = await connect(server, "a", name=name, **options)
    for i in range(subs):
        await nc.subscribe(f"{name}.{i}")
    for _ in range(msgs):
        await nc.publish(f"{name}.0", b"x" * size)
    await nc.flush()
    return nc


async def connections(server: Any) -> dict[str, Any]:
    nc, ask = await system(server)
    people = [
        await busy(server, "alpha", 3, 2, 10),
        await busy(server, "beta", 1, 7, 1),
        await busy(server, "gamma", 2, 5, 100),
        await busy(server, "webby", 4, 1, 3, url=f"ws://127.0.0.1:{server.ports['websocket']}"),
    ]
    await people[0].subscribe("group", "workers")
    await (await people[0].subscribe("few")).unsubscribe(limit=5)
    await people[0].flush()
    nobody = await connect(server, name="nobody")
    b = await connect(server, "b", name="of b")
    await b.subscribe("p.>")
    await b.flush()
    mqtt = await guest(server.ports["mqtt"], "sensor", ("a/b", 0), ("c/#", 0))
    found: dict[str, Any] = {}
    everything = {"auth": True, "subscriptions_detail": True}
    found["all"] = plain(await ask("CONNZ", **everything))
    for conn in found["all"]["connections"]:
        if conn["authorized_user"] == "s":  # nats-server counts the question while it answers, or after
            conn["in_msgs"] = conn["in_bytes"] = "asking"
        if conn.get("mqtt_client"):  # nats-server has another subscription for what is in streams
            conn["subscriptions"] = len(conn["subscriptions_list_detail"])
    found["without"] = plain(await ask("CONNZ", acc="A", user="a", subscriptions=True))["connections"][:4]
    for name in ("cid", "start", "subs", "msgs_to", "msgs_from", "bytes_to", "bytes_from"):
        found[f"by {name}"] = shown(await ask("CONNZ", sort=name, acc="A", user="a", limit=4))
    for name in ("pending", "last", "idle", "rtt"):
        found[f"by {name}"] = shown(await ask("CONNZ", sort=name, limit=1))[0]
    found["by uptime"] = shown(await ask("CONNZ", sort="uptime"))
    for options in (
        {"sort": "zzz"}, {"sort": "stop"}, {"sort": "reason", "state": 2}, {"filter_subject": "alpha.1"},
        {"filter_subject": "*.1", "acc": "A"}, {"filter_subject": ">", "acc": "B"}, {"filter_subject": "none", "acc": "B"},
        {"acc": "A"}, {"acc": "B", "state": 2}, {"user": "b"}, {"user": "nope"}, {"mqtt_client": "sensor"},
        {"offset": 2, "limit": 2}, {"offset": 200}, {"offset": -1, "limit": -1}, {"cid": 99999}, {"state": 7},
        {"limit": 3}, {"acc": "SYS"}, {"acc": "$G"},
    ):  # fmt: skip
        found[str(options)] = shown(await ask("CONNZ", **options))
    cid = people[1]._client_id
    found["one"] = shown(await ask("CONNZ", cid=cid))
    found["of an account"] = shown(await ask("CONNZ", of="B"))
    answer = await nobody.request("$SYS.REQ.ACCOUNT.PING.CONNZ", b"", timeout=PATIENCE)
    found["by itself"] = shown(json.loads(answer.data)["data"])
    # and when they have gone
    await people[0].close()
    await b.close()
    mqtt.write(encode(Signal(Kind.DISCONNECT)))
    mqtt.close()
    await mqtt.wait_closed()
    await nc.request(f"$SYS.REQ.SERVER.{nc._server_info['server_id']}.KICK", json.dumps({"cid": cid}).encode(), timeout=30)
    await refused(server)
    gone = await settled(lambda: ask("CONNZ", state=1, **everything), lambda found: found["total"] == 5)
    for conn in gone["connections"]:
        if conn.get("mqtt_client"):
            conn["subscriptions"] = len(conn["subscriptions_list_detail"])
    found["gone"] = sorted(map(plain, gone["connections"]), key=lambda conn: conn.get("name", ""))
    for options in ({"sort": "reason"}, {"acc": "A"}, {"user": "b"}, {"mqtt_client": "sensor"}):
        fields = shown(await ask("CONNZ", state=1, **options))
        found[f"gone {options}"] = fields[0], sorted(fields[1])
    found["by stop"] = shown(await ask("CONNZ", state=1, sort="stop", limit=2))[0]
    found["gone one"] = shown(await ask("CONNZ", cid=cid, state=2))
    found["both"] = shown(await ask("CONNZ", state=2))[0]
    varz = await ask("VARZ")
    found["counts"] = {
        name: varz[name] for name in ("connections", "total_connections", "leafnodes", "slow_consumers", "stalled_clients")
    }
    for client in (*people[2:], nobody, nc):
        await client.close()
    return found


@pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")  # nats-py's, of aiohttp
def test_connections(start_edge: Start, start_nats: Start, tmp_path: Path) -> None:
    listeners = 'mqtt { listen: "127.0.0.1:-1" }\nwebsocket { listen: "127.0.0.1:-1", no_tls: true }\n'
    found = on_both(start_edge, start_nats, connections, SERVER + ACCOUNTS + store(tmp_path) + listeners)
    assert found["by msgs_from"][1] == ["beta", "gamma", "alpha", "webby"]
    assert found["by bytes_to"][1] == ["gamma", "alpha", "beta", "webby"]
    assert [conn["reason"] for conn in found["gone"]].count("Client Closed") == 3
    assert {conn["reason"] for conn in found["gone"]} == {"Client Closed", "Authentication Failure", "Kicked"}
    assert found["{'filter_subject': '*.1', 'acc': 'A'}"][1] == ["alpha", "gamma", "webby", "sensor"]


# ---- subscriptions, accounts


def of_clients(document: Any) -> Any:
    """The subscriptions of clients; the servers' own differ."""
    if "subscriptions_list" not in document:
        return plain(document)
    return [sub for sub in plain(document["subscriptions_list"], "subscriptions_list") if sub["sid"].startswith("7")]


async def interest(server: Any) -> dict[str, Any]:
    nc, ask = await system(server)
    wires = {user: server.wire() for user in ("a", "b")}
    for user, wire in wires.items():
        wire.login(f'{{"user":"{user}","pass":"{user}","verbose":false,"pedantic":false}}')
        wire.send(b"SUB x.* 71\r\nSUB x.1 work 72\r\nSUB y 73\r\nUNSUB 73 9\r\nPUB x.1 1\r\n1\r\nPUB y 1\r\n1\r\nPING\r\n")
        wire.expect(rb".*PONG\r\n")
    found = {}
    for options in (
        {}, {"subscriptions": True}, {"subscriptions": True, "test": "x.1"}, {"subscriptions": True, "test": "x.2"},
        {"subscriptions": True, "account": "A"}, {"subscriptions": True, "account": "B", "test": "y"},
        {"test": "x.*"}, {"test": "x..y"}, {"test": "x y"}, {"subscriptions": True, "account": "NOPE"},
        {"subscriptions": True, "test": "none"},
    ):  # fmt: skip
        found[f"SUBSZ {options}"] = of_clients(await ask("SUBSZ", **options))
    found["SUBSZ {}"] = {name: "number" for name in found["SUBSZ {}"]}  # with the servers' own
    found["of an account"] = of_clients(await ask("SUBSZ", of="A"))
    pages = [await ask("SUBSZ", subscriptions=True, account="B", test="x.1", offset=i, limit=1) for i in range(3)]
    found["pages"] = [
        (page["total"], page["offset"], page["limit"], len(page.get("subscriptions_list", ()))) for page in pages
    ]
    found["accounts"] = plain(await ask("ACCOUNTZ"))
    for account in ("A", "B", "SYS", "NOPE"):
        found[f"ACCOUNTZ {account}"] = account_detail(await ask("ACCOUNTZ", account=account))
        found[f"INFO {account}"] = account_detail(await ask("INFO", of=account))
    for wire in wires.values():
        wire.close()
    await nc.close()
    return found


def account_detail(document: Any) -> Any:
    """Without what nats-server adds to each account for itself."""
    document = plain(document)
    detail = document.get("account_detail", document)
    if "account_name" in detail:
        detail["subscriptions"] = "number"
        detail["sublist_stats"] = dict.fromkeys(detail["sublist_stats"], "number")
        mappings = {source: to for source, to in detail.get("mappings", {}).items() if not source.startswith("$JS.")}
        lists = {"exports": detail.get("exports", []), "imports": detail.get("imports", []), "mappings": mappings}
        detail = {**detail, **lists} if detail["account_name"] != "SYS" else {"account_name": "SYS"}
    return detail


def test_subscriptions_and_accounts(start_edge: Start, start_nats: Start, tmp_path: Path) -> None:
    found = on_both(start_edge, start_nats, interest, SERVER + ACCOUNTS + store(tmp_path))
    assert [sub["account"] for sub in found["SUBSZ {'subscriptions': True, 'test': 'x.2'}"]] == ["A", "B"]
    assert found["pages"] == [(2, 0, 1, 1), (2, 1, 1, 1), (2, 2, 1, 0)]
    assert found["INFO A"]["mappings"]["w"][-1] == {"subject": "w2", "weight": 100}


# ---- JetStream


def details(document: Any) -> Any:
    """In an order of their own: nats-server's come out of a map."""
    document = plain(document)
    for account in document.get("account_details", [document]):
        if "stream_detail" in account:
            account["stream_detail"].sort(key=lambda stream: stream["name"])
            for stream in account["stream_detail"]:
                stream.get("consumer_detail", []).sort(key=lambda consumer: consumer["name"])
    config = document.get("jetstream", document).get("config", {})
    if "store_dir" in config:
        config["store_dir"] = "folder"
    return document


async def streams(server: Any, user: str = "") -> dict[str, Any]:
    nc, ask = await system(server)
    found = {"empty": details(await ask("JSZ")), "healthy": await ask("HEALTHZ")}
    client = await connect(server, user)
    js = client.jetstream()
    await js.add_stream(name="S", subjects=["s.>"], max_bytes=1_000_000)
    await js.add_stream(name="M", subjects=["m2.>"], storage="memory")
    for i in range(5):
        await js.publish(f"s.{i % 2}", b"x" * 10)
    await js.publish("m2.1", b"zz")
    sub = await js.pull_subscribe("s.>", "dur")
    messages = await sub.fetch(2)
    await messages[0].ack_sync()
    account = user.upper() or "$G"
    for options in (
        {}, {"accounts": True}, {"streams": True}, {"consumer": True}, {"consumer": True, "config": True}, {"raft": True},
        {"account": account}, {"account": account, "streams": True}, {"account": account, "consumer": True},
        {"account": "NOPE"}, {"account": "NOPE", "streams": True}, {"accounts": True, "offset": 9},
        {"accounts": True, "limit": -1}, {"accounts": True, "offset": -3}, {"leader_only": True},
        {"stream_leader_only": True, "streams": True, "direct_consumer": True, "consumer": True},
    ):  # fmt: skip
        found[f"JSZ {options}"] = details(await ask("JSZ", **options))
    for name in (account, "SYS", "NOPE"):
        found[f"JSZ of {name}"] = details(await ask("JSZ", of=name))
    found["JSZ of it"] = details(await ask("JSZ", of=account, streams=True, consumer=True, config=True))
    for options in (
        {}, {"details": True}, {"account": account}, {"account": "NOPE"}, {"stream": "S"}, {"account": account, "consumer": "C"},
        {"account": account, "stream": "S"}, {"account": account, "stream": "X"},
        {"account": account, "stream": "S", "consumer": "dur"}, {"account": account, "stream": "S", "consumer": "C"},
        {"account": account, "stream": "X", "consumer": "dur"}, {"js-enabled-only": True}, {"js-server-only": True},
        {"js-enabled": True}, {"js-meta-only": True}, {"account": "NOPE", "js-server-only": True},
        {"account": "NOPE", "js-enabled-only": True},
    ):  # fmt: skip
        found[f"HEALTHZ {options}"] = await ask("HEALTHZ", **options)
        found[f"HEALTHZ details {options}"] = await ask("HEALTHZ", **{**options, "details": True})
    varz = await ask("VARZ")
    found["varz"] = details(varz["jetstream"])
    await client.close()
    await nc.close()
    return found


def test_jetstream(start_edge: Start, start_nats: Start, tmp_path: Path) -> None:
    accounts = "accounts { SYS { users: [{user: s, password: s}] } }\nsystem_account: SYS\n"
    users = "authorization { users: [{user: u, password: u}] }\nno_auth_user: u\n"
    found = on_both(start_edge, start_nats, streams, SERVER + accounts + users + store(tmp_path))
    detail = found["JSZ {'consumer': True}"]["account_details"][0]["stream_detail"][1]
    assert detail["consumer_detail"][0]["num_pending"] == 3
    assert found["HEALTHZ {'account': '$G', 'stream': 'X'}"]["status_code"] == 404


def test_no_jetstream(start_edge: Start, start_nats: Start) -> None:
    async def scene(server: Any) -> dict[str, Any]:
        nc, ask = await system(server)
        found = {name: plain(await ask(name)) for name in ("JSZ", "HEALTHZ", "LEAFZ", "ROUTEZ", "GATEWAYZ", "RAFTZ")}
        found["of A"] = await ask("JSZ", of="A")
        found["queues"] = await ask("IPQUEUESZ", filter="nothing")
        found["healthy"] = await ask("HEALTHZ", account="A", stream="S")
        found["profile"] = await ask("PROFILEZ", name="none")
        found["silent"] = "leader_only"  # not asked: it would be waited for
        await nc.close()
        return found

    on_both(start_edge, start_nats, scene, SERVER + ACCOUNTS.replace("jetstream: enabled,", ""))


# ---- the server


VARZ = """
max_connections: 100
max_subscriptions: 50
max_payload: 1000
max_pending: 100000
max_control_line: 2048
ping_interval: "30s"
ping_max: 3
write_deadline: "5s"
authorization { timeout: 1.5 }
server_tags: ["x:y", "z"]
server_metadata { site: north }
tls { cert_file: "CERT", key_file: "KEY", ca_file: "CA", verify: true, timeout: 3 }
websocket { listen: "127.0.0.1:-1", same_origin: true, allowed_origins: ["http://x.y"], compression: true,
  handshake_timeout: "3s", tls { cert_file: "CERT", key_file: "KEY", verify_and_map: true, ca_file: "CA" } }
mqtt { listen: "127.0.0.1:-1", ack_wait: "10s", max_ack_pending: 77, authorization { timeout: 4 } }
"""


def test_varz(start_edge: Start, start_nats: Start, tmp_path: Path, authority: Any) -> None:
    pair, client = authority.server("documents"), authority.make("watcher")
    tls = VARZ.replace("CERT", str(pair.cert)).replace("KEY", str(pair.key)).replace("CA", str(authority.file))

    async def scene(server: Any) -> dict[str, Any]:
        nc = await connect(server, "s", tls=authority.context(client))
        ask = asker(nc, nc._server_info["server_id"])
        await nc.subscribe("x")
        await nc.publish("x", b"12345")
        await nc.flush()
        varz = details(await ask("VARZ"))
        conn = plain(await ask("CONNZ", auth=True))["connections"][0]
        conn["tls_cipher_suite"] = conn["tls_cipher_suite"][:7]  # what OpenSSL and Go like best
        conn["tls_peer_certs"] = conn["tls_peer_certs"][:1]  # nats-server goes on with who signed it
        await nc.close()
        for name in ("mqtt", "websocket"):
            varz[name]["port"] = "number" if varz[name]["port"] else 0
        for name in [name for name in varz if "_msgs" in name or "_bytes" in name]:
            varz[name] = type(varz[name]).__name__  # the statistics every second are messages too
        varz["subscriptions"] = type(varz["subscriptions"]).__name__
        varz["jetstream"]["stats"]["accounts"] = "number"
        return {"varz": varz, "secured": {name: item for name, item in conn.items() if name.startswith("tls")}}

    accounts = ACCOUNTS.replace("no_auth_user: n", "")
    found = on_both(start_edge, start_nats, scene, SERVER + accounts + store(tmp_path) + tls)
    assert found["varz"]["tls_cert_not_after"] == found["varz"]["websocket"]["tls_cert_not_after"] == "moment"
    assert found["secured"]["tls_peer_certs"][0]["spki_sha256"] == client.public_key_sha256


def test_a_plain_varz(start_edge: Start, start_nats: Start) -> None:
    async def scene(server: Any) -> dict[str, Any]:
        nc, ask = await system(server)
        varz = plain(await ask("VARZ"))
        await nc.close()
        moving = [name for name in varz if "_msgs" in name or "_bytes" in name or name == "subscriptions"]
        varz |= {name: type(varz[name]).__name__ for name in moving}
        return {"varz": varz | {"server_name": "id"}}

    on_both(start_edge, start_nats, scene, "listen: 127.0.0.1:-1\naccounts { $SYS { users: [{user: s, password: s}] } }")


# ---- a hub


def test_leafs(start_edge: Start, start_nats: Start, free_port: Callable[[], int]) -> None:
    port = free_port()
    hub = start_nats(f"listen: 127.0.0.1:-1\nserver_name: hub\nleafnodes {{ listen: 127.0.0.1:{port} }}", "hub")
    leaf = (
        f'{SERVER}{ACCOUNTS}leafnodes {{ remotes: [{{ url: "nats-leaf://127.0.0.1:{port}", account: A,'
        ' deny_imports: "no.>", compression: off }] }\n'
    )

    async def scene(server: Any) -> dict[str, Any]:
        nc, ask = await system(server)
        far, near = await connect(hub), await connect(server, "a")
        sub = await near.subscribe("down")
        await near.flush()
        await far.subscribe("up")
        await far.flush()
        await settled(lambda: ask("LEAFZ", subscriptions=True), lambda found: "up" in str(found))
        await near.publish("up", b"123")
        await near.flush()
        await settled(lambda: ask("LEAFZ"), lambda found: found["leafs"][0]["out_msgs"] == 1)
        while not sub.delivered:
            await far.publish("down", b"12345")
            await far.flush()
            await asyncio.sleep(0.01)
        leafs = plain(await ask("LEAFZ", subscriptions=True))
        for one in leafs["leafs"]:
            one["subscriptions_list"] = [subject for subject in one["subscriptions_list"] if subject == "up"]
            one |= {"subscriptions": "number", "in_msgs": one["in_msgs"] > 0, "in_bytes": one["in_bytes"] > 0}
        found = {"leafs": leafs, "others": plain(await ask("LEAFZ", account="B"))}
        found["of A"] = [one["name"] for one in (await ask("LEAFZ", account="A"))["leafs"]]
        conn = plain(await ask("CONNZ", acc="A", auth=True, subscriptions_detail=True))["connections"]
        (link,) = [one for one in conn if one["kind"] == "Leafnode"]
        (up,) = [sub for sub in link["subscriptions_list_detail"] if sub["subject"] == "up"]
        link["subscriptions_list_detail"] = [{**up, "msgs": "number"}]  # of a hub's interest ours does not count them
        found["link"] = link | {"subscriptions": "number", "in_msgs": "number", "in_bytes": "number"}
        varz = await ask("VARZ")
        found["varz"] = varz["leafnodes"], varz["connections"], varz["leaf"], varz["cluster"]
        for client in (far, near, nc):
            await client.close()
        server.stop()
        return found

    found = on_both(start_edge, start_nats, scene, leaf)
    assert found["leafs"]["leafs"][0]["name"] == "hub"
    assert found["leafs"]["leafs"][0]["out_bytes"] == 3


# ---- operator mode


async def by_jwt(server: Any, user: str, seed: Any, **options: Any) -> Client:
    def sign(nonce: str) -> bytes:
        return base64.b64encode(seed.sign(nonce.encode()))

    return await connect(server, user_jwt_cb=lambda: user.encode(), signature_cb=sign, **options)


def test_operator_mode(start_edge: Start, start_nats: Start) -> None:
    operator = Operator()
    a = operator.account("app")
    a.claims |= {"tags": ["t:1"], "revocations": {key("U", 9).public: 1_600_000_000}}
    a.claims["exports"] = [{"name": "e", "subject": "e.>", "type": "stream", "token_req": True}]
    people = [
        (a.user(1, "one", tags=["site:x"]), "signed"), (a.user(2, "two", bearer_token=True), "bearer"),
    ]  # fmt: skip
    names = {account.public: account.name for account in operator.accounts} | {key("U", 1).public: "U1", key("U", 2).public: "U2"}

    async def scene(server: Any) -> dict[str, Any]:
        nc = await by_jwt(server, operator.system.user(50, "sys"), key("U", 50))
        ask = asker(nc, nc._server_info["server_id"])
        clients = [await by_jwt(server, jwt, key("U", i), name=name) for i, (jwt, name) in enumerate(people, 1)]
        for client in clients:
            await client.subscribe("x")
            await client.flush()
        conns = await settled(
            lambda: ask("CONNZ", auth=True, acc=a.public),
            lambda found: all(conn["subscriptions"] == 1 for conn in found["connections"]),
        )
        found = {
            "conns": plain(conns),
            "subs": [sub["account_tag"] for sub in (await ask("SUBSZ", subscriptions=True, test="x"))["subscriptions_list"]],
            "info": account_detail(await ask("INFO", of=a.public)),
        }
        varz = await ask("VARZ")
        found["operators"] = varz["trusted_operators_jwt"], [claim["name"] for claim in varz["trusted_operators_claim"]]
        for client in clients:
            await client.close()
        gone = await settled(
            lambda: ask("CONNZ", state=1, auth=True, acc=a.public), lambda found: found["total"] == len(people)
        )
        found["gone"] = [(conn["authorized_user"], conn["name_tag"], conn.get("jwt")) for conn in gone["connections"]]
        await nc.close()
        decoded = found["info"].pop("decoded_jwt")
        found["claims"] = decoded["name"], decoded["nats"]["tags"]
        found["info"].pop("validation_result_jwt", None)
        return {name: json.loads(renamed(json.dumps(item))) for name, item in found.items()}

    def renamed(text: str) -> str:
        for public, name in names.items():
            text = text.replace(public, name)
        return text

    found = on_both(start_edge, start_nats, scene, operator.config())
    assert [conn.get("jwt") for conn in found["conns"]["connections"]] == [people[0][0], None]
    assert found["info"]["name_tag"] == "app"
