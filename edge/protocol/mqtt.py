"""MQTT 3.1.1 (OASIS Standard, 29 October 2014), either role: bytes in, packets out, and packets to bytes.

Numbers in brackets, as [MQTT-2.2.2-2], are those of the standard's conformance statements.  No sockets, no clock.
"""

import enum
from collections.abc import Callable, Iterator
from typing import NamedTuple

from edge.errors import ProtocolError

MAX_REMAINING = 268_435_455  # four bytes of seven bits
MAX_TEXT = 0xFFFF
MAX_PACKET_ID = 0xFFFF
FAILURE = 0x80  # a return code in SUBACK
LEVEL = 4  # 3.1.1


class Kind(enum.IntEnum):
    """The upper half of a packet's first byte."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class Code(enum.IntEnum):
    """Return codes of CONNACK."""

    ACCEPTED = 0
    UNACCEPTABLE_VERSION = 1
    IDENTIFIER_REJECTED = 2
    SERVER_UNAVAILABLE = 3
    BAD_CREDENTIALS = 4
    NOT_AUTHORIZED = 5


class ConnectRefused(ProtocolError):
    """A CONNECT that is answered with a CONNACK of this code before the connection is closed."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


class Will(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Connect(NamedTuple):
    """``keepalive`` in seconds, 0 for none; ``user`` and ``password`` None where they were not sent."""

    client_id: str
    clean: bool = True
    keepalive: int = 0
    will: Will | None = None
    user: str | None = None
    password: bytes | None = None


class Connack(NamedTuple):
    session_present: bool
    code: int


class Publish(NamedTuple):
    """``packet_id`` 0 with QoS 0."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0


class Ack(NamedTuple):
    """PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK: nothing but the packet id that it is about."""

    kind: Kind
    packet_id: int


class Subscribe(NamedTuple):
    packet_id: int
    filters: tuple[tuple[str, int], ...]  # filter, requested QoS


class Suback(NamedTuple):
    packet_id: int
    codes: tuple[int, ...]  # the granted QoS or FAILURE


class Unsubscribe(NamedTuple):
    packet_id: int
    filters: tuple[str, ...]


class Signal(NamedTuple):
    """PINGREQ, PINGRESP or DISCONNECT: the kind is all there is."""

    kind: Kind


Packet = Connect | Connack | Publish | Ack | Subscribe | Suback | Unsubscribe | Signal

FROM_CLIENT = frozenset(
    {
        *(Kind.CONNECT, Kind.PUBLISH, Kind.PUBACK, Kind.PUBREC, Kind.PUBREL, Kind.PUBCOMP),
        *(Kind.SUBSCRIBE, Kind.UNSUBSCRIBE, Kind.PINGREQ, Kind.DISCONNECT),
    }
)
FROM_SERVER = frozenset(
    {
        *(Kind.CONNACK, Kind.PUBLISH, Kind.PUBACK, Kind.PUBREC, Kind.PUBREL, Kind.PUBCOMP),
        *(Kind.SUBACK, Kind.UNSUBACK, Kind.PINGRESP),
    }
)
FLAGGED = frozenset({Kind.PUBREL, Kind.SUBSCRIBE, Kind.UNSUBSCRIBE})  # flags 0010; all others 0000 [MQTT-2.2.2-2]


class Parser:
    """Packets of the kinds in ``kinds``; one larger than ``max_packet`` (remaining length) is refused by its head."""

    def __init__(self, kinds: frozenset[Kind], max_packet: int = MAX_REMAINING) -> None:
        self.kinds = kinds
        self.max_packet = max_packet
        self.chunks: list[bytes] = []  # the beginning of a packet that has not arrived whole
        self.have = 0
        self.need = 0  # no use in looking before so many bytes are here

    def receive_data(self, data: bytes) -> Iterator[Packet]:
        """Every packet that is complete.  ProtocolError at the fault: the packets before it still count."""
        if self.chunks:
            self.chunks.append(data)
            self.have += len(data)
            if self.have < self.need:
                return
            data = b"".join(self.chunks)
            self.chunks.clear()
        pos, end = 0, len(data)
        self.need = 0
        while pos < end:
            body, after = self._head(data, pos)
            if after > end or not body:
                self.need = after - pos
                break
            yield decode(data[pos], data[body:after])
            pos = after
        if pos < end:
            self.chunks.append(data[pos:] if pos else data)
            self.have = end - pos

    def _head(self, data: bytes, pos: int) -> tuple[int, int]:
        """Where the body begins and where it ends; (0, what is needed at least) when the head is not whole."""
        self._check_first(data[pos])
        length = shift = 0
        for at in range(pos + 1, pos + 5):
            if at == len(data):
                return 0, at + 1
            byte = data[at]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if length > self.max_packet:
                    raise ProtocolError(f"a packet of {length} bytes where {self.max_packet} are allowed")
                return at + 1, at + 1 + length
        raise ProtocolError("malformed remaining length")

    def _check_first(self, first: int) -> None:
        number, flags = first >> 4, first & 0x0F
        if number not in self.kinds:
            raise ProtocolError(f"packet type {number} is not for this side")
        if number == Kind.PUBLISH:
            if flags & 0x06 == 0x06:
                raise ProtocolError("QoS 3 does not exist")
        elif flags != (0x02 if number in FLAGGED else 0):
            raise ProtocolError(f"flags {flags:04b} are invalid for packet type {number}")


# ---- bytes to packets


class Body:
    """The rest of a packet, read from the front."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0

    def take(self, size: int) -> bytes:
        begin, self.pos = self.pos, self.pos + size
        if self.pos > len(self.data):
            raise ProtocolError("the packet ends within a field")
        return self.data[begin : self.pos]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def binary(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        """UTF-8 without surrogates and U+0000 [MQTT-1.5.3-1, 1.5.3-2]."""
        try:
            text = self.binary().decode()
        except UnicodeDecodeError as exc:
            raise ProtocolError("a string is not UTF-8") from exc
        if "\0" in text:
            raise ProtocolError("a string holds U+0000")
        return text

    def packet_id(self) -> int:
        number = self.number()
        if not number:
            raise ProtocolError("packet identifier 0")  # [MQTT-2.3.1-1]
        return number

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.pos)

    def is_used_up(self) -> bool:
        return self.pos == len(self.data)


def decode(first: int, data: bytes) -> Packet:
    """The packet with this first byte and this body.  ProtocolError when the body is not one of its kind."""
    kind = Kind(first >> 4)
    body = Body(data)
    packet = _publish(first, body) if kind is Kind.PUBLISH else DECODERS[kind](kind, body)
    if not body.is_used_up():
        raise ProtocolError(f"{len(data) - body.pos} bytes behind the end of {kind.name}")
    return packet


def _connect(kind: Kind, body: Body) -> Connect:
    name = body.binary()
    if name not in (b"MQTT", b"MQIsdp"):
        raise ProtocolError(f"protocol name {name[:16]!r} instead of MQTT")
    level = body.byte()
    if level != LEVEL:
        raise ConnectRefused(Code.UNACCEPTABLE_VERSION, f"protocol level {level}: only MQTT 3.1.1 (level 4) is spoken")
    flags = body.byte()
    if flags & 0x01:
        raise ProtocolError("the reserved flag of CONNECT is set")
    clean = bool(flags & 0x02)
    keepalive = body.number()
    client_id = _client_id(body)
    if not client_id and not clean:
        raise ConnectRefused(Code.IDENTIFIER_REJECTED, "an empty client identifier needs a clean session")
    will = _will(flags, body)
    user = body.text() if flags & 0x80 else None
    if flags & 0x40 and user is None:
        raise ProtocolError("a password without a user name")  # [MQTT-3.1.2-22]
    password = body.binary() if flags & 0x40 else None
    return Connect(client_id, clean, keepalive, will, user, password)


def _client_id(body: Body) -> str:
    raw = body.binary()
    try:
        text = raw.decode()
    except UnicodeDecodeError as exc:
        raise ConnectRefused(Code.IDENTIFIER_REJECTED, "the client identifier is not UTF-8") from exc
    if "\0" in text:
        raise ConnectRefused(Code.IDENTIFIER_REJECTED, "the client identifier holds U+0000")
    return text


def _will(flags: int, body: Body) -> Will | None:
    qos = flags >> 3 & 0x03
    if not flags & 0x04:
        if flags & 0x38:
            raise ProtocolError("will flags without a will")  # [MQTT-3.1.2-11, -13, -15]
        return None
    if qos == 3:
        raise ProtocolError("a will with QoS 3")
    topic = body.text()
    return Will(topic, body.binary(), qos, bool(flags & 0x20))


def _connack(kind: Kind, body: Body) -> Connack:
    flags = body.byte()
    if flags > 1:
        raise ProtocolError("reserved flags of CONNACK are set")
    return Connack(bool(flags), body.byte())


def _publish(first: int, body: Body) -> Publish:
    qos = first >> 1 & 0x03
    topic = body.text()
    packet_id = body.packet_id() if qos else 0
    return Publish(topic, body.rest(), qos, bool(first & 0x01), bool(first & 0x08), packet_id)


def _ack(kind: Kind, body: Body) -> Ack:
    return Ack(kind, body.packet_id())


def _subscribe(kind: Kind, body: Body) -> Subscribe:
    packet_id = body.packet_id()
    filters = []
    while not body.is_used_up():
        topic_filter, qos = _filter(body), body.byte()
        if qos > 2:
            raise ProtocolError(f"a subscription with QoS {qos}")  # [MQTT-3.8.3-4]
        filters.append((topic_filter, qos))
    if not filters:
        raise ProtocolError("SUBSCRIBE without a filter")  # [MQTT-3.8.3-3]
    return Subscribe(packet_id, tuple(filters))


def _filter(body: Body) -> str:
    text = body.text()
    if not text:
        raise ProtocolError("an empty topic filter")  # [MQTT-4.7.3-1]
    return text


def _suback(kind: Kind, body: Body) -> Suback:
    packet_id = body.packet_id()
    codes = tuple(body.rest())
    if not codes or not set(codes) <= {0, 1, 2, FAILURE}:
        raise ProtocolError("SUBACK with return codes that do not exist")
    return Suback(packet_id, codes)


def _unsubscribe(kind: Kind, body: Body) -> Unsubscribe:
    packet_id = body.packet_id()
    filters = []
    while not body.is_used_up():
        filters.append(_filter(body))
    if not filters:
        raise ProtocolError("UNSUBSCRIBE without a filter")  # [MQTT-3.10.3-2]
    return Unsubscribe(packet_id, tuple(filters))


def _signal(kind: Kind, body: Body) -> Signal:
    return Signal(kind)


DECODERS: dict[Kind, Callable[[Kind, Body], Packet]] = {
    Kind.CONNECT: _connect,
    Kind.CONNACK: _connack,
    Kind.PUBACK: _ack,
    Kind.PUBREC: _ack,
    Kind.PUBREL: _ack,
    Kind.PUBCOMP: _ack,
    Kind.SUBSCRIBE: _subscribe,
    Kind.SUBACK: _suback,
    Kind.UNSUBSCRIBE: _unsubscribe,
    Kind.UNSUBACK: _ack,
    Kind.PINGREQ: _signal,
    Kind.PINGRESP: _signal,
    Kind.DISCONNECT: _signal,
}


# ---- packets to bytes


def encode(packet: Packet) -> bytes:
    """The bytes of a packet whose strings are no longer than 65,535 bytes."""
    match packet:
        case Connect():
            return _encode_connect(packet)
        case Connack(session_present, code):
            return _frame(Kind.CONNACK, 0, bytes((session_present, code)))
        case Publish():
            return encode_publish(*packet)
        case Ack(kind, packet_id):
            return _frame(kind, _flags(kind), packet_id.to_bytes(2, "big"))
        case Subscribe(packet_id, filters):
            body = b"".join(_text(topic_filter) + bytes((qos,)) for topic_filter, qos in filters)
            return _frame(Kind.SUBSCRIBE, 0x02, packet_id.to_bytes(2, "big") + body)
        case Suback(packet_id, codes):
            return _frame(Kind.SUBACK, 0, packet_id.to_bytes(2, "big") + bytes(codes))
        case Unsubscribe(packet_id, names):
            return _frame(Kind.UNSUBSCRIBE, 0x02, packet_id.to_bytes(2, "big") + b"".join(map(_text, names)))
        case Signal(kind):
            return _frame(kind, 0, b"")


def encode_publish(
    topic: str, payload: bytes, qos: int = 0, retain: bool = False, dup: bool = False, packet_id: int = 0
) -> bytes:
    flags = dup << 3 | qos << 1 | retain
    name = _text(topic)
    if not qos:
        return _frame(Kind.PUBLISH, flags, name + payload)
    return _frame(Kind.PUBLISH, flags, b"%b%b%b" % (name, packet_id.to_bytes(2, "big"), payload))


def _encode_connect(packet: Connect) -> bytes:
    flags = packet.clean << 1
    tail = _text(packet.client_id)
    if packet.will is not None:
        flags |= 0x04 | packet.will.qos << 3 | packet.will.retain << 5
        tail += _text(packet.will.topic) + _binary(packet.will.payload)
    if packet.user is not None:
        flags |= 0x80
        tail += _text(packet.user)
    if packet.password is not None:
        flags |= 0x40
        tail += _binary(packet.password)
    return _frame(Kind.CONNECT, 0, b"\0\4MQTT" + bytes((LEVEL, flags)) + packet.keepalive.to_bytes(2, "big") + tail)


def _flags(kind: Kind) -> int:
    return 0x02 if kind in FLAGGED else 0


def _frame(kind: int, flags: int, body: bytes) -> bytes:
    length = len(body)
    if length < 0x80:
        return b"%c%c%b" % (kind << 4 | flags, length, body)
    head = bytearray((kind << 4 | flags,))
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + body


def _binary(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _text(text: str) -> bytes:
    return _binary(text.encode())
