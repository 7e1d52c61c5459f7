"""The NATS client protocol, server side: control lines in, typed operations out, and the lines a server writes.

Framing and the fast way of PUB and HPUB are ``core/hotpath.py``; what is here is the grammar (reference: core.md
sections 1 and 2).  No sockets, no clock.
"""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from edge.errors import ProtocolError
from edge.json_text import loads

CRLF = b"\r\n"
OK = b"+OK\r\n"
PING = b"PING\r\n"
PONG = b"PONG\r\n"

UNKNOWN_OPERATION = "Unknown Protocol Operation"
MAX_PAYLOAD_VIOLATION = "Maximum Payload Violation"
MAX_CONTROL_LINE_EXCEEDED = "maximum control line exceeded"
PAYLOAD_EXCEEDED = "Maximum Message Payload Exceeded"  # the reasons that go with these two
CONTROL_LINE_EXCEEDED = "Maximum Control Line Exceeded"
AUTHORIZATION_VIOLATION = "Authorization Violation"
AUTHENTICATION_TIMEOUT = "Authentication Timeout"
USER_AUTHENTICATION_EXPIRED = "User Authentication Expired"
STALE_CONNECTION = "Stale Connection"
INVALID_SUBJECT = "Invalid Subject"
INVALID_PUBLISH_SUBJECT = "Invalid Publish Subject"
MAX_SUBSCRIPTIONS_EXCEEDED = "maximum subscriptions exceeded"
MAX_CONNECTIONS_EXCEEDED = "maximum connections exceeded"
MAX_ACCOUNT_CONNECTIONS_EXCEEDED = "maximum account active connections exceeded"
NO_RESPONDERS_REQUIRES_HEADERS = "no responders requires headers support"
BAD_CLIENT_PROTOCOL = "invalid client protocol"

MAX_DIGITS = 9  # of a number
VERBS = (b"PUB", b"HPUB", b"SUB", b"UNSUB", b"PING", b"PONG", b"CONNECT", b"INFO", b"+OK", b"-ERR")


class PubHead(NamedTuple):
    """The control line of PUB or HPUB; ``size`` counts headers and payload, without the closing CRLF."""

    subject: str
    reply: str
    header_size: int  # 0 for PUB
    size: int


@dataclass(frozen=True, slots=True)
class Connect:
    """What a client says of itself; what it leaves out (or all, without a CONNECT) is as below."""

    verbose: bool = True
    pedantic: bool = True
    echo: bool = True
    headers: bool = False
    no_responders: bool = False
    protocol: int = 0
    user: str = ""
    password: str = ""
    auth_token: str = ""
    name: str = ""
    lang: str = ""
    version: str = ""
    jwt: str = ""
    nkey: str = ""
    sig: str = ""
    account: str = ""  # a wish from older days, which is refused
    new_account: bool = False


@dataclass(frozen=True, slots=True)
class Sub:
    subject: str
    queue: str
    sid: bytes


@dataclass(frozen=True, slots=True)
class Unsub:
    sid: bytes
    max: int  # 0: at once


@dataclass(frozen=True, slots=True)
class Ping:
    pass


@dataclass(frozen=True, slots=True)
class Pong:
    pass


@dataclass(frozen=True, slots=True)
class Nothing:
    """``+OK`` and INFO: a server's words, overlooked as nats-server does."""


Operation = Connect | Sub | Unsub | Ping | Pong | Nothing


def text(raw: bytes) -> str:
    """A subject as the server holds it; bytes that are not UTF-8 survive the way in and out."""
    return raw.decode("utf-8", "surrogateescape")


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def parse_pub(args: list[bytes]) -> PubHead | None:
    """PUB or HPUB split at white space; None when it is another verb or nothing but the verb.

    ProtocolError without a text where nats-server closes without a word.
    """
    verb = args[0].upper()
    if len(args) == 1:
        return None
    if verb == b"PUB":
        if len(args) == 3:
            return PubHead(text(args[1]), "", 0, parse_size(args[2]))
        if len(args) == 4:
            return PubHead(text(args[1]), text(args[2]), 0, parse_size(args[3]))
        raise ProtocolError("")
    if verb != b"HPUB":
        return None
    if len(args) == 4:
        head = PubHead(text(args[1]), "", parse_size(args[2]), parse_size(args[3]))
    elif len(args) == 5:
        head = PubHead(text(args[1]), text(args[2]), parse_size(args[3]), parse_size(args[4]))
    else:
        raise ProtocolError("")
    if head.header_size > head.size:
        raise ProtocolError("")
    return head


def parse_size(arg: bytes) -> int:
    if not arg.isdigit() or len(arg) > MAX_DIGITS:
        raise ProtocolError("")
    return int(arg)


