import hashlib
import os
from types import SimpleNamespace

import pytest

from edge.downlink.part_file import FOLDER, MARGIN, PartFile
from edge.errors import PetioleError


def part(tmp_path, size=6, known=0, keep=("N",)):
    found = PartFile(str(tmp_path), "N", size)
    found.open(known, set(keep), "x", digest(b"abcdef"))
    return found


def digest(data):
    return hashlib.sha256(data).digest()


def names(tmp_path):
    return sorted(os.path.relpath(path, tmp_path) for path in tmp_path.rglob("*") if path.is_file())


def test_chunk_by_chunk_into_its_place(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"old")
    found = part(tmp_path)
    found.write(b"abc")
    found.write(b"def")
    assert (tmp_path / "a/b").read_bytes() == b"old"
    found.finish("a/b", digest(b"abcdef"))
    assert (names(tmp_path), (tmp_path / "a/b").read_bytes()) == (["a/b"], b"abcdef")


def test_goes_on_behind_what_was_noted(tmp_path):
    found = part(tmp_path)
    found.write(b"abc")
    found.write(b"de")  # and the note of this did not reach the disk
    found.close()
    found = part(tmp_path, known=3)
    assert found.bytes == 3
    found.write(b"def")
    found.finish("x", digest(b"abcdef"))
    assert (tmp_path / "x").read_bytes() == b"abcdef"


def test_begins_anew_where_less_is_there_than_was_noted(tmp_path):
    part(tmp_path).close()
    assert part(tmp_path, known=3).bytes == 0


def test_another_digest(tmp_path):
    found = part(tmp_path)
    found.write(b"abcdeX")
    with pytest.raises(PetioleError, match="another digest"):
        found.finish("x", digest(b"abcdef"))
    assert names(tmp_path) == []


def test_more_than_there_should_be(tmp_path):
    found = part(tmp_path)
    with pytest.raises(PetioleError, match="more of it than it says"):
        found.write(b"abcdefg")
    found.close()


def test_no_room(tmp_path):
    with pytest.raises(OSError, match="no room"):
        part(tmp_path, size=1 << 60)


def test_parts_that_nobody_wants(tmp_path):
    (tmp_path / FOLDER).mkdir()
    for name in ("old", "other"):
        (tmp_path / FOLDER / name).write_bytes(b"x")
    part(tmp_path, keep=("N", "other")).close()
    assert names(tmp_path) == [f"{FOLDER}/N", f"{FOLDER}/other"]


@pytest.mark.parametrize(("content", "placed"), [(b"abcdef", True), (b"abcdeX", False), (b"abc", False)])
def test_power_that_went_just_behind_its_end(tmp_path, content, placed):
    (tmp_path / "x").write_bytes(content)
    found = part(tmp_path, known=6)
    assert (found.is_placed, found.bytes) == (placed, 6 if placed else 0)
    if placed:
        found.finish("x", digest(b"abcdef"))
        assert names(tmp_path) == ["x"]
    found.close()


def test_disk_that_fills_meanwhile_is_left_to_others(tmp_path, monkeypatch):
    found = part(tmp_path)
    found.write(b"abc")
    full = SimpleNamespace(f_bavail=MARGIN // 4096, f_frsize=4096)
    with monkeypatch.context() as patch:
        patch.setattr("os.fstatvfs", lambda file: full)
        with pytest.raises(OSError, match="no room for 3 bytes more"):
            found.write(b"def")
    found.write(b"def")
    found.finish("x", digest(b"abcdef"))
    assert (tmp_path / "x").read_bytes() == b"abcdef"
