"""Transcripts of the NATS client protocol, each on our server and on the real nats-server."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]

PLAIN = "listen: 127.0.0.1:-1"
USERS = """
listen: 127.0.0.1:-1
authorization {
  timeout: 1
  users = [
    { user: a, password: pa }
    { user: p, password: pp, permissions: { publish: { allow: ["ok.>"], deny: "ok.no" }, subscribe: { allow: ["in.>", "_INBOX.>"], deny: "in.no" } } }
  ]
}
"""


@pytest.fixture
def wire(either: Start) -> Any:
    return either(PLAIN).wire()


def test_info_has_what_clients_read(wire: Any) -> None:
    info = json.loads(wire.info[5:])
    assert {"server_id", "server_name", "version", "proto", "host", "port", "headers", "max_payload", "client_id"} <= set(info)
    assert info["max_payload"] == 1048576 and info["headers"] is True and info["client_ip"] == "127.0.0.1"


def test_second_info_after_the_first_pong(wire: Any) -> None:
    wire.send(b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n')
    info = json.loads(wire.expect(rb"PONG\r\nINFO (\{.*?\}) ?\r\n")[11:])
    assert info["connect_info"] is True and info["remote_account"] == "$G"


def test_publish_reaches_plain_and_one_of_each_queue(wire: Any) -> None:
    wire.login()
    wire.send(b"SUB a q 1\r\nSUB a q 2\r\nSUB a 3\r\nSUB a r 4\r\nPUB a 2\r\nhi\r\nPING\r\n")
    got = wire.expect(rb".*PONG\r\n")
    sids = re.findall(rb"MSG a (\d) 2\r\nhi\r\n", got)
    assert len(sids) == 3 and b"3" in sids and b"4" in sids and len({b"1", b"2"} & set(sids)) == 1


def test_verbs_in_any_case_and_any_run_of_blanks(wire: Any) -> None:
    wire.send(b"sub   foo\t 1\r\npub  foo \t 2\r\nhi\r\nping\r\n")
    wire.expect(rb"\+OK\r\n")
    got = wire.expect(rb".*PONG\r\n")
    assert b"MSG foo 1 2\r\nhi\r\n" in got and got.count(b"+OK") == 1


def test_verbose_answers_all_but_ping(wire: Any) -> None:
    wire.send(b'CONNECT {"verbose":true}\r\nSUB foo 1\r\nPUB bar 2\r\nhi\r\nUNSUB 1\r\nPING\r\n')
    wire.expect(rb"(\+OK\r\n){4}PONG\r\n")


def test_connect_with_nothing_said_is_verbose(wire: Any) -> None:
    wire.send(b"CONNECT {}\r\nPING\r\n")
    wire.expect(rb"\+OK\r\nPONG\r\n")


@pytest.mark.parametrize(
    ("pattern", "subject", "hit"),
    [
        ("a.*", "a.b", True), ("a.*", "a.b.c", False), ("a.*", "a", False), ("a.>", "a.b.c", True), ("a.>", "a", False),
        (">", "x.y", True), ("*.b", "a.b", True), ("*", "a.b", False), ("a*", "ab", False), ("a*", "a*", True),
        ("A.b", "a.b", False), ("*.*.>", "a.b.c", True), ("*.*.>", "a.b", False),
    ],
)  # fmt: skip
def test_matching(wire: Any, pattern: str, subject: str, hit: bool) -> None:
    wire.login()
    wire.send(f"SUB {pattern} 7\r\nPUB {subject} 1\r\nx\r\nPING\r\n".encode())
    got = wire.expect(rb".*?PONG\r\n")
    assert (b"MSG" in got) is hit


def test_unsubscribe_after_a_number_counts_from_the_beginning(wire: Any) -> None:
    wire.login()
    wire.send(b"SUB foo 1\r\nPUB foo 1\r\na\r\nUNSUB 1 2\r\nPUB foo 1\r\nb\r\nPUB foo 1\r\nc\r\nPING\r\n")
    wire.expect(rb"MSG foo 1 1\r\na\r\nMSG foo 1 1\r\nb\r\nPONG\r\n")
    wire.send(b"SUB foo 2\r\nPUB foo 1\r\nd\r\nPUB foo 1\r\ne\r\nUNSUB 2 1\r\nPUB foo 1\r\nf\r\nUNSUB 99\r\nPING\r\n")
    wire.expect(rb"MSG foo 2 1\r\nd\r\nMSG foo 2 1\r\ne\r\nPONG\r\n")


def test_no_echo_keeps_own_messages_away_even_in_a_queue(either: Start) -> None:
    server = either(PLAIN)
    quiet, other = server.wire(), server.wire()
    quiet.login('{"verbose":false,"echo":false}')
    other.login()
    other.send(b"SUB a q 1\r\nPING\r\n")
    other.expect(rb"PONG\r\n")
    quiet.send(b"SUB a q 1\r\nSUB a 2\r\n" + b"PUB a 1\r\nx\r\n" * 5 + b"PING\r\n")
    quiet.expect(rb"PONG\r\n")
    other.expect(rb"(MSG a 1 1\r\nx\r\n){5}")


def test_no_responders(wire: Any) -> None:
    wire.login()
    wire.send(b"SUB i 1\r\nPUB none i 1\r\nx\r\nPING\r\n")
    wire.expect(rb"HMSG i 1 36 36\r\nNATS/1.0 503\r\nNats-Subject: none\r\n\r\n\r\nPONG\r\n")


def test_headers_pass_and_are_dropped_for_who_takes_none(either: Start) -> None:
    server = either(PLAIN)
    modern, plain = server.wire(), server.wire()
    modern.login()
    plain.login('{"verbose":false,"headers":false}')
    plain.send(b"SUB h 1\r\nPING\r\n")
    plain.expect(rb"PONG\r\n")
    for _ in range(3):  # the third time by a finished route, if there is one
        modern.send(b"SUB h 1\r\nHPUB h r 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\nPING\r\n")
        modern.expect(rb"HMSG h 1 r 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\nPONG\r\n")
        plain.expect(rb"MSG h 1 r 2\r\nhi\r\n")


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (b"FOO bar\r\n", rb"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"PUB a 2\r\nhixx\r\n", rb"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"PUB a x\r\n", rb""),
        (b"HPUB a 30 20\r\n", rb""),
        (b"SUB\r\n", rb"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"SUB a\r\n", rb""),
        (b"PUB\r\n", rb"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"PUB a\r\n", rb""),
        (b"PUB a 1 2 3\r\n", rb""),
        (b"UNSUB\r\n", rb"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"CONNECT\r\n", rb""),
        (b"CONNECT {\r\n", rb""),
        (b'CONNECT {"verbose":3}\r\n', rb""),
        (b"CONNECT []\r\n", rb""),
        (b"\r\n", rb"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"PUB a 1048577\r\n", rb"-ERR 'Maximum Payload Violation'\r\n"),
        (b"PUB " + b"a" * 5000 + b" 1\r\nx\r\n", rb"-ERR 'maximum control line exceeded'\r\n"),
        (b'CONNECT {"no_responders":true,"headers":false}\r\n', rb"(-ERR 'no responders requires headers support'\r\n)"),
    ],
)  # fmt: skip
def test_a_fault_closes_with_the_protocols_error(either: Start, fault: bytes, answer: bytes) -> None:
    server = either(PLAIN)
    bad, good = server.wire(), server.wire()
    bad.login()
    good.login()
    bad.send(fault)
    rest = bad.expect_closed()
    assert re.fullmatch(rb"(INFO [^\r]*\r\n)?" + answer, rest), rest
    good.send(b"SUB x 1\r\nPUB x 1\r\ny\r\n")
    good.expect(rb"(INFO [^\r]*\r\n)?MSG x 1 1\r\ny\r\n")


def test_what_the_server_overlooks(wire: Any) -> None:
    wire.login()
    wire.send(b"SUB a 1\r\nUNSUB 1 x\r\nPUB a 1\r\nx\r\nPINGX\r\n")
    wire.expect(rb"PONG\r\n")


@pytest.mark.parametrize("subject", ["foo..bar", "foo.>.bar", ".a", "a."])
def test_a_bad_subscription_keeps_the_connection(wire: Any, subject: str) -> None:
    wire.login()
    wire.send(f"SUB {subject} 1\r\nPING\r\n".encode())
    wire.expect(rb"-ERR 'Invalid Subject'\r\nPONG\r\n")


def test_publish_to_a_wildcard_is_refused_only_when_pedantic(wire: Any) -> None:
    wire.login()
    wire.send(b'PUB a.* 1\r\nx\r\nCONNECT {"verbose":false,"pedantic":true}\r\nPUB a.* 1\r\nx\r\nPING\r\n')
    wire.expect(rb"-ERR 'Invalid Publish Subject'\r\nPONG\r\n")


def test_wrong_password_and_none(either: Start) -> None:
    server = either(USERS)
    wrong = server.wire()
    wrong.send(b'CONNECT {"user":"a","pass":"no"}\r\nPING\r\n')
    assert wrong.expect_closed() == b"-ERR 'Authorization Violation'\r\n"
    none = server.wire()
    none.send(b"PUB a 1\r\nx\r\n")
    assert none.expect_closed() == b"-ERR 'Authorization Violation'\r\n"
    silent = server.wire()
    assert silent.expect_closed() == b"-ERR 'Authentication Timeout'\r\n"


def test_permissions(either: Start) -> None:
    server = either(USERS)
    limited, free = server.wire(), server.wire()
    limited.login('{"user":"p","pass":"pp","verbose":false}')
    free.login('{"user":"a","pass":"pa","verbose":false}')
    limited.send(b"PUB bad.x 1\r\nx\r\nPUB ok.no 1\r\nx\r\nSUB out.x 1\r\nSUB in.> 2\r\nPING\r\n")
    limited.expect(
        rb"-ERR 'Permissions Violation for Publish to \"bad.x\"'\r\n"
        rb"-ERR 'Permissions Violation for Publish to \"ok.no\"'\r\n"
        rb"-ERR 'Permissions Violation for Subscription to \"out.x\"'\r\nPONG\r\n"
    )
    free.send(b"PUB in.no 1\r\nx\r\nPUB in.yes 1\r\ny\r\n" * 3 + b"PING\r\n")
    free.expect(rb"PONG\r\n")
    limited.expect(rb"(MSG in.yes 2 1\r\ny\r\n){3}")


CONVERSATION = (
    b'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\nSUB a.* 1\r\n'
    b"PUB a.b 5\r\nhello\r\nPUB a.b 5\r\nhello\r\nPUB a.b 5\r\nhello\r\nPUB a.b 5\r\nPUB a\r\n"
    b"HPUB a.c r.1 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\nPUB a.b 0\r\n\r\nPING\r\n"
)
ANSWER = (
    b"MSG a.b 1 5\r\nhello\r\n" * 3 + b"MSG a.b 1 5\r\nPUB a\r\n"
    b"HMSG a.c 1 r.1 18 20\r\nNATS/1.0\r\nK: V\r\n\r\nhi\r\nMSG a.b 1 0\r\n\r\nPONG\r\n"
)  # fmt: skip


def test_split_anywhere(either: Start) -> None:
    server = either(PLAIN)
    for step in (1, 2, 3, 7, 11, 50):
        wire = server.wire()
        for at in range(0, len(CONVERSATION), step):
            wire.send(CONVERSATION[at : at + step])
        wire.expect(re.escape(ANSWER))


def test_a_long_payload_arrives_whole(wire: Any) -> None:
    wire.login()
    body = bytes(range(256)) * 4096
    wire.send(b"SUB big 1\r\nPUB big %d\r\n%b\r\nPING\r\n" % (len(body), body))
    wire.expect(rb"MSG big 1 1048576\r\n" + re.escape(body) + rb"\r\nPONG\r\n")


def test_trace_shows_the_protocol_but_no_password(start_edge: Start) -> None:
    server = start_edge(PLAIN + "\ntrace: true\ndebug: true")
    wire = server.wire()
    wire.login('{"verbose":false,"user":"u","pass":"secret"}')
    wire.send(b"SUB a 1\r\nPUB a 2\r\nhi\r\n")
    wire.expect(rb"MSG a 1 2\r\nhi\r\n")
    server.wait_for_log("<<- [PUB a 2]")
    server.wait_for_log("->> [MSG a 1 2]")
    assert "secret" not in server.log.read_text()
