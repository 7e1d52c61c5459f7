"""The files that tell others about a running server: its pid, and where it listens."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.errors import StartError

PROGRAM = "petiole-edge"


def write_pid_file(path: str) -> None:
    """StartError when it cannot be written."""
    try:
        Path(path).write_text(f"{os.getpid()}\n")
    except OSError as exc:
        raise StartError(f"cannot write pid_file {path}: {exc.strerror}") from exc


def ports_file(folder: str) -> Path:
    return Path(folder, f"{PROGRAM}_{os.getpid()}.ports")


def write_ports_file(folder: str, urls: Mapping[str, Sequence[str]]) -> None:
    """For those who start a server on ports of the system's choice and want to know which.  StartError.

    Written beside and renamed: whoever waits for the file reads all of it.
    """
    file = ports_file(folder)
    beside = file.with_suffix(".new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(urls))
        beside.rename(file)
    except OSError as exc:
        raise StartError(f"cannot write to ports_file_dir {folder}: {exc.strerror}") from exc
