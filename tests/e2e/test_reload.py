"""SIGHUP: the same file changed under both servers, the same transcript with both."""

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]
PATIENCE = 60.0
LISTEN = "listen: 127.0.0.1:-1\nserver_name: s\n"
USERS = "authorization {{ users: [ {{user: a, password: {a}}}, {{user: b, password: b{b}}} ] }}\n"


def reload(server: Any, text: str, expected: str = "Reloaded server configuration") -> str:
    """The lines that the server logs of it."""
    begin = len(server.log.read_text())
    server.config.write_text(text)
    os.kill(server.process.pid, signal.SIGHUP)
    server.wait_for_log(expected, begin)
    return str(server.log.read_text()[begin:])


def login(server: Any, user: str, password: str, **options: object) -> Any:
    wire = server.wire()
    said = {"verbose": False, "pedantic": False, "user": user, "pass": password, "protocol": 0} | options
    wire.send(f"CONNECT {json.dumps(said)}\r\nPING\r\n".encode())
    wire.expect(rb"PONG\r\n")
    return wire


def still_there(wire: Any) -> None:
    wire.send(b"PING\r\n")
    wire.expect(rb"PONG\r\n")


def test_users_come_and_go_and_the_others_stay(either: Start) -> None:
    server = either(LISTEN + USERS.format(a="one", b=""))
    changed, gone = login(server, "a", "one"), login(server, "b", "b")
    reload(server, LISTEN + "authorization { users: [ {user: a, password: one}, {user: c, password: c} ] }")
    gone_says = gone.expect_closed()
    assert gone_says == b""
    still_there(changed)
    still_there(login(server, "c", "c"))
    wire = server.wire()
    wire.send(b'CONNECT {"user":"b","pass":"b"}\r\nPING\r\n')
    wire.expect(rb"-ERR 'Authorization Violation'\r\n")


def test_a_changed_password_ends_who_has_the_old_one(either: Start) -> None:
    server = either(LISTEN + USERS.format(a="one", b=""))
    changed, other = login(server, "a", "one"), login(server, "b", "b")
    lines = reload(server, LISTEN + USERS.format(a="two", b=""))
    assert changed.expect_closed() == b"-ERR 'Authorization Violation'\r\n"
    still_there(other)
    login(server, "a", "two")
    assert "Reloaded: authorization users" in lines


def test_permissions_are_narrowed_for_those_who_are_here(either: Start) -> None:
    server = either(LISTEN + USERS.format(a="one", b=""))
    wire, other = login(server, "a", "one"), login(server, "b", "b")
    wire.send(b"SUB x.1 1\r\nSUB y.1 2\r\nSUB x.2 q 3\r\nPUB x.1 2\r\nhi\r\n")
    wire.expect(rb"MSG x.1 1 2\r\nhi\r\n")
    narrower = USERS.format(a='one, permissions: { publish: "y.>", subscribe: { deny: "x.>" } }', b="")
    reload(server, LISTEN + narrower)
    first = b"-ERR 'Permissions Violation for Subscription to \"x.1\" (sid \"1\")'\r\n"
    queue = b"-ERR 'Permissions Violation for Subscription to \"x.2\" using queue \"q\" (sid \"3\")'\r\n"
    said = wire.expect(rb"(-ERR [^\r]*\r\n){2}")
    assert sorted(said.splitlines(keepends=True)) == sorted([first, queue])
    wire.send(b"PUB x.1 2\r\nno\r\nPUB y.1 3\r\nyes\r\n")
    wire.expect(rb"-ERR 'Permissions Violation for Publish to \"x.1\"'\r\nMSG y.1 2 3\r\nyes\r\n")
    other.send(b"PUB x.1 2\r\nhi\r\nPUB y.1 2\r\nho\r\nPING\r\n")
    other.expect(rb"PONG\r\n")
    wire.expect(rb"MSG y.1 2 2\r\nho\r\n")
    reload(server, LISTEN + USERS.format(a="one", b=""))
    wire.send(b"SUB x.1 4\r\nPUB x.1 2\r\nok\r\n")
    wire.expect(rb"MSG x.1 4 2\r\nok\r\n")


def test_a_user_who_moves_to_another_account_comes_back(either: Start) -> None:
    accounts = "accounts { A { users: [ {user: a, password: a}%s ] }, B { users: [ {user: b, password: b}%s ] } }\n"
    moving = ", {user: m, password: m}"
    server = either(LISTEN + accounts % (moving, ""))
    wire, stays = login(server, "m", "m"), login(server, "b", "b")
    stays.send(b"SUB x 1\r\nPING\r\n")
    stays.expect(rb"PONG\r\n")
    reload(server, LISTEN + accounts % ("", moving))
    assert wire.expect_closed() == b""
    login(server, "m", "m").send(b"PUB x 2\r\nhi\r\n")
    stays.expect(rb"MSG x 1 2\r\nhi\r\n")


