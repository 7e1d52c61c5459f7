"""``python -m tests.crash``: kills, power cuts and flipped bits for as long as wanted, each seed on a store of its own.

Status 1 and the folder of the store, as it was found, for the first thing that does not hold.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.crash.campaign import WORKLOADS, run
from tests.crash.rot import FILE, Rotten, build


def main() -> int:
    options = read_options()
    return rot(options) if options.rot else crash(options)


def rot(options: argparse.Namespace) -> int:
    dice, end = random.Random(options.seed), time.monotonic() + options.minutes * 60
    folder = Path(tempfile.mkdtemp(prefix="petiole-rot-"))
    sound, rounds = build(folder, dice), 0
    while time.monotonic() < end:
        rotten = Rotten(folder, sound, dice, dice.choices(sorted(sound.pages), k=dice.choice((1, 1, 3))))
        image = (rotten.store / FILE).read_bytes()
        try:
            print(f"{rotten.what}: {rotten.prove()}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired):
            traceback.print_exc()
            (folder / "rotten.db").write_bytes(image)
            print(f"{rotten.what}: see {folder}, rotten.db is how the database was")
            rotten.server.kill()
            return 1
        rounds += 1
    shutil.rmtree(folder)
    print(f"{rounds} times")
    return 0


def crash(options: argparse.Namespace) -> int:
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
    parser.add_argument("--rot", action="store_true", help="flipped bits instead")
    options = parser.parse_args()
    if unknown := [name for name in options.workloads if name not in WORKLOADS]:
        parser.error(f"no such workload: {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
