"""MQTT on live servers: raw transcripts on the edge and on nats-server, paho and mosquitto as their users have them,
and SIGKILL between the commit of a message and its PUBACK."""

import base64
import json
import random
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.protocol.mqtt import (
    FAILURE,
    FROM_SERVER,
    Ack,
    Connack,
    Connect,
    Kind,
    Packet,
    Parser,
    Publish,
    Signal,
    Suback,
    Subscribe,
    Unsubscribe,
    Will,
    encode,
)
from edge.protocol.mqtt_topics import topic_to_subject

PATIENCE = 60.0
CONFIG = """
server_name: mq
listen: 127.0.0.1:-1
jetstream {{ store_dir: "{folder}" }}
mqtt {{ listen: 127.0.0.1:{port} }}
"""
needs_mosquitto = pytest.mark.skipif(not shutil.which("mosquitto_pub"), reason="mosquitto-clients is not installed")


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Device:
    """A raw MQTT client."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.parser = Parser(FROM_SERVER)
        self.heard: list[Packet] = []

    def send(self, *packets: Packet) -> None:
        self.socket.sendall(b"".join(map(encode, packets)))

    def next(self) -> Packet | None:
        """None when the server has closed the connection."""
        while not self.heard:
            try:
                chunk = self.socket.recv(65536)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                return None
            self.heard += self.parser.receive_data(chunk)
        return self.heard.pop(0)

    def expect(self, *packets: Packet) -> None:
        assert [self.next() for _ in packets] == list(packets)

    def expect_nothing(self) -> None:
        """What is asked last is answered next."""
        self.send(Signal(Kind.PINGREQ))
        self.expect(Signal(Kind.PINGRESP))

    def close(self) -> None:
        self.socket.close()


class Site:
    """A server with an MQTT port."""

    def __init__(self, server: Any, port: int) -> None:
        self.server = server
        self.port = port
        self.devices: list[Device] = []

    def open(self, port: int = 0) -> Device:
        self.devices.append(Device(port or self.port))
        return self.devices[-1]

    def connect(self, client_id: str = "c", present: bool = False, port: int = 0, **fields: Any) -> Device:
        device = self.open(port)
        device.send(Connect(client_id, **fields))
        device.expect(Connack(present, 0))
        return device

    def wire(self) -> Any:
        wire = self.server.wire()
        wire.login()
        return wire

    def api(self, request: str, body: dict[str, Any]) -> Any:
        """A JetStream request and its answer."""
        wire, data = self.wire(), json.dumps(body)
        wire.send(f"SUB in 1\r\nPUB $JS.API.{request} in {len(data)}\r\n{data}\r\n".encode())
        head = wire.expect(rb"MSG in 1 (\d+)\r\n")
        answer = json.loads(wire.expect(rb".{%d}" % int(head.split()[-1])))
        wire.close()
        assert "error" not in answer, answer
        return answer

    def make_stream(self, name: str, *subjects: str, **config: Any) -> None:
        self.api(f"STREAM.CREATE.{name}", {"name": name, "subjects": subjects, **config})

    def messages(self, name: str) -> int:
        return int(self.api(f"STREAM.INFO.{name}", {})["state"]["messages"])

    def wait_for_messages(self, name: str, count: int) -> None:
        wait_until(lambda: self.messages(name) >= count)


@pytest.fixture
def make_site(
    tmp_path: Path, free_port: Callable[[], int], start_edge: Callable[..., Any]
) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(start: Callable[..., Any] = start_edge, more: str = "") -> Site:
        port = free_port()
        sites.append(Site(start(CONFIG.format(folder=tmp_path / "store", port=port) + more), port))
        return sites[-1]

    yield make
    for site in sites:
        for device in site.devices:
            device.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def either_site(make_site: Callable[..., Site], either: Callable[..., Any]) -> Site:
    """The same on our server and on the real one."""
    return make_site(either)


def leave(device: Device) -> None:
    device.send(Signal(Kind.DISCONNECT))
    assert device.next() is None


# ---- as nats-server


def test_nats_clients_see_what_mqtt_clients_publish(either_site: Site) -> None:
    wire = either_site.wire()
    wire.send(b"SUB a.> 1\r\nPING\r\n")
    wire.expect(rb"PONG\r\n")
    device = either_site.connect()
    device.send(Publish("a/b.c", b"\0\xff"), Publish("a/q", b"one", 1, packet_id=7))
    wire.expect(rb"HMSG a\.b//c 1 25 27\r\nNATS/1.0\r\nNmqtt-Pub:0\r\n\r\n\x00\xff\r\n")
    wire.expect(rb"HMSG a\.q 1 25 28\r\nNATS/1.0\r\nNmqtt-Pub:1\r\n\r\none\r\n")
    device.expect(Ack(Kind.PUBACK, 7))


def test_mqtt_clients_see_what_nats_clients_publish(either_site: Site) -> None:
    device = either_site.connect()
    device.send(Subscribe(1, (("n/#", 1),)))
    device.expect(Suback(1, (1,)))
    wire = either_site.wire()
    headers = b"NATS/1.0\r\nA: b\r\n\r\n"
    wire.send(b"PUB n.k//l./ 3\r\n\0\r\n\r\nHPUB n r %d %d\r\n%bx\r\n" % (len(headers), len(headers) + 1, headers))
    device.expect(Publish("n/k.l/", b"\0\r\n"), Publish("n", b"x"))


def test_topics_map_as_the_real_one_maps_them(either_site: Site) -> None:
    rng = random.Random(20_260_801)
    wire = either_site.wire()
    wire.send(b"SUB t.> 1\r\nPING\r\n")
    wire.expect(rb"PONG\r\n")
    device = either_site.connect()
    device.send(Subscribe(1, (("t/#", 0),)))
    device.expect(Suback(1, (0,)))
    for _ in range(150):
        topic = "t/" + "".join(rng.choices("ab//..é$*", k=rng.randint(0, 7)))
        device.send(Publish(topic, b"x"))
        device.expect(Publish(topic, b"x"))
        head = wire.expect(rb"HMSG (\S+) 1 25 26\r\nNATS/1.0\r\nNmqtt-Pub:0\r\n\r\nx\r\n")
        assert head.split()[1].decode() == topic_to_subject(topic)


@pytest.mark.parametrize(
    "packets",
    [
        [Connect("c"), Connect("c")],
        [Signal(Kind.PINGREQ)],
        [Connect("c"), Publish("a/+", b"x")],
        [Connect("c"), Publish("", b"x")],
        [Connect("c"), Publish("a b", b"x")],
        [Connect("c"), Publish("a", b"x", 1)],
        [Connect("c"), Subscribe(1, (("", 0),))],
        [Connect("", False)],
        [Connect("c", password=b"without a user")],
    ],
)
def test_violations_close(either_site: Site, packets: list[Packet]) -> None:
    device = either_site.open()
    device.send(*packets)
    while device.next() is not None:
        pass


def test_subscribe_answers(either_site: Site) -> None:
    device = either_site.connect()
    device.send(Subscribe(9, (("a/#/b", 0), ("a/b", 0), ("+/x/#", 1), ("a b", 1))))
    device.expect(Suback(9, (FAILURE, 0, 1, FAILURE)))
    device.send(Unsubscribe(10, ("a/b", "unknown")), Signal(Kind.PINGREQ))
    device.expect(Ack(Kind.UNSUBACK, 10), Signal(Kind.PINGRESP))


def test_multi_level_wildcard_matches_its_parent(either_site: Site) -> None:
    device = either_site.connect()
    device.send(Subscribe(1, (("foo/#", 0),)))
    device.expect(Suback(1, (0,)))
    for topic in ("foo", "foo/", "foo/a/b"):
        device.send(Publish(topic, b"x"))
        device.expect(Publish(topic, b"x"))
    device.send(Publish("fooo", b"x"))
    device.expect_nothing()


def test_wills(either_site: Site) -> None:
    watcher = either_site.connect("watcher")
    watcher.send(Subscribe(1, (("will/#", 0),)))
    watcher.expect(Suback(1, (0,)))
    either_site.connect("fails", will=Will("will/1", b"first", 0, False)).close()
    watcher.expect(Publish("will/1", b"first"))
    leaves = either_site.connect("leaves", will=Will("will/2", b"second", 0, False))
    leave(leaves)
    watcher.expect_nothing()


def test_a_taken_identifier(either_site: Site) -> None:
    first = either_site.connect("twin")
    second = either_site.connect("twin")
    assert first.next() is None
    second.expect_nothing()


def test_a_taken_identifier_brings_the_will(site: Site) -> None:
    """As the standard has it [MQTT-3.1.2-8]; nats-server 2.15.1 keeps silent here."""
    watcher = site.connect("watcher")
    watcher.send(Subscribe(1, (("will", 0),)))
    watcher.expect(Suback(1, (0,)))
    site.connect("twin", will=Will("will", b"first", 0, False))
    site.connect("twin")
    watcher.expect(Publish("will", b"first"))


def test_retained_through_a_restart(either_site: Site) -> None:
    device = either_site.connect()
    device.send(
        Publish("r/a", b"A", 1, retain=True, packet_id=1),
        Publish("r/b", b"B", 1, retain=True, packet_id=2),
        Publish("r/a", b"", 1, retain=True, packet_id=3),
    )
    device.expect(*[Ack(Kind.PUBACK, n) for n in (1, 2, 3)])
    device.close()
    either_site.server.kill()
    either_site.server.start()
    device = either_site.connect()
    device.send(Subscribe(1, (("r/#", 1),)))
    device.expect(Suback(1, (1,)), Publish("r/b", b"B", 1, True, packet_id=1))


def test_a_persistent_session_through_a_restart(either_site: Site) -> None:
    device = either_site.connect("keeper", clean=False)
    device.send(Subscribe(1, (("p/+", 1), ("gone", 1))), Unsubscribe(2, ("gone",)))
    device.expect(Suback(1, (1, 1)), Ack(Kind.UNSUBACK, 2))
    device.close()
    either_site.server.kill()
    either_site.server.start()
    device = either_site.connect("keeper", present=True, clean=False)
    device.send(Publish("gone", b""), Publish("p/x", b"x", 1, packet_id=3))
    heard = {device.next(), device.next()}
    assert heard == {Ack(Kind.PUBACK, 3), Publish("p/x", b"x", 1, packet_id=1)}
    leave(device)
    leave(either_site.connect("keeper", clean=True))
    either_site.connect("keeper", clean=False)


def test_credentials(make_site: Callable[..., Site], either: Callable[..., Any]) -> None:
    site = make_site(either, 'authorization { user: "u", password: "secret" }')
    for fields in ({}, {"user": "u"}, {"user": "u", "password": b"wrong"}):
        device = site.open()
        device.send(Connect("c", **fields))
        device.expect(Connack(False, 5))
        assert device.next() is None
    site.connect(user="u", password=b"secret")


# ---- streams: PUBACK after the commit, and nothing twice


def test_a_full_stream_is_not_acknowledged(site: Site) -> None:
    site.make_stream("T", "t.>", max_msgs=1, discard="new")
    device = site.connect()
    device.send(Publish("t/1", b"kept", 1, packet_id=1), Publish("t/2", b"refused", 1, packet_id=2))
    device.expect(Ack(Kind.PUBACK, 1))
    assert device.next() is None
    site.server.wait_for_log("the stream did not take packet 2")
    assert site.messages("T") == 1


def test_qos_0_is_captured_too(site: Site) -> None:
    site.make_stream("T", "t.>")
    device = site.connect()
    device.send(*[Publish("t/1", b"%d" % i) for i in range(10)])
    site.wait_for_messages("T", 10)


class Swallower:
    """A proxy that passes on what the device says and, while ``swallows``, nothing of what it is told."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.swallows = False
        self.swallowed = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.ends: list[socket.socket] = [self.listener]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self.target))
            self.ends += here, there
            for source, sink, is_down in ((here, there, False), (there, here, True)):
                thread = threading.Thread(target=self._pass, args=(source, sink, is_down), daemon=True)
                self.threads.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_down: bool) -> None:
        try:
            while chunk := source.recv(65536):
                if is_down and self.swallows:
                    self.swallowed.set()
                else:
                    sink.sendall(chunk)
        except OSError:
            pass
        for end in (source, sink):
            _end(end)

    def close(self) -> None:
        for end in self.ends:
            _end(end)
        for thread in self.threads:
            thread.join(PATIENCE)


