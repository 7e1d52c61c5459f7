"""The C library, compiled, on a real pseudo-terminal; the other end is frames written by hand."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from firmware_bridge.device_build import FLAGS, DeviceBuildError, build_host_device, device_sources
from firmware_bridge.frame import Ack, Command, Data, Frame, FrameReader, Hello, Result, Who, encode
from firmware_bridge.payload import CommandCall, read_identity, read_result, read_telemetry, write_command

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here: the C library is not tested")

F = TypeVar("F", bound=Frame)


class Peer:
    """The bridge's end of the line, frame by frame."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.reader = FrameReader()
        self.frames: list[Frame] = []

    def send(self, *frames: Frame) -> None:
        os.write(self.fd, b"".join(map(encode, frames)))

    def collect(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.pump()
            time.sleep(0.005)

    def pump(self) -> None:
        try:
            self.frames += self.reader.receive(os.read(self.fd, 65536))
        except BlockingIOError:
            pass

    def wait_for(self, kind: type[F], fits: Callable[[F], bool] = lambda frame: True) -> F:
        """The next frame of this kind that fits; the others are forgotten."""
        deadline = time.monotonic() + 15
        while True:
            while self.frames:
                frame = self.frames.pop(0)
                if isinstance(frame, kind) and fits(frame):
                    return frame
            assert time.monotonic() < deadline, f"no {kind.__name__}"
            self.pump()
            time.sleep(0.002)

    def greet(self, sid: int = 7, window: int = 4) -> Hello:
        self.send(Who())
        hello = self.wait_for(Hello)
        self.send(Hello(sid, hello.boot, hello.base, window, b"\xa0"))
        return hello


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build_host_device(tmp_path_factory.mktemp("device")))


