"""Where requests to the API come in.  It wants to know who asks, which a plain subscription is not told."""

from collections.abc import Callable

from edge.core.account import Account
from edge.core.peer import Gate, Peer, Subscription

# Who asks (None: this server), subject, reply, headers, body.
Handler = Callable[[Peer | None, str, str, bytes, bytes], None]


class Door(Gate):
    __slots__ = ("handler",)

    def __init__(self, handler: Handler) -> None:
        super().__init__("JetStream")
        self.handler = handler

    def open(self, account: Account, subject: str, announce: bool = True) -> None:
        """From now on; ``announce``: leafs are told."""
        account.add(Subscription(self, subject, announce=announce))

    def pass_on(
        self, sub: Subscription, origin: Peer | None, subject: str, reply: str, headers: bytes, payload: bytes,
        shown: str = "",
    ) -> bool:  # fmt: skip
        self.handler(origin, subject, reply, headers, payload)
        return True
