"""JetStream of one account: its streams and their consumers, made, changed and removed."""

import json
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edge.core.account import Account
from edge.core.times import Clock
from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.admission import Budgets
from edge.jetstream.advisories import Advisories
from edge.jetstream.advisories import random_name as random_name
from edge.jetstream.consumer import Consumer
from edge.jetstream.consumers import Consumers
from edge.jetstream.health import Health
from edge.jetstream.inlets import change_inlet, close_inlet, open_inlet, recover_inlet
from edge.jetstream.limits import Limits as Limits
from edge.jetstream.limits import ServerLimits
from edge.jetstream.messages import After
from edge.jetstream.origin_rules import check_filters
from edge.jetstream.stream import Stream
from edge.jetstream.stream_config import StreamConfig, stream_config
from edge.jetstream.stream_rules import check_single, updated, with_rules
from edge.store.contract import ConsumerRecord, NewRow, Store, StreamRecord
from edge.subjects import overlap

if TYPE_CHECKING:
    from edge.jetstream.inlet import Inlet

log = logging.getLogger("edge.jetstream")


class Stores(NamedTuple):
    file: Store
    memory: Store

    def of(self, config: StreamConfig) -> Store:
        return self.memory if config.storage == "memory" else self.file


class Transfer(Protocol):
    """A stream on its way out or in."""

    def deadline(self) -> int | None: ...
    def tick(self, now: int) -> None: ...


