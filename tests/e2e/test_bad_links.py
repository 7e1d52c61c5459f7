"""Lines that are bad in every way there is, and hubs that will not: what was produced is at a real hub once, and those
who talk to the edge notice nothing."""

import asyncio
import base64
import json
import random
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import nats
import pytest
from nats.js.api import StreamConfig

from bench.bad_line import GOOD, Modem, Quality, State
from hub.ledger import Account, balance
from hub.streams import stored_messages

PATIENCE = 90.0  # the machine may be busy
LEAK = 45.0  # MB more than before: caches take half of that, and what cannot be sent would be more
FLOOD = 80  # MB of what nobody keeps
DEDUPE_S = 0.1  # for so long the hub knows what it has got
PARTITION_S = 0.5

HUB = """
server_name: hub
listen: 127.0.0.1:-1
max_payload: 256KB
jetstream {{ store_dir: "{folder}", domain: hub, sync_interval: always }}
leafnodes {{ listen: 127.0.0.1:-1 }}
websocket {{ listen: "127.0.0.1:-1", no_tls: true }}
no_auth_user: main
accounts {{
  MAIN {{ jetstream: enabled, mappings {{ "telemetry.refused.stale": "stale" }}, users: [
    {{ user: main, password: x }}
    {{ user: narrow, password: x, permissions: {{ publish: {{ deny: ["telemetry.refused.secret"] }} }} }}
  ] }}
  SMALL {{ jetstream {{ max_file: 100KB }}, users: [ {{ user: small, password: x }} ] }}
  $SYS {{ users: [ {{ user: system, password: x }} ] }}
}}
"""
EDGE = """
listen: 127.0.0.1:-1
server_name: {name}
jetstream {{ store_dir: "{folder}", domain: {name} }}
leafnodes {{ reconnect: "0.1s", remotes: [ {{
  urls: ["{scheme}://{user}:x@127.0.0.1:{port}"], ignore_discovered_servers: true, no_randomize: true
}} ] }}
uplink {{ {name}: {{ subjects: ["telemetry.{name}.>"], hub_domain: hub {uplink} }} }}
{more}
"""
ALONE = 'listen: 127.0.0.1:-1\nserver_name: alone\njetstream {{ store_dir: "{folder}", domain: alone }}'


class Hub:
    def __init__(self, server: Any) -> None:
        self.server = server
        self.leaf_port = server.ports["leafnode"]
        self.web_port = server.ports["websocket"]

    def do(self, what: Callable[[Any], Awaitable[Any]], user: str = "main") -> Any:
        """``what(client)``."""

        async def do() -> Any:
            client = await nats.connect(self.server.url, user=user, password="x", connect_timeout=10)
            try:
                return await what(client)
            finally:
                await client.close()

        return asyncio.run(do())

    def add_stream(self, name: str, user: str = "main", **more: Any) -> None:
        subjects = more.pop("subjects", [f"telemetry.{name}.>"])
        config = StreamConfig(name=name, subjects=subjects, duplicate_window=DEDUPE_S, **more)
        self.do(lambda client: client.jetstream().add_stream(config), user)

    def update_stream(self, name: str, **changes: Any) -> None:
        async def update(client: Any) -> None:
            js = client.jetstream()
            await js.update_stream((await js.stream_info(name)).config.evolve(**changes))

        self.do(update)

    def count(self, name: str, user: str = "main") -> int:
        return int(self.do(lambda client: client.jetstream().stream_info(name), user).state.messages)

    def stored(self, name: str, user: str = "main") -> list[int]:
        found = self.do(lambda client: stored_messages(client, name), user)
        return [int(payload) for _, payload in found]


class Heard(NamedTuple):
    """What clients of one edge hear of each other."""

    messages: bytes
    acks: list[tuple[int, int]]  # of which publish, and how many are stored by then


