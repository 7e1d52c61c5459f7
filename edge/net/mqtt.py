"""The listener for MQTT clients: sockets and clocks around ``edge/core/mqtt_client.py``."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from edge.core.auth import Authenticator, Login, Refusal
from edge.core.certificate import PeerCertificate
from edge.core.mqtt_broker import Broker, MqttLimits
from edge.core.mqtt_client import MqttClient, credentials, state_of
from edge.core.mqtt_repeats import HEADER, Recent
from edge.core.router import Router
from edge.core.values import Values
from edge.errors import ProtocolError
from edge.jetstream.jetstream import JetStream
from edge.jetstream.stream import Stream
from edge.net.listener import READ_SIZE, listen

if TYPE_CHECKING:
    from edge.net.acceptor import Listening
    from edge.net.tls import Encryption, Secured

log = logging.getLogger("edge.mqtt")

TICK_SECONDS = 0.5
CLOSE_SECONDS = 1.0  # for what was written last; a peer that reads nothing would hold it for ever
TAIL_MESSAGES = 10_000  # of each stream, read once when the first DUP comes
TAIL_NS = 30_000_000_000  # before the last message of the stream: longer than any commit takes
MARK = f"\r\n{HEADER}:".encode()


class MqttConnection(asyncio.BufferedProtocol):
    """One TCP connection; the ``Shell`` of its client."""

    def __init__(self, listener: "MqttListener", number: int) -> None:
        self.listener = listener
        self.number = number
        self.congested = False
        self.kind = "MQTT"
        self.letters = "mid"  # before the number in log lines
        self.ip = ""
        self.port = 0
        self.via = ""  # before the address in log lines: who a proxy says it is
        self.encryption: Encryption | None = listener.encryption
        self.secured: Secured | None = None  # where it is encrypted
        self.started_ns = time.time_ns()
        self.congested_since = 0
        self.closing = False
        self.reason = "Client Closed"  # why it ended

    # ---- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        high = self.listener.broker.limits.max_pending
        self.transport.set_write_buffer_limits(high, high // 4)
        peer = transport.get_extra_info("peername") or ("", 0)
        name = f"{self.via}{peer[0]}:{peer[1]} - {self.letters}:{self.number}"
        self.ip, self.port = peer[:2]
        self.client = MqttClient(self.listener.broker, self, name, time.monotonic_ns())
        log.debug("%s: MQTT connection created", name)
        self.secured = self.encryption.secured(transport) if self.encryption else None
        if self.secured and self.encryption and not self.encryption.accepts(self.secured):
            self.close("TLS handshake error: certificate not pinned")
        elif not self.listener.opened(self):
            self.close("maximum connections exceeded")

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.listener.buffer

    def buffer_updated(self, size: int) -> None:
        self.receive(bytes(self.listener.view[:size]))

    def receive(self, data: bytes) -> None:
        if self.closing:
            return
        try:
            self.client.receive(data, time.monotonic_ns())
        except ProtocolError as exc:
            self.close(str(exc))
        router = self.listener.broker.router
        router.flush()
        if self.client.is_busy and not self.closing:
            self.transport.pause_reading()
        elif router.brake.is_on:
            self.transport.pause_reading()
            router.brake.wait(self._go_on)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        self.client.end()
        self.listener.closed(self)
        self.listener.broker.router.flush()
        log.debug("%s: MQTT connection closed", self.client.name)

    def pause_writing(self) -> None:
        self.congested = True
        self.congested_since = time.monotonic_ns()

    def resume_writing(self) -> None:
        self.congested = False

    # ---- Shell

    @property
    def certificate(self) -> PeerCertificate | None:
        return self.secured.peer if self.secured else None

    @property
    def is_admitted(self) -> bool:
        return self.client.connect is not None

    def write(self, data: bytes) -> None:
        if not self.closing and data:
            self.transport.write(data)

    def close(self, reason: str) -> None:
        """After what was written has gone out; an empty ``reason`` is a DISCONNECT."""
        if self.closing:
            return
        if reason:
            log.warning("%s: closed: %s", self.client.name, reason)
        self.client.flush()
        self.closing = True
        self.reason = state_of(reason)
        self.client.end(reason)
        self.transport.close()
        self.listener.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def on_verdict(self) -> None:
        self.client.judged()
        self.listener.broker.router.flush()

    def _go_on(self) -> None:
        if not self.client.is_busy:
            self.resume()

    def resume(self) -> None:
        if not self.closing and not self.transport.is_reading():
            self.transport.resume_reading()

    def judge_again(self) -> None:
        """The rules have changed."""
        packet = self.client.connect
        if packet is not None and not self.closing:
            self.listener.broker.auth.login(credentials(packet, self), self._judged_again)

    def _judged_again(self, verdict: Login | Refusal) -> None:
        if not self.closing and not self.client.may_stay(verdict):
            self.close("its user has changed")

    # ---- clocks

    def check(self, now: int) -> None:
        late = self.congested and now - self.congested_since > self.listener.broker.limits.write_deadline_ns
        reason = "slow consumer (write deadline)" if late else self.client.check(now)
        if self.client.expires_ns is not None and time.time_ns() >= self.client.expires_ns:
            reason = "User Authentication Expired"
        if reason:
            self.close(reason)


class MqttListener:
    """``found``: the values of the store at the start; ``recent``: see ``ends_of_streams``."""

    def __init__(
        self,
        router: Router,
        auth: Authenticator,
        limits: MqttLimits,
        values: Values,
        found: Mapping[str, bytes],
        recent: Callable[[], Iterable[Recent]],
    ) -> None:
        self.broker = Broker(router, auth, limits, values, found, recent, _random_id)
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray(READ_SIZE)
        self.view = memoryview(self.buffer)
        self.connections: dict[int, MqttConnection] = {}
        self.total = 0
        self.port = 0
        self.encryption: Encryption | None = None  # and with it whether clients may do without
        self.allow_plain = False
        self.server: Listening | None = None
        self.timer: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that it became.  StartError when it is taken."""
        self.server = await self._listen(host, port)
        self._tick()
        self.port = int(self.server.sockets[0].getsockname()[1])
        return self.port

    async def _listen(self, host: str, port: int) -> "Listening":
        if self.encryption is None:
            return await listen(self.loop, self.make, host, port, "MQTT")
        from edge.net.acceptor import accept_encrypted

        return await accept_encrypted(self.loop, self.make, self.encryption, host, port, "MQTT", self.allow_plain)

    async def stop(self) -> None:
        """No new clients, and those that are here are closed.  Their wills are for clients that fail, not for us."""
        if self.timer is not None:
            self.timer.cancel()
        if self.server is not None:
            self.server.close()
        for connection in list(self.connections.values()):
            connection.client.will = None
            connection.close("server shutdown")
        self.broker.router.flush()
        self.broker.values.commit(lambda error: None)  # what was noted without a commit of its own
        await asyncio.sleep(0)

    # ---- lame duck mode

    def stop_accepting(self) -> None:
        if self.server is not None:
            self.server.close()

    def announce_lame_duck(self) -> None:
        """MQTT 3.1.1 has no word for it."""

    def closers(self) -> list[Callable[[], None]]:
        return [partial(connection.close, "server shutdown") for connection in self.connections.values()]

    # ---- connections

    def opened(self, connection: MqttConnection) -> bool:
        """False where it is one too many."""
        if len(self.connections) >= self.broker.limits.max_connections:
            return False
        self.connections[connection.number] = connection
        return True

    def closed(self, connection: MqttConnection) -> None:
        self.connections.pop(connection.number, None)

    def make(self) -> MqttConnection:
        self.total += 1
        return MqttConnection(self, self.broker.router.next_cid())

    def _tick(self) -> None:
        now = time.monotonic_ns()
        for connection in list(self.connections.values()):
            if not connection.closing:
                connection.check(now)
        self.broker.router.flush()
        self.timer = self.loop.call_later(TICK_SECONDS, self._tick)


def ends_of_streams(jetstream: JetStream) -> Callable[[], Iterator[Recent]]:
    """Reads the messages of MQTT clients near the ends that the streams have now: before anybody writes to them."""
    ends = [
        (name, stream, stream.last_seq)
        for name, account in jetstream.accounts.items()
        for stream in account.streams.values()
    ]

    def read() -> Iterator[Recent]:
        for name, stream, last_seq in ends:
            yield from _end_of_stream(name, stream, last_seq)

    return read


def _end_of_stream(account: str, stream: Stream, last_seq: int) -> Iterator[Recent]:
    last = stream.scan(last_seq, 1)
    horizon = last[0].time_ns - TAIL_NS if last else 0
    first = max(last_seq - TAIL_MESSAGES + 1, 0)
    while rows := stream.scan(first, 64):
        for row in rows:
            if row.seq > last_seq:
                return
            if row.time_ns >= horizon and MARK in row.headers:
                yield Recent(account, row.subject, row.headers, row.payload)
        first = rows[-1].seq + 1


def _random_id() -> str:
    return os.urandom(12).hex()
