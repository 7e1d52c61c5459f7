"""What goes up, in the form in which it goes: messages by themselves, each with an answer of its own, or bursts.

Where the hub's stream takes fast batches (``allow_batched``, nats-server 2.14 and newer; reference: jetstream.md
section 3b) a burst is one: its first message begins the batch, its last one commits it, and one answer is of all.
Where one of them does not come the hub takes none that is behind it: else its answer, which counts them, would say that
what is missing is there, should the word of the gap be lost.

Only what was never sent goes in a batch.  A leader that has an earlier copy, and does not know yet whether that will
stay, refuses another one that comes by itself; in a batch it takes it for stored, and may be dead before it is.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from edge.core.times import SECOND
from edge.core.wall_clock import EARLIEST_NS, Moment
from edge.protocol.leaf import Outgoing
from edge.store.contract import Row
from edge.uplink.headers import MSG_ID, TIME, as_stamped, hub_headers, to_the_second
from edge.uplink.identity import Identity
from edge.uplink.packing import Packer
from edge.uplink.ports import HubLink, UplinkOptions
from edge.uplink.progress import Progress
from edge.uplink.ranges import NEVER
from edge.uplink.window import Window

BEGIN, APPEND, COMMIT = range(3)
END = f".{APPEND}.$FI"
FLOW = 500  # messages for one answer before a batch ends: as many as the hub grants
LEAST = 3  # messages of a batch: it has two answers
LINE = 64  # bytes of a message beside headers, payload and subject, about


class Draft:
    """Messages that will go together."""

    def __init__(self, room: int) -> None:
        self.room = room  # bytes that are left
        self.is_repeated = False  # all of it was sent before, or nothing
        self.keys: list[int] = []
        self.messages: list[Outgoing] = []
        self.permitted: dict[str, int] = {}  # up to that size


class Place(NamedTuple):
    """Of a message in what was sent: which burst, and which of its messages, from 0."""

    burst: int
    at: int


class Sender:
    """``inbox``: answers come to ``<inbox>.>``; its last token is unlike any other's at the hub."""

    def __init__(self, options: UplinkOptions, progress: Progress, window: Window, link: HubLink, inbox: str) -> None:
        self.identity = Identity(progress.edge, progress.epochs)
        self.window = window
        self.link = link
        self.inbox = inbox
        self.batch = inbox.rpartition(".")[2]  # what the names of batches begin with
        self.packer = Packer(options.compress) if options.compress else None
        self.moment: Callable[[int], Moment] = as_stamped  # what the stamp of a row means
        self.sure_from: Callable[[], int] = lambda: EARLIEST_NS  # stamps from there on mean what they say
        self.second, self.to_the_second = -1, ""
        self.batches = False  # the hub's stream takes them
        self.max_msg_size = 0  # of the hub's stream; 0: any

    def fill(self, draft: Draft, rows: Sequence[Row]) -> tuple[int, str]:
        """How many of these rows are in it now; and if it is not for the room, why the next one never will be."""
        stem, first = self.identity.stem, self.identity.stems[-1][0]
        sure = self.sure_from() if self.packer is None else NEVER
        keys, messages, permitted = draft.keys, draft.messages, draft.permitted
        for count, row in enumerate(rows):
            if draft.room <= 0:
                return count, ""
            seq, subject, time_ns, headers, payload = row
            if headers or time_ns < sure or seq < first:
                headers, payload = self._form(row)
            else:  # nearly all are like this: ``hub_headers`` in place
                second, nanos = divmod(time_ns, SECOND)
                if second != self.second:
                    self.second, self.to_the_second = second, to_the_second(second)
                headers = (
                    f"NATS/1.0\r\n{MSG_ID}: {stem}{seq}\r\n{TIME}: {self.to_the_second}.{nanos // 1000:06d}Z\r\n\r\n"
                ).encode()
            size = len(headers) + len(payload)
            if size > permitted.get(subject, -1):
                if refusal := self.refusal(subject, size):
                    return count, refusal
                permitted[subject] = size
            keys.append(seq)
            messages.append((subject, "", headers, payload))
            draft.room -= size + len(subject) + LINE
        return len(rows), ""

    def _form(self, row: Row) -> tuple[bytes, bytes]:
        payload, encoding = self.packer.pack(row) if self.packer is not None else (row.payload, "")
        return hub_headers(row, self.identity.id_of(row.seq), self.moment(row.time_ns), encoding), payload

    def refusal(self, subject: str, size: int) -> str:
        """Why the hub will never take such a message, or an empty string: one refusal would end a whole batch."""
        if refusal := self.link.refusal(subject, size):
            return refusal
        if self.max_msg_size and size > self.max_msg_size:
            return f"{size} bytes are more than the max_msg_size of {self.max_msg_size} of the hub's stream"
        return ""

    def send(self, keys: list[int], messages: Sequence[Outgoing], now: int, as_batch: bool = False) -> int:
        """The bytes that went; 0 when the link takes nothing."""
        if as_batch and len(keys) >= LEAST:
            return self._send(keys, self._as_batch(messages), now)
        return sum(
            self._send([key], [(subject, f"{self.inbox}.{self.window.number + 1}", headers, payload)], now)
            for key, (subject, _, headers, payload) in zip(keys, messages, strict=True)
        )

    def _send(self, keys: list[int], messages: Sequence[Outgoing], now: int) -> int:
        size = self.link.publish_all(messages)
        if size:
            self.window.send(keys, size, now)
        return size

    def _as_batch(self, messages: Sequence[Outgoing]) -> list[Outgoing]:
        head = f"{self.inbox}.{self.batch}{self.window.number + 1}.{FLOW}.fail."
        batch = [
            (subject, f"{head}{number}.{APPEND}.$FI", headers, payload)
            for number, (subject, _, headers, payload) in enumerate(messages, 1)
        ]
        for at, operation in ((0, BEGIN), (-1, COMMIT)):
            subject, reply, headers, payload = batch[at]
            batch[at] = (subject, f"{reply.removesuffix(END)}.{operation}.$FI", headers, payload)
        return batch

    def place(self, tokens: str) -> Place | None:
        """What an answer is about, from what follows the inbox in its subject; None for what was never asked."""
        name, *parts = tokens.split(".")
        if parts and (len(parts) != 5 or not name.startswith(self.batch)):
            return None
        number, at = (name.removeprefix(self.batch), parts[2]) if parts else (name, "1")
        if not (number.isdecimal() and at.isdecimal() and len(number + at) < 24 and int(at)):
            return None
        return Place(int(number), int(at) - 1)
