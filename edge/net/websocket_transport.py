"""What is behind the frames of a WebSocket takes this for its transport."""

import asyncio
from typing import Any, Protocol


class Stream(Protocol):
    def send(self, data: bytes) -> bytes:
        """The frame that carries ``data``."""


class Shell(Protocol):
    """The socket."""

    @property
    def transport(self) -> asyncio.Transport: ...
    @property
    def stream(self) -> Stream: ...
    def say_goodbye(self) -> None: ...


class WebSocketTransport(asyncio.Transport):
    """Each write is one frame."""

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self.shell = shell
        self.below = shell.transport

    def write(self, data: Any) -> None:
        if data:
            self.below.write(self.shell.stream.send(data))

    def get_write_buffer_size(self) -> int:
        return self.below.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.below.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.below.get_extra_info(name, default)

    def is_reading(self) -> bool:
        return self.below.is_reading()

    def pause_reading(self) -> None:
        self.below.pause_reading()

    def resume_reading(self) -> None:
        self.below.resume_reading()

    def is_closing(self) -> bool:
        return self.below.is_closing()

    def close(self) -> None:
        self.shell.say_goodbye()

    def abort(self) -> None:
        self.below.abort()
