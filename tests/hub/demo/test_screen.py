import asyncio
import io

import pytest
from rich.console import Console

from hub.demo.live_screen import LiveScreen, drawn
from hub.demo.picture import HISTORY, Picture
from hub.demo.screen import PlainScreen, curve, figures


@pytest.mark.parametrize(
    "samples, shown",
    [([], ""), ([0, 0], "  "), ([0, 1, 8], " ▁█"), ([4, 8, 4], "▄█▄"), ([1000, 1], "█▁"), ([3], "█")],
)
def test_curve_of_the_backlog(samples, shown):
    assert curve(samples) == shown


def picture_of_a_cut():
    picture = Picture()
    picture.link = "cut"
    picture.edge = "killed"
    picture.nodes = {"hub-1": "up", "hub-2": "killed"}
    picture.produced = {"boiler": 40, "meadow": 2}
    picture.stored = 30
    picture.edge_says(False, 12, 2048)
    picture.arrived("telemetry.edge-1.boiler.c", "20")
    picture.arrived("telemetry.edge-1.boiler.c", "21")
    picture.note("link: cut")
    return picture


def test_figures_in_one_line():
    assert figures(picture_of_a_cut()) == (
        "produced 42  stored 30  backlog 12 (2.0 KB)  link cut  leaf not connected  edge killed"
    )


def test_live_picture_shows_every_part():
    console = Console(file=io.StringIO(), width=100)
    console.print(drawn(picture_of_a_cut()))
    text = console.file.getvalue()
    for part in ("hub-2", "killed", "not connected", "12 messages", "2.0 KB", "boiler 40, meadow 2", "21", "link: cut"):
        assert part in text


def test_history_is_bounded():
    picture = Picture()
    for n in range(HISTORY + 10):
        picture.edge_says(True, n, 0)
    assert list(picture.backlog_history) == list(range(10, HISTORY + 10))


async def show_until_cancelled(screen):
    task = asyncio.create_task(screen.show())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_plain_screen_prints_each_event_once(capsys):
    picture = picture_of_a_cut()
    screen = PlainScreen(picture)
    asyncio.run(show_until_cancelled(screen))
    picture.note("link: up")
    asyncio.run(show_until_cancelled(screen))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" s ", 1)[1] for line in lines] == ["link: cut", "link: up"]


def test_live_screen_leaves_the_last_picture():
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    asyncio.run(show_until_cancelled(LiveScreen(picture_of_a_cut(), console)))
    assert "link: cut" in console.file.getvalue()
