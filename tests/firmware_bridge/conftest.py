"""A serial cable: two pseudo-terminals joined by a thread, so that both ends are real ttys that can be opened again."""

import os
import random
import select
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
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            self.masters.append(master)
            self.slaves.append(slave)
        self.a, self.b = map(os.ttyname, self.slaves)
        self.fault_rate = 0.0  # of the pieces carried: lost, damaged or carried twice
        self.rng = random.Random(1)
        self.stopped, self.stop = os.pipe()
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()

    def disturb(self, noise: bytes) -> None:
        """These bytes appear on the line, both ways, before whatever comes next."""
        for master in self.masters:
            os.write(master, noise)

    def close(self) -> None:
        os.close(self.stop)
        self.thread.join()  # it must not meet a number that is somebody else's file by then
        for fd in (*self.slaves, *self.masters, self.stopped):
            os.close(fd)

    def _carry(self) -> None:
        other = dict(zip(self.masters, reversed(self.masters), strict=True))
        while True:
            readable, _, _ = select.select([*self.masters, self.stopped], [], [])
            if self.stopped in readable:
                return
            for source in readable:
                data = os.read(source, 4096)
                try:
                    os.write(other[source], self._spoilt(data) if self.rng.random() < self.fault_rate else data)
                except BlockingIOError:
                    pass  # nobody reads there: lost, as on a wire

    def _spoilt(self, data: bytes) -> bytes:
        at = self.rng.randrange(len(data))
        flipped = data[:at] + bytes([data[at] ^ 1 << self.rng.randrange(8)]) + data[at + 1 :]
        return self.rng.choice([b"", data[:at], flipped, data * 2])


@pytest.fixture
def cable() -> Iterator[Cable]:
    cable = Cable()
    yield cable
    cable.close()


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "bridge.db")
