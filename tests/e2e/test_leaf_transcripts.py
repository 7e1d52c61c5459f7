"""A hub that we play: what our leaf writes to it, and what the real one does, are the same lines."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_leaf import login, wait_for, wants

Start = Callable[..., Any]
PATIENCE = 60.0
INFO = {
    "server_id": "NHUB", "server_name": "hub", "version": "2.15.1", "proto": 3, "go": "go", "host": "127.0.0.1", "port": 1,
    "headers": True, "auth_required": True, "max_payload": 1000, "client_id": 7, "nonce": "abcdefghijklmno", "cluster": "hubs",
    "domain": "hub", "jetstream": True, "info_on_connect": True, "leafnode_urls": [],
}  # fmt: skip


OURS = "LS+ petiole.leaf.status"  # what the real one has not


class Played:
    """The hub: one connection at a time."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.port = self.listener.getsockname()[1]
        self.socket: socket.socket | None = None
        self.received = b""

    def accept(self, **info: object) -> None:
        """The next connection, and INFO to it."""
        self.close()
        self.socket = self.listener.accept()[0]
        self.socket.settimeout(PATIENCE)
        self.received = b""
        self.info(**info)

    def info(self, **fields: object) -> None:
        found = {name: value for name, value in (INFO | {"leafnode_urls": [f"127.0.0.1:{self.port}"]} | fields).items() if value is not None}
        self.send(b"INFO " + json.dumps(found).encode() + b" \r\n")

    def send(self, data: bytes) -> None:
        assert self.socket is not None
        self.socket.sendall(data)

    def line(self) -> bytes | None:
        """PINGs are answered on the way; None at the end."""
        assert self.socket is not None
        while True:
            while b"\r\n" not in self.received:
                try:
                    chunk = self.socket.recv(65536)
                except ConnectionResetError:
                    chunk = b""
                if not chunk:
                    return None
                self.received += chunk
            line, _, self.received = self.received.partition(b"\r\n")
            if line != b"PING":
                return line
            self.send(b"PONG\r\n")

    def connect(self, **info: object) -> dict[str, Any]:
        """All of the handshake; the fields of CONNECT."""
        self.accept(**info)
        line = self.line()
        assert line is not None and line.startswith(b"CONNECT "), line
        self.info(connect_info=True, remote_account="A", nonce=None, **info)
        return dict(json.loads(line[8:]))

    def heard(self) -> None:
        """All that was said has been taken; what it caused stands before the PONG."""
        self.send(b"PING\r\n")

    def interest(self) -> list[str]:
        """What it wants after the handshake."""
        self.heard()
        lines = [re.sub(r"\$LDS\.\w{22}", "$LDS.id", line.decode()) for line in self.until(b"PONG")]
        return sorted(line for line in lines if line != OURS)

    def until(self, line: bytes) -> list[bytes]:
        """Everything before it."""
        found: list[bytes] = []
        while (next_line := self.line()) != line:
            assert next_line is not None, found
            found.append(next_line)
        return found

    def messages(self, last: bytes) -> list[bytes]:
        """Their lines, up to this one; none of those that asked whether somebody is here."""
        found = self.until(last)
        self.line()
        return [line for line in found if line[:4] in (b"LMSG", b"HMSG") and b"_INBOX.wants" not in line]

    def is_dialled(self, seconds: float) -> bool:
        self.listener.settimeout(seconds)
        try:
            self.listener.accept()[0].close()
        except TimeoutError:
            return False
        finally:
            self.listener.settimeout(PATIENCE)
        return True

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()


@pytest.fixture
def hub() -> Iterator[Played]:
    played = Played()
    yield played
    played.close()
    played.listener.close()


def leaf(
    start: Start, hub: Played, remote: str = "", more: str = "", user: str = "", compression: str = "off"
) -> Any:
    return start(
        f'listen: 127.0.0.1:-1\nserver_name: leaf\nleafnodes {{ reconnect: "0.1s", remotes: [ {{ url: "nats-leaf://{user}127.0.0.1:{hub.port}", '
        f"compression: {compression}, {remote} }} ] }}\n{more}", "leaf",
    )  # fmt: skip


