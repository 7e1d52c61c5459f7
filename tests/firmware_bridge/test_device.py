"""The C library, compiled: the example on a real pseudo-terminal, and the library alone with a clock made by hand."""

import ctypes
import math
import os
import random
import shutil
import signal
import struct
import subprocess
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import cbor2
import pytest

from firmware_bridge.device_build import FLAGS, DeviceBuildError, build_host_device, device_sources
from firmware_bridge.frame import Ack, Command, Data, Frame, FrameReader, Hello, Result, Who, encode
from firmware_bridge.payload import CommandCall, read_identity, read_result, read_telemetry, write_command

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here: the C library is not tested")

F = TypeVar("F", bound=Frame)


class Peer:
    """The bridge's end of the line, frame by frame."""

    def __init__(self, path: str | int) -> None:
        self.fd = path if isinstance(path, int) else os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
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
    assert process.wait(60) == 0
    peer, process = start("--rate", "500")
    peer.greet(window=9)
    peer.wait_for(Data)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_asked_to_stop_producing_it_goes_on_serving(program: str, cable: Any) -> None:
    process = subprocess.Popen([program, cable.b, "--rate", "200"], stdout=subprocess.PIPE, text=True)
    peer = Peer(cable.a)
    try:
        peer.greet(window=255)
        peer.wait_for(Data, lambda data: data.seq == 3)
        process.send_signal(signal.SIGUSR1)
        assert process.stdout is not None
        said: list[str] = []
        while not said or not said[-1].startswith("stopped"):
            said.append(process.stdout.readline())
            assert said[-1], "it ended"
        made = int(said[-1].split()[1])
        assert said == [*(f"produced {n}\n" for n in range(1, made + 1)), f"stopped {made}\n"]
        peer.send(Command(7, 1, write_command(CommandCall("status"))))
        status = read_result(peer.wait_for(Result).payload).value
        assert status == {"produced": made, "unacked": made, "dropped_frames": status["dropped_frames"]}
        peer.send(Ack(7, made + 1, made + 1), Command(7, 2, write_command(CommandCall("status"))))
        assert read_result(peer.wait_for(Result).payload).value["unacked"] == 0
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
        os.close(peer.fd)


def test_a_port_that_goes_away_is_opened_again(program: str, tmp_path: Path) -> None:
    """A plug pulled and put in again: the path is another terminal then, and what was not stored comes there."""
    path = tmp_path / "ttyUSB0"
    process = subprocess.Popen([program, str(path), "--rate", "200", "--count", "9"], stdout=subprocess.DEVNULL)
    try:
        for sid, base in ((7, 1), (8, 3)):
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            path.unlink(missing_ok=True)
            path.symlink_to(os.ttyname(slave))
            peer = Peer(master)
            hello = peer.greet(sid, window=20)  # WHO waits in the terminal until it has been opened
            assert hello.base == base
            peer.wait_for(Data, lambda data: data.seq == 9)
            peer.send(Ack(sid, 3 if sid == 7 else 10, 10))
            if sid == 7:
                peer.send(Command(7, 1, write_command(CommandCall("status"))))
                peer.wait_for(Result)  # so it has the ACK
                os.close(slave)
                os.close(master)
        assert process.wait(60) == 0
        os.close(slave)
        os.close(master)
    finally:
        process.kill()
        process.wait()


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


# ---- the library alone: a clock made by hand, and a wire that knows nothing of firmware_bridge


def stuff(data: bytes) -> bytes:
    """COBS, from the page."""
    out = b""
    pieces = data.split(b"\0")
    for place, piece in enumerate(pieces):
        while len(piece) >= 254:
            out, piece = out + b"\xff" + piece[:254], piece[254:]
            if not piece and place == len(pieces) - 1:
                return out
        out += bytes([len(piece) + 1]) + piece
    return out


def unstuff(wire: bytes) -> bytes:
    out = b""
    while wire:
        code, piece, wire = wire[0], wire[1 : wire[0]], wire[wire[0] :]
        assert len(piece) == code - 1 and 0 not in piece
        out += piece + (b"\0" if code < 255 and wire else b"")
    return out


def wire(kind: int, layout: str, *fields: int, payload: bytes = b"") -> bytes:
    content = struct.pack("<B" + layout, kind, *fields) + payload
    return stuff(content + struct.pack("<I", crc32(content))) + b"\0"