def may_begin(data: bytes) -> bool:
    """May an operation begin with this?"""
    begin = data[:7].upper()
    return any(begin.startswith(verb[: len(begin)]) for verb in VERBS)


def is_too_long(line: bytes, limit: int) -> bool:
    """max_control_line counts what follows the verb and the white space behind it; that is bounded here too.

    White space before the verb is another fault, whatever the length.
    """
    if len(line) <= limit or line[:1].isspace():
        return False
    verb, *rest = line.split(None, 1)
    return len(rest[0] if rest else verb) > limit or len(line) > 2 * limit


def parse_operation(line: bytes, before: Connect) -> Operation:
    """Every client verb but PUB and HPUB.  What a CONNECT leaves out is as ``before``.

    ProtocolError without a text where nats-server closes without a word.
    """
    if line[:1].isspace():
        raise ProtocolError(UNKNOWN_OPERATION)
    args = line.split()
    verb = args[0].upper() if args else b""
    if verb.startswith(b"PING"):  # nats-server looks at no more of these three
        return Ping()
    if verb.startswith(b"PONG"):
        return Pong()
    if verb.startswith(b"+OK"):
        return Nothing()
    if verb.startswith(b"CONNECT"):
        return parse_connect(line[7:], before)
    if verb.startswith(b"INFO"):
        parse_object(line[4:])
        return Nothing()
    match verb, args[1:]:
        case b"SUB", [subject, sid]:
            return Sub(text(subject), "", sid)
        case b"SUB", [subject, queue, sid]:
            return Sub(text(subject), text(queue), sid)
        case b"UNSUB", [sid]:
            return Unsub(sid, 0)
        case b"UNSUB", [sid, limit]:
            return Unsub(sid, int(limit) if limit.isdigit() and len(limit) <= MAX_DIGITS else 0)
        case b"-ERR", [_, *_]:
            raise ProtocolError("", "Parse Error")
        case (b"SUB" | b"UNSUB"), [_, *_]:
            raise ProtocolError("")
        case (b"SUB" | b"UNSUB" | b"PUB" | b"HPUB"), [] if len(line) > len(verb):
            raise ProtocolError("")
    raise ProtocolError(UNKNOWN_OPERATION)


def parse_object(body: bytes) -> dict[str, Any]:
    """Its keys in lower case: Go, and so nats-server, takes them in any."""
    try:
        fields = loads(body)
    except ValueError as exc:
        raise ProtocolError("") from exc
    if not isinstance(fields, dict):
        raise ProtocolError("")
    return {key.lower(): value for key, value in fields.items()}


def parse_connect(body: bytes, before: Connect) -> Connect:
    """The JSON of CONNECT; unknown keys are ignored, a value of the wrong kind closes the connection."""
    fields = parse_object(body)

    def get(key: str, default: Any) -> Any:
        value = fields.get(key)
        if value is None:
            return default
        if type(value) is not type(default):
            raise ProtocolError("")
        return value

    return Connect(
        verbose=get("verbose", before.verbose),
        pedantic=get("pedantic", before.pedantic),
        echo=get("echo", before.echo),
        headers=get("headers", before.headers),
        no_responders=get("no_responders", before.no_responders),
        protocol=get("protocol", before.protocol),
        user=get("user", before.user),
        password=get("pass", before.password),
        auth_token=get("auth_token", before.auth_token),
        name=get("name", before.name),
        lang=get("lang", before.lang),
        version=get("version", before.version),
        jwt=get("jwt", before.jwt),
        nkey=get("nkey", before.nkey),
        sig=get("sig", before.sig),
        account=get("account", before.account),
        new_account=get("new_account", before.new_account),
    )


def info_line(fields: dict[str, object]) -> bytes:
    """``INFO {...} `` with the space before the line's end that every nats-server writes."""
    return b"INFO " + json.dumps(fields, separators=(",", ":")).encode() + b" \r\n"


def error_line(text: str) -> bytes:
    return raw(f"-ERR '{text}'\r\n")


def msg_head(subject: str, sid: bytes, reply: str, header_size: int, size: int) -> bytes:
    """``MSG`` or, where there are headers, ``HMSG``; the frame (headers, payload, CRLF) follows it."""
    if header_size:
        if reply:
            return raw(f"HMSG {subject} {text(sid)} {reply} {header_size} {size}\r\n")
        return raw(f"HMSG {subject} {text(sid)} {header_size} {size}\r\n")
    if reply:
        return raw(f"MSG {subject} {text(sid)} {reply} {size}\r\n")
    return raw(f"MSG {subject} {text(sid)} {size}\r\n")
