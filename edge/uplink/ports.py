"""What an uplink needs of the rest: its local stream, the link to the hub, a note on disk, a place for dead letters."""

from collections.abc import Sequence
from typing import Protocol

from edge.protocol.leaf import Outgoing
from edge.store.contract import Row
from edge.uplink.ranges import Pair


class UplinkOptions(Protocol):
    """One entry of the configuration's ``uplink`` block."""

    @property
    def name(self) -> str: ...
    @property
    def subjects(self) -> Sequence[str]: ...
    @property
    def hub_stream(self) -> str: ...
    @property
    def hub_domain(self) -> str: ...
    @property
    def window(self) -> int: ...
    @property
    def gather_ns(self) -> int:
        """How long what is fresh waits for others that can go with it."""

    @property
    def lane(self) -> str:
        """``urgent``, ``normal`` or ``bulk``."""

    @property
    def weight(self) -> int:
        """Of its share of the line; 0: its lane's."""

    @property
    def compress(self) -> str:
        """``zlib``, ``zstd``, or empty."""

    @property
    def on_hub_loss(self) -> str:
        """``stop``, ``continue`` or ``resend`` when the hub's stream has lost what it had acknowledged."""

    @property
    def order(self) -> str:
        """``live``: what is fresh goes first; ``strict``: everything in its order."""

    @property
    def discard(self) -> str:
        """When the backlog is full: ``old``, ``new``, or ``thin``."""

    @property
    def max_bytes(self) -> int: ...
    @property
    def receipts(self) -> str:
        """The subject of loss receipts; empty: one that is made of the first of ``subjects``."""


class Backlog(Protocol):
    """The local stream.  Only what is committed is seen; its limits may take rows away."""

    @property
    def created_ns(self) -> int: ...
    @property
    def last_seq(self) -> int:
        """Also when no row is left."""

    @property
    def messages(self) -> int: ...
    @property
    def bytes(self) -> int: ...

    def scan(self, first: int, limit: int) -> list[Row]:
        """Up to ``limit`` rows from sequence ``first`` on."""


class Ledger(Protocol):
    def save(
        self, progress: bytes, settled: int, beyond: Sequence[Pair], thinned: Sequence[int], urgent: bool
    ) -> None:
        """In one commit: keep ``progress``, and delete the rows up to ``settled``, in ``beyond``, and ``thinned``;
        nobody sees them any more from here on.  ``Uplink.on_saved`` follows.  Not urgent: nobody waits for it, it may
        gather with others.
        """


class DeadLetters(Protocol):
    def put(self, row: Row, msg_id: str, reason: str) -> None:
        """Keep ``row`` with its reason; ``Uplink.on_buried`` follows.  The same id twice is one letter."""


class HubLink(Protocol):
    @property
    def up(self) -> bool: ...
    @property
    def domain(self) -> str: ...
    @property
    def rtt(self) -> int: ...
    @property
    def pending_bytes(self) -> int: ...

    def refusal(self, subject: str, size: int) -> str: ...
    def publish(self, subject: str, payload: bytes, reply: str = "", headers: bytes = b"") -> bool: ...
    def publish_all(self, messages: Sequence[Outgoing]) -> int:
        """None of which is refused.  The bytes that go; 0 when the link is not up."""