def hello(sid: int, base: int = 1, window: int = 4, boot: int = 5) -> bytes:
    return wire(1, "BHIIB", 1, sid, boot, base, window, payload=b"\xa0")


def ack(sid: int, next: int, seen: int) -> bytes:
    return wire(3, "HII", sid, next, seen)


def command(sid: int, id: int, payload: bytes) -> bytes:
    return wire(5, "HI", sid, id, payload=payload)


class Item(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t))


SEND = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
CALL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, Item, ctypes.c_void_p)


class Config(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p), ("firmware", ctypes.c_char_p), ("boot", ctypes.c_uint32),
        ("slots", ctypes.c_void_p), ("capacity", ctypes.c_uint32), ("user", ctypes.c_void_p),
        ("send", SEND), ("command", CALL),
    )  # fmt: skip


class Board:
    """The library with its memory; ``sent`` has what it put on the wire, ``called`` the verbs it carried out."""

    def __init__(self, library: ctypes.CDLL, capacity: int = 16, name: str = "pump", boot: int = 5, now: int = 0) -> None:
        self.library = library
        self.link = ctypes.create_string_buffer(ctypes.c_size_t.in_dll(library, "link_size").value)
        self.slots = ctypes.create_string_buffer(max(1, capacity) * ctypes.c_size_t.in_dll(library, "slot_size").value)
        self.now = now
        self.wire = b""
        self.called: list[tuple[str, bytes]] = []
        self.status = 0
        self.result: bytes | None = None  # None: the argument
        self.config = Config(
            name.encode(), b"1.0", boot, ctypes.addressof(self.slots), capacity, None, SEND(self._send), CALL(self._call)
        )
        self.works = library.petiole_init(self.link, ctypes.byref(self.config))

    def receive(self, data: bytes) -> None:
        self.library.petiole_receive(self.link, data, len(data), self.now & 0xFFFFFFFF)

    def poll(self, milliseconds: int = 0) -> None:
        self.now += milliseconds
        self.library.petiole_poll(self.link, self.now & 0xFFFFFFFF)

    def count(self, value: int) -> int:
        kept: int = self.library.petiole_int(self.link, b"counter", ctypes.c_int64(value), b"1", self.now & 0xFFFFFFFF)
        return kept

    @property
    def unacked(self) -> int:
        return int(self.library.petiole_unacked(self.link))

    def frames(self) -> list[tuple[int, bytes]]:
        """Type and body of what was sent since the last call."""
        *whole, rest = self.wire.split(b"\0")
        assert not rest
        self.wire = b""
        found = []
        for content in (unstuff(part) for part in whole if part):
            assert len(content) <= 256 and crc32(content[:-4]).to_bytes(4, "little") == content[-4:]
            found.append((content[0], content[1:-4]))
        return found

    def seqs(self) -> list[int]:
        return [struct.unpack_from("<HI", body)[1] for kind, body in self.frames() if kind == 2]

    def results(self) -> list[tuple[int, Any]]:
        """Ids and values of the results sent."""
        return [(struct.unpack_from("<HI", body)[1], cbor2.loads(body[6:])) for kind, body in self.frames() if kind == 6]

    def _send(self, user: int, data: int, size: int) -> None:
        self.wire += ctypes.string_at(data, size)

    def _call(self, user: int, verb: int, size: int, argument: Item, writer: int) -> int:
        given = ctypes.string_at(argument.data, argument.size) if argument.size else b""
        self.called.append((ctypes.string_at(verb, size).decode(), given))
        value = given if self.result is None else self.result
        self.library.petiole_write_raw(ctypes.c_void_p(writer), value, ctypes.c_size_t(len(value)))
        return self.status


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("library")
    sizes = folder / "sizes.c"
    sizes.write_text('#include "petiole.h"\nconst size_t link_size = sizeof(petiole), slot_size = sizeof(petiole_slot);\n')
    sources = [str(sizes), str(device_sources() / "petiole.c")]
    out = str(folder / "petiole.so")
    subprocess.run(["cc", *FLAGS, "-shared", "-fPIC", "-I", str(device_sources()), "-o", out, *sources], check=True)
    return ctypes.CDLL(out)


