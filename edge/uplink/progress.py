"""What an uplink must still know after a power cut."""

import json
from dataclasses import asdict, dataclass, fields

from edge.errors import StoreError


@dataclass(frozen=True, slots=True)
class Progress:
    """``edge`` and ``epoch`` name this incarnation of the local stream in message ids; ``stream_created`` (ns) tells
    it from another one of the same name.

    Every row up to ``acked`` is settled: the hub has it, or it is a dead letter.  Rows beyond ``limit`` were never
    sent.  A row in between that the hub has stored lies there after sequence ``hub_seq`` of the stream that was
    created at ``hub_created`` (as the hub writes it; empty: never spoken to it).
    """

    edge: str
    epoch: str
    stream_created: int
    acked: int = 0
    limit: int = 0
    hub_seq: int = 0
    hub_created: str = ""
    dead: int = 0

    def encode(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def decode(cls, name: str, value: bytes) -> "Progress":
        try:
            found = json.loads(value)
            return cls(**{field.name: found[field.name] for field in fields(cls)})
        except (ValueError, TypeError, KeyError) as exc:
            raise StoreError(f"uplink {name}: its progress in the store cannot be read: {exc!r}") from exc
