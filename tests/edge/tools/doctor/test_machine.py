"""What this Linux says of itself, against what is known of it; and what is not there."""

import fcntl
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from edge.tools.doctor.machine import Machine, is_edge, process_name


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_listening_socket_and_its_holder(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip(f"no {address} here")
    with listener:
        machine = Machine()
        (found,) = [each for each in machine.listening() or () if each.port == listener.getsockname()[1]]
        assert found.address == address
        assert machine.holder_of(found.inode) == os.getpid()
    assert machine.holder_of("0") is None


def test_a_lock_and_its_holder(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        assert Machine().locker_of(str(tmp_path / "lock")) is None
        fcntl.flock(file, fcntl.LOCK_EX)
        assert Machine().locker_of(str(tmp_path / "lock")) == os.getpid()
    assert Machine().locker_of(str(tmp_path / "none")) is None


def test_this_process() -> None:
    machine = Machine()
    assert machine.command_line(os.getpid()) and machine.owner_of(os.getpid()) == os.geteuid()
    assert machine.open_files(os.getpid()) == machine.open_files(None)
    assert machine.command_line(2**30) == [] and machine.owner_of(2**30) is None and machine.open_files(2**30) is None


def test_the_mount_of_a_folder(model: Any, tmp_path: Path) -> None:
    assert Machine().mount_of("/proc").kind == "proc"  # type: ignore[union-attr]
    (tmp_path / "my disk").mkdir()
    model.put(
        "/proc/self/mountinfo",
        f"21 1 8:1 / / rw,noatime - ext4 /dev/root rw,data=ordered\n"
        f"30 21 8:2 / {tmp_path / 'my disk'!s} rw - vfat /dev/sda1 rw\n".replace("my disk", "my\\040disk")
        + f"31 21 0:9 / {tmp_path}/my ro - tmpfs tmpfs ro\nnonsense\n",
    )
    assert model.mount_of(str(tmp_path / "my disk" / "x")).kind == "vfat"
    assert model.mount_of(str(tmp_path / "other")).options == {"rw", "noatime", "data=ordered"}
    assert Machine(str(tmp_path)).mount_of("/") is None


def test_nothing_is_said(tmp_path: Path) -> None:
    machine = Machine(str(tmp_path))
    assert machine.listening() is None and machine.read("/proc/meminfo") is None and machine.number("/x") is None
    assert machine.holder_of("1") is None


def test_programs() -> None:
    assert Machine().run("echo", "a b") == "a b\n"
    assert Machine().run("false") is None and Machine().run("no-such-program-here") is None


def test_the_clock_is_only_looked_at() -> None:
    assert Machine().clock_is_kept() in (True, False, None)


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("/opt/petiole/bin/python3 /opt/petiole/bin/petiole-edge run -c x", True),
        ("petiole-edge run", True),
        ("python -m edge run -p -1", True),
        ("petiole-edge doctor", False),
        ("nats-server -c run", False),
        ("vi run edge", False),
        ("", False),
    ],
)
def test_which_process_is_ours(line: str, known: bool) -> None:
    assert is_edge(line.split()) is known


def test_the_name_of_a_process() -> None:
    assert process_name(["/usr/sbin/mosquitto", "-c"]) == "mosquitto" and process_name([]) == "?"
