"""What a store promises to whoever keeps messages in it.

Writes are queued in order and become durable together: ``commit`` closes a unit, and its ``done`` is called on the
owner's thread once everything in the unit is on disk.  Reads are synchronous and see only what is committed.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from edge.errors import StoreError
from edge.store.seal import to_bytes

Done = Callable[[StoreError | None], None]
NewRow = tuple[int, str, int, bytes, bytes]  # seq, subject, time_ns (not before 1970), headers, payload

SEQ_BITS = 40
MAX_SEQ = (1 << SEQ_BITS) - 1

# A value under this and the id of a stream: its messages come before its record, and are nobody's until that is there.
HALF_MADE = "half-made."


class Row(NamedTuple):
    seq: int
    subject: str
    time_ns: int  # wall clock, since 1970
    headers: bytes
    payload: bytes


class Outline(NamedTuple):
    """A row without its contents.  ``size``: bytes of subject, headers and payload."""

    seq: int
    subject: str
    size: int

    @classmethod
    def of(cls, row: Row) -> "Outline":
        return cls(row.seq, row.subject, len(to_bytes(row.subject)) + len(row.headers) + len(row.payload))


class StreamRecord(NamedTuple):
    """``first_seq`` and ``last_seq`` are those of the rows found, 0 when there is none; ``state`` is the owner's.

    Where the end of a stream was damaged ``last_seq`` lies behind everything that may have stood there, so that no
    sequence is given twice.  ``state`` is empty when it was damaged.
    """

    id: int
    account: str
    name: str
    config: bytes
    state: bytes
    first_seq: int
    last_seq: int


class ConsumerRecord(NamedTuple):
    """``state`` is empty when it was damaged."""

    stream: int
    name: str
    config: bytes
    state: bytes


class SubjectRecord(NamedTuple):
    subject: str
    messages: int
    first_seq: int
    last_seq: int


VALUE_DAMAGED = "a value is damaged: "  # its name follows
VALUES_LOST = "the values on a damaged page are lost"


class Recovered(NamedTuple):
    """What was found at the start."""

    streams: list[StreamRecord]
    consumers: list[ConsumerRecord]
    values: dict[str, bytes]
    engine: str  # names the SQLite in use
    last_id: int = 0  # the highest stream id of which anything is on disk
    damage: tuple[str, ...] = ()  # a line for each thing that was found damaged


class Store(Protocol):
    @property
    def full(self) -> bool:
        """Is the disk known to be full?  Messages are refused then, and best not even queued: a refused unit takes
        those that were queued with it along.  Everything else still works."""

    @property
    def damage(self) -> list[str]:
        """A line for everything that is known to be damaged, found at the start or read since."""

    # ---- writes, durable with the commit that follows them

    def append(self, stream: int, rows: list[NewRow], pack: bool = False) -> None:
        """``pack``: payloads that get shorter by it are compressed on disk."""

    def delete(self, stream: int, seqs: list[int]) -> None: ...
    def delete_range(self, stream: int, first: int, last: int) -> None:
        """Both ends included."""

    def erase(self, stream: int, seqs: list[int]) -> None:
        """As ``delete``, and soon nothing of their contents stands in the files any more."""

    def put_stream(self, stream: int, account: str, name: str, config: bytes, state: bytes) -> None: ...
    def put_stream_state(self, stream: int, state: bytes) -> None: ...
    def drop_stream(self, stream: int) -> None:
        """With its messages and consumers."""

    def put_consumer(self, stream: int, name: str, config: bytes, state: bytes) -> None: ...
    def put_consumer_state(self, stream: int, name: str, state: bytes) -> None: ...
    def drop_consumer(self, stream: int, name: str) -> None: ...
    def put_value(self, key: str, value: bytes) -> None:
        """A small durable fact under a name: an epoch, an uplink's position."""

    def drop_value(self, key: str) -> None: ...

    def commit(self, done: Done, urgent: bool = True) -> None:
        """Close the unit.  ``urgent`` False: nobody waits, so it may gather with others for the commit window.

        Units complete in order.  ``done(StoreError)``: nothing of the unit is on disk, and every unit that was queued
        by then fails with it, so the owner can go back to what is committed and go on from there at once.
        """

    # ---- reads: what is damaged is logged, passed over and never fatal

    def load(self) -> Recovered: ...
    def read(self, stream: int, seq: int) -> Row | None: ...
    def scan(self, stream: int, first: int, last: int, limit: int) -> list[Row]:
        """Ascending, both ends included; fewer than ``limit``, but at least one, where rows are large."""

    def scan_back(self, stream: int, last: int, limit: int) -> list[Row]:
        """Descending from ``last``; as many as ``scan``."""

    def outline(self, stream: int, first: int, last: int, limit: int) -> list[Outline]:
        """As ``scan``, for whoever does not need the contents: they are not read, and not held against their
        checksum either."""

    def subjects(self, stream: int, first: int = 0, last: int = MAX_SEQ) -> list[SubjectRecord]:
        """Every subject of this part of the stream; one pass over its messages."""

    def places(self, stream: int, first: int, last: int) -> Iterable[tuple[int, str]]:
        """The sequence and the subject of every message of this part, in order; to be read to its end at once."""

    def count(self, stream: int, first: int, last: int) -> tuple[int, int]:
        """Messages, and bytes of subject, headers and payload."""

    def close(self) -> None:
        """Everything that was committed is on disk afterwards."""
