"""Under what the figures are taken: the machine, its disk, the versions."""

import os
import platform
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import apsw

from bench.servers import Cores, nats_server
from edge.version import VERSION

SYNCS = 200


def describe(folder: Path, cores: Cores, runs: int, seconds: float) -> str:
    """Markdown; ``folder`` is where the stores will be."""
    load = os.getloadavg()[0]
    median, worst = sync_ms(folder)
    alone = "the only core there is, together with the load" if cores.server == cores.load else (
        f"core {cores.server} (with GOMAXPROCS=1 for nats-server), the load generator and the hub to core {cores.load}"
    )  # fmt: skip
    return "\n".join([
        f"- {time.strftime('%Y-%m-%d')}, {machine()}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"load average {load:.2f} before the start",
        f"- petiole {VERSION}, Python {platform.python_version()}, uvloop {version('uvloop')}, "
        f"SQLite {apsw.sqlite_lib_version()} (apsw), {nats_version()}",
        f"- stores on {file_system(folder)}; write and fdatasync of 4 KB: median {median:.2f} ms, p99 {worst:.2f} ms "
        f"({SYNCS} times)",
        f"- the measured server is held to {alone}; it is started afresh, with an empty store, for each run",
        f"- contenders alternate; {runs} run{'s' if runs > 1 else ''} of {seconds:g} s each; "
        + ("figures are medians, with (least - greatest)" if runs > 1 else "one run says little"),
    ])  # fmt: skip


def machine() -> str:
    board = Path("/proc/device-tree/model")
    if board.exists():
        return board.read_text().rstrip("\0")
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def nats_version() -> str:
    """As the program itself says it."""
    said = subprocess.run([nats_server(), "-v"], capture_output=True, text=True, check=True).stdout
    return said.strip().replace(": v", " ")


def file_system(folder: Path) -> str:
    """The type of the file system that ``folder`` is on; on a tmpfs no ack costs a disk anything."""
    place = folder.resolve()
    types = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        types[Path(point)] = kind
    return next((types[parent] for parent in (place, *place.parents) if parent in types), "an unknown file system")


def sync_ms(folder: Path) -> tuple[float, float]:
    """Median and 99th percentile of writing 4 KB and fdatasync, milliseconds."""
    times = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            begin = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begin) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]
