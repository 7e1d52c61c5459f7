"""A serial cable: two pseudo-terminals joined by a thread, so that both ends are real ttys that can be opened again."""

import os
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest


class Cable:
    """``a`` and ``b`` are paths of terminals; what is written to one is read from the other."""

    def __init__(self) -> None:
        self.masters: list[int] = []
        self.slaves: list[int] = []  # held open, so that an end may close and open again
        paths = []
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            self.masters.append(master)
            self.slaves.append(slave)
            paths.append(os.ttyname(slave))
        self.a, self.b = paths
        self.noise = b""
        self.threads = [
            threading.Thread(target=self._carry, args=pair, daemon=True)
            for pair in ((self.masters[0], self.masters[1]), (self.masters[1], self.masters[0]))
        ]
        for thread in self.threads:
            thread.start()

    def disturb(self, noise: bytes) -> None:
        """These bytes appear on the line, both ways, before whatever comes next."""
        for master in self.masters:
            os.write(master, noise)

    def close(self) -> None:
        for fd in (*self.slaves, *self.masters):
            os.close(fd)

    def _carry(self, source: int, sink: int) -> None:
        try:
            while data := os.read(source, 4096):
                os.write(sink, data)
        except OSError:
            pass


@pytest.fixture
def cable() -> Iterator[Cable]:
    cable = Cable()
    yield cable
    cable.close()


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "bridge.db")
