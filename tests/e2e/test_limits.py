"""Limits and defence: what a client may not do, what it is told, how it ends, and that nobody else notices.

The same transcripts on our server and on the real one.
"""

import json
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Server, nats_server_binary

Start = Callable[..., Any]

ACCOUNTS = """
accounts {
  SYS { users: [{user: s, password: s}] }
  A { users: [{user: a, password: a}] }
}
system_account: SYS
"""
OPEN = "listen: 127.0.0.1:-1\nno_auth_user: a\n" + ACCOUNTS
NARROW = OPEN + "max_control_line: 512\nmax_payload: 1000\nmax_subscriptions: 3\nmax_subscription_tokens: 4\n"
CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
UNKNOWN = b"-ERR 'Unknown Protocol Operation'\r\n"
PAYLOAD = b"-ERR 'Maximum Payload Violation'\r\n"
LINE = b"-ERR 'maximum control line exceeded'\r\n"
SUBSCRIPTIONS = b"-ERR 'maximum subscriptions exceeded'\r\n"
VIOLATION = "Protocol Violation"


class Watch:
    """The system account: how clients of account A end, and what the server counts."""

    def __init__(self, server: Any) -> None:
        self.wire = server.wire()
        self.wire.login('{"verbose":false,"user":"s","pass":"s"}')
        self.wire.send(b"SUB $SYS.ACCOUNT.A.DISCONNECT 1\r\nSUB stats 2\r\nPING\r\n")
        self.wire.expect(rb"PONG\r\n")

    def reason(self) -> str:
        """Why the next client of account A was closed."""
        event = self.wire.expect(rb"MSG \$SYS\.ACCOUNT\.A\.DISCONNECT 1 +\d+\r\n\{.*?\}\r\n")
        return str(json.loads(event.partition(b"\r\n")[2])["reason"])

    def count(self, what: str) -> int:
        self.wire.send(b"PUB $SYS.REQ.SERVER.PING.STATSZ stats 0\r\n\r\n")
        answer = self.wire.expect(rb"MSG stats 2 +\d+\r\n\{.*?\}\r\n(?=$|MSG)")
        return int(json.loads(answer.partition(b"\r\n")[2])["statsz"].get(what, 0))


@pytest.fixture(scope="module", params=["edge", "nats"])
def launch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """As ``either``, for servers that several transcripts share."""
    command = [sys.executable, "-m", "edge", "run"] if request.param == "edge" else [nats_server_binary()]
    servers: list[Server] = []

    def start(config: str) -> Server:
        servers.append(Server(command, config, tmp_path_factory.mktemp("limits"), request.param).start())
        return servers[-1]

    yield start
    for server in servers:
        for wire in server.wires:
            wire.close()
        server.kill()


@pytest.fixture(scope="module")
def narrow(launch: Start) -> Any:
    return launch(NARROW)


@pytest.fixture(scope="module")
def wide(launch: Start) -> Any:
    return launch(OPEN + "max_control_line: 128KB\n")


def say(server: Any, data: bytes, hello: bytes = CONNECT) -> bytes:
    """What a client hears that says this, up to the answer to a PING."""
    wire = server.wire()
    wire.send(hello + data + b"PING\r\n")
    heard = wire.expect(rb".*?PONG\r\n").removesuffix(b"PONG\r\n")
    wire.close()
    return bytes(heard)


# ---- what ends a connection


