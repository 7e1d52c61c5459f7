import asyncio
import time

from edge.core.router import Router
from edge.net.ticker import Ticker


class Alarm:
    """Rings at the times it was given."""

    def __init__(self, *times: int) -> None:
        self.times = sorted(times)
        self.rung: list[int] = []
        self.done = asyncio.Event()

    def deadline(self) -> int | None:
        return self.times[0] if self.times else None

    def tick(self, now: int) -> None:
        while self.times and self.times[0] <= now:
            self.rung.append(self.times.pop(0))
        if not self.times:
            self.done.set()


def test_rings_when_due_and_again_for_what_is_left() -> None:
    async def main() -> None:
        now = time.monotonic_ns()
        alarm = Alarm(now + 5_000_000, now + 10_000_000)
        ticker = Ticker(asyncio.get_running_loop(), Router())
        ticker.start(alarm)
        await asyncio.wait_for(alarm.done.wait(), 10)
        assert alarm.rung == [now + 5_000_000, now + 10_000_000] and ticker.timer is None

    asyncio.run(main())


def test_wake_moves_the_timer_forward() -> None:
    async def main() -> None:
        now = time.monotonic_ns()
        alarm = Alarm(now + 3600_000_000_000)
        ticker = Ticker(asyncio.get_running_loop(), Router())
        ticker.start(alarm)
        alarm.times = [now + 1_000_000]
        ticker.wake()
        await asyncio.wait_for(alarm.done.wait(), 10)
        ticker.stop()

    asyncio.run(main())


def test_stop_means_silence() -> None:
    async def main() -> None:
        alarm = Alarm(time.monotonic_ns())
        ticker = Ticker(asyncio.get_running_loop(), Router())
        ticker.start(alarm)
        ticker.stop()
        ticker.wake()
        await asyncio.sleep(0.02)
        assert alarm.rung == []

    asyncio.run(main())
