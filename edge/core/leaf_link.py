"""A link to a hub as the router sees it: handshake, interest both ways, messages, and whether the hub still lives.

The link outlives its connections.  The shell (``net/leafs.py``) calls ``opened``, ``receive`` and ``closed`` for each
of them and ``tick`` when ``deadline`` has come; what the link writes goes to the ``Wire`` of the connection.
"""

import enum
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from edge.core.account import Account
from edge.core.interest import InterestMap
from edge.core.leaf_login import LeafLogin
from edge.core.leaf_rules import LinkRules
from edge.core.peer import Link, PeerKind, Subscription
from edge.core.request_info import MARK, request_info, with_info
from edge.core.router import Router
from edge.errors import ProtocolError
from edge.protocol import leaf
from edge.protocol.leaf import Info, LeafParser
from edge.protocol.nats import CRLF, PING, PONG, STALE_CONNECTION, UNKNOWN_OPERATION, error_line
from edge.subjects import is_valid

log = logging.getLogger("edge")

SECOND = 1_000_000_000
TLS_TIMEOUT_NS = 10 * SECOND
CONNECT_TIMEOUT_NS = 2 * SECOND  # from CONNECT to the hub's second INFO, as nats-server gives it
PING_INTERVAL_NS = 15 * SECOND  # nats-server's two minutes would leave a half-open link unnoticed for four
PING_MAX = 2
BOUNDED = "$JS."  # who sends there has windows of its own, and waits; what is lost costs more than it takes
TOLD_MAX = 100  # refused subjects that are logged on one connection

# How long to stay away after an error, by a part of its text (reference: leafnode.md section 4).
DELAYS = (
    ("Loop detected", 30 * SECOND),
    ("same cluster name", 30 * SECOND),
    ("minimum version required", 5 * SECOND),
)


class LeafIdentity(NamedTuple):
    """What this server says of itself in CONNECT; ``version`` is the nats-server level that is spoken."""

    server_id: str
    server_name: str
    version: str
    domain: str
    jetstream: bool
    max_payload: int


