"""Sourcing on the wire, to a hub that the test plays: what an edge says as the origin and as the sourcing side, line by
line, and what the real nats-server does in its place (reference: sourcing.md sections 1, 2 and 7)."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_leaf_transcripts import Played

Start = Callable[..., Any]
SECOND = 1_000_000_000
FLOW_REQUEST = b"NATS/1.0 100 FlowControl Request\r\n\r\n"
SOURCING: dict[str, Any] = {
    "deliver_policy": "all", "ack_policy": "none", "ack_wait": 79200 * SECOND, "max_deliver": 1, "replay_policy": "instant",
    "flow_control": True, "deliver_subject": "$JS.S.deliverX", "idle_heartbeat": SECOND, "inactive_threshold": 10 * SECOND,
    "num_replicas": 0, "direct": True, "sourcing": True, "metadata": {"_nats.src.acc": "$G", "_nats.src.stream": "AGG"},
}  # fmt: skip


class Hub(Played):
    def begin(self) -> None:
        self.connect(max_payload=1 << 20)
        self.interest()

    def frame(self) -> tuple[str, bytes]:
        """The next line but interest that says nothing here; with what it carries, of a message."""
        line = self.line()
        assert line is not None
        if line[:4] not in (b"LMSG", b"HMSG"):
            return line.decode(), b""
        size = int(line.split()[-1])
        while len(self.received) < size + 2:
            assert self.socket is not None
            chunk = self.socket.recv(65536)
            assert chunk
            self.received += chunk
        payload, self.received = self.received[:size], self.received[size + 2 :]
        return line.decode(), payload

    def next(self, *beginnings: str) -> tuple[str, bytes]:
        """The next frame that begins in one of these ways."""
        while not (found := self.frame())[0].startswith(beginnings):
            pass
        return found

    def say(self, subject: str, payload: bytes = b"", reply: str = "", headers: bytes = b"") -> None:
        words = [subject, reply] if reply else [subject]
        if headers:
            words.append(str(len(headers)))
        words.append(str(len(headers) + len(payload)))
        verb = "HMSG" if headers else "LMSG"
        self.send(f"{verb} {' '.join(words)}\r\n".encode() + headers + payload + b"\r\n")

    def api(self, call: str, body: object = None, headers: bytes = b"") -> tuple[list[str], dict[str, Any], bytes]:
        """What was said before the answer, the answer, and its headers."""
        self.send(b"LS+ $JSC.R.replies1\r\n")
        self.say(f"$JS.edge.API.{call}", json.dumps(body).encode() if body is not None else b"", "$JSC.R.replies1", headers)
        before = []
        while not (found := self.frame())[0].split()[1:2] == ["$JSC.R.replies1"]:
            before.append(found[0])
        line, payload = found
        size = int(line.split()[2]) if line.startswith("HMSG") else 0
        self.send(b"LS- $JSC.R.replies1\r\n")
        return before, json.loads(payload[size:]), payload[:size]

    def source(self, stream: str, identity: str = "", level: int = 5, **fields: object) -> tuple[list[str], Any, bytes]:
        headers = f"NATS/1.0\r\nNats-Required-Api-Level: {level}\r\nNats-Stream-Identity: {identity}\r\n\r\n".encode()
        config = {"name": "JS_SRC_abcdefgh", **SOURCING, **fields}
        return self.api(f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config, "action": ""}, headers)


@pytest.fixture
def hub() -> Iterator[Hub]:
    played = Hub()
    yield played
    played.close()
    played.listener.close()


class Client:
    """At the edge."""

    def __init__(self, server: Any) -> None:
        self.wire = server.wire()
        self.wire.login()
        self.wire.send(b"SUB _I.> 1\r\n")

    def ask(self, subject: str, body: bytes) -> Any:
        self.wire.send(b"PUB %s _I.x %d\r\n%s\r\n" % (subject.encode(), len(body), body))
        head = self.wire.expect(rb"(PING\r\n)*H?MSG [^\r]*\r\n").split()
        return json.loads(self.wire.expect(rb"(?s:.{%d})\r\n" % int(head[-1])))

    def create(self, name: str, **fields: object) -> None:
        answer = self.ask(f"$JS.API.STREAM.CREATE.{name}", json.dumps({"name": name, **fields}).encode())
        assert "error" not in answer, answer

    def publish(self, subject: str, payload: bytes) -> None:
        assert "error" not in self.ask(subject, payload)

    def messages(self, name: str) -> int:
        return int(self.ask(f"$JS.API.STREAM.INFO.{name}", b"")["state"]["messages"])


def start(either: Start, hub: Hub, folder: Path) -> Client:
    server = either(
        f'listen: 127.0.0.1:-1\nserver_name: leaf\njetstream {{ store_dir: "{folder / "js"}", domain: edge }}\n'
        f'leafnodes {{ reconnect: "0.1s", remotes: [ {{ url: "nats-leaf://127.0.0.1:{hub.port}", compression: off }} ] }}', "leaf"
    )  # fmt: skip
    hub.begin()
    return Client(server)


def delivery(consumer: str, seq: int, cseq: int, pending: int, subject: str, stream: str = "EDGE") -> str:
    return rf"LMSG \$JS\.S\.deliverX \$JS\.ACK\.{stream}\.{consumer}\.1\.{seq}\.{cseq}\.\d{{19}}\.{pending}@{re.escape(subject)} \d+"


def test_an_origin(either: Start, hub: Hub, tmp_path: Path) -> None:
    client = start(either, hub, tmp_path)
    client.create("EDGE", subjects=["edge.>"])
    for number in range(3):
        client.publish(f"edge.t{number}", b"m%d" % number)

    before, answer, headers = hub.source("EDGE")
    name = answer["name"]
    assert re.fullmatch(r"JS_SRC_abcdefgh-\w{8}", name) and answer["config"]["name"] == name
    assert answer["config"].items() >= (SOURCING | {"metadata": answer["config"]["metadata"]}).items()
    assert answer["config"]["metadata"].items() >= SOURCING["metadata"].items()
    assert (answer["delivered"]["stream_seq"], answer["num_pending"]) == (0, 3)
    identity = re.search(rb"Nats-Stream-Identity: (\w{8})\r\n", headers)
    assert identity
    assert f"LS+ $JS.FC.EDGE.{name}.*" in before  # or no answer to a flow request would ever come back

    hub.heard()
    assert not [line for line in hub.until(b"PONG") if b"deliverX" in line]  # nobody listens yet
    hub.send(b"LS+ $JS.S.deliverX\r\n")
    for number in range(3):
        line, payload = hub.next("LMSG $JS.S.")
        assert re.fullmatch(delivery(name, number + 1, number + 1, 2 - number, f"edge.t{number}"), line), line
        assert payload == b"m%d" % number
    line, payload = hub.next("HMSG $JS.S.")
    assert line == "HMSG $JS.S.deliverX 75 75"
    assert payload == b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 3\r\nNats-Last-Stream: 3\r\n\r\n"

    _, names, _ = hub.api("CONSUMER.NAMES.EDGE")
    assert names["consumers"] == [] and names["total"] == 0
    _, answer, _ = hub.source("EDGE", identity="otherone")
    assert (answer["error"]["code"], answer["error"]["err_code"]) == (400, 10225)
    assert identity[1].decode() in answer["error"]["description"]
    _, answer, _ = hub.source("EDGE", level=99)
    assert answer["error"]["err_code"] == 10185
    _, answer, _ = hub.api("CONSUMER.DELETE.EDGE.JS_SRC_abcdefgh")
    assert answer["error"]["err_code"] == 10014
    _, answer, _ = hub.source("NOPE")
    assert answer["error"]["err_code"] == 10059


def test_an_origin_waits_for_answers(either: Start, hub: Hub, tmp_path: Path) -> None:
    """It asks for one when much is on its way, stops when none comes, says so, and goes on when it does."""
    client = start(either, hub, tmp_path)
    client.create("EDGE", subjects=["edge.>"])
    client.wire.send(b"PUB edge.b 8000\r\n%s\r\n" % bytes(8000) * 700)
    while client.messages("EDGE") != 700:
        pass
    _, answer, _ = hub.source("EDGE")
    name = answer["name"]
    hub.send(b"LS+ $JS.S.deliverX\r\n")
    received, request, stalled = 0, "", ""
    while not stalled:
        line, payload = hub.next("LMSG $JS.S.", "HMSG $JS.S.")
        if payload == FLOW_REQUEST:
            request = line.split()[2]
            assert re.fullmatch(rf"\$JS\.FC\.EDGE\.{name}\.\w{{4}}", request)
        elif payload.startswith(b"NATS/1.0 100 Idle Heartbeat"):
            found = re.search(rb"Nats-Consumer-Stalled: (\S+)\r\n", payload)
            assert found
            stalled = found[1].decode()
        else:
            received += 1
    assert stalled == request
    assert 130 < received < 400  # 1 to 2 MB, and what the last of them was more
    while received < 700:
        if request:
            hub.say(request, headers=f"NATS/1.0\r\nNats-Last-Consumer: {received}\r\nNats-Last-Stream: {received}\r\n\r\n".encode())
            request = ""
        line, payload = hub.next("LMSG $JS.S.", "HMSG $JS.S.")
        if payload == FLOW_REQUEST:
            request = line.split()[2]
        elif line.startswith("LMSG"):
            received += 1
            assert f".{received}.{received}." in line


def test_a_work_queue_is_an_origin_that_is_acknowledged(either: Start, hub: Hub, tmp_path: Path) -> None:
    client = start(either, hub, tmp_path)
    client.create("WORK", subjects=["work.>"], retention="workqueue")
    for number in range(3):
        client.publish("work.a", b"%d" % number)
    before, answer, _ = hub.source("WORK")
    assert answer["name"] == answer["config"]["durable_name"] == "JS_SRC_abcdefgh"
    assert answer["config"]["ack_policy"] == "flow_control" and answer["config"]["max_ack_pending"] == 1000
    assert "LS+ $JS.FC.WORK.JS_SRC_abcdefgh.*" in before
    hub.send(b"LS+ $JS.S.deliverX\r\n")
    for number in range(3):
        line, _ = hub.next("LMSG $JS.S.")
        assert re.fullmatch(delivery("JS_SRC_abcdefgh", number + 1, number + 1, 2 - number, "work.a", "WORK"), line), line
    while (found := hub.next("HMSG $JS.S."))[1] != FLOW_REQUEST:
        pass
    assert client.messages("WORK") == 3
    hub.say(found[0].split()[2], headers=b"NATS/1.0\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 2\r\n\r\n")
    while client.messages("WORK") != 1:
        pass
    # While somebody listens it is nobody else's; then it begins anew behind what was acknowledged.
    _, answer, _ = hub.source("WORK", deliver_subject="$JS.S.deliverY")
    assert answer["error"]["err_code"] == 10013
    hub.send(b"LS- $JS.S.deliverX\r\n")
    _, answer, _ = hub.source("WORK", deliver_subject="$JS.S.deliverY")
    assert answer.get("name") == "JS_SRC_abcdefgh" and answer["delivered"]["stream_seq"] == 2, answer
    hub.send(b"LS+ $JS.S.deliverY\r\n")
    line, _ = hub.next("LMSG $JS.S.deliverY")
    assert re.search(r"\.WORK\.JS_SRC_abcdefgh\.[12]\.3\.1\.", line), line
    _, answer, _ = hub.api("CONSUMER.DELETE.WORK.JS_SRC_abcdefgh")
    assert answer["success"]


def test_a_sourcing_side(either: Start, hub: Hub, tmp_path: Path) -> None:
    client = start(either, hub, tmp_path)
    hub.send(b"LS+ $JS.hub.API.>\r\nLS+ $JS.FC.>\r\n")
    client.create("AGG", sources=[{"name": "EDGE", "external": {"api": "$JS.hub.API", "deliver": ""}}])

    def asked() -> tuple[str, dict[str, Any], bytes]:
        """Subject of the answer, configuration, headers of the next request; it listens before it asks."""
        listens, _ = hub.next("LS+ $JSC.R.")
        line, payload = hub.next("HMSG $JS.hub.API.CONSUMER.CREATE.EDGE ")
        _, _, reply, size, _ = line.split()
        assert listens == f"LS+ {reply}"
        return reply, json.loads(payload[int(size) :])["config"], payload[: int(size)]

    def grant(reply: str, config: dict[str, Any], before: int, name: str, identity: str) -> str:
        """Answer; the subject that it listens to then, and no longer to that of the answer."""
        body = {"type": "io.nats.jetstream.api.v1.consumer_create_response", "stream_name": "EDGE", "name": name,
            "created": "2026-11-23T00:51:42.87149283Z", "config": {**config, "name": name},
            "delivered": {"consumer_seq": 0, "stream_seq": before}, "ack_floor": {"consumer_seq": 0, "stream_seq": 0}, "num_pending": 0}  # fmt: skip
        hub.say(reply, json.dumps(body).encode(), headers=f"NATS/1.0\r\nNats-Stream-Identity: {identity}\r\n\r\n".encode())
        heard = {hub.next("LS")[0], hub.next("LS")[0]}
        assert heard == {f"LS- {reply}", f"LS+ {config['deliver_subject']}"}
        return str(config["deliver_subject"])

    def deliver(to: str, name: str, seq: int, cseq: int, payload: bytes) -> None:
        hub.say(to, payload, f"$JS.ACK.EDGE.{name}.1.{seq}.{cseq}.1795395118156362198.0@cmd.{seq}")

    reply, config, headers = asked()
    assert headers == b"NATS/1.0\r\nNats-Required-Api-Level: 5\r\nNats-Stream-Identity: \r\n\r\n"
    assert re.fullmatch(r"\$JS\.S\.\w{8}", config["deliver_subject"]) and re.fullmatch(r"JS_SRC_\w{8}", config["name"])
    stable = config["name"]
    told = config["metadata"]
    assert told == {"_nats.src.acc": "$G", "_nats.src.domain": "edge", "_nats.src.stream": "AGG"}
    assert config == {**SOURCING, "name": stable, "deliver_subject": config["deliver_subject"], "metadata": told}
    to = grant(reply, config, 0, "ONE", "ident001")
    deliver(to, "ONE", 1, 1, b"a")
    deliver(to, "ONE", 4, 2, b"b")  # 2 and 3 are no longer there
    hub.say(to, reply="$JS.FC.EDGE.ONE.abcd", headers=FLOW_REQUEST)
    assert hub.next("HMSG $JS.FC.EDGE.ONE.abcd")[1] == b"NATS/1.0\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 4\r\n\r\n"
    hub.say(to, headers=b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 4\r\nNats-Consumer-Stalled: $JS.FC.EDGE.ONE.efgh\r\n\r\n")
    hub.next("LMSG $JS.FC.EDGE.ONE.efgh", "HMSG $JS.FC.EDGE.ONE.efgh")

    deliver(to, "ONE", 6, 4, b"5 was lost")
    reply, config, headers = asked()
    assert (config["name"], config["deliver_policy"], config["opt_start_seq"]) == (stable, "by_start_sequence", 5)
    assert b"Nats-Stream-Identity: ident001\r\n" in headers
    to = grant(reply, config, 4, "TWO", "ident001")
    deliver(to, "TWO", 5, 1, b"c")
    hub.say(to, headers=b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 6\r\n\r\n")
    reply, config, _ = asked()
    assert config["opt_start_seq"] == 6
    error = {"code": 400, "err_code": 10225, "description": "consumer's stream identity does not match: ident002"}
    hub.say(reply, json.dumps({"error": error}).encode())
    reply, config, headers = asked()
    assert config["deliver_policy"] == "all" and b"Nats-Stream-Identity: \r\n" in headers
    to = grant(reply, config, 0, "THREE", "ident002")
    deliver(to, "THREE", 1, 1, b"d")
    while client.messages("AGG") != 4:
        pass
    lines = []
    for seq in range(1, 5):
        message = client.ask("$JS.API.STREAM.MSG.GET.AGG", json.dumps({"seq": seq}).encode())["message"]
        lines.append((message["subject"], source_of(message)))
    assert lines == [
        ("cmd.1", "EDGE:bTMUkJQk 1 > > cmd.1 ident001"), ("cmd.4", "EDGE:bTMUkJQk 4 > > cmd.4 ident001"),
        ("cmd.5", "EDGE:bTMUkJQk 5 > > cmd.5 ident001"), ("cmd.1", "EDGE:bTMUkJQk 1 > > cmd.1 ident002"),
    ]  # fmt: skip


def source_of(message: dict[str, Any]) -> str:
    import base64

    found = re.search(r"Nats-Stream-Source: ([^\r]*)\r\n", base64.b64decode(message["hdrs"]).decode())
    assert found
    return found[1]
