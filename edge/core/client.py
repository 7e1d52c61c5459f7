"""A NATS client as the router sees it: its options, its subscriptions, its outbox.  No sockets, no clock."""

from typing import Protocol

from edge.core.account import Account
from edge.core.answers import Answers
from edge.core.auth import Authenticator, Credentials, Login, Refusal
from edge.core.hotpath import Intake
from edge.core.peer import Peer, PeerKind, Subscription
from edge.core.permissions import Permissions
from edge.core.router import Router
from edge.errors import ProtocolError
from edge.message import header_block
from edge.protocol import nats
from edge.protocol.nats import Connect, Nothing, Ping, Pong, PubHead, Sub, Unsub
from edge.subjects import is_valid, matches


class Limits(Protocol):
    @property
    def max_payload(self) -> int: ...
    @property
    def max_control_line(self) -> int: ...
    @property
    def max_subscriptions(self) -> int: ...  # 0: unlimited
    @property
    def max_subscription_tokens(self) -> int: ...  # 0: unlimited


class Shell(Protocol):
    """The connection around a client.  ``started_ns`` is wall time, ``rtt_ns`` 0 until it was measured."""

    kind: str
    ip: str
    started_ns: int
    rtt_ns: int

    def write(self, data: bytes) -> None: ...
    def credentials(self) -> Credentials:
        """What the connection itself brings: kind, address, nonce, certificate."""

    def on_connect(self, client: "Client") -> None:
        """The first PONG after CONNECT."""

    def on_login(self, client: "Client") -> None:
        """Admitted, into ``client.account``."""

    def on_pong(self) -> None:
        """The client has answered a PING."""

    def is_far_behind(self) -> bool:
        """Does so much wait to be written that no message should be added to it?"""

    def is_loaded(self) -> bool:
        """Does so much wait to be written that what can wait should?"""

    def on_verdict(self, client: "Client") -> None:
        """A verdict has come after ``receive`` had returned: call it again, with nothing."""

    def now(self) -> int:
        """Monotonic nanoseconds."""


class Trace(Protocol):
    def __call__(self, direction: str, line: bytes, body: bytes = b"", header_size: int = 0) -> None:
        """``direction`` ``<<-`` in or ``->>`` out; ``body``: headers and payload of the message behind ``line``."""


REFUSALS = frozenset(("Authentication Failure", "Authentication Expired", "Credentials Revoked"))
MESSAGES = (b"MSG ", b"HMSG ")
SYSTEM_QUEUE = "_sys_"  # nats-server's own