@pytest.fixture
def start(program: str, cable: Any) -> Iterator[Callable[..., tuple[Peer, "subprocess.Popen[bytes]"]]]:
    started: list[tuple[Peer, subprocess.Popen[bytes]]] = []

    def start(*options: str, executable: str = program) -> tuple[Peer, "subprocess.Popen[bytes]"]:
        process = subprocess.Popen([executable, cable.b, "--name", "pump", *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        started.append((Peer(cable.a), process))
        return started[-1]

    yield start
    for peer, process in started:
        process.kill()
        process.communicate()
        os.close(peer.fd)


def seqs(frames: list[Frame]) -> list[int]:
    return [frame.seq for frame in frames if isinstance(frame, Data)]


def test_it_says_who_it_is_until_it_is_answered(start: Any) -> None:
    peer, _ = start("--boot", "0x01020304")
    first, second = peer.wait_for(Hello), peer.wait_for(Hello)
    assert first.boot == second.boot == 0x01020304 and first.base == 1 and first.sid == 0
    identity = read_identity(first.payload)
    assert identity.name == "pump" and identity.firmware == "host-1.0"


def test_the_window_is_respected_and_nothing_is_forgotten_before_it_is_stored(start: Any) -> None:
    peer, _ = start("--rate", "200")
    peer.greet(window=4)
    peer.wait_for(Data, lambda data: data.seq == 4)
    peer.send(Ack(7, 1, 5))  # received, not stored
    peer.collect(0.8)
    assert seqs(peer.frames) == [], "sent beyond its window, or again what was seen"
    peer.send(Ack(7, 3, 5))
    assert [peer.wait_for(Data).seq for _ in range(2)] == [5, 6]
    peer.send(Who())  # another bridge: all that is not stored comes again
    hello = peer.wait_for(Hello)
    assert hello.base == 3
    peer.send(Hello(8, hello.boot, 3, 8, b"\xa0"))
    readings = [peer.wait_for(Data, lambda data: data.sid == 8) for _ in range(8)]
    assert [data.seq for data in readings] == list(range(3, 11))
    assert [read_telemetry(data.payload).value for data in readings] == list(range(3, 11))


def test_what_was_not_seen_is_sent_again(start: Any) -> None:
    peer, _ = start("--rate", "100")
    peer.greet(window=3)
    peer.wait_for(Data, lambda data: data.seq == 3)
    assert [peer.wait_for(Data).seq for _ in range(3)] == [1, 2, 3]
    peer.send(Ack(7, 1, 3))
    assert peer.wait_for(Data).seq == 3


def test_foolish_acks_change_nothing(start: Any) -> None:
    peer, _ = start("--rate", "100")
    peer.greet(window=3)
    peer.wait_for(Data, lambda data: data.seq == 3)
    peer.send(Ack(7, 9, 9), Ack(7, 3, 2), Ack(9, 2, 2), Ack(7, 0, 0))
    peer.send(Who())
    assert peer.wait_for(Hello).base == 1


def test_a_command_is_carried_out_once(start: Any) -> None:
    peer, _ = start("--rate", "1")
    peer.greet()
    on = Command(7, 1, write_command(CommandCall("set_led", True)))
    peer.send(on, on)
    first, second = peer.wait_for(Result), peer.wait_for(Result)
    assert first == second and read_result(first.payload).value == {"on": True}
    argument = {"list": [1, -5, 2.5, None, "ü"], "nested": {"deep": [True]}}
    peer.send(Command(7, 2, write_command(CommandCall("echo", argument))))
    assert read_result(peer.wait_for(Result).payload).value == argument
    peer.send(Command(7, 9, write_command(CommandCall("status"))), Command(7, 3, write_command(CommandCall("fly"))))
    assert (answer := peer.wait_for(Result)).id == 3 and read_result(answer.payload).status == 1
    peer.send(Command(7, 4, write_command(CommandCall("set_led", "x"))), Command(7, 5, b"\xff\xff"))
    assert read_result(peer.wait_for(Result).payload).status == 3 == read_result(peer.wait_for(Result).payload).status


def test_it_ends_when_all_is_stored_and_stops_when_asked(start: Any) -> None:
    peer, process = start("--rate", "500", "--count", "5")
    peer.greet(window=9)
    peer.wait_for(Data, lambda data: data.seq == 5)
    assert process.poll() is None
    peer.send(Ack(7, 6, 6))
    assert process.wait(15) == 0
    peer, process = start("--rate", "500")
    peer.greet(window=9)
    peer.wait_for(Data)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


def test_garbage_costs_nothing_else(start: Any, tmp_path: Path) -> None:
    """With the address and undefined-behaviour sanitizers where the compiler has them."""
    try:
        sanitized = str(build_host_device(tmp_path, ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")))
    except DeviceBuildError:
        pytest.skip("this compiler has no sanitizers")
    peer, process = start("--rate", "100", executable=sanitized)
    rng = random.Random(4)
    peer.greet(window=3)
    for _ in range(300):
        frame = bytearray(encode(rng.choice([Ack(7, 1, 2), Command(7, 1, b"\xa1\x01\x65echo!" + rng.randbytes(60)), Who(), Hello(7, 1, 1, 3, b"")])))
        if rng.random() < 0.7:
            frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        os.write(peer.fd, bytes(frame) + rng.randbytes(rng.randrange(300)))
        peer.pump()
        time.sleep(0.002)
    peer.send()
    os.write(peer.fd, b"\0")
    peer.greet(sid=99)
    assert peer.wait_for(Data, lambda data: data.sid == 99).seq >= 1 and process.poll() is None


def test_the_library_needs_nothing_but_memory_functions(tmp_path: Path) -> None:
    done = subprocess.run(
        ["cc", *FLAGS, "-ffreestanding", "-c", str(device_sources() / "petiole.c"), "-o", str(tmp_path / "p.o")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wanted = subprocess.run(["nm", "-u", str(tmp_path / "p.o")], capture_output=True, text=True, check=True).stdout.split()
    assert set(wanted) - {"U"} <= {"memcpy", "memset", "memcmp", "memmove"}


def test_where_it_cannot_be_built_it_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(DeviceBuildError, match="no C compiler"):
        build_host_device(tmp_path)
