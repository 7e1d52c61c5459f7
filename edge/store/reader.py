"""Reads of messages that get past damage.

A row whose checksum does not hold and a page that cannot be read are passed over and said once.  A damaged page can
also mislead a walk to end early without an error, so a walk that has ended is held against the far end of its range.
"""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple
from zlib import crc32

import apsw

from edge.store import schema
from edge.store.contract import MAX_SEQ, SEQ_BITS, Outline, Row, SubjectRecord
from edge.store.database import DAMAGE
from edge.store.seal import id_before, to_bytes, to_text

log = logging.getLogger("edge.store")

CHUNK = 1000
PROBES = 4096  # single steps over a hole; a longer one is crossed by halving, and its islands are lost
PAGE_ROWS = 256  # more than a page of 4 KB holds
MAX_BYTES = 1 << 20  # of payload that one read brings into memory, about
REPORTS = 1000  # after so many it is clear that the disk is bad

Raw = tuple[int, int, bytes, bytes | None, bytes, int]


class Way(NamedTuple):
    sql: str
    step: int


FORWARD = Way(schema.SCAN, 1)
BACK = Way(schema.SCAN_BACK, -1)


class Walk(NamedTuple):
    """``torn``: some of the way could not be read; ``broken``: because of a page, so it cannot be written either."""

    rows: list[Row]
    torn: bool
    broken: bool
    large: bool = False


class Fetched(NamedTuple):
    """``broken``: a page could not be read; ``unsound``: the sequences of rows whose checksum does not hold;
    ``large``: there may be more, but not to be read at once."""

    broken: bool
    unsound: list[int]
    large: bool = False


