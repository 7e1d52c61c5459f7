"""The same program on our server and on the real one, with its client library unmodified: it notes what it sees, and
the notes are the same, line by line.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import nats

from tests.conftest import Server, nats_server_binary

JS = Path(__file__).parent / "js"
PATIENCE = 60  # seconds for a program
ACCOUNTS = 16


class Diary:
    """What a program saw; times and made-up names are left out by whoever notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, what: str, *seen: object) -> None:
        self.lines.append(f"{what}: {' '.join(map(str, seen))}")

    async def attempt(self, what: str, happens: Awaitable[Any], show: Callable[[Any], object] = str) -> None:
        """An error that the client raises is to be the same on both too, whatever it is."""
        try:
            self.note(what, show(await happens))
        except Exception as error:
            self.note(what, type(error).__name__, error)


Program = Callable[[Any, Diary], Awaitable[None]]


class Pair:
    """One of ours and a real one; each program has an account of its own there."""

    def __init__(self, folder: Path) -> None:
        self.taken = 0
        self.servers = [
            Server(command, _config(folder / f"{name}-store"), folder, name).start()
            for name, command in (("edge", [sys.executable, "-m", "edge", "run"]), ("nats", [nats_server_binary()]))
        ]

    def compare(self, program: Program) -> None:
        user = self._user()

        async def both() -> list[list[str]]:
            return await asyncio.gather(*(run(program, server.url, user=user, password="p") for server in self.servers))

        compare(*asyncio.run(both()))

    def compare_node(self, script: str, program: str) -> None:
        user = self._user()
        options = [
            {"servers": f"127.0.0.1:{server.port}", "user": user, "pass": "p"}
            for server in self.servers
        ]  # fmt: skip
        compare(*run_node(script, program, options))

    def _user(self) -> str:
        self.taken += 1
        return f"u{self.taken}"

    def close(self) -> None:
        for server in self.servers:
            server.kill()


def _config(store: Path) -> str:
    accounts = "\n".join(
        f"  A{i}: {{ jetstream: enabled, users: [ {{ user: u{i}, password: p }} ] }}" for i in range(1, ACCOUNTS + 1)
    )
    return f'server_name: js\nlisten: 127.0.0.1:-1\njetstream {{ store_dir: "{store}" }}\naccounts {{\n{accounts}\n}}\n'


async def run(program: Program, url: str, **options: Any) -> list[str]:
    nc = await nats.connect(url, **options)
    diary = Diary()
    try:
        await asyncio.wait_for(program(nc.jetstream(), diary), PATIENCE)
    finally:
        await nc.close()
    return diary.lines


def run_node(script: str, program: str, options: list[dict[str, str]]) -> list[list[str]]:
    """What the program noted with each of the options, all at the same time; none outlives the first that fails."""
    with ExitStack() as running:
        started = [running.enter_context(_node(script, program, each)) for each in options]
        return [_notes(process) for process in started]


@contextmanager
def _node(script: str, program: str, options: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = ["node", str(JS / script), json.dumps(options), program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _notes(process: subprocess.Popen[str]) -> list[str]:
    try:
        told, problems = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        told, problems = process.communicate()
        problems += f"\nit did not end within {PATIENCE} s"
    assert process.returncode == 0, f"{told}\n{problems}"
    lines: list[str] = json.loads(told)
    return lines


def compare(ours: list[str], theirs: list[str]) -> None:
    for mine, real in zip(ours, theirs, strict=True):
        assert mine == real
    assert ours, "it noted nothing"


async def end(tasks: list["asyncio.Task[Any]"]) -> None:
    """They are at work still, and a task that has just been answered can miss that it was cancelled."""
    left = set(tasks)
    assert not any(task.done() for task in left)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.1)
