"""The leafnode protocol, soliciting side: bytes in, messages and control lines out; and the lines a leaf writes.

Messages go straight to a callback, in the order of the wire and without an object for each; every other line goes
to a second one (reference: leafnode.md sections 1 and 2).  No sockets, no clock.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from edge.errors import ProtocolError
from edge.json_text import loads
from edge.protocol.nats import (
    CRLF,
    MAX_CONTROL_LINE_EXCEEDED,
    MAX_PAYLOAD_VIOLATION,
    PAYLOAD_EXCEEDED,
    UNKNOWN_OPERATION,
    raw,
    text,
)

MAX_LINE = 1 << 20  # an INFO carries the permissions and all addresses of a hub
MAX_KNOWN = 4096  # parsed control lines kept

LOOP_PREFIX = "$LDS."

OnMessage = Callable[[str, str, bytes, bytes, Sequence[str]], None]  # subject, reply, headers, payload, queues
OnLine = Callable[[bytes], None]
Outgoing = tuple[str, str, bytes, bytes]  # subject, reply, headers, payload: a request with headers
# A line that was there before, its head, a chunk, where the line begins in it and where the message does: the position
# behind all that was taken, or 0.
Take = Callable[[bytes, "Head", bytes, int, int], int]


class Head(NamedTuple):
    """The control line of LMSG or HMSG; ``size`` counts headers and payload, without the closing CRLF."""

    subject: str
    reply: str
    queues: tuple[str, ...]
    header_size: int  # 0 for LMSG
    size: int


class Rule(NamedTuple):
    """What INFO says about one direction: ``allow`` None is everything; ``deny`` wins."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()


class Info(NamedTuple):
    """The fields of a hub's INFO that a leaf goes by."""

    server_id: str
    server_name: str
    version: str
    cluster: str
    domain: str
    jetstream: bool
    headers: bool
    max_payload: int
    tls_required: bool
    nonce: str
    info_on_connect: bool
    connect_info: bool
    remote_account: str
    has_rules: bool
    imports: Rule  # what the hub lets us receive
    exports: Rule  # what the hub lets us send
    leafnode_urls: tuple[str, ...]
    ws_connect_urls: tuple[str, ...]
    compression: str  # mode of the hub; empty: it knows of none
    proto: int


class Interest(NamedTuple):
    """LS+ (``weight`` > 0; 1 for a plain one) or LS- (``weight`` 0)."""

    subject: str
    queue: str
    weight: int


class LeafParser:
    """Feed it what was read.  ``max_payload`` may be raised once the hub has named its own.  ``take`` is asked first
    for messages with a line that repeats itself."""

    __slots__ = ("chunks", "have", "known", "max_payload", "need", "on_line", "on_message", "take")

    def __init__(self, on_message: OnMessage, on_line: OnLine, max_payload: int, take: Take | None = None) -> None:
        self.on_message = on_message
        self.take = take
        self.on_line = on_line
        self.max_payload = max_payload
        self.known: dict[bytes, Head] = {}
        self.chunks: list[bytes] = []  # the beginning of something that has not arrived whole
        self.have = 0
        self.need = 0  # no use in looking before so many bytes are here

    def receive(self, data: bytes) -> None:
        """Everything complete is handed on; ProtocolError: all before the fault has been, nothing after it is."""
        if self.chunks:
            self.chunks.append(data)
            self.have += len(data)
            if self.have < self.need:
                return
            data = b"".join(self.chunks)
            self.chunks.clear()
        done = self._consume(data)
        if done < len(data):
            self.chunks.append(data[done:])
            self.have = len(data) - done

    def _consume(self, data: bytes) -> int:
        """The number of bytes that were used up; sets ``need`` for what is left."""
        pos = 0
        self.need = 0
        while True:
            eol = data.find(CRLF, pos)
            if eol < 0 or eol - pos > MAX_LINE:
                if len(data) - pos > MAX_LINE:
                    raise ProtocolError(MAX_CONTROL_LINE_EXCEEDED)
                return pos
            line = data[pos:eol]
            known = self.known.get(line)
            head = known or self._head(line)
            if head is None:
                self.on_line(line)
                pos = eol + 2
                continue
            if head.size > self.max_payload:
                raise ProtocolError(MAX_PAYLOAD_VIOLATION, PAYLOAD_EXCEEDED)
            body = eol + 2
            end = body + head.size
            if end + 2 > len(data):
                self.need = end + 2 - pos
                return pos
            if known is not None and self.take is not None and (taken := self.take(line, known, data, pos, body)):
                pos = taken
                continue
            if data[end : end + 2] != CRLF:
                raise ProtocolError(UNKNOWN_OPERATION)
            split = body + head.header_size
            self.on_message(head.subject, head.reply, data[body:split], data[split:end], head.queues)
            pos = end + 2

    def _head(self, line: bytes) -> Head | None:
        head = parse_head(line)
        if head is not None and not head.reply:  # a reply is used once: its line will not come again
            if len(self.known) >= MAX_KNOWN:
                self.known.clear()
            self.known[line] = head
        return head


