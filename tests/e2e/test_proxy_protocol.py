"""Clients behind a load balancer: the same headers to our server and to the real one."""

import json
import re
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

CONFIG = 'listen: 127.0.0.1:-1\nproxy_protocol: true\nping_interval: "100s"\n'
CONNECT = b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n'
PREFIX = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = b"\x01\x02\x03\x04\x05\x06\x07\x08\x11\x11\x10\x10"
V6 = bytes(15) + b"\x01" + bytes(16) + b"\x11\x11\x10\x10"
MAPPED = bytes(10) + b"\xff\xff\x01\x02\x03\x04" + bytes(16) + b"\x11\x11\x10\x10"


def binary(version_command: int, family: int, rest: bytes) -> bytes:
    return PREFIX + bytes([version_command, family]) + struct.pack("!H", len(rest)) + rest


HERE = "127.0.0.1"
HEADERS = [  # and the address that the client is known by; empty: closed
    (b"", HERE),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 1111 4222\r\n", "1.2.3.4"),
    (b"PROXY TCP6 2001:db8::1 ::1 1111 4222\r\n", "2001:db8::1"),
    (b"PROXY TCP6 ::ffff:1.2.3.4 ::1 11 1\r\n", "1.2.3.4"),
    (b"PROXY UNKNOWN\r\n", HERE),
    (b"PROXY UNKNOWN whatever it says\r\n", HERE),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 1111\r\n", ""),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 111111 1\r\n", ""),
    (b"PROXY TCP4 ::1 ::1 11 1\r\n", ""),
    (b"PROXY TCP6 1.2.3.4 ::1 11 1\r\n", ""),
    (b"PROXY UDP4 1.2.3.4 1.1.1.1 11 1\r\n", ""),
    (b"PROXY " + b"x" * 120 + b"\r\n", ""),
    (binary(0x21, 0x11, V4), "1.2.3.4"),
    (binary(0x21, 0x11, V4 + b"\x03\x00\x04abcd"), "1.2.3.4"),
    (binary(0x21, 0x21, V6), "::1"),
    (binary(0x21, 0x21, MAPPED), "1.2.3.4"),
    (binary(0x20, 0x00, b""), HERE),
    (binary(0x20, 0x00, b"abcd"), HERE),
    (binary(0x21, 0x01, b""), HERE),
    (binary(0x21, 0x00, b"abcd"), ""),
    (binary(0x21, 0x12, V4), ""),
    (binary(0x21, 0x31, bytes(216)), ""),
    (binary(0x21, 0x11, V4[:-1]), ""),
    (binary(0x31, 0x11, V4), ""),
    (binary(0x22, 0x11, V4), ""),
    (b"\r\n\r\n\x00\rxQUIT\n", ""),
]


def closed(wire: Any) -> bool:
    try:
        return not wire.expect_closed()
    except ConnectionError:
        return True


def client_ip(line: bytes) -> object:
    return json.loads(line[len(b"INFO ") :]).get("client_ip")


def known_by(wire: Any) -> object:
    wire.expect(rb"PONG\r\n")
    return client_ip(wire.expect(rb"INFO \{.*?\} \r\n"))


@pytest.mark.parametrize("piecewise", [False, True])
def test_headers(either: Callable[..., Any], piecewise: bool) -> None:
    server = either(CONFIG)
    for header, ip in HEADERS:
        wire = server.wire()
        assert client_ip(wire.info) is None  # it would be the load balancer's
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in [header + CONNECT] if not piecewise else [header[i : i + 5] for i in range(0, len(header), 5)]:
                wire.send(piece)
            if piecewise:
                wire.send(CONNECT)
        except ConnectionError:
            assert not ip, header
            continue
        assert (known_by(wire) == ip) if ip else closed(wire), header
        wire.close()


def test_begins_like_a_header(either: Callable[..., Any]) -> None:
    wire = either(CONFIG).wire()
    wire.send(b"PRO\r\n\r\n")
    wire.expect(rb"-ERR 'Unknown Protocol Operation'\r\n")


def test_in_front_of_tls(either: Callable[..., Any], authority: Any) -> None:
    pair = authority.server("behind")
    tls = f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}" }}\n'
    for rest in ("", "allow_non_tls: true\n"):
        server = either(CONFIG + tls + rest)
        for header, ip in HEADERS[:2] + HEADERS[12:17]:
            wire = server.wire()
            wire.send(header)
            wire.socket = authority.context().wrap_socket(wire.socket, server_hostname="localhost")
            wire.send(CONNECT)
            assert known_by(wire) == ip
            wire.close()
        wire = server.wire()
        wire.send(HEADERS[1][0] + CONNECT)
        assert known_by(wire) == "1.2.3.4" if rest else closed(wire)


def test_logs_name_the_client(start_edge: Callable[..., Any]) -> None:
    server = start_edge(CONFIG + "debug: true")
    wire = server.wire()
    wire.send(b"PROXY TCP4 1.2.3.4 5.6.7.8 1111 4222\r\n" + CONNECT)
    assert known_by(wire) == "1.2.3.4"
    server.wait_for_log("1.2.3.4:1111 - cid:")
    bad = server.wire()
    bad.send(HEADERS[6][0])
    assert closed(bad)
    text = server.log.read_text()
    assert re.search(r"\[WRN\] 127\.0\.0\.1:\d+ - cid:2 - PROXY header: expected a protocol", text), text


def test_nothing_comes(start_edge: Callable[..., Any]) -> None:
    """A port scanner holds its place for five seconds."""
    wire = start_edge(CONFIG).wire()
    assert closed(wire)


def test_an_abrupt_end_in_the_header(start_edge: Callable[..., Any]) -> None:
    server = start_edge(CONFIG)
    for size in (1, 5, 20):
        wire = server.wire()
        wire.send(HEADERS[1][0][:size])
        wire.close()
    wire = server.wire()
    wire.send(CONNECT)
    assert known_by(wire) == HERE