@pytest.mark.parametrize(
    ("fault", "answer", "reason"),
    [
        (b"FOO bar\r\n", UNKNOWN, VIOLATION),
        (b"FOO", UNKNOWN, VIOLATION),  # a line that never ends
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", UNKNOWN, VIOLATION),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", UNKNOWN, VIOLATION),
        (b"\x00\xff\xfe", UNKNOWN, VIOLATION),
        (b"\n", UNKNOWN, VIOLATION),
        (b" PING\r\n", UNKNOWN, VIOLATION),
        (b"\t" * 2000, UNKNOWN, VIOLATION),
        (b" " * 513 + b"PING\r\n", UNKNOWN, VIOLATION),
        (b"PUB a 2\r\nhi\n\n", UNKNOWN, VIOLATION),
        (b"PUB a 2\r\nhi there\r\n", UNKNOWN, VIOLATION),
        (b"PUB\r\n", UNKNOWN, VIOLATION),
        (b"PUB \r\n", b"", VIOLATION),
        (b"PUB a -1\r\n", b"", VIOLATION),
        (b"PUB a 2x\r\n", b"", VIOLATION),
        (b"PUB a 99999999999999999999\r\n", b"", VIOLATION),
        (b"PUB a b c d 5\r\n", b"", VIOLATION),
        (b"HPUB a 5 4\r\n", b"", VIOLATION),
        (b"HPUB a x 4\r\n", b"", VIOLATION),
        (b"HPUB a 4\r\n", b"", VIOLATION),
        (b"HPUB a b c 1 2 3\r\n", b"", VIOLATION),
        (b"SUB \r\n", b"", VIOLATION),
        (b"SUB a\r\n", b"", VIOLATION),
        (b"SUB a b c d\r\n", b"", VIOLATION),
        (b"UNSUB\t\r\n", b"", VIOLATION),
        (b"UNSUB 1 2 3\r\n", b"", VIOLATION),
        (b"CONNECT {\r\n", b"", VIOLATION),
        (b"CONNECT\r\n", b"", VIOLATION),
        (b"CONNECT " + b"[" * 400 + b"\r\n", b"", VIOLATION),
        (b'CONNECT {"headers":1}\r\n', b"", VIOLATION),
        (b'CONNECT {"protocol":2}\r\n', b"-ERR 'invalid client protocol'\r\n", "Bad Client Protocol Version"),
        (
            b'CONNECT {"headers":false}\r\n',
            b"-ERR 'no responders requires headers support'\r\n",
            "No Responders Requires Headers",
        ),
        (b'CONNECT {"account":"B"}\r\n', b"-ERR 'Authorization Violation'\r\n", "Authentication Failure"),
        (b"INFO {\r\n", b"", VIOLATION),
        (b"-ERR 'no'\r\n", b"", "Parse Error"),
        (b"MSG a 1 1\r\nx\r\n", UNKNOWN, VIOLATION),
        (b"LS+ a\r\n", UNKNOWN, VIOLATION),
        (b"PUB a 1001\r\n", PAYLOAD, "Maximum Message Payload Exceeded"),
        (b"HPUB a 12 1001\r\n", PAYLOAD, "Maximum Message Payload Exceeded"),
        (b"PUB " + b"a" * 511 + b" 1\r\n", LINE, "Maximum Control Line Exceeded"),
        (b"SUB " + b"a" * 513, LINE, "Maximum Control Line Exceeded"),
        (b'CONNECT {"name":"' + b"a" * 512 + b'"}\r\n', LINE, "Maximum Control Line Exceeded"),
    ],
)
def test_a_fault_and_its_end(narrow: Any, fault: bytes, answer: bytes, reason: str) -> None:
    watch, good, bad = Watch(narrow), narrow.wire(), narrow.wire()
    good.login()
    bad.send(CONNECT + b"PING\r\n")
    bad.expect(rb"PONG\r\n")
    bad.send(fault)
    assert bad.expect_closed() == answer
    assert watch.reason() == reason
    good.send(b"SUB x 1\r\nPUB x 1\r\ny\r\n")
    good.expect(rb"MSG x 1 1\r\ny\r\n")
    good.close()
    watch.wire.close()


