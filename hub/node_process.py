"""One nats-server process, known by pid and configuration file.

A pid alone is not an identity: after a crash or a reboot the number may belong to a stranger.  Ours is the
process whose command line names our configuration file; it is looked at through a pidfd, which goes on
meaning that one process however long we take, so that a signal can never reach another.
"""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.errors import HubError

EXEC_POLLS = 100


@dataclass(frozen=True, slots=True)
class NodeProcess:
    name: str
    pid: int
    config: Path

    def alive(self) -> bool:
        with self._pidfd() as fd:
            return fd is not None

    def signal(self, signum: signal.Signals) -> bool:
        """Send a signal; False where the process is no longer there."""
        with self._pidfd() as fd:
            if fd is None:
                return False
            signal.pidfd_send_signal(fd, signum)
            return True

    def end(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL for what is still there after `grace_s`; returns when it is gone."""
        with self._pidfd() as fd:
            if fd is not None:
                signal.pidfd_send_signal(fd, signal.SIGTERM)
                if not _gone(fd, grace_s):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                    _gone(fd, None)
        self._reap()

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        with self._pidfd() as fd:
            if fd is not None:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                _gone(fd, None)
        self._reap()

    @contextmanager
    def _pidfd(self) -> Iterator[int | None]:
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            yield fd if self._is_ours() else None
        finally:
            os.close(fd)

    def _is_ours(self) -> bool:
        # Empty for a zombie, which is as good as gone.
        return os.fsencode(self.config) in _command_line(self.pid).split(b"\0")

    def _reap(self) -> None:
        """Take the exit status where it is a child of ours (the demo's are, those of `down` are not)."""
        try:
            os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pass


def spawn(binary: Path, name: str, config: Path, log: Path) -> NodeProcess:
    """Start nats-server in a session of its own, so that Ctrl-C in this terminal does not reach it."""
    output = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        pid = os.posix_spawn(
            binary,
            [str(binary), "-c", str(config)],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), output, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
        )
    except OSError as exc:
        raise HubError(f"{binary}: cannot be started: {exc.strerror}") from exc
    # The kernel lets us go on a moment before it puts the arguments in place.
    for _ in range(EXEC_POLLS):
        if _command_line(pid):
            break
        time.sleep(0.001)
    return NodeProcess(name, pid, config)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _gone(pidfd: int, timeout_s: float | None) -> bool:
    """Wait until the process behind `pidfd` has ended: the kernel makes the descriptor readable then."""
    return bool(select.select([pidfd], [], [], timeout_s)[0])