def test_who_it_is(either: Start, hub: Played, tmp_path: Path) -> None:
    more = f'jetstream {{ store_dir: "{tmp_path / "js"}", domain: edge }}'
    leaf(either, hub, "deny_imports: [x, y.>], hub: true, request_isolation: true", more, "u:p@")
    said = hub.connect(compression="s2_auto")
    assert len(said.pop("server_id")) == 56
    assert said == {
        "version": "2.15.1", "user": "u", "pass": "p", "domain": "edge", "name": "leaf", "is_hub": True, "cluster": "leaf",
        "headers": True, "jetstream": True, "deny_pub": ["x", "y.>"], "isolate": True, "compress_mode": "off",
        "remote_account": "$G", "protocol": 3,
    }  # fmt: skip


def test_a_token(either: Start, hub: Played) -> None:
    leaf(either, hub, user="s3cret@")
    said = hub.connect()
    assert (said["user"], said["auth_token"]) == ("s3cret", "s3cret") and "pass" not in said
    assert "jetstream" not in said and "domain" not in said and said["compress_mode"] == "not supported"


SYSTEM = ["LS+ $SYS.REQ.ACCOUNT.PING.CONNZ", "LS+ $SYS.REQ.ACCOUNT.PING.STATZ", "LS+ $SYS.REQ.SERVER.PING.CONNZ", "LS+ $SYS.REQ.USER.INFO"]
API = "LS+ $JS.edge.API."


def test_what_it_wants(either: Start, hub: Played, tmp_path: Path) -> None:
    """Its own id, what any account may ask, its JetStream by its domain (in nine lines, or in one), what is mapped, and
    its clients' subjects."""
    more = f'jetstream {{ store_dir: "{tmp_path / "js"}", domain: edge }}\nmappings {{ here: there }}'
    wire = login(leaf(either, hub, "", more))
    wire.send(b"SUB a.* 1\r\nSUB a.* 2\r\nSUB q g 3\r\nSUB q g 4\r\nSUB $JS.API.x 5\r\nSUB $KV.b.k 6\r\nSUB $KV.> 7\r\nSUB $O.b.> 8\r\nPING\r\n")
    wire.expect(rb"PONG\r\n")
    hub.connect()
    wanted = hub.interest()
    assert {line for line in wanted if line.startswith(API)} >= {f"{API}>"} or sum(line.startswith(API) for line in wanted) == 9
    others = [line for line in wanted if not line.startswith(API)]
    assert others == sorted(["LS+ $LDS.id", *SYSTEM, "LS+ a.*", "LS+ q g 2", "LS+ $O.b.>", "LS+ here"]), wanted
    wire.send(b"UNSUB 1\r\nUNSUB 3\r\nSUB q g 9\r\nUNSUB 4\r\nUNSUB 9\r\nUNSUB 2\r\nSUB end 10\r\nPING\r\n")
    assert hub.until(b"LS+ end") == [b"LS+ q g 1", b"LS+ q g 2", b"LS+ q g 1", b"LS- q g", b"LS- a.*"]


def test_what_it_may(either: Start, hub: Played) -> None:
    """Permissions of the hub, and other ones later."""
    server = leaf(either, hub, "deny_imports: in.no, deny_exports: out.no")
    wire = login(server)
    wire.send(b"SUB in.* 1\r\nSUB in.a 2\r\nSUB in.no 3\r\nSUB other 4\r\nSUB > 5\r\nPING\r\n")
    wire.expect(rb"PONG\r\n")
    hub.connect(**{"import": {"allow": ["in.*"], "deny": ["in.never"]}, "export": {"allow": ["out.>", "end"]}})
    wanted = hub.interest()
    assert wanted == ["LS+ $LDS.id", "LS+ >", "LS+ in.*", "LS+ in.a"], wanted
    hub.send(b"LS+ out.*\r\nLS+ other\r\nLS+ end\r\nLMSG other 1\r\n4\r\nLMSG in.never 1\r\n3\r\nLMSG in.no 1\r\n2\r\nLMSG in.a 1\r\n1\r\n")
    wire.expect(rb"(MSG in.a \d 1\r\n1\r\n){3}")
    wire.send(b"PUB out.a 1\r\nx\r\nPUB out.no 1\r\nx\r\nPUB other 1\r\nx\r\nPUB end 1\r\n1\r\n")
    assert hub.messages(b"LMSG end 1") == [b"LMSG out.a 1"]
    hub.info(connect_info=True, remote_account="A", **{"export": {"allow": ["other", "end"]}})
    hub.send(b"LS+ other\r\n")  # the real one has not kept what it could not have sent
    hub.heard()
    hub.until(b"PONG")
    wire.send(b"PUB out.a 1\r\nx\r\nPUB other 1\r\nx\r\nPUB end 1\r\n2\r\n")
    assert hub.messages(b"LMSG end 1") == [b"LMSG other 1"]


