"""The listener for clients that come over WebSocket: browsers above all.  Behind the frames they are what they are
elsewhere: a NATS client's ``Connection``, or an ``MqttConnection``."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edge.core.auth import Authenticator, Credentials
from edge.net.acceptor import Listening, accept_encrypted
from edge.net.connection import Connection
from edge.net.info import ServerInfo
from edge.net.listener import READ_SIZE, ClientLimits, ClientListener, listen
from edge.net.websocket_transport import WebSocketTransport
from edge.protocol.websocket import Terms, Upgrade, WebSocketStream

if TYPE_CHECKING:
    from edge.net.leaf_listener import LeafListener
    from edge.net.mqtt import MqttListener
    from edge.net.tls import Encryption

log = logging.getLogger("edge")
wire_log = logging.getLogger("edge.websocket")
wire_log.setLevel(logging.WARNING)  # the library tells of every handshake and every frame

MAX_EARLY_MESSAGE = 128 * 1024  # from who has not logged in; a CONNECT of MQTT may be that long
PAYLOADS_IN_MESSAGE = 8  # of the largest kind, as nats-server has it
MAX_MESSAGE = 64 << 20
CLOSE_SECONDS = 10.0  # for a peer that does not read its last frames


class Inner(Protocol):
    """The client behind the frames.  ``reason`` is why it was closed from here."""

    @property
    def closing(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def is_admitted(self) -> bool: ...
    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def receive(self, data: bytes) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class WebSocketOptions(NamedTuple):
    """``auth_required`` is what INFO says, whoever comes in without credentials.  ``ping_interval_ns`` 0: as others."""

    terms: Terms
    auth_required: bool
    handshake_timeout: float  # seconds
    ping_interval_ns: int = 0


class WebSocketClient(Connection):
    """A NATS client; its listener's rules may differ from those for clients elsewhere."""

    kind = "WEBSOCKET"
    letters = "wid"

    def __init__(self, websockets: "WebSocketListener", upgrade: Upgrade) -> None:
        self.websockets = websockets
        self.upgrade = upgrade
        super().__init__(websockets.clients, websockets.clients.next_cid())
        self.encryption = websockets.encryption

    @property
    def auth(self) -> Authenticator:
        return self.websockets.auth

    @property
    def limits(self) -> ClientLimits:
        return self.websockets.limits()

    @property
    def server_info(self) -> ServerInfo:
        return self.websockets.info()

    def credentials(self) -> Credentials:
        """What CONNECT leaves out the cookies say."""
        upgrade = self.upgrade
        return (
            super()
            .credentials()
            ._replace(jwt=upgrade.jwt, user=upgrade.user, password=upgrade.password, token=upgrade.token)
        )


