"""The listener for leafs: smaller edges and nats-servers that dial this one.  Imported only where there is one."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from edge.core.auth import Authenticator, Credentials
from edge.core.leaf_inbound import InboundLink, LeafTerms
from edge.core.leaf_wire import LeafIdentity
from edge.core.router import Router
from edge.net.acceptor import Listening, accept, hand_over, readable
from edge.net.leaf_connection import WRITE_LOW, LeafConnection
from edge.net.listener import READ_SIZE, listen
from edge.net.ticker import Ticker
from edge.protocol import nats

if TYPE_CHECKING:  # where something is encrypted
    from edge.net.tls import Encryption, Secured

log = logging.getLogger("edge")

ORDER = (
    "server_id", "server_name", "version", "proto", "go", "host", "port", "headers", "auth_required", "tls_required",
    "tls_verify", "max_payload", "jetstream", "ip", "client_id", "nonce", "cluster", "domain", "compression",
    "connect_info", "remote_account", "acc_is_sys", "api_lvl", "import", "export", "info_on_connect", "leafnode_urls",
    "ws_connect_urls",
)  # fmt: skip
TLS_FAILURE = "TLS Handshake Failure"
THROTTLED = "Connection throttling is active. Please try again later."
SLOW = "Slow Consumer (Write Deadline)"


class LeafOptions(NamedTuple):
    """``said``: what INFO says to every leaf.  ``max_pending``: bytes that may wait for one of them; what is published
    meanwhile and in no stream is dropped.  ``ends_slow``: a leaf that takes nothing for ``write_deadline_ns`` is
    closed, and otherwise only said to be slow."""

    terms: LeafTerms
    said: dict[str, object]
    max_pending: int = 64 << 20
    write_deadline_ns: int = 10_000_000_000
    ends_slow: bool = False
    max_connections: int = 65_536


class AcceptedLeaf(LeafConnection):
    """``greeted``: INFO was written before there was a transport."""

    def __init__(self, listener: "LeafListener", is_web: bool = False) -> None:
        self.inbound = InboundLink(listener.router, listener, listener.auth, listener.identity, is_web)
        super().__init__(self.inbound, listener.router, listener.buffer)
        self.listener = listener
        self.is_web = is_web
        self.ticker = Ticker(listener.loop, listener.router)
        self.encryption: Encryption | None = None
        self.secured: Secured | None = None
        self.tls_first = False
        self.greeted = False
        self.slow: asyncio.TimerHandle | None = None
        self.taken = 0  # what its TCP had acknowledged when it was last looked at

    # ---- how it comes and goes

    def meet(self, address: tuple[object, ...]) -> None:
        self.inbound.meet(str(address[0]), int(str(address[1])))

    def begin(self) -> None:
        link = self.inbound
        if not link.remote:
            self.meet(self.transport.get_extra_info("peername") or ("", 0))
        self.listener.connections.add(self)
        if self.encryption is not None:
            self.secured = self.encryption.secured(self.transport, self.tls_first)
        link.opened(self, self, time.monotonic_ns())
        if self.secured is not None and self.encryption is not None and not self.encryption.accepts(self.secured):
            log.error("%s - TLS handshake error: certificate not pinned", link.name)
            link.refuse("", TLS_FAILURE)
            return
        if len(self.listener.connections) > self.listener.options.max_connections:
            link.refuse(nats.MAX_CONNECTIONS_EXCEEDED, "Maximum Connections Exceeded")
            return
        if not self.greeted:
            self.transport.write(link.greeting())
        self.ticker.start(link)

    def use(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        high = self.listener.options.max_pending
        self.transport.set_write_buffer_limits(high, min(high // 4, WRITE_LOW))

    def receive(self, data: bytes) -> None:
        deadline = self.link.next_event
        super().receive(data)
        if self.inbound.held is not None:  # the verdict is out
            self.transport.pause_reading()
        if self.link.next_event != deadline:
            self.ticker.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.connections.discard(self)
        self.ticker.stop()
        self._keeps_up()
        super().connection_lost(exc)

    def encrypt(self) -> None:
        """It was, before it began."""

    # ---- the link's shell

    def credentials(self) -> Credentials:
        secured = self.secured
        return Credentials(
            tls=(secured.version, secured.cipher_suite) if secured else None,
            certificate=secured.peer if secured else None,
        )

    def on_verdict(self) -> None:
        self.inbound.decide(time.monotonic_ns())
        self.router.flush()
        self.ticker.wake()
        self._go_on()

    # ---- a leaf that is slow

    def pause_writing(self) -> None:
        super().pause_writing()
        self.taken = self.acknowledged()
        self.slow = self.listener.loop.call_later(self.listener.options.write_deadline_ns / 1e9, self._look)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._keeps_up()

    def _keeps_up(self) -> None:
        if self.slow is not None:
            self.slow.cancel()
            self.slow = None

    def _look(self) -> None:
        options, taken = self.listener.options, self.acknowledged()
        self.slow = self.listener.loop.call_later(options.write_deadline_ns / 1e9, self._look)
        if taken > self.taken:
            self.taken = taken
            return
        log.info(
            "%s - Slow Consumer Detected: WriteDeadline of %gs exceeded with %d total bytes.",
            self.inbound.name, options.write_deadline_ns / 1e9, self.transport.get_write_buffer_size(),
        )  # fmt: skip
        self.inbound.account.slow_consumers += 1
        if options.ends_slow:
            self.inbound.refuse("", SLOW)
            self.transport.abort()

    # ---- behind the frames of a WebSocket

    @property
    def closing(self) -> bool:
        return self.link.closing

    @property
    def reason(self) -> str:
        return self.inbound.reason

    @property
    def is_admitted(self) -> bool:
        return self.inbound.login is not None


class LeafPrelude:
    """From the socket to the transport, where leafs are encrypted: INFO and a handshake, in the order that is
    configured."""

    def __init__(self, listener: "LeafListener", encryption: "Encryption") -> None:
        self.listener = listener
        self.encryption = encryption

    async def __call__(self, accepted: socket.socket) -> None:
        leaf = AcceptedLeaf(self.listener)
        leaf.meet(accepted.getpeername())
        leaf.encryption = encryption = self.encryption
        loop = self.listener.loop
        try:
            leaf.tls_first = await self._begins_encrypted(accepted)
            if not leaf.tls_first:
                leaf.greeted = True
                accepted.send(leaf.inbound.greeting())
            if not encryption.allows(time.monotonic_ns()):
                accepted.send(nats.error_line(THROTTLED))
                leaf.inbound.end = "Maximum Connections Exceeded"
                leaf.connection_lost(None)
                accepted.close()
                return
            await hand_over(loop, accepted, lambda: leaf, encryption)
        except OSError as exc:
            log.error("%s - TLS leafnode handshake error: %s", leaf.inbound.name, exc)
            leaf.inbound.end = TLS_FAILURE
            leaf.connection_lost(exc)
            accepted.close()

    async def _begins_encrypted(self, accepted: socket.socket) -> bool:
        """Is the handshake the first thing?  With a fallback only when the leaf begins by itself."""
        options = self.encryption.options
        if not options.handshake_first or options.handshake_first_fallback_ns is None:
            return options.handshake_first
        return await readable(self.listener.loop, accepted, options.handshake_first_fallback_ns / 1e9)


class LeafListener:
    """Also the host of those leafs that come by the listener for WebSocket."""

    def __init__(
        self,
        router: Router,
        auth: Authenticator,
        identity: LeafIdentity,
        options: LeafOptions,
        encryption: "Encryption | None" = None,
    ) -> None:
        self.router = router
        self.auth = auth
        self.identity = identity
        self.options = options
        self.encryption = encryption
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray(READ_SIZE)
        self.connections: set[AcceptedLeaf] = set()
        self.server: Listening | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that it became.  StartError when it is taken."""
        if self.encryption is None:
            self.server = await listen(self.loop, partial(AcceptedLeaf, self), host, port, "leafnode")
        else:
            self.server = await accept(self.loop, LeafPrelude(self, self.encryption), host, port, "leafnode")
        self.port = int(self.server.sockets[0].getsockname()[1])
        return self.port

    def make_web(self, encryption: "Encryption | None") -> AcceptedLeaf:
        """The leaf behind the frames of a WebSocket."""
        leaf = AcceptedLeaf(self, is_web=True)
        leaf.encryption = encryption
        return leaf

    async def stop(self) -> None:
        self.stop_accepting()
        for connection in list(self.connections):
            connection.inbound.refuse("", "Server Shutdown")
        await asyncio.sleep(0)

    # ---- lame duck mode: leafs are told nothing, and dial another hub when they are closed

    def stop_accepting(self) -> None:
        if self.server is not None:
            self.server.close()

    def announce_lame_duck(self) -> None:
        """There is no word for it."""

    def closers(self) -> list[Callable[[], None]]:
        return [partial(connection.inbound.refuse, "", "Server Shutdown") for connection in self.connections]

    # ---- rules that change

    def judge_again(self, accounts: Iterable[str] | None = None) -> None:
        """Those of these accounts; None: all of them."""
        for connection in list(self.connections):
            link = connection.inbound
            if accounts is None or link.account.name in accounts:
                link.auth = self.auth
                link.judge_again()

    def find(self, cid: int) -> InboundLink | None:
        return next((each.inbound for each in self.connections if each.inbound.cid == cid), None)

    # ---- for its leafs

    @property
    def terms(self) -> LeafTerms:
        return self.options.terms

    def info(self, cid: int, more: dict[str, object]) -> dict[str, object]:
        said = {**self.options.said, "client_id": cid, **more}
        return {name: said[name] for name in ORDER if name in said}

    def wall(self) -> int:
        return time.time_ns()

    def monotonic(self) -> int:
        return time.monotonic_ns()