def test_imports_come_and_go(either: Start) -> None:
    accounts = (
        'accounts { A { exports: [ {stream: "s.>"} ], users: [ {user: a, password: a} ] },\n'
        "B { imports: [ %s ], users: [ {user: b, password: b} ] } }\n"
    )
    imported = '{stream: {account: A, subject: "s.>"}, prefix: p}'
    server = either(LISTEN + accounts % "")
    a, b = login(server, "a", "a"), login(server, "b", "b")
    b.send(b"SUB > 1\r\nPING\r\n")
    b.expect(rb"PONG\r\n")
    reload(server, LISTEN + accounts % imported)
    a.send(b"PUB s.1 2\r\nhi\r\n")
    b.expect(rb"MSG p.s.1 1 2\r\nhi\r\n")
    reload(server, LISTEN + accounts % "")
    a.send(b"PUB s.1 2\r\nno\r\nPING\r\n")
    a.expect(rb"PONG\r\n")
    still_there(b)


def test_mappings_come_and_go(either: Start) -> None:
    accounts = "accounts {{ A {{ mappings {{ {} }}, users: [ {{user: a, password: a}} ] }} }}\n"
    server = either(LISTEN + accounts.format("c: d"))
    wire = login(server, "a", "a")
    wire.send(b"SUB > 1\r\nPUB a 1\r\n1\r\n")
    wire.expect(rb"MSG a 1 1\r\n1\r\n")
    reload(server, LISTEN + accounts.format("a: b"))
    wire.send(b"PUB a 1\r\n2\r\nPUB c 1\r\n3\r\n")
    wire.expect(rb"MSG b 1 1\r\n2\r\nMSG c 1 1\r\n3\r\n")


@pytest.mark.parametrize(
    "broken",
    ["prot: 5\n", "ping_interval: x\n", "authorization { users: [ {} ] }\n", "port: [\n", "no_auth_user: nobody\n"],
)
def test_a_broken_file_changes_nothing(either: Start, broken: str) -> None:
    server = either(LISTEN + USERS.format(a="one", b=""))
    wire = login(server, "a", "one")
    lines = reload(server, LISTEN + broken, "Failed to reload server configuration")
    assert "[ERR] Failed to reload server configuration: " in lines and "Traceback" not in lines
    still_there(wire)
    login(server, "a", "one")
    assert "Reloaded" not in reload(server, "\0", "Failed to reload server configuration")
    reload(server, LISTEN + USERS.format(a="two", b=""))  # and a good one is taken
    assert wire.expect_closed() == b"-ERR 'Authorization Violation'\r\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LISTEN, "listen: 127.0.0.1:1\nserver_name: s\n"),
        (LISTEN, "listen: 127.0.0.1:-1\nserver_name: t\n"),
        (LISTEN + "http: 127.0.0.1:-1\n", LISTEN),
        (LISTEN + "jetstream { store_dir: %(folder)s/1, domain: x }\n", LISTEN + "jetstream { store_dir: %(folder)s/1, domain: y }\n"),
        (LISTEN + "jetstream { store_dir: %(folder)s/1 }\n", LISTEN + "jetstream { store_dir: %(folder)s/2 }\n"),
    ],
)
def test_what_cannot_change_changes_nothing(either: Start, before: str, after: str, tmp_path: Path) -> None:
    server = either(before % {"folder": tmp_path})
    lines = reload(server, (after + "max_payload: 100\n") % {"folder": tmp_path}, "Failed to reload server configuration")
    assert "config reload not supported" in lines
    wire = server.wire()
    assert b'"max_payload":1048576' in wire.info


def test_limits(either: Start) -> None:
    server = either(LISTEN)
    wire = server.wire()
    wire.login('{"verbose":false,"pedantic":false}')
    lines = reload(server, LISTEN + "max_payload: 10\nping_interval: '7s'\nping_max: 5\nwrite_deadline: '3s'\nmax_control_line: 100\n")
    for line in ("max_payload = 10", "ping_interval = 7s", "ping_max = 5", "write_deadline = 3s", "max_control_line = 100"):
        assert f"Reloaded: {line}" in lines
    new = server.wire()
    assert b'"max_payload":10,' in new.info
    wire.send(b"PUB a 11\r\n12345678901\r\n")
    wire.expect(rb"-ERR 'Maximum Payload Violation'\r\n")
    new.login('{"verbose":false,"pedantic":false}')
    new.send(b"SUB " + b"a" * 200 + b" 1\r\n")
    new.expect(rb"-ERR 'maximum control line exceeded'\r\n")


def test_fewer_connections(either: Start) -> None:
    server = either(LISTEN)
    wires = [server.wire() for _ in range(4)]
    for wire in wires:
        wire.login('{"verbose":false,"pedantic":false}')
    lines = reload(server, LISTEN + "max_connections: 1\n")
    assert "Closed 3 connections to fall within max_connections" in lines
    ended = 0
    for wire in wires:
        wire.send(b"PING\r\n")
        ended += b"-ERR 'maximum connections exceeded'\r\n" in wire.expect(rb"(PONG\r\n|-ERR '[^']*'\r\n)")
    assert ended == 3


