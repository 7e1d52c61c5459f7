"""The commands as they are typed: each has its help and its place in the docs, a mistake is one line."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.cli import cli
from edge.tools import passwd

DOCS = Path(__file__).parents[2] / "docs" / "tools.md"
EDGE = [sys.executable, "-m", "edge"]


def edge(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*EDGE, *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_and_docs(name: str) -> None:
    assert cli.commands[name].help
    assert not cli.commands[name].get_short_help_str().endswith("...")
    assert f"petiole-edge {name}" in DOCS.read_text()


def test_the_costs_that_click_checks_are_those_of_bcrypt() -> None:
    assert (passwd.COST, passwd.MIN_COST, passwd.MAX_COST) == (11, 4, 31)


def test_the_daemon_loads_no_click() -> None:
    code = "import sys; sys.argv = ['x', 'run', '-v']\nimport edge.__main__\ntry: edge.__main__.main()\nexcept SystemExit: pass\nprint(sorted({'click', 'bcrypt', 'edge.cli', 'urllib.request'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("\n[]\n"), done.stdout + done.stderr


def test_versions() -> None:
    assert edge("version").stdout == edge("--version").stdout == edge("run", "-v").stdout


def test_check_takes_the_file_either_way(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.conf", tmp_path / "bad.conf"
    good.write_text("port: 4222\n")
    bad.write_text("porrt: 4222\n")
    for arguments in ((str(good),), ("-c", str(good)), ("-c", str(good), str(good))):
        done = edge("check", *arguments)
        assert done.returncode == 0 and f"{good} is valid" in done.stderr
    done = edge("check", str(bad))
    assert done.returncode == 1 and f"{bad}:1:" in done.stderr and "port" in done.stderr
    assert edge("check").returncode == 2 and edge("check", "-c", str(good), str(bad)).returncode == 2


@pytest.mark.parametrize("arguments", [("top", "-c", "/none"), ("report", "-c", "/none"), ("report", "--url", "gopher://x"), ("top", "--url", "127.0.0.1:1")])
def test_a_mistake_is_one_line(arguments: tuple[str, ...]) -> None:
    done = edge(*arguments)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("petiole-edge: ") and done.stderr.count("\n") == 1


def test_ctrl_c_is_quiet(silent: int) -> None:
    process = subprocess.Popen([*EDGE, "report", "--url", f"127.0.0.1:{silent}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # It has connected, so it waits for an answer.
    wait_for_connection(silent, process)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == (b"", b"") and process.returncode == 130


def wait_for_connection(port: int, process: Any) -> None:
    wanted = f"0100007F:{port:04X} 01"
    while wanted not in Path("/proc/net/tcp").read_text():
        assert process.poll() is None


@pytest.fixture
def silent() -> Any:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
