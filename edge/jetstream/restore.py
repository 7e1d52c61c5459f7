"""A restore: an archive comes in chunks and becomes a stream, whole or not at all.

The messages are stored as they come, under an id that belongs to no stream yet and is noted as half made: a start
takes away what is left of it.  One last commit makes it a stream, with its consumers, and then it begins like any other
that a start finds on disk.
"""

import json
import logging
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from edge.core.peer import Subscription
from edge.core.times import SECOND, rfc3339
from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.acks import Acks
from edge.jetstream.advisories import random_name
from edge.jetstream.archive import ArchiveError, ArchiveReader, ConsumerPart, Part, StreamPart
from edge.jetstream.consumer_config import ConsumerConfig, consumer_config
from edge.jetstream.consumer_rules import check_consumer
from edge.jetstream.fields import dumps
from edge.jetstream.info import error_response, response, stream_info
from edge.jetstream.retention import nobody_waits
from edge.jetstream.stream import MEMORY_OVERHEAD, OVERHEAD, recorded
from edge.jetstream.stream_config import StreamConfig
from edge.message import END as BLOCK_END
from edge.message import VERSION as BLOCK
from edge.store.contract import HALF_MADE, MAX_SEQ, ConsumerRecord, NewRow, Outline, Row, StreamRecord
from edge.subjects import is_literal

if TYPE_CHECKING:
    from edge.jetstream.account import JetStreamAccount

STALLED_NS = 5 * SECOND  # without a chunk
SLICE, ROWS = 256 << 10, 256  # bytes and messages that are taken out of the archive in a turn, and stored as one commit

MOST_PENDING = 1_000_000

log = logging.getLogger("edge.jetstream")