class JetStreamAccount:
    def __init__(
        self,
        account: Account,
        stores: Stores,
        clock: Clock,
        limits: Limits,
        domain: str,
        server_name: str,
        next_id: Callable[[], int],
        health: Health,
    ) -> None:
        self.account = account
        self.stores = stores
        self.clock = clock
        self.limits = limits
        self.domain = domain
        self.next_id = next_id
        self.health = health
        self.advisories = Advisories(account, clock, domain, server_name)
        self.streams: dict[str, Stream] = {}
        self.arriving: dict[str, StreamConfig] = {}  # restored, and about to be streams
        self.transfers: set[Transfer] = set()
        self.budgets = Budgets()  # the server's own, where there is one
        self.keeper = Consumers(self)
        self.consumers = self.keeper.by_stream
        self.watchers: list[Callable[[Stream, list[NewRow]], None]] = []
        self.is_server_full: Callable[[str], bool] = lambda storage: False
        self.server_limits: Callable[[], ServerLimits] = ServerLimits
        self.server_room: Callable[[str], int | None] = lambda storage: None  # bytes left to reserve

    # ---- streams

    def stream(self, name: str) -> Stream:
        if name not in self.streams:
            raise errors.STREAM_NOT_FOUND
        return self.streams[name]

    def create_stream(
        self, config: StreamConfig, after: After, announce: bool = True, pedantic: bool = False
    ) -> Stream:
        """A new stream, or the one that is there with the same configuration; ``after`` follows its commit.

        ``announce`` False: leafs do not ask the hub for its subjects.
        """
        self._check_limits(config)
        config = self._ruled(config, pedantic)
        check_single(config)
        known = self.streams.get(config.name)
        if known is not None:
            if known.config != config:
                raise errors.STREAM_NAME_EXISTS
            known.store.commit(after)
            return known
        if config.name in self.arriving:
            raise errors.STREAM_NAME_EXISTS
        check_filters(config)
        self._check_overlap(config)
        stream = self._make_stream(self.next_id(), config)
        stream.created_ns = self.clock.wall()
        self._add(stream, announce)
        stream.save(partial(self._created, stream, after))
        return stream

    def _ruled(self, config: StreamConfig, pedantic: bool) -> StreamConfig:
        def find(name: str) -> StreamConfig | None:
            return self.streams[name].config if name in self.streams else None

        bounds = self.limits.stream_bounds(config.storage, self.server_limits())
        return with_rules(config, bounds, pedantic, find)

    def _created(self, stream: Stream, after: After, error: StoreError | None) -> None:
        if error is None:
            self.advisories.stream_action(stream.name, "CREATED", "create")
        else:
            self._remove(stream)
        after(error)

    def update_stream(self, config: StreamConfig, name: str, after: After, pedantic: bool = False) -> Stream:
        """``name``: of the stream that was asked for."""
        config = self._ruled(config, pedantic)
        if config.name != name:
            raise errors.STREAM_MISMATCH
        stream = self.stream(name)
        check_single(config)
        old = stream.config
        config = updated(old, config)
        self._check_limits(config, old)
        self._check_consumers(stream, config)
        self._check_overlap(config)
        self._reconfigure(stream, config)
        stream.save(partial(self._updated, stream, old, after))
        return stream

    def _reconfigure(self, stream: Stream, config: StreamConfig) -> None:
        old = stream.config
        stream.stop()
        stream.configure(config)
        if stream.retention.interest is not None:
            stream.retention.interest.consumers = [*self.consumers[stream.name].values()]
        stream.start(stream.announce)
        change_inlet(stream, old)
        stream.retention.enforce_all()
        if self.consumers[stream.name]:
            stream.retention.recover()  # what nobody ever wanted was there before it mattered, and stays
        else:
            stream.retention.review()
        self.clock.wake()

    def _updated(self, stream: Stream, old: StreamConfig, after: After, error: StoreError | None) -> None:
        if error is None:
            self.advisories.stream_action(stream.name, "UPDATED", "modify")
        elif self.streams.get(stream.name) is stream:
            self._reconfigure(stream, old)
        after(error)

    def delete_stream(self, stream: Stream, after: After) -> None:
        inlet = stream.inlet
        consumers = self._remove(stream)
        stream.store.drop_stream(stream.id)
        stream.store.commit(partial(self._deleted, stream, inlet, consumers, after))

    def _deleted(
        self,
        stream: Stream,
        inlet: "Inlet | None",
        consumers: list[Consumer],
        after: After,
        error: StoreError | None,
    ) -> None:
        if error is None:
            if inlet is not None:
                inlet.forget()
            for consumer in consumers:
                consumer.close()
                self.advisories.consumer_action(stream.name, consumer.name, "DELETED", "delete")
            self.advisories.stream_action(stream.name, "DELETED", "delete")
        elif stream.name not in self.streams:
            self._add(stream, stream.announce)
            for consumer in consumers:
                self.keeper.attach(consumer)
        after(error)

    def used_bytes(self, storage: str) -> int:
        return sum(stream.bytes for stream in self.streams.values() if stream.config.storage == storage)

    def reserved_bytes(self, storage: str) -> int:
        return self._reserved(storage)

    def _reserved(self, storage: str, but: str = "") -> int:
        configs = [stream.config for stream in self.streams.values()]
        return sum(max(config.max_bytes, 0) for config in configs if config.storage == storage and config.name != but)

    def _refusal(self, storage: str) -> ApiError | None:
        """Why nothing more is stored: the account's own limit is met, or that of the whole server."""
        limit = self.limits.max_bytes(storage)
        if limit is not None and self.used_bytes(storage) >= limit:
            return errors.RESOURCES_EXCEEDED
        return errors.INSUFFICIENT_RESOURCES if self.is_server_full(storage) else None

    def _left(self, storage: str) -> int | None:
        """Bytes that may still come; None: any."""
        limit = self.limits.max_bytes(storage)
        if limit is None:
            return None
        streams = [stream for stream in self.streams.values() if stream.config.storage == storage]
        return limit - sum(stream.bytes + stream.coming for stream in streams)

    def _add(self, stream: Stream, announce: bool) -> None:
        self.streams[stream.name] = stream
        self.consumers[stream.name] = {}
        stream.refusal = partial(self._refusal, stream.config.storage)
        stream.left = partial(self._left, stream.config.storage)
        stream.watchers = self.watchers
        stream.abandoned = partial(self.advisories.batch_abandoned, stream.name)
        stream.admission.budgets = self.budgets
        stream.start(announce)
        open_inlet(stream)

    def _make_stream(self, id: int, config: StreamConfig) -> Stream:
        return Stream(id, self.account, config, self.stores.of(config), self.clock, self.health, self.domain)

    def _remove(self, stream: Stream) -> list[Consumer]:
        """Nobody finds it any more.  Its consumers, that do not know yet."""
        stream.stop()
        stream.admission.clear()
        close_inlet(stream)
        if self.streams.get(stream.name) is not stream:
            return []
        del self.streams[stream.name]
        consumers = list(self.consumers.pop(stream.name).values())
        for consumer in consumers:
            self.keeper.detach(consumer)
        return consumers

    def _check_overlap(self, config: StreamConfig) -> None:
        for other in [*(stream.config for stream in self.streams.values()), *self.arriving.values()]:
            if other.name != config.name and any(
                overlap(mine, theirs) for mine in config.subjects for theirs in other.subjects
            ):
                raise errors.SUBJECTS_OVERLAP

    def _check_limits(self, config: StreamConfig, old: StreamConfig | None = None) -> None:
        """A stream that may grow without limits reserves nothing, but does not begin where all is reserved."""
        limits, storage = self.limits, config.storage
        others = sum(name != config.name for name in self.streams)
        if config.name not in self.streams and limits.max_streams and others >= limits.max_streams:
            raise errors.refused(10027, "maximum number of streams reached")
        if limits.max_consumers is not None and 0 < limits.max_consumers < config.max_consumers:
            raise errors.MAX_CONSUMERS
        wanted = max(config.max_bytes, 0)
        more = (wanted or 1) if old is None else max(wanted - max(old.max_bytes, 0), 0)
        exceeded = errors.INSUFFICIENT_MEMORY if storage == "memory" else errors.INSUFFICIENT_STORAGE
        limit, room = limits.max_bytes(storage), self.server_room(storage)
        if limit is not None and self._reserved(storage, but=config.name) + max(wanted, more) > limit:
            raise exceeded
        if room is not None and more > room:
            raise exceeded

    def _check_consumers(self, stream: Stream, config: StreamConfig) -> None:
        """New limits for consumers hold for those that are there."""
        old, new = stream.config.consumer_limits, config.consumer_limits
        if new == old:
            return
        violating = [
            consumer.name
            for consumer in self.consumers[stream.name].values()
            if 0 < new.inactive_ns < consumer.config.inactive_ns
            or 0 < new.max_ack_pending < consumer.config.max_ack_pending
        ]
        if violating:
            raise ApiError(500, 10069, f"change to limits violates consumers: {', '.join(violating)}")

    # ---- consumers

    def consumer(self, stream: str, name: str) -> Consumer:
        found = self.consumers.get(stream, {}).get(name)
        if found is None:
            if stream not in self.streams:
                raise errors.STREAM_NOT_FOUND
            raise errors.CONSUMER_NOT_FOUND
        return found

    # ---- snapshots and restores

    def later(self, call: Callable[[], None]) -> None:
        """In a turn of its own, so that others have theirs in between."""
        self.stores.memory.commit(lambda error: call())

    def check_new(self, config: StreamConfig) -> StreamConfig:
        """What a stream of this configuration would be; ApiError for one that cannot be here."""
        config = self._ruled(config, pedantic=False)
        self._check_limits(config)
        return config

    def check_free(self, config: StreamConfig) -> None:
        """Is there a place for another stream like this?"""
        if config.name in self.streams or config.name in self.arriving:
            raise errors.RESTORE_NAME
        check_single(config)
        self._check_limits(config)
        self._check_overlap(config)

    def adopt(self, record: StreamRecord, consumers: list[ConsumerRecord]) -> Stream:
        """What is on disk now as if it had always been there."""
        stream = self.recover_stream(record)
        assert stream is not None
        self.advisories.stream_action(stream.name, "CREATED", "create")
        for consumer in consumers:
            self.keeper.recover(stream, consumer)
        stream.retention.recover()
        self.clock.wake()
        return stream

    # ---- time

    def deadline(self) -> int | None:
        found = [deadline for consumer in self.keeper.all() if (deadline := consumer.deadline()) is not None]
        found += [deadline for transfer in self.transfers if (deadline := transfer.deadline()) is not None]
        for stream in self.streams.values():
            if (deadline := stream.deadline()) is not None:
                found.append(deadline)
            if stream.inlet is not None and (deadline := stream.inlet.deadline()) is not None:
                found.append(deadline)
        return min(found, default=None)

    def tick(self, now: int) -> None:
        self.keeper.tick(now)
        for transfer in list(self.transfers):
            transfer.tick(now)
        for stream in list(self.streams.values()):
            stream.tick()
            if stream.inlet is not None:
                stream.inlet.tick(now)

    # ---- recovery

    def recover_stream(self, record: StreamRecord) -> Stream | None:
        """None for a record that cannot be read: said in the log, its messages stay where they are."""
        try:
            fields = json.loads(record.config)
            announce, created_ns = fields.pop("_announce"), int(fields.pop("_created"))
            stream = self._make_stream(record.id, stream_config(fields))
        except (ValueError, KeyError, TypeError, ApiError) as exc:
            log.error("stream %s cannot be recovered: %s", record.name, exc)
            return None
        stream.created_ns = created_ns
        recover_inlet(stream, record)
        try:
            stream.recover(record)
        except ValueError as exc:
            log.error("stream %s: %s", stream.name, exc)
        self._add(stream, announce)
        log.info("  Restored %d messages for stream '%s > %s'", stream.messages, self.account.name, stream.name)
        return stream
