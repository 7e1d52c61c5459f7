"""The log as messages to syslog, this machine's or another's."""

import logging
import logging.handlers
import socket
from urllib.parse import urlsplit

from edge.net.log import TRACE

LOCAL = "/dev/log"
PORT = 514
TAG = "petiole-edge"


class Syslog(logging.handlers.SysLogHandler):
    """Facility daemon, as nats-server; what is logged while nobody listens is lost."""

    ident = f"{TAG}: "

    def mapPriority(self, levelName: str) -> str:
        if levelName == logging.getLevelName(TRACE):
            return "notice"
        return "notice" if levelName == "INFO" else super().mapPriority(levelName)


def make_handler(address: str) -> Syslog:
    """``udp://host:514``, ``tcp://host:514``, ``unix:///path``; empty: this machine.  OSError when it is not there."""
    if not address:
        return Syslog(LOCAL, logging.handlers.SysLogHandler.LOG_DAEMON)
    parts = urlsplit(address)
    if parts.scheme == "unix":
        return Syslog(parts.path, logging.handlers.SysLogHandler.LOG_DAEMON)
    kind = socket.SOCK_STREAM if parts.scheme == "tcp" else socket.SOCK_DGRAM
    return Syslog(
        (parts.hostname or "localhost", parts.port or PORT), logging.handlers.SysLogHandler.LOG_DAEMON, kind
    )  # fmt: skip