def parse_head(line: bytes) -> Head | None:
    """LMSG or HMSG; None when the line is another verb.  ProtocolError without a text, as the hub closes then."""
    verb = line[:4].upper()
    if verb == b"LMSG":
        sizes = 1
    elif verb == b"HMSG":
        sizes = 2
    else:
        return None
    args = line.split()
    if len(args[0]) != 4 or len(args) < sizes + 2:
        raise ProtocolError("")
    size = parse_size(args[-1])
    header_size = parse_size(args[-2]) if sizes == 2 else 0
    if header_size > size:
        raise ProtocolError("")
    reply, queues = _route(args[2:-sizes])
    return Head(text(args[1]), reply, queues, header_size, size)


def _route(args: list[bytes]) -> tuple[str, tuple[str, ...]]:
    """What stands between subject and sizes: nothing, a reply, ``| queues`` or ``+ reply queues``."""
    match args:
        case []:
            return "", ()
        case [reply]:
            return text(reply), ()
        case [b"|", *queues]:
            return "", tuple(map(text, queues))
        case [b"+", reply, *queues]:
            return text(reply), tuple(map(text, queues))
    raise ProtocolError("")


def parse_size(arg: bytes) -> int:
    if not arg.isdigit() or len(arg) > 9:
        raise ProtocolError("")
    return int(arg)


def parse_interest(line: bytes) -> Interest:
    """``LS+ subject [queue weight]`` or ``LS- subject [queue]``."""
    match line.split():
        case [verb, subject] if verb.upper() == b"LS+":
            return Interest(text(subject), "", 1)
        case [verb, subject, queue, weight] if verb.upper() == b"LS+":
            return Interest(text(subject), text(queue), max(parse_size(weight), 1))
        case [verb, subject] if verb.upper() == b"LS-":
            return Interest(text(subject), "", 0)
        case [verb, subject, queue] if verb.upper() == b"LS-":
            return Interest(text(subject), text(queue), 0)
    raise ProtocolError("")


def parse_error(line: bytes) -> str:
    """The text of ``-ERR 'text'``."""
    return text(line[4:].strip()).strip("'")


def parse_info(line: bytes) -> Info:
    """``INFO {...}``; a field of the wrong kind is a ProtocolError, one that is missing has its empty value."""
    try:
        fields = loads(line[4:])
    except ValueError as exc:
        raise ProtocolError("") from exc
    if not isinstance(fields, dict):
        raise ProtocolError("")

    def get(key: str, default: Any) -> Any:
        value = fields.get(key)
        if value is None:
            return default
        if type(value) is not type(default):
            raise ProtocolError("")
        return value

    return Info(
        server_id=get("server_id", ""),
        server_name=get("server_name", ""),
        version=get("version", ""),
        cluster=get("cluster", ""),
        domain=get("domain", ""),
        jetstream=get("jetstream", False),
        headers=get("headers", False),
        max_payload=get("max_payload", 1 << 20),
        tls_required=get("tls_required", False),
        nonce=get("nonce", ""),
        info_on_connect=get("info_on_connect", False),
        connect_info=get("connect_info", False),
        remote_account=get("remote_account", ""),
        has_rules="import" in fields or "export" in fields,
        imports=_rule(get("import", {})),
        exports=_rule(get("export", {})),
        leafnode_urls=_texts(get("leafnode_urls", [])),
        ws_connect_urls=_texts(get("ws_connect_urls", [])),
        compression=get("compression", ""),
        proto=get("proto", 0),
    )


def _rule(fields: dict[str, Any]) -> Rule:
    allow = fields.get("allow")
    return Rule(None if allow is None else _texts(allow), _texts(fields.get("deny") or []))


def _texts(items: Any) -> tuple[str, ...]:
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ProtocolError("")
    return tuple(items)


def connect_line(fields: dict[str, object]) -> bytes:
    return b"CONNECT " + json.dumps(fields, separators=(",", ":")).encode() + CRLF


def info_line(fields: dict[str, object]) -> bytes:
    return b"INFO " + json.dumps(fields, separators=(",", ":")).encode() + b" " + CRLF


def interest_line(interest: Interest) -> bytes:
    key = f"{interest.subject} {interest.queue}" if interest.queue else interest.subject
    if not interest.weight:
        return raw(f"LS- {key}\r\n")
    return raw(f"LS+ {key} {interest.weight}\r\n" if interest.queue else f"LS+ {key}\r\n")


def message_head(subject: str, reply: str, queues: Sequence[str], header_size: int, size: int) -> bytes:
    """``LMSG`` or, where there are headers, ``HMSG``; headers, payload and CRLF follow it."""
    if queues:
        route = f"+ {reply} {' '.join(queues)} " if reply else f"| {' '.join(queues)} "
    else:
        route = f"{reply} " if reply else ""
    if header_size:
        return raw(f"HMSG {subject} {route}{header_size} {size}\r\n")
    return raw(f"LMSG {subject} {route}{size}\r\n")


def messages(many: Iterable[Outgoing]) -> bytes:
    """As they go over the wire, to one receiver."""
    parts: list[bytes] = []
    for subject, reply, headers, payload in many:
        begin, size = len(headers), len(headers) + len(payload)
        head = f"HMSG {subject} {reply} {begin} {size}\r\n".encode("utf-8", "surrogateescape")
        parts += (head, headers, payload, CRLF)
    return b"".join(parts)