def _end(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()


@pytest.fixture
def swallower(site: Site) -> Iterator[Swallower]:
    proxy = Swallower(site.port)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("power_cut", [False, True])
def test_a_lost_puback_stores_nothing_twice(site: Site, swallower: Swallower, clean: bool, power_cut: bool) -> None:
    site.make_stream("T", "t.>")
    device = site.connect("sensor", clean=clean, port=swallower.port)
    device.send(Publish("t/1", b"21.5", 1, packet_id=1))
    device.expect(Ack(Kind.PUBACK, 1))
    swallower.swallows = True
    lost = [Publish("t/1", b"21.5", 1, packet_id=n) for n in (2, 3, 4)]
    device.send(*lost)
    site.wait_for_messages("T", 4)
    assert swallower.swallowed.wait(PATIENCE)
    if power_cut:
        site.server.kill()
        site.server.start()
    device.close()
    back = site.connect("sensor", present=not clean, clean=clean)
    back.send(*[message._replace(dup=True) for message in lost])
    back.expect(*[Ack(Kind.PUBACK, n) for n in (2, 3, 4)])
    assert site.messages("T") == 4
    # The same reading under the same packet id is another message when it is sent for the first time,
    back.send(lost[2])
    back.expect(Ack(Kind.PUBACK, 4))
    assert site.messages("T") == 5
    # and so is one whose first sending never arrived.
    back.send(Publish("t/1", b"21.5", 1, dup=True, packet_id=5))
    back.expect(Ack(Kind.PUBACK, 5))
    assert site.messages("T") == 6


def test_a_repeat_is_known_after_the_row_is_gone(site: Site, swallower: Swallower) -> None:
    """As when an uplink has carried it away: purged, then the power cut, then the sensor comes back."""
    site.make_stream("T", "t.>")
    device = site.connect("sensor", clean=False, port=swallower.port)
    swallower.swallows = True
    message = Publish("t/1", b"21.5", 1, packet_id=2)
    device.send(message)
    site.wait_for_messages("T", 1)
    assert swallower.swallowed.wait(PATIENCE)
    site.api("STREAM.PURGE.T", {})
    site.server.kill()
    site.server.start()
    back = site.connect("sensor", present=True, clean=False)
    back.send(message._replace(dup=True))
    back.expect(Ack(Kind.PUBACK, 2))
    assert site.messages("T") == 0


def test_kills_under_load_lose_nothing_and_store_nothing_twice(site: Site) -> None:
    """A device that sends again what is not acknowledged, as the standard asks, through five power cuts."""
    site.make_stream("T", "t.>")
    total, acked, sent, next_id = 600, 0, 0, 1
    flight: dict[int, Publish] = {}
    rng = random.Random(7)
    cuts = sorted(rng.sample(range(50, total - 50), 5))
    while acked < total:
        device = site.open()
        device.send(Connect("sensor", False))
        first = device.next()
        assert isinstance(first, Connack) and first.code == 0
        device.send(*[message._replace(dup=True) for message in flight.values()])
        while acked < total:
            while len(flight) < 20 and sent < total:
                message = Publish("t/1", b"%d" % sent, 1, packet_id=next_id)
                flight[next_id] = message
                device.send(message)
                sent, next_id = sent + 1, next_id % 65535 + 1
            if cuts and acked >= cuts[0]:
                cuts.pop(0)
                site.server.kill()
                site.server.start()
                device.close()
                break
            packet = device.next()
            assert isinstance(packet, Ack) and packet.packet_id == next(iter(flight)), "in order"
            del flight[packet.packet_id]
            acked += 1
    assert not cuts
    assert sorted(map(int, payloads(site, "T"))) == list(range(total))


def payloads(site: Site, stream: str) -> list[bytes]:
    last = site.api(f"STREAM.INFO.{stream}", {})["state"]["last_seq"]
    found = [site.api(f"STREAM.MSG.GET.{stream}", {"seq": seq})["message"] for seq in range(1, last + 1)]
    return [base64.b64decode(message["data"]) for message in found]


# ---- paho


class Paho:
    def __init__(self, port: int, client_id: str = "", clean: bool = True) -> None:
        self.connected = threading.Event()
        self.subscribed = threading.Event()
        self.heard: list[tuple[str, bytes, int, bool]] = []
        self.published = 0
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=clean)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda *args: self.connected.set()
        self.client.on_subscribe = lambda *args: self.subscribed.set()
        self.client.on_message = lambda client, data, m: self.heard.append((m.topic, m.payload, m.qos, m.retain))
        self.client.on_publish = self._on_publish
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.connected.wait(PATIENCE)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        self.subscribed.clear()
        self.client.subscribe(topic_filter, qos)
        assert self.subscribed.wait(PATIENCE)

    def _on_publish(self, *args: object) -> None:
        """After the PUBACK."""
        self.published += 1

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_paho(site: Site) -> None:
    site.make_stream("T", "t.>")
    reader, writer = Paho(site.port, "reader"), Paho(site.port, "writer")
    try:
        reader.subscribe("t/#", 1)
        payloads = [struct.pack(">I", i) for i in range(200)]
        for payload in payloads:
            info = writer.client.publish("t/x", payload, 1)
        info.wait_for_publish(PATIENCE)
        wait_until(lambda: len(reader.heard) >= 200)
        assert reader.heard == [("t/x", payload, 1, False) for payload in payloads]
        assert site.messages("T") == 200
        writer.client.publish("r", b"kept", 1, retain=True).wait_for_publish(PATIENCE)
        reader.subscribe("r", 0)
        wait_until(lambda: len(reader.heard) > 200)
        assert reader.heard[-1] == ("r", b"kept", 0, True)
    finally:
        reader.close()
        writer.close()


