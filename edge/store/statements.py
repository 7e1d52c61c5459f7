"""What the store writes, as SQL with its bindings, and the transaction that carries it out.

Every statement gives the interpreter up and has to win it back from a loop that may be busy.  So it is statements
that are saved, not rows: appends gather into a few long INSERTs, and a lone statement is its own transaction.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from zlib import crc32

import apsw

from edge.store import schema
from edge.store.contract import MAX_SEQ, SEQ_BITS, NewRow
from edge.store.database import DAMAGE
from edge.store.seal import seal_record, to_bytes


class Statement(NamedTuple):
    sql: str
    bindings: tuple[Any, ...]
    on_messages: bool = False  # does it touch what may have been appended before it?


Appended = list[Any]  # the columns of all rows, one after the other


class ToPack(Appended):
    """Rows that are to be packed, where it makes them shorter."""


Write = Statement | Appended


def append(stream: int, rows: Iterable[NewRow], pack: bool = False) -> Appended:
    base = stream << SEQ_BITS
    columns: Appended = ToPack() if pack else []
    known, raw = "", b""
    for seq, subject, time_ns, headers, payload in rows:
        if subject != known:
            known, raw = subject, to_bytes(subject)
        id = base | seq
        crc = crc32(raw, (id ^ id >> 32 ^ time_ns ^ time_ns >> 32) & 0xFFFFFFFF)  # seal_message, in place
        crc = crc32(payload, crc32(headers, crc) if headers else crc)
        columns += (id, raw, time_ns, headers or None, payload, crc)
    return columns


def delete(stream: int, seqs: list[int]) -> list[Write]:
    if seqs and max(seqs) - min(seqs) == len(set(seqs)) - 1:
        return delete_range(stream, min(seqs), max(seqs))
    base = stream << SEQ_BITS
    found: list[Write] = []
    for i in range(0, len(seqs), schema.DELETE_SIZE):
        ids = tuple(base | seq for seq in seqs[i : i + schema.DELETE_SIZE])
        found.append(Statement(schema.DELETE, ids + (None,) * (schema.DELETE_SIZE - len(ids)), True))
    return found


def erase(stream: int, seqs: list[int]) -> list[Write]:
    notes = [put_value(f"{schema.ERASING}{stream << SEQ_BITS | seq}", b"") for seq in seqs]
    return [Statement(schema.OVERWRITE, ()), *delete(stream, seqs), *notes, Statement(schema.OVERWRITE_NO_MORE, ())]


def delete_range(stream: int, first: int, last: int) -> list[Write]:
    base = stream << SEQ_BITS
    ends = base | first, base | last
    return [Statement(schema.DOOM_RANGE, ends, True), Statement(schema.DELETE_RANGE, ends, True)]


def delete_some(doomed: tuple[int, int]) -> list[Write]:
    """Of a range that is doomed, a bit; and the note of it, when that was all."""
    return [Statement(schema.DELETE_SOME, doomed, True), Statement(schema.FORGET_DOOMED, doomed[:1], True)]


def doomed(connection: apsw.Connection) -> list[tuple[int, int]]:
    """Ids from the first to the last of each range."""
    try:
        return list(connection.execute(schema.DOOMED))
    except DAMAGE:  # what was deleted comes back, which is better than the other way round
        return []


def put_stream(stream: int, account: str, name: str, config: bytes, state: bytes) -> list[Write]:
    identity = stream, to_bytes(account), to_bytes(name), config
    crc = seal_stream(*identity)
    return [
        Statement(schema.PUT_STREAM, (*identity, crc, state, seal_record(state))),
        Statement(schema.PUT_STREAM_COPY, (*identity, crc)),
    ]


def put_stream_state(stream: int, state: bytes) -> Statement:
    return Statement(schema.PUT_STREAM_STATE, (stream, state, seal_record(state)))


def drop_stream(stream: int) -> list[Write]:
    drops = (schema.DROP_CONSUMERS, schema.DROP_STREAM, schema.DROP_STREAM_COPY)
    return [*delete_range(stream, 0, MAX_SEQ), *(Statement(sql, (stream,)) for sql in drops)]


def put_consumer(stream: int, name: str, config: bytes, state: bytes) -> Statement:
    raw = to_bytes(name)
    crc = seal_consumer(stream, raw, config)
    return Statement(schema.PUT_CONSUMER, (stream, raw, config, crc, state, seal_record(state)))


def put_consumer_state(stream: int, name: str, state: bytes) -> Statement:
    return Statement(schema.PUT_CONSUMER_STATE, (stream, to_bytes(name), state, seal_record(state)))


def drop_consumer(stream: int, name: str) -> Statement:
    return Statement(schema.DROP_CONSUMER, (stream, to_bytes(name)))


def put_value(key: str, value: bytes) -> Statement:
    raw = to_bytes(key)
    return Statement(schema.PUT_VALUE, (raw, value, seal_record(raw, value)))


def drop_value(key: str) -> Statement:
    return Statement(schema.DROP_VALUE, (to_bytes(key),))


def seal_stream(stream: int, account: bytes, name: bytes, config: bytes) -> int:
    return seal_record(b"%d" % stream, account, name, config)


def seal_consumer(stream: int, name: bytes, config: bytes) -> int:
    return seal_record(b"%d" % stream, name, config)


def transact(connection: apsw.Connection, writes: Iterable[Write]) -> None:
    """All of it or, with an exception, nothing."""
    plan = list(_plan(writes))
    if len(plan) > 1:
        connection.execute("BEGIN IMMEDIATE")
    try:
        for sql, bindings in plan:
            connection.execute(sql, bindings)
        if len(plan) > 1:
            connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _plan(writes: Iterable[Write]) -> Iterator[tuple[str, Any]]:
    """Rows wait for each other until a statement needs them to be there."""
    rows: Appended = []
    for write in writes:
        if isinstance(write, list):
            if isinstance(write, ToPack):
                write = _packed(write)
            rows += write
            continue
        if write.on_messages and rows:
            yield from _inserts(rows)
            rows = []
        yield write.sql, write.bindings
    yield from _inserts(rows)


def _packed(rows: ToPack) -> Appended:
    """A commit may be tried again: what is packed is packed once."""
    from edge.store.packed import pack  # and zlib's tables, for those who ask for it

    columns = list(rows)
    for i in range(0, len(columns), schema.COLUMNS):
        pack(columns, i)
    return columns


def _inserts(rows: Appended) -> Iterator[tuple[str, Appended]]:
    longest = schema.APPEND_SIZES[-1] * schema.COLUMNS
    for i in range(0, len(rows), longest):
        part = rows[i : i + longest]
        size = next(size for size in schema.APPEND_SIZES if size * schema.COLUMNS >= len(part))
        part += [None] * (size * schema.COLUMNS - len(part))
        yield schema.APPEND[size], part
