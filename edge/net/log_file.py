"""The log as a file that may have a limit: beyond it, the file is renamed and a new one begins, as in nats-server.

The renamed are ``NAME.2026.11.23.00.55.24.291507000``: in the order of their names they are in that of time.
"""

import logging
import os
import re
import time

PERMISSIONS = 0o640
STAMP = re.compile(r"\d{4}(\.\d{2}){5}\.\d{9}")


class LogFile(logging.Handler):
    """``limit`` 0: it grows.  ``max_num``: files that are kept, this one among them; 0: all.  OSError when the file
    cannot be opened."""

    def __init__(self, path: str, limit: int = 0, max_num: int = 0) -> None:
        super().__init__()
        self.path = os.path.abspath(path)
        self.limit = limit
        self.max_num = max_num
        self.descriptor = -1
        self.size = 0
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(self.format(record))
            if self.limit and self.size > self.limit:
                self._rotate(record)
        except OSError:  # a full disk must not stop the server: logging's own way to say so
            self.handleError(record)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        super().close()

    def reopen(self) -> None:
        before = self.descriptor
        self._open()
        os.close(before)

    def _open(self) -> None:
        self.descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, PERMISSIONS)
        self.size = os.fstat(self.descriptor).st_size

    def _write(self, line: str) -> None:
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        os.write(self.descriptor, data)
        self.size += len(data)

    def _rotate(self, record: logging.LogRecord) -> None:
        now = time.time_ns()
        stamp = time.strftime("%Y.%m.%d.%H.%M.%S", time.localtime(now // 10**9))
        backup = f"{self.path}.{stamp}.{now % 10**9:09d}"
        os.rename(self.path, backup)
        self.reopen()
        self._say(record, f'Rotated log, backup saved as "{backup}"')
        if self.max_num:
            self._purge(record)

    def _purge(self, record: logging.LogRecord) -> None:
        folder, name = os.path.split(self.path)
        backups = sorted(
            other for other in os.listdir(folder)
            if other.startswith(f"{name}.") and STAMP.fullmatch(other[len(name) + 1 :])
        )  # fmt: skip
        for backup in backups[: max(len(backups) - (self.max_num - 1), 0)]:
            os.unlink(os.path.join(folder, backup))
            self._say(record, f'Purged log file "{backup}"')

    def _say(self, record: logging.LogRecord, message: str) -> None:
        changes = {"msg": message, "args": (), "exc_info": None, "levelno": logging.INFO}
        self._write(self.format(logging.makeLogRecord(record.__dict__ | changes)))
