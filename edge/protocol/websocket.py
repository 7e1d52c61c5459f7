"""WebSocket, server side: the upgrade as nats-server grants it, and the frames that carry a stream of bytes.

Framing, masks and compression are the ``websockets`` library's; what is here is who may come in and what may be sent.
No sockets, no clock.  Imported only where there is a listener.
"""

import base64
import binascii
import ipaddress
from collections.abc import Iterator
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import LoggerLike

MAX_HEAD = 32 * 1024  # of the request: a JWT in a cookie is the longest thing there
STEP = 4096  # of a compressed stream at a time: one byte of it may become a thousand
COMPRESS_ABOVE = 64  # bytes; what is smaller does not shrink
DATA = frozenset((Opcode.BINARY, Opcode.TEXT, Opcode.CONT))
MAX_CLOSE_REASON = 120  # bytes, of the 123 that there are
NORMAL, GOING_AWAY, BROKEN, POLICY, TOO_BIG, INTERNAL = 1000, 1001, 1002, 1008, 1009, 1011

# Close codes by nats-server's reasons for the end of a client.
CODES = {
    "Client Closed": NORMAL,
    "Authentication Timeout": POLICY,
    "Authentication Failure": POLICY,
    "Authentication Expired": POLICY,
    "Credentials Revoked": POLICY,
    "Slow Consumer (Pending Bytes)": POLICY,
    "Slow Consumer (Write Deadline)": POLICY,
    "Maximum Account Connections Exceeded": POLICY,
    "Maximum Connections Exceeded": POLICY,
    "Maximum Control Line Exceeded": POLICY,
    "Maximum Subscriptions Exceeded": POLICY,
    "Missing Account": POLICY,
    "Parse Error": BROKEN,
    "Protocol Violation": BROKEN,
    "Incorrect Client Protocol Version": BROKEN,
    "Maximum Message Payload Exceeded": TOO_BIG,
    "Write Error": GOING_AWAY,
    "Read Error": GOING_AWAY,
    "Stale Connection": GOING_AWAY,
    "Server Shutdown": GOING_AWAY,
}


class Terms(NamedTuple):
    """What a listener grants.  ``mqtt``: there are MQTT clients, ``leafs``: there are leafs.  ``encrypted``: origins
    are https.  Cookies are names, ``headers`` go with the answer."""

    compression: bool = False
    mqtt: bool = False
    encrypted: bool = False
    same_origin: bool = False
    allowed_origins: tuple[str, ...] = ()
    jwt_cookie: str = ""
    user_cookie: str = ""
    pass_cookie: str = ""
    token_cookie: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    leafs: bool = False


class Upgrade(NamedTuple):
    """What a granted request brought.  ``forwarded_for``: an address, as a proxy tells it, or empty."""

    mqtt: bool = False
    forwarded_for: str = ""
    jwt: str = ""
    user: str = ""
    password: str = ""
    token: str = ""
    leaf: bool = False


class Refused(Exception):
    """The request is not granted."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class WebSocketStream:
    """A request, and after it a stream of bytes in frames; ``max_message`` bounds one message, however it comes.

    After each call ``outgoing()`` is what has to be written.  ``ended``: nothing more will be taken or said;
    ``problem`` is the peer's fault that did it, empty when it said goodbye.
    """

    def __init__(self, terms: Terms, max_message: int, logger: LoggerLike) -> None:
        self.terms = terms
        self.upgrade: Upgrade | None = None
        self.problem = ""
        self.head = b""
        deflate = ServerPerMessageDeflateFactory(
            server_no_context_takeover=True, client_no_context_takeover=True, compress_settings={"level": 1}
        )
        self.protocol = ServerProtocol(
            extensions=[deflate] if terms.compression else [], max_size=max_message, logger=logger
        )

    @property
    def max_message(self) -> int:
        return self.protocol.max_message_size or 0

    @max_message.setter
    def max_message(self, size: int) -> None:
        self.protocol.max_message_size = size

    @property
    def ended(self) -> bool:
        return self.protocol.close_expected() or self.protocol.state is State.CLOSED

    def outgoing(self) -> bytes:
        return b"".join(self.protocol.data_to_send())

    # ---- the request

    def receive_request(self, data: bytes) -> bool:
        """True when it is granted; False when more is to come, or nothing any more (``ended``)."""
        self.head += data
        end = self.head.find(b"\r\n\r\n")
        if end < 0 and len(self.head) <= MAX_HEAD:
            return False
        head, self.head = self.head, b""
        self.protocol.receive_data(head[: end + 4] if end >= 0 else head)
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self._answer(event, is_early=0 <= end < len(head) - 4, is_long=len(head) > MAX_HEAD)
        if self.upgrade is None and not self.ended:
            self.protocol.fail(BROKEN)
        if self.upgrade is None and not self.problem:
            self.problem = str(self.protocol.handshake_exc or "the request is too long")
        return self.upgrade is not None

    def _answer(self, request: Request, is_early: bool, is_long: bool) -> None:
        try:
            if is_early:
                raise Refused(HTTPStatus.BAD_REQUEST, "client sent data before handshake is complete")
            if is_long:
                raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long")
            upgrade = grant(request, self.terms)
        except Refused as exc:
            self.problem = str(exc)
            response = self.protocol.reject(exc.status, f"{exc.status.phrase}\n")
            response.headers["Sec-WebSocket-Version"] = "13"
        else:
            response = self.protocol.accept(request)
            self._accept(request, response, upgrade)
        self.protocol.send_response(response)

    def _accept(self, request: Request, response: Response, upgrade: Upgrade) -> None:
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:  # the library is stricter
            return
        self.upgrade = upgrade
        if upgrade.mqtt and "mqtt" in _tokens(request.headers, "Sec-WebSocket-Protocol"):
            response.headers["Sec-WebSocket-Protocol"] = "mqtt"
        for name, value in self.terms.headers:
            response.headers[name] = value

    # ---- frames

    def receive(self, data: bytes) -> Iterator[bytes]:
        """What the frames carry, bit by bit; look at ``ended`` when it is over."""
        step = STEP if self.protocol.extensions else max(len(data), 1)
        for begin in range(0, len(data), step):
            self.protocol.receive_data(data[begin : begin + step])
            payloads = [
                event.data
                for event in self.protocol.events_received()
                if isinstance(event, Frame) and event.opcode in DATA
            ]
            if payloads:
                yield b"".join(payloads)
            if self.ended:
                self.problem = str(self.protocol.parser_exc or "")
                return

    def send(self, data: bytes) -> bytes:
        """One message, in one frame; nothing when the stream has ended."""
        if self.protocol.state is not State.OPEN:
            return b""
        extensions: list[Extension] = self.protocol.extensions if len(data) > COMPRESS_ABOVE else []
        return Frame(Opcode.BINARY, data).serialize(mask=False, extensions=extensions)

    def close(self, reason: str) -> bytes:
        """The last frame, with the code that belongs to nats-server's ``reason``."""
        if self.protocol.state is not State.OPEN:
            return b""
        self.protocol.send_close(CODES.get(reason, INTERNAL), reason[:MAX_CLOSE_REASON])
        return self.outgoing()


