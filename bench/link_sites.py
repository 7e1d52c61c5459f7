"""The three ways from a site to its hub that are compared: servers, configurations, and how readings are published."""

import json
import shutil
import socket
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.load import BenchError
from bench.relay import Relay
from bench.servers import Contender, Cores, Server

PATIENCE_S = 20.0
CHUNK = 2000  # messages of a backlog between two PINGs
HUB = """
server_name: hub
jetstream { store_dir: "$STORE", domain: hub }
leafnodes { listen: "127.0.0.1:-1" %s }
"""
PETIOLE = """
server_name: site
jetstream { store_dir: "$STORE", domain: site }
leafnodes { reconnect: "1s", remotes: [ { url: "nats://127.0.0.1:%d" %s } ] }
uplink { TELEMETRY: { subjects: ["telemetry.>"], hub_domain: hub, hub_stream: TELEMETRY %s } }
"""
LEAF = """
server_name: site
jetstream { store_dir: "$STORE", domain: site }
leafnodes { reconnect: 1, remotes: [ { url: "nats://127.0.0.1:%d" %s } ] }
"""
TELEMETRY = {"name": "TELEMETRY", "subjects": ["telemetry.>"], "storage": "file"}
BATCHED = TELEMETRY | {"allow_batched": True}
SOURCED = {"name": "TELEMETRY", "storage": "file", "sources": [
    {"name": "TELEMETRY", "external": {"api": "$JS.site.API"}},
]}  # fmt: skip