class WebSocketShell(asyncio.BufferedProtocol):
    """The socket: a request first, then frames for the client behind them."""

    def __init__(self, listener: "WebSocketListener") -> None:
        self.listener = listener
        self.stream = WebSocketStream(listener.options.terms, MAX_EARLY_MESSAGE, wire_log)
        self.inner: Inner | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.address = ""

    # ---- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.address = "{}:{}".format(*(transport.get_extra_info("peername") or ("", 0))[:2])
        self.listener.shells.add(self)
        if self.listener.is_full:
            log.warning("%s - websocket handshake error: maximum connections exceeded", self.address)
            self.transport.abort()
            return
        self.timer = self.listener.loop.call_later(self.listener.options.handshake_timeout, self._too_late)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.listener.buffer

    def buffer_updated(self, size: int) -> None:
        data = bytes(self.listener.view[:size])
        if self.inner is not None:
            self._receive(self.inner, data)
        elif not self.stream.ended:
            self._receive_request(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.listener.shells.discard(self)
        self._lose_inner(exc)

    def pause_writing(self) -> None:
        if self.inner is not None:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        if self.inner is not None:
            self.inner.resume_writing()

    # ---- the request

    def _receive_request(self, data: bytes) -> None:
        granted = self.stream.receive_request(data)
        self.transport.write(self.stream.outgoing())
        if granted:
            assert self.stream.upgrade is not None
            self._stop_timer()
            self.inner = self.listener.make(self.stream.upgrade)
            self.inner.connection_made(WebSocketTransport(self))
            self._widen(self.inner)
        elif self.stream.ended:
            log.error("%s - websocket handshake error: %s", self.address, self.stream.problem)
            self.close()

    def _too_late(self) -> None:
        log.debug("%s - websocket handshake error: it did not come in time", self.address)
        self.transport.abort()

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    # ---- frames

    def _receive(self, inner: Inner, data: bytes) -> None:
        if inner.closing:
            return
        for payload in self.stream.receive(data):
            inner.receive(payload)
            if inner.closing:
                return
            self._widen(inner)
        self.transport.write(self.stream.outgoing())
        if self.stream.ended:
            self.close()
            problem = self.stream.problem
            if problem:
                log.error("%s - websocket: %s", self.address, problem)
            self._lose_inner(ConnectionError(problem) if problem else None)

    def _widen(self, inner: Inner) -> None:
        """Who is known may send long messages."""
        if inner.is_admitted:
            self.stream.max_message = self.listener.max_message

    def _lose_inner(self, exc: Exception | None) -> None:
        inner, self.inner = self.inner, None
        if inner is not None:
            inner.connection_lost(exc)

    def say_goodbye(self) -> None:
        """The client has been closed from here: tell why."""
        if self.inner is not None:
            self.transport.write(self.stream.close(self.inner.reason))
        self.close()

    def close(self) -> None:
        self.transport.close()
        self._stop_timer()
        self.timer = self.listener.loop.call_later(CLOSE_SECONDS, self.transport.abort)


class WebSocketListener:
    """NATS clients become ``clients``' connections, MQTT clients ``mqtt``'s and leafs ``leafs``', where there are
    these."""

    def __init__(
        self,
        clients: ClientListener,
        mqtt: "MqttListener | None",
        auth: Authenticator,
        options: WebSocketOptions,
        encryption: "Encryption | None" = None,
    ) -> None:
        self.clients = clients
        self.mqtt = mqtt
        self.leafs: LeafListener | None = None
        self.auth = auth
        self.options = options
        self.encryption = encryption
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray(READ_SIZE)
        self.view = memoryview(self.buffer)
        self.shells: set[WebSocketShell] = set()
        self.host = ""
        self.port = 0
        self.server: Listening | None = None
        self.limits_from: ClientLimits | None = None
        self.own_limits = clients.limits

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that it became.  StartError when it is taken."""

        def factory() -> WebSocketShell:
            return WebSocketShell(self)

        if self.encryption is None:
            self.server = await listen(self.loop, factory, host, port, "websocket")
        else:
            self.server = await accept_encrypted(self.loop, factory, self.encryption, host, port, "websocket")
        self.host, self.port = host, int(self.server.sockets[0].getsockname()[1])
        return self.port

    async def stop(self) -> None:
        """Those that have not come through; the others are their listeners' to close."""
        self.stop_accepting()
        for shell in list(self.shells):
            if shell.inner is None:
                shell.transport.abort()
        await asyncio.sleep(0)

    def stop_accepting(self) -> None:
        if self.server is not None:
            self.server.close()

    def announce_lame_duck(self) -> None:
        """The listener of all clients does."""

    def closers(self) -> list[Callable[[], None]]:
        return []

    # ---- for its clients

    @property
    def is_full(self) -> bool:
        return len(self.shells) > self.clients.limits.max_connections

    @property
    def max_message(self) -> int:
        """A message is held until it is complete: there is a bound to that."""
        return min(PAYLOADS_IN_MESSAGE * self.clients.limits.max_payload, MAX_MESSAGE)

    def make(self, upgrade: Upgrade) -> Inner:
        via = f"{upgrade.forwarded_for}/" if upgrade.forwarded_for else ""
        if upgrade.leaf and self.leafs is not None:
            return self.leafs.make_web(self.encryption)
        if not upgrade.mqtt or self.mqtt is None:
            client = WebSocketClient(self, upgrade)
            client.via = via
            return client
        connection = self.mqtt.make()
        connection.kind, connection.letters, connection.via = "MQTT_WS", "mid_ws", via
        connection.encryption = self.encryption
        return connection

    def limits(self) -> ClientLimits:
        """As everybody's, but for what this listener has of its own."""
        theirs = self.clients.limits
        if not self.options.ping_interval_ns:
            return theirs
        if self.limits_from is not theirs:
            self.limits_from = theirs
            self.own_limits = replace(theirs, ping_interval_ns=self.options.ping_interval_ns)
        return self.own_limits

    def info(self) -> ServerInfo:
        encrypted = self.encryption is not None
        return self.clients.info._replace(
            host=self.host, port=self.port, auth_required=self.options.auth_required,
            tls_required=encrypted, tls_available=encrypted,
        )  # fmt: skip
