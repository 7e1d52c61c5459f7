"""A link that a leaf has dialled: it is greeted, says who it is, and is judged as clients are.

The link is of one connection: ``opened``, and when that ends ``closed``.  Until it has logged in it is in no account
(reference: leafnode.md sections 1, 4 and 9).
"""

import logging
import os
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from edge.core.answers import Answers
from edge.core.auth import Authenticator, Credentials, Login, Refusal
from edge.core.compression_spec import AUTO, FAST, NOT_SUPPORTED, OFF, Compression, agreed
from edge.core.leaf_grants import API, LeafGrants, told
from edge.core.leaf_link import PING_INTERVAL_NS, PING_MAX, SECOND, LeafLink
from edge.core.leaf_wire import Far, LeafIdentity, State, Wire
from edge.core.router import Router
from edge.errors import ProtocolError
from edge.protocol import leaf, nats
from edge.protocol.leaf import Info, Interest
from edge.protocol.leaf_connect import PROTOCOL_VIOLATION, LeafConnect, parse_connect, version_at_least
from edge.protocol.nats import PubHead
from edge.subjects import is_valid

log = logging.getLogger("edge")

FIRST_PING_NS = SECOND
DUPLICATE = "Duplicate Remote LeafNode Connection"
SAME_CLUSTER = "remote leafnode has same cluster name"
SPACES = "cluster name cannot contain spaces"
WRONG_PORT = "attempted to connect to leaf node port"

Event = tuple[bytes] | tuple[str, str, bytes, bytes, Sequence[str]]  # a line or a message


class LeafTerms(NamedTuple):
    """What holds for every leaf.  ``cluster``: what this server is called where clusters meet, empty where it has
    nothing to do with any; ``min_version`` empty: any; ``is_isolated``: no leaf hears what the others want;
    ``max_subscriptions`` 0: any number; ``system_account`` empty: there is none."""

    cluster: str = ""
    min_version: str = ""
    is_isolated: bool = False
    compression: Compression = Compression(NOT_SUPPORTED)
    max_subscriptions: int = 0
    auth_timeout_ns: int = 2 * SECOND
    ping_interval_ns: int = PING_INTERVAL_NS
    ping_max: int = PING_MAX
    system_account: str = ""


class LeafHost(Protocol):
    """The listener."""

    @property
    def terms(self) -> LeafTerms: ...
    def info(self, cid: int, more: dict[str, object]) -> dict[str, object]:
        """INFO; ``more`` is what it says to one leaf alone."""

    def wall(self) -> int: ...
    def monotonic(self) -> int: ...


class Shell(Protocol):
    """The connection: a ``Wire``, and more."""

    def credentials(self) -> Credentials:
        """What it brings besides CONNECT."""

    def on_verdict(self) -> None:
        """``decide`` is to be called: the verdict has come later."""


