"""Compiles the C library's example device for this machine."""

import os
import shutil
import subprocess
from pathlib import Path

FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2"]


class DeviceBuildError(Exception):
    """It cannot be built here; ``str(exc)`` is one line that says why."""


def device_sources() -> Path:
    """The ``device`` folder: inside the package where it is installed, beside it in a checkout."""
    here = Path(__file__).parent
    for folder in (here / "device", here.parent / "device"):
        if (folder / "petiole.c").exists():
            return folder
    raise DeviceBuildError("the sources of the C library are not here")


def build_host_device(target: Path, extra: tuple[str, ...] = ()) -> Path:
    """The executable, in the folder ``target``; ``extra`` are further flags."""
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is None:
        raise DeviceBuildError(f"there is no C compiler ({compiler})")
    sources = device_sources()
    program = target / "host_device"
    files = [str(sources / "examples" / "host_device.c"), str(sources / "petiole.c")]
    done = subprocess.run([compiler, *FLAGS, *extra, "-o", str(program), *files], capture_output=True, text=True)
    if done.returncode:
        raise DeviceBuildError(f"{compiler} failed: {done.stderr.strip().splitlines()[0] if done.stderr else ''}")
    return program
