"""How a NATS client gets from its socket to its transport: INFO, a PROXY header, a TLS handshake, in nats-server's
order.  Imported only where there is more to it than INFO."""

import asyncio
import logging
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from edge.errors import ProtocolError
from edge.net.acceptor import TLS_HANDSHAKE, hand_over, peek, readable
from edge.protocol import nats
from edge.protocol.proxy import ProxyReader

if TYPE_CHECKING:
    from edge.net.connection import Connection
    from edge.net.listener import ClientListener
    from edge.net.tls import Encryption

log = logging.getLogger("edge")

PROXY_SECONDS = 5.0  # for the header
PEEK_SIZE = 4096
TLS_FAILURE = "TLS Handshake Failure"
# What OpenSSL says of peers that never meant to encrypt, and of those that were only looking.
NOT_TLS = frozenset(
    (None, "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNEXPECTED_EOF_WHILE_READING")
)


THROTTLED = "Connection throttling is active. Please try again later."


class Throttled(Exception):
    """More handshakes than the configuration wants."""


class Entrance(NamedTuple):
    """``encryption`` None: plain.  ``allow_plain``: clients choose."""

    encryption: "Encryption | None" = None
    allow_plain: bool = False
    proxy_protocol: bool = False


class ClientPrelude:
    """Runs once for each socket."""

    def __init__(self, listener: "ClientListener", entrance: Entrance) -> None:
        self.listener = listener
        self.loop = listener.loop
        self.entrance = entrance

    async def __call__(self, accepted: socket.socket) -> None:
        connection = self.listener.make()
        connection.meet(*accepted.getpeername()[:2])
        try:
            await self._receive(connection, accepted)
        except ProtocolError as exc:
            log.warning("%s - %s", connection.name, exc.reason)
            connection.fail("Protocol Violation")
            accepted.close()
        except Throttled:
            accepted.send(nats.error_line(THROTTLED))
            connection.fail("Maximum Connections Exceeded")
            accepted.close()
        except OSError as exc:
            expected = getattr(exc, "reason", None) in NOT_TLS
            log.log(logging.DEBUG if expected else logging.ERROR, "%s - TLS handshake error: %s", connection.name, exc)
            connection.fail(TLS_FAILURE)
            accepted.close()

    async def _receive(self, connection: "Connection", accepted: socket.socket) -> None:
        entrance, encryption = self.entrance, self.entrance.encryption
        connection.tls_first = encryption is not None and await self._begins_encrypted(encryption, accepted)
        if not connection.tls_first:
            connection.greeted = True
            accepted.send(connection.greeting(show_ip=not entrance.proxy_protocol))
        if entrance.proxy_protocol:
            await self._read_header(connection, accepted)
        if encryption is not None and entrance.allow_plain and not connection.tls_first:
            begin = connection.begin or await peek(self.loop, accepted, encryption.timeout)
            encryption = encryption if begin == TLS_HANDSHAKE else None
        elif encryption is not None and connection.begin:
            raise ConnectionAbortedError("the first record is not one of a handshake")
        if encryption is not None and not encryption.allows(time.monotonic_ns()):
            raise Throttled
        connection.encryption = encryption
        await hand_over(self.loop, accepted, lambda: connection, encryption)

    async def _begins_encrypted(self, encryption: "Encryption", accepted: socket.socket) -> bool:
        """Is the handshake the first thing?  With a fallback only when the client begins by itself."""
        options = encryption.options
        if not options.handshake_first or options.handshake_first_fallback_ns is None:
            return options.handshake_first
        return await readable(self.loop, accepted, options.handshake_first_fallback_ns / 1e9)

    async def _read_header(self, connection: "Connection", accepted: socket.socket) -> None:
        """ProtocolError where it is wrong, or does not come."""
        reader = ProxyReader()
        try:
            async with asyncio.timeout(PROXY_SECONDS):
                while not reader.done:
                    data = await peek(self.loop, accepted, PROXY_SECONDS, PEEK_SIZE)
                    if not data:
                        raise ProtocolError("", "PROXY header: closed before it came")
                    accepted.recv(reader.take(data))
        except TimeoutError as exc:
            raise ProtocolError("", "PROXY header: it did not come in time") from exc
        connection.begin = reader.taken
        if reader.source is not None:
            connection.meet(*reader.source)
