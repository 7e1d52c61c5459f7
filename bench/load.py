"""The load generator: ``load.c``, compiled when it is needed, run against one server, its counts checked."""

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("load.c")
PATIENCE = 120.0  # seconds a load may take beyond its own length


class BenchError(Exception):
    """A figure cannot be had; ``str(exc)`` says why and what to do."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the generator sent and got back, all of it accounted for.  Latencies are 0 where they are not measured."""

    sent: int
    received: int
    seconds: float
    load_cpu: float  # cores the generator used: near 1 it was the limit, and not the server
    p50_us: float = 0.0
    p99_us: float = 0.0
    alone: float = 0.0  # deliveries a second without the slow receiver, where there is one
    beside: float = 0.0  # and with it

    @property
    def rate(self) -> float:
        return self.received / self.seconds


def build(folder: Path) -> Path:
    """Compile the generator into ``folder``.  BenchError without a compiler."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if not compiler or shutil.which(compiler[0]) is None:
        raise BenchError(f"no C compiler ({' '.join(compiler) or 'CC is empty'}): the load generator is written in C;"
                         " on Debian: apt install gcc libc6-dev")  # fmt: skip
    program = folder / "load"
    command = [*compiler, "-std=gnu99", "-O2", "-o", str(program), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"{shlex.join(command)} failed:\n{done.stderr}")
    return program


@dataclass(frozen=True, slots=True)
class Load:
    """The compiled generator and the length of its loads in seconds."""

    program: Path
    seconds: float

    def run(self, port: int, kind: str, **settings: int) -> Counted:
        """Run ``kind``, see the head of load.c.  BenchError when anything is lost, altered or refused."""
        words = [f"{name}={value}" for name, value in settings.items()]
        command = [str(self.program), str(port), kind, f"seconds={self.seconds:g}", *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=2 * self.seconds + PATIENCE)
        except subprocess.TimeoutExpired as exc:
            raise BenchError(f"{kind} {' '.join(words)}: no end after {exc.timeout:g} s") from exc
        if done.returncode:
            raise BenchError(f"{kind} {' '.join(words)}: {done.stdout}{done.stderr}".strip())
        counted = json.loads(done.stdout)
        del counted["refused"]  # 0, or the status would not be
        return Counted(**counted)
