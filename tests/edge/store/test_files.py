import os
import stat
from pathlib import Path

import pytest

from edge.store import files
from edge.store.files import make_folder, replace_file


def test_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(str(path), b"one")
    replace_file(str(path), b"two", mode=0o600)
    assert path.read_bytes() == b"two" and stat.S_IMODE(path.stat().st_mode) == 0o600 and os.listdir(tmp_path) == ["file"]


def test_the_old_one_stands_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    replace_file(str(path), b"one")

    def fail(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        replace_file(str(path), b"two")
    assert path.read_bytes() == b"one" and os.listdir(tmp_path) == ["file"]


def test_content_is_synced_before_the_name_and_the_name_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def note_fsync(file: int) -> None:
        steps.append("sync " + ("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else f"{os.fstat(file).st_size} bytes"))
        fsync(file)

    def note_rename(old: str, new: str) -> None:
        steps.append("rename")
        rename(old, new)

    monkeypatch.setattr(files.os, "fsync", note_fsync)
    monkeypatch.setattr(files.os, "rename", note_rename)
    replace_file(str(tmp_path / "file"), b"12345")
    assert steps == ["sync 5 bytes", "rename", "sync folder"]


def test_folders_above_are_made_too(tmp_path: Path) -> None:
    make_folder(str(tmp_path / "a" / "b"))
    make_folder(str(tmp_path / "a" / "b" / "c") + "/")
    make_folder(str(tmp_path / "a"))
    assert (tmp_path / "a" / "b" / "c").is_dir()
