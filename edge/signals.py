"""``--signal reload=PID``: what nats-server's command line says to a running server, as a signal."""

import os
import signal
from pathlib import Path

from edge.errors import StartError

PROGRAM = "petiole-edge"
SIGNALS = {
    "stop": signal.SIGKILL,
    "quit": signal.SIGINT,
    "term": signal.SIGTERM,
    "reopen": signal.SIGUSR1,
    "reload": signal.SIGHUP,
    "ldm": signal.SIGUSR2,
}
PROCESSES = Path("/proc")


def send(expression: str) -> None:
    """``signal``, ``signal=pid`` or ``signal=pid file``; a pid may end in ``*``: all that begin so.

    StartError when there is no such server, or several and none is named.
    """
    name, _, target = expression.partition("=")
    if name not in SIGNALS:
        raise StartError(f"unknown signal {name!r}: expected one of {', '.join(SIGNALS)}")
    for pid in _targets(target):
        try:
            os.kill(pid, SIGNALS[name])
        except OSError as exc:
            raise StartError(f"signal {name} to process {pid}: {exc.strerror}") from exc


def _targets(target: str) -> list[int]:
    written = _in_file(target) if target else ""
    if written and not written.endswith("*"):
        if not written.isdecimal():
            raise StartError(f"{target}: expected a pid or the path of a pid file")
        return [int(written)]
    found = [pid for pid in running(PROCESSES) if str(pid).startswith(written.removesuffix("*"))]
    if not found:
        raise StartError(f"no {PROGRAM} is running")
    if len(found) > 1 and not written:
        raise StartError(f"several are running, name one with =pid: {', '.join(map(str, found))}")
    return found


def _in_file(target: str) -> str:
    try:
        return Path(target).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return target


def running(processes: Path) -> list[int]:
    """The pids of all servers but this process, in order; ``processes`` is /proc."""
    pids = (int(entry.name) for entry in processes.iterdir() if entry.name.isdecimal())
    return sorted(pid for pid in pids if pid != os.getpid() and _is_server(processes / str(pid)))


def _is_server(process: Path) -> bool:
    """``petiole-edge run ...``, with an interpreter before it or not, or ``python -m edge run ...``."""
    try:
        arguments = [part.decode(errors="replace") for part in (process / "cmdline").read_bytes().split(b"\0")]
    except OSError:  # it has ended, or is another user's
        return False
    for i in range(min(len(arguments) - 1, 8)):
        is_edge = os.path.basename(arguments[i]) == PROGRAM or arguments[i - 1 : i + 1] == ["-m", "edge"]
        if is_edge and arguments[i + 1] == "run":
            return "-sl" not in arguments and not any(part.lstrip("-").startswith("signal") for part in arguments)
    return False