class InboundLink(LeafLink):
    """``is_web``: by WebSocket.  ``login`` is from when it has logged in."""

    is_inbound = True

    __slots__ = (
        "answers",
        "asked_to_log_in",
        "auth",
        "connect",
        "grants",
        "has_negotiated",
        "held",
        "host",
        "ip",
        "is_web",
        "login",
        "max_subscriptions",
        "nonce",
        "port",
        "shell",
        "verdict",
    )

    def __init__(
        self, router: Router, host: LeafHost, auth: Authenticator, identity: LeafIdentity, is_web: bool = False
    ) -> None:
        grants = LeafGrants(None, (), identity.domain)
        super().__init__(router, router.account(auth.account), identity, grants)
        self.account.links.discard(self)  # not before it has logged in
        self.grants = grants
        self.host = host
        self.auth = auth
        self.is_web = is_web
        self.cid = router.next_cid()
        self.nonce = urlsafe_b64encode(os.urandom(11)).decode().rstrip("=")
        self.is_hub = True
        self.connect = LeafConnect()
        self.login: Login | None = None
        self.verdict: Login | Refusal | None = None
        self.asked_to_log_in = False
        self.has_negotiated = False
        self.held: list[Event] | None = None  # what came while the verdict was out
        self.answers: Answers | None = None
        self.max_subscriptions = 0
        self.shell: Shell | None = None
        self.ip, self.port = "", 0
        self.started_ns = host.wall()

    # ---- the connection's side

    def meet(self, ip: str, port: int) -> None:
        self.ip, self.port = ip, port
        self.remote = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
        self.name = f"{self.remote} - lid:{self.cid}"
        log.info("%s - Leafnode connection created", self.name)

    def greeting(self) -> bytes:
        compression = self.host.terms.compression.mode
        more: dict[str, object] = {"nonce": self.nonce}
        if compression != NOT_SUPPORTED and not self.is_web:
            more["compression"] = compression
        return leaf.info_line(self.host.info(self.cid, more))

    def opened(self, wire: Wire, shell: Shell, now: int) -> None:
        """``greeting`` has been written, or is about to be."""
        terms = self.host.terms
        self.wire, self.shell = wire, shell
        self.now = now
        self.ping_interval_ns, self.ping_max = terms.ping_interval_ns, terms.ping_max
        self.state = State.AWAITS_ADMISSION
        self.next_event = now + terms.auth_timeout_ns

    def closed(self, reason: str) -> None:
        was_up, was_closing, account = self.up, self.closing, self.account
        end = self.end or ("Client Closed" if reason == "closed by the other side" else "Read Error")
        super().closed(reason)
        if was_up:
            account.links.discard(self)
            account.past_leafs = account.past_leafs.plus(self)
        elif self.login is not None:
            for watcher in self.router.watchers:
                watcher.disconnected(self, account, end)
        if not was_closing:
            self._log_end(end)

    @property
    def user(self) -> str:
        said = self.connect
        return said.nkey or (self.login.nkey or self.login.user if self.login is not None else "") or said.user

    @property
    def said(self) -> tuple[str, str]:
        return self.connect.name, self.connect.version

    @property
    def reason(self) -> str:
        """Why it was closed from here."""
        return self.end

    def refuse(self, text: str, end: str = PROTOCOL_VIOLATION) -> None:
        """-ERR and the end; ``end`` in nats-server's words."""
        self.end = self.end or end
        if text:
            log.error("%s - %s%s", self.name, text, f" - Account:{self.account.name}" if self.login else "")
        self._fail(text, text or end)

    def _say(self, what: str, reason: str) -> None:
        """The end of one connection is one line."""
        if what == "closed":
            self._log_end(self.end or ("Stale Connection" if reason.startswith("the other side") else reason))

    def _log_end(self, end: str) -> None:
        who = f" - Remote: {self.far.server_name}" if self.far.server_name else ""
        log.info("%s - Leafnode connection closed: %s%s", self.name, end, who)

    def _on_late(self) -> None:
        if not self.held:
            self.refuse(nats.AUTHENTICATION_TIMEOUT, "Authentication Timeout")
        else:  # whoever is asked about a login has a time limit of its own
            self.next_event = None

    def tick(self, now: int) -> None:
        expires = self.login.expires_ns if self.login is not None else None
        if expires is not None and self.host.wall() >= expires and not self.closing:
            self.refuse(nats.USER_AUTHENTICATION_EXPIRED, "Authentication Expired")
            return
        super().tick(now)

    def deadline(self) -> int | None:
        expires = self.login.expires_ns if self.login is not None and not self.closing else None
        if expires is None:
            return self.next_event
        at = self.host.monotonic() + max(expires - self.host.wall(), 0)
        return at if self.next_event is None else min(at, self.next_event)

    # ---- what the leaf says

    def _on_message(self, subject: str, reply: str, headers: bytes, payload: bytes, queues: Sequence[str]) -> None:
        if self.held is not None:
            self.held.append((subject, reply, headers, payload, queues))
            return
        if self.closing:
            return
        if not self.is_open:
            self._turn_away(Refusal())
            return
        self.in_msgs += 1
        self.in_bytes += len(headers) + len(payload)
        if self.grants.received(subject) or (self.answers is not None and self.answers.is_answer(subject)):
            self.account.deliver_from_leaf(self, subject, reply, headers, payload, queues)
        elif self.is_hub:
            log.error('%s - Publish Violation on "%s" - Check other side configuration', self.name, subject)
            self._violated(f'Permissions Violation for Publish to "{subject}"')

    def _on_line(self, line: bytes) -> None:
        if self.held is not None:
            self.held.append((line,))
        elif self.closing:
            pass
        elif not self.is_open and line[:4].upper() not in (b"CONN", b"INFO"):
            self._turn_away(Refusal())
        else:
            super()._on_line(line)

    def _violated(self, text: str) -> None:
        self.end = PROTOCOL_VIOLATION
        self._fail(text, text)

    def _on_error(self, text: str) -> None:
        """The leaf closes where it has to."""
        log.error("%s - Leafnode Error '%s'", self.name, text)
        if "Loop detected" in text:
            self.refuse("")

    def _on_info(self, info: Info) -> None:
        """Before CONNECT it is about compression; later nobody asks."""
        if self.is_open or self.has_negotiated:
            return
        self.has_negotiated = True
        ours = self.host.terms.compression
        if self.is_web or not ours.is_wanted:
            return
        try:
            mode = agreed(ours.mode, info.compression)
        except ValueError:
            self.refuse(f'unsupported route compression mode "{info.compression}"')
            return
        self.compression = FAST if mode == AUTO else mode
        if mode in (OFF, NOT_SUPPORTED):
            return
        assert self.wire is not None
        self.flush()
        self.wire.compress()
        said = AUTO if ours.mode == AUTO else mode
        self._send(leaf.info_line(self.host.info(self.cid, {"nonce": self.nonce, "compression": said})))

    def _on_connect(self, line: bytes) -> None:
        if self.is_open:
            self.refuse(DUPLICATE, DUPLICATE)
            return
        self.connect = parse_connect(line)
        self.held = []
        self._ask()
        if self.verdict is not None:
            self.decide(self.now)

    # ---- who it is

    def _ask(self) -> None:
        asking = True

        def judged(verdict: Login | Refusal) -> None:
            self.verdict = verdict
            if not asking and self.shell is not None:
                self.shell.on_verdict()

        self.auth.login(self._credentials(), judged)
        asking = False

    def _credentials(self) -> Credentials:
        assert self.shell is not None
        said = self.connect
        return self.shell.credentials()._replace(
            user=said.user, password=said.password, token=said.token, nkey=said.nkey, signature=said.signature,
            jwt=said.jwt, nonce=self.nonce, cid=self.cid, ip=self.ip, name=said.name, version=said.version,
            protocol=said.protocol, kind="LEAFNODE_WS" if self.is_web else "LEAFNODE",
        )  # fmt: skip

    def decide(self, now: int) -> None:
        """There is a verdict.  What came meanwhile is taken then."""
        self.now = now
        verdict, self.verdict = self.verdict, None
        held, self.held = self.held or [], None
        if verdict is None or self.closing or self.wire is None:
            return
        if self.login is not None:
            self._stay(verdict)
            return
        try:
            self._accept(verdict)
            for event in held:
                if len(event) == 1:
                    self._on_line(event[0])
                else:
                    self._on_message(*event)
        except ProtocolError as exc:
            self.end = exc.reason
            self._fail(str(exc), exc.reason)

    def _accept(self, verdict: Login | Refusal) -> None:
        if isinstance(verdict, Refusal):
            self._turn_away(verdict)
            return
        account = self.router.account(verdict.account)
        limit = account.limits.max_leafnodes
        if limit is not None and sum(link.up for link in account.links) >= limit:
            self.refuse(nats.MAX_ACCOUNT_CONNECTIONS_EXCEEDED, "Maximum Account Connections Exceeded")
            return
        self.account = account
        self.login = verdict
        refusal = self._misfit()
        if refusal is not None:
            self.refuse(*refusal)
            return
        self._join(verdict)

    def _turn_away(self, refusal: Refusal) -> None:
        said = self.connect.user or self.connect.nkey
        log.error("%s - authentication error%s", self.name, f' - User "{said}"' if said else "")
        self.end = refusal.reason
        for watcher in self.router.watchers:
            watcher.refused(self, self.account, refusal.reason)
        self._fail(refusal.text, refusal.reason)

    def _misfit(self) -> tuple[str, str] | None:
        """Why this is no leaf of ours, for it and for the log."""
        said, terms = self.connect, self.host.terms
        if said.lang:
            return WRONG_PORT, "Incorrect Port"
        if " " in said.cluster:
            return SPACES, PROTOCOL_VIOLATION
        if said.cluster and said.cluster == terms.cluster:
            return SAME_CLUSTER, "Cluster Names Identical"
        if said.gateway:
            return f'Rejecting connection from gateway "{said.gateway}" on the leafnode port', "Wrong Gateway"
        if terms.min_version and not version_at_least(said.version, terms.min_version):
            self._send(self._welcome(None))
            text = f'connection rejected since minimum version required is "{terms.min_version}"'
            return text, "Minimum Version Required"
        return None

    def _join(self, login: Login) -> None:
        said, terms = self.connect, self.host.terms
        self.far = Far(
            said.server_id, said.name, said.version, said.cluster, said.domain, said.account, protocol=said.protocol
        )
        self.is_hub = not said.is_hub
        self.is_isolated = terms.is_isolated or said.is_isolated
        self.is_open = True
        self.compression = self.compression or said.compression or NOT_SUPPORTED
        self.rules = self.grants = LeafGrants(login.permissions, said.deny_pub, self.identity.domain)
        self._set_limits(login)
        self._evict_others()
        self.account.links.add(self)
        self._send(self._welcome(login))
        log.info('%s - JetStream using domains: local "%s", remote "%s"', self.name, self.identity.domain, said.domain)
        self._begin_to_announce()
        if self.is_hub and self.account.has_interest("$JS.API.INFO"):
            self._announce([Interest(API, "", 1)])
        self.next_event = self.now + FIRST_PING_NS
        self._came_up()

    def _set_limits(self, login: Login) -> None:
        permissions, limits = login.permissions, self.account.limits
        given = (self.host.terms.max_subscriptions or None, login.max_subscriptions, limits.max_subscriptions)
        self.max_subscriptions = min((limit for limit in given if limit is not None), default=0)
        sizes = (self.identity.max_payload, login.max_payload, limits.max_payload)
        self.parser.max_payload = min(size for size in sizes if size is not None)
        responses = permissions.responses if permissions is not None else None
        self.answers = Answers(responses, self.host.monotonic) if responses is not None else None

    def _welcome(self, login: Login | None) -> bytes:
        """INFO again: in which account it is now, and what it may do."""
        more: dict[str, object] = {"connect_info": True, "remote_account": self.account.name}
        if self.account.name == self.host.terms.system_account:
            more["acc_is_sys"] = True
        return leaf.info_line(self.host.info(self.cid, more | told(login.permissions if login else None)))

    def _evict_others(self) -> None:
        """It comes back before we have noticed that it was gone; or it is configured twice."""
        if not self.far.server_name or not self.far.account:
            return
        mine = self._identity_of(self)
        for link in list(self.account.links):
            if isinstance(link, InboundLink) and link is not self and self._identity_of(link) == mine:
                link.refuse(DUPLICATE, DUPLICATE)
                log.warning("%s - Replacing connection from same server", self.name)

    @staticmethod
    def _identity_of(link: LeafLink) -> tuple[str, str, str]:
        return link.far.server_name, link.far.cluster, link.far.account

    # ---- rules that change

    def judge_again(self) -> None:
        """Who is in may be so no longer, or with other rights."""
        if self.login is None or self.closing:
            return
        self._ask()
        if self.verdict is not None:
            self.decide(self.host.monotonic())

    def _stay(self, verdict: Login | Refusal) -> None:
        assert self.login is not None
        if isinstance(verdict, Refusal):
            self.refuse(*(verdict.withdrawn or (verdict.text, verdict.reason)))
            return
        if verdict.account != self.account.name:
            self.refuse("", "Client Closed")  # it comes back, and into the other account
            return
        changed, self.login = verdict.permissions != self.login.permissions, verdict
        self._set_limits(verdict)
        if changed:
            self.grants.permit(verdict.permissions)
            self.account.forget_routes()
            self._send(self._welcome(verdict))
            self._announce(self.interest.all())

    # ---- interest, and messages to it

    def _on_far_interest(self, interest: Interest) -> None:
        subject, queue, weight = interest
        if weight:
            if not is_valid(subject):
                self._send(nats.error_line("Invalid Subscription"))
                return
            if self.is_hub and not self.grants.lets_want(subject):
                log.error('%s - Subscription Violation on "%s" - Check other side configuration', self.name, subject)
                self._violated(f'Permissions Violation for Subscription to "{subject}"')
                return
            if 0 < self.max_subscriptions <= len(self.subs) and (subject, queue) not in self.subs:
                self._send(nats.error_line(nats.MAX_SUBSCRIPTIONS_EXCEEDED))
                return
        super()._on_far_interest(interest)

    def _send_message(self, subject: str, reply: str, queues: Sequence[str], headers: bytes, payload: bytes) -> None:
        if reply and self.answers is not None:
            self.answers.expect(reply)
        super()._send_message(subject, reply, queues, headers if self.connect.headers else b"", payload)

    def line(self, head: PubHead) -> bytes | None:
        return super().line(head) if self.connect.headers or not head.header_size else None

    def refusal(self, subject: str, size: int) -> str:
        """Whoever sends over a link asks its rules; a leaf takes what it is sent."""
        return ""
