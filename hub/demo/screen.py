"""The picture as plain lines, where nobody looks at a terminal; and what both screens share."""

import asyncio
from typing import Protocol

from hub.demo.picture import Picture
from hub.fleet import size

BARS = " ▁▂▃▄▅▆▇█"
REFRESH_S = 0.25
PLAIN_EVERY_S = 2.0


class Screen(Protocol):
    async def show(self) -> None:
        """Draw until cancelled, and once more then."""


class PlainScreen:
    """Events as they happen, and a line of figures every two seconds."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._printed = 0

    async def show(self) -> None:
        next_figures = PLAIN_EVERY_S
        try:
            while True:
                self._print_events()
                if self._picture.elapsed() >= next_figures:
                    print(f"{'':9}{figures(self._picture)}", flush=True)
                    next_figures = self._picture.elapsed() + PLAIN_EVERY_S
                await asyncio.sleep(REFRESH_S)
        finally:
            self._print_events()

    def _print_events(self) -> None:
        for at, text in self._picture.events[self._printed :]:
            print(f"{at:6.1f} s {text}", flush=True)
        self._printed = len(self._picture.events)


def figures(picture: Picture) -> str:
    """The picture in one line."""
    leaf = {None: "?", True: "connected", False: "not connected"}[picture.leaf_connected]
    return (
        f"produced {sum(picture.produced.values())}  stored {picture.stored}  "
        f"backlog {picture.backlog_messages} ({size(picture.backlog_bytes)})  "
        f"link {picture.link}  leaf {leaf}  edge {picture.edge}"
    )


def curve(samples: list[int]) -> str:
    """Samples as bars of eight heights; the highest fills the line, nothing but zero is empty."""
    top = max(samples, default=0)
    return "".join(BARS[-(-n * (len(BARS) - 1) // top)] if top else BARS[0] for n in samples)
