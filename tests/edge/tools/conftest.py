"""A real nats-server with monitoring, and clients whose numbers are known."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def tool(tmp_path: Any) -> Callable[..., Done]:
    """``tool("report", "all")``: petiole-edge with these arguments, to its end."""

    def run(*arguments: str, stdin: str = "", **options: Any) -> Done:
        command = [sys.executable, "-m", "edge", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, **options)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@pytest.fixture
def monitoring_url() -> Callable[[Any], str]:
    """As the log of a server has it."""

    def find(server: Any) -> str:
        found = re.search(r"Starting http monitor on ([\d.]+:\d+)", server.log.read_text())
        assert found, server.log.read_text()
        return f"http://{found.group(1)}"

    return find


@pytest.fixture
def start_monitored(start_nats: Callable[..., Any], monitoring_url: Callable[[Any], str]) -> Callable[..., tuple[Any, str]]:
    """A server and the URL of its monitoring."""

    def start(config: str = "", name: str = "nats") -> tuple[Any, str]:
        server = start_nats(f"server_name: oracle\nlisten: 127.0.0.1:-1\nhttp: 127.0.0.1:-1\n{config}", name)
        return server, monitoring_url(server)

    return start


@pytest.fixture
def login() -> Callable[[Any, str], Any]:
    """``login(server, name)``: a client that is logged in under the name."""

    def connect(server: Any, name: str) -> Any:
        wire = server.wire()
        wire.login(json.dumps({"verbose": False, "name": name, "lang": "raw", "version": "7"}))
        return wire

    return connect


@pytest.fixture
def silent() -> Iterator[int]:
    """A port whose listener accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])
