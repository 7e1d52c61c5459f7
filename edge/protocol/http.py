"""HTTP/1.1 as a server sees it, over h11: bytes in, requests out; an answer in, bytes out.  No sockets, no clock.

Head and body of a request are bounded.  Imported only where monitoring is configured.
"""

import re
from typing import NamedTuple

import h11

MAX_HEAD = 64 << 10  # bytes; nats-server takes a megabyte
MAX_BODY = 64 << 10  # nobody has to send one: it is read and thrown away
VERSIONS = (b"1.0", b"1.1")
PHRASES = {
    200: "OK", 307: "Temporary Redirect", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
    413: "Request Entity Too Large", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
    501: "Not Implemented", 503: "Service Unavailable", 505: "HTTP Version Not Supported",
}  # fmt: skip
NO_HOST = "Missing mandatory Host: header"  # h11's words
ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
ABSOLUTE = re.compile(r"https?://[^/?]*", re.IGNORECASE)


class Request(NamedTuple):
    """``path`` is decoded; ``query`` is as it came, without its question mark."""

    method: str
    path: str
    query: str = ""


class Response(NamedTuple):
    status: int
    content_type: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """What came is no request that can be answered: ``response`` is what is left to say, then the end."""

    def __init__(self, status: int, detail: str = "") -> None:
        text = f"{status} {PHRASES[status]}" + (f": {detail}" if detail else "")
        super().__init__(text)
        self.response = Response(status, "text/plain; charset=utf-8", text.encode())


class HttpStream:
    """One request at a time: the next is looked at once the last is answered."""

    def __init__(self) -> None:
        self.wire = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self.head: h11.Request | None = None  # of the request that is read or waits for its answer
        self.body = 0

    def receive(self, data: bytes) -> None:
        """Empty at the end of the stream."""
        self.wire.receive_data(data)

    def next_request(self) -> Request | None:
        """None: more is needed first.  Refused."""
        try:
            return self._next()
        except h11.RemoteProtocolError as exc:
            status = exc.error_status_hint
            detail = "missing required Host header" if str(exc) == NO_HOST else ""
            raise Refused(status if status in PHRASES else 400, detail) from exc

    @property
    def is_over(self) -> bool:
        """Has the last answer been given?"""
        return self.wire.our_state in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)

    @property
    def is_begun(self) -> bool:
        """Is a part of a request here?"""
        return self.head is not None or bool(self.wire.trailing_data[0])

    @property
    def may_answer(self) -> bool:
        return self.wire.our_state in (h11.IDLE, h11.SEND_RESPONSE)

    def respond(self, response: Response, date: str, last: bool = False) -> bytes:
        """``date`` as HTTP has it.  ``last``: the connection ends with this."""
        headers = [("Content-Type", response.content_type), *response.headers]
        headers += [("Date", date), ("Content-Length", str(len(response.body)))]
        if last or self.wire.their_state is h11.SEND_BODY:  # a body may or may not follow
            headers.append(("Connection", "close"))
        head = h11.Response(status_code=response.status, headers=headers, reason=PHRASES[response.status])
        parts = [self.wire.send(head)]
        if self.head is None or self.head.method != b"HEAD":
            parts.append(self.wire.send(h11.Data(data=response.body)))
        parts.append(self.wire.send(h11.EndOfMessage()))
        self.head = None
        if self.wire.our_state is h11.DONE and self.wire.their_state is h11.DONE:
            self.wire.start_next_cycle()
        return b"".join(part for part in parts if part)

    def _next(self) -> Request | None:
        while True:
            match self.wire.next_event():
                case h11.Request() as head:
                    self.head, self.body = head, 0
                    if head.http_version not in VERSIONS:
                        raise Refused(505, "unsupported protocol version")
                    if self.wire.they_are_waiting_for_100_continue:
                        return _request(head)  # nothing of its body is wanted
                case h11.Data(data=data):
                    self.body += len(data)
                    if self.body > MAX_BODY:
                        raise Refused(413)
                case h11.EndOfMessage():
                    assert self.head is not None
                    return _request(self.head)
                case _:
                    return None


def _request(head: h11.Request) -> Request:
    """Refused for a target that is none."""
    method, target = head.method.decode("ascii"), head.target.decode("ascii")
    if method == "CONNECT":
        raise Refused(404)  # as nats-server answers; nothing is behind this one
    if absolute := ABSOLUTE.match(target):
        target = target[absolute.end() :]
        target = target if target.startswith("/") else f"/{target}"
    path, _, query = target.partition("?")
    if not path.startswith("/") or BAD_ESCAPE.search(path):
        raise Refused(400)
    return Request(method, unescape(path), query)


def unescape(text: str) -> str:
    """``%20`` and its like; what is no UTF-8 then is replaced."""
    raw = ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode("utf-8", "replace"))
    return raw.decode("utf-8", "replace")
