"""The command lines with which tools and other people's test suites start nats-server, given to both."""

import json
import re
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE = 60.0
HOST = ("-a", "127.0.0.1")
Run = Callable[..., "Process"]
COMMANDS = {
    "edge": [sys.executable, "-m", "edge", "run"],
    "nats": [str(Path(sysconfig.get_path("scripts"), "nats-server"))],
}


class Process:
    def __init__(self, command: list[str], folder: Path) -> None:
        self.folder = folder
        self.log = folder / "stderr.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)

    def lines(self, file: Path | None = None) -> str:
        """Once the server is ready."""
        deadline = time.monotonic() + PATIENCE
        file = file or self.log
        while not file.exists() or "Server is ready" not in file.read_text():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)
        return file.read_text()

    def port(self, file: Path | None = None) -> int:
        found = re.search(r"Listening for client connections on 127\.0\.0\.1:(\d+)\n", self.lines(file))
        assert found
        return int(found.group(1))

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@pytest.fixture(params=["edge", "nats"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """``run(*flags)``: either server, in a folder of its own."""
    processes: list[Process] = []

    def run(*flags: str) -> Process:
        processes.append(Process([*COMMANDS[request.param], *flags], tmp_path))
        return processes[-1]

    yield run
    for process in processes:
        process.process.kill()
        process.process.wait()


@pytest.fixture
def talk(request: pytest.FixtureRequest) -> Callable[[int, str], bytes]:
    """CONNECT with these options and a PING: what comes back."""
    import socket

    def talk(port: int, options: str) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as wire:
            wire.sendall(f'CONNECT {{"verbose":false,{options}}}\r\nPING\r\n'.encode())
            said = b""
            while not said.endswith((b"PONG\r\n", b"'\r\n")):
                chunk = wire.recv(65536)
                assert chunk, said
                said += chunk
            return said.partition(b"\r\n")[2]

    return talk


@pytest.mark.parametrize(
    "flags",
    [
        ("-p", "-1"),
        ("--port=-1",),
        ("--port", "-1", "-D"),
        ("-p", "-1", "-DV", "-T=false"),
        ("-p", "-1", "-DVV", "--logtime_utc"),
        ("-p", "-1", "-V", "--max_traced_msg_len", "5"),
        ("-p", "-1", "-n", "name", "--client_advertise", "h:5"),
        ("-p", "-1", "--server_name=name"),
    ],
)
def test_starts(flags: tuple[str, ...], run: Run, talk: Callable[[int, str], bytes]) -> None:
    process = run(*HOST, *flags)
    assert talk(process.port(), '"pedantic":false') == b"PONG\r\n"
    lines = process.lines().splitlines()
    listening = [i for i, line in enumerate(lines) if "[INF] Listening for client connections on 127.0.0.1:" in line]
    assert lines[listening[0] + 1].endswith("[INF] Server is ready")
    assert process.end() == 0


def test_files(run: Run, tmp_path: Path) -> None:
    log, pid = tmp_path / "server.log", tmp_path / "server.pid"
    process = run(*HOST, "-p", "-1", "-l", str(log), "-P", str(pid), "--ports_file_dir", str(tmp_path))
    port = process.port(log)
    assert int(pid.read_text()) == process.process.pid
    (file,) = tmp_path.glob(f"*_{process.process.pid}.ports")
    while not file.read_text():  # nats-server writes it after it has made it
        pass
    assert json.loads(file.read_text()) == {"nats": [f"nats://127.0.0.1:{port}"]}
    assert process.end() == 0
    assert not file.exists()


@pytest.mark.parametrize(
    ("flags", "good", "bad"),
    [
        (("--user", "u", "--pass", "p"), '"user":"u","pass":"p"', '"user":"u","pass":"x"'),
        (("--auth", "t"), '"auth_token":"t"', '"auth_token":"x"'),
    ],
)
def test_who_may_come_in(
    flags: tuple[str, ...], good: str, bad: str, run: Run, talk: Callable[[int, str], bytes]
) -> None:
    port = run(*HOST, "-p", "-1", *flags).port()
    assert talk(port, good) == b"PONG\r\n"
    assert talk(port, bad) == b"-ERR 'Authorization Violation'\r\n"


def test_jetstream(run: Run, tmp_path: Path) -> None:
    process = run(*HOST, "-p", "-1", "-js", "-sd", str(tmp_path / "store"))
    assert re.search(r"\[INF\]   (Store Directory|Store Directory): +\"" + re.escape(str(tmp_path / "store")), process.lines())


def test_flags_go_over_the_file(run: Run, tmp_path: Path, talk: Callable[[int, str], bytes]) -> None:
    (tmp_path / "x.conf").write_text("listen: 127.0.0.1:1\nauthorization { token: t }\n")
    port = run("-c", str(tmp_path / "x.conf"), "-p", "-1", "--auth", "u").port()
    assert talk(port, '"auth_token":"u"') == b"PONG\r\n"


@pytest.mark.parametrize(
    "flags",
    [
        ("x.conf",),
        ("-c", "/no/such/file"),
        ("-t",),
        ("--tls",),
        ("--tlscert", "/no", "--tlskey", "/no"),
        ("-sl", "bogus"),
        ("-sl", "reload=/no/such/file"),
        ("--signal", "quit=4194305"),
    ],
)
def test_mistakes(flags: tuple[str, ...], run: Run) -> None:
    process = run(*HOST, *flags)
    assert process.process.wait(PATIENCE) != 0
    said = process.log.read_text()
    assert said and "Traceback" not in said


@pytest.mark.parametrize("flags", [("--bogus",), ("-p", "x"), ("-p",), ("-js=maybe",)])
def test_what_is_no_flag_is_one_line(flags: tuple[str, ...]) -> None:
    """nats-server prints how it is used, and ends with 0."""
    done = subprocess.run([*COMMANDS["edge"], *flags], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1 and done.stderr.startswith("petiole-edge: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("flag", ["-h", "--help", "-v", "--version", "--help_tls", "version", "help"])
def test_help(flag: str, run: Run) -> None:
    process = run(flag)
    assert process.process.wait(PATIENCE) == 0
    assert process.log.read_text()


def test_a_checked_configuration(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text("port: 4222 # nothing else\n")
    process = run("-t", "-c", "x.conf")
    assert process.process.wait(PATIENCE) == 0
    digest = "797533eb"  # of {"port":4222}
    assert re.fullmatch(rf"[a-z-]+: configuration file x.conf is valid \(sha256:{digest}[0-9a-f]+\)\n", process.log.read_text())


@pytest.mark.parametrize(
    "flags", [("--cluster", "nats://127.0.0.1:-1"), ("--routes", "nats://x:1"), ("--cluster_name", "c"), ("--no_advertise",)]
)
def test_clusters_are_the_hubs(flags: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run([*COMMANDS["edge"], *flags], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr == (
        f"petiole-edge: flag {flags[0]} is known to nats-server, but not supported here: clusters are the hub's\n"
    )


def test_profiling_is_taken_and_warned_about(tmp_path: Path) -> None:
    process = Process([*COMMANDS["edge"], *HOST, "-p", "-1", "--profile", "6060"], tmp_path)
    try:
        assert "[WRN] --profile is known to nats-server, has no effect here" in process.lines()
    finally:
        process.end()
