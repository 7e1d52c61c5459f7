"""Both ends of the link over lines that lose, damage, repeat and delay: every reading once, in order."""

import random
from collections.abc import Callable

import pytest

from firmware_bridge.frame import Ack, Command, Data, FrameReader, Hello, Result, Who, encode
from firmware_bridge.link import MS, WINDOW, Asked, BridgeLink, DeviceLink, Ended, Lost, Opened, Reading, WrongVersion
from firmware_bridge.payload import CommandCall, read_command, write_command

Line = Callable[[bytes, random.Random], list[tuple[int, bytes]]]  # what arrives, and after how many ms


def plain(data: bytes, rng: random.Random) -> list[tuple[int, bytes]]:
    return [(1, data)]


def byte_by_byte(data: bytes, rng: random.Random) -> list[tuple[int, bytes]]:
    return [(1, data[i : i + 1]) for i in range(len(data))]


def losing(data: bytes, rng: random.Random) -> list[tuple[int, bytes]]:
    return [(1, frame + b"\0") for frame in data.split(b"\0") if rng.random() > 0.2]


def damaging(data: bytes, rng: random.Random) -> list[tuple[int, bytes]]:
    broken = bytearray(data)
    for i in range(len(broken)):
        if rng.random() < 0.004:
            broken[i] = rng.randrange(256)
    return [(1, bytes(broken))]


def repeating(data: bytes, rng: random.Random) -> list[tuple[int, bytes]]:
    return [(1 + i, frame + b"\0") for frame in data.split(b"\0") for i in range(rng.choice([1, 1, 2, 3]))]


def delaying(data: bytes, rng: random.Random) -> list[tuple[int, bytes]]:
    return [(700, data)]


LINES = [plain, byte_by_byte, losing, damaging, repeating, delaying]


class World:
    """A device that makes readings, a bridge whose edge stores them after a while, and a line between them."""

    def __init__(self, line: Line, seed: int) -> None:
        self.rng = random.Random(seed)
        self.line = line
        self.now = 0
        self.flying: list[tuple[int, int, str, bytes]] = []
        self.flown = 0
        self.storing: list[tuple[int, int, int, bytes]] = []
        self.stored: list[bytes] = []
        self.seen_ids: set[tuple[int, int]] = set()
        self.results: list[bytes] = []
        self.executed: list[int] = []
        self.pending: bytes | None = None  # made, and there is no room for it yet
        self.device = DeviceLink(77, lambda now: b"\xa1\x01\x61d", capacity=40)
        self.new_bridge()

    def new_bridge(self) -> None:
        self.bridge = BridgeLink(lambda hello: 0, lambda: self.rng.randrange(1, 65536))
        self.storing.clear()

    def run(self, until: Callable[[], bool], make: Callable[[], bytes | None] = lambda: None, limit_ms: int = 600_000) -> None:
        for _ in range(limit_ms):
            self.now += MS
            self.pending = self.pending or make()
            if self.pending is not None and self.device.keep(self.pending, self.now):
                self.pending = None
            for end in (self.device, self.bridge):
                deadline = end.deadline()
                if deadline is not None and deadline <= self.now:
                    end.tick(self.now)
            self.move()
            if until():
                return
        raise AssertionError(f"not done after {limit_ms} ms: {len(self.stored)} stored")

    def move(self) -> None:
        for name, end in (("bridge", self.device), ("device", self.bridge)):
            if data := end.data_to_send():
                for delay, piece in self.line(data, self.rng):
                    self.flown += 1
                    self.flying.append((self.now + delay * MS, self.flown, name, piece))
        arrived = sorted(item for item in self.flying if item[0] <= self.now)
        self.flying = [item for item in self.flying if item[0] > self.now]
        for _, _, name, piece in arrived:
            if name == "device":
                for asked in self.device.receive(piece, self.now):
                    self.executed.append(asked.id)
                    self.device.answer(asked.payload)
            else:
                for event in self.bridge.receive(piece, self.now):
                    if isinstance(event, Reading):
                        self.storing.append((self.now + self.rng.randrange(1, 80) * MS, event.boot, event.seq, event.payload))
                    elif isinstance(event, Ended):
                        self.results.append(event.payload)
        for item in [item for item in self.storing if item[0] <= self.now]:
            self.storing.remove(item)
            if item[1:3] not in self.seen_ids:  # the edge's dedupe by message id
                self.seen_ids.add(item[1:3])
                self.stored.append(item[3])
            self.bridge.store(item[1], item[2])


