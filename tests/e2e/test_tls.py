"""TLS on the listeners of NATS and MQTT clients: the same transcripts on our server and on the real one."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

PATIENCE = 60.0
CONNECT = b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n'


def tls(pair: Any, *more: str) -> str:
    return f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}", {", ".join(("timeout: 0.5", *more))} }}\n'


def clients(pair: Any, *more: str, rest: str = "") -> str:
    return f"listen: 127.0.0.1:-1\n{tls(pair, *more)}{rest}\n"


def encrypt(wire: Any, context: ssl.SSLContext) -> Any:
    wire.socket = context.wrap_socket(wire.socket, server_hostname="localhost")
    return wire


def info(line: bytes) -> dict[str, object]:
    """What of INFO is about TLS and about who is there."""
    fields = json.loads(line[len(b"INFO ") :])
    wanted = ("tls_required", "tls_verify", "tls_available", "client_ip", "connect_info")
    return {name: fields[name] for name in wanted if name in fields}


def login(wire: Any) -> dict[str, object]:
    """CONNECT, PING; what the INFO after PONG says."""
    wire.send(CONNECT)
    wire.expect(rb"PONG\r\n")
    return info(wire.expect(rb"INFO \{.*?\} \r\n"))


def ends(wire: Any) -> bool:
    """Closed, with or without an alert; and not a word in plain."""
    try:
        return bool(re.fullmatch(rb"(\x15\x03.*)?", wire.expect_closed(), re.DOTALL))
    except (ssl.SSLError, ConnectionError):
        return True


@pytest.fixture(scope="module")
def server_pair(authority: Any) -> Any:
    return authority.server()


@pytest.fixture(scope="module")
def derek(authority: Any) -> Any:
    return authority.make("derek")


# ---- clients


def test_required(either: Callable[..., Any], authority: Any, server_pair: Any) -> None:
    server = either(clients(server_pair))
    server.wait_for_log("TLS required for client connections")
    wire = server.wire()
    assert info(wire.info) == {"tls_required": True, "client_ip": "127.0.0.1"}
    assert login(encrypt(wire, authority.context())) == {
        "tls_required": True, "client_ip": "127.0.0.1", "connect_info": True,
    }  # fmt: skip
    for begin in (CONNECT, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", bytes(300), b""):
        other = server.wire()
        other.send(begin)
        assert ends(other), begin
    wire.send(b"SUB a 1\r\nPUB a 5\r\nhello\r\n")
    wire.expect(rb"MSG a 1 5\r\nhello\r\n")


def test_large_messages_in_both_directions(either: Callable[..., Any], authority: Any, server_pair: Any) -> None:
    server = either(clients(server_pair))
    wire = encrypt(server.wire(), authority.context())
    login(wire)
    body = os.urandom(700_000).replace(b"\r", b".")
    wire.send(b"SUB a 1\r\n")
    for _ in range(3):
        wire.send(b"PUB a %d\r\n%b\r\n" % (len(body), body))
        assert wire.expect(rb"MSG a 1 700000\r\n.{700000}\r\n")[-len(body) - 2 : -2] == body


def test_available(either: Callable[..., Any], authority: Any, server_pair: Any) -> None:
    server = either(clients(server_pair, rest="allow_non_tls: true"))
    server.wait_for_log("TLS available for client connections")
    available = {"tls_available": True, "client_ip": "127.0.0.1"}
    encrypted, plain, late = server.wire(), server.wire(), server.wire()
    assert info(encrypted.info) == info(plain.info) == available
    assert login(encrypt(encrypted, authority.context())) == available | {"connect_info": True}
    assert login(plain) == available | {"connect_info": True}
    late.socket.settimeout(0.7)  # longer than a TLS client is waited for
    with contextlib.suppress(TimeoutError):
        late.received += late.socket.recv(4096)
    late.socket.settimeout(PATIENCE)
    late.send(CONNECT)
    late.expect(rb"(PING\r\n)?PONG\r\n")


def test_handshake_first(either: Callable[..., Any], authority: Any, server_pair: Any) -> None:
    server = either(clients(server_pair, "handshake_first: true"))
    server.wait_for_log('Clients that are not using "TLS Handshake First" option will fail to connect')
    wire = encrypt(server.wire(greet=False), authority.context())
    assert info(wire.expect(rb"INFO \{.*?\} \r\n")) == {"tls_required": True, "client_ip": "127.0.0.1"}
    login(wire)
    assert server.wire(greet=False).expect_closed() == b""  # waits for an INFO that does not come


@pytest.mark.parametrize("allow_plain", [False, True])
def test_handshake_first_with_a_fallback(
    either: Callable[..., Any], authority: Any, server_pair: Any, allow_plain: bool
) -> None:
    rest = "allow_non_tls: true" if allow_plain else ""
    server = either(clients(server_pair, "handshake_first: auto", rest=rest))
    said: dict[str, object] = {"tls_available": True} if allow_plain else {"tls_required": True}
    wire = encrypt(server.wire(greet=False), authority.context())
    assert info(wire.expect(rb"INFO \{.*?\} \r\n")) == said | {"tls_required": True, "client_ip": "127.0.0.1"}
    assert login(wire) == said | {"client_ip": "127.0.0.1", "connect_info": True}
    second = server.wire()
    assert info(second.info) == said | {"client_ip": "127.0.0.1"}
    login(encrypt(second, authority.context()))
    plain = server.wire()
    plain.send(CONNECT)
    if allow_plain:
        plain.expect(rb"PONG\r\n")
    else:
        assert ends(plain)


def test_verify(either: Callable[..., Any], authority: Any, server_pair: Any, derek: Any) -> None:
    server = either(clients(server_pair, "verify: true", f'ca_file: "{authority.file}"'))
    wire = server.wire()
    assert info(wire.info) == {"tls_required": True, "tls_verify": True, "client_ip": "127.0.0.1"}
    login(encrypt(wire, authority.context(derek)))
    for pair in (None, authority.make("stranger", stranger=True)):
        other = server.wire()
        try:
            encrypt(other, authority.context(pair))
            other.send(CONNECT)
        except (ssl.SSLError, ConnectionError):  # in TLS 1.3 the client may be ready before it is refused
            continue
        assert ends(other)


def test_pinned_certificates(either: Callable[..., Any], authority: Any, server_pair: Any, derek: Any) -> None:
    known = ("verify: true", f'ca_file: "{authority.file}"', f'pinned_certs: ["{derek.public_key_sha256.upper()}"]')
    server = either(clients(server_pair, *known))
    login(encrypt(server.wire(), authority.context(derek)))
    assert ends(encrypt(server.wire(), authority.context(authority.make("other"))))


def test_versions_and_suites(either: Callable[..., Any], authority: Any, server_pair: Any) -> None:
    suite = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    server = either(clients(server_pair, f"cipher_suites: [{suite}]"))
    wire = encrypt(server.wire(), authority.context(maximum_version=ssl.TLSVersion.TLSv1_2))
    login(wire)
    assert wire.socket.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"
    newer = either(clients(server_pair, 'min_version: "1.3"', "curve_preferences: [CurveP384]"))
    wire = encrypt(newer.wire(), authority.context())
    login(wire)
    assert wire.socket.version() == "TLSv1.3"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        encrypt(newer.wire(), authority.context(maximum_version=ssl.TLSVersion.TLSv1_2))


def test_several_certificates(either: Callable[..., Any], authority: Any) -> None:
    """The one that is made out to the name a client asks for."""
    from cryptography.x509 import DNSName

    pairs = [authority.make(f"{name}.example", DNSName(f"{name}.example")) for name in ("one", "two")]
    block = ", ".join(f'{{ cert_file: "{pair.cert}", key_file: "{pair.key}" }}' for pair in pairs)
    server = either(f"listen: 127.0.0.1:-1\ntls {{ certs: [ {block} ] }}")
    for name in ("one", "two"):
        wire = server.wire()
        wire.socket = authority.context().wrap_socket(wire.socket, server_hostname=f"{name}.example")
        login(wire)


def test_a_new_certificate_without_dropping_clients(either: Callable[..., Any], authority: Any) -> None:
    pair = authority.server("renewed")
    server = either(clients(pair))

    def serial(wire: Any) -> object:
        return wire.socket.getpeercert()["serialNumber"]

    before = encrypt(server.wire(), authority.context())
    login(before)
    authority.server("renewed")
    begin = len(server.log.read_text())
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("Reloaded server configuration", begin)
    after = encrypt(server.wire(), authority.context())
    login(after)
    assert serial(before) != serial(after)
    before.send(b"PING\r\n")
    before.expect(rb"PONG\r\n")


def test_a_broken_certificate_leaves_the_one_from_before(either: Callable[..., Any], authority: Any) -> None:
    pair = authority.server("broken")
    server = either(clients(pair))
    Path(pair.cert).write_text("nothing")
    begin = len(server.log.read_text())
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("[ERR]", begin)
    login(encrypt(server.wire(), authority.context()))


def test_connection_rate_limit(either: Callable[..., Any], authority: Any, server_pair: Any) -> None:
    server = either(clients(server_pair, "connection_rate_limit: 3"))
    refused = 0
    for _ in range(10):
        wire = server.wire()
        try:
            encrypt(wire, authority.context())
        except (ssl.SSLError, ConnectionError):
            refused += 1
        else:
            login(wire)
    assert refused


def test_a_flood_of_half_open_handshakes_ends(start_edge: Callable[..., Any], authority: Any, server_pair: Any) -> None:
    """More than may be under way at a time: the others come in when these have been given up."""
    server = start_edge(clients(server_pair))
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(1200)]
    login(encrypt(server.wire(), authority.context()))
    for one in held:
        one.close()


def test_nats_py(either: Callable[..., Any], authority: Any, server_pair: Any, derek: Any) -> None:
    server = either(clients(server_pair, "verify: true", f'ca_file: "{authority.file}"', "handshake_first: auto"))

    async def main() -> None:
        for first in (False, True):
            client = await nats.connect(
                f"tls://localhost:{server.port}", tls=authority.context(derek), tls_handshake_first=first
            )
            replies = await client.subscribe("a")
            await client.publish("a", b"x" * 100_000)
            assert len((await replies.next_msg(PATIENCE)).data) == 100_000
            await client.close()

    asyncio.run(main())


# ---- MQTT


def mqtt_config(pair: Any, folder: Path, *more: str, rest: str = "") -> str:
    return (
        f'listen: 127.0.0.1:-1\nserver_name: here\njetstream {{ store_dir: "{folder}" }}\n'
        f"mqtt {{ listen: 127.0.0.1:-1\n{tls(pair, *more)} }}\n{rest}\n"
    )


MQTT_CONNECT = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd"


def mqtt_wire(server: Any) -> Any:
    wire = server.wire(greet=False)
    wire.close()
    wire.socket = socket.create_connection(("127.0.0.1", server.ports["mqtt"]), timeout=PATIENCE)
    return wire


def test_mqtt(either: Callable[..., Any], authority: Any, server_pair: Any, tmp_path: Path) -> None:
    server = either(mqtt_config(server_pair, tmp_path))
    server.wait_for_log("Listening for MQTT clients on tls://")
    wire = encrypt(mqtt_wire(server), authority.context())
    wire.send(MQTT_CONNECT)
    wire.expect(rb"\x20\x02\x00\x00")
    plain = mqtt_wire(server)
    plain.send(MQTT_CONNECT)
    assert ends(plain)


def test_mqtt_with_and_without(either: Callable[..., Any], authority: Any, server_pair: Any, tmp_path: Path) -> None:
    server = either(mqtt_config(server_pair, tmp_path, rest="allow_non_tls: true"))
    for wire in (encrypt(mqtt_wire(server), authority.context()), mqtt_wire(server)):
        wire.send(MQTT_CONNECT)
        wire.expect(rb"\x20\x02\x00\x00")


def test_paho(either: Callable[..., Any], authority: Any, server_pair: Any, derek: Any, tmp_path: Path) -> None:
    server = either(mqtt_config(server_pair, tmp_path, "verify: true", f'ca_file: "{authority.file}"'))
    nats_wire = server.wire()
    nats_wire.login()
    nats_wire.send(b"SUB sensors.> 1\r\nPING\r\n")
    nats_wire.expect(rb"PONG\r\n")
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="sensor")
    client.tls_set_context(authority.context(derek))
    client.connect("localhost", server.ports["mqtt"])
    client.loop_start()
    client.publish("sensors/one", b"21.5", qos=1).wait_for_publish(PATIENCE)
    nats_wire.expect(rb"H?MSG sensors\.one 1 .*?21\.5\r\n")
    client.disconnect()
    client.loop_stop()
