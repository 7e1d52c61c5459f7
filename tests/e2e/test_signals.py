"""Signals, and the command line that sends them: the same with both servers where both have them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]
PATIENCE = 60
LISTEN = "listen: 127.0.0.1:-1\n"
SOON = LISTEN + 'lame_duck_duration: "30s"\nlame_duck_grace_period: "10ms"\n'
ASYNC = '{"verbose":false,"pedantic":false,"protocol":1}'


def send(server: Any, number: signal.Signals) -> None:
    os.kill(server.process.pid, number)


@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupt")])
def test_a_clean_end(either: Start, number: signal.Signals, name: str) -> None:
    server = either(LISTEN)
    wire = server.wire()
    wire.login()
    send(server, number)
    wire.expect_closed()
    assert server.process.wait(PATIENCE) == 0
    lines = server.log.read_text()
    for line in (f'Trapped "{name}" signal', "Initiating Shutdown...", "Server Exiting.."):
        assert f"[INF] {line}\n" in lines


def test_lame_duck_mode_without_clients_is_the_end(either: Start) -> None:
    server = either(LISTEN)
    send(server, signal.SIGUSR2)
    assert server.process.wait(PATIENCE) == 0
    assert "[INF] Entering lame duck mode, stop accepting new clients" in server.log.read_text()


def test_lame_duck_mode(either: Start) -> None:
    server = either(SOON)
    knows, old, silent = server.wire(), server.wire(), server.wire()
    knows.send(f"CONNECT {ASYNC}\r\nPING\r\n".encode())
    knows.expect(rb"PONG\r\nINFO [^\r]*\r\n")
    old.login('{"verbose":false,"pedantic":false,"protocol":0}')
    silent.login('{"verbose":false,"pedantic":false,"protocol":0}')
    send(server, signal.SIGUSR2)
    info = json.loads(knows.expect(rb"INFO (\{.*?\}) ?\r\n")[5:])
    assert info["ldm"] is True
    assert knows.expect_closed() == b"" and old.expect_closed() == b"" and silent.expect_closed() == b""
    assert server.process.wait(PATIENCE) == 0
    lines = server.log.read_text()
    assert lines.index("Entering lame duck mode") < lines.index("Closing existing clients") < lines.index("Initiating Shutdown")


def test_lame_duck_mode_accepts_nobody_and_serves_who_is_here(either: Start) -> None:
    server = either(LISTEN)
    wire = server.wire()
    wire.login('{"verbose":false,"pedantic":false}')
    send(server, signal.SIGUSR2)
    server.wait_for_log("Entering lame duck mode")
    wire.send(b"SUB x 1\r\nPUB x 2\r\nhi\r\n")
    wire.expect(rb"(INFO [^\r]*\r\n)?MSG x 1 2\r\nhi\r\n")
    with pytest.raises(ConnectionRefusedError):
        server.wire()
    send(server, signal.SIGTERM)  # is on its way already
    server.wait_for_log('Trapped "terminated" signal')
    wire.send(b"PING\r\n")
    wire.expect(rb"PONG\r\n")
    send(server, signal.SIGINT)  # cuts it short
    wire.expect_closed()
    assert server.process.wait(PATIENCE) == 0


def test_a_log_that_was_moved_away(either: Start, tmp_path: Path) -> None:
    server = either(LISTEN)
    send(server, signal.SIGUSR1)
    server.wait_for_log("[INF] File log re-open ignored, not a file logger")
    wire = server.wire()
    wire.login()


# ---- petiole-edge run --signal


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "edge", "run", *arguments], capture_output=True, text=True, timeout=PATIENCE
    )


def test_signals_by_pid_and_pid_file(start_edge: Start, tmp_path: Path) -> None:
    server = start_edge(LISTEN + f"pid_file: '{tmp_path}/pid'\n")
    done = command("--signal", f"reload={server.process.pid}")
    assert (done.returncode, done.stderr) == (0, "")
    server.wait_for_log("Reloaded server configuration")
    assert command(f"-sl=reopen={tmp_path}/pid").returncode == 0
    server.wait_for_log("File log re-open ignored")
    assert command("-sl", f"quit={tmp_path}/pid").returncode == 0
    assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("bogus=1", "unknown signal 'bogus': expected one of stop, quit, term, reopen, reload, ldm"),
        ("reload=/no/such/file", "/no/such/file: expected a pid or the path of a pid file"),
        ("reload=4194305", "signal reload to process 4194305: No such process"),
    ],
)
def test_signals_to_nobody(expression: str, problem: str) -> None:
    done = command("-sl", expression)
    assert done.returncode == 1 and done.stderr == f"petiole-edge: {problem}\n"
