"""JetStream of one account: its streams and their consumers, made, changed and removed."""

import json
import logging
import random
from collections.abc import Callable, Iterable
from typing import NamedTuple

from edge.core.account import Account
from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.consumer import Consumer, Events
from edge.jetstream.consumer_config import ConsumerConfig, check_consumer_update, consumer_config
from edge.jetstream.info import dumps
from edge.jetstream.stream import After, Stream
from edge.jetstream.stream_config import StreamConfig, check_update, stream_config
from edge.jetstream.times import rfc3339
from edge.store.contract import ConsumerRecord, Store, StreamRecord
from edge.subjects import overlap

log = logging.getLogger("edge.jetstream")

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Limits(NamedTuple):
    """None is unlimited."""

    max_file_bytes: int | None = None
    max_memory_bytes: int | None = None
    max_streams: int | None = None
    max_consumers: int | None = None


class Clock(NamedTuple):
    """``wall`` since 1970, ``monotonic`` for deadlines, in nanoseconds; ``wake`` says a deadline is now earlier."""

    wall: Callable[[], int]
    monotonic: Callable[[], int]
    wake: Callable[[], None]


class Stores(NamedTuple):
    file: Store
    memory: Store

    def of(self, config: StreamConfig) -> Store:
        return self.memory if config.storage == "memory" else self.file


