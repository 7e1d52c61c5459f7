"""JetStream of one account: its streams and their consumers, made, changed and removed."""

import json
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from edge.core.account import Account
from edge.core.times import ZERO, Clock
from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.advisories import Advisories
from edge.jetstream.advisories import random_name as random_name
from edge.jetstream.consumer import Consumer, start_seq
from edge.jetstream.consumer_config import ConsumerConfig, check_consumer_update, consumer_config
from edge.jetstream.health import Health
from edge.jetstream.messages import After
from edge.jetstream.stream import Stream
from edge.jetstream.stream_config import StreamConfig, check_update, stream_config
from edge.store.contract import ConsumerRecord, NewRow, Store, StreamRecord
from edge.subjects import matches, overlap

log = logging.getLogger("edge.jetstream")


class Limits(NamedTuple):
    """None is unlimited."""

    max_file_bytes: int | None = None
    max_memory_bytes: int | None = None
    max_streams: int | None = None
    max_consumers: int | None = None


class Stores(NamedTuple):
    file: Store
    memory: Store

    def of(self, config: StreamConfig) -> Store:
        return self.memory if config.storage == "memory" else self.file


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
        self.consumers: dict[str, dict[str, Consumer]] = {}
        self.watchers: list[Callable[[Stream, list[NewRow]], None]] = []
        self.is_server_full: Callable[[str], bool] = lambda storage: False

    # ---- streams

    def stream(self, name: str) -> Stream:
        if name not in self.streams:
            raise errors.STREAM_NOT_FOUND
        return self.streams[name]

    def create_stream(self, config: StreamConfig, after: After, announce: bool = True) -> Stream:
        """A new stream, or the one that is there with the same configuration; ``after`` follows its commit.

        ``announce`` False: leafs do not ask the hub for its subjects.
        """
        known = self.streams.get(config.name)
        if known is not None:
            if known.config != config:
                raise errors.STREAM_NAME_EXISTS
            known.store.commit(after)
            return known
        self._check_overlap(config)
        self._check_limits(config)
        stream = self._make_stream(self.next_id(), config)
        stream.created_ns = self.clock.wall()
        self._add(stream, announce)
        stream.save(partial(self._created, stream, after))
        return stream

    def _created(self, stream: Stream, after: After, error: StoreError | None) -> None:
        if error is None:
            self.advisories.stream_action(stream.name, "CREATED", "create")
        else:
            self._remove(stream)
        after(error)

    def update_stream(self, config: StreamConfig, after: After) -> Stream:
        stream = self.stream(config.name)
        check_update(stream.config, config)
        self._check_overlap(config)
        old = stream.config
        self._reconfigure(stream, config)
        stream.save(partial(self._updated, stream, old, after))
        return stream

    def _reconfigure(self, stream: Stream, config: StreamConfig) -> None:
        stream.stop()
        stream.configure(config)
        stream.start(stream.announce)
        stream.enforce_limits()
        self.clock.wake()

    def _updated(self, stream: Stream, old: StreamConfig, after: After, error: StoreError | None) -> None:
        if error is None:
            self.advisories.stream_action(stream.name, "UPDATED", "modify")
        elif self.streams.get(stream.name) is stream:
            self._reconfigure(stream, old)
        after(error)

    def delete_stream(self, stream: Stream, after: After) -> None:
        consumers = self._remove(stream)
        stream.store.drop_stream(stream.id)
        stream.store.commit(partial(self._deleted, stream, consumers, after))

    def _deleted(self, stream: Stream, consumers: list[Consumer], after: After, error: StoreError | None) -> None:
        if error is None:
            for consumer in consumers:
                consumer.close()
            self.advisories.stream_action(stream.name, "DELETED", "delete")
        elif stream.name not in self.streams:
            self._add(stream, stream.announce)
            for consumer in consumers:
                self._attach(consumer)
        after(error)

    def used_bytes(self, storage: str) -> int:
        return sum(stream.bytes for stream in self.streams.values() if stream.config.storage == storage)

    def reserved_bytes(self, storage: str) -> int:
        configs = [stream.config for stream in self.streams.values() if stream.config.storage == storage]
        return sum(max(config.max_bytes, 0) for config in configs)

    def _refusal(self, storage: str) -> ApiError | None:
        """Why nothing more is stored: the account's own limit is met, or that of the whole server."""
        limit = self._storage_limit(storage)
        if limit is not None and self.used_bytes(storage) >= limit:
            return errors.RESOURCES_EXCEEDED
        return errors.INSUFFICIENT_RESOURCES if self.is_server_full(storage) else None

    def _storage_limit(self, storage: str) -> int | None:
        return self.limits.max_memory_bytes if storage == "memory" else self.limits.max_file_bytes

    def _add(self, stream: Stream, announce: bool) -> None:
        self.streams[stream.name] = stream
        self.consumers[stream.name] = {}
        stream.refusal = partial(self._refusal, stream.config.storage)
        stream.watchers = self.watchers
        stream.start(announce)

    def _make_stream(self, id: int, config: StreamConfig) -> Stream:
        return Stream(id, self.account, config, self.stores.of(config), self.clock, self.health, self.domain)

    def _remove(self, stream: Stream) -> list[Consumer]:
        """Nobody finds it any more.  Its consumers, that do not know yet."""
        stream.stop()
        if self.streams.get(stream.name) is not stream:
            return []
        del self.streams[stream.name]
        consumers = list(self.consumers.pop(stream.name).values())
        for consumer in consumers:
            self._detach(consumer)
        return consumers

    def _check_overlap(self, config: StreamConfig) -> None:
        for other in self.streams.values():
            if other.name != config.name and any(
                overlap(mine, theirs) for mine in config.subjects for theirs in other.config.subjects
            ):
                raise errors.SUBJECTS_OVERLAP

    def _check_limits(self, config: StreamConfig) -> None:
        if self.limits.max_streams is not None and len(self.streams) >= self.limits.max_streams:
            raise ApiError(400, 10027, "maximum number of streams reached")
        limit = self._storage_limit(config.storage)
        if limit is not None and config.max_bytes > limit:
            raise errors.INSUFFICIENT_STORAGE

    # ---- consumers

    def consumer(self, stream: str, name: str) -> Consumer:
        found = self.consumers.get(stream, {}).get(name)
        if found is None:
            if stream not in self.streams:
                raise errors.STREAM_NOT_FOUND
            raise errors.CONSUMER_NOT_FOUND
        return found

    def create_consumer(self, stream: Stream, config: ConsumerConfig, action: str, after: After) -> Consumer:
        """``action`` as in the request: create, update, or empty for whichever fits."""
        known = self.consumers[stream.name].get(config.name)
        if known is not None:
            if action == "create" and known.config != config:
                raise errors.CONSUMER_EXISTS
            check_consumer_update(known.config, config, known.way.is_wanted())
            self._update_consumer(known, config, after)
            return known
        if action == "update":
            raise errors.CONSUMER_DOES_NOT_EXIST
        limits = [limit for limit in (stream.config.max_consumers, self.limits.max_consumers or 0) if limit > 0]
        if limits and len(self.consumers[stream.name]) >= min(limits):
            raise errors.MAX_CONSUMERS
        _check_deliver(stream, config)
        self._check_queue(stream, config)
        first = start_seq(stream, config)
        consumer = Consumer(stream, config, self.clock.wall(), self.clock, self.advisories, first)
        self._attach(consumer)
        consumer.save(partial(self._consumer_created, consumer, after))
        self.clock.wake()
        return consumer

    def _consumer_created(self, consumer: Consumer, after: After, error: StoreError | None) -> None:
        if error is None:
            self.advisories.consumer_action(consumer.stream.name, consumer.name, "CREATED", "create")
        else:
            self._drop(consumer)
        after(error)

    def _check_queue(self, stream: Stream, config: ConsumerConfig) -> None:
        """Of a work queue every message is for one consumer."""
        if stream.config.retention != "workqueue":
            return
        if config.ack_policy != "explicit":
            raise errors.invalid_consumer(10098, "workqueue stream requires explicit ack")
        others = list(self.consumers[stream.name].values())
        if others and not (config.filters and all(other.config.filters for other in others)):
            raise errors.invalid_consumer(10099, "multiple non-filtered consumers not allowed on workqueue stream")
        theirs = [pattern for other in others for pattern in other.config.filters]
        if any(overlap(mine, other) for mine in config.filters for other in theirs):
            raise errors.invalid_consumer(10100, "filtered consumer not unique on workqueue stream")
        if config.deliver_policy != "all":
            raise errors.invalid_consumer(10101, "consumer must be deliver all on workqueue stream")

    def _update_consumer(self, consumer: Consumer, config: ConsumerConfig, after: After) -> None:
        old = consumer.config

        def saved(error: StoreError | None) -> None:
            if error is not None:
                consumer.configure(old)
            after(error)

        if config != old:
            consumer.configure(config)
        consumer.save(saved)
        self.clock.wake()

    def pause_consumer(self, consumer: Consumer, config: ConsumerConfig, after: After) -> None:
        self._update_consumer(consumer, config, after)
        name, until = consumer.stream.name, config.pause_until or ZERO
        self.advisories.paused(name, consumer.name, until, consumer.paused_ns > 0)
        consumer.deliver_soon()

    def delete_consumer(self, consumer: Consumer, after: After) -> None:
        stream = consumer.stream
        self._drop(consumer)
        stream.store.drop_consumer(stream.id, consumer.name)
        stream.store.commit(partial(self._consumer_deleted, consumer, after))

    def _consumer_deleted(self, consumer: Consumer, after: After, error: StoreError | None) -> None:
        consumers = self.consumers.get(consumer.stream.name)
        if error is None:
            consumer.close()
            consumer.stream.review()
            self.advisories.consumer_action(consumer.stream.name, consumer.name, "DELETED", "delete")
        elif consumers is not None and consumer.name not in consumers:
            self._attach(consumer)
        after(error)

    def _attach(self, consumer: Consumer) -> None:
        stream = consumer.stream
        self.consumers[stream.name][consumer.name] = consumer
        if stream.interest is not None:
            stream.interest.consumers.append(consumer)
        stream.listeners.append(consumer.on_visible)
        stream.removal_listeners.append(consumer.on_removed)
        consumer.open()
        if consumer.config.ack_policy == "none":
            return
        domain = self.domain or "_"
        consumer.subscriptions = [
            self.account.subscribe(subject, consumer.ack)
            for subject in (
                f"$JS.ACK.{stream.name}.{consumer.name}.*.*.*.*.*",
                f"$JS.ACK.{domain}.*.{stream.name}.{consumer.name}.*.*.*.*.>",
            )
        ]

    def _drop(self, consumer: Consumer) -> None:
        self._detach(consumer)
        consumers = self.consumers.get(consumer.stream.name, {})
        if consumers.get(consumer.name) is consumer:
            del consumers[consumer.name]

    def _detach(self, consumer: Consumer) -> None:
        for subscription in consumer.subscriptions:
            self.account.unsubscribe(subscription)
        consumer.subscriptions = []
        consumer.way.detach()
        interest = consumer.stream.interest
        if interest is not None and consumer in interest.consumers:
            interest.consumers.remove(consumer)
        if consumer.on_visible in consumer.stream.listeners:
            consumer.stream.listeners.remove(consumer.on_visible)
            consumer.stream.removal_listeners.remove(consumer.on_removed)

    def all_consumers(self) -> Iterable[Consumer]:
        for consumers in self.consumers.values():
            yield from list(consumers.values())

    # ---- time

    def deadline(self) -> int | None:
        found = [deadline for consumer in self.all_consumers() if (deadline := consumer.deadline()) is not None]
        for stream in self.streams.values():
            expiry = stream.next_expiry()
            if expiry is not None:
                found.append(self.clock.monotonic() + max(expiry - self.clock.wall(), 0))
        return min(found, default=None)

    def tick(self, now: int) -> None:
        for consumer in self.all_consumers():
            consumer.tick(now)
            if consumer.is_inactive(now):
                self.delete_consumer(consumer, _nobody_waits)
        for stream in list(self.streams.values()):
            stream.tick()

    # ---- recovery

    def recover_stream(self, record: StreamRecord) -> Stream | None:
        """None for a record that cannot be read: said in the log, its messages stay where they are."""
        try:
            fields = json.loads(record.config)
            announce, created_ns = fields.pop("_announce"), int(fields.pop("_created"))
            stream = self._make_stream(record.id, stream_config(fields, recovered=True))
        except (ValueError, KeyError, TypeError, ApiError) as exc:
            log.error("stream %s cannot be recovered: %s", record.name, exc)
            return None
        stream.created_ns = created_ns
        try:
            stream.recover(record)
        except ValueError as exc:
            log.error("stream %s: %s", stream.name, exc)
        self._add(stream, announce)
        log.info("  Restored %d messages for stream '%s > %s'", stream.messages, self.account.name, stream.name)
        return stream

    def recover_consumer(self, stream: Stream, record: ConsumerRecord) -> None:
        try:
            fields = json.loads(record.config)
            config = consumer_config(fields["config"], record.name, fields["durable"])
            consumer = Consumer(stream, config, int(fields["created"]), self.clock, self.advisories, 1)
        except (ValueError, KeyError, TypeError, ApiError) as exc:
            log.error("consumer %s of stream %s cannot be recovered: %s", record.name, stream.name, exc)
            return
        try:
            consumer.restore(record.state)
        except (ValueError, TypeError) as exc:
            consumer.begin(start_seq(stream, config))
            log.error("consumer %s of stream %s begins anew: its state is damaged: %s", record.name, stream.name, exc)
        self._attach(consumer)


def _check_deliver(stream: Stream, config: ConsumerConfig) -> None:
    """What goes out must not come in again."""
    subject = config.deliver_subject
    if subject and any(matches(pattern, subject) for pattern in stream.config.subjects):
        raise errors.invalid_consumer(10081, "consumer deliver subject forms a cycle")


def _nobody_waits(error: StoreError | None) -> None:
    """A consumer that is gone stays gone, or is found inactive again after the next start."""
