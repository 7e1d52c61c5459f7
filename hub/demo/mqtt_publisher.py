"""The publishing half of an MQTT 3.1.1 client, QoS 1.  Bytes in, bytes out; no sockets, no clock.

A reading is kept until its PUBACK.  After a lost connection it is sent again with DUP and the same packet
identifier in the same session (clean session 0), so that a server can tell it from a new one (MQTT 3.1.1
section 4.4).
"""

from collections import deque

CONNACK, PUBLISH, PUBACK, PINGRESP = 2, 3, 4, 13
PINGREQ = b"\xc0\x00"
DUP, QOS_1 = 0x08, 0x02
WINDOW = 20  # readings on the way at once


class MqttError(Exception):
    """The server broke the protocol or refused us; str(exc) says how."""


class MqttPublisher:
    def __init__(self, client_id: str, keep_alive_s: int) -> None:
        self._client_id = client_id
        self._keep_alive_s = keep_alive_s
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._on_the_way: dict[int, tuple[str, bytes]] = {}  # by packet identifier, oldest first
        self._identifier = 0
        self._connected = False
        self._incoming = b""
        self._outgoing = bytearray()
        self.acknowledged = 0

    def unacknowledged(self) -> int:
        return len(self._waiting) + len(self._on_the_way)

    def connection_made(self) -> None:
        """A fresh connection: what was half sent or half received on the old one is void."""
        self._connected = False
        self._incoming = b""
        self._outgoing.clear()
        flags = 0x00  # clean session 0: identifiers mean the same after a reconnect
        body = _string("MQTT") + bytes((4, flags)) + self._keep_alive_s.to_bytes(2, "big") + _string(self._client_id)
        self._outgoing += _packet(0x10, body)

    def publish(self, topic: str, payload: bytes) -> None:
        """Take charge of a reading; it is sent when there is a connection and room in the window."""
        self._waiting.append((topic, payload))
        self._fill_window()

    def ping(self) -> None:
        if self._connected:
            self._outgoing += PINGREQ

    def receive_data(self, data: bytes) -> None:
        """Bytes from the server; raises MqttError on anything a publisher cannot be sent."""
        self._incoming += data
        while (split := _split_packet(self._incoming)) is not None:
            kind, body, self._incoming = split
            self._received(kind, body)
        self._fill_window()

    def data_to_send(self) -> bytes:
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def _received(self, kind: int, body: bytes) -> None:
        if not self._connected:
            if kind != CONNACK or len(body) != 2:
                raise MqttError(f"packet type {kind} in place of CONNACK")
            if body[1] != 0:
                raise MqttError(f"connection refused, code {body[1]}")
            self._connected = True
            for identifier, (topic, payload) in self._on_the_way.items():
                self._outgoing += _publish(identifier, topic, payload, DUP)
        elif kind == PUBACK and len(body) == 2:
            # An unknown identifier is the second ack of a reading that was sent twice.
            if self._on_the_way.pop(int.from_bytes(body, "big"), None) is not None:
                self.acknowledged += 1
        elif kind != PINGRESP:
            raise MqttError(f"packet type {kind} is not for a publisher")

    def _fill_window(self) -> None:
        while self._connected and self._waiting and len(self._on_the_way) < WINDOW:
            topic, payload = self._waiting.popleft()
            self._identifier = self._identifier % 65535 + 1
            self._on_the_way[self._identifier] = topic, payload
            self._outgoing += _publish(self._identifier, topic, payload, 0)


def _publish(identifier: int, topic: str, payload: bytes, dup: int) -> bytes:
    return _packet(PUBLISH << 4 | dup | QOS_1, _string(topic) + identifier.to_bytes(2, "big") + payload)


def _packet(first: int, body: bytes) -> bytes:
    length = bytearray()
    rest = len(body)
    while True:  # remaining length, section 2.2.3: seven bits a byte, low ones first
        rest, low = divmod(rest, 128)
        length.append(low | (0x80 if rest else 0))
        if not rest:
            return bytes((first,)) + bytes(length) + body


def _split_packet(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Type, body and what follows; None while the packet is incomplete."""
    length = 0
    for i in range(1, 5):
        if len(data) <= i:
            return None
        length |= (data[i] & 0x7F) << 7 * (i - 1)
        if data[i] < 0x80:
            end = i + 1 + length
            return (data[0] >> 4, data[i + 1 : end], data[end:]) if len(data) >= end else None
    raise MqttError("remaining length of more than four bytes")


def _string(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded
