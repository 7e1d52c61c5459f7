"""Load of all kinds on one server, that is killed again and again, and looked at each time."""

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import Server, free_port
from tests.crash import consumers, streams
from tests.crash.hand import CUT, Hand, Refused
from tests.crash.powercut import PowerCut
from tests.crash.workload import Workload

WORKLOADS = {kind.name: kind for kind in (*streams.WORKLOADS, *consumers.WORKLOADS)}

CONFIG = """
listen: 127.0.0.1:{port}
server_name: crash
jetstream {{ store_dir: "{store}" }}
"""
AT_ONCE = 5  # workloads


class Campaign:
    """``torn``: the kill is a power cut, and what was not synced is lost."""

    def __init__(self, folder: Path, seed: int, names: list[str], torn: bool) -> None:
        self.dice = random.Random(seed)
        self.store = folder / "store"
        self.store.mkdir(parents=True)
        self.power = PowerCut(self.store, folder, self.dice) if torn else None
        command = [sys.executable, "-m", "edge", "run"]
        if self.power is not None:
            command = ["env", *(f"{name}={value}" for name, value in self.power.environment.items()), *command]
        self.server = Server(command, CONFIG.format(port=free_port(), store=self.store), folder, "edge")
        self.workloads: list[Workload] = [WORKLOADS[name](self.dice) for name in names]
        self.rounds = 0

    def __enter__(self) -> "Campaign":
        self.server.start()
        asyncio.run(self._create())
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.kill()

    async def _create(self) -> None:
        hand = await Hand.reach(self.server.url)
        for workload in self.workloads:
            await workload.create(hand)
        await hand.leave()

    def round(self, longest: float = 1.0) -> str:
        """Load, kill, look, start, look.  What was lost; AssertionError for what must not be."""
        self.rounds += 1
        active = self.dice.sample(self.workloads, min(AT_ONCE, len(self.workloads)))
        asyncio.run(self._load(active, self.dice.uniform(0.02, longest)))
        lost = "; ".join(self.power.cut()) if self.power is not None else ""
        verify(self.store)
        self.server.start()
        asyncio.run(self._check())
        return lost

    async def _load(self, active: list[Workload], seconds: float) -> None:
        hand = await Hand.reach(self.server.url)
        tasks = [asyncio.create_task(workload.load(hand), name=workload.name) for workload in active]
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        status = self.server.process.poll() if self.server.process is not None else 0
        self.server.kill()
        await hand.leave()
        assert status is None, f"the server ended by itself, with {status}"
        for task in tasks:
            task.cancel()
        for task, result in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
            if task in done or not isinstance(result, CUT):
                raise AssertionError(f"{task.get_name()}: the load ended: {result!r}") from result

    async def _check(self) -> None:
        hand = await Hand.reach(self.server.url)
        try:
            for workload in self.workloads:
                try:
                    await workload.check(hand)
                except (AssertionError, Refused, *CUT) as exc:
                    raise AssertionError(f"{workload.name}: {exc!r}") from exc
        finally:
            await hand.leave()

    def finish(self) -> str:
        """A clean end, and what was done."""
        assert self.server.stop() == 0
        verify(self.store)
        done = ", ".join(f"{workload.name} {workload.done}" for workload in self.workloads)
        return f"{self.rounds} kills; confirmed: {done}"


def verify(store: Path) -> None:
    command = [sys.executable, "-m", "edge", "verify", "-s", str(store)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode == 0, f"verify: {done.stdout}{done.stderr}"


def run(folder: Path, seed: int, names: list[str], torn: bool, until: float, rounds: int = 1 << 30) -> str:
    """Until a monotonic time, or for some rounds."""
    with Campaign(folder, seed, names, torn) as campaign:
        while campaign.rounds < rounds and time.monotonic() < until:
            campaign.round()
        return campaign.finish()