class Reader:
    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.doomed: list[tuple[int, int]] = []  # ids that are deleted though they are there, from ... to
        self.reported: set[tuple[int, int, int]] = set()
        self.names: dict[int, str] = {}  # of streams, for those who read of damage
        self.quiet = False  # what is damaged is only noted
        self.on_gap: Callable[[], None] = _nobody_asks  # more is missing than a page holds: the way to it is damaged
        self.crossings: dict[tuple[int, int, int], int] = {}  # where a hole begins: where it has been left

    def move(self, connection: apsw.Connection) -> None:
        """To the mended file."""
        self.connection.close()
        self.connection = connection
        self.crossings.clear()

    def hide(self, doomed: list[tuple[int, int]]) -> None:
        self.doomed = doomed

    def read(self, stream: int, seq: int) -> Row | None:
        rows = self.walk(FORWARD, stream, seq, seq, 1).rows
        return rows[0] if rows else None

    def walk(self, way: Way, stream: int, first: int, last: int, limit: int) -> Walk:
        """Up to ``limit`` rows from ``first`` towards ``last``, both included; BACK has ``first`` >= ``last``."""
        parts = self._parts(stream, min(first, last), max(first, last)) if (last - first) * way.step >= 0 else []
        rows: list[Row] = []
        torn = broken = False
        for low, high in parts if way is FORWARD else reversed(parts):
            ends = (low, high) if way is FORWARD else (high, low)
            part = self._walk(way, stream, *ends, limit - len(rows))
            rows += part.rows
            torn, broken = torn or part.torn, broken or part.broken
            if len(rows) == limit or part.large:
                break
        return Walk(rows, torn, broken)

    def _walk(self, way: Way, stream: int, first: int, last: int, limit: int) -> Walk:
        rows: list[Row] = []
        at = first
        torn = broken = False
        while len(rows) < limit:
            fetched = self._fetch(way, stream, at, last, limit - len(rows), rows)
            if rows:
                at = rows[-1].seq + way.step
            for seq in fetched.unsound:
                if (at - seq) * way.step > 0:
                    self._report(stream, seq, seq)
            if fetched.large:
                return Walk(rows, torn, broken, True)
            if len(rows) == limit or (last - at) * way.step < 0:
                break
            if not fetched.broken and self._is_past(way, stream, at, last):
                break
            misled = fetched.broken or not fetched.unsound
            torn, broken = True, broken or misled
            found = self._cross(way, stream, at, last)
            end = found - way.step if found is not None else last
            if (end - at) * way.step >= 0:  # else it was only the limit, which counts rows that are not sound too
                self._report(stream, at, end)
            if misled and abs(end - at) > PAGE_ROWS:
                self.on_gap()
            if found is None:
                break
            at = found
        return Walk(rows, torn, broken)

    def _parts(self, stream: int, first: int, last: int) -> list[tuple[int, int]]:
        """What of this range is not deleted."""
        base = stream << SEQ_BITS
        parts = []
        for low, high in self.doomed:
            if low >> SEQ_BITS == stream and high - base >= first and low - base <= last:
                if low - base > first:
                    parts.append((first, low - base - 1))
                first = high - base + 1
        return [*parts, (first, last)] if first <= last else parts

    def subjects(self, stream: int, first: int, last: int) -> list[SubjectRecord]:
        counts: dict[str, int] = {}
        firsts: dict[str, int] = {}
        lasts: dict[str, int] = {}
        for seq, subject in self.places(stream, first, last):
            lasts[subject] = seq
            if subject in counts:
                counts[subject] += 1
            else:
                counts[subject] = 1
                firsts[subject] = seq
        return [SubjectRecord(subject, counts[subject], firsts[subject], lasts[subject]) for subject in counts]

    def places(self, stream: int, first: int, last: int) -> Iterator[tuple[int, str]]:
        base = stream << SEQ_BITS
        texts: dict[bytes | None, str] = {}
        try:
            for low, high in self._parts(stream, first, last):
                before = (base | low) - 1
                for id, raw in self.connection.execute(schema.PLACES, (base | low, base | high)):
                    if id <= before:
                        raise apsw.CorruptError("a message out of order")
                    before = id
                    subject = texts.get(raw)
                    if subject is None:
                        if raw is None:
                            continue
                        subject = texts[raw] = to_text(raw)
                    first = (id & MAX_SEQ) + 1
                    yield id & MAX_SEQ, subject
        except DAMAGE:
            yield from ((row.seq, row.subject) for row in self.rows(stream, first, last))

    def outline(self, stream: int, first: int, last: int, limit: int) -> list[Outline]:
        base = stream << SEQ_BITS
        found: list[Outline] = []
        try:
            for low, high in self._parts(stream, first, last):
                bindings = (base | low, base | high, limit - len(found))
                before = bindings[0] - 1
                for id, subject, size in self.connection.execute(schema.OUTLINE, bindings):
                    if id <= before:
                        raise apsw.CorruptError("a message out of order")
                    before = id
                    if subject is not None and size is not None:
                        found.append(Outline(id & MAX_SEQ, to_text(subject), size))
                if len(found) >= limit:
                    break
        except DAMAGE:
            return [Outline.of(row) for row in self.walk(FORWARD, stream, first, last, limit).rows]
        return found

    def count(self, stream: int, first: int, last: int) -> tuple[int, int]:
        base = stream << SEQ_BITS
        messages = size = 0
        try:
            for low, high in self._parts(stream, first, last):
                ((some, length),) = self.connection.execute(schema.COUNT, (base | low, base | high))
                messages, size = messages + some, size + int(length)
        except DAMAGE:
            sizes = [
                len(to_bytes(row.subject)) + len(row.headers) + len(row.payload)
                for row in self.rows(stream, first, last)
            ]
            return len(sizes), sum(sizes)
        return messages, size

    def rows(self, stream: int, first: int = 0, last: int = MAX_SEQ) -> Iterator[Row]:
        """Every row that can be read."""
        while rows := self.walk(FORWARD, stream, first, last, CHUNK).rows:
            yield from rows
            first = rows[-1].seq + 1

    def _fetch(self, way: Way, stream: int, at: int, last: int, limit: int, rows: list[Row]) -> Fetched:
        """Add the sound rows to ``rows``."""
        base = stream << SEQ_BITS
        low, high = (at, last) if way.step > 0 else (last, at)
        unsound: list[int] = []
        moved: list[int] = []
        try:
            found: Iterator[Raw] = self.connection.execute(way.sql, (base | low, base | high, limit))
            is_large = _unseal(found, rows, unsound, moved, low if way.step > 0 else high, base, way.step > 0)
            broken = False
        except DAMAGE:
            is_large, broken = False, True
        finally:
            for seq in moved:
                if self._may_be_missing(base | seq):
                    self._report(stream, seq, seq)
        return Fetched(broken, unsound, is_large)

    def _may_be_missing(self, id: int) -> bool:
        """Is it none of the stream's messages, but between them?"""
        base = id & ~MAX_SEQ
        try:
            ((last,),) = self.connection.execute(schema.LAST_OF, (base, base | MAX_SEQ))
            return bool(id < (last or 0)) and not list(self.connection.execute(schema.IS_THERE, (id,)))
        except DAMAGE:
            return True

    def _is_past(self, way: Way, stream: int, at: int, last: int) -> bool:
        """Is nothing left between here and the far end, seen from there?"""
        rows: list[Row] = []
        fetched = self._fetch(BACK if way is FORWARD else FORWARD, stream, last, at, 1, rows)
        return fetched == Fetched(False, []) and not rows

    # ---- over a hole

    def _cross(self, way: Way, stream: int, at: int, last: int) -> int | None:
        """The first sound row from ``at`` on; None when there is none."""
        key = (stream, at, way.step)
        if key not in self.crossings:
            found = self._first_sound(way, stream, at, last)
            if found is None:
                return None
            self.crossings[key] = found
        found = self.crossings[key]
        return found if (last - found) * way.step >= 0 else None

    def _first_sound(self, way: Way, stream: int, at: int, last: int) -> int | None:
        length = abs(last - at)
        reach = self._reach(way, stream, at, last)
        if reach is None:
            return self._probe_each(way, stream, at, last, min(length + 1, PAGE_ROWS))
        if reach > PROBES:
            at += self._narrow(way, stream, at, last, reach) * way.step
            reach = 0
        return self._probe_each(way, stream, at, last, reach + 1)

    def _reach(self, way: Way, stream: int, at: int, last: int) -> int | None:
        """How far off something answers, by ever longer steps."""
        length, distance, stride = abs(last - at), 0, 1
        while self._probe(way, stream, at + distance * way.step, last) is None:
            if distance == length:
                return None
            distance, stride = min(distance + stride, length), stride * 2
        return distance

    def _narrow(self, way: Way, stream: int, at: int, last: int, reach: int) -> int:
        silent = 0
        while reach - silent > 1:
            middle = (silent + reach) // 2
            if self._probe(way, stream, at + middle * way.step, last) is None:
                silent = middle
            else:
                reach = middle
        return reach

    def _probe_each(self, way: Way, stream: int, at: int, last: int, steps: int) -> int | None:
        probes = (self._probe(way, stream, at + i * way.step, last) for i in range(steps))
        return next((seq for seq in probes if seq is not None), None)

    def _probe(self, way: Way, stream: int, at: int, last: int) -> int | None:
        """The next row from here, if it is sound."""
        rows: list[Row] = []
        self._fetch(way, stream, at, last, 1, rows)
        return rows[0].seq if rows else None

    def _report(self, stream: int, start: int, end: int) -> None:
        first, last = min(start, end), max(start, end)
        if (stream, first, last) in self.reported or len(self.reported) >= REPORTS:
            return
        self.reported.add((stream, first, last))
        if not self.quiet:
            log.error("store: %s and passed over", self.describe(stream, first, last))

    def describe(self, stream: int, first: int, last: int) -> str:
        what = f"message {first} is" if first == last else f"messages in {first}-{last} are"
        if last == MAX_SEQ:
            what = f"the messages from {first} on are"
        return f"stream {self.names.get(stream, stream)}: {what} damaged"


