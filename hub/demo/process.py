"""One process of the demo: started, killed, started again, and ended by its own pid in every case."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hub.errors import HubError

GRACE_S = 5.0


class Process:
    def __init__(self, name: str, words: Sequence[str], log: Path, inherited_fds: tuple[int, ...] = ()) -> None:
        self.name = name
        self._words = list(words)
        self._log = log
        self._inherited_fds = inherited_fds
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start (again); in a session of its own, so that Ctrl-C reaches the demo alone, which ends the others."""
        assert self._running is None
        try:
            with self._log.open("ab") as log:
                self._running = subprocess.Popen(
                    self._words,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=self._inherited_fds,
                    start_new_session=True,
                )
        except OSError as exc:
            raise HubError(f"{self.name}: {self._words[0]} cannot be started: {exc.strerror}") from exc

    def signal(self, number: signal.Signals) -> None:
        assert self._running is not None
        self._running.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    def end(self) -> None:
        """SIGTERM, then SIGKILL for one that does not go."""
        if self._running is not None:
            self._running.terminate()
            try:
                self._running.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                pass
            self.kill()

    def fault(self) -> str | None:
        """Why it is not there although it should be."""
        if self._running is None or self._running.poll() is None:
            return None
        lines = self._log.read_text(errors="replace").split("\n")
        said = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        return f"{self.name} has ended with status {self._running.returncode}: {said}"
