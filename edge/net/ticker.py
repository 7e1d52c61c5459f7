"""One timer for a component that computes its own deadlines."""

import asyncio
import time
from typing import Protocol

from edge.core.router import Router


class Ticking(Protocol):
    def deadline(self) -> int | None:
        """When ``tick`` wants to be called next, monotonic nanoseconds; None for not at all."""

    def tick(self, now: int) -> None:
        """Do everything that is due."""


class Ticker:
    """Sleeps until the component's deadline; ``wake`` is for the component to call when that has become earlier."""

    def __init__(self, loop: asyncio.AbstractEventLoop, router: Router) -> None:
        self.loop = loop
        self.router = router
        self.component: Ticking | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.armed_for = 0

    def start(self, component: Ticking) -> None:
        self.component = component
        self.wake()

    def stop(self) -> None:
        self.component = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def wake(self) -> None:
        if self.component is None:
            return
        deadline = self.component.deadline()
        if self.timer is not None:
            if deadline is not None and deadline >= self.armed_for:
                return  # rings earlier than needed: then it is armed anew
            self.timer.cancel()
            self.timer = None
        if deadline is not None:
            self.armed_for = deadline
            delay = max(deadline - time.monotonic_ns(), 0) / 1e9
            self.timer = self.loop.call_later(delay, self._ring)

    def _ring(self) -> None:
        self.timer = None
        if self.component is not None:
            self.component.tick(time.monotonic_ns())
            self.router.flush()
            self.wake()