class JetStreamAccount:
    def __init__(
        self, account: Account, stores: Stores, clock: Clock, limits: Limits, domain: str, next_id: Callable[[], int]
    ) -> None:
        self.account = account
        self.stores = stores
        self.clock = clock
        self.limits = limits
        self.domain = domain
        self.next_id = next_id
        self.streams: dict[str, Stream] = {}
        self.consumers: dict[str, dict[str, Consumer]] = {}
        self.events = Events(self._max_deliveries, self._terminated)

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
        stream = Stream(
            self.next_id(), self.account, config, self.clock.wall(),
            self.stores.of(config), self.clock.wall, self.domain,
        )  # fmt: skip
        self._add(stream, announce)

        def saved(error: StoreError | None) -> None:
            if error is not None:
                self._remove(stream)
            after(error)

        stream.save(saved)
        self._advise_stream(stream, "CREATED", "create")
        return stream

    def update_stream(self, config: StreamConfig, after: After) -> Stream:
        stream = self.stream(config.name)
        check_update(stream.config, config)
        self._check_overlap(config)
        stream.stop()
        stream.configure(config)
        stream.start(stream.announce)
        stream._enforce_limits()
        stream.save(after)
        self._advise_stream(stream, "UPDATED", "modify")
        return stream

    def delete_stream(self, stream: Stream, after: After) -> None:
        self._remove(stream)
        stream.store.drop_stream(stream.id)
        stream.store.commit(after)
        self._advise_stream(stream, "DELETED", "delete")

    def used_bytes(self, storage: str) -> int:
        return sum(stream.bytes for stream in self.streams.values() if stream.config.storage == storage)

    def is_full(self, storage: str) -> bool:
        limit = self.limits.max_memory_bytes if storage == "memory" else self.limits.max_file_bytes
        return limit is not None and self.used_bytes(storage) >= limit

    def _add(self, stream: Stream, announce: bool) -> None:
        self.streams[stream.name] = stream
        self.consumers[stream.name] = {}
        storage = stream.config.storage
        stream.is_full = lambda: self.is_full(storage)
        stream.start(announce)

    def _remove(self, stream: Stream) -> None:
        stream.stop()
        stream.closed = True
        for consumer in self.consumers.pop(stream.name, {}).values():
            consumer.close(409, "Consumer Deleted")
        self.streams.pop(stream.name, None)

    def _check_overlap(self, config: StreamConfig) -> None:
        for other in self.streams.values():
            if other.name != config.name and any(
                overlap(mine, theirs) for mine in config.subjects for theirs in other.config.subjects
            ):
                raise errors.SUBJECTS_OVERLAP

    def _check_limits(self, config: StreamConfig) -> None:
        if self.limits.max_streams is not None and len(self.streams) >= self.limits.max_streams:
            raise ApiError(400, 10027, "maximum number of streams reached")
        limit = self.limits.max_memory_bytes if config.storage == "memory" else self.limits.max_file_bytes
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
            check_consumer_update(known.config, config)
            known.config = config
            known.on_removed()  # other filters: what was read ahead is read anew
            known.save(after)
            return known
        if action == "update":
            raise errors.CONSUMER_DOES_NOT_EXIST
        if 0 < stream.config.max_consumers <= len(self.consumers[stream.name]):
            raise errors.MAX_CONSUMERS
        consumer = self._make_consumer(stream, config, self.clock.wall())
        consumer.save(after)
        self._advise_consumer(consumer, "CREATED", "create")
        self.clock.wake()
        return consumer

    def delete_consumer(self, consumer: Consumer, after: After) -> None:
        stream = consumer.stream
        del self.consumers[stream.name][consumer.name]
        consumer.close(409, "Consumer Deleted")
        self._detach(consumer)
        stream.store.drop_consumer(stream.id, consumer.name)
        stream.store.commit(after)
        self._advise_consumer(consumer, "DELETED", "delete")

    def _make_consumer(self, stream: Stream, config: ConsumerConfig, created_ns: int) -> Consumer:
        consumer = Consumer(stream, config, created_ns, self.clock.monotonic, self.clock.wake, self.events)
        self.consumers[stream.name][config.name] = consumer
        stream.listeners.append(consumer.on_visible)
        stream.removal_listeners.append(consumer.on_removed)
        domain = self.domain or "_"
        consumer.subscriptions = [
            self.account.subscribe(subject, consumer.ack)
            for subject in (
                f"$JS.ACK.{stream.name}.{config.name}.*.*.*.*.*",
                f"$JS.ACK.{domain}.*.{stream.name}.{config.name}.*.*.*.*.>",
            )
        ]
        return consumer

    def _detach(self, consumer: Consumer) -> None:
        for subscription in consumer.subscriptions:
            self.account.unsubscribe(subscription)
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
            stream.expire()

    # ---- recovery

    def recover_stream(self, record: StreamRecord, store: Store) -> Stream | None:
        """None for a record that cannot be read: said in the log, its messages stay where they are."""
        try:
            fields = json.loads(record.config)
            announce = fields.pop("_announce", True)
            stream = Stream(
                record.id, self.account, stream_config(fields), 0, store, self.clock.wall, self.domain
            )  # fmt: skip
            stream.recover(record)
        except (ValueError, KeyError, TypeError, ApiError) as exc:
            log.error("stream %s cannot be recovered: %s", record.name, exc)
            return None
        self._add(stream, announce)
        log.info("  Restored %d messages for stream '%s > %s'", stream.messages, self.account.name, stream.name)
        return stream

    def recover_consumer(self, stream: Stream, record: ConsumerRecord) -> None:
        try:
            fields = json.loads(record.config)
            config = consumer_config(fields["config"], record.name, fields["durable"])
            consumer = self._make_consumer(stream, config, fields["created"])
        except (ValueError, KeyError, TypeError, ApiError) as exc:
            log.error("consumer %s of stream %s cannot be recovered: %s", record.name, stream.name, exc)
            return
        try:
            consumer.restore(record.state, self.clock.monotonic())
        except (ValueError, TypeError) as exc:
            log.error("consumer %s of stream %s begins anew: its state is damaged: %s", record.name, stream.name, exc)

    # ---- advisories

    def _max_deliveries(self, consumer: Consumer, seq: int, count: int) -> None:
        self._advise(
            f"CONSUMER.MAX_DELIVERIES.{consumer.stream.name}.{consumer.name}",
            "max_deliver",
            stream=consumer.stream.name, consumer=consumer.name, stream_seq=seq, deliveries=count,
        )  # fmt: skip

    def _terminated(self, consumer: Consumer, seq: int, cseq: int, count: int, reason: str) -> None:
        fields = {"reason": reason} if reason else {}
        self._advise(
            f"CONSUMER.MSG_TERMINATED.{consumer.stream.name}.{consumer.name}",
            "terminated",
            stream=consumer.stream.name, consumer=consumer.name, consumer_seq=cseq, stream_seq=seq, deliveries=count,
            **fields,
        )  # fmt: skip

    def _advise_stream(self, stream: Stream, what: str, action: str) -> None:
        self._advise(f"STREAM.{what}.{stream.name}", "stream_action", stream=stream.name, action=action)

    def _advise_consumer(self, consumer: Consumer, what: str, action: str) -> None:
        stream = consumer.stream.name
        self._advise(
            f"CONSUMER.{what}.{stream}.{consumer.name}", "consumer_action",
            stream=stream, consumer=consumer.name, action=action,
        )  # fmt: skip

    def _advise(self, subject: str, kind: str, **fields: object) -> None:
        """An advisory, if anybody listens."""
        subject = f"$JS.EVENT.ADVISORY.{subject}"
        if not self.account.has_interest(subject):
            return
        head: dict[str, object] = {
            "type": f"io.nats.jetstream.advisory.v1.{kind}",
            "id": random_name(22),
            "timestamp": rfc3339(self.clock.wall()),
        }
        tail = {"domain": self.domain} if self.domain else {}
        self.account.publish(subject, dumps(head | fields | tail))


def random_name(length: int) -> str:
    return "".join(random.choices(ALPHABET, k=length))


def _nobody_waits(error: StoreError | None) -> None:
    """A consumer that is gone stays gone, or is found inactive again after the next start."""
