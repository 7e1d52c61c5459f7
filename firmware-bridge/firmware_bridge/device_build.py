"""Compiles the C library's example device for this machine."""

import os
import shlex
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
    """The executable, in the folder ``target``; ``extra`` are further flags.  The compiler is $CC, or else cc."""
    compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(compiler[0]) is None:
        raise DeviceBuildError(f"there is no C compiler ({compiler[0]})")
    sources = device_sources()
    program = target / "host_device"
    files = [str(sources / "examples" / "host_device.c"), str(sources / "petiole.c")]
    command = [*compiler, *FLAGS, *extra, "-o", str(program), *files]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise DeviceBuildError(f"{compiler[0]} failed: {_reason(done.stderr) or f'exit status {done.returncode}'}")
    return program


def _reason(stderr: str) -> str:
    """The line that says what is wrong: compilers begin with where they are."""
    lines = stderr.strip().splitlines()
    return next((line for line in lines if "error" in line), lines[0] if lines else "")