def _unseal(
    found: Iterator[Raw], rows: list[Row], unsound: list[int], moved: list[int], at: int, base: int, ascending: bool
) -> bool:
    """Until there are no more (False), or for now enough bytes (True).  What every message that is read passes: the
    checksum is ``seal_message``, in place.  ``moved``: where those belong that stand somewhere else.
    One of DAMAGE for a row that is not behind the one before it: a damaged inner page leads back, or elsewhere."""
    before = base + at - 1 if ascending else base + at + 1
    room = MAX_BYTES
    make = partial(tuple.__new__, Row)
    while True:
        id = 0
        try:
            for id, time_ns, subject, headers, payload, crc in found:
                if id <= before if ascending else id >= before:
                    raise apsw.CorruptError("a message out of order")
                before = id
                sealed = crc32(subject, (id ^ id >> 32 ^ time_ns ^ time_ns >> 32) & 0xFFFFFFFF)
                if crc32(payload, crc32(headers, sealed) if headers else sealed) != crc:
                    unsound.append(id & MAX_SEQ)
                    if place := id_before(id, time_ns, subject, headers, payload, crc):
                        moved.append(place & MAX_SEQ)
                    continue
                if time_ns < 0:
                    try:
                        headers, payload = _unpacked(headers, payload)
                    except ValueError:
                        unsound.append(id & MAX_SEQ)
                        continue
                    time_ns = ~time_ns
                rows.append(make((id & MAX_SEQ, to_text(subject), time_ns, headers or b"", payload)))
                room -= len(payload)
                if room <= 0:
                    return True
            return False
        except TypeError:  # a field that has become NULL
            unsound.append(id & MAX_SEQ)


def _unpacked(headers: bytes | None, payload: bytes) -> tuple[bytes, bytes]:
    from edge.store.packed import unpack  # for streams that ask for it

    return unpack(headers or b"", payload)


def _nobody_asks() -> None:
    """Until there is a writer that can mend it."""
