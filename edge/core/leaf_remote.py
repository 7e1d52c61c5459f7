"""A link that this server dials: how it comes to be, and what its hub says later.

The link outlives its connections: the shell (``net/leafs.py``) calls ``opened`` for each of them.
"""

import enum
import logging
from typing import NamedTuple

from edge.core.account import Account
from edge.core.compression_spec import AUTO, FAST, NOT_SUPPORTED, OFF, Compression, agreed
from edge.core.leaf_link import SECOND, LeafLink
from edge.core.leaf_login import LeafLogin
from edge.core.leaf_rules import LinkRules
from edge.core.leaf_wire import Far, LeafIdentity, State, Wire
from edge.core.router import Router
from edge.protocol import leaf
from edge.protocol.leaf import Info
from edge.protocol.nats import UNKNOWN_OPERATION

log = logging.getLogger("edge")

TLS_TIMEOUT_NS = 10 * SECOND
CONNECT_TIMEOUT_NS = 2 * SECOND  # from CONNECT to the hub's second INFO, as nats-server gives it

# How long to stay away after an error, by a part of its text (reference: leafnode.md section 4).
DELAYS = (
    ("Loop detected", 30 * SECOND),
    ("same cluster name", 30 * SECOND),
    ("minimum version required", 5 * SECOND),
)


TOO_LATE = "Authentication Timeout"
DUPLICATE = "Duplicate Remote LeafNode Connection"


class Encrypted(enum.Enum):
    """What of TLS a connection has, or can have: nothing; when INFO has come, as the configuration wants; already."""

    PLAIN = "plain"
    AFTER_INFO = "after INFO"
    FROM_THE_START = "from the start"


class RemoteTerms(NamedTuple):
    """What a ``remotes`` entry wants of its link.  ``hub``: we are it, and the other side is the leaf; ``isolate``: it
    is not told what other leafs want, ``request_isolation``: nor are we."""

    first_info_timeout_ns: int = SECOND
    compression: Compression = Compression(OFF)
    hub: bool = False
    isolate: bool = False
    request_isolation: bool = False
    tls_timeout_ns: int = TLS_TIMEOUT_NS


