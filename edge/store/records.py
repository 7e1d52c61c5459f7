"""Streams, consumers and values as they stand on disk: what is sound is loaded, what is not is named."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import apsw

from edge.store import schema
from edge.store.contract import (
    HALF_MADE,
    MAX_SEQ,
    SEQ_BITS,
    VALUE_DAMAGED,
    VALUES_LOST,
    ConsumerRecord,
    Recovered,
    StreamRecord,
)
from edge.store.database import DAMAGE
from edge.store.reader import BACK, FORWARD, Reader
from edge.store.seal import seal_record, to_text
from edge.store.statements import seal_consumer, seal_stream

# Left free behind a damaged end of a stream, which may have held more than can be seen.  A sequence given twice would
# be lost: the hub takes the second message for a repetition of the first.
SAFE_DISTANCE = 100_000


class Records:
    """One pass over everything but the messages, of which only the ends are looked up."""

    def __init__(self, connection: apsw.Connection, reader: Reader) -> None:
        self.connection = connection
        self.reader = reader
        self.damage: list[str] = []
        self.torn: set[int] = set()  # streams whose end is damaged
        self.broken = False  # a page could not be read, so it cannot be written either

    def load(self) -> Recovered:
        records = self._streams()
        self.reader.names.update({record.id: record.name for record, _ in records})
        streams = [self._stream(record, floor) for record, floor in records]
        values = self._values()
        known = {record.id for record in streams} | half_made(values)
        orphans = self._orphans(known)
        dropped = [first >> SEQ_BITS for first, _ in self.reader.doomed]
        return Recovered(
            streams, self._consumers(), values, f"SQLite {apsw.sqlite_lib_version()}",
            max(known.union(orphans, dropped), default=0), tuple(self.damage),
        )  # fmt: skip

    # ---- streams

    def _streams(self) -> list[tuple[StreamRecord, int]]:
        """Each with its floor, from the copy where the original is damaged."""
        found: dict[int, tuple[StreamRecord, int]] = {}
        for id, account, name, config, crc, state, state_crc, floor in self._rows(schema.STREAMS, "streams"):
            if _holds(partial(seal_stream, id, account, name, config), crc):
                if not _holds(partial(seal_record, state), state_crc):
                    self.damage.append(f"stream {to_text(name)}: its state is damaged and counted anew")
                    state = b""
                found[id] = StreamRecord(id, to_text(account), to_text(name), config, state, 0, 0), floor or 0
        for id, account, name, config, crc in self._rows(schema.STREAM_COPIES, "copies of streams"):
            if id not in found and _holds(partial(seal_stream, id, account, name, config), crc):
                self.damage.append(f"stream {to_text(name)}: its record is damaged, the copy is used")
                found[id] = StreamRecord(id, to_text(account), to_text(name), config, b"", 0, 0), 0
        return [found[id] for id in sorted(found)]

    def _stream(self, record: StreamRecord, floor: int) -> StreamRecord:
        """With its ends."""
        head = self.reader.walk(FORWARD, record.id, 0, MAX_SEQ, 1)
        tail = self.reader.walk(BACK, record.id, MAX_SEQ, 0, 1)
        first, last = (head.rows[0].seq, tail.rows[0].seq) if head.rows and tail.rows else (0, 0)
        self.broken = self.broken or head.broken or tail.broken
        if tail.torn:
            self.damage.append(f"stream {record.name}: its end is damaged, the last message to be read is {last}")
            self.torn.add(record.id)
            last += SAFE_DISTANCE
        return record._replace(first_seq=first, last_seq=max(last, floor))

    def _orphans(self, known: set[int]) -> list[int]:
        """Streams that have messages and no record."""
        found = []
        id = 0
        while (id := self._next_stream(id, max(known, default=0))) > 0:
            if id not in known and self.reader.walk(FORWARD, id, 0, MAX_SEQ, 1).rows:
                self.damage.append(f"stream {id}: it has messages, but its record and the copy cannot be read")
                found.append(id)
        return found

    def _next_stream(self, id: int, last: int) -> int:
        """The next id of which there are messages; 0 at the end."""
        while True:
            id += 1
            try:
                rows = list(self.connection.execute(schema.FIRST_ID, (id << SEQ_BITS,)))
                found: int = rows[0][0] >> SEQ_BITS if rows else 0
                if not rows or found >= id:
                    return found
            except DAMAGE:
                pass
            self.broken = True  # or it leads back
            if id >= last:
                return 0

    # ---- consumers and values

    def _consumers(self) -> list[ConsumerRecord]:
        found = []
        for stream, name, config, crc, state, state_crc in self._rows(schema.CONSUMERS, "consumers"):
            if not _holds(partial(seal_consumer, stream, name, config), crc):
                self.damage.append(f"a consumer of stream {stream}: its record is damaged, it has to be made again")
                continue
            if not _holds(partial(seal_record, state), state_crc):
                self.damage.append(f"consumer {to_text(name)} of stream {stream}: its state is damaged")
                state = b""
            found.append(ConsumerRecord(stream, to_text(name), config, state))
        return found

    def _values(self) -> dict[str, bytes]:
        found = {}
        for key, value, crc in self._rows(schema.VALUES, "values"):
            if _holds(partial(seal_record, key, value), crc):
                found[to_text(key)] = value
            else:
                self.damage.append(f"{VALUE_DAMAGED}{to_text(key) if isinstance(key, bytes) else '?'}")
        return found

    def _rows(self, sql: str, what: str) -> Iterator[tuple[Any, ...]]:
        """As far as they can be read."""
        try:
            yield from self.connection.execute(sql)
        except DAMAGE:
            self.broken = True
            self.damage.append(VALUES_LOST.replace("values", what, 1))


def half_made(values: Iterable[str]) -> set[int]:
    """The ids of streams of which only messages are there, and are to go."""
    found = [key.removeprefix(HALF_MADE) for key in values if key.startswith(HALF_MADE)]
    return {int(id) for id in found if id.isdecimal()}


def _holds(seal: Callable[[], int], crc: int) -> bool:
    try:
        return seal() == crc
    except TypeError:  # a field that has become NULL
        return False