class Client(Peer):
    """``trace`` is shown every operation, where tracing is on.

    ``is_waiting``: the verdict on its credentials has not come; what it sends meanwhile is held.
    """

    __slots__ = (
        "account",
        "admitted",
        "announced",
        "auth",
        "cid",
        "closed",
        "connect",
        "connected",
        "headers",
        "in_bytes",
        "in_msgs",
        "intake",
        "is_waiting",
        "limits",
        "login",
        "max_subscriptions",
        "may_answer",
        "no_responders",
        "out",
        "out_bytes",
        "out_msgs",
        "overrun",
        "pedantic",
        "permissions",
        "pongs_missing",
        "ready",
        "router",
        "shell",
        "subs",
        "trace",
        "user",
        "verbose",
        "verdict",
        "write",
    )

    def __init__(
        self,
        router: Router,
        auth: Authenticator,
        limits: Limits,
        cid: int,
        name: str,
        shell: Shell,
        trace: "Trace | None" = None,
    ) -> None:
        super().__init__(PeerKind.CLIENT, name)
        self.router = router
        self.auth = auth
        self.cid = cid
        self.shell = shell
        self.write = shell.write
        self.trace = trace
        self.account: Account = router.account(auth.account)
        self.connect = Connect()
        self.connected = False
        self.closed = False
        self.ready = False
        self.admitted = False
        self.announced: Account | None = None  # the one it was announced in to those who watch
        self.is_waiting = False
        self.verdict: Login | Refusal | None = None  # one that came late
        self.login = Login(auth.account)
        self.user = ""
        self.permissions: Permissions | None = None
        self.may_answer: Answers | None = None  # where permissions say allow_responses
        self.headers = False
        self.no_responders = False
        self.verbose = True
        self.pedantic = True
        self.subs: dict[bytes, Subscription] = {}
        self.limits = limits
        self.max_subscriptions = limits.max_subscriptions
        self.out: list[bytes] = []
        self.in_msgs = self.in_bytes = self.out_msgs = self.out_bytes = 0
        self.pongs_missing = 0
        self.overrun = False  # it is so far behind that messages pass it by (no_fast_producer_stall)
        self.intake = Intake(self, limits.max_control_line, limits.max_payload)
        if not auth.required:
            self._log_in()

    # ---- the router's side

    def put(self, data: bytes, count: int, size: int) -> None:
        """``count`` finished messages of ``size`` bytes in all."""
        if not self.out:
            self.router.touched.append(self)
        self.out.append(data)
        self.out_msgs += count
        self.out_bytes += size

    def takes_frames(self, sub: Subscription) -> bool:
        if self.trace or not self.headers or sub.max or self.may_answer is not None:
            return False
        return self.permissions is None or not self.permissions.subscribe.deny

    def give(self, sub: Subscription, subject: str, reply: str, headers: bytes, payload: bytes) -> bool:
        if self.permissions is not None:
            if self.permissions.subscribe.deny and not self.may_have(sub, subject):
                return False
            if reply and self.may_answer is not None:
                self.may_answer.expect(reply)
        sub.delivered += 1
        if not self.headers:
            headers = b""
        size = len(headers) + len(payload)
        if headers or reply:
            message = b"%b%b%b\r\n" % (
                nats.msg_head(subject, sub.sid, reply, len(headers), size), headers, payload,
            )  # fmt: skip
        else:  # the many answers: PubAcks
            message = b"MSG %b %b %d\r\n%b\r\n" % (nats.raw(subject), sub.sid, size, payload)
        if self.trace:
            self.trace("->>", message.partition(b"\r\n")[0], headers + payload, len(headers))
        if not self.out:
            self.router.touched.append(self)
        self.out.append(message)
        self.out_msgs += 1
        self.out_bytes += size
        if sub.max and sub.delivered >= sub.max:
            self._drop(sub)
        return True

    def may_have(self, sub: Subscription, subject: str) -> bool:
        return self.permissions is None or self.permissions.subscribe.delivers(subject, sub.queue)

    def send(self, data: bytes) -> None:
        """A line that is not a message."""
        if not self.out:
            self.router.touched.append(self)
        self.out.append(data)

    def is_loaded(self) -> bool:
        return self.shell.is_loaded()

    def flush(self) -> None:
        if self.overrun:
            self._skip_messages()
        data = b"".join(self.out)
        self.out.clear()
        self.write(data)

    def _skip_messages(self) -> None:
        """Whole ones: what is sent to a client is gathered message by message, and line by line."""
        if self.shell.is_far_behind():
            self.out[:] = [piece for piece in self.out if not piece.startswith(MESSAGES)]
        else:
            self.overrun = False

    # ---- the connection's side

    def receive(self, data: bytes) -> None:
        if self.verdict is not None:
            verdict, self.verdict = self.verdict, None
            self._accept(verdict)
        self.intake.receive(data)

    def close(self, reason: str = "Client Closed") -> None:
        """The connection is gone, or is about to be: forget its interest."""
        if self.closed:
            return
        self.closed = True
        was_here = bool(self.connected or self.subs or self.in_msgs)  # not one of those who never said a word
        self.account.slow_consumers += reason.startswith("Slow Consumer")
        for watcher in self.router.watchers:
            watcher.leaving(self, self.account, reason)
        self._leave_account()
        self.out.clear()
        for watcher in self.router.watchers:
            if self.admitted and self.connected:
                watcher.counted(self.account)
            elif reason in REFUSALS:
                watcher.refused(self, self.account, reason)
            if was_here:
                watcher.disconnected(self, self.account, reason)

    def error(self, text: str) -> None:
        self.send(nats.error_line(text))
        if self.trace:
            self.trace("->>", b"-ERR " + nats.raw(text))

    def acknowledge(self) -> None:
        if self.verbose:
            self.send(nats.OK)
            if self.trace:
                self.trace("->>", b"OK")

    def check_may_speak(self, head: PubHead) -> None:
        if not self.admitted:
            raise ProtocolError(nats.AUTHORIZATION_VIOLATION, "Authentication Failure")
        if head.header_size and not self.headers and self.connected:
            raise ProtocolError("")

    def may_publish(self, subject: str) -> bool:
        if self.permissions is None or self.permissions.publish.permits(subject):
            return True
        if self.may_answer is not None and self.may_answer.is_answer(subject):
            return True
        self.error(f'Permissions Violation for Publish to "{subject}"')
        return False

    def may_always_publish(self, subject: str) -> bool:
        """Not only as an answer, which is counted."""
        return self.may_answer is None or self.permissions is None or self.permissions.publish.permits(subject)

    def is_filtered(self, sub: Subscription) -> bool:
        """Must each message for ``sub`` be held against the user's denied subjects?"""
        return self.permissions is not None and self.permissions.subscribe.filters(sub.subject)

    def no_responder(self, subject: str, reply: str) -> None:
        """503 to the requester itself, if it listens for the reply."""
        headers = header_block([("Nats-Subject", subject)], "503")
        for sub in list(self.subs.values()):
            if matches(sub.subject, reply):
                self.give(sub, reply, "", headers, b"")
                return

    def control(self, line: bytes) -> None:
        operation = nats.parse_operation(line, self.connect)
        if self.trace:
            self.trace("<<-", line)
        match operation:
            case Connect():
                self._on_connect(operation)
            case Ping():
                self._check_admitted()
                self.send(nats.PONG)
                if self.trace:
                    self.trace("->>", b"PONG")
                if self.connected and not self.ready:
                    self.ready = True
                    self.shell.on_connect(self)
            case Pong():
                self.pongs_missing = 0
                self.shell.on_pong()
            case Sub():
                self._check_admitted()
                self._on_sub(operation)
            case Unsub():
                self._check_admitted()
                self._on_unsub(operation)
            case Nothing():
                pass

    # ---- operations

    def _check_admitted(self) -> None:
        if not self.admitted:
            raise ProtocolError(nats.AUTHORIZATION_VIOLATION, "Authentication Failure")

    def _on_connect(self, connect: Connect) -> None:
        if self.connected:
            self._drop_all()  # as nats-server does: a second CONNECT begins anew
        self.connected = True
        self.connect = connect
        self.echo = connect.echo
        self.verbose = connect.verbose
        self.pedantic = connect.pedantic
        self.headers = connect.headers
        self.no_responders = connect.no_responders
        self._log_in()

    def _log_in(self) -> None:
        """Ask for a verdict.  ProtocolError when it comes at once and is a refusal."""
        self.is_waiting = asking = True

        def judged(verdict: Login | Refusal) -> None:
            self.verdict = verdict
            if not asking:
                self.shell.on_verdict(self)

        self.auth.login(self.said(), judged)
        asking = False
        if self.verdict is not None:
            verdict, self.verdict = self.verdict, None
            self._accept(verdict)

    def _accept(self, verdict: Login | Refusal) -> None:
        self.is_waiting = False
        if isinstance(verdict, Refusal):
            raise ProtocolError(verdict.text, verdict.reason)
        if self.connect.account or self.connect.new_account:
            raise ProtocolError(nats.AUTHORIZATION_VIOLATION, "Authentication Failure")
        account = self.router.account(verdict.account)
        if account is not self.account:
            self._leave_account()  # interest from before the CONNECT belonged to the account of no_auth_user
            self.account = account
        limit = account.limits.max_connections
        if limit is not None and self not in account.clients and len(account.clients) >= limit:
            raise ProtocolError(nats.MAX_ACCOUNT_CONNECTIONS_EXCEEDED, "Maximum Account Connections Exceeded")
        account.clients.add(self)
        self.login = verdict
        self.user = verdict.user
        self.admitted = True
        self.set_permissions(verdict.permissions)
        self._set_limits(verdict)
        if self.connected:
            self._check_options()
            self.acknowledge()
            self.shell.on_login(self)
            self._announce()

    def _check_options(self) -> None:
        if self.connect.protocol not in (0, 1):
            raise ProtocolError(nats.BAD_CLIENT_PROTOCOL, "Bad Client Protocol Version")
        if self.no_responders and not self.headers:
            raise ProtocolError(nats.NO_RESPONDERS_REQUIRES_HEADERS, "No Responders Requires Headers")

    def _announce(self) -> None:
        if self.announced is not self.account:
            self.announced = self.account
            for watcher in self.router.watchers:
                watcher.counted(self.account)
                watcher.connected(self, self.account)

    def said(self) -> Credentials:
        """What CONNECT brought, and what the connection brought besides."""
        connect = self.connect
        brought = self.shell.credentials()
        return brought._replace(
            user=connect.user or brought.user, password=connect.password or brought.password,
            token=connect.auth_token or brought.token, nkey=connect.nkey, signature=connect.sig,
            jwt=connect.jwt or brought.jwt, name=connect.name, lang=connect.lang, version=connect.version,
            protocol=connect.protocol,
        )  # fmt: skip

    def stay(self, verdict: Login | Refusal, limits: Limits) -> None:
        """Judged again because the rules have changed.  ProtocolError when it may stay no longer."""
        if isinstance(verdict, Refusal):
            raise ProtocolError(*(verdict.withdrawn or (verdict.text, verdict.reason)))
        if verdict.account != self.account.name:
            raise ProtocolError("", "Client Closed")  # it comes back, and into the other account
        self.login = verdict
        self.user = verdict.user
        if verdict.permissions != self.permissions:
            self.set_permissions(verdict.permissions)
        self.set_limits(limits)

    def set_limits(self, limits: Limits) -> None:
        """The server's; what holds is the narrowest of these, the account's and the user's."""
        self.limits = limits
        self._set_limits(self.login)

    def set_trace(self, trace: "Trace | None") -> None:
        self.trace = trace
        self._choose_way()

    def set_permissions(self, permissions: Permissions | None) -> None:
        """What holds from now on; subscriptions that it does not permit end."""
        self.permissions = permissions
        responses = permissions.responses if permissions is not None else None
        self.may_answer = Answers(responses, self.shell.now) if responses else None
        for sub in list(self.subs.values()):
            if permissions is not None and not permissions.subscribe.permits_interest(sub.subject, sub.queue):
                self._refuse_interest(sub.subject, sub.queue, f' (sid "{nats.text(sub.sid)}")')
                self._drop(sub)
        if self.subs:
            self.account.forget_routes()
        self._choose_way()

    def _choose_way(self) -> None:
        """May what it publishes go by finished routes?"""
        connect = self.connect
        plain = self.connected and connect.echo and not (connect.verbose or connect.pedantic or self.trace)
        self.intake.memo = self.account.memo(self.permissions, connect.headers) if plain else None

    def _set_limits(self, login: Login) -> None:
        """The narrowest of the server's, the account's and the user's."""
        limits, intake = self.account.limits, self.intake
        intake.max_control_line = self.limits.max_control_line
        intake.max_payload = self.limits.max_payload
        for limit in (login.max_payload, limits.max_payload):
            if limit is not None:
                intake.max_payload = min(intake.max_payload, limit)
        self.max_subscriptions = self.limits.max_subscriptions
        for limit in (login.max_subscriptions, limits.max_subscriptions):
            if limit is not None:
                self.max_subscriptions = min(self.max_subscriptions or limit, limit)

    def _drop_all(self) -> None:
        for sub in self.subs.values():
            self.account.remove(sub)
        self.subs.clear()

    def _leave_account(self) -> None:
        self._drop_all()
        if self in self.account.clients:
            self.account.clients.remove(self)
            self.account.past = self.account.past.plus(self)

    def _on_sub(self, op: Sub) -> None:
        refused = self.permissions is not None and not self.permissions.subscribe.permits_interest(op.subject, op.queue)
        if refused or op.queue == SYSTEM_QUEUE:
            self._refuse_interest(op.subject, op.queue)
            return
        if 0 < self.limits.max_subscription_tokens <= op.subject.count("."):
            self._refuse_interest(op.subject, "", ", too many tokens")
            return
        if self.max_subscriptions and len(self.subs) >= self.max_subscriptions:
            self.error(nats.MAX_SUBSCRIPTIONS_EXCEEDED)
            return
        if op.sid not in self.subs:
            if not is_valid(op.subject):
                self.error(nats.INVALID_SUBJECT)
                return
            sub = Subscription(self, op.subject, op.queue, op.sid)
            self.subs[op.sid] = sub
            self.account.add(sub)
        self.acknowledge()

    def _on_unsub(self, op: Unsub) -> None:
        sub = self.subs.get(op.sid)
        if sub is not None:
            if op.max and sub.delivered < op.max:
                sub.max = op.max
                self.account.forget_routes()  # they must not pass it by
            else:
                self._drop(sub)
        self.acknowledge()

    def _refuse_interest(self, subject: str, queue: str, which: str = "") -> None:
        using = f' using queue "{queue}"' if queue else ""
        self.error(f'Permissions Violation for Subscription to "{subject}"{using}{which}')

    def _drop(self, sub: Subscription) -> None:
        if self.trace:
            self.trace("<->", b"DELSUB " + sub.sid)
        self.account.remove(sub)
        self.subs.pop(sub.sid, None)
