"""What an uplink must still know after a power cut."""

import json
from dataclasses import dataclass, field

from edge.errors import StoreError
from edge.uplink.losses import Loss
from edge.uplink.ranges import Pair
from edge.uplink.thinning import Comb


@dataclass(frozen=True, slots=True)
class Progress:
    """``edge`` and ``epochs`` name this incarnation of the local stream in message ids; ``stream_created`` (ns) and
    ``generation`` (of the store) tell it from another one.

    ``epochs``: (first sequence, name), in order.  Every row up to ``acked``, and those in ``settled``, need nothing
    more: the hub has them, they are dead letters, or they were lost and are accounted for.  Of the others none was ever
    sent that is not in ``leased``.  Whatever the hub may have of those lies there after sequence ``hub_seq`` of the
    stream that was created at ``hub_created`` (as the hub writes it; empty: never spoken to it).

    ``losses`` wait for a receipt; one with a number may have been sent.  ``gone`` counts what was lost, by reason.
    ``combs``: where the backlog was thinned.
    """

    edge: str
    epochs: tuple[tuple[int, str], ...]
    stream_created: int
    generation: str = ""
    acked: int = 0
    settled: tuple[Pair, ...] = ()
    leased: tuple[Pair, ...] = ()
    hub_seq: int = 0
    hub_created: str = ""
    dead: int = 0
    losses: tuple[Loss, ...] = ()
    receipts: int = 0  # numbers given
    gone: dict[str, int] = field(default_factory=dict)
    paused: bool = False
    combs: tuple[Comb, ...] = ()

    def encode(self) -> bytes:
        return json.dumps({name: getattr(self, name) for name in self.__slots__}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, name: str, value: bytes) -> "Progress":
        try:
            found = json.loads(value)
            for key in ("epochs", "settled", "leased"):
                found[key] = tuple((pair[0], pair[1]) for pair in found[key])
            found["combs"] = tuple(Comb(*comb) for comb in found["combs"])
            found["losses"] = tuple(Loss(*loss) for loss in found["losses"])
            return cls(**found)
        except (ValueError, TypeError, KeyError, IndexError) as exc:
            raise StoreError(f"uplink {name}: its progress in the store cannot be read: {exc!r}") from exc
