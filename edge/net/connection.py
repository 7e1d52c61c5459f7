"""The socket of one NATS client: bytes in, bytes out, and the clocks around them."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from edge.core.auth import Authenticator, Credentials, Login, Refusal
from edge.core.client import Client
from edge.errors import ProtocolError
from edge.net.log import quoted
from edge.protocol import nats

if TYPE_CHECKING:
    from edge.net.info import ServerInfo
    from edge.net.listener import ClientLimits, ClientListener
    from edge.net.tls import Encryption, Secured

log = logging.getLogger("edge")

FIRST_PING_NS = 2_000_000_000
STALL_SECONDS = 0.005  # a publisher waits so long after each chunk while a receiver is far behind
PATIENCE = 10  # and so often for one that does not come nearer
WRITE_HIGH = 1 << 20
LOADED = 2 << 20  # bytes that wait to be written: what can be read from disk later is


class Connection(asyncio.BufferedProtocol):
    """Reads into the listener's one buffer: what is read is taken out of it before the next socket is looked at."""

    kind = "STANDARD"
    letters = "cid"  # before the number in log lines

    def __init__(self, listener: "ClientListener", cid: int) -> None:
        self.listener = listener
        self.cid = cid
        self.ip = ""
        self.port = 0
        self.via = ""  # before the address in log lines: who a proxy says it is
        self.nonce = listener.new_nonce()
        self.encryption: Encryption | None = None
        self.secured: Secured | None = None  # where it is encrypted
        self.tls_first = False  # the handshake before INFO
        self.greeted = False  # INFO was written before there was a transport
        self.begin = b""  # read before there was a transport
        self.started_ns = time.time_ns()
        self.rtt_ns = 0
        self.ping_sent = 0  # monotonic; INFO is the first question
        self.closing = False
        self.reason = "Client Closed"  # why it ended
        self.congested_since = 0  # monotonic ns; 0: the peer keeps up
        self.written_since = 0  # bytes: what was pending before them has the write deadline
        self.patience = PATIENCE
        self.stalls = 0
        self.last_seen = self.next_ping = 0
        self.seen_at_ping = -1

    # ---- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        high = min(WRITE_HIGH, self.limits.max_pending // 2)
        self.transport.set_write_buffer_limits(high, high // 4)
        if not self.ip:
            self.meet(*(transport.get_extra_info("peername") or ("", 0))[:2])
        if self.encryption is not None:
            self.secured = self.encryption.secured(transport, self.tls_first)
        self._make_client()
        self.last_seen = self.ping_sent = now = self.listener.now()
        self.next_ping = now + self.limits.ping_interval_ns
        log.debug("%s - Client connection created", self.client.name)
        if self.secured and self.encryption and not self.encryption.accepts(self.secured):
            log.error("%s - TLS handshake error: certificate not pinned", self.client.name)
            self.close_with("", "TLS Handshake Failure")
            return
        if not self.greeted:
            self.transport.write(self.greeting())
        self.listener.opened(self)
        if self.begin:
            begin, self.begin = self.begin, b""
            self.receive(begin)

    @property
    def is_admitted(self) -> bool:
        return self.client.admitted

    def meet(self, ip: str, port: int) -> None:
        """Where the client is."""
        self.ip, self.port = ip, port

    def fail(self, reason: str) -> None:
        """It has ended before there was a transport."""
        self._make_client()
        self.closing = True
        log.debug("%s - Client connection closed: %s", self.client.name, reason)
        self.client.close(reason)
        self.listener.router.flush()

    def _make_client(self) -> None:
        self.client = Client(
            self.listener.router, self.auth, self.limits, self.cid, self.name, self,
            self.trace if self.listener.tracer else None,
        )  # fmt: skip

    # ---- what a listener of another kind has of its own

    @property
    def auth(self) -> Authenticator:
        return self.listener.auth

    @property
    def limits(self) -> "ClientLimits":
        return self.listener.limits

    @property
    def server_info(self) -> "ServerInfo":
        return self.listener.info

    @property
    def name(self) -> str:
        return f"{self.via}{self.ip}:{self.port} - {self.letters}:{self.cid}"

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.listener.buffer

    def buffer_updated(self, size: int) -> None:
        self.receive(bytes(self.listener.view[:size]))

    def receive(self, data: bytes) -> None:
        listener = self.listener
        self.last_seen = listener.clock
        if self.closing:
            return
        try:
            self.client.receive(data)
        except ProtocolError as exc:
            listener.router.flush()
            self.close_with(str(exc), exc.reason)
            return
        listener.router.flush()
        if self.client.is_waiting:
            self.transport.pause_reading()
        if listener.hot:
            self._stall()
        if listener.router.brake.is_on:
            self.transport.pause_reading()
            listener.router.brake.wait(self._go_on)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closing:
            self.closing = True
            log.debug("%s - Client connection closed: %s", self.client.name, "Read Error" if exc else "Client Closed")
        self.client.close("Read Error" if exc else "Client Closed")
        self.listener.closed(self)
        self.listener.router.flush()

    def pause_writing(self) -> None:
        if not self.congested_since:
            self.congested_since = self.listener.now()
            self.written_since = 0

    def resume_writing(self) -> None:
        self.congested_since = 0
        self.patience = PATIENCE

    # ---- writing

    def write(self, data: bytes) -> None:
        if self.closing:
            return
        self.transport.write(data)
        if self.congested_since and data:
            self.written_since += len(data)
            self._check_pending(self.limits)

    def on_connect(self, client: Client) -> None:
        """After the first PONG a client that takes asynchronous INFO learns its account."""
        if client.connect.protocol >= 1:
            more: dict[str, object] = {"connect_info": True, "remote_account": client.account.name}
            if client.account.name == self.listener.system_account:
                more["acc_is_sys"] = True
            client.send(nats.info_line(self._info(more)))

    def tell_lame_duck(self) -> bool:
        """To go elsewhere; False for a client that takes no INFO, or not yet."""
        if self.client.connect.protocol < 1 or not self.client.ready:
            return False
        self.client.send(nats.info_line(self._info({"ldm": True})))
        return True

    # ---- the client's shell

    def credentials(self) -> Credentials:
        secured = self.secured
        return Credentials(
            nonce=self.nonce, kind=self.kind, ip=self.ip, cid=self.cid,
            tls=(secured.version, secured.cipher_suite) if secured else None,
            certificate=secured.peer if secured else None,
        )  # fmt: skip

    def on_login(self, client: Client) -> None:
        self.on_pong()  # CONNECT answers INFO
        self.next_ping = self.listener.now() + min(FIRST_PING_NS, self.limits.ping_interval_ns)
        client.name = self.name + label(client)
        self.listener.admitted(self)

    def on_pong(self) -> None:
        self.rtt_ns = time.monotonic_ns() - self.ping_sent

    def judge_again(self) -> None:
        """The rules have changed."""
        if self.client.admitted and not self.closing:
            self.auth.login(self.client.said(), self._judged_again)

    def _judged_again(self, verdict: Login | Refusal) -> None:
        if self.closing:
            return
        try:
            self.client.stay(verdict, self.limits)
        except ProtocolError as exc:
            self.close_with(str(exc), exc.reason)
        self.listener.router.flush()

    def on_verdict(self, client: Client) -> None:
        if not self.closing:
            self.receive(b"")
            self._go_on()

    def now(self) -> int:
        return time.monotonic_ns()

    def greeting(self, show_ip: bool = True) -> bytes:
        """The first INFO; without the address where a PROXY header may follow with another."""
        info = self.server_info
        if self.tls_first:
            info = info._replace(tls_required=True)
        return nats.info_line(info.fields(self.cid, self.ip if show_ip else "", self.nonce))

    def _info(self, more: dict[str, object]) -> dict[str, object]:
        more["max_payload"] = self.client.intake.max_payload
        return self.server_info.fields(self.cid, self.ip, self.nonce, more)

    def trace(self, direction: str, line: bytes, body: bytes = b"", header_size: int = 0) -> None:
        assert self.listener.tracer is not None
        self.listener.tracer.show(self.client.name, direction, line, body, header_size)

    def close_with(self, text: str, reason: str) -> None:
        """-ERR (where there is a text for it) and the end, once what was written has gone out."""
        if self.closing:
            return
        if text:
            self.transport.write(nats.error_line(text))
            if self.client.trace:
                self.trace("->>", b"-ERR " + nats.raw(text))
        log.log(logging.INFO if text else logging.DEBUG, "%s - Client connection closed: %s", self.client.name, reason)
        self.closing = True
        self.reason = reason
        self.client.close(reason)
        self.transport.close()
        self.listener.router.flush()

    def drop(self, reason: str) -> None:
        """End it now; what the peer has not read is lost."""
        log.debug("%s - Client connection closed: %s", self.client.name, reason)
        self.listener.slow_consumers += 1
        self.closing = True
        self.reason = reason
        self.client.close(reason)
        self.transport.abort()

    # ---- clocks

    def check(self, now: int) -> None:
        """Called every second or so: pings, a client that never answers, a receiver that never reads."""
        limits = self.limits
        expires = self.client.login.expires_ns
        if (pending := self.transport.get_write_buffer_size()) and self._is_late(now, pending):
            if self.closing:  # the last that was written to it
                self.transport.abort()
                return
            seconds = f"{limits.write_deadline_ns / 1e9:g}"
            log.info(
                "%s - Slow Consumer Detected: WriteDeadline of %ss exceeded with %d total bytes.",
                self.client.name, seconds, pending,
            )  # fmt: skip
            self.drop("Slow Consumer (Write Deadline)")
        elif self.closing:
            pass
        elif expires is not None and time.time_ns() >= expires:
            self.close_with(nats.USER_AUTHENTICATION_EXPIRED, "Authentication Expired")
        elif now >= self.next_ping and self.client.admitted:
            self._ping(now, limits)

    def _ping(self, now: int, limits: "ClientLimits") -> None:
        """Who has been active since the last time is not asked, but for the first time."""
        client = self.client
        self.next_ping = now + limits.ping_interval_ns
        seen, self.seen_at_ping = self.seen_at_ping, client.in_msgs + len(client.subs)
        if seen >= 0 and seen != self.seen_at_ping:
            return
        if client.pongs_missing >= limits.ping_max:
            self.listener.stale_connections += 1
            self.close_with(nats.STALE_CONNECTION, "Stale Connection")
            return
        client.pongs_missing += 1
        self.ping_sent = time.monotonic_ns()
        self.transport.write(nats.PING)
        if client.trace:
            self.trace("->>", b"PING")

    def _is_late(self, now: int, pending: int) -> bool:
        """Has the peer not taken in time what was pending when its clock was started?"""
        if not self.congested_since or pending <= self.written_since:  # it has; the clock is for the rest
            self.congested_since = now
            self.written_since = 0
        return now - self.congested_since > self.limits.write_deadline_ns

    def authentication_timeout(self) -> None:
        """Whoever is asked about a login has a time limit of its own."""
        if not self.client.admitted and not self.client.is_waiting:
            self.close_with(nats.AUTHENTICATION_TIMEOUT, "Authentication Timeout")

    # ---- back-pressure

    def _check_pending(self, limits: "ClientLimits") -> None:
        pending = self.transport.get_write_buffer_size()
        if pending > limits.max_pending:
            log.info("%s - Slow Consumer Detected: MaxPending of %d Exceeded", self.client.name, limits.max_pending)
            self.drop("Slow Consumer (Pending Bytes)")
        elif pending <= limits.max_pending // 4 * 3:
            self.patience = PATIENCE
        elif limits.no_fast_producer_stall:
            self.client.overrun = True
        else:
            self.listener.hot.add(self)

    def is_loaded(self) -> bool:
        return self.transport.get_write_buffer_size() > LOADED

    def is_far_behind(self) -> bool:
        return self.transport.get_write_buffer_size() > self.limits.max_pending // 4 * 3

    def _stall(self) -> None:
        """Receivers of what this connection has published are far behind: read no more from it for a moment.

        One that reads too slowly even so holds nobody up any more.
        """
        hot, self.listener.hot = self.listener.hot, set()
        waiting_for = [receiver for receiver in hot if receiver.patience and receiver is not self]
        if not waiting_for or self.closing or self.limits.no_fast_producer_stall:
            return
        for receiver in waiting_for:
            receiver.patience -= 1
        self.stalls += 1
        self.listener.stalls += 1
        self.transport.pause_reading()
        self.listener.loop.call_later(STALL_SECONDS, self._go_on)

    def _go_on(self) -> None:
        if self.listener.router.brake.is_on:
            self.listener.router.brake.wait(self._go_on)
        elif not (self.closing or self.client.is_waiting or self.transport.is_reading()):
            self.transport.resume_reading()


def label(client: Client) -> str:
    """What log lines say of a client once it has logged in: `` - "v2.11:python3:name" - "A/user"``."""
    connect = client.connect
    parts = [f"v{connect.version}" if connect.version else "", connect.lang, connect.name]
    program = ":".join(part for part in parts if part)
    user = f"{client.account.name}/user:{client.user}" if client.user else ""
    return "".join(f' - "{quoted(nats.raw(part))}"' for part in (program, user) if part)