@pytest.mark.parametrize(
    ("data", "heard"),
    [
        (b"+OK\r\nINFO {}\r\nPONG\r\npONg it is\n", b""),
        (b"PUB  a\t\t2 \r\nhi\r\n", b""),
        (b"PUB a 0000000002\r\n", b""),  # ten digits
        (b"PUB a 1\nx\r\n", b""),
        (b"UNSUB nobody\r\nUNSUB 1 -1\r\n", b""),
        (b"SUB a..b 1\r\nSUB .a 1\r\nSUB a. 1\r\nSUB a.>.b 1\r\n", b"-ERR 'Invalid Subject'\r\n" * 4),
        (b"SUB a _sys_ 1\r\n", b'-ERR \'Permissions Violation for Subscription to "a" using queue "_sys_"\'\r\n'),
        (b"SUB \xff\xfe 1\r\nPUB \xff\xfe 1\r\nx\r\n", b"MSG \xff\xfe 1 1\r\nx\r\n"),
        (
            b"SUB r\xfe 1\r\n" + b"PUB none.\xff r\xfe 0\r\n\r\n" * 3,
            b"HMSG r\xfe 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: none.\xff\r\n\r\n\r\n" * 3,
        ),
        (b'CONNECT {"name":"\xff\\ud800","lang":"\\udfff"}\r\n', b""),
        (b"SUB a 1\r\nCONNECT {}\r\nPUB a 1\r\nx\r\n", b""),  # a second CONNECT begins anew
        (b'CONNECT {"Verbose":true}\r\nSUB a 1\r\n', b"+OK\r\n+OK\r\n"),  # keys in any case, as Go takes them
        (b'CONNECT{"verbose":false}\r\n', b""),
        # max_control_line counts without the verb
        (b"PUB " + b"a" * 510 + b" 1\r\nx\r\n", b""),
        (b"SUB        " + b"a" * 509 + b" 1\r\n", b""),
        # max_payload
        (b"SUB a 1\r\nPUB a 1000\r\n" + bytes(1000) + b"\r\n", b"MSG a 1 1000\r\n" + bytes(1000) + b"\r\n"),
        # max_subscriptions: what is here already counts no second time, and is no exception when there are too many
        (
            b"SUB a 1\r\nSUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB d 4\r\nSUB a 1\r\nUNSUB 1\r\nSUB d 4\r\nPUB d 1\r\nx\r\n",
            SUBSCRIPTIONS * 2 + b"MSG d 4 1\r\nx\r\n",
        ),
        # max_subscription_tokens
        (
            b"SUB a.b.c.d 1\r\nSUB a.b.c.d.e 2\r\nSUB a.b.c.*.> q 2\r\nPUB a.b.c.d.e 1\r\nx\r\n",
            b"-ERR 'Permissions Violation for Subscription to \"a.b.c.d.e\", too many tokens'\r\n"
            b"-ERR 'Permissions Violation for Subscription to \"a.b.c.*.>\", too many tokens'\r\n",
        ),
        # headers are the clients' affair
        (
            b"SUB a 1\r\nHPUB a 5 5\r\nhello\r\nHPUB a 0 2\r\nhi\r\nHPUB a 4 4\r\n\r\n\r\n\r\nHPUB a 3 6\r\n\xff\x00:abc\r\n",
            b"HMSG a 1 5 5\r\nhello\r\nMSG a 1 2\r\nhi\r\nHMSG a 1 4 4\r\n\r\n\r\n\r\nHMSG a 1 3 6\r\n\xff\x00:abc\r\n",
        ),
    ],
)
def test_what_is_put_up_with(narrow: Any, data: bytes, heard: bytes) -> None:
    if data.endswith(b"0000000002\r\n"):  # ... is too long for a size
        wire = narrow.wire()
        wire.send(CONNECT + data)
        assert wire.expect_closed() == b""
        return
    assert say(narrow, data) == heard


def test_verbose_and_pedantic(narrow: Any) -> None:
    assert say(narrow, b"SUB a.b 1\r\nPUB a.* 1\r\nx\r\nPUB a.b 1\r\nx\r\nSUB a..b 2\r\nUNSUB 1\r\n", b"CONNECT {}\r\n") == (
        b"+OK\r\n+OK\r\n-ERR 'Invalid Publish Subject'\r\n+OK\r\n+OK\r\nMSG a.b 1 1\r\nx\r\n-ERR 'Invalid Subject'\r\n+OK\r\n"
    )
    quiet = b'CONNECT {"verbose":false,"pedantic":false}\r\n'
    assert say(narrow, b"SUB a.b 1\r\nPUB a.* 1\r\nx\r\nPUB a..b 1\r\nx\r\nSUB a..b 2\r\nUNSUB 1\r\n", quiet) == (
        b"-ERR 'Invalid Subject'\r\n"
    )


# ---- before the login