class Site:
    """An edge behind a line of its own; its uplink and the hub's stream have its name."""

    def __init__(
        self, start_edge: Any, hub: Hub, folder: Path, name: str, *, user: str = "main", scheme: str = "nats-leaf",
        uplink: str = "", more: str = "", state: State = State.OPEN, quality: Quality = GOOD,
    ) -> None:  # fmt: skip
        self.name = name
        self.hub = hub
        self.user = user
        self.modem = Modem([hub.web_port if scheme == "ws" else hub.leaf_port])
        self.modem.become(state, quality)
        self.produced = 0
        self.edge = start_edge(
            EDGE.format(
                name=name, folder=folder / name, scheme=scheme, user=user, port=self.modem.ports[0], uplink=uplink, more=more
            ),
            name,
        )

    def publish(self, count: int, pad: int = 0, device: str = "") -> None:
        """Readings 1, 2, 3 ... until each is on disk at the edge."""
        wire = _login(self.edge)
        wire.send(b"SUB acks 1\r\n")
        for _ in range(count):
            self.produced += 1
            body = str(self.produced).encode().zfill(pad)
            subject = f"telemetry.{self.name}.{device or self.produced % 3}".encode()
            wire.send(b"PUB %b acks %d\r\n%b\r\n" % (subject, len(body), body))
        for _ in range(count):
            wire.expect(rb'MSG acks 1 \d+\r\n\{"stream":"[^"]*",[^\n]*\}\r\n')
        wire.close()

    def request(self, subject: str, payload: bytes = b"") -> dict[str, Any]:
        wire = _login(self.edge)
        wire.send(b"SUB answer 1\r\nPUB %b answer %d\r\n%b\r\n" % (subject.encode(), len(payload), payload))
        answer = wire.expect(rb"MSG answer 1 \d+\r\n\{.*?\}\r\n")
        wire.close()
        return dict(json.loads(answer.partition(b"\r\n")[2]))

    def status(self) -> dict[str, Any]:
        status = self.request(f"petiole.{self.name}.status")
        return dict(status["uplinks"][self.name]) | {"connected": status["leaf"]["connected"]}

    def await_status(self, **wanted: object) -> None:
        _await(lambda: wanted.items() <= self.status().items(), lambda: f"{wanted}, and it is {self.status()}")

    def await_at_hub(self, count: int) -> None:
        _await(lambda: self.hub.count(self.name, self.user) >= count, lambda: f"{count} are at the hub: {self.status()}")

    def account(self) -> Account:
        """Once nothing waits here any more: produced, stored, missing, duplicate."""
        self.await_status(backlog_messages=0)
        return balance({self.name: self.produced}, [(self.name, n) for n in self.hub.stored(self.name, self.user)])

    def flood(self, subject: bytes) -> None:
        """Messages that no stream takes, and that compression makes no smaller."""
        wire = _login(self.edge)
        noise = random.Random(1).randbytes(1_000_000)
        megabyte = b"".join(b"PUB %b 8000\r\n%b\r\n" % (subject, noise[i : i + 8000]) for i in range(0, len(noise), 8000))
        for _ in range(FLOOD):
            wire.send(megabyte)
        wire.send(b"PING\r\n")
        wire.expect(b"PONG\r\n")
        wire.close()

    def rss_mb(self) -> float:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.edge.process.pid}/status").read_text())
        assert found
        return int(found.group(1)) / 1024


def _login(server: Any) -> Any:
    wire = server.wire()
    wire.login()
    return wire


def _await(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what()}"
        time.sleep(0.05)


def talk(server: Any) -> Heard:
    """Publishers, subscribers and a stream, all at the edge."""
    listener, speaker = _login(server), _login(server)
    here = server.config.stem.encode()  # other edges of the account hear it, and what they store is acknowledged too
    config = b'{"name":"KEPT","subjects":["kept.%b.>"],"retention":"limits","storage":"file"}' % here
    speaker.send(b"SUB made 1\r\nPUB $JS.API.STREAM.CREATE.KEPT made %d\r\n%b\r\n" % (len(config), config))
    made = speaker.expect(rb"MSG made 1 \d+\r\n\{.*?\}\r\n")
    before = json.loads(made.partition(b"\r\n")[2])["state"]["last_seq"]
    listener.send(b"SUB local.> 1\r\nSUB local.* few 2\r\nPING\r\n")
    listener.expect(b"PONG\r\n")
    speaker.send(b"".join(b"PUB local.%d 4\r\n%04d\r\n" % (i % 7, i) for i in range(1000)) + b"PUB local.the.end 0\r\n\r\n")
    messages = listener.expect(rb".*?MSG local\.the\.end 1 0\r\n\r\n")
    speaker.send(b"SUB acks.* 2\r\n" + b"".join(b"PUB kept.%b.%d acks.%d 1\r\n.\r\n" % (here, i % 7, i) for i in range(200)))
    acks = []
    for _ in range(200):
        ack = re.match(rb"MSG acks\.(\d+) .*\r\n(.*)\r\n", speaker.expect(rb"MSG acks\.\d+ 2 \d+\r\n\{[^\n]*\}\r\n"))
        assert ack
        acks.append((int(ack.group(1)), int(json.loads(ack.group(2))["seq"]) - before))
    listener.close()
    speaker.close()
    return Heard(messages, acks)


