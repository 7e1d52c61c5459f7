"""Is the server running that this configuration is for, and which process is it?"""

import os
from collections.abc import Iterator
from pathlib import Path

from edge.config.options import Config
from edge.tools.doctor.machine import Machine, is_edge


def find_running(machine: Machine, config: Config) -> int | None:
    """Its process id."""
    return next((pid for pid in _candidates(machine, config) if is_edge(machine.command_line(pid))), None)


def _candidates(machine: Machine, config: Config) -> Iterator[int]:
    if config.jetstream is not None:
        locker = machine.locker_of(os.path.join(config.jetstream.store_dir, "lock"))
        if locker is not None:
            yield locker
    text = _read(config.pid_file).strip()
    if text.isdecimal():
        yield int(text[:9])
    for file in Path(config.ports_file_dir).glob("petiole-edge_*.ports") if config.ports_file_dir else ():
        name = file.stem.removeprefix("petiole-edge_")
        if name.isdecimal():
            yield int(name[:9])
    for socket in machine.listening() or ():
        if config.listen.port and socket.port == config.listen.port:
            holder = machine.holder_of(socket.inode)
            if holder is not None:
                yield holder


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace") if path else ""
    except OSError:
        return ""
