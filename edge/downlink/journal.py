"""What became of commands, on disk: a value of the store for each of them, JSON, under ``command:<sequence>``.

A command whose row lies in the mirror and that has no value here is ``received``.  ``sent`` is on disk before the
device hears of it, so that after a power cut nobody takes what may have been run for what was not.  What has ended
stays for a while, to be looked at; ``commands-floor`` is the sequence up to which what ended is forgotten: never run
that again.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from edge.downlink.command import State
from edge.store.contract import VALUE_DAMAGED, VALUES_LOST, Done, Store

log = logging.getLogger("edge")

PREFIX = "command:"
FLOOR = "commands-floor"
LOST = "what was noted of it is damaged on the disk; it may have been carried out"
Record = dict[str, Any]
OPEN = (State.RECEIVED.value, State.SENT.value)


class Journal:
    """``records``: those on disk, by sequence; of the ``spoiled`` ones nothing else is known.  Writes go into the unit
    that the caller commits."""

    def __init__(self, store: Store, values: Mapping[str, bytes], keep: int, spoiled: Iterable[int] = ()) -> None:
        self.store = store
        self.keep = keep
        self.floor = _number(values.get(FLOOR))
        self.records: dict[int, Record] = {}
        for key in sorted(key for key in values if key.startswith(PREFIX)):
            seq = _number(key.removeprefix(PREFIX).encode())
            self.records[seq] = _read(values[key], seq)
        for seq in spoiled:
            self.records.setdefault(seq, _lost(seq))

    def state(self, seq: int) -> str:
        """Empty: nothing is known of it."""
        if seq <= self.floor:
            return "forgotten"
        record = self.records.get(seq)
        return str(record["state"]) if record else ""

    def put(self, seq: int, record: Record) -> None:
        self.store.put_value(_key(seq), json.dumps(record, ensure_ascii=False).encode("utf-8", "replace"))

    def drop(self, seq: int) -> None:
        self.store.drop_value(_key(seq))

    def noted(self, seq: int, record: Record) -> None:
        """What ``put`` wrote is on disk."""
        self.records[seq] = record

    def dropped(self, seq: int) -> None:
        self.records.pop(seq, None)

    def prune(self, before: int, done: Done) -> None:
        """Forget the oldest that have ended, of those before ``before``: nothing below that is still to be run."""
        ended = [seq for seq, record in self.records.items() if record["state"] not in OPEN]
        old = [seq for seq in sorted(ended)[: max(len(ended) - self.keep, 0)] if seq < before]
        if not old:
            return
        for seq in old:
            self.drop(seq)
            del self.records[seq]
        self.floor = max(self.floor, old[-1])
        self.store.put_value(FLOOR, str(self.floor).encode())
        self.store.commit(done, False)


def knows_of(values: Mapping[str, bytes]) -> bool:
    """Of any command, ever?"""
    return FLOOR in values or any(key.startswith(PREFIX) for key in values)


def _key(seq: int) -> str:
    return f"{PREFIX}{seq:020d}"


def _number(value: bytes | None) -> int:
    return int(value) if value is not None and value.isdigit() else 0


def _read(value: bytes, seq: int) -> Record:
    """What cannot be read may have been run: it is taken for sent."""
    try:
        record = json.loads(value)
        if isinstance(record, dict) and State(record.get("state")):
            return record
    except (ValueError, RecursionError):
        pass
    return _lost(seq)


def _lost(seq: int) -> Record:
    log.error("command %d: %s", seq, LOST)
    return {"seq": seq, "state": State.SENT.value, "error": LOST}


def spoiled(damage: Iterable[str]) -> tuple[set[int], bool]:
    """Of which commands the notes are damaged, and whether there may be others.  ``damage``: what the store says."""
    found, more = set(), False
    for line in damage:
        key = line.removeprefix(VALUE_DAMAGED)
        if line == VALUES_LOST:
            more = True
        elif key != line and key.startswith(PREFIX) and key.removeprefix(PREFIX).isdecimal():
            found.add(int(key.removeprefix(PREFIX)))
        elif key != line and (key == FLOOR or len(key) == len(_key(0))):
            more = True
    return found, more