def test_the_page_s_examples(library: ctypes.CDLL) -> None:
    lines = (device_sources().parent / "docs" / "protocol.md").read_text().splitlines()
    cells = [[cell.strip().strip("`") for cell in line.strip("| ").split("|")] for line in lines if line.count("|") == 4]
    page = {row[0]: bytes.fromhex(row[2]) for row in cells if row[2].endswith(" 00")}
    board = Board(library, boot=0x01020304, now=250)
    board.poll()
    assert board.wire == b"\0" + page["HELLO of a device named pump"]
    board.receive(page["HELLO of the bridge"])
    board.frames()
    library.petiole_float(board.link, b"temp", ctypes.c_double(21.5), b"C", 1000)
    [(kind, body)] = board.frames()
    shown = unstuff(page["DATA, temp is 21.5 C"][:-1])[1:-4]
    assert kind == 2 and body[:6] == shown[:6] and cbor2.loads(body[6:]) == cbor2.loads(shown[6:])
    board.receive(page["ACK, received"])
    assert board.unacked == 1
    board.receive(page["ACK, stored"])
    assert board.unacked == 0
    board.receive(page["COMMAND set_led true"])
    assert board.wire == page["RESULT, done"] and board.called == [("set_led", b"\xf5")]
    board.frames()
    board.receive(page["WHO"])
    assert [kind for kind, _ in board.frames()] == [1] and not library.petiole_connected(board.link)


def test_hello_every_second_with_a_clock_that_does_not_wrap(library: ctypes.CDLL) -> None:
    board = Board(library, now=2**32 - 1500)
    board.poll()
    for _ in range(4):
        board.poll(999)
        board.poll(1)
    said = [(*struct.unpack_from("<BHIIB", body), cbor2.loads(body[12:])[3]) for _, body in board.frames()]
    assert said == [(1, 0, 5, 1, 0, 2**32 - 1500 + 1000 * n) for n in range(5)]
    board.receive(hello(7, boot=6) + hello(7, base=2) + hello(0))  # another boot, readings never made, its own echoed
    assert not library.petiole_connected(board.link)
    board.receive(hello(7))
    assert library.petiole_connected(board.link)
    board.poll(1000)
    assert board.frames() == []


def test_the_timeout_doubles_and_is_short_again_after_progress(library: ctypes.CDLL) -> None:
    board = Board(library)
    board.receive(hello(7, window=2))
    for n in range(4):
        board.count(n)
    assert board.seqs() == [1, 2]
    for timeout in (500, 1000, 2000, 4000, 4000):
        board.poll(timeout - 1)
        assert board.seqs() == []
        board.poll(1)
        assert board.seqs() == [1, 2]
    board.receive(ack(7, 1, 2))
    assert board.seqs() == []
    board.poll(499)
    assert board.seqs() == []
    board.poll(1)
    assert board.seqs() == [2]
    board.receive(ack(7, 1, 3))
    board.poll(60_000)
    assert board.seqs() == [] and board.unacked == 4
    board.receive(ack(7, 3, 3))
    assert board.seqs() == [3, 4] and board.unacked == 2


def test_no_ack_that_could_not_be_is_believed(library: ctypes.CDLL) -> None:
    board = Board(library)
    board.receive(hello(7, window=4))
    for n in range(6):
        board.count(n)
    board.receive(ack(7, 2, 3))
    board.frames()
    numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7FFFFFFF, 0x80000000, 0x80000003, 0x90000000, 0xFFFFFFFE, 0xFFFFFFFF]
    for next in numbers:
        for seen in numbers:
            if not 2 <= next <= seen <= 6:
                board.receive(ack(7, next, seen))
                assert (board.unacked, board.wire) == (5, b""), (next, seen)
    board.receive(ack(8, 3, 3))
    assert board.unacked == 5


def test_an_ack_damaged_in_any_bit_or_cut_anywhere_is_no_ack(library: ctypes.CDLL) -> None:
    board = Board(library)
    board.receive(hello(7))
    board.count(1)
    good = ack(7, 2, 2)
    for bit in range(8 * len(good)):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        board.receive(bytes(damaged) + b"\0")
        assert board.unacked == 1, bit
    for cut in range(len(good) - 1):
        board.receive(good[:cut] + b"\0" + good[cut + 1 :] + b"\0")
        assert board.unacked == 1, cut
    board.receive(b"\x55" * 1000 + b"\0\0")  # longer than a frame
    for byte in good:
        assert board.unacked == 1
        board.receive(bytes([byte]))
    assert board.unacked == 0