@pytest.fixture(scope="module")
def hub(module_servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Hub:
    return Hub(module_servers[1](HUB.format(folder=tmp_path_factory.mktemp("hub")), "hub"))


@pytest.fixture(scope="module")
def calm(module_servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """What is heard at an edge that has no link."""
    heard = talk(module_servers[0](ALONE.format(folder=tmp_path_factory.mktemp("alone")), "alone"))
    assert heard.messages.count(b"MSG") == 2001 and heard.acks == [(i, i + 1) for i in range(200)]
    return heard


@pytest.fixture
def make_site(start_edge: Any, hub: Hub, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(name: str, **options: Any) -> Site:
        sites.append(Site(start_edge, hub, tmp_path, name, **options))
        return sites[-1]

    yield make
    for site in sites:
        site.modem.close()


# ---- lines


def test_far_lossy_and_slow_lines(make_site: Any, hub: Hub, calm: Heard) -> None:
    qualities = {
        "far": Quality(latency_s=2.0),
        "lossy": Quality(latency_s=0.05, loss=0.1),
        "slow": Quality(latency_s=0.1, bytes_per_s=8000),
    }
    sites = []
    for name in qualities:
        hub.add_stream(name)
        sites.append(make_site(name))
    for site in sites:
        site.await_status(connected=True, state="live")
        site.modem.become(State.OPEN, qualities[site.name])
    for site, count in zip(sites, (8, 300, 60), strict=True):
        site.publish(count)
        assert talk(site.edge) == calm
    for site in sites:
        assert site.account().balances()
        assert site.modem.accepted == 1  # a line that is bad is no reason to dial again


def test_a_flood_on_a_slow_line_is_not_kept_in_memory_and_delays_nothing_that_is_kept(make_site: Any, hub: Hub, calm: Heard) -> None:
    hub.add_stream("flooded")
    curious = _login(hub.server)
    curious.send(b"SUB plain.> 1\r\nPING\r\n")
    curious.expect(b"PONG\r\n")
    site = make_site("flooded", uplink=", max_bytes: 64MB", quality=Quality(latency_s=0.05, bytes_per_s=16_000))
    site.publish(10)
    site.await_at_hub(10)
    before = site.rss_mb()
    site.flood(b"plain.x")
    site.publish(1)
    site.await_at_hub(11)  # the flood alone would take an hour
    site.publish(1500, pad=4000)
    assert talk(site.edge) == calm
    assert site.rss_mb() < before + LEAK
    site.edge.wait_for_log("too slow for what is published: messages without a stream are dropped")
    site.modem.become(State.OPEN, GOOD)
    assert site.account().balances()


def test_silence_of_every_kind(make_site: Any, hub: Hub, calm: Heard) -> None:
    curious = _login(hub.server)
    curious.send(b"SUB plain.> 1\r\nPING\r\n")
    curious.expect(b"PONG\r\n")
    for name in ("gone", "deaf", "mute"):
        hub.add_stream(name)
    mute = make_site("mute", state=State.MUTE)  # accepts, and never says anything
    gone = make_site("gone", more='ping_interval: "0.5s"')
    deaf = make_site("deaf")
    for site in (gone, deaf):
        site.publish(50)
        site.await_at_hub(50)
    deaf.await_status(backlog_messages=0)
    before = gone.rss_mb()
    gone.modem.lose()  # nobody is told, on either side
    deaf.modem.become(State.DEAF)  # what goes up arrives, and no answer comes
    gone.flood(b"plain.x")
    for site in (gone, deaf, mute):
        site.publish(200)
        assert talk(site.edge) == calm
    assert gone.rss_mb() < before + LEAK
    mute.edge.wait_for_log("no INFO: is this the leaf port of a nats-server?")
    gone.edge.wait_for_log("the other side does not answer")
    deaf.await_at_hub(51)
    deaf.await_status(state="blocked", acked_seq=50)
    time.sleep(PARTITION_S)
    mute.modem.become(State.OPEN)
    deaf.modem.become(State.OPEN)
    for site in (gone, deaf, mute):
        assert site.account().balances()
    assert gone.modem.accepted == 2


def test_a_line_that_flaps(make_site: Any, hub: Hub, calm: Heard) -> None:
    rng = random.Random(1)
    hub.add_stream("flaps")
    site = make_site("flaps")
    for _ in range(6):
        site.publish(80)
        site.modem.become(State.CUT)
        site.edge.process.send_signal(signal.SIGHUP)  # the same configuration again: nothing is made anew
        assert talk(site.edge) == calm
        site.modem.become(State.OPEN)
        time.sleep(rng.uniform(0.0, 0.6))
    assert site.account().balances()

    async def ask(client: Any) -> Any:
        return await client.request("petiole.flaps.status", timeout=10)

    site.await_status(connected=True)
    assert json.loads(hub.do(ask).data)["uplinks"]["flaps"]["acked_seq"] == site.produced  # the way down lives, too


PAGES = (
    b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/login\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + b"<p>Welcome to the hotel!</p>" * 400_000,
    b"HTTP/1.1 511 Network Authentication Required\r\n" + b"X-More: and more\r\n" * 400_000,
)


def test_a_portal_that_wants_a_login(make_site: Any, hub: Hub, calm: Heard) -> None:
    sites = {"nats-leaf": "is there a portal that wants a login?", "ws": "WebSocket refused: 302 Found"}
    found = []
    for scheme in sites:
        hub.add_stream(f"portal-{scheme}")
        found.append(make_site(f"portal-{scheme}", scheme=scheme, state=State.PORTAL))
        found[-1].publish(50)
    before = [site.rss_mb() for site in found]
    for page in PAGES:
        for site in found:
            site.modem.become(State.PORTAL, page=page)
        seen = [site.modem.accepted for site in found]
        for site, count in zip(found, seen, strict=True):
            _await(lambda site=site, count=count: site.modem.accepted > count + 1, lambda: "it is dialled again")
    for site, said, size in zip(found, sites.values(), before, strict=True):
        site.edge.wait_for_log(said)
        assert talk(site.edge) == calm
        assert site.rss_mb() < size + LEAK
        site.modem.become(State.OPEN)
    for site in found:
        assert site.account().balances()


# ---- hubs that will not


def test_a_hub_without_patience_for_a_far_line(start_edge: Any, start_nats: Any, tmp_path: Path) -> None:
    config = HUB.format(folder=tmp_path / "hub").replace("-1 }\nweb", "-1, authorization { timeout: 0.2 } }\nweb")
    hub = Hub(start_nats(config, "hub"))
    hub.add_stream("hasty")
    site = Site(start_edge, hub, tmp_path, "hasty", quality=Quality(latency_s=0.2))
    try:
        site.publish(10)
        site.edge.wait_for_log("Authentication Timeout (a line as slow as this needs")
        site.modem.become(State.OPEN, GOOD)
        assert site.account().balances()
    finally:
        site.modem.close()


def test_what_a_hub_will_never_take_stands_in_the_way_of_nothing(make_site: Any, hub: Hub, calm: Heard) -> None:
    hub.add_stream("refused", max_msg_size=20_000)
    wary = _login(hub.server)  # gets what is sent to one subject before the stream does, and refuses it in its words
    wary.send(b"SUB stale 1\r\nPING\r\n")
    wary.expect(b"PONG\r\n")
    site = make_site("refused", user="narrow")
    site.publish(20)
    wire = _login(site.edge)
    wire.send(b"SUB acks 1\r\n")
    for device, size in ((b"secret", 1), (b"large", 30_000), (b"enormous", 300_000), (b"stale", 1)):
        wire.send(b"PUB telemetry.refused.%b acks %d\r\n%b\r\n" % (device, size, b"1" * size))
        wire.expect(rb'MSG acks 1 \d+\r\n\{"stream":"refused",[^\n]*\}\r\n')
    site.publish(20)
    assert talk(site.edge) == calm
    site.await_at_hub(site.produced)
    refusal = b'{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"},"stream":"refused","seq":0}'
    wary.socket.settimeout(0.1)

    def is_refused() -> bool:
        """One that comes too late is asked for again."""
        with suppress(TimeoutError):
            wary.received = wary.socket.recv(65536)
        for reply in re.findall(rb"HMSG stale 1 (\S+) ", wary.received):
            wary.send(b"PUB %b %d\r\n%b\r\n" % (reply, len(refusal), refusal))
        wary.received = b""
        return bool(site.status()["dead"] == 4)

    _await(is_refused, lambda: f"all are refused: {site.status()}")
    assert site.account().balances()
    letters = [site.request("$JS.API.STREAM.MSG.GET.refused_DEAD", b'{"seq":%d}' % seq)["message"] for seq in (1, 2, 3, 4)]
    reasons = {letter["subject"].rpartition(".")[2]: base64.b64decode(letter["hdrs"]) for letter in letters}
    assert b'does not permit this edge to publish to "telemetry.refused.secret"' in reasons["secret"]
    assert b"max_payload of 262144" in reasons["enormous"]
    assert b"max_msg_size of 20000" in reasons["large"]
    assert b"wrong last sequence: 7" in reasons["stale"]


def test_what_a_hub_will_not_take_now_is_kept_until_it_does(make_site: Any, hub: Hub, calm: Heard) -> None:
    hub.add_stream("full", max_msgs=20, discard="new")
    hub.add_stream("sealed")
    hub.update_stream("sealed", sealed=True)
    hub.add_stream("quota", user="small")
    hub.add_stream("BALLAST", user="small", subjects=["ballast"])
    hub.do(lambda client: client.jetstream().publish("ballast", b"0" * 97_000), "small")
    sites = [make_site("full"), make_site("sealed"), make_site("quota", user="small")]
    for site in sites:
        site.publish(60)
    for site, said in zip(sites, ("maximum messages", "sealed stream", "resource limits exceeded for account"), strict=True):
        site.edge.wait_for_log(said)
        assert talk(site.edge) == calm
    hub.update_stream("full", max_msgs=-1)
    hub.do(lambda client: client.jetstream().delete_stream("sealed"))
    hub.add_stream("sealed")
    hub.do(lambda client: client.jetstream().delete_stream("BALLAST"), "small")
    for site in sites:
        assert site.account().balances()
        assert site.status()["dead"] == 0


# ---- backlogs


def test_a_backlog_that_was_full_takes_again_what_comes(make_site: Any, hub: Hub) -> None:
    hub.add_stream("brim")
    site = make_site("brim", uplink=", max_bytes: 64KB, discard: new", state=State.CUT)
    wire = _login(site.edge)
    wire.send(b"SUB acks 1\r\n")
    while True:
        body = str(site.produced + 1).encode().zfill(1000)
        wire.send(b"PUB telemetry.brim.d acks %d\r\n%b\r\n" % (len(body), body))
        if b'"error"' in wire.expect(rb"MSG acks 1 \d+\r\n\{[^\n]*\}\r\n"):
            break
        site.produced += 1
    assert site.produced > 30
    site.modem.become(State.OPEN)
    site.await_status(backlog_messages=0)
    site.publish(20)
    assert site.account().balances()


def test_live_values_and_alarms_overtake_a_backlog_on_a_slow_line(make_site: Any, hub: Hub, calm: Heard) -> None:
    hub.add_stream("behind")
    hub.add_stream("ALARMS", subjects=["alarm.>"])
    alarms = '}, ALARMS: { subjects: ["alarm.>"], hub_domain: hub, lane: urgent'
    site = make_site("behind", uplink=alarms, state=State.CUT)
    site.publish(1500, pad=100)
    time.sleep(1.2)  # until nothing of that is fresh
    site.modem.become(State.OPEN, Quality(latency_s=0.05, bytes_per_s=16_000))
    site.await_at_hub(100)
    site.publish(1, device="live")
    wire = _login(site.edge)
    wire.send(b"PUB alarm.fire 4\r\nfire\r\n")
    _await(lambda: hub.count("ALARMS") == 1, lambda: "the alarm is at the hub")

    async def arrived(client: Any) -> dict[str, int]:
        state = await client.jetstream().stream_info("behind", subjects_filter="telemetry.behind.live")
        return dict(state.state.subjects or {})

    _await(lambda: bool(hub.do(arrived)), lambda: "the live value is at the hub")
    assert hub.count("behind") < site.produced, "they came behind the backlog"
    assert talk(site.edge) == calm
    site.modem.become(State.OPEN, GOOD)
    assert site.account().balances()
