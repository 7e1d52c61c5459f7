"""A terminal as a screen of lines and a source of keys: plain ANSI sequences, which every terminal of today knows."""

import codecs
import os
import re
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # another screen, no cursor, no wrapping
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
HOME, TO_END_OF_LINE, TO_END = "\x1b[H", "\x1b[K", "\x1b[J"

KEYS = {
    "\r": "enter", "\n": "enter", "\x1b": "escape", "\x7f": "backspace", "\b": "backspace",
    "\x1b[C": "right", "\x1b[D": "left", "\x1bOC": "right", "\x1bOD": "left",
}  # fmt: skip
KEY = re.compile(r"\x1b(?:\[[0-9;?]*[@-~]|O.)|.", re.DOTALL)


class Terminal:
    """Taken over inside of ``with``; given back as it was, also when the process is told to end."""

    def __enter__(self) -> "Terminal":
        self.input = sys.stdin.fileno()
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.kept = termios.tcgetattr(self.input)
        self.signals = {
            signal.SIGTERM: signal.signal(signal.SIGTERM, _end),
            signal.SIGWINCH: signal.signal(signal.SIGWINCH, self._on_resize),
            signal.SIGTSTP: signal.signal(signal.SIGTSTP, signal.SIG_IGN),  # the shell would get our screen
        }
        # A signal ends the wait for a key.
        self.wake, self.waker = os.pipe()
        os.set_blocking(self.waker, False)
        self.kept_fd = signal.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        tty.setcbreak(self.input)
        self._write(ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        self._write(LEAVE)
        termios.tcsetattr(self.input, termios.TCSADRAIN, self.kept)
        signal.set_wakeup_fd(self.kept_fd)
        for number, handler in self.signals.items():
            signal.signal(number, handler)
        os.close(self.wake)
        os.close(self.waker)

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
        return columns or 80, rows or 24  # a serial console does not know

    def draw(self, lines: Sequence[str]) -> None:
        """Over what is there, so that nothing flickers."""
        self._write(HOME + "\r\n".join(line + TO_END_OF_LINE for line in lines) + TO_END)

    def keys(self, timeout: float) -> list[str]:
        """What was typed, by name where it is no character; empty after ``timeout`` seconds or another size."""
        ready, _, _ = select.select([self.input, self.wake], [], [], timeout)
        if self.wake in ready:
            os.read(self.wake, 1024)
        if self.input not in ready:
            return []
        read = os.read(self.input, 1024)
        if not read:  # the terminal is gone
            _end(signal.SIGHUP, None)
        return [KEYS.get(key, key) for key in KEY.findall(self.decoder.decode(read))]

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _on_resize(self, number: int, frame: FrameType | None) -> None:
        """The next drawing has the new size; the wait for a key ends by the signal's byte."""


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