def test_a_full_memory_forgets_nothing(library: ctypes.CDLL) -> None:
    board = Board(library, capacity=3)
    assert [board.count(n) for n in range(5)] == [1, 1, 1, 0, 0]
    board.receive(hello(7, window=9))
    assert board.seqs() == [1, 2, 3]
    board.receive(ack(7, 1, 4))
    assert board.count(9) == 0
    board.receive(ack(7, 2, 4))
    assert [board.count(3), board.count(4)] == [1, 0] and board.seqs() == [4]
    board.receive(hello(8, base=1, window=9))  # below what it has: it cannot go back
    readings = [body[6:] for kind, body in board.frames() if kind == 2]
    assert [cbor2.loads(payload)[2] for payload in readings] == [1, 2, 3]


def test_what_can_never_work_is_said_at_once(library: ctypes.CDLL) -> None:
    assert Board(library).works == 1
    assert Board(library, capacity=0).works == 0 and Board(library, capacity=0).count(1) == 0
    assert Board(library, name="n" * 230).works == 0
    board = Board(library)
    assert library.petiole_text(board.link, b"c", b"x" * 62, None, 0) == -1 and board.unacked == 0
    assert library.petiole_text(board.link, b"c" * 9999, b"x", None, 0) == -1
    assert library.petiole_text(board.link, b"c", b"x" * 40, None, 0) == 1 and board.unacked == 1


def test_every_kind_of_value(library: ctypes.CDLL) -> None:
    board = Board(library, capacity=64)
    board.receive(hello(7, window=255))
    ints = [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, -1, -24, -25, -256, -257, -(2**63)]
    floats = [0.0, -0.0, 21.5, 0.1, 1e300, -1e-300, 5e-324, 3.4028234663852886e38, math.inf, -math.inf]
    for number in ints:
        library.petiole_int(board.link, b"i", ctypes.c_int64(number), None, 7)
    for real in floats:
        library.petiole_float(board.link, b"f", ctypes.c_double(real), b"C", 7)
    library.petiole_bool(board.link, b"b", 2, None, 7)
    library.petiole_text(board.link, b"t", "grün".encode(), None, 7)
    payloads = [body[6:] for _, body in board.frames()]
    maps = [cbor2.loads(payload) for payload in payloads]
    assert [fields[2] for fields in maps] == [*ints, *floats, True, "grün"]
    assert all(fields[4] == 7 for fields in maps) and {fields.get(3) for fields in maps} == {None, "C"}
    assert all(payload == cbor2.dumps(fields) for payload, fields in zip(payloads[:16], maps, strict=False))
    assert math.copysign(1, maps[17][2]) == -1 and len(payloads[18]) == len(payloads[19]) - 4  # 21.5 in 32 bits


def test_numbers_of_every_width_are_read(library: ctypes.CDLL) -> None:
    value = ctypes.c_double()

    def read(data: bytes) -> float:
        raw = ctypes.create_string_buffer(data, len(data))
        assert library.petiole_read_double(Item(ctypes.addressof(raw), len(data)), ctypes.byref(value)) == 1, data.hex()
        return value.value

    rng = random.Random(8)
    halves = [bits.to_bytes(2, "big") for bits in range(0, 65536, 7)]
    edges = [b"\x00", b"\x80", b"\x7f", b"\xff", b"\x01", b"\x7f\xf0", b"\xff\xf0", b"\x7f\xef", b"\x7f\x80", b"\x7f\xc0"]
    for head, code, size in ((0xF9, ">e", 2), (0xFA, ">f", 4), (0xFB, ">d", 8)):
        some = [edge + bytes(size - len(edge)) for edge in edges] + [rng.randbytes(size) for _ in range(3000)]
        for raw in some + (halves if size == 2 else []):
            (expected,) = struct.unpack(code, raw)
            found = read(bytes([head]) + raw)
            assert (math.isnan(found) and math.isnan(expected)) or struct.pack(">d", found) == struct.pack(">d", expected)
    assert read(b"\x18\x05") == 5 and read(b"\x29") == -10


