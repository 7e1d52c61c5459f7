"""What a power cut leaves of a store: of what was not synced, each write arrives, or does not, or in part, or as junk.

A killed process leaves everything it wrote in the kernel's hands, which goes on to write it: SIGKILL alone shows
nothing of what a disk forgets.  ``powercut.c``, preloaded into the server, keeps what the unsynced writes replaced.
"""

import os
import random
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HEAD = struct.Struct("<cHQQQQ")
SECTOR = 512
SOURCE = Path(__file__).with_suffix(".c")


class Change(NamedTuple):
    """``size``: of the file before; ``old``: what stood from ``at`` on."""

    kind: bytes
    at: int
    size: int
    length: int
    old: bytes


class PowerCut:
    """For one store: ``environment`` is the server's, and ``cut`` is for when it is dead."""

    def __init__(self, store: Path, folder: Path, dice: random.Random) -> None:
        self.store = store
        self.dice = dice
        self.journal = folder / "powercut.journal"
        library = folder / "powercut.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True, timeout=60)
        self.environment = {
            "LD_PRELOAD": str(library), "POWERCUT_FOLDER": f"{store}/", "POWERCUT_JOURNAL": str(self.journal),
        }  # fmt: skip

    def cut(self) -> list[str]:
        """A line for each file of which something is lost."""
        lines = []
        for path, changes in self._unsynced().items():
            if path.endswith("-shm") or not os.path.exists(path):
                continue
            lines.append(f"{os.path.basename(path)}: {len(changes)} unsynced writes, {self._lose(Path(path), changes)} whole")
        index = next(iter(self.store.glob("*-shm")), None)
        if index is not None and self.dice.random() < 0.7:  # it is never synced
            index.unlink() if self.dice.random() < 0.5 else index.write_bytes(self.dice.randbytes(32768))
        self.forget()
        return lines

    def forget(self) -> None:
        """From here on everything is on disk."""
        self.journal.unlink(missing_ok=True)

    def _unsynced(self) -> dict[str, list[Change]]:
        found: dict[str, list[Change]] = {}
        for path, change in self._records():
            if change.kind == b"S":
                found.pop(path, None)
            else:
                found.setdefault(path, []).append(change)
        return found

    def _records(self) -> Iterator[tuple[str, Change]]:
        data = self.journal.read_bytes() if self.journal.exists() else b""
        place = 0
        while place + HEAD.size <= len(data):
            kind, name, at, size, length, old = HEAD.unpack_from(data, place)
            place += HEAD.size + name + old
            if place > len(data):
                return  # it was killed while it noted this, before it did it
            path = data[place - old - name : place - old].decode()
            yield path, Change(kind, at, size, length, data[place - old : place])

    def _lose(self, path: Path, changes: list[Change]) -> int:
        """Back to what was synced, and then again what the disk happened to do.  How many arrive whole."""
        content = bytearray(path.read_bytes())
        written: list[bytes] = []
        for change in reversed(changes):
            written.append(bytes(content[change.at : change.at + change.length]) if change.kind == b"W" else b"")
            del content[change.size :]
            content.extend(bytes(change.size - len(content)))
            content[change.at : change.at + len(change.old)] = change.old
        chance = self.dice.choice((0.0, 0.3, 0.7, 0.95, 1.0))
        whole = 0
        for change, new in zip(changes, reversed(written), strict=True):
            arrives = self.dice.random() < chance
            whole += arrives
            if change.kind == b"T":
                if arrives:
                    del content[change.at :]
                    content.extend(bytes(change.at - len(content)))
                continue
            if not arrives:
                new = self._part(new, bytes(content[change.at : change.at + len(new)]))
            if new:
                content.extend(bytes(max(change.at - len(content), 0)))
                content[change.at : change.at + len(new)] = new
        path.write_bytes(content)
        return whole

    def _part(self, new: bytes, old: bytes) -> bytes:
        """Nothing of it, or up to some byte, or some sectors, or one of them as junk."""
        how = self.dice.randrange(5)
        if how == 0:
            return new[: self.dice.randrange(len(new) + 1)]
        if how == 1:
            old = old.ljust(len(new), b"\0")
            return b"".join(
                (new if self.dice.random() < 0.5 else old)[at : at + SECTOR] for at in range(0, len(new), SECTOR)
            )
        if how == 2 and new:
            at = self.dice.randrange(len(new)) // SECTOR * SECTOR
            return new[:at] + self.dice.randbytes(min(SECTOR, len(new) - at)) + new[at + SECTOR :]
        return b""
