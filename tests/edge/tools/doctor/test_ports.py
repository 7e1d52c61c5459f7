"""Ports that are free, held by the server itself, or by somebody else."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config.load import load_config
from edge.config.options import Config
from edge.flags import Flags
from edge.tools.doctor.machine import Machine
from edge.tools.doctor.ports import check_ports

Told = Callable[[Any], list[str]]


@pytest.fixture
def configure(tmp_path: Path) -> Callable[[str], Config]:
    def load(text: str) -> Config:
        (tmp_path / "edge.conf").write_text(text)
        return load_config(str(tmp_path / "edge.conf"), Flags(), {})

    return load


def test_free_ports(configure: Any, told: Told, free_port: Any) -> None:
    a, b = free_port(), free_port()
    config = configure(f"listen: 127.0.0.1:{a}\nhttp: 127.0.0.1:{b}\nmqtt {{ listen: 127.0.0.1:-1 }}\nserver_name: x\njetstream {{ store_dir: x }}")
    assert told(check_ports(Machine(), config, None)) == [
        f"OK ports: clients 127.0.0.1:{a}: free", "OK ports: mqtt 127.0.0.1: any free port", f"OK ports: http 127.0.0.1:{b}: free",
    ]  # fmt: skip


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_port_that_somebody_else_has(configure: Any, told: Told, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (found,) = told(check_ports(Machine(), configure(f"listen: {host}:{port}"), None))
        assert found.startswith(f"FAIL ports: clients {host}:{port}: in use by ") and f"pid {os.getpid()} -> end it" in found
        (found,) = told(check_ports(Machine(), configure(f"listen: {host}:{port}"), os.getpid()))
        assert found == f"OK ports: clients {host}:{port}: held by petiole-edge, pid {os.getpid()}"


def test_a_holder_that_is_not_told(configure: Any, told: Told, model: Any) -> None:
    model.put("/proc/net/tcp", "head\n 0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 77 1\n 1: 0100007F:1F91 00000000:0000 01 0:0 00:0 0 0 0 78 1\n")
    (found,) = told(check_ports(model, configure("listen: 127.0.0.1:8080"), None))
    assert found == "WARN ports: clients 127.0.0.1:8080: in use, this user is not told by whom -> run doctor as root (sudo)"
    assert told(check_ports(model, configure("listen: 127.0.0.1:8081"), None)) == ["OK ports: clients 127.0.0.1:8081: free"]


def test_a_server_that_was_started_with_another_configuration(configure: Any, told: Told, free_port: Any) -> None:
    (found,) = told(check_ports(Machine(), configure(f"listen: 127.0.0.1:{free_port()}"), 5))
    assert found.startswith("WARN") and "pid 5) does not listen there -> " in found


def test_two_listeners_on_one_port(configure: Any, told: Told, free_port: Any) -> None:
    port = free_port()
    found = told(check_ports(Machine(), configure(f"listen: 127.0.0.1:{port}\nhttp: 127.0.0.1:{port}"), None))
    assert found[1] == f"FAIL ports: http 127.0.0.1:{port}: clients is to listen there too -> give http or clients another port"


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "[2001:db8::1]"])
def test_an_address_of_another_machine(configure: Any, told: Told, host: str) -> None:
    (found,) = told(check_ports(Machine(), configure(f'listen: "{host}:4222"'), None))
    assert found.startswith(f"FAIL ports: clients {host}:4222: ") and "is no address" in found


def test_a_system_without_proc(configure: Any, told: Told, model: Any) -> None:
    (found,) = told(check_ports(model, configure("listen: 127.0.0.1:4222"), None))
    assert found.startswith("WARN") and "does not say who listens" in found