def test_commands_are_carried_out_once_and_in_order(library: ctypes.CDLL) -> None:
    board = Board(library)
    call = {n: cbor2.dumps({1: f"v{n}", 2: n}) for n in range(9)}
    board.receive(command(7, 1, call[1]))
    assert board.frames() == []  # no session yet
    board.receive(hello(7) + command(7, 4, call[4]) + command(7, 4, call[4]) + command(7, 4, call[5]))
    assert board.results() == [(4, {1: 0, 2: 4})] * 3
    board.receive(command(7, 3, call[3]) + command(7, 6, call[6]) + command(8, 5, call[5]))
    assert board.results() == []
    board.receive(command(7, 5, call[5]))
    board.receive(hello(9) + command(9, 1, call[1]))  # a new session begins anew
    assert board.results() == [(5, {1: 0, 2: 5}), (1, {1: 0, 2: 1})]
    assert [verb for verb, _ in board.called] == ["v4", "v5", "v1"]


def test_half_a_command_is_not_carried_out(library: ctypes.CDLL) -> None:
    board = Board(library)
    board.receive(hello(7))
    whole = cbor2.dumps({1: "fire", 2: [1, {"a": [2, "b"]}], 9: "more"})
    broken = [whole[:cut] for cut in range(len(whole))]
    broken += [whole + b"\0", b"\xbf\x01\x64fire\xff", b"\x64fire", cbor2.dumps({1: 5}), cbor2.dumps({2: 5}), b"\xa1\x01\x9b" + b"\xff" * 8]
    broken += [cbor2.dumps({1: "fire", 2: [[[[]]]]}), b"\xa2\x01\x64fire\x02" + b"\x81" * 200, b"\xa2\x01\x64fire\x02" + b"\xc1" * 200]
    for id, payload in enumerate(broken, 1):
        board.receive(command(7, id, payload))
        assert board.results() == [(id, {1: 3})], payload.hex()
    assert board.called == []
    board.receive(command(7, len(broken) + 1, whole))
    board.receive(command(7, len(broken) + 2, cbor2.dumps({1: "fire", 2: [[["x"], 1.5]]})))  # four deep with the map
    assert [value for _, value in board.results()] == [{1: 0, 2: [1, {"a": [2, "b"]}]}, {1: 0, 2: [[["x"], 1.5]]}]


def test_results_of_every_size(library: ctypes.CDLL) -> None:
    """Through lengths where COBS starts another piece, up to a frame that is full, and past it."""
    board = Board(library)
    board.receive(hello(7))
    for id, size in enumerate(range(245), 1):
        data = bytes([(size * 7 + n) % 251 if size % 2 else 1 + n % 250 for n in range(size)])
        board.result = cbor2.dumps(data)
        board.receive(command(7, id, cbor2.dumps({1: "get"})))
        fits = len(board.result) <= 256 - 4 - 7 - 4
        assert board.results() == [(id, {1: 0, 2: data} if fits else {1: 2})], size
    board.result = b"\x01"
    board.status = 17
    board.receive(command(7, 246, cbor2.dumps({1: "get"})))
    assert board.results() == [(246, {1: 2})]


@pytest.mark.parametrize("seed", range(12))
def test_a_bad_line_and_bridges_that_die_lose_nothing_and_repeat_nothing(library: ctypes.CDLL, seed: int) -> None:
    """A bridge in twenty lines that keeps ``stored`` and forgets the rest at each restart."""
    rng = random.Random(seed)
    board = Board(library, capacity=rng.choice([1, 5, 16]))
    stored: list[int] = []
    received: list[int] = []  # and not stored yet
    sid = window = made = 0
    used = False

    def line(data: bytes) -> bytes:
        """Bytes lost, changed, or put in between."""
        if rng.random() < 0.15 and data:
            at = rng.randrange(len(data))
            data = data[:at] + rng.choice([b"", b"\0", rng.randbytes(9)]) + data[at + rng.randrange(2) :]
        return data

    buffer = b""
    for turn in range(4000):
        if made < 200 and board.count(made + 1) == 1:
            made += 1
        board.poll(rng.choice([1, 50, 300]) if turn < 3000 else 300)
        if rng.random() < 0.01 and turn < 3000:  # the bridge is killed
            received.clear()
            sid, buffer = 0, b""
        *whole, buffer = (buffer + line(board.wire)).split(b"\0")
        board.wire = b""
        answers = b"" if sid else wire(4, "B", 1)
        for part in filter(None, whole):
            try:
                content = unstuff(part)
            except AssertionError:
                continue
            if len(content) < 5 or crc32(content[:-4]).to_bytes(4, "little") != content[-4:]:
                continue
            if content[0] == 1:
                received.clear()
                base = len(stored) + 1
                if used or not sid:  # else the HELLO that was answered, once more
                    sid, window = 1 + (sid + rng.randrange(1, 999)) % 65000, rng.randrange(1, 20)
                used = False
                assert struct.unpack_from("<I", content, 8)[0] <= base, "forgot what was not stored"
                answers += hello(sid, base, window)
            elif content[0] == 2:
                of, seq = struct.unpack_from("<HI", content, 1)
                if of != sid:
                    answers += wire(4, "B", 1)
                    continue
                used = True
                assert seq < len(stored) + 1 + window, "sent beyond the window"
                if seq == len(stored) + len(received) + 1:
                    received.append(cbor2.loads(content[7:-4])[2])
                answers += ack(sid, len(stored) + 1, len(stored) + len(received) + 1)
        if received and rng.random() < 0.5:
            stored += received
            received.clear()
        if sid:
            answers += ack(sid, len(stored) + 1, len(stored) + len(received) + 1)
        board.receive(line(answers))
        if len(stored) == 200 and board.unacked == 0:
            break
    assert stored == list(range(1, 201)) and board.unacked == 0


