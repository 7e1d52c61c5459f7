"""The same contract in memory, for streams that ask for ``storage: memory`` and for tests."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from edge.store.contract import (
    MAX_SEQ,
    ConsumerRecord,
    Done,
    NewRow,
    Outline,
    Recovered,
    Row,
    StreamRecord,
    SubjectRecord,
)

K = TypeVar("K")
V = TypeVar("V")


class MemoryStore:
    """Writes take effect with their commit, as on disk; ``done`` comes through ``call_soon``."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], None]) -> None:
        self.call_soon = call_soon
        self.pending: list[Callable[[], None]] = []
        self.rows: dict[int, dict[int, Row]] = {}
        self.order: dict[int, list[int]] = {}  # the sequences of a stream, ascending
        self.streams: dict[int, tuple[str, str, bytes, bytes]] = {}
        self.consumers: dict[tuple[int, str], tuple[bytes, bytes]] = {}
        self.values: dict[str, bytes] = {}

    @property
    def full(self) -> bool:
        """Memory that runs out ends the process."""
        return False

    @property
    def damage(self) -> list[str]:
        return []

    # ---- writes

    def append(self, stream: int, rows: list[NewRow], pack: bool = False) -> None:
        self.pending.append(partial(self._append, stream, rows))

    def delete(self, stream: int, seqs: list[int]) -> None:
        self.pending.append(partial(self._delete, stream, seqs))

    def delete_range(self, stream: int, first: int, last: int) -> None:
        self.pending.append(partial(self._delete_range, stream, first, last))

    def erase(self, stream: int, seqs: list[int]) -> None:
        self.delete(stream, seqs)

    def put_stream(self, stream: int, account: str, name: str, config: bytes, state: bytes) -> None:
        self.pending.append(partial(self.streams.__setitem__, stream, (account, name, config, state)))

    def put_stream_state(self, stream: int, state: bytes) -> None:
        self.pending.append(partial(self._put_stream_state, stream, state))

    def drop_stream(self, stream: int) -> None:
        self.pending.append(partial(self._drop_stream, stream))

    def put_consumer(self, stream: int, name: str, config: bytes, state: bytes) -> None:
        self.pending.append(partial(self.consumers.__setitem__, (stream, name), (config, state)))

    def put_consumer_state(self, stream: int, name: str, state: bytes) -> None:
        self.pending.append(partial(self._put_consumer_state, stream, name, state))

    def drop_consumer(self, stream: int, name: str) -> None:
        self.pending.append(lambda: _discard(self.consumers, (stream, name)))

    def put_value(self, key: str, value: bytes) -> None:
        self.pending.append(partial(self.values.__setitem__, key, value))

    def drop_value(self, key: str) -> None:
        self.pending.append(lambda: _discard(self.values, key))

    def commit(self, done: Done, urgent: bool = True) -> None:
        for write in self.pending:
            write()
        self.pending.clear()
        self.call_soon(partial(done, None))

    # ---- reads

    def load(self) -> Recovered:
        return Recovered(
            [StreamRecord(id, *record, *self._edges(id)) for id, record in self.streams.items()],
            [ConsumerRecord(stream, name, *record) for (stream, name), record in self.consumers.items()],
            dict(self.values),
            "memory",
            max(self.streams.keys() | self.rows.keys(), default=0),
        )

    def read(self, stream: int, seq: int) -> Row | None:
        return self.rows.get(stream, {}).get(seq)

    def scan(self, stream: int, first: int, last: int, limit: int) -> list[Row]:
        order = self.order.get(stream, [])
        begin, end = bisect_left(order, first), bisect_right(order, last)
        return [self.rows[stream][seq] for seq in order[begin : min(end, begin + limit)]]

    def scan_back(self, stream: int, last: int, limit: int) -> list[Row]:
        order = self.order.get(stream, [])
        end = bisect_right(order, last)
        return [self.rows[stream][seq] for seq in reversed(order[max(end - limit, 0) : end])]

    def outline(self, stream: int, first: int, last: int, limit: int) -> list[Outline]:
        return [Outline.of(row) for row in self.scan(stream, first, last, limit)]

    def subjects(self, stream: int, first: int = 0, last: int = MAX_SEQ) -> list[SubjectRecord]:
        found: dict[str, SubjectRecord] = {}
        for seq, subject in self.places(stream, first, last):
            known = found.get(subject, SubjectRecord(subject, 0, seq, seq))
            found[subject] = SubjectRecord(subject, known.messages + 1, known.first_seq, seq)
        return list(found.values())

    def places(self, stream: int, first: int, last: int) -> list[tuple[int, str]]:
        order = self.order.get(stream, [])
        seqs = order[bisect_left(order, first) : bisect_right(order, last)]
        return [(seq, self.rows[stream][seq].subject) for seq in seqs]

    def count(self, stream: int, first: int, last: int) -> tuple[int, int]:
        order = self.order.get(stream, [])
        rows = [self.rows[stream][seq] for seq in order[bisect_left(order, first) : bisect_right(order, last)]]
        return len(rows), sum(Outline.of(row).size for row in rows)

    def close(self) -> None:
        """Memory ends with the process."""

    # ---- what a commit carries out

    def _append(self, stream: int, rows: list[NewRow]) -> None:
        held, order = self.rows.setdefault(stream, {}), self.order.setdefault(stream, [])
        for row in rows:
            held[row[0]] = Row(*row)
            order.append(row[0])

    def _delete(self, stream: int, seqs: list[int]) -> None:
        order = self.order.get(stream, [])
        for seq in seqs:
            if self.rows.get(stream, {}).pop(seq, None):
                del order[bisect_left(order, seq)]

    def _delete_range(self, stream: int, first: int, last: int) -> None:
        order = self.order.get(stream, [])
        begin, end = bisect_left(order, first), bisect_right(order, last)
        for seq in order[begin:end]:
            del self.rows[stream][seq]
        del order[begin:end]

    def _put_stream_state(self, stream: int, state: bytes) -> None:
        if stream in self.streams:
            account, name, config, _ = self.streams[stream]
            self.streams[stream] = (account, name, config, state)

    def _put_consumer_state(self, stream: int, name: str, state: bytes) -> None:
        if (stream, name) in self.consumers:
            config, _ = self.consumers[stream, name]
            self.consumers[stream, name] = (config, state)

    def _drop_stream(self, stream: int) -> None:
        _discard(self.streams, stream)
        _discard(self.rows, stream)
        _discard(self.order, stream)
        for key in [key for key in self.consumers if key[0] == stream]:
            del self.consumers[key]

    def _edges(self, stream: int) -> tuple[int, int]:
        order = self.order.get(stream, [])
        return (order[0], order[-1]) if order else (0, 0)


def _discard(table: dict[K, V], key: K) -> None:
    table.pop(key, None)
