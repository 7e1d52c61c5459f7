"""``python -m tests.crash``: kills, power cuts and flipped bits for as long as wanted, each seed on a store of its own.

Status 1 and the folder of the store, as it was found, for the first thing that does not hold.
"""

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.crash.campaign import WORKLOADS, run


def main() -> int:
    options = read_options()
    end = time.monotonic() + options.minutes * 60
    seed = options.seed
    while time.monotonic() < end:
        torn = options.torn if options.torn is not None else bool(seed % 2)
        folder = Path(tempfile.mkdtemp(prefix="petiole-crash-"))
        print(f"seed {seed}, {'power cuts' if torn else 'kills'}, {folder}", flush=True)
        try:
            until = min(end, time.monotonic() + options.each * 60)
            print(f"  {run(folder, seed, options.workloads or list(WORKLOADS), torn, until)}", flush=True)
        except AssertionError:
            traceback.print_exc()
            print(f"seed {seed}: see {folder}")
            return 1
        shutil.rmtree(folder)
        seed += 1
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; all without one")
    parser.add_argument("--minutes", type=float, default=1.0, help="in all (%(default)g)")
    parser.add_argument("--each", type=float, default=2.0, help="of one seed (%(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="of the first (%(default)d)")
    parser.add_argument("--torn", action=argparse.BooleanOptionalAction, help="power cuts (every other seed)")
    options = parser.parse_args()
    if unknown := [name for name in options.workloads if name not in WORKLOADS]:
        parser.error(f"no such workload: {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