class Restore:
    def __init__(self, jetstream: "JetStreamAccount", config: StreamConfig, client: object) -> None:
        self.jetstream = jetstream
        self.account = jetstream.account
        self.clock = jetstream.clock
        self.config = config
        self.client = client
        self.store = jetstream.stores.of(config)
        self.id = jetstream.next_id()
        self.mark = f"{HALF_MADE}{self.id}"
        self.overhead = MEMORY_OVERHEAD if config.storage == "memory" else OVERHEAD
        self.start_ns = self.clock.wall()
        self.active_at = self.clock.monotonic()
        self.received = 0  # bytes of the archive
        self.incoming: deque[tuple[str, bytes]] = deque()  # chunks, with where each is answered
        self.current: tuple[str, int] | None = None  # of these the one that is taken apart
        self.parts: Iterator[Part] = iter(())
        self.reader = ArchiveReader()
        self.consumers: list[ConsumerPart] = []
        self.rows = self.size = 0
        self.first_seq = self.last_seq = 0
        self.is_marked = self.busy = self.is_over = False
        self.failure: ApiError | None = None
        self.deliver = f"$JS.SNAPSHOT.RESTORE.{config.name}.{random_name(22)}"
        self.subscription: Subscription | None = None

    @property
    def name(self) -> str:
        return self.config.name

    def open(self) -> str:
        """The subject that chunks go to."""
        log.info("Starting restore for stream '%s > %s'", self.account.name, self.name)
        self.jetstream.advisories.restore_created(self.name, self.client)
        self.subscription = self.account.subscribe(self.deliver, self._receive)
        self.jetstream.transfers.add(self)
        self.clock.wake()
        return self.deliver

    # ---- chunks, each answered when it is on disk

    def _receive(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        self.active_at = self.clock.monotonic()
        if not reply:
            self._fail(_failed(f"{self._named()} requires reply subject for each chunk"))
            self._tell_end()
            self._close()
            return
        self.incoming.append((reply, payload))
        self.account.router.brake.add(len(payload))
        self._work()

    def _work(self) -> None:
        while not self.busy and not self.is_over and (self.current is not None or self.incoming):
            if self.current is None:
                reply, data = self.incoming.popleft()
                self.account.router.brake.arrived(len(data))
                self.received += len(data)
                self.current = reply, len(data)
                if not data:
                    self._finish()
                    return
                self.reader.feed(b"" if self.failure else data)
                self.parts = self.reader.parts()
            self._slice()

    def _slice(self) -> None:
        """Store some of the chunk; what is left of it waits for the commit."""
        rows: list[NewRow] = []
        size, is_dry = 0, True
        try:
            for part in () if self.failure else self.parts:
                if isinstance(part, Row):
                    self._check_message(part)
                    rows.append(part)
                    size += Outline.of(part).size + self.overhead
                elif isinstance(part, StreamPart):
                    self._check_stream(part)
                elif isinstance(part, ConsumerPart):
                    self._check_consumer(part)
                    self.consumers.append(part)
                if size >= SLICE or len(rows) >= ROWS:
                    is_dry = False
                    break
            self._check_room(size)
        except ArchiveError as exc:
            self._fail(_failed(str(exc)))
        except ApiError as error:
            self._fail(error)
        if self.failure or not rows:
            self._answer()
            return
        if not self.is_marked:
            self.is_marked = True
            self.store.put_value(self.mark, b"")
        self.store.append(self.id, rows, self.config.compression != "none")
        self.busy = True
        self.first_seq = self.first_seq or rows[0][0]
        self.last_seq = rows[-1][0]
        self.rows += len(rows)
        self.size += size
        self.store.commit(partial(self._stored, is_dry))

    def _stored(self, is_dry: bool, error: StoreError | None) -> None:
        self.busy = False
        if error is not None:
            self._fail(_refused(error))
        if is_dry or self.failure:
            self._answer()
        self._work()

    def _answer(self) -> None:
        assert self.current is not None
        reply, _ = self.current
        self.current = None
        self.active_at = self.clock.monotonic()
        self.account.publish(reply, self._said())
        self.clock.wake()

    def _said(self) -> bytes:
        """Every chunk behind the one that failed is told why too: who sends many at once may look at the last only."""
        return error_response("stream_create", self.failure, {}) if self.failure is not None else b""

    # ---- is it what can be here?

    def _check_stream(self, part: StreamPart) -> None:
        last = part.state.get("last")
        if type(last) is not int or not 0 <= last <= MAX_SEQ:
            raise _failed(f"its last sequence is said to be {last!r}")
        self._check_free()

    def _check_free(self) -> None:
        try:
            self.jetstream.check_free(self.config)
        except ApiError as error:
            if error is errors.RESTORE_NAME:
                raise
            raise _failed(f"error adding stream: {error.description} ({error.err_code})") from error

    def _check_message(self, row: Row) -> None:
        headers, most = row.headers, self.config.max_msg_size
        is_block = headers.startswith(BLOCK) and headers.endswith(BLOCK_END)
        if not is_literal(row.subject) or (headers and not is_block):
            raise _failed(f"message sequence {row.seq} is none that a client could have sent")
        if 0 < most < len(headers) + len(row.payload):
            raise _failed(f"message sequence {row.seq} exceeds maximum message size")

    def _check_consumer(self, part: ConsumerPart) -> None:
        try:
            config = self._consumer_config(part)
            check_consumer(config, self.config, self.jetstream.limits.consumer_bounds(self.jetstream.server_limits()))
            _check_places(part.state)
            Acks(config, 0).decode(part.state.encode(), 0, 0)
        except ApiError as error:
            raise _failed(f'failed to add consumer "{part.name}": {error.description}') from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise _failed(f'failed to add consumer "{part.name}": {exc}') from exc
        if any(part.name == other.name for other in self.consumers):
            raise _failed(f'failed to add consumer "{part.name}": there is another of this name')

    def _consumer_config(self, part: ConsumerPart) -> ConsumerConfig:
        given = part.config["config"]
        return consumer_config(given, part.name, given.get("durable_name", ""), "name" in given)

    def _check_room(self, size: int) -> None:
        limit = self.jetstream.limits.max_bytes(self.config.storage)
        if self.store.full or (
            limit is not None and self.jetstream.used_bytes(self.config.storage) + self.size + size > limit
        ):
            raise errors.INSUFFICIENT_MEMORY if self.config.storage == "memory" else errors.INSUFFICIENT_STORAGE

    # ---- the end

    def _finish(self) -> None:
        if self.failure is None:
            try:
                self.reader.finish()
                self._check_free()
            except ArchiveError as exc:
                self._fail(_failed(str(exc)))
            except ApiError as error:
                self._fail(error)
        if self.failure is not None:
            self._end()
            return
        self.busy = True
        self.jetstream.arriving[self.name] = self.config  # nobody else takes its name or its subjects
        record, consumers = self._records()
        self.store.put_stream(self.id, record.account, record.name, record.config, record.state)
        for consumer in consumers:
            self.store.put_consumer(*consumer)
        if self.is_marked:
            self.store.drop_value(self.mark)
        self.store.commit(partial(self._made, record, consumers))

    def _records(self) -> tuple[StreamRecord, list[ConsumerRecord]]:
        """As a start would find them."""
        archived = self.reader.state
        assert archived is not None
        now = self.clock.wall()
        record = StreamRecord(
            self.id, self.account.name, self.name, recorded(self.config, True, now), dumps(self._state(archived)),
            self.first_seq, self.last_seq,
        )  # fmt: skip
        consumers = [
            ConsumerRecord(self.id, part.name, json.dumps(part.config | {"created": now}).encode(), part.state.encode())
            for part in self.consumers
        ]
        return record, consumers

    def _state(self, archived: StreamPart) -> dict[str, object]:
        last = max(self.last_seq, archived.state["last"])
        first = self.first_seq or last + 1
        origins = {"origins": archived.state["origins"]} if "origins" in archived.state else {}
        return {"first": first, "last": last, "messages": self.rows, "bytes": self.size, **origins}

    def _made(self, record: StreamRecord, consumers: list[ConsumerRecord], error: StoreError | None) -> None:
        self.busy = False
        del self.jetstream.arriving[self.name]
        if error is not None:
            self._fail(_refused(error))
            self._end()
            return
        stream = self.jetstream.adopt(record, consumers)
        count = len(self.jetstream.keeper.names(self.name))
        self._tell_end()
        if self.current is not None:
            info = stream_info(stream, count, self.clock.wall(), "")
            self.account.publish(self.current[0], response("stream_create", info))
            self.current = None
        log.info("Completed restore of %d messages for stream '%s > %s'", self.rows, self.account.name, self.name)
        self._close()

    def _fail(self, error: ApiError) -> None:
        """Nothing of it stays; the subject is open until the sender ends, so that it hears why."""
        if self.failure is not None:
            return
        self.failure = error
        log.warning("Restore failed for stream '%s > %s': %s", self.account.name, self.name, error.description)
        if self.is_marked:
            self.store.drop_stream(self.id)
            self.store.drop_value(self.mark)
            self.store.commit(nobody_waits)

    def _end(self) -> None:
        """Of one that failed."""
        self._tell_end()
        self._answer()
        self._close()

    def _named(self) -> str:
        return f"restore for stream '{self.account.name} > {self.name}'"

    def _tell_end(self) -> None:
        start, end = rfc3339(self.start_ns), rfc3339(self.clock.wall())
        self.jetstream.advisories.restore_completed(self.name, start, end, self.received, self.client)

    def _close(self) -> None:
        self.is_over = True
        self.jetstream.transfers.discard(self)
        for _, data in self.incoming:
            self.account.router.brake.arrived(len(data))
        self.incoming.clear()
        if self.subscription is not None:
            self.account.unsubscribe(self.subscription)
            self.subscription = None

    # ---- time

    def deadline(self) -> int | None:
        return None if self.busy else self.active_at + STALLED_NS

    def tick(self, now: int) -> None:
        if not self.busy and now >= self.active_at + STALLED_NS:
            self._fail(_failed(f"{self._named()} is stalled"))
            self._close()


def _check_places(state: str) -> None:
    """Numbers, and no more messages that wait for acks than there can be.  ValueError or TypeError."""
    places, runs, *picked = json.loads(state)
    if any(type(number) is not int or not 0 <= number <= MAX_SEQ for run in (places, picked, *runs) for number in run):
        raise ValueError("its state is none")
    if sum(length for _, _, length, _ in runs) > MOST_PENDING:
        raise ValueError(f"more than {MOST_PENDING} messages wait for an ack")


def _failed(what: str) -> ApiError:
    return ApiError(500, 10062, f"restore failed: {what}")


def _refused(error: StoreError) -> ApiError:
    return errors.INSUFFICIENT_STORAGE if error.full else _failed(str(error))


