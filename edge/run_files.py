"""The files that tell others about a running server: its pid, and where it listens."""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence

from edge.errors import StartError

PROGRAM = "petiole-edge"


def write_pid_file(path: str) -> None:
    """StartError when it cannot be written."""
    try:
        with open(path, "w") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as exc:
        raise StartError(f"cannot write pid_file {path}: {exc.strerror}") from exc


def write_ports_file(folder: str, urls: Mapping[str, Sequence[str]]) -> None:
    """For those who start a server on ports of the system's choice and want to know which.  StartError.

    Written beside and renamed: whoever waits for the file reads all of it.
    """
    path = _ports_file(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        with open(f"{path}.new", "w") as file:
            file.write(json.dumps(urls))
        os.rename(f"{path}.new", path)
    except OSError as exc:
        raise StartError(f"cannot write to ports_file_dir {folder}: {exc.strerror}") from exc


def remove_ports_file(folder: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_ports_file(folder))


def _ports_file(folder: str) -> str:
    return os.path.join(folder, f"{PROGRAM}_{os.getpid()}.ports")
