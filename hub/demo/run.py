"""The demo from the first process to the last: stage, watchers, screen, scenario, count."""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from hub.demo.pace import Pace
from hub.demo.picture import Picture
from hub.demo.scenario import Scenario
from hub.demo.screen import PlainScreen, Screen
from hub.demo.stage import EDGE, Stage
from hub.demo.watch import watch_arrivals, watch_edge, watch_produced, watch_stored
from hub.errors import HubError
from hub.ledger import Account
from hub.nats_client import GO_ON_FOR_EVER, operator


def run_demo(binary: Path, pace: Pace, plain: bool) -> None:
    """Play it in a temporary directory and print the count; HubError says what failed.

    The directory stays only then.
    """
    directory = Path(tempfile.mkdtemp(prefix="petiole-demo-"))
    kept = f"; configurations and logs are in {directory}"
    try:
        stage = Stage(directory, binary)
        with _handled(_as_ctrl_c, signal.SIGTERM, signal.SIGHUP):
            try:
                account = asyncio.run(_play(stage, pace, plain))
            finally:
                # A second Ctrl-C must not keep the processes from being ended.
                with _handled(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    stage.close()
    except HubError as exc:
        raise HubError(f"{exc}{kept}") from exc
    except KeyboardInterrupt:
        shutil.rmtree(directory)
        raise
    print(*account.lines(), sep="\n")
    if not account.balances():
        raise HubError(f"{'; '.join(account.faults())}{kept}")
    shutil.rmtree(directory)


async def _play(stage: Stage, pace: Pace, plain: bool) -> Account:
    picture = Picture()
    screen = _screen(picture, plain)
    showing = asyncio.create_task(screen.show())
    try:
        return await _acts(stage, pace, picture)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
        stage.serial.unplug()
        await stage.link.close()


async def _acts(stage: Stage, pace: Pace, picture: Picture) -> Account:
    scenario = Scenario(stage, pace, picture)
    await scenario.raise_curtain()
    async with operator(stage.hub.plan, GO_ON_FOR_EVER) as client, asyncio.TaskGroup() as tasks:
        await watch_arrivals(client, picture)
        stage.serial.start(1 / pace.reading_every_s)
        picture.note(f"devices: on a serial line {stage.serial.kind}; a sensor speaking MQTT")
        producing = tasks.create_task(stage.sensor.produce(pace.reading_every_s))
        others = [
            tasks.create_task(stage.sensor.deliver()),
            tasks.create_task(watch_edge(stage.edge_url, EDGE, picture)),
            tasks.create_task(watch_stored(client, picture)),
            tasks.create_task(watch_produced(stage.produced, picture)),
        ]
        await scenario.play()
        producing.cancel()
        stage.serial.stop_producing()
        account = await scenario.settle()
        for task in others:
            task.cancel()
    return account


def _screen(picture: Picture, plain: bool) -> Screen:
    if plain or not sys.stdout.isatty():
        return PlainScreen(picture)
    from rich.console import Console

    from hub.demo.live_screen import LiveScreen

    return LiveScreen(picture, Console())


def _as_ctrl_c(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)


@contextmanager
def _handled(handler: signal.Handlers | Callable[[int, FrameType | None], None], *numbers: int) -> Iterator[None]:
    """Let `handler` have these signals for a while."""
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, previous in zip(numbers, before, strict=True):
            signal.signal(number, previous)
