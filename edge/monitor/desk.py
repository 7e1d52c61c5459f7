"""Where requests to the server are taken: a table of subjects, each with what it asks for.

In the system account every server's documents, and its buttons; in each other account what concerns that account and
the user who asks.  Who answers (``requests.py``) is not loaded before somebody asks (reference: core.md section 5).
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from edge.core.account import Account
from edge.core.peer import Gate, Peer, Subscription

OF_SERVER = (
    "IDZ", "STATSZ", "VARZ", "SUBSZ", "CONNZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ", "JSZ", "HEALTHZ", "PROFILEZ",
    "EXPVARZ", "IPQUEUESZ", "RAFTZ",
)  # fmt: skip
OF_ACCOUNT = ("SUBSZ", "CONNZ", "LEAFZ", "JSZ", "INFO", "STATZ", "CONNS")
BUTTONS = ("KICK", "LDM", "RELOAD")


class Call(NamedTuple):
    """``scope``: ``server``; ``account``, which its subject names; ``own``, that in which it is asked."""

    scope: str
    name: str


class Request(NamedTuple):
    account: Account  # in which it was asked
    origin: Peer | None
    subject: str
    reply: str
    headers: bytes
    body: bytes


Answerer = Callable[[Call, Request], None]


class Desk(Gate):
    """The subjects of one account."""

    __slots__ = ("account", "answerer", "calls")

    def __init__(self, account: Account, answerer: Answerer) -> None:
        super().__init__(account.name)
        self.account = account
        self.answerer = answerer
        self.calls: dict[Subscription, Call] = {}

    def take(self, subjects: Iterable[tuple[str, Call]], announce: bool = True) -> None:
        """``announce`` False: hubs are not told of these."""
        for subject, call in subjects:
            sub = Subscription(self, subject, announce=announce)
            self.calls[sub] = call
            self.account.add(sub)

    def pass_on(
        self, sub: Subscription, origin: Peer | None, subject: str, reply: str, headers: bytes, payload: bytes,
        shown: str = "",
    ) -> bool:  # fmt: skip
        trace, self.account.router.traced = self.account.router.traced, None
        if trace is not None and trace.only:
            return True
        self.answerer(self.calls[sub], Request(self.account, origin, subject, reply, headers, payload))
        return True


def open_system_desk(account: Account, server_id: str, answerer: Answerer) -> None:
    desk = Desk(account, answerer)
    server, every = f"$SYS.REQ.SERVER.{server_id}", "$SYS.REQ.SERVER.PING"
    desk.take((f"{place}.{name}", Call("server", name)) for place in (server, every) for name in OF_SERVER)
    desk.take([(every, Call("server", "STATSZ"))])
    desk.take((f"{server}.{name}", Call("server", name)) for name in BUTTONS)
    desk.take((f"$SYS.REQ.ACCOUNT.*.{name}", Call("account", name)) for name in OF_ACCOUNT)
    desk.take([("$SYS.REQ.ACCOUNT.PING.STATZ", Call("server", "STATZ")), ("$SYS.REQ.USER.INFO", Call("own", "USER"))])
    local = [("$SYS.REQ.USER.*.INFO", Call("account", "USER")), ("$SYS.DEBUG.SUBSCRIBERS", Call("own", "SUBSCRIBERS"))]
    desk.take(local, announce=False)


def open_account_desk(account: Account, answerer: Answerer) -> None:
    """What any account may ask, of itself alone; hubs are told of it, as nats-server tells them."""
    Desk(account, answerer).take(
        [
            ("$SYS.REQ.ACCOUNT.PING.CONNZ", Call("own", "CONNZ")),
            ("$SYS.REQ.SERVER.PING.CONNZ", Call("own", "CONNZ")),
            ("$SYS.REQ.ACCOUNT.PING.STATZ", Call("own", "STATZ")),
            ("$SYS.REQ.USER.INFO", Call("own", "USER")),
        ]
    )
