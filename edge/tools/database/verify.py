"""Everything in a store looked at: every message's checksum, every record, and whether they agree with each other.

``verify`` changes nothing and may look at the store of a running server.  ``repair`` needs it stopped; it does what a
start does (damaged pages are copied around, the log is mended), puts right what does not agree, and says so.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

import apsw

from edge.errors import StoreError
from edge.store import statements
from edge.store.contract import MAX_SEQ, ConsumerRecord, Recovered, StreamRecord
from edge.store.database import DAMAGE
from edge.store.reader import Reader
from edge.store.records import Records
from edge.store.statements import Write, doomed
from edge.tools.database.access import open_store


class Flaw(NamedTuple):
    """``repair``: what puts it right, empty where nothing can; ``done`` says what was done then."""

    text: str
    repair: tuple[Write, ...] = ()
    done: str = ""


class Examined(NamedTuple):
    """``lost``: those of the flaws that stay until everything else is copied."""

    streams: int
    messages: int
    flaws: list[Flaw]
    lost: list[str]


def verify(folder: str) -> Examined:
    """ToolError for what is no store."""
    connection = open_store(folder)
    try:
        return examine(connection)
    finally:
        connection.close()


def examine(connection: apsw.Connection) -> Examined:
    lost = [f"the database is damaged: {line}" for line in _structure(connection)]
    reader = Reader(connection)
    connection.execute("BEGIN")  # one state of everything
    try:
        reader.hide(doomed(connection))
        records = Records(connection, reader)
        found = records.load()
        lost += found.damage
        flaws: list[Flaw] = []
        total = 0
        for stream in found.streams:
            counted = _Counted(reader, stream)
            total += counted.messages
            flaws += counted.flaws()
        lost += [_gap(found, *span) for span in sorted(reader.reported)]
        flaws += [flaw for consumer in found.consumers for flaw in _consumer(consumer, found)]
    finally:
        connection.execute("ROLLBACK")
    return Examined(len(found.streams), total, [Flaw(line) for line in lost] + flaws, lost)


def _structure(connection: apsw.Connection) -> list[str]:
    try:
        lines = [str(line).splitlines()[-1] for (line,) in connection.execute("PRAGMA quick_check(10)")]
    except DAMAGE as exc:
        return [str(exc)]
    return [line for line in lines if line != "ok"]


def _gap(found: Recovered, stream: int, first: int, last: int) -> str:
    name = next((record.name for record in found.streams if record.id == stream), str(stream))
    which = f"message {first} is" if first == last else f"messages in {first}-{last} are"
    if last == MAX_SEQ:
        which = f"messages from {first} on are"
    return f"stream {name}: {which} damaged; what is around is served"


# ---- streams


class _Counted:
    """The messages of one stream, read one by one, against what its record says."""

    def __init__(self, reader: Reader, stream: StreamRecord) -> None:
        self.stream = stream
        self.messages = self.behind = 0
        self.last = 0
        state = _state(stream)
        self.state = state
        until = state["last"] if state else 0
        for row in reader.rows(stream.id, state["first"] if state else 0):  # what limits dropped may still be there
            self.messages += 1
            self.last = row.seq
            self.behind += row.seq > until
        self.damaged = sum(
            min(last, MAX_SEQ) - first + 1 for owner, first, last in reader.reported if owner == stream.id
        )  # which are counted, too, where they are single rows

    def flaws(self) -> Iterator[Flaw]:
        name, state = self.stream.name, self.state
        if not self.stream.state:
            return  # named already
        if state is None:
            yield self._flaw(f"stream {name}: its state cannot be read")
            return
        expected = state["messages"] + self.behind
        if not self.messages <= expected <= self.messages + self.damaged:
            yield self._flaw(f"stream {name}: it says {expected} messages, {self.messages} are there")

    def _flaw(self, text: str) -> Flaw:
        """Without a state a start counts anew."""
        return Flaw(text, (statements.put_stream_state(self.stream.id, b""),), "counted anew at the next start")


def _state(stream: StreamRecord) -> dict[str, int] | None:
    try:
        state = json.loads(stream.state)
        return {name: int(state[name]) for name in ("first", "last", "messages", "bytes")}
    except (ValueError, KeyError, TypeError):
        return None


# ---- consumers


def _consumer(consumer: ConsumerRecord, found: Recovered) -> Iterator[Flaw]:
    stream = next((record for record in found.streams if record.id == consumer.stream), None)
    if stream is None:
        yield Flaw(
            f"consumer {consumer.name}: its stream ({consumer.stream}) is not here",
            (statements.drop_consumer(consumer.stream, consumer.name),), "removed",
        )  # fmt: skip
        return
    problem = _disagreement(consumer.state, max(stream.last_seq, (_state(stream) or {"last": 0})["last"]))
    if consumer.state and problem:
        yield Flaw(
            f"consumer {consumer.name} of stream {stream.name}: {problem}",
            (statements.put_consumer_state(stream.id, consumer.name, b""),), "it starts over",
        )  # fmt: skip


def _disagreement(state: bytes, last_seq: int) -> str:
    """Why this cannot be the state of a consumer of a stream that ends with ``last_seq``; empty when it can.

    A power cut may have taken messages from a stream that its consumer had been given: that is put right at a start.
    """
    try:
        places, runs, *_ = json.loads(state)
        delivered_consumer, delivered_stream, floor_consumer, floor_stream = (int(place) for place in places[:4])
        pending = [(int(seq), int(length)) for seq, _, length, *_ in runs]
    except (ValueError, TypeError):
        return "its state cannot be read"
    if not (0 <= floor_stream <= delivered_stream and 0 <= floor_consumer <= delivered_consumer):
        return f"it acknowledged up to {floor_stream}, and was given only up to {delivered_stream}"
    seen = [seq + i for seq, length in pending for i in range(length)]
    if len(seen) != len(set(seen)):
        return "a message waits for its ack twice"
    if any(not floor_stream < seq <= delivered_stream for seq in seen):
        return "a message waits for its ack that was acknowledged, or never delivered"
    return ""


# ---- repairs


def repair(folder: str) -> list[str]:
    """A line for each thing that was done.  StoreError while a server holds the store, or where the disk refuses;
    ToolError for what is no store."""
    from edge.store.sqlite import SqliteStore, ask_to_mend

    open_store(folder).close()  # nothing is made where there is none
    store = SqliteStore(folder, lambda call: call())  # opening it mends what a start mends
    failed: list[StoreError] = []
    try:
        done = list(store.load().damage)
        if lost := examine(store.reader.connection).lost:
            store.close()
            ask_to_mend(folder)  # by copying what is sound
            store = SqliteStore(folder, lambda call: call())
            done += [f"{line}: left out of a copy that has all the others" for line in lost if line not in done]
        for flaw in examine(store.reader.connection).flaws:
            if flaw.repair:
                store.writes += flaw.repair
                done.append(f"{flaw.text}: {flaw.done}")
        store.commit(lambda error: failed.append(error) if error is not None else None)
    finally:
        store.close()
    if failed:
        raise failed[0]
    return done
