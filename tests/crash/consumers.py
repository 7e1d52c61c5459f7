"""Workloads of consumers, buckets and objects."""

import asyncio
from typing import Any

import nats
from nats.js.errors import KeyDeletedError, KeyNotFoundError, ObjectDeletedError, ObjectNotFoundError

from tests.crash.hand import Hand
from tests.crash.workload import Ledger, Workload


class Working(Workload):
    """Publishers that send again what was not acknowledged, and workers that acknowledge twice."""

    name = "WORK"
    retention = "limits"
    workers: tuple[str, ...] = ("one",)

    def __init__(self, dice: Any) -> None:
        super().__init__(dice)
        self.ledger = Ledger()
        self.confirmed: dict[str, set[int]] = {worker: set() for worker in self.workers}
        self.asked: dict[str, set[int]] = {worker: set() for worker in self.workers}  # the answer is not here

    @property
    def subject(self) -> str:
        return f"{self.name.lower()}.x"

    async def create(self, hand: Hand) -> None:
        config = {"name": self.name, "subjects": [f"{self.name.lower()}.>"], "retention": self.retention}
        await hand.ask(f"STREAM.CREATE.{self.name}", config)
        for worker in self.workers:
            wanted = {"durable_name": worker, "ack_policy": "explicit", "ack_wait": 2 * 10**9, "max_ack_pending": 500}
            await hand.ask(
                f"CONSUMER.DURABLE.CREATE.{self.name}.{worker}", {"stream_name": self.name, "config": wanted}
            )

    async def load(self, hand: Hand) -> None:
        await asyncio.gather(self._publish(hand), *(self._consume(hand, worker) for worker in self.workers))

    async def _publish(self, hand: Hand) -> None:
        while True:
            again = [(payload, payload.decode()) for payload in self.ledger.doubt]
            new = [self.payload() for _ in range(30)]
            payloads = [payload for payload, _ in again] + new
            await asyncio.gather(
                *(self.ledger.publish(hand, self.subject, each, {"Nats-Msg-Id": each.decode()}) for each in payloads)
            )
            self.done += len(payloads)

    async def _consume(self, hand: Hand, worker: str) -> None:
        sub = await hand.js.pull_subscribe_bind(worker, self.name)
        while True:
            try:
                messages = await sub.fetch(20, timeout=1)
            except nats.errors.TimeoutError:
                continue
            for message in messages:
                seq = message.metadata.sequence.stream
                assert seq not in self.confirmed[worker], f"{worker}: message {seq} came after its ack was confirmed"
                if seq in self.ledger.acked:
                    assert message.data == self.ledger.acked[seq], f"message {seq} is another"
            await asyncio.gather(*(self._confirm(message, worker) for message in messages))

    async def _confirm(self, message: Any, worker: str) -> None:
        seq = message.metadata.sequence.stream
        self.asked[worker].add(seq)
        await message.ack_sync(timeout=5)
        self.asked[worker].discard(seq)
        self.confirmed[worker].add(seq)
        self.done += 1

    async def check(self, hand: Hand) -> None:
        found = await self._stored(hand)
        self.ledger.settle(found)
        for worker in self.workers:
            info = await hand.ask(f"CONSUMER.INFO.{self.name}.{worker}")
            floor = info["ack_floor"]["stream_seq"]
            assert floor <= info["delivered"]["stream_seq"], info
            sure = self.confirmed[worker] | self.asked[worker]
            wrong = [seq for seq in self.ledger.acked if seq <= floor and seq not in sure]
            assert not wrong, f"{worker}: taken for acknowledged: {wrong[:10]}"
            left = len(self.ledger.acked) - len(self.confirmed[worker].intersection(self.ledger.acked))
            doubtful = len(self.asked[worker])
            pending = info["num_pending"] + info["num_ack_pending"]
            assert left - doubtful <= pending <= left, f"{worker}: {pending} left, of {left}, {doubtful} in doubt"

    async def _stored(self, hand: Hand) -> Any:
        return await hand.messages(self.name)