def test_connect_comes_first(launch: Start) -> None:
    server = launch("listen: 127.0.0.1:-1\nauthorization { user: a, password: b, timeout: 1 }\n")
    for begin in (b"FOO\r\n", b"x", b"P", b"PING\r\n", b"+OK\r\n", b"\r\n", b"INFO {}\r\n", b"CONNECT {}\r\n"):
        wire = server.wire()
        wire.send(begin)
        assert wire.expect_closed() == b"-ERR 'Authorization Violation'\r\n", begin
    for begin in (b'CONNECT {"user":"a","pass":"b"}\r\nCONNECT {"user":"a","pass":"c"}\r\n',):
        wire = server.wire()
        wire.send(begin)
        assert wire.expect_closed() == b"+OK\r\n-ERR 'Authorization Violation'\r\n"
    wire = server.wire()
    wire.send(b"COX")
    assert wire.expect_closed() == UNKNOWN


def test_a_flood_of_connections_that_say_nothing(launch: Start) -> None:
    server = launch("listen: 127.0.0.1:-1\nauthorization { user: a, password: b, timeout: 1 }\n")
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(400)]
    half = [server.wire() for _ in range(20)]
    for wire in half:
        wire.send(b'CONNECT {"user":"a"')
    served = server.wire()
    served.login('{"verbose":false,"user":"a","pass":"b"}')
    served.send(b"SUB a 1\r\nPUB a 1\r\nx\r\n")
    served.expect(rb"MSG a 1 1\r\nx\r\n")
    for wire in half:
        assert wire.expect_closed() == b"-ERR 'Authentication Timeout'\r\n"
    for peer in silent:
        with peer, peer.makefile("rb") as stream:
            assert re.fullmatch(rb"INFO .*\r\n-ERR 'Authentication Timeout'\r\n", stream.read(), re.DOTALL)
    served.send(b"PUB a 1\r\ny\r\n")
    served.expect(rb"MSG a 1 1\r\ny\r\n")


# ---- how many


def few_files(hard: int, command: list[str]) -> list[str]:
    """The command with a soft limit of 100 open files."""
    limit = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (100, int(sys.argv[1])))"
    return [sys.executable, "-c", f"{limit}; os.execvp(sys.argv[2], sys.argv[2:])", str(hard), *command]


@pytest.mark.parametrize("command", [[sys.executable, "-m", "edge", "run"], [nats_server_binary()]])
def test_the_soft_limit_of_open_files_is_none(command: list[str], tmp_path: Path) -> None:
    server = Server(few_files(1000, command), OPEN, tmp_path, "limited").start()
    wires = [server.wire() for _ in range(200)]
    for wire in wires:
        wire.login()
        wire.close()
    server.kill()


def test_no_more_files_for_clients(tmp_path: Path) -> None:
    """Those who are here are served, and others when some have gone."""
    server = Server(few_files(100, [sys.executable, "-m", "edge", "run"]), OPEN, tmp_path, "limited").start()
    first = server.wire()
    first.login()
    flood = [server.wire(greet=False) for _ in range(200)]
    assert sum(wire.expect_closed() == b"" for wire in flood[100:]) == 100
    first.send(b"SUB a 1\r\nPUB a 1\r\nx\r\n")
    first.expect(rb"MSG a 1 1\r\nx\r\n")
    for wire in flood:
        wire.close()
    first.send(b"PUB a 1\r\ny\r\n")
    first.expect(rb"MSG a 1 1\r\ny\r\n")
    next_one = server.wire(greet=False)
    while not next_one.socket.recv(1):  # the server has not noticed yet that they have gone
        next_one = server.wire(greet=False)
    for wire in server.wires:
        wire.close()
    server.kill()


def test_max_connections(launch: Start) -> None:
    server = launch(OPEN + "max_connections: 3\n")
    watch, first, second = Watch(server), server.wire(), server.wire()
    first.login()
    second.login()
    for _ in range(3):
        assert server.wire().expect_closed() == b"-ERR 'maximum connections exceeded'\r\n"
    first.close()
    assert watch.reason() == "Client Closed"
    third = server.wire()
    third.login()
    second.send(b"SUB a 1\r\nPING\r\n")
    second.expect(rb"PONG\r\n")
    third.send(b"PUB a 1\r\nx\r\n")
    second.expect(rb"MSG a 1 1\r\nx\r\n")


LIMITED = """
listen: 127.0.0.1:-1
accounts {
  SYS { users: [{user: s, password: s}] }
  A { users: [{user: a, password: a}], limits { max_connections: 2, max_subscriptions: 2, max_payload: 100 } }
  B { users: [{user: b, password: b}] }
}
system_account: SYS
"""


