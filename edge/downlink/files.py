"""Files that the hub has for this edge: objects of its store, fetched chunk by chunk into a folder.

The index of the store (one small message for each object) is mirrored here.  Of the objects named ``<edge>/...`` and
``all/...`` the newest version is fetched, one object after another and one chunk at a time: a chunk is on disk before
the store notes how far it has come, and that is where it goes on after a lost link, a restart or a power cut.  Only
what is whole and has the digest that the hub says is put in its place, at once.
"""

import base64
import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from edge.core.leaf_link import LeafLink
from edge.core.times import SECOND, Clock, rfc3339
from edge.downlink.object_meta import ObjectMeta, deleted_name, read_meta
from edge.downlink.part_file import PartFile
from edge.downlink.reported import Purse
from edge.errors import PetioleError, StoreError
from edge.jetstream.stream import Stream
from edge.message import header_block, header_get

log = logging.getLogger("edge")

PREFIX = "file:"  # of values of the store
ANSWER_NS = 20 * SECOND
FIRST_RETRY_NS, LAST_RETRY_NS = SECOND, 60 * SECOND
MAX_FILES = 10_000
MAX_SPOILED = 3

Fault = Exception | None
Background = Callable[[Callable[[], None], Callable[[Fault], None]], None]


class FileOptions(Protocol):
    @property
    def bucket(self) -> str: ...
    @property
    def hub_domain(self) -> str: ...
    @property
    def dir(self) -> str: ...


