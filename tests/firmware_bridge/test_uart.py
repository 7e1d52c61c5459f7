"""A port on pseudo-terminals: every byte as it is, and a plug that is pulled."""

import asyncio
import logging
import os
import select
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.uart import MAX_UNSENT, Uart


class Plug:
    """A path that leads to a terminal as long as something is plugged in."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "ttyUSB0")
        self.master = self.slave = -1

    def put_in(self) -> None:
        self.master, self.slave = os.openpty()
        os.symlink(os.ttyname(self.slave), self.path)

    def pull(self) -> None:
        os.unlink(self.path)
        os.close(self.slave)
        os.close(self.master)  # the other side reads its end


class Ends:
    def __init__(self, path: str) -> None:
        self.got = b""
        self.opened = self.lost = 0
        self.uart = Uart(path, 115200, self._data, self._open, self._lost)

    def _data(self, data: bytes) -> None:
        self.got += data

    def _open(self) -> None:
        self.opened += 1

    def _lost(self) -> None:
        self.lost += 1


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.01)


def with_port(path: str, work: Callable[[Ends], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        ends = Ends(path)
        task = asyncio.create_task(ends.uart.run())
        try:
            await work(ends)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert ends.uart.port is None

    asyncio.run(main())


def test_the_line_is_raw(tmp_path: Path) -> None:
    """No echo, no line discipline: NL, CR, XON, XOFF, EOF, the interrupt byte and a parity error's marker are bytes."""
    plug = Plug(tmp_path)
    plug.put_in()
    every = bytes(range(256)) * 3

    async def work(ends: Ends) -> None:
        await until(lambda: ends.opened == 1)
        os.write(plug.master, every)
        await until(lambda: len(ends.got) >= len(every))
        assert ends.got == every
        ends.uart.write(every)
        sent = b""
        while len(sent) < len(every):
            sent += await asyncio.to_thread(os.read, plug.master, 4096)
        assert sent == every

    with_port(plug.path, work)
    plug.pull()


def test_a_plug_that_is_pulled_and_put_in_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plug = Plug(tmp_path)
    caplog.set_level(logging.INFO)

    async def work(ends: Ends) -> None:
        await until(lambda: "trying again" in caplog.text)  # nothing is there yet
        for count in (1, 2, 3):
            plug.put_in()
            await until(lambda count=count: ends.opened == count)  # type: ignore[misc]
            os.write(plug.master, b"%d" % count)
            await until(lambda count=count: len(ends.got) == count)  # type: ignore[misc]
            plug.pull()
            await until(lambda count=count: ends.lost == count)  # type: ignore[misc]
            ends.uart.write(b"into the air")
        assert ends.got == b"123"

    with_port(plug.path, work)


def test_a_port_is_one_bridges_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plug = Plug(tmp_path)
    plug.put_in()

    async def work(first: Ends) -> None:
        await until(lambda: first.opened == 1)
        second = Ends(plug.path)
        task = asyncio.create_task(second.uart.run())
        await until(lambda: "lock" in caplog.text)
        assert second.opened == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with_port(plug.path, work)
    plug.pull()


def test_a_line_that_takes_nothing_gets_no_more_than_it_should(tmp_path: Path) -> None:
    plug = Plug(tmp_path)
    plug.put_in()

    async def work(ends: Ends) -> None:
        await until(lambda: ends.opened == 1)
        for _ in range(1000):
            ends.uart.write(b"x" * 100)
        assert 0 < len(ends.uart.unsent) <= MAX_UNSENT
        waiting = len(ends.uart.unsent)

        def went_on() -> bool:
            """Room is made until the line takes more; how much it wants is the kernel's business."""
            if select.select([plug.master], [], [], 0)[0]:
                os.read(plug.master, 4096)
            return len(ends.uart.unsent) < waiting

        await until(went_on)

    with_port(plug.path, work)
    plug.pull()