def test_the_limits_of_an_account(launch: Start) -> None:
    server = launch(LIMITED)
    watch, wires = Watch(server), [server.wire() for _ in range(3)]
    for wire in wires[:2]:  # subscriptions are counted client by client
        wire.login('{"verbose":false,"user":"a","pass":"a","protocol":1}')
        assert json.loads(wire.expect(rb"INFO \{.*?\} \r\n")[5:])["max_payload"] == 100
        wire.send(b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nPING\r\n")
        wire.expect(re.escape(SUBSCRIPTIONS) + rb"PONG\r\n")
    wires[2].send(b'CONNECT {"verbose":false,"user":"a","pass":"a"}\r\n')
    assert wires[2].expect_closed() == b"-ERR 'maximum account active connections exceeded'\r\n"
    assert watch.reason() == "Maximum Account Connections Exceeded"
    wires[0].send(b"PUB a 101\r\n")
    assert wires[0].expect_closed() == PAYLOAD
    assert watch.reason() == "Maximum Message Payload Exceeded"
    other = server.wire()
    other.login('{"verbose":false,"user":"b","pass":"b"}')
    other.send(b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nPUB c 101\r\n" + bytes(101) + b"\r\n")
    other.expect(rb"MSG c 3 101\r\n")


def test_a_hundred_thousand_subscriptions_of_one_client(wide: Any) -> None:
    """On one subject and on many; the others are served while they come and when they go."""
    greedy, other = wide.wire(), wide.wire()
    greedy.login()
    other.login()
    other.send(b"SUB mine 1\r\n")
    greedy.send(b"".join(b"SUB a %d\r\nSUB b.%d %d\r\n" % (i, i, 50_000 + i) for i in range(50_000)) + b"PING\r\n")
    other.send(b"PUB mine 1\r\nx\r\n")
    other.expect(rb"MSG mine 1 1\r\nx\r\n")
    greedy.expect(rb"PONG\r\n")
    other.send(b"PUB b.4711 1\r\nx\r\n")
    greedy.expect(rb"MSG b.4711 54711 1\r\nx\r\n")
    greedy.send(b"".join(b"UNSUB %d\r\n" % i for i in range(0, 50_000, 2)) + b"PING\r\n")
    greedy.expect(rb"PONG\r\n")
    greedy.close()
    other.send(b"PUB mine 1\r\ny\r\n")
    other.expect(rb"MSG mine 1 1\r\ny\r\n")


@pytest.mark.parametrize("pattern", ["{}", "{}.>", "*{}", ">"])
def test_a_subject_of_ten_thousand_tokens(wide: Any, pattern: str) -> None:
    subject = ".".join(["a"] * 10_000)
    subscribed = pattern.format(subject[:-2] if ">" in pattern else subject[1:] if "*" in pattern else subject)
    heard = say(wide, f"SUB {subscribed} 1\r\nPUB {subject} 1\r\nx\r\nUNSUB 1\r\nPUB {subject} 1\r\ny\r\n".encode())
    assert heard == f"MSG {subject} 1 1\r\nx\r\n".encode()


# ---- clocks


def test_a_peer_that_never_answers_and_one_that_does(launch: Start) -> None:
    server = launch(OPEN + 'ping_interval: "1s"\nping_max: 2\n')
    watch, silent, speaking = Watch(server), server.wire(), server.wire()
    silent.login()
    speaking.login()
    for _ in range(2):
        silent.expect(rb"PING\r\n")
        speaking.send(b"PUB a 1\r\nx\r\n")
        watch.wire.send(b"PONG\r\n")
    assert silent.expect_closed() == b"-ERR 'Stale Connection'\r\n"
    watch.wire.expect(rb"(PING\r\n)+")
    assert watch.reason() == "Stale Connection"
    assert watch.count("stale_connections") == 1
    # who speaks is asked at the beginning, for the time of a round trip, and then left alone
    speaking.send(b"SUB a 1\r\nPUB a 1\r\nx\r\n")
    speaking.expect(rb"(PING\r\n){1,2}MSG a 1 1\r\nx\r\n")


# ---- receivers that do not keep up

SLOW = OPEN + "max_payload: 64KB\n"
BODY = bytes(50_000)
COUNT = 400  # twenty megabytes: more than the kernel holds for a peer


def lazy(server: Any) -> Any:
    """A subscriber that never reads."""
    wire = server.wire()
    wire.login()
    wire.send(b"SUB a 1\r\nPING\r\n")
    wire.expect(rb"PONG\r\n")
    return wire


def flood(server: Any) -> Any:
    """The publisher, after one who keeps up has got all of it."""
    publisher, fast = server.wire(), server.wire()
    publisher.login()
    fast.login()
    fast.send(b"SUB a 1\r\nPING\r\n")
    fast.expect(rb"PONG\r\n")
    for _ in range(COUNT):
        publisher.send(b"PUB a 50000\r\n" + BODY + b"\r\n")
        fast.expect(rb"MSG a 1 50000\r\n.{50000}\r\n")
    return publisher


def varz(watch: Watch) -> dict[str, Any]:
    watch.wire.send(b"PUB $SYS.REQ.SERVER.PING.VARZ stats 0\r\n\r\n")
    answer = watch.wire.expect(rb"MSG stats 2 +\d+\r\n\{.*\}\r\n$")
    return dict(json.loads(answer.partition(b"\r\n")[2])["data"])


def test_a_subscriber_that_never_reads(launch: Start) -> None:
    server = launch(SLOW + 'max_pending: 1MB\nwrite_deadline: "5s"\n')
    watch, slow = Watch(server), lazy(server)
    flood(server)
    assert watch.reason() == "Slow Consumer (Pending Bytes)"
    assert watch.count("slow_consumers") == 1
    server.wait_for_log("Slow Consumer Detected: MaxPending of 1048576 Exceeded")
    assert len(slow.expect_closed()) < COUNT * len(BODY)
    assert varz(watch)["stalled_clients"] > 0


def test_no_fast_producer_stall(launch: Start) -> None:
    """Nobody waits for who is far behind: messages pass it by, and it stays."""
    server = launch(SLOW + "max_pending: 1MB\nno_fast_producer_stall: true\n")
    watch, slow = Watch(server), lazy(server)
    publisher = flood(server)
    assert watch.count("slow_consumers") == 0 and varz(watch).get("stalled_clients", 0) == 0
    slow.send(b"PING\r\n")
    slow.expect(rb"(MSG a 1 50000\r\n\x00{50000}\r\n)+PONG\r\n")
    slow.send(b"PING\r\n")
    slow.expect(rb"PONG\r\n")
    publisher.send(b"PUB a 3\r\nend\r\n")
    slow.expect(rb"MSG a 1 3\r\nend\r\n")


def test_the_write_deadline(launch: Start) -> None:
    server = launch(SLOW + 'write_deadline: "1s"\n')
    watch, slow, publisher = Watch(server), lazy(server), server.wire()
    publisher.login()
    for _ in range(COUNT):
        publisher.send(b"PUB a 50000\r\n" + BODY + b"\r\n")
    assert watch.reason() == "Slow Consumer (Write Deadline)"
    assert watch.count("slow_consumers") == 1
    server.wait_for_log("Slow Consumer Detected: WriteDeadline of 1s exceeded with ")
    assert len(slow.expect_closed()) < COUNT * len(BODY)
    publisher.send(b"SUB b 1\r\nPUB b 1\r\nx\r\n")
    publisher.expect(rb"MSG b 1 1\r\nx\r\n")


# ---- what is shown


def test_max_traced_msg_len(launch: Start) -> None:
    server = launch(OPEN + "trace: true\nmax_traced_msg_len: 10\n")
    wire = server.wire()
    wire.login()
    wire.send(b"PUB a 12\r\nhello \xff\x00\r\n!!\r\nPUB b 4\r\ntiny\r\nHPUB c 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n")
    wire.expect(rb"PONG\r\n")
    server.wait_for_log("<<- [HPUB c 12 14]")
    lines = re.findall(r"<<- (?:MSG_PAYLOAD|\[H?PUB).*", server.log.read_text())
    assert lines == [
        "<<- [PUB a 12]", r'<<- MSG_PAYLOAD: ["hello \xff\x00\r\n..."]', "<<- [PUB b 4]", '<<- MSG_PAYLOAD: ["tiny"]',
        "<<- [HPUB c 12 14]", r'<<- MSG_PAYLOAD: ["NATS/1.0\r\n..."]',
    ]  # fmt: skip
