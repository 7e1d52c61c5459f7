"""Stores that are sound, left behind by a kill, shut off or damaged; none is changed by being looked at."""

import hashlib
import os
import queue
import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.store.database import FILE
from edge.store.sqlite import SqliteStore
from edge.tools.doctor import store
from edge.tools.doctor.machine import Machine
from edge.tools.doctor.store import check_store

Told = Callable[[Any], list[str]]
PAGE, INNER = 4096, 0x05
COUNT = 3000


def fill(folder: Path) -> None:
    calls: queue.Queue[Callable[[], None]] = queue.Queue()
    made = SqliteStore(str(folder), calls.put)
    for stream in (1, 2):
        made.put_stream(stream, "$G", f"S{stream}", b"{}", b"state")
        made.append(stream, [(seq, f"a.{seq % 5}", seq, b"", b"payload %06d" % seq + b"." * 100) for seq in range(1, COUNT + 1)])
    done: list[Any] = []
    made.commit(done.append)
    while not done:
        calls.get(timeout=60)()
    assert done == [None]
    made.close()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("sound")
    fill(folder)
    return (folder / FILE).read_bytes()


@pytest.fixture
def folder(tmp_path: Path, image: bytes) -> Iterator[Path]:
    """A store in good order; whatever a test does with it, looking must not change it."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / FILE).write_bytes(image)
    yield tmp_path / "store"


def state(folder: Path) -> dict[str, tuple[str, int]]:
    return {each.name: (hashlib.sha256(each.read_bytes()).hexdigest(), each.stat().st_mtime_ns) for each in folder.iterdir()}


@pytest.fixture
def look(told: Told) -> Callable[..., list[str]]:
    def look(folder: Path, pid: int | None = None, deep: bool = False) -> list[str]:
        before = state(folder) if folder.is_dir() else {}
        found = told(check_store(Machine(), str(folder), pid, deep))
        assert not folder.is_dir() or state(folder) == before
        return found

    return look


Look = Callable[..., list[str]]


def bad(found: list[str]) -> list[str]:
    return [each for each in found if not each.startswith("OK")]


def test_a_sound_store(folder: Path, look: Look) -> None:
    found = look(folder)
    assert found[0].startswith(f"OK store: {folder} belongs to ")
    assert found[1].startswith("OK store: sound: 6.0K messages of 2 streams, everything looked at in ")
    assert len(found) == 2


def test_one_that_is_large(folder: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "QUICK_S", -1.0)
    assert look(folder)[-1] == "OK store: sound as far as looked at: part of the structure, the last 0 messages of 2 streams; --deep looks at all of it"
    assert "everything looked at" in look(folder, deep=True)[-1]


def test_none_yet(tmp_path: Path, look: Look) -> None:
    assert look(tmp_path / "a" / "b") == [f"OK store: {tmp_path}/a/b is not there yet; the server makes it"]
    (tmp_path / "empty").mkdir()
    assert look(tmp_path / "empty")[-1] == f"OK store: {tmp_path}/empty holds nothing yet"


def test_a_file_in_its_place(tmp_path: Path, look: Look) -> None:
    (tmp_path / "file").write_text("")
    assert look(tmp_path / "file") == [f"FAIL store: {tmp_path}/file: Not a directory -> store_dir must be a directory that the server may write"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_files_that_root_made(folder: Path, look: Look) -> None:
    os.chown(folder, 12345, 12345)
    found = bad(look(folder))
    assert found == [f"FAIL store: petiole.db in {folder}: of user root, while the server runs as 12345 -> chown -R 12345: {folder}"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_is_closed(folder: Path, look: Look, told: Told) -> None:
    folder.chmod(0)
    try:
        (found,) = told(check_store(Machine(), str(folder), None, False))
    finally:
        folder.chmod(0o700)
    assert found.startswith("WARN") and "run doctor as root" in found


# ---- what lies beside it


def test_what_was_left_behind(folder: Path, look: Look) -> None:
    (folder / f"{FILE}.mend").write_text("")
    (folder / f"{FILE}.damaged").write_bytes(b"x" * 2048)
    found = bad(look(folder))
    assert found[0].startswith("FAIL store: the database has to be mended, and there was no room -> free ")
    assert found[1].startswith("WARN store: it was mended ") and f"delete {folder}/{FILE}.damaged (2.0K)" in found[1]


def test_a_long_log(folder: Path, look: Look) -> None:
    with (folder / f"{FILE}-wal").open("wb") as log:
        log.truncate(65 << 20)
    found = bad(look(folder))
    assert found[0].startswith("WARN store: the log has 65.0M")
    assert found[1].startswith("WARN store: the log of the last run can only be read by the next -> start the server")


def test_a_reserve_that_is_not_held(folder: Path, look: Look) -> None:
    (folder / f"{FILE}-shm").write_bytes(b"")
    (folder / f"{FILE}-wal").write_bytes(b"")
    assert any(each.startswith("WARN store: the reserve for acks is not held") for each in told_of_running(folder))
    with (folder / "reserve").open("wb") as reserve:
        reserve.truncate(24 << 20)
    assert not any("the reserve" in each for each in told_of_running(folder))


def told_of_running(folder: Path) -> list[str]:
    return [f"{each.level.value} {each.check}: {each.found}" for each in check_store(Machine(), str(folder), os.getpid(), False)]


# ---- damage


def damage(folder: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray((folder / FILE).read_bytes())
    change(data)
    (folder / FILE).write_bytes(data)


def test_a_message_with_a_flipped_bit(folder: Path, look: Look) -> None:
    def flip(data: bytearray) -> None:
        data[data.rindex(b"payload 001234") + 9] ^= 1

    damage(folder, flip)
    found = bad(look(folder))
    assert len(found) == 1 and found[0].startswith("FAIL store: stream S")
    assert "message 1234 is damaged and passed over -> what is around it is served" in found[0]


def test_a_page_that_leads_to_others(folder: Path, look: Look) -> None:
    def wipe(data: bytearray) -> None:
        inner = [page for page in range(1, len(data) // PAGE) if data[page * PAGE] == INNER]
        assert inner
        data[inner[0] * PAGE : (inner[0] + 1) * PAGE] = bytes(PAGE)

    damage(folder, wipe)
    found = bad(look(folder))
    assert found and all(each.startswith("FAIL") for each in found)
    assert "the database is damaged" in found[0] and "start it again: it mends what it can" in found[0]


def test_a_file_that_was_cut_short(folder: Path, look: Look) -> None:
    damage(folder, lambda data: data.__delitem__(slice(len(data) // 2, None)))
    assert bad(look(folder))[0].startswith("FAIL store: ")


def test_a_record_of_a_stream(folder: Path, look: Look) -> None:
    image, found = (folder / FILE).read_bytes(), []
    for place in re.finditer(re.escape(b"$GS1{}"), image):  # the record and its copy
        at = place.start() + 2
        (folder / FILE).write_bytes(image[:at] + b"X" + image[at + 1 :])
        found += bad(look(folder))
    assert len(found) == 1 and "stream S1: its record is damaged, the copy is used -> stop the server" in found[0]


@pytest.mark.parametrize("page", range(1, 30, 3))
def test_whichever_page_is_noise(folder: Path, look: Look, page: int) -> None:
    def noise(data: bytearray) -> None:
        data[page * PAGE : (page + 1) * PAGE] = hashlib.shake_128(b"%d" % page).digest(PAGE)

    damage(folder, noise)
    assert any(each.startswith("FAIL") for each in look(folder))


def test_much_damage_is_not_many_lines(folder: Path, look: Look) -> None:
    def flip(data: bytearray) -> None:
        for seq in range(10, 2000, 20):
            data[data.rindex(b"payload %06d" % seq) + 9] ^= 1

    damage(folder, flip)
    found = bad(look(folder))
    assert len(found) == 11 and "more places are damaged" in found[-1]


def test_what_is_no_store(folder: Path, look: Look) -> None:
    damage(folder, lambda data: data.__setitem__(slice(0, 100), b"no database" * 9 + b"!"))
    assert "is no database, or its first page is damaged -> move it away" in bad(look(folder))[0]
    (folder / FILE).unlink()
    with sqlite3.connect(folder / FILE) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    assert bad(look(folder)) == ["FAIL store: petiole.db is the database of another program -> give store_dir a directory of its own"]


def test_a_store_of_a_newer_version(folder: Path, look: Look) -> None:
    damage(folder, lambda data: data.__setitem__(slice(60, 64), (99).to_bytes(4)))
    assert "petiole.db has format 99, this petiole-edge knows 2 -> install the newer" in bad(look(folder))[0]


def test_a_schema_that_makes_no_sense(folder: Path, look: Look) -> None:
    def rename(data: bytearray) -> None:
        at = data.index(b"CREATE TABLE stream_copy (\n            id") + len(b"CREATE TABLE stream_copy (\n            ")
        data[at : at + 2] = b"ix"

    damage(folder, rename)
    assert bad(look(folder))[0].startswith("FAIL store: ")


@pytest.mark.parametrize("seed", range(40))
def test_whatever_has_happened_to_the_file_it_is_told(folder: Path, look: Look, seed: int) -> None:
    rng = random.Random(seed)

    def spoil(data: bytearray) -> None:
        at = rng.randrange(len(data) if seed % 2 else 2 * PAGE)
        match seed % 4:
            case 0 | 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                data[at : at + PAGE] = rng.randbytes(len(data[at : at + PAGE]))
            case 3:
                del data[at:]

    damage(folder, spoil)
    found = look(folder)
    assert found and (seed % 4 < 2 or bad(found))  # a flipped bit may be where nothing is