MESSAGES = [
    (b"LMSG p 2\r\nhi\r\n", {b"MSG p 1 2\r\nhi\r\n"}),
    (b"LMSG p r.1 2\r\nhi\r\n", {b"MSG p 1 r.1 2\r\nhi\r\n"}),
    (b"LMSG p | g h 2\r\nhi\r\n", {b"MSG p 1 2\r\nhi\r\n", b"MSG p 2 2\r\nhi\r\n", b"MSG p 3 2\r\nhi\r\n"}),
    (b"LMSG p + r.1 h 2\r\nhi\r\n", {b"MSG p 1 r.1 2\r\nhi\r\n", b"MSG p 3 r.1 2\r\nhi\r\n"}),
    (b"LMSG p | none 2\r\nhi\r\n", {b"MSG p 1 2\r\nhi\r\n"}),
    (b"HMSG p 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", {b"HMSG p 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"}),
    (b"HMSG p r.1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", {b"HMSG p 1 r.1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"}),
    (b"HMSG p | g 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", {b"HMSG p 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", b"HMSG p 2 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"}),
    (b"lmsg\tp  2\r\nhi\r\n", {b"MSG p 1 2\r\nhi\r\n"}),
]


def test_messages_and_the_queues_they_name(either: Start, hub: Played) -> None:
    wire = login(leaf(either, hub))
    wire.send(b"SUB p 1\r\nSUB p g 2\r\nSUB p h 3\r\nPING\r\n")
    wire.expect(rb"PONG\r\n")
    hub.connect()
    for line, expected in MESSAGES:
        hub.send(line + b"LMSG p 3\r\nend\r\n")
        got = wire.expect(rb".*?MSG p 1 3\r\nend\r\n").removesuffix(b"MSG p 1 3\r\nend\r\n")
        assert set(re.findall(rb"H?MSG p \d .*?hi\r\n", got, re.DOTALL)) == expected, line


def test_what_it_sends(either: Start, hub: Played) -> None:
    """One line for a message, with the queues that it is to serve; members here come before those at the hub."""
    server = leaf(either, hub)
    wire, asker = login(server), login(server)
    hub.connect()
    hub.send(b"LS+ p\r\nLS+ q g 2\r\nLS+ q h 1\r\nLS+ p k 1\r\nLS+ end\r\n")
    wait_for(lambda: wants(asker, "end"))
    wire.send(b"SUB q h 1\r\nPUB p 1\r\n1\r\nPUB q r 1\r\n2\r\nHPUB p r 12 13\r\nNATS/1.0\r\n\r\n3\r\nHPUB q 12 13\r\nNATS/1.0\r\n\r\n4\r\nPUB end 0\r\n\r\n")
    lines = hub.messages(b"LMSG end 0")
    assert lines == [b"LMSG p | k 1", b"LMSG q + r g 1", b"HMSG p + r k 12 13", b"HMSG q | g 12 13"]
    hub.send(b"LS- p k\r\nLS- q g\r\nLS- unknown\r\nLS- q nobody\r\nLS+ then\r\n")
    wait_for(lambda: wants(asker, "then"))
    wire.send(b"PUB p 1\r\n1\r\nPUB q 1\r\n2\r\nPUB end 1\r\n3\r\n")
    assert hub.messages(b"LMSG end 1") == [b"LMSG p 1"]


