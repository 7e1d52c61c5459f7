"""Users, tokens, nkeys, certificates and what they may do: on our server and on the real one."""

import base64
import json
import random
import struct
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest
from cryptography import x509

from tests.e2e.mint import Operator, key

Start = Callable[..., Any]
REFUSED = "-ERR 'Authorization Violation'"
OPTIONS = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}


def hashed(password: str, rounds: int = 4) -> str:
    """As ``nats server passwd`` writes it."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode().replace("$2b$", "$2a$")


def connect(server: Any, number: int = 0, wire: Any = None, **said: object) -> Any:
    """``number``: of the nkey that signs."""
    wire = wire or server.wire()
    if number:
        nonce = json.loads(wire.info[5:])["nonce"]
        said["sig"] = base64.urlsafe_b64encode(key("U", number).sign(nonce.encode())).decode().rstrip("=")
    wire.send(f"CONNECT {json.dumps(OPTIONS | said)}\r\nPING\r\n".encode())
    return wire


def answer_to(server: Any, number: int = 0, wire: Any = None, **said: object) -> str:
    wire = connect(server, number, wire, **said)
    line: bytes = wire.expect(rb"[^\r]*\r\n")
    wire.close()
    return line.decode().strip()


def enter(server: Any, **fields: object) -> Any:
    wire = connect(server, **fields)
    wire.expect(rb"PONG\r\n")
    return wire


def said(wire: Any, *operations: str) -> list[str]:
    """The lines up to the PONG that follows these operations."""
    wire.send("".join(f"{operation}\r\n" for operation in (*operations, "PING")).encode())
    lines = wire.expect(rb".*?PONG\r\n").decode().split("\r\n")[:-2]
    return [line for line in lines if not line.startswith("INFO ")]


# ---- who comes in

USERS = f"""
listen: 127.0.0.1:-1
authorization {{ users: [
  {{user: plain, password: pw}}
  {{user: hashed, password: "{hashed("pw")}"}}
  {{user: long, password: "{hashed("x" * 72)}"}}
  {{nkey: {key("U", 1).public}}}
  {{user: mqtt, password: pw, allowed_connection_types: [MQTT]}}
  {{user: both, password: pw, allowed_connection_types: [MQTT, standard]}}
  {{nkey: {key("U", 2).public}, allowed_connection_types: [WEBSOCKET]}}
] }}
"""


def test_users(either: Start) -> None:
    server = either(USERS)
    wire = server.wire()
    info = json.loads(wire.info[5:])
    assert info["auth_required"] and "nonce" in info
    comes_in = [{"user": user, "pass": "pw"} for user in ("plain", "hashed", "both")]
    refused = [{"user": user, "pass": password} for user in ("plain", "hashed") for password in ("", "PW", "pw ")]
    refused += [{"user": "mqtt", "pass": "pw"}, {"user": "nobody", "pass": "pw"}, {}, {"auth_token": "pw"}]
    for fields in comes_in:
        assert answer_to(server, **fields) == "PONG", fields
    for fields in refused:
        assert answer_to(server, **fields) == REFUSED, fields
    # Only so many bytes count for bcrypt.
    assert answer_to(server, user="long", **{"pass": "x" * 72}) == "PONG"
    assert answer_to(server, user="long", **{"pass": "x" * 73}) == "PONG"
    assert answer_to(server, user="long", **{"pass": "x" * 71}) == REFUSED
    nkey = key("U", 1).public
    assert answer_to(server, 1, nkey=nkey) == "PONG"
    assert answer_to(server, 3, nkey=nkey) == REFUSED  # another's signature
    assert answer_to(server, nkey=nkey) == REFUSED  # none
    assert answer_to(server, 3, nkey=key("U", 3).public) == REFUSED  # nobody here
    assert answer_to(server, 2, nkey=key("U", 2).public) == REFUSED  # not this way
    for sig in ("%%%", "", base64.b64encode(bytes(64)).decode()):
        assert answer_to(server, nkey=nkey, sig=sig) == REFUSED


@pytest.mark.parametrize("token", ["plain", "hashed"])
def test_a_token(token: str, either: Start) -> None:
    written = hashed("secret") if token == "hashed" else "secret"
    server = either(f'listen: 127.0.0.1:-1\nauthorization {{ token: "{written}" }}')
    assert answer_to(server, auth_token="secret") == "PONG"
    for fields in ({}, {"auth_token": "x"}, {"user": "secret", "pass": "secret"}, {"auth_token": written + "x"}):
        assert answer_to(server, **fields) == REFUSED, fields


@pytest.mark.parametrize("who", ["user", "nkey"])
def test_who_says_nothing(who: str, either: Start) -> None:
    nkey = key("U", 1).public
    users = f"users: [{{user: a, password: a, permissions: {{publish: pub}}}}, {{nkey: {nkey}, permissions: {{publish: pub}}}}]"
    name = "a" if who == "user" else nkey
    server = either(f"listen: 127.0.0.1:-1\nno_auth_user: {name}\naccounts {{ A {{ {users} }} }}")
    wire = enter(server)
    assert said(wire, "PUB pub 0\r\n", "PUB x 0\r\n") == ["-ERR 'Permissions Violation for Publish to \"x\"'"]
    assert answer_to(server, user="a", **{"pass": "wrong"}) == REFUSED
    assert answer_to(server, user="b") == REFUSED


def test_logins_do_not_hold_up_others(start_edge: Start) -> None:
    """A hash takes its time: whoever is in is served while others wait for theirs."""
    users = f'[{{user: a, password: a}}, {{user: slow, password: "{hashed("pw", 12)}"}}]'
    server = start_edge(f"listen: 127.0.0.1:-1\nauthorization {{ timeout: 60, users: {users} }}")
    client = enter(server, user="a", **{"pass": "a"})
    waiting = [connect(server, user="slow", **{"pass": "pw"}) for _ in range(10)]
    said(client, "PUB x 0\r\n")
    waiting[-1].socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        waiting[-1].socket.recv(1)
    waiting[-1].socket.settimeout(60)
    for wire in waiting:
        wire.expect(rb"PONG\r\n")


def test_by_certificate(either: Start, authority: Any) -> None:
    names = {
        "mail": [x509.RFC822Name("derek@nats.io")],
        "dns": [x509.DNSName("device.local")],
        "uri": [x509.UniformResourceIdentifier("spiffe://site/edge")],
        "derek": [],
        "nobody": [x509.DNSName("other.local")],
    }
    users = ['derek@nats.io', 'device.local', 'spiffe://site/edge', 'CN=derek,O=Petiole,C=CH']
    listed = ", ".join(f'{{user: "{user}", permissions: {{publish: "p{i}"}}}}' for i, user in enumerate(users))
    pair = authority.server()
    server = either(
        f"listen: 127.0.0.1:-1\nauthorization {{ users: [{listed}] }}\ntls {{ cert_file: \"{pair.cert}\", "
        f"key_file: \"{pair.key}\", ca_file: \"{authority.file}\", verify_and_map: true, timeout: 2 }}"
    )
    found = {}
    for name, sans in names.items():
        wire = server.wire()
        wire.socket = authority.context(authority.make(name, *sans)).wrap_socket(wire.socket, server_hostname="localhost")
        connect(server, wire=wire)
        line = wire.expect(rb"[^\r]*\r\n").decode().strip()
        found[name] = said(wire, *(f"PUB p{i} 0\r\n" for i in range(4))) if line == "PONG" else line
    denied = [f"-ERR 'Permissions Violation for Publish to \"p{i}\"'" for i in range(4)]
    expected = {name: [line for i, line in enumerate(denied) if i != mine] for mine, name in enumerate(names)}
    assert found == expected | {"nobody": REFUSED}


# ---- what they may do

RIGHTS = [
    '{publish: "a.>", subscribe: "b.>"}',
    '{publish: {allow: ["a.*", "b"], deny: "a.1"}, subscribe: {allow: ">", deny: ["b.>", "c q1"]}}',
    '{publish: {deny: ">"}, subscribe: {deny: "*.1"}}',
    '{subscribe: ["a", "b.> q.*", "c q1", "c q2"]}',
    '{subscribe: {allow: ["a.> q1", "a.>"], deny: ["a.1 q2", "a.2"]}}',
    '{subscribe: {allow: ["> *.prod"], deny: ["> *.test"]}}',
    '{subscribe: {deny: ["a.* q", "b.*"]}}',
    '{publish: ["$JS.API.>", "_INBOX.>"], subscribe: "_INBOX.>"}',
]  # fmt: skip
SUBJECTS = ["a", "b", "c", "a.1", "a.2", "b.1", "b.1.2", "a.*", "*.1", ">", "a.>", "b.>", "_INBOX.x", "$JS.API.INFO"]
QUEUES = ["", "q1", "q2", "q", "q.x", "x.prod", "x.test"]


def test_permissions(start_edge: Start, start_nats: Start) -> None:
    """Each set of rights against each subject and queue; then what still comes through."""
    users = ", ".join(f"{{user: u{i}, password: u, permissions: {rights}}}" for i, rights in enumerate(RIGHTS))
    config = f"listen: 127.0.0.1:-1\nauthorization {{ users: [{users}, {{user: all, password: u}}] }}"
    servers = [start_edge(config), start_nats(config)]
    publishes = [f"PUB {subject} 0\r\n" for subject in SUBJECTS if not {"*", ">"} & set(subject.split("."))]
    subscribes = [f"SUB {subject} {queue} {i}{j}" for i, subject in enumerate(SUBJECTS) for j, queue in enumerate(QUEUES)]
    random.Random(1).shuffle(subscribes)
    for i, rights in enumerate(RIGHTS):
        heard = []
        for server in servers:
            wire, other = (enter(server, user=user, **{"pass": "u"}) for user in (f"u{i}", "all"))
            lines = said(wire, *publishes, *subscribes)
            for publish in publishes:
                said(other, publish)
            got = [line for line in said(wire) if line.startswith("MSG")]
            plain = sorted(line for line in got if line.split()[2].endswith("0"))
            heard.append((lines, plain))
        assert heard[0] == heard[1], rights


def test_stricter_than_nats_server(start_edge: Start) -> None:
    """``b.*`` does not allow ``b.>``, and who is allowed nothing may do nothing."""
    users = "{user: a, password: u, permissions: {subscribe: 'b.*'}}, {user: n, password: u, permissions: {publish: {allow: []}}}"
    server = start_edge(f"listen: 127.0.0.1:-1\nauthorization {{ users: [{users}] }}")
    assert said(enter(server, user="a", **{"pass": "u"}), "SUB b.> 1", "SUB b.1 2") == [
        "-ERR 'Permissions Violation for Subscription to \"b.>\"'"
    ]
    assert said(enter(server, user="n", **{"pass": "u"}), "PUB a 0\r\n") == [
        "-ERR 'Permissions Violation for Publish to \"a\"'"
    ]


ANSWERS = {"true": 1, '{max: 2, expires: "1m"}': 2, '{max: -1, expires: "-1s"}': 3, '{max: 1, expires: "1ns"}': 0}


@pytest.mark.parametrize("rule", ANSWERS)
def test_answers(rule: str, either: Start) -> None:
    """Who may publish nothing may answer what it was asked, so and so often."""
    users = f"[{{user: s, password: u, permissions: {{subscribe: ask, allow_responses: {rule}}}}}, {{user: all, password: u}}]"
    server = either(f"listen: 127.0.0.1:-1\nauthorization {{ users: {users} }}")
    service, asker = (enter(server, user=user, **{"pass": "u"}) for user in ("s", "all"))
    said(service, "SUB ask 1")
    said(asker, "SUB reply 1", "PUB ask reply 0\r\n")
    service.expect(rb"MSG ask 1 reply 0\r\n\r\n")
    lines = said(service, *["PUB reply 0\r\n"] * 3, "PUB other 0\r\n")
    allowed = ANSWERS[rule]
    denied = "-ERR 'Permissions Violation for Publish to \"{}\"'".format
    assert lines == [denied("reply")] * (3 - allowed) + [denied("other")]
    assert len([line for line in said(asker) if line.startswith("MSG")]) == allowed


# ---- MQTT


def mqtt_connack(port: int, user: str, password: str) -> int:
    """The return code of a CONNECT; -1: closed without one."""
    import socket

    def text(value: str) -> bytes:
        return struct.pack("!H", len(value)) + value.encode()

    body = text("MQTT") + bytes([4, 0xC2, 0, 60]) + text("c") + text(user) + text(password)
    size = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(b"\x10" + size + body)
        answer = sock.recv(4)
        return answer[3] if len(answer) == 4 else -1


MQTT = 'mqtt { listen: 127.0.0.1:-1 }\njetstream { store_dir: "%s" }\nserver_name: S\n'


def test_mqtt_users(either: Start, tmp_path: Any) -> None:
    server = either(USERS + MQTT % (tmp_path / "js"))
    port = server.ports["mqtt"]
    answers = {user: mqtt_connack(port, user, "pw") for user in ("plain", "hashed", "mqtt", "nobody")}
    assert answers == {"plain": 0, "hashed": 0, "mqtt": 0, "nobody": 5}
    assert mqtt_connack(port, "hashed", "wrong") == 5


def test_mqtt_bearers(either: Start, tmp_path: Any) -> None:
    """A JWT in the place of the password, whatever the user's name."""
    operator = Operator()
    a = operator.account("A")
    a.claims["limits"] |= {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    server = either(operator.config(more=(MQTT % (tmp_path / "js")).replace("server_name: S\n", "")))
    port = server.ports["mqtt"]
    assert mqtt_connack(port, "any", a.user(1, bearer_token=True, allowed_connection_types=["MQTT"])) == 0
    assert mqtt_connack(port, "any", a.user(1, bearer_token=True, allowed_connection_types=["STANDARD"])) == 5
    assert mqtt_connack(port, "any", a.user(1)) == 5  # nobody can sign over MQTT
    assert mqtt_connack(port, "any", "secret") == 5
