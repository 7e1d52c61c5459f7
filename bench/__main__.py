"""``python -m bench``: petiole-edge side by side with nats-server on this machine, alternating, medians of 5."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bench import conditions, jetstream, table
from bench.load import BenchError, Load, build
from bench.servers import Cores
from bench.workloads import WORKLOADS, Stage, Workload

ALL = (*WORKLOADS, *jetstream.WORKLOADS)
RESULTS = Path(__file__).with_name("RESULTS.md")
RUNS, SECONDS = 5, 3.0
QUICK_RUNS, QUICK_SECONDS = 1, 1.0
# Not the usual temporary folder: that is memory on many machines, and an fsync to memory costs nothing.
FOLDER = Path("/var/tmp")


def main() -> int:
    options = read_options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # unwinding ends the servers
    runs, seconds = (QUICK_RUNS, QUICK_SECONDS) if options.quick else (RUNS, SECONDS)
    named = options.only or [workload.name for workload in ALL if not (options.quick and workload.long)]
    chosen = [workload for workload in ALL if workload.name in named]
    try:
        with tempfile.TemporaryDirectory(prefix="petiole-bench-", dir=options.dir) as folder:
            page = measure(Path(folder), chosen, runs, seconds)
    except BenchError as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(page)
    if not options.quick and not options.only:
        RESULTS.write_text(page)
        print(f"written to {RESULTS}", file=sys.stderr)
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run of each; does not write RESULTS.md")
    names = [workload.name for workload in ALL]
    parser.add_argument(
        "--only", action="append", choices=names, metavar="NAME",
        help=f"this workload alone, may be repeated: {', '.join(names)}; does not write RESULTS.md",
    )  # fmt: skip
    parser.add_argument("--dir", type=Path, default=FOLDER, help="a folder of the disk to measure (%(default)s)")
    options = parser.parse_args()
    if not os.access(options.dir, os.W_OK | os.X_OK) or not options.dir.is_dir():
        parser.error(f"{options.dir} is not a folder that can be written to: name another one with --dir")
    return options


def measure(folder: Path, workloads: Iterable[Workload], runs: int, seconds: float) -> str:
    """The whole page, in markdown."""
    cores = Cores.of_this_machine()
    os.sched_setaffinity(0, {cores.load})
    stage = Stage(folder, cores, Load(build(folder), seconds))
    described = conditions.describe(folder, cores, runs, seconds)
    print(described, file=sys.stderr)
    measured = [(workload, alternate(workload, stage, runs)) for workload in workloads]
    parts = [
        "# petiole-edge side by side with nats-server",
        "Made by `python -m bench`. Quote the ratios, together with the conditions; an absolute figure says more "
        "about the machine than about a server.",
        described,
        table.render((workload.rows, figures) for workload, figures in measured),
        table.busiest((workload.name, figures) for workload, figures in measured),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def alternate(workload: Workload, stage: Stage, runs: int) -> table.Measured:
    """The contenders in turn, so that the moods of the machine meet all of them."""
    measured: dict[str, dict[str, list[float]]] = {contender.name: {} for contender in workload.contenders}
    runs = min(runs, workload.runs)
    for turn in range(runs):
        for contender in workload.contenders:
            print(f"{workload.name}, run {turn + 1} of {runs}: {contender.name}", file=sys.stderr)
            for figure, value in workload.run(stage, contender).items():
                measured[contender.name].setdefault(figure, []).append(value)
    return measured


if __name__ == "__main__":
    sys.exit(main())