class RemoteLink(LeafLink):
    """A ``remotes`` entry.  ``info`` is of the hub that is or was last connected."""

    __slots__ = ("info", "is_late", "is_web", "login", "patience", "terms", "tls")

    def __init__(
        self,
        router: Router,
        account: Account,
        identity: LeafIdentity,
        rules: LinkRules,
        terms: RemoteTerms = RemoteTerms(),  # noqa: B008  it cannot change
    ) -> None:
        super().__init__(router, account, identity, rules)
        self.renew(rules, terms)
        self.login = LeafLogin()
        self.tls = Encrypted.PLAIN
        self.is_web = False
        self.is_late = False  # of the last connection: the hub did not answer in time
        self.patience = 1

    def renew(self, rules: LinkRules, terms: RemoteTerms) -> None:
        """Its entry has changed; while it is not connected."""
        self.account.links.add(self)
        self.rules = rules
        self.terms = terms
        self.is_hub = terms.hub
        self.is_isolated = terms.isolate
        self.info: Info | None = None  # what another hub told of its cluster does not matter any more

    # ---- the connection's side

    def opened(
        self,
        wire: Wire,
        remote: str,
        login: LeafLogin,
        now: int,
        tls: Encrypted = Encrypted.PLAIN,
        is_web: bool = False,
        patience: int = 1,
    ) -> None:
        """A new connection to ``remote`` (host:port).  ``is_web``: by WebSocket; ``patience``: how many times as long
        as usual answers may take."""
        self._reset()
        self.wire = wire
        self.remote = self.name = remote
        self.login = login
        self.tls = tls
        self.is_web = is_web
        self.is_late = False
        self.patience = patience
        self.now = now
        self.state = State.AWAITS_INFO
        self._await(self.terms.first_info_timeout_ns)

    def _await(self, timeout_ns: int) -> None:
        self.next_event = self.now + timeout_ns * self.patience

    def encrypted(self, now: int) -> None:
        """The handshake that INFO asked for is done."""
        self.now = now
        if self.state is State.AWAITS_TLS and self.info is not None and not self.closing:
            self._negotiate(self.info)

    def _on_late(self) -> None:
        self.is_late = True
        match self.state:
            case State.AWAITS_INFO:
                self._fail("", "no INFO: is this the leaf port of a nats-server?")
            case State.AWAITS_TLS:
                self._fail("", "no answer to the TLS handshake")
            case State.AWAITS_COMPRESSION:
                self._fail("", "no answer to what was said of compression")
            case State.AWAITS_ADMISSION:
                self._fail("Stale Leaf Node Connection - Closing", "no answer to CONNECT")

    # ---- what the hub says

    def receive(self, data: bytes, now: int) -> None:
        if self.state is State.AWAITS_INFO and not self.received and data.startswith(b"HTTP/"):
            self._fail("", "a page of HTTP in the place of INFO: is there a portal that wants a login?")
            return
        super().receive(data, now)

    def _on_info(self, info: Info) -> None:
        self.info = info
        self.is_open = True
        account = info.remote_account or self.far.account
        self.far = Far(
            info.server_id, info.server_name, info.version, info.cluster, info.domain, account, info.max_payload,
            info.proto,
        )
        self.parser.max_payload = max(self.identity.max_payload, info.max_payload)
        if self.state is State.AWAITS_INFO:
            self._connect(info)
        elif self.state is State.AWAITS_COMPRESSION:
            self._say_who(info)
        elif self.state is State.AWAITS_ADMISSION and info.connect_info:
            self.rules.set_hub(info.imports, info.exports)
            self._announce_all()
        elif info.connect_info or info.has_rules:  # an operator has changed our permissions
            self.rules.set_hub(info.imports, info.exports)
            self.account.forget_routes()
            self._announce(self.interest.all())

    def _on_error(self, text: str) -> None:
        for part, delay in DELAYS:
            if part in text:
                self.retry_delay_ns = delay
                self.end = "Protocol Violation"
        if self.state is not State.UP and text == UNKNOWN_OPERATION:
            text += " (is this the leaf port of the hub?)"
        if text == TOO_LATE:
            text += " (a line as slow as this needs leafnodes { authorization { timeout: 10 } } at the hub)"
        if DUPLICATE in text:
            text += f" (has another server the name {self.identity.server_name}?)"
        super()._on_error(text)

    # ---- how it comes to be

    def _connect(self, info: Info) -> None:
        if info.tls_required and self.tls is Encrypted.PLAIN:
            self._fail("", "the hub wants TLS: write tls:// in the url, or give the remote a tls block")
        elif self.tls is Encrypted.AFTER_INFO and self.wire is not None:
            self.state = State.AWAITS_TLS
            self._await(self.terms.tls_timeout_ns)
            self.wire.encrypt()
        else:
            self._negotiate(info)

    def _negotiate(self, info: Info) -> None:
        """Who dials begins; the hub's next INFO is in the stream already (reference: leafnode.md section 1.4).

        Not by WebSocket, which compresses its messages: nats-server would have the frames within the stream, and
        nothing between here and there could read them.
        """
        ours = self.terms.compression
        if not ours.is_wanted or self.is_web:
            self.compression = OFF if info.compression and ours.mode != NOT_SUPPORTED else NOT_SUPPORTED
            self._say_who(info)
            return
        try:
            mode = agreed(ours.mode, info.compression)
        except ValueError as exc:
            self._fail(str(exc), str(exc))
            return
        self.compression = FAST if mode == AUTO else mode
        if mode in (OFF, NOT_SUPPORTED):
            self._say_who(info)
            return
        identity = self.identity
        self._send(leaf.info_line({
            "server_id": identity.server_id, "server_name": identity.server_name, "version": identity.version,
            "client_id": 1, "compression": AUTO if ours.mode == AUTO else mode, "leafnode_urls": [],
        }))  # fmt: skip
        self.flush()
        assert self.wire is not None
        self.wire.compress()
        self.state = State.AWAITS_COMPRESSION
        self._await(self.terms.first_info_timeout_ns)

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
            self._await(CONNECT_TIMEOUT_NS)
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
            "compress_mode": self.compression,
            "remote_account": self.account.name,
        }
        if identity.jetstream:
            fields["jetstream"] = True
        if identity.domain:
            fields["domain"] = identity.domain
        if self.rules.deny_imports:
            fields["deny_pub"] = list(self.rules.deny_imports)
        if self.terms.hub:
            fields["is_hub"] = True
        if self.terms.request_isolation:
            fields["isolate"] = True
        return fields