class Wire(Protocol):
    """The connection below a link."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None:
        """Close once everything written has gone out; ``closed`` of the link is called then."""

    def encrypt(self) -> None:
        """Begin a TLS handshake; ``encrypted`` of the link is called after it, or ``closed``."""

    def unsent(self) -> int:
        """Bytes written that the other side has not acknowledged, down to its TCP."""


class Encrypted(enum.Enum):
    """What of TLS a connection has, or can have: nothing; when INFO has come, as the configuration wants; already."""

    PLAIN = "plain"
    AFTER_INFO = "after INFO"
    FROM_THE_START = "from the start"


class State(enum.Enum):
    DOWN = "down"
    AWAITS_INFO = "connecting"
    AWAITS_TLS = "encrypting"
    AWAITS_ADMISSION = "authenticating"
    AWAITS_PONG = "announcing"
    UP = "up"


class LeafLink(Link):
    """``loop_id`` is this account's own random id: a hub that sends it back is behind a loop.

    ``listeners`` hear True once the hub has answered everything we announced, and False when the link is lost.
    """

    __slots__ = (
        "account",
        "closing",
        "congested",
        "connects",
        "delivered_at_ping",
        "discovered",
        "dropped",
        "first_info_timeout_ns",
        "identity",
        "in_bytes",
        "in_msgs",
        "info",
        "interest",
        "last_error",
        "listeners",
        "login",
        "loop_subject",
        "next_event",
        "now",
        "out",
        "out_bytes",
        "out_msgs",
        "parser",
        "ping_sent",
        "pings_unanswered",
        "received",
        "received_at_ping",
        "remote",
        "retry_delay_ns",
        "router",
        "rtt",
        "rules",
        "state",
        "subs",
        "tls",
        "told",
        "wire",
        "written",
    )

    def __init__(
        self,
        router: Router,
        account: Account,
        identity: LeafIdentity,
        rules: LinkRules,
        loop_id: str,
        first_info_timeout_ns: int = SECOND,
    ) -> None:
        super().__init__("leaf")
        self.router = router
        self.account = account
        account.links.add(self)
        self.identity = identity
        self.rules = rules
        self.loop_subject = leaf.LOOP_PREFIX + loop_id
        self.first_info_timeout_ns = first_info_timeout_ns
        self.listeners: list[Callable[[bool], None]] = []
        self.info: Info | None = None  # of the hub that is or was last connected
        self.discovered: tuple[str, ...] = ()
        self.in_msgs = self.in_bytes = self.out_msgs = self.out_bytes = self.dropped = self.connects = 0
        self.last_error = ""
        self.rtt = 0  # nanoseconds; 0: not known
        self.remote = ""  # host:port of the connection
        self.login = LeafLogin()
        self.congested = False  # set by the shell: so much is unsent that plain messages are dropped
        self._reset()

    def _reset(self) -> None:
        self.state = State.DOWN
        self.wire: Wire | None = None
        self.closing = False
        self.parser = LeafParser(self._on_message, self._on_line, self.identity.max_payload)
        self.interest = InterestMap()
        self.subs: dict[tuple[str, str], Subscription] = {}  # the hub's interest
        self.told: set[str] = set()
        self.out: list[bytes] = []
        self.now = 0
        self.next_event: int | None = None
        self.received = self.written = 0  # bytes of this connection
        self.received_at_ping = self.delivered_at_ping = 0
        self.ping_sent = 0
        self.pings_unanswered = 0
        self.retry_delay_ns = 0
        self.congested = False

    # ---- for uplinks and monitoring

    @property
    def up(self) -> bool:
        return self.state is State.UP

    @property
    def server_name(self) -> str:
        return self.info.server_name if self.info else self.name

    @property
    def account_name(self) -> str:
        return self.account.name

    @property
    def cluster(self) -> str:
        return self.info.cluster if self.info else ""

    @property
    def domain(self) -> str:
        """The hub's JetStream domain, or empty."""
        return self.info.domain if self.info else ""

    @property
    def pending_bytes(self) -> int:
        return self.wire.unsent() + sum(map(len, self.out)) if self.wire else 0

    def refusal(self, subject: str, size: int) -> str:
        """Why the connected hub will never take such a message, or an empty string."""
        if self.info is not None and size > self.info.max_payload:
            return f"{size} bytes are more than the hub's max_payload of {self.info.max_payload}"
        if not self.rules.hub_takes(subject):
            return f'the hub does not permit this edge to publish to "{subject}"'
        return ""

    def publish(self, subject: str, payload: bytes, reply: str = "", headers: bytes = b"") -> bool:
        """Send over this link and no other way, whatever interest the hub has shown; False when it is not up."""
        if self.state is not State.UP or self.refusal(subject, len(headers) + len(payload)):
            return False
        self._send_message(subject, reply, (), headers, payload)
        return True

    # ---- the router's side

    def is_congested(self) -> bool:
        return self.congested

    def enqueue(self, subject: str, reply: str, queues: Sequence[str], headers: bytes, payload: bytes) -> bool:
        rules = self.rules
        if self.closing or not rules.exported(subject):
            return False
        if (reason := self.refusal(subject, len(headers) + len(payload))) != "":
            self._tell(subject, reason)
            return False
        if self.congested and not subject.startswith(BOUNDED):
            self.dropped += 1
            self._tell("", "too slow for what is published: messages without a stream are dropped")
            return False
        if reply and MARK in headers:
            headers = self._introduced(headers)
        self._send_message(subject, reply, queues, headers, payload)
        return True

    def _introduced(self, headers: bytes) -> bytes:
        """Who asks is of one of our accounts: the hub has its own names for those that have a link."""
        info = request_info(headers)
        account = self.router.accounts.get(str(info.get("acc"))) if info else None
        links = account.links if account is not None else ()
        name = next((link.info.remote_account for link in links if link.info and link.info.remote_account), "")
        return with_info(headers, info | {"acc": name}) if info and name else headers

    def flush(self) -> None:
        data = b"".join(self.out)
        self.out.clear()
        if self.wire is not None and data:
            self.written += len(data)
            self.wire.write(data)

    # ---- the connection's side

    def opened(self, wire: Wire, remote: str, login: LeafLogin, now: int, tls: Encrypted = Encrypted.PLAIN) -> None:
        """A new connection to ``remote`` (host:port)."""
        self._reset()
        self.wire = wire
        self.remote = self.name = remote
        self.login = login
        self.tls = tls
        self.now = now
        self.state = State.AWAITS_INFO
        self.next_event = now + self.first_info_timeout_ns

    def encrypted(self, now: int) -> None:
        """The handshake that INFO asked for is done."""
        self.now = now
        if self.state is State.AWAITS_TLS and self.info is not None and not self.closing:
            self._say_who(self.info)

    def failed(self, reason: str) -> None:
        """The shell cannot go on with this connection."""
        self._fail("", reason)

    def receive(self, data: bytes, now: int) -> None:
        self.now = now
        self.received += len(data)
        if self.closing:
            return
        try:
            self.parser.receive(data)
        except ProtocolError as exc:
            self._fail(str(exc), str(exc) or "malformed data from the hub")

    def closed(self, reason: str) -> None:
        """The connection is gone, for whatever reason: forget what the hub wanted."""
        was_up = self.up
        state = "Stale Connection" if self.pings_unanswered >= PING_MAX else "Client Closed"
        if was_up:
            for watcher in self.router.watchers:
                watcher.leaving(self, self.account, state)
        if self._on_interest in self.account.interest_listeners:
            self.account.interest_listeners.remove(self._on_interest)
        subs = list(self.subs.values())
        delay = self.retry_delay_ns
        if not self.closing:
            self._say("disconnected", reason)
        self._reset()
        self.retry_delay_ns = delay
        for sub in subs:
            self.account.remove(sub)
        if was_up:
            for listener in list(self.listeners):
                listener(False)
            for watcher in self.router.watchers:
                watcher.counted(self.account)
                watcher.disconnected(self, self.account, state)

    def leave(self) -> None:
        """We are going down: say nothing more."""
        self.closing = True
        self.next_event = None

    # ---- clocks

    def deadline(self) -> int | None:
        return self.next_event

    def tick(self, now: int) -> None:
        if self.next_event is None or now < self.next_event:
            return
        self.now = now
        match self.state:
            case State.AWAITS_INFO:
                self._fail("", "no INFO: is this the leaf port of a nats-server?")
            case State.AWAITS_TLS:
                self._fail("", "no answer to the TLS handshake")
            case State.AWAITS_ADMISSION:
                self._fail("Stale Leaf Node Connection - Closing", "no answer to CONNECT")
            case State.AWAITS_PONG | State.UP:
                self._check_life(now)

    def _check_life(self, now: int) -> None:
        """A link that moves bytes in either direction lives, however long its PONG takes behind them."""
        assert self.wire is not None
        unsent = self.wire.unsent()
        delivered = self.written - unsent
        moved_in = self.received > self.received_at_ping
        moved_out = unsent > len(PING) and delivered > self.delivered_at_ping
        if moved_in or moved_out:
            self.pings_unanswered = 0
        if self.pings_unanswered >= PING_MAX:
            self._fail(STALE_CONNECTION, "the hub does not answer")
            return
        self.received_at_ping = self.received
        self.delivered_at_ping = delivered
        self._ping(now)

    def _ping(self, now: int) -> None:
        self.pings_unanswered += 1
        self.ping_sent = now
        self.next_event = now + PING_INTERVAL_NS
        self._send(PING)

    # ---- what the hub says

    def _on_message(self, subject: str, reply: str, headers: bytes, payload: bytes, queues: Sequence[str]) -> None:
        if self.state is State.AWAITS_INFO:
            raise ProtocolError(UNKNOWN_OPERATION)
        self.in_msgs += 1
        self.in_bytes += len(headers) + len(payload)
        if self.rules.received(subject):
            self.account.deliver_from_leaf(self, subject, reply, headers, payload, queues)

    def _on_line(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"INFO":
            self._on_info(leaf.parse_info(line))
        elif verb == b"-ERR":
            self._on_error(leaf.parse_error(line))
        elif self.state is State.AWAITS_INFO:
            raise ProtocolError(UNKNOWN_OPERATION)
        elif verb[:3] in (b"LS+", b"LS-"):
            self._on_hub_interest(leaf.parse_interest(line))
        elif verb == b"PING":
            self._send(PONG)
        elif verb == b"PONG":
            self._on_pong()
        elif verb != b"+OK":
            raise ProtocolError(UNKNOWN_OPERATION)

    def _on_info(self, info: Info) -> None:
        self.info = info
        self.parser.max_payload = max(self.identity.max_payload, info.max_payload)
        if info.leafnode_urls:
            self.discovered = info.leafnode_urls
        if self.state is State.AWAITS_INFO:
            self._connect(info)
        elif self.state is State.AWAITS_ADMISSION and info.connect_info:
            self.rules.set_hub(info.imports, info.exports)
            self._announce_all()
        elif info.connect_info:  # an operator has changed our permissions
            self.rules.set_hub(info.imports, info.exports)
            self._announce(self.interest.all())

    def _connect(self, info: Info) -> None:
        if info.tls_required and self.tls is Encrypted.PLAIN:
            self._fail("", "the hub wants TLS: write tls:// in the url, or give the remote a tls block")
        elif self.tls is Encrypted.AFTER_INFO and self.wire is not None:
            self.state = State.AWAITS_TLS
            self.next_event = self.now + TLS_TIMEOUT_NS
            self.wire.encrypt()
        else:
            self._say_who(info)

    def _say_who(self, info: Info) -> None:
        if info.domain and info.domain == self.identity.domain:
            log.warning("leaf %s: the hub has our own JetStream domain %r: give each its own", self.name, info.domain)
        try:
            fields = self._connect_fields() | self.login.fields(info.nonce)
        except ValueError as exc:
            self._fail("", f"no login: {exc}")
            return
        self._send(leaf.connect_line(fields))
        if info.info_on_connect:
            self.state = State.AWAITS_ADMISSION
            self.next_event = self.now + CONNECT_TIMEOUT_NS
        else:
            self.rules.set_hub(info.imports, info.exports)
            self._announce_all()

    def _connect_fields(self) -> dict[str, object]:
        identity = self.identity
        fields: dict[str, object] = {
            "version": identity.version,
            "server_id": identity.server_id,
            "name": identity.server_name,
            "cluster": identity.server_name.replace(" ", "_"),  # of its own, so that hubs forward between edges
            "headers": True,
            "protocol": 3,  # messages that are traced may come
            "compress_mode": "off",
            "remote_account": self.account.name,
        }
        if identity.jetstream:
            fields["jetstream"] = True
        if identity.domain:
            fields["domain"] = identity.domain
        if self.rules.deny_imports:
            fields["deny_pub"] = list(self.rules.deny_imports)
        return fields

    def _announce_all(self) -> None:
        """Say all that is wanted here, and ask for a PONG: after it the hub knows."""
        self.state = State.AWAITS_PONG
        for sub in self.account.subscriptions():
            if _is_ours(sub):
                self.interest.add(sub.subject, sub.queue)
        self.account.interest_listeners.append(self._on_interest)
        self._announce([leaf.Interest(self.loop_subject, "", 1), *self.interest.all()])
        self._ping(self.now)

    def _announce(self, interests: list[leaf.Interest]) -> None:
        for interest in interests:
            if self.rules.asks(interest.subject):
                self._send(leaf.interest_line(interest))
            else:
                log.debug("leaf %s: interest in %r stays here", self.name, interest.subject)

    def _on_pong(self) -> None:
        if self.pings_unanswered:
            self.pings_unanswered = 0
            self.rtt = self.now - self.ping_sent
        if self.state is State.AWAITS_PONG:
            self.state = State.UP
            self.connects += 1
            self.last_error = ""
            hub = self.info.server_name if self.info else ""
            log.info("leaf %s: connected to %s, %d subjects wanted there", self.name, hub, len(self.subs))
            for listener in list(self.listeners):
                listener(True)
            for watcher in self.router.watchers:
                watcher.counted(self.account)
                watcher.connected(self, self.account)

    def _on_error(self, text: str) -> None:
        """The hub closes after most errors; closing ourselves as well does no harm."""
        for part, delay in DELAYS:
            if part in text:
                self.retry_delay_ns = delay
        if self.state is not State.UP and text == UNKNOWN_OPERATION:
            text += " (is this the leaf port of the hub?)"
        self._fail("", text)

    def _on_hub_interest(self, interest: leaf.Interest) -> None:
        subject, queue, weight = interest
        if not is_valid(subject):
            raise ProtocolError("")
        if subject.startswith(leaf.LOOP_PREFIX):
            if subject == self.loop_subject and weight:
                self.retry_delay_ns = 30 * SECOND
                text = f'Loop detected for leafnode account="{self.account.name}"'
                self._fail(f"{text}. Delaying attempt to reconnect for 30s", text)
            return  # it tells servers behind us of loops; there are none
        if not self.rules.wanted(subject):
            return
        key = (subject, queue)
        known = self.subs.get(key)
        if weight and known is not None:
            known.weight = weight
        elif weight:
            sub = Subscription(self, subject, queue, announce=False)
            sub.weight = weight
            self.subs[key] = sub
            self.account.add(sub)
        elif known is not None:
            del self.subs[key]
            self.account.remove(known)

    # ---- what we say

    def _on_interest(self, sub: Subscription, added: bool) -> None:
        if _is_ours(sub):
            change = self.interest.add if added else self.interest.remove
            interest = change(sub.subject, sub.queue)
            if interest is not None:
                self._announce([interest])

    def _send_message(self, subject: str, reply: str, queues: Sequence[str], headers: bytes, payload: bytes) -> None:
        size = len(headers) + len(payload)
        self.out_msgs += 1
        self.out_bytes += size
        self._send(b"".join((leaf.message_head(subject, reply, queues, len(headers), size), headers, payload, CRLF)))

    def _send(self, data: bytes) -> None:
        if self.closing:
            return
        if not self.out:
            self.router.touch(self)
        self.out.append(data)

    def _tell(self, subject: str, reason: str) -> None:
        """Once for each subject and connection: a link must not fill the log."""
        if subject not in self.told and len(self.told) < TOLD_MAX:
            self.told.add(subject)
            log.warning("leaf %s: not sent: %s", self.name, reason)

    def _fail(self, text: str, reason: str) -> None:
        """-ERR (where there is a text for it) and the end of this connection."""
        if self.closing or self.wire is None:
            return
        if text:
            self._send(error_line(text))
        self.closing = True
        self.next_event = None
        self._say("closed", reason)
        wire = self.wire
        self.flush()
        wire.close()

    def _say(self, what: str, reason: str) -> None:
        """A hub that refuses us all night is one line in the log, not thirty thousand."""
        level = logging.DEBUG if reason == self.last_error else logging.WARNING
        log.log(level, "leaf %s: %s: %s", self.name, what, reason)
        self.last_error = reason


def _is_ours(sub: Subscription) -> bool:
    return sub.announce and sub.peer.kind is not PeerKind.LEAF
