"""``python -m tests.fuzz``: a campaign against each parser, guided by the code that its inputs reach.

What has been found interesting is kept in the corpus and is where the next campaign begins.  A finding stays beside it
as ``crash-…`` (``timeout-…``, ``oom-…``); put it into ``tests/fuzz/seeds/TARGET`` with the fix, and the tests run it for ever.
"""

import argparse
import logging
import subprocess
import sys
from pathlib import Path

CORPUS = Path.home() / ".cache" / "petiole-fuzz"
MINUTES = 1.0
MAX_BYTES = 4096  # of one input
MAX_SECONDS = 10  # for one input: more is a hang
MAX_MEMORY_MB = 1024


def main() -> int:
    options = read_options()
    logging.disable(logging.CRITICAL)
    if options.here:
        return fuzz(options.targets[0], options.corpus, options.minutes)
    if options.replay:
        return replay(options.targets[0], options.replay)
    names = options.targets or targets()
    found = [name for name in names if campaign(name, options.corpus, options.minutes)]
    print(f"{len(names)} targets, findings in {', '.join(found) or 'none'}; corpus and findings: {options.corpus}")
    return 1 if found else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all of them without one")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for each target (%(default)g)")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="a folder (%(default)s)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="this input once, and what comes of it")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # one target, in this process
    options = parser.parse_args()
    if options.here:  # nothing is imported before it can be watched
        return options
    unknown = [name for name in options.targets if name not in targets()]
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(targets())}")
    if options.replay and len(options.targets) != 1:
        parser.error("--replay needs one target")
    return options


def targets() -> list[str]:
    from tests.fuzz.targets import TARGETS

    return list(TARGETS)


def replay(name: str, path: Path) -> int:
    from tests.fuzz.targets import TARGETS

    TARGETS[name].run(path.read_bytes())
    print(f"{name} takes {path}")
    return 0


def campaign(name: str, corpus: Path, minutes: float) -> bool:
    """In a process of its own, which a finding ends; True for one."""
    print(f"== {name}", flush=True)
    words = ["--here", "--corpus", str(corpus), "--minutes", str(minutes), name]
    return subprocess.run([sys.executable, "-m", "tests.fuzz", *words]).returncode != 0


def fuzz(name: str, corpus: Path, minutes: float) -> int:
    """Does not return: the process ends with the campaign."""
    try:
        import atheris
    except ImportError:
        print("atheris is missing: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["edge", "firmware_bridge"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    folder = corpus / name
    inputs = folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(target.seeds):
        (inputs / f"seed-{i}").write_bytes(seed)
    words = folder / "words"
    words.write_text("".join(map(quoted, target.words)))
    atheris.Setup(
        [
            "fuzz", str(inputs), f"-dict={words}", f"-artifact_prefix={folder}/", f"-max_total_time={round(minutes * 60)}",
            f"-max_len={MAX_BYTES}", f"-timeout={MAX_SECONDS}", f"-rss_limit_mb={MAX_MEMORY_MB}", "-print_final_stats=1",
            "-verbosity=0",
        ],
        target.run,
    )  # fmt: skip
    atheris.Fuzz()
    return 0


def quoted(word: bytes) -> str:
    """A line of libFuzzer's dictionaries."""
    escaped = "".join(f"\\x{byte:02x}" for byte in word)
    return f'"{escaped}"\n'


if __name__ == "__main__":
    sys.exit(main())
