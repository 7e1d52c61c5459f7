"""A serial port on the event loop.  A port that goes away (a plug pulled) is opened again for ever."""

import asyncio
import logging
import os
from collections.abc import Callable

import serial

log = logging.getLogger("petiole-bridge")

READ_SIZE = 4096
MAX_UNSENT = 4096  # a line that takes nothing gets no more than this; the link sends the rest again
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)


class Uart:
    """``on_data`` gets what arrives, ``on_open`` and ``on_lost`` hear of the port coming and going."""

    def __init__(
        self,
        path: str,
        baud: int,
        on_data: Callable[[bytes], None],
        on_open: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.path = path
        self.baud = baud
        self.on_data = on_data
        self.on_open = on_open
        self.on_lost = on_lost
        self.loop = asyncio.get_running_loop()
        self.port: serial.Serial | None = None
        self.gone: asyncio.Event = asyncio.Event()
        self.unsent = b""

    async def run(self) -> None:
        """Keep the port open until cancelled."""
        failures = 0
        said = ""
        try:
            while True:
                try:
                    self._open()
                except (serial.SerialException, OSError, ValueError) as exc:
                    if str(exc) != said:
                        log.warning("port %s: %s; trying again", self.path, exc)
                        said = str(exc)
                    await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                    failures += 1
                    continue
                failures, said = 0, ""
                log.info("port %s: open at %d baud", self.path, self.baud)
                self.on_open()
                await self.gone.wait()
                log.warning("port %s: gone", self.path)
                self.on_lost()
                await asyncio.sleep(RETRY_SECONDS[0])
        finally:
            self._close()

    def write(self, data: bytes) -> None:
        """Send when the line takes it; without a port the data is dropped, the link sends it again."""
        if self.port is not None and len(self.unsent) + len(data) <= MAX_UNSENT:
            self.unsent += data
            self._send()

    def _open(self) -> None:
        self.gone.clear()
        self.port = serial.Serial(self.path, self.baud, timeout=0, exclusive=True)
        self.unsent = b""
        self.loop.add_reader(self.port.fileno(), self._readable)

    def _readable(self) -> None:
        assert self.port is not None
        try:
            data = os.read(self.port.fileno(), READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.on_data(data)
        else:
            self._close()

    def _send(self) -> None:
        assert self.port is not None
        fd = self.port.fileno()
        try:
            sent = os.write(fd, self.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close()
            return
        self.unsent = self.unsent[sent:]
        if self.unsent:
            self.loop.add_writer(fd, self._send)
        else:
            self.loop.remove_writer(fd)

    def _close(self) -> None:
        if self.port is not None:
            self.loop.remove_reader(self.port.fileno())
            self.loop.remove_writer(self.port.fileno())
            self.port.close()
            self.port = None
            self.gone.set()
