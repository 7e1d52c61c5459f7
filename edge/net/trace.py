"""What tracing shows of a connection, in nats-server's words: ``<<- [PUB a 5]`` and ``<<- MSG_PAYLOAD: ["hello"]``."""

import logging
import re
from typing import NamedTuple

from edge.net.log import TRACE, quoted
from edge.protocol.nats import text

log = logging.getLogger("edge")

SECRETS = re.compile(
    rb'("?\s*(?:auth_token\S*?|pass\S*?|\bproxy_sig|\bnkey|\bsig|\bjwt)"?\s*[:=]\s*"?)[^",\r\n}]*', re.IGNORECASE
)


class Tracer(NamedTuple):
    """``max_length`` 0: payloads are shown whole.  ``headers_only``: of messages with headers, and nothing else."""

    max_length: int = 0
    headers_only: bool = False

    def show(self, name: str, direction: str, line: bytes, body: bytes = b"", header_size: int = 0) -> None:
        """``body``: headers and payload of the message whose control line this is."""
        if line[:7].upper() == b"CONNECT":
            line = SECRETS.sub(rb"\1[REDACTED]", line)
        log.log(TRACE, "%s - %s [%s]", name, direction, text(line.strip()))
        if self.headers_only:
            body = body[: max(header_size - 2, 0)]  # without the empty line at their end
        if not body:
            return
        cut = body[: self.max_length] if self.max_length else body
        log.log(TRACE, '%s - %s MSG_PAYLOAD: ["%s%s"]', name, direction, quoted(cut), "" if cut == body else "...")