def counter(count: int) -> tuple[Callable[[], bytes | None], list[bytes]]:
    made: list[bytes] = []

    def make() -> bytes | None:
        if len(made) == count:
            return None
        made.append(b"%d" % (len(made) + 1))
        return made[-1]

    return make, made


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.__name__)
def test_every_reading_arrives_once(line: Line, seed: int) -> None:
    world = World(line, seed)
    make, made = counter(300)
    world.run(lambda: len(world.stored) >= 300 and not world.device.kept, make)
    assert sorted(world.stored, key=int) == made == list(dict.fromkeys(made))


@pytest.mark.parametrize("line", [plain, losing, repeating], ids=lambda line: line.__name__)
def test_the_bridge_may_restart_at_any_time(line: Line) -> None:
    world = World(line, 5)
    make, made = counter(200)
    for part in (20, 60, 61, 150):
        world.run(lambda part=part: len(world.stored) >= part, make)  # type: ignore[misc]
        world.new_bridge()
    world.run(lambda: len(world.stored) >= 200 and not world.device.kept, make)
    assert sorted(world.stored, key=int) == made


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.__name__)
def test_a_command_is_carried_out_once_and_answered(line: Line) -> None:
    world = World(line, 9)
    world.run(lambda: world.bridge.sid != 0 and world.bridge.sid == world.device.sid)
    for i in range(5):
        payload = write_command(CommandCall("go", i))
        assert world.bridge.send_command(payload, world.now)
        assert not world.bridge.send_command(payload, world.now)
        world.run(lambda i=i: len(world.results) == i + 1)  # type: ignore[misc]
        assert read_command(world.results[-1]) == CommandCall("go", i)
    assert world.executed == [1, 2, 3, 4, 5]


# ---- by hand


def frames(data: bytes) -> list[object]:
    return list(FrameReader().receive(data))


def opened(resume: int = 0) -> tuple[BridgeLink, int]:
    bridge = BridgeLink(lambda hello: resume, lambda: 5)
    assert list(bridge.receive(encode(Hello(0, 9, 3, 0, b"\xa0")), 0)) == [Opened(9, b"\xa0")]
    (hello,) = frames(bridge.data_to_send())
    assert hello == Hello(5, 9, max(3, resume), WINDOW, b"\xa0")
    return bridge, 5


def test_received_is_not_stored() -> None:
    bridge, sid = opened()
    assert list(bridge.receive(encode(Data(sid, 3, b"a")) + encode(Data(sid, 4, b"b")), 0)) == [Reading(9, 3, b"a"), Reading(9, 4, b"b")]
    assert frames(bridge.data_to_send()) == [Ack(sid, 3, 4), Ack(sid, 3, 5)]
    bridge.store(9, 4)
    assert bridge.data_to_send() == b""
    bridge.store(9, 3)
    assert frames(bridge.data_to_send()) == [Ack(sid, 5, 5)]


def test_only_what_is_expected_is_accepted() -> None:
    bridge, sid = opened()
    assert list(bridge.receive(encode(Data(sid, 4, b"b")), 0)) == []
    assert frames(bridge.data_to_send()) == [Ack(sid, 3, 3)]


def test_no_more_than_the_window_is_taken() -> None:
    bridge, sid = opened()
    wire = b"".join(encode(Data(sid, 3 + i, b"x")) for i in range(WINDOW + 5))
    assert len(list(bridge.receive(wire, 0))) == WINDOW


def test_a_stranger_is_asked_who_it_is() -> None:
    bridge, sid = opened()
    assert list(bridge.receive(encode(Data(sid + 1, 3, b"a")), 0)) == []
    assert frames(bridge.data_to_send()) == [Who()]


def test_what_the_journal_knows_is_not_asked_for_again() -> None:
    bridge, _ = opened(resume=10)
    assert bridge.next == bridge.seen == 10


def test_another_version_is_reported() -> None:
    bridge = BridgeLink(lambda hello: 0, lambda: 1)
    assert list(bridge.receive(encode(Hello(0, 1, 1, 0, b"", version=2)), 0)) == [WrongVersion(2)] and not bridge.sid


