"""From "ready" to the end: signals, the tasks that run meanwhile, and lame duck mode."""

import asyncio
import logging
import random
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Protocol

from edge.errors import PetioleError

log = logging.getLogger("edge")

SECOND = 1_000_000_000
MAX_PAUSE_NS = SECOND  # between two clients: a handful of them does not need the whole time
NAMES = {  # as nats-server, and Go, call them
    signal.SIGINT: "interrupt",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hangup",
    signal.SIGUSR1: "user defined signal 1",
    signal.SIGUSR2: "user defined signal 2",
}


class Listener(Protocol):
    """Whatever clients connect to."""

    async def stop(self) -> None: ...
    def stop_accepting(self) -> None: ...
    def announce_lame_duck(self) -> None:
        """Tell those who understand it to go elsewhere."""

    def closers(self) -> Sequence[Callable[[], None]]:
        """To close each connection that there is."""


class Server(Protocol):
    """What signals ask of the server.  ``reload`` raises PetioleError where all stays as it was."""

    def reload(self) -> None: ...
    def reopen_log(self) -> None: ...
    async def lame_duck(self) -> None: ...


class Lifecycle:
    """The owner of every task.  The first that ends by itself ends the server: it is lame duck mode, or a bug."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.loop = asyncio.get_running_loop()
        self.stopping = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.ended: list[asyncio.Task[None]] = []
        self.is_lame_duck = False
        self.is_serving = False

    def hear_signals(self) -> None:
        for number in NAMES:
            self.loop.add_signal_handler(number, self.hear, number)

    def hear(self, number: signal.Signals) -> None:
        log.info('Trapped "%s" signal', NAMES[number])
        match number:
            case signal.SIGINT:
                self.stopping.set()
            case signal.SIGTERM if not self.is_lame_duck:  # which is a shutdown already, with time for the clients
                self.stopping.set()
            case _ if not self.is_serving:
                log.warning("The server is not ready yet")
            case signal.SIGHUP:
                self._reload()
            case signal.SIGUSR1:
                self.server.reopen_log()
            case signal.SIGUSR2:
                self.begin_lame_duck()

    def _reload(self) -> None:
        try:
            self.server.reload()
        except PetioleError as exc:
            log.error("Failed to reload server configuration: %s", exc)

    def begin_lame_duck(self) -> None:
        if not self.is_lame_duck and not self.stopping.is_set():
            self.is_lame_duck = True
            self.start(self.server.lame_duck())

    def start(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Cancel it to end it."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._on_end)
        return task

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            self.ended.append(task)
            self.stopping.set()

    async def serve(self) -> None:
        """Until the server is told to stop."""
        self.is_serving = True
        await self.stopping.wait()
        log.info("Initiating Shutdown...")
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in self.ended:
            task.result()  # a bug is raised here


async def lame_duck(listeners: Sequence[Listener], grace_ns: int, duration_ns: int) -> None:
    """Accept nobody any more, tell the clients, and after the grace close them one by one."""
    log.info("Entering lame duck mode, stop accepting new clients")
    for listener in listeners:
        listener.stop_accepting()
    if not any(listener.closers() for listener in listeners):
        return
    for listener in listeners:
        listener.announce_lame_duck()
    await asyncio.sleep(grace_ns / SECOND)
    log.info("Closing existing clients")
    closers = [close for listener in listeners for close in listener.closers()]
    pause_ns = min((duration_ns - grace_ns) // max(len(closers), 1), MAX_PAUSE_NS)
    for i, close in enumerate(closers):
        close()
        if i < len(closers) - 1:
            await asyncio.sleep(random.uniform(pause_ns / 2, pause_ns) / SECOND)
