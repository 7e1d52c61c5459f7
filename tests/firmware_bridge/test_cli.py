"""The commands as their users type them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from firmware_bridge.cli import cli, default_journal


def petiole_bridge(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "firmware_bridge.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("words", "said"), [
    ("run --edge barn", "Missing option '--port'"),
    ("run --port /dev/null", "Missing option '--edge'"),
    ("run --port /dev/null --edge a.b", "cannot be a token"),
    ("run --port /dev/null --edge barn --baud fast", "'fast' is not a valid integer"),
    ("run --port /dev/null --edge barn --baud 9", "not in the range"),
    ("run --port /dev/null --edge barn --server nats://x:notaport", "'nats://x:notaport' is not as nats://"),
    ("run --port /dev/null --edge barn --server http://x", "is not as nats://"),
    ("run --port /dev/null --edge barn --server nats://", "is not as nats://"),
    ("run --port /dev/null --edge barn --server=", "is not as nats://"),
    ("simulate --port /dev/null --rate 0", "not in the range"),
])  # fmt: skip
def test_mistakes_are_one_line(words: str, said: str, tmp_path: Path) -> None:
    journal = ["--journal", str(tmp_path / "j.db")] if words.startswith("run") else []
    done = petiole_bridge(*words.split(), *journal)
    assert done.returncode != 0 and said in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr, done.stderr


def test_a_journal_that_cannot_be(tmp_path: Path) -> None:
    done = petiole_bridge("run", "--port", "/dev/null", "--edge", "barn", "--journal", str(tmp_path))
    assert done.returncode != 0 and "cannot open the journal" in done.stderr.splitlines()[-1], done.stderr


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_says_what_it_is(command: str) -> None:
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0 and cli.commands[command].help
    assert all(option.help for option in cli.commands[command].params if option.name != "help")  # type: ignore[attr-defined]


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, firmware_bridge.cli; print(sorted({'nats', 'serial', 'cbor2', 'aiosqlite'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_each_port_has_a_journal(monkeypatch: Any) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/petiole")
    assert default_journal("/dev/ttyUSB0") == "/var/lib/petiole/bridge-ttyUSB0.db"
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/x/state")
    assert default_journal("/dev/serial/by-id/usb-1") == "/home/x/state/petiole/bridge-usb-1.db"