@pytest.mark.parametrize(
    ("error", "stays_away"),
    [
        (b"Loop detected for leafnode account=\"A\". Delaying attempt to reconnect for 30s", True),
        (b"connection rejected since minimum version required is \"v9.0.0\"", True),
        (b"Duplicate Remote LeafNode Connection", False),
        (b"Permissions Violation for Publish to \"x\"", False),
    ],
)
def test_errors(error: bytes, stays_away: bool, either: Start, hub: Played) -> None:
    leaf(either, hub)
    hub.connect()
    hub.send(b"-ERR '" + error + b"'\r\n")
    hub.close()
    assert hub.is_dialled(0.6) is not stays_away


def test_a_loop_is_told(either: Start, hub: Played) -> None:
    leaf(either, hub)
    hub.connect()
    own = next(line for line in iter(hub.line, None) if b"$LDS." in line)
    hub.send(own + b"\r\n")
    lines = [line for line in iter(hub.line, None) if line.startswith(b"-ERR")]
    assert lines == [b"-ERR 'Loop detected for leafnode account=\"$G\". Delaying attempt to reconnect for 30s'"]
    assert not hub.is_dialled(0.6)


TRACED = b"NATS/1.0\r\nNats-Trace-Dest: told\r\n\r\n"
ONLY = b"NATS/1.0\r\nNats-Trace-Dest: told\r\nNats-Trace-Only: 1\r\n\r\n"


@pytest.mark.parametrize(("headers", "proto"), [(TRACED, 3), (TRACED, 1), (ONLY, 3), (ONLY, 1)])
def test_a_message_whose_way_is_asked_for(headers: bytes, proto: int, either: Start, hub: Played) -> None:
    """A hub that knows nothing of it gets the message, but never one that nobody is to get."""
    wire = login(leaf(either, hub))
    hub.connect(proto=proto)
    hub.send(b"LS+ p\r\nLS+ end\r\n")
    wait_for(lambda: wants(wire, "end"))
    wire.send(b"SUB told 5\r\nHPUB p %d %d\r\n%sx\r\nPUB end 0\r\n\r\n" % (len(headers), len(headers) + 1, headers))
    told = json.loads(re.search(rb"\{.*\}", wire.expect(rb".*?MSG told 5 .*?\}\]\}\}?\r\n"))[0])  # type: ignore[index]
    sent = [line for line in hub.until(b"LMSG end 0") if line[:4] == b"HMSG" or b"Trace-Hop" in line]
    (event,) = [event for event in told["events"] if event["type"] == "eg"]
    error = {(TRACED, 1): "Message delivered but", (ONLY, 1): "Not delivered because"}.get((headers, proto), "")
    assert event.get("error", "").startswith(error) and bool(event.get("error")) is bool(error)
    assert (event["kind"], event["name"], event["hop"], told["hops"]) == (4, "hub", "1", 1)
    assert (len(sent) == 2 and sent[1].strip() == b"Nats-Trace-Hop: 1") if error[:3] != "Not" else not sent


def test_the_way_of_a_message_goes_on(either: Start, hub: Played) -> None:
    """What has come by a hop, and goes to another hub of ours."""
    other = Played()
    remotes = f'{{ url: "nats://127.0.0.1:{hub.port}", compression: off }}, {{ url: "nats://127.0.0.1:{other.port}", compression: off }}'
    server = either(f'listen: 127.0.0.1:-1\nserver_name: leaf\nleafnodes {{ remotes: [ {remotes} ] }}', "leaf")
    hub.connect()
    other.connect(server_name="other", cluster="others")
    wire = login(server)
    other.send(b"LS+ p\r\n")
    wait_for(lambda: wants(wire, "p"))
    headers = b"NATS/1.0\r\nNats-Trace-Dest: told\r\nNats-Trace-Hop: 1\r\n\r\n"
    hub.send(b"HMSG p %d %d\r\n%sx\r\n" % (len(headers), len(headers) + 1, headers))
    assert b"Nats-Trace-Hop: 1.1" in other.until(b"x")
    other.close()
    other.listener.close()
