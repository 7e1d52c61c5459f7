"""The consumers of one account's streams: made, changed, found and removed."""

import json
import logging
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from edge.core.times import ZERO
from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.ack_run import AckReader
from edge.jetstream.consumer import Consumer, start_seq
from edge.jetstream.consumer_config import ConsumerConfig, consumer_config
from edge.jetstream.consumer_rules import (
    check_consumer,
    check_consumer_update,
    check_partition,
    check_queue,
    settled,
    with_defaults,
)
from edge.jetstream.messages import After
from edge.jetstream.stream import Stream
from edge.store.contract import ConsumerRecord

if TYPE_CHECKING:
    from edge.jetstream.account import JetStreamAccount

log = logging.getLogger("edge.jetstream")


class Consumers:
    def __init__(self, jetstream: "JetStreamAccount") -> None:
        self.jetstream = jetstream
        self.account = jetstream.account
        self.clock = jetstream.clock
        self.advisories = jetstream.advisories
        self.by_stream: dict[str, dict[str, Consumer]] = {}

    def create(
        self, stream: Stream, config: ConsumerConfig, action: str, after: After, pedantic: bool = False
    ) -> Consumer:
        """``action`` as in the request: create, update, or empty for whichever fits; ``after`` follows the commit."""
        bounds = self.jetstream.limits.consumer_bounds(self.jetstream.server_limits())
        config = with_defaults(config, stream.config, bounds, pedantic)
        check_consumer(config, stream.config, bounds)
        known = self.by_stream[stream.name].get(config.name)
        if known is not None:
            if action == "create" and known.config != config:
                raise errors.CONSUMER_EXISTS
            self._check_change(known, config)
            if config.sourcing:
                known.reset(0)
            self.update(known, settled(config, known.config.durable), after)
            return known
        if action == "update":
            raise errors.CONSUMER_DOES_NOT_EXIST
        self._check_new(stream, config)
        first = start_seq(stream, config)
        config = settled(config, config.durable)
        consumer = Consumer(stream, config, self.clock.wall(), self.clock, self.advisories, first)
        self.attach(consumer)
        consumer.save(partial(self._created, consumer, after))
        self.clock.wake()
        return consumer

    def _check_change(self, consumer: Consumer, config: ConsumerConfig) -> None:
        if consumer.stream.config.retention == "workqueue":
            check_partition(config, [other.config for other in self._counted(consumer.stream) if other is not consumer])
        check_consumer_update(consumer.config, config, consumer.way.is_wanted())

    def _check_new(self, stream: Stream, config: ConsumerConfig) -> None:
        counted = self._counted(stream)
        most, allowed = stream.config.max_consumers, self.jetstream.limits.max_consumers or 0
        if most <= 0 or 0 < allowed < most:
            most = allowed
        if 0 < most <= len(counted):
            raise errors.MAX_CONSUMERS
        if stream.config.retention == "workqueue" and not (config.direct or config.sourcing):
            check_queue(config, [consumer.config for consumer in counted])

    def _counted(self, stream: Stream) -> list[Consumer]:
        """Those that limits count: not what other streams source with."""
        consumers = self.by_stream[stream.name].values()
        return [consumer for consumer in consumers if not (consumer.config.direct or consumer.config.sourcing)]

    def _created(self, consumer: Consumer, after: After, error: StoreError | None) -> None:
        if error is None:
            self.advisories.consumer_action(consumer.stream.name, consumer.name, "CREATED", "create")
            if consumer.paused_ns:
                until = consumer.config.pause_until
                self.advisories.paused(consumer.stream.name, consumer.name, until, is_paused=True)
        else:
            self._drop(consumer)
        after(error)

    def update(self, consumer: Consumer, config: ConsumerConfig, after: After) -> None:
        old = consumer.config

        def saved(error: StoreError | None) -> None:
            if error is not None:
                consumer.configure(old)
            elif set(config.filters) != set(old.filters):
                consumer.stream.retention.review()
            after(error)

        if config != old:
            consumer.configure(config)
        consumer.save(saved)
        self.clock.wake()

    def pause(self, consumer: Consumer, until: str, after: After) -> None:
        """Until a time; empty: go on."""
        self.update(consumer, consumer.config._replace(pause_until=until), after)
        name, is_paused = consumer.stream.name, consumer.paused_ns > 0
        self.advisories.paused(name, consumer.name, until or ZERO, is_paused)
        consumer.deliver_soon()

    def delete(self, consumer: Consumer, after: After) -> None:
        stream = consumer.stream
        self._drop(consumer)
        if not consumer.config.direct:
            stream.store.drop_consumer(stream.id, consumer.name)
        stream.store.commit(partial(self._deleted, consumer, after))

    def _deleted(self, consumer: Consumer, after: After, error: StoreError | None) -> None:
        consumers = self.by_stream.get(consumer.stream.name)
        if error is None:
            consumer.close()
            consumer.stream.retention.review()
            self.advisories.consumer_action(consumer.stream.name, consumer.name, "DELETED", "delete")
        elif consumers is not None and consumer.name not in consumers:
            self.attach(consumer)
        after(error)

    # ---- to be found

    def attach(self, consumer: Consumer) -> None:
        stream = consumer.stream
        self.by_stream[stream.name][consumer.name] = consumer
        if stream.retention.interest is not None:
            stream.retention.interest.consumers.append(consumer)
        stream.listeners.append(consumer.on_visible)
        stream.removal_listeners.append(consumer.on_removed)
        consumer.open()
        if consumer.config.ack_policy in ("none", "flow_control"):
            return
        domain = self.jetstream.domain or "_"
        consumer.subscriptions = [
            self.account.subscribe(subject, consumer.ack)
            for subject in (
                f"$JS.ACK.{stream.name}.{consumer.name}.*.*.*.*.*",
                f"$JS.ACK.{domain}.*.{stream.name}.{consumer.name}.*.*.*.*.>",
            )
        ]
        if consumer.config.ack_policy == "explicit":
            consumer.subscriptions[0].read_run = AckReader(consumer)

    def detach(self, consumer: Consumer) -> None:
        for subscription in consumer.subscriptions:
            self.account.unsubscribe(subscription)
        consumer.subscriptions = []
        consumer.way.detach()
        interest = consumer.stream.retention.interest
        if interest is not None and consumer in interest.consumers:
            interest.consumers.remove(consumer)
        if consumer.on_visible in consumer.stream.listeners:
            consumer.stream.listeners.remove(consumer.on_visible)
            consumer.stream.removal_listeners.remove(consumer.on_removed)

    def _drop(self, consumer: Consumer) -> None:
        self.detach(consumer)
        consumers = self.by_stream.get(consumer.stream.name, {})
        if consumers.get(consumer.name) is consumer:
            del consumers[consumer.name]

    def names(self, stream: str) -> list[str]:
        """Those that are anybody's concern: not what other streams source with."""
        return sorted(name for name, consumer in self.by_stream[stream].items() if not consumer.config.direct)

    def all(self) -> Iterator[Consumer]:
        for consumers in self.by_stream.values():
            yield from list(consumers.values())

    def tick(self, now: int) -> None:
        for consumer in list(self.all()):
            consumer.tick(now)
            if consumer.is_inactive(now):
                self.delete(consumer, _nobody_waits)

    # ---- recovery

    def recover(self, stream: Stream, record: ConsumerRecord) -> bool:
        """False for a record that cannot be read: said in the log."""
        try:
            fields = json.loads(record.config)
            given = fields["config"]
            config = consumer_config(given, record.name, given.get("durable_name", ""), "name" in given)
            consumer = Consumer(stream, config, int(fields["created"]), self.clock, self.advisories, 1)
        except (ValueError, KeyError, TypeError, AttributeError, ApiError) as exc:
            log.error("consumer %s of stream %s cannot be recovered: %s", record.name, stream.name, exc)
            return False
        try:
            consumer.restore(record.state)
        except (ValueError, TypeError) as exc:
            consumer.begin(start_seq(stream, config))
            log.error("consumer %s of stream %s begins anew: its state is damaged: %s", record.name, stream.name, exc)
        self.attach(consumer)
        return True


def _nobody_waits(error: StoreError | None) -> None:
    """A consumer that is gone stays gone, or is found inactive again after the next start."""
