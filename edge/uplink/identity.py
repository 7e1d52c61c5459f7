"""Message ids: ``<edge>:<epoch>:<sequence>``, and ``<edge>:<epoch>:L<number>`` for a receipt of losses.

An epoch is a random name of one incarnation of the local stream.  Where a store came back from a backup a new one
begins behind the messages that were in it: those are still what they were.
"""

from collections.abc import Iterable

Epochs = tuple[tuple[int, str], ...]  # (first sequence, name), ascending


class Identity:
    def __init__(self, edge: str, epochs: Epochs) -> None:
        self.edge = edge
        self.epochs = epochs
        self.stems = [(first, f"{edge}:{name}:") for first, name in epochs]
        self.stem = self.stems[-1][1]

    def id_of(self, key: int) -> str:
        """Of a sequence; of a receipt where it is negative."""
        if key < 0:
            return f"{self.stem}L{-key}"
        if key >= self.stems[-1][0]:
            return f"{self.stem}{key}"
        return next(f"{stem}{key}" for first, stem in reversed(self.stems) if key >= first or first == self.stems[0][0])

    def key_of(self, msg_id: str) -> int:
        """0 for another's, be it of another epoch."""
        for _, stem in reversed(self.stems):
            if msg_id.startswith(stem):
                rest = msg_id[len(stem) :]
                digits = rest.removeprefix("L")
                if not digits.isdecimal() or len(digits) > 19:
                    return 0
                key = int(digits) if digits == rest else -int(digits)
                return key if self.id_of(key) == msg_id else 0
        return 0

    def is_ours(self, msg_id: str) -> int:
        """The sequence that an id of our latest epoch names; 0 for any other."""
        rest = msg_id.removeprefix(self.stem)
        return int(rest) if rest != msg_id and rest.isdecimal() and len(rest) < 20 else 0


def latest(epochs: Epochs, floor: int) -> Epochs:
    """Without those that no message is of any more."""
    while len(epochs) > 1 and epochs[1][0] <= floor + 1:
        epochs = epochs[1:]
    return epochs


def with_epoch(epochs: Iterable[tuple[int, str]], first: int, name: str) -> Epochs:
    return (*(epoch for epoch in epochs if epoch[0] < first), (first, name))
