"""A bit that flips in the log of a server that was cut off: what was committed behind it is kept."""

import queue
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.store.contract import MAX_SEQ
from edge.store.database import FILE
from edge.store.sqlite import SqliteStore
from edge.store.wal import FRAME_HEAD, HEADER, _sum

LENGTH = FRAME_HEAD + 4096
COUNT = 400
PAGE_ROWS = 18
LAST = 10  # messages in the last commits, which a cut may have interrupted


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files as a power cut leaves them: 40 commits in the database, 40 in the log behind the frames of the former."""
    folder = tmp_path_factory.mktemp("cut")
    calls: queue.Queue[Callable[[], None]] = queue.Queue()
    store = SqliteStore(str(folder / "live"), calls.put)
    store.put_stream(1, "$G", "S", b"{}", b"")
    for first in range(1, COUNT + 1, 5):
        if first == COUNT // 2 + 1:
            store.connection.wal_checkpoint()
        told: list[Any] = []
        store.append(1, [(seq, "a.b", seq, b"", b"%06d" % seq + b"." * 200) for seq in range(first, first + 5)])
        store.commit(told.append)
        while not told:
            calls.get(timeout=60)()
    (folder / "image").mkdir()
    for name in (FILE, f"{FILE}-wal"):
        shutil.copy(folder / "live" / name, folder / "image" / name)
    store.close()
    return folder / "image"


def flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def current_frames(wal: Path) -> int:
    data = wal.read_bytes()
    frames = 0
    while data[HEADER + frames * LENGTH + 8 : HEADER + frames * LENGTH + 16] == data[16:24]:
        frames += 1
    return frames


def served(owner: Any, folder: Path) -> list[int]:
    store = owner.open(folder)
    rows = store.scan(1, 1, MAX_SEQ, 9999)
    assert all(row.payload == b"%06d" % row.seq + b"." * 200 for row in rows)
    last = max(COUNT, *(record.last_seq for record in store.load().streams)) + 1
    store.append(1, [(last, "a.b", 1, b"", b"new")])
    owner.committed(store)
    owner.close(store)
    return [row.seq for row in rows]


@pytest.fixture
def image(cut_off: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cut_off, tmp_path / "s"))


def test_a_sound_log_is_left_alone(owner: Any, image: Path) -> None:
    assert served(owner, image) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_costs_a_page_at_most_and_mostly_nothing(owner: Any, image: Path, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    rnd = random.Random(seed)
    wal = image / f"{FILE}-wal"
    frame = rnd.randrange(current_frames(wal) - 8)
    place = rnd.randrange(LENGTH)
    flip(wal, HEADER + frame * LENGTH + place, rnd.randrange(8))
    found = served(owner, image)
    assert len(found) >= COUNT - (PAGE_ROWS if place >= FRAME_HEAD and place % 4 > 1 else 0)
    assert "the log was damaged at frame" in caplog.text


@pytest.mark.parametrize("place", range(8, FRAME_HEAD))
def test_salts_and_sums_of_a_frame_can_be_told_from_the_others(owner: Any, image: Path, place: int) -> None:
    flip(image / f"{FILE}-wal", HEADER + 20 * LENGTH + place, place % 8)
    assert served(owner, image) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("bit", range(23))
def test_a_page_number_is_put_right(owner: Any, image: Path, bit: int) -> None:
    flip(image / f"{FILE}-wal", HEADER + 20 * LENGTH + bit // 8, bit % 8)
    assert served(owner, image) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("place", range(HEADER))
def test_nor_does_one_in_its_head(owner: Any, image: Path, place: int) -> None:
    flip(image / f"{FILE}-wal", place, place % 8)
    assert served(owner, image) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("where", [0.2, 0.6])
def test_a_sector_costs_the_messages_in_it(owner: Any, image: Path, where: float) -> None:
    wal = image / f"{FILE}-wal"
    data = bytearray(wal.read_bytes())
    at = HEADER + int(current_frames(wal) * where) * LENGTH + 2048
    data[at : at + 512] = bytes(512)
    wal.write_bytes(data)
    assert len(served(owner, image)) >= COUNT - 32


def test_two_bits_far_apart_cost_nothing(owner: Any, image: Path) -> None:
    wal = image / f"{FILE}-wal"
    for frame in (3, 40):
        flip(wal, HEADER + frame * LENGTH + 1000)
    assert served(owner, image) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("cut", [1, 100, LENGTH, LENGTH + 1, 3 * LENGTH])
def test_a_torn_end_is_an_end(owner: Any, image: Path, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    """What the cut interrupted was acknowledged to nobody."""
    wal = image / f"{FILE}-wal"
    frames = current_frames(wal)
    data = bytearray(wal.read_bytes())
    end = HEADER + frames * LENGTH
    data[end - cut : end] = bytes(cut)
    wal.write_bytes(data)
    found = served(owner, image)
    assert found == list(range(1, len(found) + 1)) and COUNT - LAST <= len(found) < COUNT
    assert "damaged" not in caplog.text


def test_what_a_former_round_left_behind_the_end_stays_there(owner: Any, image: Path) -> None:
    """Frames of an older log stand behind the last; they have other salts."""
    wal = image / f"{FILE}-wal"
    data = wal.read_bytes()
    assert (len(data) - HEADER) // LENGTH > current_frames(wal), "the fixture makes some"
    assert served(owner, image) == list(range(1, COUNT + 1))


def test_sums_are_those_of_the_format(image: Path) -> None:
    data = (image / f"{FILE}-wal").read_bytes()
    order = "<" if data[:4] == bytes.fromhex("377f0682") else ">"
    assert _sum(order, data[:24], (0, 0)) == struct.unpack(">II", data[24:32])
    frame = data[HEADER : HEADER + LENGTH]
    assert _sum(order, frame[:8] + frame[24:], struct.unpack(">II", data[24:32])) == struct.unpack(">II", frame[16:24])