@pytest.mark.parametrize("clean", [False, True])
def test_paho_through_a_power_cut(site: Site, clean: bool) -> None:
    """The user's program does nothing about it; the library sends again what was not acknowledged."""
    site.make_stream("T", "t.>")
    writer = Paho(site.port, "writer", clean)
    try:
        for i in range(300):
            writer.client.publish("t/x", b"%d" % i, 1)
            if i == 100:
                site.wait_for_messages("T", 50)
                site.server.kill()
            if i == 200:
                site.server.start()
        wait_until(lambda: writer.published == 300)
    finally:
        writer.close()
    assert sorted(map(int, payloads(site, "T"))) == list(range(300))


# ---- mosquitto


def mosquitto(command: str, site: Site, *args: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(
        [f"mosquitto_{command}", "-h", "127.0.0.1", "-p", str(site.port), *args],
        input=stdin, capture_output=True, timeout=PATIENCE * 2,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_mosquitto
def test_mosquitto(site: Site) -> None:
    site.make_stream("T", "t.>")
    lines = b"".join(b"reading %d\n" % i for i in range(100))
    mosquitto("pub", site, "-t", "t/m", "-q", "1", "-l", stdin=lines)
    assert site.messages("T") == 100
    mosquitto("pub", site, "-t", "r/m", "-m", "kept", "-r", "-q", "1")
    assert mosquitto("sub", site, "-t", "r/#", "-C", "1", "-v") == b"r/m kept\n"


@needs_mosquitto
def test_mosquitto_sub_hears_nats_and_mqtt(site: Site) -> None:
    sub = subprocess.Popen(
        ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(site.port), "-t", "s/#", "-q", "1", "-C", "3", "-v"],
        stdout=subprocess.PIPE,
    )
    try:
        wire = site.wire()
        wire.send(b"SUB in 1\r\n")
        wait_until(lambda: is_heard(wire, b"s.nats"))
        mosquitto("pub", site, "-t", "s/zero", "-m", "0")
        mosquitto("pub", site, "-t", "s", "-m", "1", "-q", "1")
        out, _ = sub.communicate(timeout=PATIENCE)
    finally:
        if sub.poll() is None:
            sub.kill()
            sub.wait()
    assert out.splitlines() == [b"s/nats n", b"s/zero 0", b"s 1"]


def is_heard(wire: Any, subject: bytes) -> bool:
    """Publish there; was there somebody to hear it?"""
    wire.send(b"PUB %b in 1\r\nn\r\nPING\r\n" % subject)
    return b"503" not in wire.expect(rb"(HMSG in .*?503.*?)?PONG\r\n")


@needs_mosquitto
def test_the_same_reading_of_a_program_that_starts_anew(site: Site) -> None:
    """Each run begins with packet id 1: the same client, packet id, topic and payload, and yet three messages."""
    site.make_stream("T", "t.>")
    for _ in range(3):
        mosquitto("pub", site, "-i", "sensor", "-t", "t/m", "-m", "on", "-q", "1")
    assert site.messages("T") == 3
