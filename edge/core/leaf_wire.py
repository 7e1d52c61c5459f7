"""What a leaf link stands on: who this server is, the connection below it, and how far it has come."""

import enum
from typing import NamedTuple, Protocol


class LeafIdentity(NamedTuple):
    """What this server says of itself in CONNECT or INFO; ``version`` is the nats-server level that is spoken."""

    server_id: str
    server_name: str
    version: str
    domain: str
    jetstream: bool
    max_payload: int


class Far(NamedTuple):
    """What the other server says of itself, in its INFO (a hub) or its CONNECT (a leaf).  ``account``: what it calls
    the one that the link is of; ``max_payload`` 0: it did not say; ``protocol``: the level of what it understands."""

    server_id: str = ""
    server_name: str = ""
    version: str = ""
    cluster: str = ""
    domain: str = ""
    account: str = ""
    max_payload: int = 0
    protocol: int = 0


class Wire(Protocol):
    """The connection below a link."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None:
        """Close once everything written has gone out; ``closed`` of the link is called then."""

    def encrypt(self) -> None:
        """Begin a TLS handshake; ``encrypted`` of the link is called after it, or ``closed``."""

    def compress(self) -> None:
        """From now on both ways are S2 streams; what was written before is not."""

    def unsent(self) -> int:
        """Bytes written that the other side has not acknowledged, down to its TCP."""

    def acknowledged(self) -> int:
        """Bytes that its TCP has acknowledged since the connection was made, whatever has become of ours below."""


class State(enum.Enum):
    DOWN = "down"
    AWAITS_INFO = "connecting"
    AWAITS_TLS = "encrypting"
    AWAITS_COMPRESSION = "compressing"
    AWAITS_ADMISSION = "authenticating"
    AWAITS_PONG = "announcing"
    UP = "up"