class Queue(Working):
    """What is acknowledged is gone."""

    name = "QUEUE"
    retention = "workqueue"

    async def _stored(self, hand: Hand) -> Any:
        """A queue has one consumer, and nobody else reads it in order."""
        from tests.crash.hand import Stored

        state = await hand.state(self.name)
        gone = set.intersection(*self.confirmed.values())
        maybe = set.intersection(*(self.confirmed[worker] | self.asked[worker] for worker in self.workers))
        found = {}
        for seq in range(max(state["first_seq"], 1), state["last_seq"] + 1):
            if seq in gone:
                continue
            try:
                message = await hand.js.get_msg(self.name, seq)
            except nats.js.errors.NotFoundError:
                continue
            found[seq] = Stored(message.subject or "", dict(message.headers or {}), message.data or b"")
        assert len(found) == state["messages"], f"{self.name}: it says {state['messages']}, and has {len(found)}"
        for seq in gone | maybe:
            if seq not in found:
                self.ledger.acked.pop(seq, None)
        return found


class Interested(Queue):
    """What all workers have acknowledged is gone."""

    name = "INTEREST"
    retention = "interest"
    workers = ("one", "two")


class Bucket(Workload):
    """Keys with three revisions each."""

    name = "KV_keys"
    HISTORY = 3

    def __init__(self, dice: Any) -> None:
        super().__init__(dice)
        self.known: dict[str, bytes | None] = {}
        self.coming: dict[str, bytes | None] = {}

    async def create(self, hand: Hand) -> None:
        await hand.js.create_key_value(bucket="keys", history=self.HISTORY)

    async def load(self, hand: Hand) -> None:
        kv = await hand.js.key_value("keys")
        await asyncio.gather(*(self._write(kv, f"key.{i}") for i in range(6)))

    async def _write(self, kv: Any, key: str) -> None:
        while True:
            what = self.dice.randrange(4)
            value = None if what > 1 and self.known.get(key) is not None else self.payload()
            self.coming[key] = value
            if value is None:
                await (kv.delete if what == 2 else kv.purge)(key)
            elif self.known.get(key) is None:
                await kv.create(key, value)
            elif what == 1:
                await kv.update(key, value, (await kv.get(key)).revision)
            else:
                await kv.put(key, value)
            self.known[key] = self.coming.pop(key)
            self.done += 1

    async def check(self, hand: Hand) -> None:
        kv = await hand.js.key_value("keys")
        for i in range(6):
            key = f"key.{i}"
            known = self.known.get(key)
            try:
                found = (await kv.get(key)).value
            except (KeyNotFoundError, KeyDeletedError):
                found = None
            assert found in (known, self.coming.pop(key, known)), f"{key} is {found!r}, and was {known!r}"
            self.known[key] = found
        counts: dict[str, int] = {}
        for stored in (await hand.messages(self.name)).values():
            counts[stored.subject] = counts.get(stored.subject, 0) + 1
        assert all(count <= self.HISTORY for count in counts.values()), f"too many revisions: {counts}"


class Objects(Workload):
    """Objects in chunks, some of more than one."""

    name = "OBJ_things"

    def __init__(self, dice: Any) -> None:
        super().__init__(dice)
        self.known: dict[str, bytes | None] = {}
        self.coming: dict[str, bytes | None] = {}

    async def create(self, hand: Hand) -> None:
        await hand.js.create_object_store("things")

    async def load(self, hand: Hand) -> None:
        store = await hand.js.object_store("things")
        await asyncio.gather(*(self._write(store, f"thing{i}") for i in range(2)))

    async def _write(self, store: Any, name: str) -> None:
        while True:
            new = None if self.known.get(name) and self.dice.random() < 0.2 else self.dice.randbytes(self.dice.randrange(1, 400_000))
            self.coming[name] = new
            await (store.put(name, new) if new is not None else store.delete(name))
            self.known[name] = self.coming.pop(name)
            self.done += 1

    async def check(self, hand: Hand) -> None:
        store = await hand.js.object_store("things")
        for name in ("thing0", "thing1"):
            known = self.known.get(name)
            try:
                found: bytes | None = (await store.get(name)).data
            except (ObjectNotFoundError, ObjectDeletedError):
                found = None
            assert found in (known, self.coming.pop(name, known)), f"{name} is another"
            self.known[name] = found


WORKLOADS: list[type[Workload]] = [Working, Queue, Interested, Bucket, Objects]
