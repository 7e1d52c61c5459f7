"""A serial cable: two pseudo-terminals; what is written to one end is read from the other."""

import asyncio
import os
import tty


class SerialCable:
    """`device_end` and `bridge_end` are paths of terminals.

    Bytes for an end that nobody reads are lost, as on a wire; the protocol over it is made for that.
    """

    def __init__(self) -> None:
        self._open_fds: list[int] = []
        self._masters: list[int] = []
        self.device_end = self._terminal()
        self.bridge_end = self._terminal()
        near, far = self._masters
        loop = asyncio.get_running_loop()
        loop.add_reader(near, _carry, near, far)
        loop.add_reader(far, _carry, far, near)

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        for fd in self._masters:
            loop.remove_reader(fd)
        for fd in self._open_fds:
            os.close(fd)
        self._open_fds.clear()

    def _terminal(self) -> str:
        # The slave stays open here: without any reader the master would see a hang-up.
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._open_fds += (master, slave)
        self._masters.append(master)
        return os.ttyname(slave)


def _carry(source: int, sink: int) -> None:
    data = os.read(source, 4096)
    try:
        os.write(sink, data)
    except BlockingIOError:
        pass  # the terminal's buffer is full: nobody reads there
