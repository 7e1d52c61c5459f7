"""What goes up, in the form in which it goes: messages by themselves, each with an answer of its own, or bursts.

Where the hub's stream takes fast batches (``allow_batched``, nats-server 2.14 and newer; reference: jetstream.md
section 3b) a burst is one: its first message begins the batch, its last one commits it, and one answer is of all.  Where
one of them does not come, or is refused, the hub takes none that is behind it: else its answer, which counts them, would
say that what is missing is there, should the word of the gap be lost.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from edge.core.wall_clock import Moment
from edge.protocol.leaf import Outgoing
from edge.store.contract import Row
from edge.uplink.headers import as_stamped, hub_headers
from edge.uplink.identity import Identity
from edge.uplink.packing import Packer
from edge.uplink.ports import HubLink, UplinkOptions
from edge.uplink.window import Window

BEGIN, APPEND, COMMIT = range(3)
LINE = 64  # bytes of a message beside headers, payload and subject, about


class Place(NamedTuple):
    """Of a message in what was sent: which burst, and which of its messages, from 0."""

    burst: int
    at: int


class Sender:
    """``inbox``: answers come to ``<inbox>.>``; its last token is unlike any other's at the hub."""

    def __init__(self, options: UplinkOptions, identity: Identity, window: Window, link: HubLink, inbox: str) -> None:
        self.identity = identity
        self.window = window
        self.link = link
        self.inbox = inbox
        self.batch = inbox.rpartition(".")[2]  # what the names of batches begin with
        self.packer = Packer(options.compress) if options.compress else None
        self.moment: Callable[[int], Moment] = as_stamped  # what the stamp of a row means
        self.batches = False  # the hub's stream takes them
        self.max_msg_size = 0  # of the hub's stream; 0: any

    def form(self, row: Row, reply: str = "") -> Outgoing:
        payload, encoding = self.packer.pack(row) if self.packer is not None else (row.payload, "")
        headers = hub_headers(row, self.identity.id_of(row.seq), self.moment(row.time_ns), encoding)
        return Outgoing(row.subject, reply, headers, payload)

    def refusal(self, subject: str, size: int) -> str:
        """Why the hub will never take such a message, or an empty string: one refusal would end a whole batch."""
        if self.max_msg_size and size > self.max_msg_size:
            return f"{size} bytes are more than the max_msg_size of {self.max_msg_size} of the hub's stream"
        return self.link.refusal(subject, size)

    def send(self, keys: list[int], messages: Sequence[Outgoing], now: int) -> int:
        """The bytes that went; 0 when the link takes nothing."""
        if len(keys) > 1 and self.batches:
            return self._send(keys, self._as_batch(messages), now)
        return sum(
            self._send([key], [message._replace(reply=f"{self.inbox}.{self.window.number + 1}")], now)
            for key, message in zip(keys, messages, strict=True)
        )

    def _send(self, keys: list[int], messages: Sequence[Outgoing], now: int) -> int:
        size = self.link.publish_all(messages)
        if size:
            self.window.send(keys, size, now)
        return size

    def _as_batch(self, messages: Sequence[Outgoing]) -> list[Outgoing]:
        count = len(messages)
        head = f"{self.inbox}.{self.batch}{self.window.number + 1}.{count}.fail."
        operation = BEGIN
        batch = []
        for number, (subject, _, headers, payload) in enumerate(messages, 1):
            if number == count:
                operation = COMMIT
            batch.append(Outgoing(subject, f"{head}{number}.{operation}.$FI", headers, payload))
            operation = APPEND
        return batch

    def place(self, tokens: str) -> Place | None:
        """What an answer is about, from what follows the inbox in its subject; None for what was never asked."""
        name, _, rest = tokens.partition(".")
        number = name.removeprefix(self.batch) if rest else name
        parts = rest.split(".")
        at = parts[2] if len(parts) == 5 else "1"
        if not (number.isdecimal() and at.isdecimal() and len(number + at) < 24 and int(at)):
            return None
        return Place(int(number), int(at) - 1)
