"""Log lines as nats-server writes them, because people's tools wait for them:
``[pid] 2026/11/23 00:55:24.291507 [INF] Server is ready``; in the journal without what it knows itself, or as JSON.
"""

import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Protocol

from edge.net.log_file import LogFile

TRACE = 5  # the level of protocol lines, below DEBUG
LEVELS = {
    TRACE: "TRC",
    logging.DEBUG: "DBG",
    logging.INFO: "INF",
    logging.WARNING: "WRN",
    logging.ERROR: "ERR",
    logging.CRITICAL: "FTL",
}
WORDS = {"TRC": "trace", "DBG": "debug", "INF": "info", "WRN": "warn", "ERR": "error", "FTL": "fatal"}
COLOURS = {"TRC": "33", "DBG": "36", "INF": "32", "WRN": "0;93", "ERR": "31", "FTL": "31"}
PRIORITIES = {"TRC": 7, "DBG": 7, "INF": 6, "WRN": 4, "ERR": 3, "FTL": 2}  # of syslog, which the journal shares

ESCAPES = {
    **{'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"},
    **{"\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"},
}


class LogOptions(Protocol):
    """See ``config.options.Log``."""

    @property
    def file(self) -> str: ...
    @property
    def size_limit(self) -> int: ...
    @property
    def max_num(self) -> int: ...
    @property
    def time(self) -> bool: ...
    @property
    def utc(self) -> bool: ...
    @property
    def debug(self) -> bool: ...
    @property
    def trace(self) -> bool: ...
    @property
    def syslog(self) -> bool: ...
    @property
    def remote_syslog(self) -> str: ...
    @property
    def format(self) -> str: ...


class NatsFormatter(logging.Formatter):
    def __init__(self, with_time: bool, utc: bool = False, colours: bool = False) -> None:
        super().__init__()
        self.with_time = with_time
        self.clock = time.gmtime if utc else time.localtime
        self.colours = colours
        self.pid = os.getpid()

    def format(self, record: logging.LogRecord) -> str:
        level = level_of(record)
        if self.colours:
            level = f"\x1b[{COLOURS[level]}m{level}\x1b[0m"
        line = f"[{self.pid}] "
        if self.with_time:
            at = time.strftime("%Y/%m/%d %H:%M:%S", self.clock(record.created))
            line += f"{at}.{int(record.created % 1 * 1e6):06d} "
        return f"{line}[{level}] {message_of(self, record)}"


class JournalFormatter(logging.Formatter):
    """Each line with its priority; the journal knows time and process itself."""

    def format(self, record: logging.LogRecord) -> str:
        level = level_of(record)
        lines = message_of(self, record).splitlines() or [""]
        return "\n".join(f"<{PRIORITIES[level]}>[{level}] {line}" for line in lines)


class JsonFormatter(logging.Formatter):
    """``{"time": "2026-11-23T00:55:24.291507Z", "level": "info", "pid": 1, "msg": "Server is ready"}``."""

    def __init__(self) -> None:
        super().__init__()
        self.pid = os.getpid()

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "time": f"{at}.{int(record.created % 1 * 1e6):06d}Z",
            "level": WORDS[level_of(record)],
            "pid": self.pid,
            "msg": message_of(self, record),
        }
        import json  # where it is asked for

        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def level_of(record: logging.LogRecord) -> str:
    return LEVELS.get(record.levelno, "INF")


def message_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if not record.exc_info:
        return record.getMessage()
    return f"{record.getMessage()}\n{formatter.formatException(record.exc_info)}"


# ---- where they go


def set_up_log(options: LogOptions, environ: Mapping[str, str] = os.environ) -> None:
    """From now on; what was set up before is closed.  OSError when the file or the syslog cannot be opened."""
    handler = _handler(options)
    handler.setFormatter(_formatter(options, environ))
    handler.addFilter(_Levels(options.debug, options.trace))
    root = logging.getLogger()
    before, root.handlers[:] = root.handlers[:], [handler]
    for old in before:
        old.close()
    root.setLevel(TRACE if options.trace else logging.DEBUG if options.debug else logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


class _Levels(logging.Filter):
    """Debugging and tracing are switched on apart."""

    def __init__(self, debug: bool, trace: bool) -> None:
        super().__init__()
        self.debug = debug
        self.trace = trace

    def filter(self, record: logging.LogRecord) -> bool:
        return (record.levelno != logging.DEBUG or self.debug) and (record.levelno != TRACE or self.trace)


def _handler(options: LogOptions) -> logging.Handler:
    if options.file:
        return LogFile(options.file, options.size_limit, options.max_num)
    if options.remote_syslog or options.syslog:
        from edge.net.syslog import make_handler

        return make_handler(options.remote_syslog)
    return logging.StreamHandler(sys.stderr)


def _formatter(options: LogOptions, environ: Mapping[str, str]) -> logging.Formatter:
    if options.format == "json":
        return JsonFormatter()
    if options.file:
        return NatsFormatter(options.time, options.utc)
    if options.remote_syslog or options.syslog:
        return logging.Formatter("%(message)s")
    if is_journal(2, environ):
        return JournalFormatter()
    return NatsFormatter(options.time, options.utc, colours=sys.stderr.isatty())


def is_journal(descriptor: int, environ: Mapping[str, str]) -> bool:
    """systemd names the device and inode of the stream that it reads: it may have been redirected since."""
    named = environ.get("JOURNAL_STREAM", "")
    if not named:
        return False
    status = os.fstat(descriptor)
    return named == f"{status.st_dev}:{status.st_ino}"


def reopen_log_file() -> bool:
    """For those who have moved the file away; False when the log is no file.  OSError when it cannot be opened."""
    files = [handler for handler in logging.getLogger().handlers if isinstance(handler, LogFile)]
    for file in files:
        file.reopen()
    return bool(files)


# ---- what peers say


def quoted(data: bytes) -> str:
    """As Go quotes a string, without the quotes around it."""
    decoded = data.decode("utf-8", "surrogateescape")
    return "".join(_quoted(char) for char in decoded)


def _quoted(char: str) -> str:
    if char in ESCAPES:
        return ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
