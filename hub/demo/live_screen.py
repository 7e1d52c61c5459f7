"""The picture on a terminal, live, with rich."""

import asyncio

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hub.demo.picture import Picture
from hub.demo.screen import REFRESH_S, curve
from hub.fleet import size

GOOD = {"up", "running", "connected"}


class LiveScreen:
    def __init__(self, picture: Picture, console: Console) -> None:
        self._picture = picture
        self._console = console

    async def show(self) -> None:
        with Live(console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    live.update(drawn(self._picture), refresh=True)
                    await asyncio.sleep(REFRESH_S)
            finally:
                live.update(drawn(self._picture), refresh=True)


def drawn(picture: Picture) -> RenderableType:
    events = "\n".join(f"{at:6.1f} s  {text}" for at, text in picture.events[-12:])
    return Group(
        Panel(_parts(picture), title=f"Petiole  {picture.elapsed():.0f} s", title_align="left"),
        Panel(_backlog(picture), title="backlog at the edge", title_align="left"),
        Panel(_readings(picture), title="readings", title_align="left"),
        Panel(Text(events), title="what happens", title_align="left"),
    )


def _parts(picture: Picture) -> Table:
    table = Table.grid(padding=(0, 3))
    leaf = {None: "silent", True: "connected", False: "not connected"}[picture.leaf_connected]
    cells = [("edge", picture.edge), ("link", picture.link), ("leaf", leaf), *picture.nodes.items()]
    table.add_row(*(Text(name, style="bold") for name, _ in cells))
    table.add_row(*(Text(state, style="green" if state in GOOD else "red") for _, state in cells))
    return table


def _backlog(picture: Picture) -> Text:
    amount = f"{picture.backlog_messages:6d} messages, {size(picture.backlog_bytes):9}"
    return Text.assemble((amount, "bold"), "\n", (curve(list(picture.backlog_history)), "yellow"))


def _readings(picture: Picture) -> Table:
    table = Table.grid(padding=(0, 3))
    made = ", ".join(f"{device} {count}" for device, count in picture.produced.items())
    table.add_row("produced", str(sum(picture.produced.values())), made)
    table.add_row("stored at the hub", str(picture.stored), "")
    for subject, arrival in sorted(picture.arrivals.items()):
        table.add_row(subject, str(arrival.count), arrival.value)
    return table