def test_a_command_is_lost_with_its_session() -> None:
    bridge, _ = opened()
    assert bridge.send_command(b"\xa0", 0)
    assert list(bridge.receive(encode(Hello(0, 10, 1, 0, b"\xa0")), 0)) == [Lost(), Opened(10, b"\xa0")]
    bridge.data_to_send()
    assert bridge.send_command(b"\xa0", 0)
    assert list(bridge.lost()) == [Lost()] and not bridge.send_command(b"\xa0", 0)


def test_a_full_device_waits_and_a_foolish_ack_changes_nothing() -> None:
    device = DeviceLink(1, lambda now: b"\xa0", capacity=3)
    assert [device.keep(b"x", 0) for _ in range(4)] == [True, True, True, False]
    assert list(device.receive(encode(Hello(4, 1, 1, 2, b"\xa0")), 0)) == []
    assert [frame.seq for frame in frames(device.data_to_send()) if isinstance(frame, Data)] == [1, 2]
    for foolish in (Ack(4, 4, 4), Ack(4, 2, 1), Ack(5, 2, 2)):
        list(device.receive(encode(foolish), 0))
    assert len(device.kept) == 3 and device.base == 1
    list(device.receive(encode(Ack(4, 2, 3)), 0))
    assert len(device.kept) == 2 and [f.seq for f in frames(device.data_to_send()) if isinstance(f, Data)] == [3]


def test_a_command_in_disorder_is_dropped() -> None:
    device = DeviceLink(1, lambda now: b"\xa0")
    list(device.receive(encode(Hello(4, 1, 1, 2, b"\xa0")), 0))
    assert list(device.receive(encode(Command(4, 1, b"\xa0")), 0)) == [Asked(1, b"\xa0")]
    device.answer(b"\xa1\x01\x00")
    assert list(device.receive(encode(Command(4, 3, b"\xa0")) + encode(Command(4, 1, b"\xa0")), 0)) == []


def test_a_reading_beyond_a_gap_is_not_told_again() -> None:
    """It is stored, the one before it is not; the device sends both again in its next session."""
    bridge, sid = opened()
    list(bridge.receive(b"".join(encode(Data(sid, seq, b"x")) for seq in (3, 4, 5)), 0))
    bridge.store(9, 4)
    assert list(bridge.lost()) == []
    list(bridge.receive(encode(Hello(0, 9, 3, 0, b"\xa0")), 0))
    again = list(bridge.receive(b"".join(encode(Data(bridge.sid, seq, b"x")) for seq in (3, 4, 5)), 0))
    assert again == [Reading(9, 3, b"x"), Reading(9, 5, b"x")]
    bridge.store(9, 3)
    assert frames(bridge.data_to_send())[-1] == Ack(bridge.sid, 5, 6)


def test_without_a_session_there_is_nothing_to_hear() -> None:
    bridge = BridgeLink(lambda hello: 0, lambda: 5)
    wire = b"".join(encode(Data(sid, 1, b"x")) for sid in (0, 3, 0, 3))
    assert list(bridge.receive(wire, 0)) == []
    assert frames(bridge.data_to_send()) == [Who()], "one is enough for all that is on its way"
    device = DeviceLink(1, lambda now: b"\xa0")
    device.keep(b"x", 0)
    list(device.receive(encode(Hello(4, 1, 1, 2, b"\xa0")) + encode(Who()), 0))
    assert list(device.receive(encode(Ack(0, 2, 2)) + encode(Command(0, 1, b"\xa0")), 0)) == []
    assert len(device.kept) == 1


def test_a_command_that_never_arrived_does_not_bar_the_next() -> None:
    bridge, sid = opened()
    assert bridge.send_command(b"\xa0", 0)
    bridge.data_to_send()
    bridge.drop_command()
    assert list(bridge.receive(encode(Result(sid, 1, b"\xa0")), 0)) == [], "too late"
    bridge.tick(0)
    assert frames(bridge.data_to_send()) == [Who()] and not bridge.send_command(b"\xa0", 0)
    device = DeviceLink(9, lambda now: b"\xa0")
    assert device.keep(b"x", 0) and device.keep(b"x", 0)
    list(device.receive(encode(Who()), 0))
    list(bridge.receive(device.data_to_send(), 0))
    assert bridge.sid != sid and bridge.send_command(b"\xa0", 0)
    assert list(device.receive(bridge.data_to_send(), 0)) == [Asked(1, b"\xa0")]
