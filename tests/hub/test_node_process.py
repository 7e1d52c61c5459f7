import os
import signal
import sys
from pathlib import Path

import pytest

from hub.errors import HubError
from hub.node_process import NodeProcess, spawn


@pytest.fixture
def stubborn(tmp_path):
    """A process that ignores SIGTERM, started as a node is."""
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    program = tmp_path / "stubborn"
    program.write_text(
        f"#!{sys.executable}\n"
        "import signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(ready)!r}, 'w').close()\n"
        "signal.pause()\n"
    )
    program.chmod(0o755)
    process = spawn(program, "hub-1", tmp_path / "hub-1.conf", tmp_path / "hub-1.log")
    ready.read_bytes()  # blocks until the other end has set its signal handler
    yield process
    process.kill()


def test_pid_of_a_stranger_is_not_ours_and_not_touched(tmp_path):
    stranger = NodeProcess("hub-1", os.getpid(), tmp_path / "hub-1.conf")
    assert not stranger.alive()
    assert not stranger.signal(signal.SIGKILL)
    stranger.kill()
    stranger.end(0)


def test_pid_that_nobody_has(tmp_path):
    nobody = NodeProcess("hub-1", int(Path("/proc/sys/kernel/pid_max").read_text()) - 1, tmp_path / "hub-1.conf")
    assert not nobody.alive()


def test_longer_path_with_ours_in_front_is_a_stranger(stubborn):
    assert not NodeProcess("hub-1", stubborn.pid, Path(str(stubborn.config)[:-1])).alive()


def test_what_ignores_sigterm_is_killed(stubborn):
    assert stubborn.alive()
    stubborn.end(0.05)
    assert not stubborn.alive()


def test_killed_process_is_gone_when_kill_returns(stubborn):
    stubborn.kill()
    assert not stubborn.alive()
    assert not Path(f"/proc/{stubborn.pid}").exists()


def test_binary_that_is_none(tmp_path):
    with pytest.raises(HubError, match="cannot be started"):
        spawn(tmp_path / "absent", "hub-1", tmp_path / "hub-1.conf", tmp_path / "hub-1.log")
