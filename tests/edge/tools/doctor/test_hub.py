"""Hubs: real ones, and whatever else answers at an address that somebody typed."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge.config.options import Config, JetStream, LeafNodes, LeafRemote, LeafUrl
from edge.tools.doctor.hub import check_hubs

Told = Callable[[Any], list[str]]
INFO = {"server_id": "N", "server_name": "hub1", "version": "2.15.1", "headers": True, "max_payload": 1 << 20, "leafnode_urls": []}


def remote(port: int, host: str = "127.0.0.1", user: str = "") -> Config:
    url = LeafUrl(host, port, user, "secret")
    return Config(jetstream=JetStream(domain="barn"), leafnodes=LeafNodes((LeafRemote((url,)),)))


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], int]]:
    """``answering(data)``: a port where everyone is sent this, then the end."""
    threads: list[threading.Thread] = []

    def start(data: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=serve, args=(listener, data))
        thread.start()
        threads.append(thread)
        return int(listener.getsockname()[1])

    yield start
    for thread in threads:
        thread.join()


def serve(listener: socket.socket, data: bytes) -> None:
    with listener:
        listener.settimeout(60)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(data)


def test_a_real_hub(start_nats: Any, told: Told) -> None:
    hub = start_nats('server_name: hub1\nlisten: 127.0.0.1:-1\nleafnodes { listen: 127.0.0.1:-1, authorization { user: edge, password: s } }')
    port = hub.ports["leafnode"]
    (found,) = told(check_hubs(remote(port, user="edge")))
    assert found.startswith(f"OK hub: 127.0.0.1:{port}: hub1, nats-server 2.15.1, ") and found.endswith("ms, login as edge (not tried)")
    (found,) = told(check_hubs(remote(port)))
    assert found.startswith("OK") and found.endswith("ms, no login (not tried)")
    (found,) = told(check_hubs(remote(hub.port)))
    assert found == f"FAIL hub: 127.0.0.1:{hub.port}: hub1 takes clients there, no leafs -> give its leafnodes port, usually 7422"
    assert "secret" not in found


@pytest.mark.parametrize(
    ("info", "found"),
    [
        ({}, "OK"),
        ({"tls_required": True}, "FAIL"),
        ({"version": "2.8.4"}, "WARN"),
        ({"version": "2.10.0-RC.1"}, "OK"),
        ({"version": "dev"}, "OK"),
        ({"domain": "barn"}, "WARN"),
        ({"domain": "hub"}, "OK"),
        ({"server_name": "\x1b[31mred"}, "OK"),
    ],
)
def test_greetings(answering: Any, told: Told, info: dict[str, object], found: str) -> None:
    (text,) = told(check_hubs(remote(answering(b"INFO " + json.dumps(INFO | info).encode() + b"\r\n"))))
    assert text.startswith(f"{found} hub: ") and "\x1b" not in text


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "it closes at once"),
        (b"INFO {", "it closes at once"),
        (b"INFO {]\r\n", "its INFO cannot be read"),
        (b'INFO {"version": 2}\r\n', "its INFO cannot be read"),
        (b"INFO " + b"[" * 100_000 + b"\r\n", "its INFO cannot be read"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "what answers there is no nats-server"),
        (b"x" * (1 << 20), "what answers there is no nats-server"),
    ],
)
def test_what_is_no_hub(answering: Any, told: Told, data: bytes, found: str) -> None:
    (text,) = told(check_hubs(remote(answering(data))))
    assert text.startswith("FAIL hub: ") and found in text


def test_nobody_answers(told: Told, silent: int, free_port: Any) -> None:
    (found,) = told(check_hubs(remote(silent), timeout=0.1))
    assert "it says nothing" in found
    (found,) = told(check_hubs(remote(free_port())))
    assert "refused -> is the hub running" in found
    (found,) = told(check_hubs(remote(7422, host="no-such-hub.invalid")))
    assert "name is not found" in found or "no name server answers" in found
    (found,) = told(check_hubs(remote(7422, host="x" * 70)))
    assert found.startswith("FAIL")


def test_no_remotes(told: Told) -> None:
    assert told(check_hubs(Config())) == ["OK hub: no remotes in leafnodes: this edge stands alone"]