# ---- may it come in?


def grant(request: Request, terms: Terms) -> Upgrade:
    """Refused where nats-server refuses, for its reasons in its order."""
    headers = request.headers
    path = request.path.partition("?")[0]
    mqtt = path.endswith("/mqtt")
    if mqtt and not terms.mqtt:
        raise Refused(HTTPStatus.NOT_FOUND, "mqtt websocket endpoint not enabled")
    leaf = path.endswith("/leafnode")
    if leaf and not terms.leafs:
        raise Refused(HTTPStatus.NOT_FOUND, "leaf node connections are not accepted here: leafnodes does not listen")
    if request.method != "GET":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "request method must be GET")
    host = _first(headers, "Host")
    if not host:
        raise Refused(HTTPStatus.BAD_REQUEST, "'Host' missing in request")
    if "websocket" not in _tokens(headers, "Upgrade"):
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid value for header 'Upgrade'")
    if "upgrade" not in _tokens(headers, "Connection"):
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid value for header 'Connection'")
    _check_key(_first(headers, "Sec-WebSocket-Key"))
    if "13" not in _tokens(headers, "Sec-WebSocket-Version"):
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid version")
    problem = origin_problem(_first(headers, "Origin") or _first(headers, "Sec-WebSocket-Origin"), host, terms)
    if problem:
        raise Refused(HTTPStatus.FORBIDDEN, f"origin not allowed: {problem}")
    cookies = parse_cookies(headers.get_all("Cookie"))
    return Upgrade(
        mqtt=mqtt,
        forwarded_for=_address(_first(headers, "X-Forwarded-For")),
        jwt=cookies.get(terms.jwt_cookie, ""),
        user=cookies.get(terms.user_cookie, ""),
        password=cookies.get(terms.pass_cookie, ""),
        token=cookies.get(terms.token_cookie, ""),
        leaf=leaf,
    )


def _check_key(key: str) -> None:
    if not key:
        raise Refused(HTTPStatus.BAD_REQUEST, "key missing")
    try:
        size = len(base64.b64decode(key.encode("latin-1", "replace"), validate=True))
    except binascii.Error:
        size = 0
    if size != 16:
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid websocket key")


def origin_problem(origin: str, host: str, terms: Terms) -> str:
    """Why a page of ``origin`` may not speak to this server, which it knows as ``host``; empty when it may.

    Who sends no origin is no browser.
    """
    if not origin or not (terms.same_origin or terms.allowed_origins):
        return ""
    asking = _origin(origin)
    if asking is None:
        return f"{origin!r} is not an origin"
    if terms.same_origin and asking != _origin(f"{'https' if terms.encrypted else 'http'}://{host}"):
        return "not same origin"
    if terms.allowed_origins and asking not in [_origin(allowed) for allowed in terms.allowed_origins]:
        return "not in the allowed list"
    return ""


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None where there are none."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname:
        return None
    scheme = parts.scheme.lower()
    return scheme, parts.hostname.lower(), port or (443 if scheme == "https" else 80)


def parse_cookies(lines: list[str]) -> dict[str, str]:
    """The first of each name."""
    found: dict[str, str] = {}
    for pair in ";".join(lines).split(";"):
        name, separator, value = pair.strip().partition("=")
        if separator and name:
            found.setdefault(name, value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value)
    return found


def _first(headers: Headers, name: str) -> str:
    values = headers.get_all(name)
    return values[0] if values else ""


def _tokens(headers: Headers, name: str) -> set[str]:
    return {token.strip(" \t").lower() for value in headers.get_all(name) for token in value.split(",")}


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