class NatsClient:
    """The least that publishes and asks."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.send(b'CONNECT {"verbose":false,"headers":true}\r\nSUB _INBOX.bench.* 1\r\n')
        self.round_trip()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def round_trip(self) -> None:
        self.send(b"PING\r\n")
        while self._line() != b"PONG":
            pass

    def ask(self, subject: str, body: object = "") -> dict[str, Any]:
        """A request to the JetStream API; {} when nobody answers in a second."""
        payload = json.dumps(body).encode() if body else b""
        self.send(b"PUB %s _INBOX.bench.a %d\r\n%s\r\n" % (subject.encode(), len(payload), payload))
        self.socket.settimeout(1.0)
        try:
            while not (line := self._line()).startswith(b"MSG"):
                pass
            answer: dict[str, Any] = json.loads(self.file.read(int(line.split()[-1]) + 2))
            return answer
        except TimeoutError:
            self.file = self.socket.makefile("rb")
            return {}
        finally:
            self.socket.settimeout(PATIENCE_S)

    def _line(self) -> bytes:
        line = self.file.readline().rstrip()
        if line == b"PING":
            self.send(b"PONG\r\n")
        return line


class Site:
    """One way to the hub."""

    def __init__(self) -> None:
        self.stack = ExitStack()

    def publish(self, sensor: int, payload: bytes) -> None:
        raise NotImplementedError

    def fill(self, count: int, payload: bytes) -> None:
        """So many messages, kept at the site."""
        raise NotImplementedError

    def stored(self) -> int:
        """At the hub."""
        raise NotImplementedError

    def __enter__(self) -> "Site":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.close()


class NatsSite(Site):
    def __init__(
        self, folder: Path, cores: Cores, relay: Relay, contender: Contender, stream: dict[str, Any], listener: str = ""
    ) -> None:
        super().__init__()
        hub = self.stack.enter_context(Server(Contender("hub", False, HUB % listener), folder / "hub", cores.load))
        relay.target = int(hub.wait_for_log(r"Listening for leafnode connections on 127\.0\.0\.1:(\d+)"))
        self.edge = self.stack.enter_context(Server(contender, folder / "edge", cores.server))
        self.client, self.hub = NatsClient(self.edge.port), NatsClient(hub.port)
        if stream is SOURCED:
            self.answered(self.client, "$JS.API.STREAM.CREATE.TELEMETRY", TELEMETRY)
        self.answered(self.hub, "$JS.API.STREAM.CREATE.TELEMETRY", stream)

    def answered(self, client: NatsClient, subject: str, body: object) -> dict[str, Any]:
        answer = client.ask(subject, body)
        if not answer or "error" in answer:
            raise BenchError(f"{subject}: {answer or 'no answer'}")
        return answer

    def publish(self, sensor: int, payload: bytes) -> None:
        self.client.send(b"PUB telemetry.site.s%02d.t %d\r\n%s\r\n" % (sensor, len(payload), payload))

    def fill(self, count: int, payload: bytes) -> None:
        line = b"PUB telemetry.site.s01.t %d\r\n%s\r\n" % (len(payload), payload)
        for first in range(0, count, CHUNK):
            self.client.send(line * min(CHUNK, count - first))
            self.client.round_trip()
        deadline = time.monotonic() + PATIENCE_S
        while self.messages(self.client) < count:
            if time.monotonic() > deadline:
                raise BenchError(f"the site keeps {self.messages(self.client)} of {count} messages")
            time.sleep(0.1)

    def stored(self) -> int:
        return self.messages(self.hub)

    def messages(self, client: NatsClient) -> int:
        answer = client.ask("$JS.API.STREAM.INFO.TELEMETRY")
        return int(answer["state"]["messages"]) if "state" in answer else 0


def petiole_site(folder: Path, cores: Cores, relay: Relay, uplink: str = "", remote: str = "") -> Site:
    """``uplink``, ``remote``: more options of theirs, each behind a comma."""
    return NatsSite(folder, cores, relay, Contender("edge", True, PETIOLE % (relay.port, remote, uplink)), BATCHED)


def sourced_site(folder: Path, cores: Cores, relay: Relay, both: str = "") -> Site:
    """``both``: more options of both sides of the link."""
    leaf = Contender("nats-server", False, LEAF % (relay.port, both))
    return NatsSite(folder, cores, relay, leaf, SOURCED, both)


class MosquittoSite(Site):
    """Two brokers with a bridge, and paho to publish and to count."""

    def __init__(self, folder: Path, relay: Relay) -> None:
        super().__init__()
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if program is None:
            raise BenchError("no mosquitto: apt install mosquitto")
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as exc:
            raise BenchError("no paho: pip install paho-mqtt (it is in the extra [dev])") from exc
        relay.target = self._broker(program, folder / "hub", "")
        port = self._broker(
            program, folder / "site",
            f"connection hub\naddress 127.0.0.1:{relay.port}\ntopic telemetry/# out 1\ncleansession false\n"
            "bridge_protocol_version mqttv311\nnotifications false\ntry_private false\nrestart_timeout 1\n",
        )  # fmt: skip
        self.count = 0
        self.hub, self.client = Client(CallbackAPIVersion.VERSION2), Client(CallbackAPIVersion.VERSION2)
        self.hub.on_message = self._arrived
        for client, where in ((self.hub, relay.target), (self.client, port)):
            client.connect("127.0.0.1", where)
            client.loop_start()
            self.stack.callback(client.loop_stop)
            self.stack.callback(client.disconnect)
        subscribed = threading.Event()
        self.hub.on_subscribe = lambda *_: subscribed.set()
        self.hub.subscribe("telemetry/#", 1)
        if not subscribed.wait(PATIENCE_S):
            raise BenchError("mosquitto does not answer a subscription")

    def _broker(self, program: str, folder: Path, more: str) -> int:
        folder.mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        config = folder / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n{more}")
        process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        wait_for_listener(port)
        return port

    def _arrived(self, *_: object) -> None:
        self.count += 1

    def publish(self, sensor: int, payload: bytes) -> None:
        self.client.publish(f"telemetry/site/s{sensor:02}/t", payload, qos=1)

    def stored(self) -> int:
        return self.count


def mosquitto_site(folder: Path, cores: Cores, relay: Relay) -> Site:
    return MosquittoSite(folder, relay)


def wait_for_listener(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError as exc:
            if time.monotonic() > deadline:
                raise BenchError(f"nothing listens on port {port}") from exc
            time.sleep(0.02)
