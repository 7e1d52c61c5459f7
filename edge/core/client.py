"""A NATS client as the router sees it: its options, its subscriptions, its outbox.  No sockets, no clock."""

from collections.abc import Callable
from typing import Protocol

from edge.core.account import Account
from edge.core.auth import Authenticator
from edge.core.hotpath import Intake
from edge.core.peer import Peer, PeerKind, Subscription
from edge.core.permissions import Permissions
from edge.core.router import Router
from edge.errors import ProtocolError
from edge.message import header_block
from edge.protocol import nats
from edge.protocol.nats import Connect, Ping, Pong, PubHead, Sub, Unsub
from edge.subjects import is_valid, matches


class Limits(Protocol):
    @property
    def max_payload(self) -> int: ...
    @property
    def max_control_line(self) -> int: ...
    @property
    def max_subscriptions(self) -> int: ...  # 0: unlimited


class Client(Peer):
    """``write`` takes bytes for the socket; ``on_connect`` is called with the first PONG after CONNECT;
    ``trace`` is shown every control line with its direction, where tracing is on."""

    __slots__ = (
        "account",
        "admitted",
        "auth",
        "cid",
        "connect",
        "connected",
        "headers",
        "in_bytes",
        "in_msgs",
        "intake",
        "max_subscriptions",
        "no_responders",
        "on_connect",
        "out",
        "out_bytes",
        "out_msgs",
        "pedantic",
        "permissions",
        "pongs_missing",
        "ready",
        "router",
        "subs",
        "trace",
        "user",
        "verbose",
        "write",
    )

    def __init__(
        self,
        router: Router,
        auth: Authenticator,
        limits: Limits,
        cid: int,
        name: str,
        write: Callable[[bytes], None],
        on_connect: Callable[["Client"], None],
        trace: Callable[[str, bytes], None] | None = None,
    ) -> None:
        super().__init__(PeerKind.CLIENT, name)
        self.router = router
        self.auth = auth
        self.cid = cid
        self.write = write
        self.on_connect = on_connect
        self.trace = trace
        self.account: Account = router.account(auth.account)
        self.connect = Connect()
        self.connected = False
        self.ready = False
        self.admitted = not auth.required
        self.user = ""
        self.permissions: Permissions | None = None
        self.headers = False
        self.no_responders = False
        self.verbose = True
        self.pedantic = True
        self.subs: dict[bytes, Subscription] = {}
        self.max_subscriptions = limits.max_subscriptions
        self.out: list[bytes] = []
        self.in_msgs = self.in_bytes = self.out_msgs = self.out_bytes = 0
        self.pongs_missing = 0
        self.intake = Intake(self, limits.max_control_line, limits.max_payload)
        if self.admitted:
            self._log_in(Connect())

    # ---- the router's side

    def put(self, data: bytes, count: int, size: int) -> None:
        """``count`` finished messages of ``size`` bytes in all."""
        if not self.out:
            self.router.touched.append(self)
        self.out.append(data)
        self.out_msgs += count
        self.out_bytes += size

    def give(self, sub: Subscription, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        if self.permissions is not None and not self.permissions.subscribe.permits(subject):
            return
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
            self.trace("->>", message.partition(b"\r\n")[0])
        if not self.out:
            self.router.touched.append(self)
        self.out.append(message)
        self.out_msgs += 1
        self.out_bytes += size
        if sub.max and sub.delivered >= sub.max:
            self._drop(sub)

    def send(self, data: bytes) -> None:
        """A line that is not a message."""
        if not self.out:
            self.router.touched.append(self)
        self.out.append(data)

    def flush(self) -> None:
        data = b"".join(self.out)
        self.out.clear()
        self.write(data)

    # ---- the connection's side

    def receive(self, data: bytes) -> None:
        self.intake.receive(data)

    def close(self) -> None:
        """The connection is gone: forget its interest."""
        for sub in self.subs.values():
            self.account.remove(sub)
        self.subs.clear()
        self.out.clear()

    def error(self, text: str) -> None:
        self.send(nats.error_line(text))

    def acknowledge(self) -> None:
        if self.verbose:
            self.send(nats.OK)

    def check_may_speak(self, head: PubHead) -> None:
        if not self.admitted:
            raise ProtocolError(nats.AUTHORIZATION_VIOLATION)
        if head.header_size and not self.headers and self.connected:
            raise ProtocolError("")

    def may_publish(self, subject: str) -> bool:
        if self.permissions is None or self.permissions.publish.permits(subject):
            return True
        self.error(f'Permissions Violation for Publish to "{subject}"')
        return False

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
        operation = nats.parse_operation(line)
        match operation:
            case Connect():
                self._on_connect(operation)
            case Ping():
                self._check_admitted()
                self.send(nats.PONG)
                if self.connected and not self.ready:
                    self.ready = True
                    self.on_connect(self)
            case Pong():
                self.pongs_missing = 0
            case Sub():
                self._check_admitted()
                self._on_sub(operation)
            case Unsub():
                self._check_admitted()
                self._on_unsub(operation)

    # ---- operations

    def _check_admitted(self) -> None:
        if not self.admitted:
            raise ProtocolError(nats.AUTHORIZATION_VIOLATION)

    def _on_connect(self, connect: Connect) -> None:
        if not self.connected:
            self._log_in(connect)
        self.connected = True
        self.connect = connect
        self.echo = connect.echo
        self.verbose = connect.verbose
        self.pedantic = connect.pedantic
        self.headers = connect.headers
        self.no_responders = connect.no_responders
        if connect.no_responders and not connect.headers:
            raise ProtocolError(nats.NO_RESPONDERS_REQUIRES_HEADERS)
        plain = connect.echo and not (connect.verbose or connect.pedantic or self.trace)
        self.intake.memo = self.account.memo(self.permissions, connect.headers) if plain else None
        self.acknowledge()

    def _log_in(self, connect: Connect) -> None:
        login = self.auth.login(connect.user, connect.password, connect.auth_token)
        if login is None:
            raise ProtocolError(nats.AUTHORIZATION_VIOLATION)
        account = self.router.account(login.account)
        if account is not self.account:
            self.close()  # interest from before the CONNECT belonged to the account of no_auth_user
        self.account = account
        self.user = login.user
        self.permissions = login.permissions
        self.admitted = True

    def _on_sub(self, op: Sub) -> None:
        if not is_valid(op.subject):
            self.error(nats.INVALID_SUBJECT)
            return
        if self.permissions is not None and not self.permissions.subscribe.permits_interest(op.subject):
            queue = f' using queue "{op.queue}"' if op.queue else ""
            self.error(f'Permissions Violation for Subscription to "{op.subject}"{queue}')
            return
        if op.sid not in self.subs:
            if self.max_subscriptions and len(self.subs) >= self.max_subscriptions:
                self.error(nats.MAX_SUBSCRIPTIONS_EXCEEDED)
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
                self.account.sublist.generation += 1  # finished routes must not pass it by
            else:
                self._drop(sub)
        self.acknowledge()

    def _drop(self, sub: Subscription) -> None:
        self.account.remove(sub)
        self.subs.pop(sub.sid, None)
