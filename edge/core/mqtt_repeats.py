"""Which QoS 1 messages of a client are stored already, so that one sent again after a lost PUBACK is not stored twice.

A message that a stream captures carries ``Nmqtt-Id: <packet id>.<number> <client id>``: who sent it is on disk in the
same row as the message itself, and a SIGKILL between the commit and the PUBACK cannot part them.  From these rows and
from what is noted here the last messages of each client are known: its log.

A PUBLISH with DUP repeats the last message of its packet id if topic and payload are the same, and
 1. no PUBACK has left for that one (then the client cannot have given the packet id to another), or
 2. the client is not one that gives the same message the same packet id again so soon.  The PUBACK may have arrived,
    and this may be a new message whose first sending was lost; where a client's habits allow both, it is stored:
    QoS 1 permits a message twice, never none.

A log is noted in the store without a commit of its own: the note goes with the next commit, whatever that is about,
so it is there before an uplink or a limit can take the row away.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol
from zlib import crc32

from edge.core.router import Router
from edge.core.values import Values
from edge.errors import StoreError
from edge.message import header_get

PREFIX = "mqtt.log "
EPOCH_KEY = "mqtt.epoch"
HEADER = "Nmqtt-Id"
KEEP = 128  # messages of a client; more than that in flight are stored again when they are sent again
MAX_LOGS = 4096
RECORD = struct.Struct("<QHQ")  # number, packet id, digest
MAX_IDS = len("65535.18446744073709551615")


class Recent(NamedTuple):
    """A message found near the end of a stream."""

    account: str
    subject: str
    headers: bytes
    payload: bytes


class Waiter(Protocol):
    """Whoever is to be told what becomes of a message."""

    def confirm(self) -> None: ...
    def fail(self, reason: str) -> None: ...


class Entry:
    """One message.  ``stored``: its stream has said so; ``acked``: a PUBACK has been sent, or may have been."""

    __slots__ = ("acked", "digest", "log", "number", "packet_id", "stored", "waiters")

    def __init__(self, log: "Log", number: int, packet_id: int, digest: int) -> None:
        self.log = log
        self.number = number
        self.packet_id = packet_id
        self.digest = digest
        self.stored = self.acked = False
        self.waiters: list[Waiter] = []  # those who sent it, once or again


class Log:
    """``key`` names it in the store; empty for a client that has no name of its own and so cannot come back."""

    __slots__ = ("entries", "is_dirty", "is_noted", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self.entries: deque[Entry] = deque(maxlen=KEEP)
        self.is_dirty = False
        self.is_noted = False

    def last(self, packet_id: int) -> Entry | None:
        return next((entry for entry in reversed(self.entries) if entry.packet_id == packet_id), None)

    def distance(self, entry: Entry) -> int:
        """1 for the latest message."""
        return len(self.entries) - self.entries.index(entry)

    def recurs_within(self, distance: int) -> bool:
        """Has the client sent the same message under the same packet id again, so few messages later?"""
        seen: dict[tuple[int, int], int] = {}
        for at, entry in enumerate(self.entries):
            same = (entry.packet_id, entry.digest)
            if same in seen and at - seen[same] <= distance:
                return True
            seen[same] = at
        return False

    def packed(self) -> bytes:
        stored = [entry for entry in self.entries if entry.stored]
        return b"".join(RECORD.pack(entry.number, entry.packet_id, entry.digest) for entry in stored)


class Repeats:
    """``recent`` reads the ends of the streams as they were at the start; it is asked when the first DUP comes."""

    def __init__(
        self, values: Values, router: Router, found: Mapping[str, bytes], recent: Callable[[], Iterable[Recent]]
    ) -> None:
        self.values = values
        self.router = router
        self.recent = recent
        self.is_rebuilt = False
        self.logs: dict[str, Log] = {}
        self.dirty: list[Log] = []
        for key, value in found.items():
            if key.startswith(PREFIX):
                self._restore(key, value)
        # numbers of this run are above all that were given before, whether or not those were noted
        epoch = (int.from_bytes(found.get(EPOCH_KEY, b""), "big") + 1) & 0xFFFFFFFF
        self.number = epoch << 32
        values.put_value(EPOCH_KEY, epoch.to_bytes(4, "big"))
        values.commit(_nobody_waits, urgent=False)

    def add(self, account: str, client_id: str, packet_id: int, subject: str, payload: bytes) -> Entry:
        """A message that a stream is about to capture."""
        self.number += 1
        entry = Entry(self._log(account, client_id), self.number, packet_id, digest(subject, payload))
        entry.log.entries.append(entry)
        return entry

    def header(self, entry: Entry) -> str:
        """The line for the message's header block, without its end."""
        _, _, client = entry.log.key[len(PREFIX) :].partition(" ")
        return f"{HEADER}:{entry.packet_id}.{entry.number} {client}" if client else ""

    def find(self, account: str, client_id: str, packet_id: int, subject: str, payload: bytes) -> Entry | None:
        """What a PUBLISH with DUP repeats, if it does."""
        if not self.is_rebuilt:
            self._rebuild()
        log = self.logs.get(_key(account, client_id))
        entry = log.last(packet_id) if log else None
        if log is None or entry is None or entry.digest != digest(subject, payload):
            return None
        if entry.acked and log.recurs_within(log.distance(entry)):
            return None
        return entry

    def stored(self, entry: Entry) -> None:
        """Its stream has it."""
        entry.stored = True
        log = entry.log
        if log.key and not log.is_dirty:
            log.is_dirty = True
            if not self.dirty:
                self.router.touch(self)
            self.dirty.append(log)

    def forget(self, entry: Entry) -> None:
        """Its stream did not take it."""
        if entry in entry.log.entries:
            entry.log.entries.remove(entry)

    def leave(self, account: str, client_id: str) -> None:
        """DISCONNECT: who says goodbye has its PUBACKs, or does not wait for them."""
        log = self.logs.get(_key(account, client_id))
        if log is not None and all(entry.acked for entry in log.entries):
            self._drop(log)

    def flush(self) -> None:
        """At the end of a batch: note what has been stored."""
        dirty, self.dirty = self.dirty, []
        for log in dirty:
            log.is_dirty = False
            if self.logs.get(log.key) is log:
                log.is_noted = True
                self.values.put_value(log.key, log.packed())

    # ---- inside

    def _log(self, account: str, client_id: str) -> Log:
        if not client_id:
            return Log("")
        key = _key(account, client_id)
        log = self.logs.pop(key, None) or Log(key)
        self.logs[key] = log  # the one used last stands last
        if len(self.logs) > MAX_LOGS:
            self._drop(next(iter(self.logs.values())))
        return log

    def _drop(self, log: Log) -> None:
        del self.logs[log.key]
        if log.is_noted:
            self.values.drop_value(log.key)

    def _restore(self, key: str, value: bytes) -> None:
        log = self.logs[key] = Log(key)
        log.is_noted = True
        if len(value) % RECORD.size == 0:
            for number, packet_id, digest in RECORD.iter_unpack(value):
                log.entries.append(_doubtful(log, number, packet_id, digest))

    def _rebuild(self) -> None:
        """Add what the rows say to what was noted, in the order in which the messages came."""
        self.is_rebuilt = True
        for account, subject, headers, payload in self.recent():
            packet_id, number, client = parse_header(header_get(headers, HEADER) or "")
            if not client:
                continue
            log = self.logs.setdefault(f"{PREFIX}{account} {client}", Log(f"{PREFIX}{account} {client}"))
            if all(entry.number != number for entry in log.entries):
                entries = [*log.entries, _doubtful(log, number, packet_id, digest(subject, payload))]
                log.entries = deque(sorted(entries, key=lambda entry: entry.number), maxlen=KEEP)


def digest(subject: str, payload: bytes) -> int:
    crc = crc32(payload, crc32(subject.encode("utf-8", "surrogateescape")))
    return crc << 32 | len(payload) & 0xFFFFFFFF


def parse_header(value: str) -> tuple[int, int, str]:
    """Packet id, number and client; an empty client where it is not one of ours."""
    ids, _, client = value.partition(" ")
    packet_id, _, number = ids.partition(".")
    if len(ids) > MAX_IDS or not (packet_id.isdecimal() and number.isdecimal()):
        return 0, 0, ""
    if int(packet_id) > 0xFFFF or int(number) >= 1 << 64:
        return 0, 0, ""
    return int(packet_id), int(number), client


def _key(account: str, client_id: str) -> str:
    """Client ids may hold what a header cannot."""
    return f"{PREFIX}{account} {client_id.encode('unicode_escape').decode().strip()}"


def _doubtful(log: Log, number: int, packet_id: int, digest: int) -> Entry:
    entry = Entry(log, number, packet_id, digest)
    entry.stored = entry.acked = True
    return entry


def _nobody_waits(error: StoreError | None) -> None:
    """Every message is queued behind it: what fails here fails there too."""