class Files:
    """``index``: the mirror of the objects' descriptions; ``background(work, done)`` has the disk do something."""

    def __init__(
        self,
        edge: str,
        options: FileOptions,
        link: LeafLink,
        index: Stream,
        values: Mapping[str, bytes],
        clock: Clock,
        purse: Purse | None,
        background: Background,
        inbox: str,
    ) -> None:
        self.edge = edge
        self.options = options
        self.link = link
        self.index = index
        self.clock = clock
        self.purse = purse
        self.background = background
        self.inbox = inbox
        self.records = {key: record for key in values if key.startswith(PREFIX) and (record := _read(values[key]))}
        self.wanted: dict[str, ObjectMeta] = {}  # by name, those that are not here; the first is being fetched
        self.next_seq = 0
        self.spoiled: dict[str, int] = {}  # how often what came was not what it should be, by version
        self.part: PartFile | None = None
        self.busy = False  # the disk is
        self.asked = 0  # number of the request that an answer is expected to
        self.requests = 0
        self.due = 0
        self.retry_at = 0
        self.backoff = FIRST_RETRY_NS
        link.account.subscribe(f"{inbox}.*", self._on_answer)
        link.account.subscribe(f"{inbox}.end.*", self._on_told, announce=False)
        link.account.subscribe(f"petiole.{edge}.files", self._on_question)
        link.listeners.append(self._on_link)
        index.listeners.append(self._on_index)
        self._on_index()

    # ---- events

    def _on_index(self) -> None:
        while rows := self.index.scan(self.next_seq, 100):
            for row in rows:
                meta = read_meta(row.payload, self.edge)
                if meta is not None:
                    self._want(meta)
                elif (name := deleted_name(row.payload)) in self.wanted:
                    self._unwant(name)
            self.next_seq = rows[-1].seq + 1
        self._go_on()

    def _want(self, meta: ObjectMeta) -> None:
        record = self._record(meta.name)
        if record.get("nuid") == meta.nuid and record.get("state") in ("done", "failed"):
            return
        if meta.fault or len(self.wanted) >= MAX_FILES:
            self._end(meta, meta.fault or "too many files wait")
            return
        if self._is_first(meta.name):
            self._drop_part()  # another version of what is being fetched
        self.wanted[meta.name] = meta

    def _unwant(self, name: str) -> None:
        """It is not to be had any more."""
        if self._is_first(name):
            self._drop_part()
        del self.wanted[name]
        self.records.pop(_key(name), None)
        self.index.store.drop_value(_key(name))
        self.index.store.commit(_nobody_waits, False)

    def _is_first(self, name: str) -> bool:
        """Is it the one that is being fetched?"""
        return next(iter(self.wanted), None) == name

    def _on_link(self, up: bool) -> None:
        self.asked = self.due = 0
        if up:
            self.retry_at, self.backoff = 0, FIRST_RETRY_NS
            self._go_on()

    def deadline(self) -> int | None:
        return min((due for due in (self.due, self.retry_at) if due), default=None)

    def tick(self, now: int) -> None:
        if self.due and now >= self.due:
            self._rest("no answer from the hub", now)
        if self.retry_at and now >= self.retry_at:
            self.retry_at = 0
            self._go_on()

    # ---- one after another

    def _go_on(self) -> None:
        """Whatever is next, if nothing is under way."""
        now = self.clock.monotonic()
        if self.busy or self.asked or self.retry_at or not self.wanted:
            return
        meta = next(iter(self.wanted.values()))
        if self.part is None:
            self._open(meta)
        elif self.part.bytes >= meta.size:
            self._finish(meta, self.part)
        elif self.link.up:
            self._ask(meta, now)

    def _open(self, meta: ObjectMeta) -> None:
        record = self._record(meta.name)
        if record.get("nuid") != meta.nuid:
            self._note(meta, state="fetching", bytes=0, seq=0)
            record = self._record(meta.name)
        part = self.part = PartFile(self.options.dir, meta.nuid, meta.size)
        keep = {each.nuid for each in self.wanted.values()}
        self._do(partial(part.open, int(record["bytes"]), keep, meta.path, meta.digest), part, lambda: None)

    def _ask(self, meta: ObjectMeta, now: int) -> None:
        if self.purse is not None and self.purse.room(False, now) <= 0:
            self.retry_at = now + SECOND
            self.clock.wake()
            return
        bucket = self.options.bucket
        seq = int(self._record(meta.name)["seq"]) + 1 if self.part is not None and self.part.bytes else 1
        body = json.dumps({"seq": seq, "next_by_subj": f"$O.{bucket}.C.{meta.nuid}"}).encode()
        self.requests += 1
        subject = f"$JS.{self.options.hub_domain}.API.DIRECT.GET.OBJ_{bucket}"
        if refusal := self.link.refusal(subject, len(body)):
            self._rest(refusal, now)
        elif self.link.publish(subject, body, f"{self.inbox}.{self.requests}"):
            self.asked, self.due = self.requests, now + max(ANSWER_NS, 4 * self.link.rtt)
            self.clock.wake()
        else:
            self._rest("the link takes nothing now", now)

    def _on_answer(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        if not self.asked or subject.rpartition(".")[2] != str(self.asked) or self.part is None or not self.wanted:
            return
        self.asked = self.due = 0
        meta, part = next(iter(self.wanted.values())), self.part
        if self.purse is not None:
            self.purse.spend(len(headers) + len(payload), False)
        seq = header_get(headers, "Nats-Sequence") or ""
        if not seq.isdecimal() or not payload or header_get(headers, "Nats-Subject") != self._chunks(meta):
            status = headers[9:60].partition(b"\r")[0].decode("ascii", "replace")
            self._later(meta, f"the hub has no more of it: {status}")
            return
        self._do(partial(part.write, payload), part, partial(self._written, meta, part, int(seq)))

    def _chunks(self, meta: ObjectMeta) -> str:
        return f"$O.{self.options.bucket}.C.{meta.nuid}"

    def _written(self, meta: ObjectMeta, part: PartFile, seq: int) -> None:
        self.backoff = FIRST_RETRY_NS
        self._note(meta, state="fetching", bytes=part.bytes, seq=seq)

    def _finish(self, meta: ObjectMeta, part: PartFile) -> None:
        self._do(partial(part.finish, meta.path, meta.digest), part, partial(self._end, meta, ""))

    def _do(self, work: Callable[[], None], part: PartFile, then: Callable[[], None]) -> None:
        """The disk's part.  Another version may be wanted when it is done."""
        self.busy = True

        def done(fault: Fault) -> None:
            self.busy = False
            if self.part is not part:
                part.close()
            elif fault is not None:
                self._failed(fault)
            else:
                then()
            self._go_on()

        self.background(work, done)

    # ---- what goes wrong

    def _failed(self, fault: Exception) -> None:
        """Of the disk's part.  What has come wrong is fetched again from its beginning, but not for ever."""
        meta = next(iter(self.wanted.values()))
        if isinstance(fault, PetioleError):
            times = self.spoiled[meta.nuid] = self.spoiled.get(meta.nuid, 0) + 1
            self._note(meta, state="fetching", bytes=0, seq=0)
            if times >= MAX_SPOILED:
                del self.spoiled[meta.nuid]
                self._drop_part()
                self._end(meta, str(fault))
                return
        elif not isinstance(fault, OSError):
            raise fault
        self._later(meta, str(fault))

    def _later(self, meta: ObjectMeta, reason: str) -> None:
        """The others have their turn."""
        self._drop_part()
        if (record := self._record(meta.name)) and record["state"] == "fetching":
            record["error"] = reason  # until it goes on
        self.wanted[meta.name] = self.wanted.pop(meta.name)
        self._rest(f"{meta.name}: {reason}", self.clock.monotonic())

    def _drop_part(self) -> None:
        if self.part is not None and not self.busy:
            self.part.close()
        self.part = None
        self.asked = self.due = 0

    def _rest(self, reason: str, now: int) -> None:
        log.warning("files: waiting %d s: %s", self.backoff // SECOND, reason)
        self.asked = self.due = 0
        self.retry_at = now + self.backoff
        self.backoff = min(self.backoff * 2, LAST_RETRY_NS)
        self.clock.wake()

    # ---- what is known of them

    def _end(self, meta: ObjectMeta, error: str) -> None:
        """It is in its place, or never will be."""
        if self._is_first(meta.name):
            self._drop_part()
        self.wanted.pop(meta.name, None)
        state = "failed" if error else "done"
        log.info("file %s: %s%s", meta.name, state, f": {error}" if error else f", {meta.size} bytes")
        key = self._set(meta, state=state, bytes=0 if error else meta.size, seq=0, error=error)
        body = json.dumps({"edge": self.edge} | self.records[key], ensure_ascii=False).encode("utf-8", "replace")
        id = header_block([("Nats-Msg-Id", f"file {meta.nuid} {state}")])
        given = self.link.account.publish(
            f"results.{self.edge}.files", body, headers=id, capture_reply=f"{self.inbox}.end.{key}", origin=self.link
        )
        if not given.captured:
            self._save(key)

    def _on_told(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """The result is on disk, on its way up: now it need not be told again after a power cut."""
        key = subject.removeprefix(f"{self.inbox}.end.")
        if key in self.records:
            self._save(key)

    def _record(self, name: str) -> dict[str, Any]:
        return self.records.get(_key(name), {})

    def _note(self, meta: ObjectMeta, state: str, bytes: int, seq: int) -> None:
        self._save(self._set(meta, state, bytes, seq))

    def _set(self, meta: ObjectMeta, state: str, bytes: int, seq: int, error: str = "") -> str:
        """Its key."""
        key = _key(meta.name)
        self.records[key] = {
            "file": meta.name, "nuid": meta.nuid, "size": meta.size, "state": state, "bytes": bytes, "seq": seq,
            "error": error, "at": rfc3339(self.clock.wall()),
        }  # fmt: skip
        return key

    def _save(self, key: str) -> None:
        self.index.store.put_value(key, json.dumps(self.records[key]).encode())
        self.index.store.commit(_nobody_waits, False)

    def _on_question(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        if reply:
            files = list(self.records.values())[-1000:]
            self.link.account.publish(reply, json.dumps({"edge": self.edge, "files": files}).encode())


def _key(name: str) -> str:
    return PREFIX + base64.urlsafe_b64encode(name.encode("utf-8", "surrogatepass")).decode()


def _read(value: bytes) -> dict[str, Any] | None:
    """What cannot be read is fetched again."""
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"nuid", "state", "bytes", "seq"} <= found.keys() else None


def _nobody_waits(error: StoreError | None) -> None:
    """Some chunks more are fetched again after a power cut."""