def test_debug_and_trace_are_switched_on_and_off(either: Start) -> None:
    server = either(LISTEN)
    wire = server.wire()
    wire.login('{"verbose":false,"pedantic":false}')
    reload(server, LISTEN + "debug: true\ntrace: true\n")
    begin = len(server.log.read_text())
    wire.send(b"SUB here 1\r\nPUB here 2\r\nhi\r\n")
    wire.expect(rb"MSG here 1 2\r\nhi\r\n")
    server.wait_for_log('->> MSG_PAYLOAD: ["hi"]', begin)
    lines = server.log.read_text()[begin:]
    for text in ("<<- [SUB here 1]", "<<- [PUB here 2]", '<<- MSG_PAYLOAD: ["hi"]', "->> [MSG here 1 2]"):
        assert text in lines
    reload(server, LISTEN)
    begin = len(server.log.read_text())
    wire.send(b"PUB here 2\r\nho\r\n")
    wire.expect(rb"MSG here 1 2\r\nho\r\n")
    reload(server, LISTEN + "ping_max: 4\n")
    assert "[TRC]" not in server.log.read_text()[begin:]


def test_the_log_goes_to_a_file(either: Start, tmp_path: Path) -> None:
    server = either(LISTEN)
    file = tmp_path / "other.log"
    server.config.write_text(LISTEN + f"log_file: '{file}'\n")
    os.kill(server.process.pid, signal.SIGHUP)
    deadline = time.monotonic() + PATIENCE
    while not file.exists() or "Reloaded server configuration" not in file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    file.rename(tmp_path / "moved.log")
    os.kill(server.process.pid, signal.SIGUSR1)
    while not file.exists() or "File log re-opened" not in file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_flags_go_over_the_file_again(start_edge: Start) -> None:
    server = start_edge(LISTEN + "max_payload: 100\n")
    server.stop()
    server.command += ["-m", "0", "--user", "u", "--pass", "p"]
    server.start()
    wire = login(server, "u", "p")
    reload(server, LISTEN + "max_payload: 200\n")
    still_there(wire)
    assert b'"auth_required":true' in server.wire().info


def test_hubs_come_and_go(start_edge: Start, start_nats: Start) -> None:
    hub = start_nats("listen: 127.0.0.1:-1\nserver_name: hub\nleafnodes { listen: 127.0.0.1:-1 }\n", "hub")
    found = re.search(r"Listening for leafnode connections on [\w.]+:(\d+)", hub.log.read_text())
    assert found
    remote = f"leafnodes {{ remotes: [ {{url: 'nats-leaf://127.0.0.1:{found.group(1)}'}} ] }}\n"
    server = start_edge(LISTEN)
    here = server.wire()
    here.login('{"verbose":false,"pedantic":false}')
    here.send(b"SUB x 1\r\nPING\r\n")
    here.expect(rb"PONG\r\n")
    assert "LeafNode Remote 127.0.0.1" in reload(server, LISTEN + remote)
    hub.wait_for_log("Leafnode connection created")
    there = hub.wire()
    there.login('{"verbose":false,"pedantic":false,"no_responders":true,"headers":true}')
    deadline = time.monotonic() + PATIENCE
    while True:  # the leaf's interest reaches the hub when it does
        there.send(b"SUB i 1\r\nPUB x i 2\r\nhi\r\nUNSUB 1\r\nPING\r\n")
        if b"503" not in there.expect(rb".*?PONG\r\n"):
            break
        assert time.monotonic() < deadline
    here.expect(rb"MSG x 1 i 2\r\nhi\r\n")
    reload(server, LISTEN)
    hub.wait_for_log("Leafnode connection closed")
    still_there(here)


def test_mqtt_clients_whose_user_is_another_come_back(start_edge: Start, tmp_path: Path) -> None:
    mqtt = f"mqtt {{ listen: 127.0.0.1:-1 }}\njetstream {{ store_dir: '{tmp_path}/s' }}\n"
    server = start_edge(LISTEN + mqtt + USERS.format(a="one", b=""))

    found = re.search(r"mqtt://127.0.0.1:(\d+)", server.log.read_text())
    assert found
    port = int(found.group(1))

    def connect(user: bytes, password: bytes) -> socket.socket:
        wire = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        body = b"\0\4MQTT\4\xc2\0\x3c\0\1" + user
        body += len(user).to_bytes(2, "big") + user + len(password).to_bytes(2, "big") + password
        wire.sendall(bytes([0x10, len(body)]) + body)
        assert wire.recv(4) == b"\x20\2\0\0"
        return wire

    with connect(b"a", b"one") as changed, connect(b"b", b"b") as stays:
        reload(server, LISTEN + mqtt + USERS.format(a="two", b=""))
        assert changed.recv(10) == b""
        stays.sendall(b"\xc0\0")
        assert stays.recv(2) == b"\xd0\0"
        connect(b"a", b"two").close()
