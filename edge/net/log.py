"""Log lines as nats-server writes them, because people's tools wait for them:
``[pid] 2026/11/23 00:55:24.291507 [INF] Server is ready``."""

import logging
import os
import sys
import time

from edge.net.connection import TRACE

LEVELS = {
    TRACE: "TRC",
    logging.DEBUG: "DBG",
    logging.INFO: "INF",
    logging.WARNING: "WRN",
    logging.ERROR: "ERR",
    logging.CRITICAL: "FTL",
}


class NatsFormatter(logging.Formatter):
    def __init__(self, with_time: bool) -> None:
        super().__init__()
        self.with_time = with_time
        self.pid = os.getpid()

    def format(self, record: logging.LogRecord) -> str:
        level = LEVELS.get(record.levelno, "INF")
        line = f"[{level}] {record.getMessage()}"
        if self.with_time:
            at = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(record.created))
            line = f"[{self.pid}] {at}.{int(record.created % 1 * 1e6):06d} {line}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def set_up_log(path: str, debug: bool, trace: bool, with_time: bool) -> None:
    """To ``path``, or to standard error when that is empty.  OSError when the file cannot be opened."""
    handler = logging.FileHandler(path) if path else logging.StreamHandler(sys.stderr)
    handler.setFormatter(NatsFormatter(with_time))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    handler.addFilter(lambda record: (record.levelno != logging.DEBUG or debug) and (record.levelno != TRACE or trace))
    root.setLevel(TRACE if trace else logging.DEBUG if debug else logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
