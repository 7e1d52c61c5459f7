"""What somebody does with the server when it is killed, and what must hold of it afterwards.

Each has a stream of its own and a ledger of what it was told.  What was asked and not answered may have happened, whole
or not at all; what was answered has.  ``check`` takes what it finds for the truth about the former, once it was possible.
"""

import random
from typing import ClassVar

from tests.crash.hand import Hand, Stored


class Workload:
    """``name`` is that of its stream; ``load`` goes on until the connection ends."""

    name: ClassVar[str]

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.number = 0
        self.done = 0  # how much was confirmed, so that somebody sees that there was load

    async def create(self, hand: Hand) -> None:
        raise NotImplementedError

    async def load(self, hand: Hand) -> None:
        raise NotImplementedError

    async def check(self, hand: Hand) -> None:
        """AssertionError for what does not hold."""
        raise NotImplementedError

    def next(self) -> int:
        self.number += 1
        return self.number

    def payload(self, longest: int = 300) -> bytes:
        """Each its own, so that one cannot stand for another."""
        return b"%s %d " % (self.name.encode(), self.next()) + b"." * self.dice.randrange(longest)


class Ledger:
    """Of messages that stay."""

    def __init__(self) -> None:
        self.acked: dict[int, bytes] = {}
        self.doubt: set[bytes] = set()

    async def publish(self, hand: Hand, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> int:
        self.doubt.add(payload)
        seq = int((await hand.publish(subject, payload, headers))["seq"])
        assert self.acked.setdefault(seq, payload) == payload, f"sequence {seq} was given twice"
        self.doubt.discard(payload)
        return seq

    def settle(self, found: dict[int, Stored]) -> None:
        """Everything that was acknowledged is there, and nothing that nobody sent."""
        for seq, payload in self.acked.items():
            assert seq in found, f"message {seq} was acknowledged and is gone"
            assert found[seq].payload == payload, f"message {seq} is another: {found[seq]}"
        for seq, stored in found.items():
            if seq not in self.acked:
                assert stored.payload in self.doubt, f"message {seq} was not sent, or stands there twice: {stored}"
                self.doubt.discard(stored.payload)
                self.acked[seq] = stored.payload
        self.doubt.clear()