FUZZ = r"""
#include "petiole.h"
#include <stdio.h>
#include <string.h>
static void out(void *user, const uint8_t *data, size_t size) {
    while (size--) *(unsigned *)user = *(unsigned *)user * 31 + *data++;
}
static int call(void *user, const char *verb, size_t size, petiole_item argument, petiole_writer *result) {
    petiole_item inner; double real; int flag; int64_t whole; size_t i;
    for (i = 0; i < size; i++) *(unsigned *)user += (unsigned char)verb[i];
    petiole_read_double(argument, &real); petiole_read_bool(argument, &flag); petiole_read_int(argument, &whole);
    if (petiole_map_get(argument, "on", &inner)) petiole_read_double(inner, &real);
    petiole_write_raw(result, argument.data, argument.size);
    return 0;
}
int main(void) {
    static petiole_slot slots[5]; static petiole link; unsigned sum = 0, turns = 0; uint32_t now = 0;
    uint8_t data[64]; size_t n;
    petiole_config config = {"fuzz", "1", 5, slots, 5, &sum, out, call};
    if (!petiole_init(&link, &config)) return 1;
    while ((n = fread(data, 1, 1 + turns++ % sizeof data, stdin)) > 0) {
        petiole_receive(&link, data, n, now += 37);
        petiole_poll(&link, now);
        petiole_int(&link, "c", (int64_t)now, "1", now);
        if (petiole_unacked(&link) > 5) return 3;
    }
    printf("%u %u\n", turns, sum);
    return 0;
}
"""


def test_no_bytes_at_all_break_the_library(tmp_path: Path) -> None:
    source, program = tmp_path / "fuzz.c", tmp_path / "fuzz"
    source.write_text(FUZZ)
    flags = [*FLAGS, "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-I", str(device_sources())]
    build = ["cc", *flags, "-o", str(program), str(source), str(device_sources() / "petiole.c")]
    if subprocess.run(build, capture_output=True).returncode:
        pytest.skip("this compiler has no sanitizers")
    rng = random.Random(11)
    numbers = [0, 1, 2, 3, 6, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    good = cbor2.dumps({1: "verb", 2: {"on": [1.5, True, {"x": -7}]}})
    data = b""
    for _ in range(8_000):
        id = rng.choice([1, 2, 3, rng.choice(numbers)])
        payload = bytearray(good)
        for _ in range(rng.randrange(4)):
            payload[rng.randrange(len(payload))] = rng.randrange(256)  # with a right CRC
        frame = rng.choice([
            hello(rng.choice([0, 7, 7, 8]), rng.choice(numbers), rng.choice([0, 4, 255])),
            ack(7, rng.choice(numbers), rng.choice(numbers)),
            command(7, id, bytes(payload)),
            command(7, id, rng.randbytes(rng.randrange(245))),
            wire(rng.randrange(9), "", payload=rng.randbytes(rng.randrange(20))),
            rng.randbytes(rng.randrange(300)),
        ])  # fmt: skip
        data += frame if rng.random() < 0.9 else frame[: rng.randrange(len(frame) + 1)]
    done = subprocess.run([str(program)], input=data, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()[:2000]
