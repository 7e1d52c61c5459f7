"""Workloads of streams: what is published, limited, purged, compacted, summed and copied."""

import asyncio
import time
from typing import Any

from tests.crash.hand import Hand, Refused
from tests.crash.workload import Ledger, Workload

WAIT = 20.0  # seconds for what a server does by itself


async def until(what: str, holds: Any) -> None:
    """``holds`` is asked again and again; AssertionError with what it last raised."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            await holds()
            return
        except AssertionError as exc:
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}, after {WAIT} s: {exc}") from exc
            await asyncio.sleep(0.05)


class Purging(Workload):
    """Messages that are deleted, erased and purged while others come."""

    name = "PURGE"

    def __init__(self, dice: Any) -> None:
        super().__init__(dice)
        self.ledger = Ledger()
        self.subjects: dict[int, str] = {}
        self.going: set[int] = set()
        self.gone: set[int] = set()

    async def create(self, hand: Hand) -> None:
        await hand.ask("STREAM.CREATE.PURGE", {"name": "PURGE", "subjects": ["purge.*"], "max_msgs_per_subject": -1})

    async def load(self, hand: Hand) -> None:
        while True:
            await asyncio.gather(*(self._publish(hand) for _ in range(self.dice.randrange(1, 60))))
            alive = sorted(self.ledger.acked)
            what = self.dice.randrange(5)
            if what == 0:
                await self._remove(hand, alive[: len(alive) // 2], {"seq": alive[len(alive) // 2]})
            elif what == 1:
                subject = f"purge.{self.dice.randrange(5)}"
                seqs = [seq for seq in alive if self.subjects.get(seq, subject) == subject]
                await self._remove(hand, seqs, {"filter": subject})
            elif what == 2:
                await self._remove(hand, alive[:-10], {"keep": 10})
            else:
                await self._delete(hand, self.dice.choice(alive), no_erase=what == 3)

    async def _publish(self, hand: Hand) -> None:
        subject = f"purge.{self.dice.randrange(5)}"
        seq = await self.ledger.publish(hand, subject, self.payload())
        assert seq not in self.gone, f"sequence {seq} was given twice"
        self.subjects[seq] = subject
        self.done += 1

    async def _remove(self, hand: Hand, seqs: list[int], request: dict[str, object]) -> None:
        self.going.update(seqs)
        await hand.ask("STREAM.PURGE.PURGE", request)
        self._removed(self.going)

    async def _delete(self, hand: Hand, seq: int, no_erase: bool) -> None:
        self.going.add(seq)
        await hand.ask("STREAM.MSG.DELETE.PURGE", {"seq": seq, "no_erase": no_erase})
        self._removed({seq})

    def _removed(self, seqs: set[int]) -> None:
        for seq in list(seqs):
            self.ledger.acked.pop(seq, None)
            self.gone.add(seq)
            self.done += 1
        self.going.difference_update(self.gone)

    async def check(self, hand: Hand) -> None:
        found = await hand.messages("PURGE")
        back = self.gone.intersection(found)
        assert not back, f"deleted, confirmed, and there again: {sorted(back)[:10]}"
        unknown = {seq for seq in found if seq not in self.ledger.acked}
        self._removed({seq for seq in self.going if seq not in found})
        self.going.clear()
        assert not unknown.intersection(self.gone)
        self.ledger.settle(found)
        self.subjects = {seq: stored.subject for seq, stored in found.items()}


class Limited(Workload):
    """The last 300 messages, or a bit fewer bytes, of a stream that is full all the time."""

    name = "LIMIT"
    MOST = 300

    def __init__(self, dice: Any) -> None:
        super().__init__(dice)
        self.ledger = Ledger()

    async def create(self, hand: Hand) -> None:
        await hand.ask("STREAM.CREATE.LIMIT", {"name": "LIMIT", "subjects": ["limit.>"], "max_msgs": self.MOST})

    async def load(self, hand: Hand) -> None:
        while True:
            await asyncio.gather(*(self.ledger.publish(hand, "limit.x", self.payload()) for _ in range(80)))
            self.done += 80

    async def check(self, hand: Hand) -> None:
        found = await hand.messages("LIMIT")
        last = max(found, default=0)
        assert last >= max(self.ledger.acked, default=0), "the last messages are gone"
        assert sorted(found) == list(range(max(last - self.MOST, 0) + 1, last + 1)), f"a gap, or too many: {sorted(found)}"
        self.ledger.acked = {seq: payload for seq, payload in self.ledger.acked.items() if seq > last - self.MOST}
        self.ledger.settle(found)


class Compacted(Workload):
    """The last of each subject stays, however old; of what is younger than a second, everything."""

    name = "COMPACT"

    def __init__(self, dice: Any) -> None:
        super().__init__(dice)
        self.ledger = Ledger()
        self.subjects: dict[int, str] = {}
        self.times: dict[int, float] = {}

    async def create(self, hand: Hand) -> None:
        metadata = {"petiole.compact_after": "1s"}
        await hand.ask("STREAM.CREATE.COMPACT", {"name": "COMPACT", "subjects": ["compact.*"], "metadata": metadata})

    async def load(self, hand: Hand) -> None:
        while True:
            await asyncio.gather(*(self._publish(hand) for _ in range(30)))
            await asyncio.sleep(0.01)

    async def _publish(self, hand: Hand) -> None:
        subject, begin = f"compact.{self.dice.randrange(40)}", time.monotonic()
        seq = await self.ledger.publish(hand, subject, self.payload())
        self.subjects[seq], self.times[seq] = subject, begin
        self.done += 1

    async def check(self, hand: Hand) -> None:
        found = await hand.messages("COMPACT")
        now, last = time.monotonic(), {stored.subject: seq for seq, stored in sorted(found.items())}
        for seq in list(self.ledger.acked):
            if seq not in found:
                assert now - self.times[seq] > 1, f"message {seq} went too early"
                assert last.get(self.subjects[seq], 0) > seq, f"message {seq} was the last of {self.subjects[seq]}"
                del self.ledger.acked[seq]
        self.ledger.settle(found)
        self.subjects = {seq: stored.subject for seq, stored in found.items()}
        self.times = {seq: self.times.get(seq, now - 600) for seq in found}


class Counters(Workload):
    name = "COUNT"

    def __init__(self, dice: Any) -> None:
        super().__init__(dice)
        self.known: dict[str, int] = {}
        self.coming: dict[str, int] = {}

    async def create(self, hand: Hand) -> None:
        config = {"name": "COUNT", "subjects": ["count.*"], "allow_msg_counter": True, "allow_direct": True}
        await hand.ask("STREAM.CREATE.COUNT", config)

    async def load(self, hand: Hand) -> None:
        await asyncio.gather(*(self._count(hand, f"count.{i}") for i in range(4)))

    async def _count(self, hand: Hand, subject: str) -> None:
        while True:
            more = self.dice.randrange(-5, 20)
            self.coming[subject] = more
            value = int((await hand.publish(subject, b"", {"Nats-Incr": f"{more:+d}"}))["val"])
            assert value == self.known.get(subject, 0) + more, f"{subject}: {value}"
            self.known[subject] = value
            del self.coming[subject]
            self.done += 1

    async def check(self, hand: Hand) -> None:
        import json

        found = await hand.messages("COUNT")
        values = {stored.subject: int(json.loads(stored.payload)["val"]) for _, stored in sorted(found.items())}
        for i in range(4):
            subject = f"count.{i}"
            known = self.known.get(subject, 0)
            possible = {known, known + self.coming.pop(subject, 0)}
            assert values.get(subject, 0) in possible, f"{subject} is {values.get(subject)}, of {possible}"
        self.known = values


class Batches(Workload):
    """All of a batch or nothing."""

    name = "BATCH"

    def __init__(self, dice: Any) -> None:
        super().__init__(dice)
        self.ledger = Ledger()

    async def create(self, hand: Hand) -> None:
        await hand.ask("STREAM.CREATE.BATCH", {"name": "BATCH", "subjects": ["batch.>"], "allow_atomic": True})

    async def load(self, hand: Hand) -> None:
        await asyncio.gather(self._write(hand), self._write(hand), self._alone(hand))

    async def _alone(self, hand: Hand) -> None:
        while True:
            await self.ledger.publish(hand, "batch.alone", self.payload())
            self.done += 1

    async def _write(self, hand: Hand) -> None:
        while True:
            id, size = f"b{self.next()}", self.dice.randrange(1, 30)
            payloads = [b"%s %d/%d" % (id.encode(), i, size) for i in range(1, size + 1)]
            self.ledger.doubt.update(payloads)
            for i, payload in enumerate(payloads, 1):
                headers = {"Nats-Batch-Id": id, "Nats-Batch-Sequence": str(i)}
                if i == size:
                    headers["Nats-Batch-Commit"] = "1"
                    last = await hand.publish("batch.many", payload, headers)
                else:
                    await hand.nc.publish("batch.many", payload, headers=headers)
            seq = int(last["seq"])
            for i, payload in enumerate(reversed(payloads)):
                assert self.ledger.acked.setdefault(seq - i, payload) == payload, f"sequence {seq - i} was given twice"
            self.ledger.doubt.difference_update(payloads)
            self.done += size

    async def check(self, hand: Hand) -> None:
        found = await hand.messages("BATCH")
        batches: dict[bytes, set[bytes]] = {}
        for stored in found.values():
            if stored.subject == "batch.many":
                id, place = stored.payload.split()
                batches.setdefault(id, set()).add(place)
        for id, places in batches.items():
            size = int(next(iter(places)).split(b"/")[1])
            assert len(places) == size, f"of batch {id.decode()} {len(places)} of {size} messages are there"
        self.ledger.settle(found)


class Sourcing(Workload):
    """A stream, its mirror, and one that has it for its source: both get everything, once, in order."""

    name = "ORIGIN"

    def __init__(self, dice: Any) -> None:
        super().__init__(dice)
        self.ledger = Ledger()

    async def create(self, hand: Hand) -> None:
        await hand.ask("STREAM.CREATE.ORIGIN", {"name": "ORIGIN", "subjects": ["origin.>"]})
        await hand.ask("STREAM.CREATE.MIRROR", {"name": "MIRROR", "mirror": {"name": "ORIGIN"}})
        await hand.ask("STREAM.CREATE.SUM", {"name": "SUM", "sources": [{"name": "ORIGIN"}]})

    async def load(self, hand: Hand) -> None:
        while True:
            many = self.dice.randrange(1, 60)
            await asyncio.gather(*(self.ledger.publish(hand, "origin.x", self.payload()) for _ in range(many)))
            self.done += many

    async def check(self, hand: Hand) -> None:
        found = await hand.messages("ORIGIN")
        self.ledger.settle(found)

        async def caught_up() -> None:
            for name in ("MIRROR", "SUM"):
                state = await hand.state(name)
                assert state["messages"] == len(found), f"{name} has {state['messages']} of {len(found)}"

        await until("copies", caught_up)
        mirror = await hand.messages("MIRROR")
        assert {seq: each.payload for seq, each in mirror.items()} == {seq: each.payload for seq, each in found.items()}
        summed = [each.payload for _, each in sorted((await hand.messages("SUM")).items())]
        assert summed == [each.payload for _, each in sorted(found.items())], "the sum is another"


class Expiring(Workload):
    """Messages that live for a second, each on a subject of its own, and the markers that follow them."""

    name = "EXPIRE"

    def __init__(self, dice: Any) -> None:
        super().__init__(dice)
        self.told: dict[str, bool] = {}  # subject: was its message acknowledged?

    async def create(self, hand: Hand) -> None:
        config = {"name": "EXPIRE", "subjects": ["expire.*"], "allow_msg_ttl": True, "subject_delete_marker_ttl": 3600 * 10**9}
        await hand.ask("STREAM.CREATE.EXPIRE", config | {"allow_rollup_hdrs": True, "max_msgs_per_subject": 1})

    async def load(self, hand: Hand) -> None:
        while True:
            await asyncio.gather(*(self._publish(hand) for _ in range(10)))
            await asyncio.sleep(0.02)

    async def _publish(self, hand: Hand) -> None:
        subject = f"expire.{self.next()}"
        self.told[subject] = False
        await hand.publish(subject, b"short", {"Nats-TTL": "1"})
        self.told[subject] = True
        self.done += 1

    async def check(self, hand: Hand) -> None:
        """Not every time has to wait for it: what is due at a kill is what matters."""
        if self.dice.random() < 0.3:
            await until("markers", lambda: self._markers(hand))
        found = await hand.messages("EXPIRE")
        subjects = [stored.subject for stored in found.values()]
        assert len(subjects) == len(set(subjects)), "a message and its marker, or two markers"
        missing = [subject for subject, told in self.told.items() if told and subject not in subjects]
        assert not missing, f"neither the message nor its marker: {missing[:10]}"
        self.told = {subject: True for subject in subjects}

    async def _markers(self, hand: Hand) -> None:
        found = await hand.messages("EXPIRE")
        living = [stored.subject for stored in found.values() if stored.headers.get("Nats-Marker-Reason") != "MaxAge"]
        assert not living, f"still there: {living[:10]}"


class Scheduled(Workload):
    """Messages for later: each comes once."""

    name = "LATER"

    def __init__(self, dice: Any) -> None:
        super().__init__(dice)
        self.told: dict[str, bool] = {}

    async def create(self, hand: Hand) -> None:
        config = {"name": "LATER", "subjects": ["later.*", "now.*"], "allow_msg_schedules": True, "allow_rollup_hdrs": True}
        await hand.ask("STREAM.CREATE.LATER", config | {"allow_msg_ttl": True})

    async def load(self, hand: Hand) -> None:
        while True:
            await asyncio.gather(*(self._publish(hand) for _ in range(8)))
            await asyncio.sleep(0.02)

    async def _publish(self, hand: Hand) -> None:
        number = str(self.next())
        due = time.time() + self.dice.uniform(0, 1.2)
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(due)) + f".{int(due % 1 * 1000):03d}Z"
        self.told[number] = False
        headers = {"Nats-Schedule": f"@at {at}", "Nats-Schedule-Target": f"now.{number}"}
        await hand.publish(f"later.{number}", number.encode(), headers)
        self.told[number] = True
        self.done += 1

    async def check(self, hand: Hand) -> None:
        found = [stored.subject for stored in (await hand.messages("LATER")).values()]
        assert len(found) == len(set(found)), "one came twice"
        missing = [n for n, told in self.told.items() if told and f"now.{n}" not in found and f"later.{n}" not in found]
        assert not missing, f"neither the schedule nor what it was to publish: {missing[:10]}"
        if self.dice.random() < 0.3:
            await until("schedules", lambda: self._all_due(hand))

    async def _all_due(self, hand: Hand) -> None:
        found = [stored.subject for stored in (await hand.messages("LATER")).values()]
        waiting = [subject for subject in found if subject.startswith("later.")]
        assert not waiting, f"not published: {waiting[:10]}"
        published = [subject for subject in found if subject.startswith("now.")]
        assert len(published) == len(set(published)), "one came twice"


class Defining(Workload):
    """Streams and consumers that are made, changed and deleted."""

    name = "DEFINE"

    def __init__(self, dice: Any) -> None:
        super().__init__(dice)
        self.known: dict[str, str | None] = {}  # by kind and name: the description; None: there is none
        self.coming: dict[str, str | None] = {}

    async def create(self, hand: Hand) -> None:
        await hand.ask("STREAM.CREATE.DEFINE", {"name": "DEFINE", "subjects": ["define.>"]})

    async def load(self, hand: Hand) -> None:
        await asyncio.gather(*(self._go_on(hand, f"c{i}") for i in range(3)), *(self._go_on(hand, f"S{i}") for i in range(2)))

    async def _go_on(self, hand: Hand, name: str) -> None:
        while True:
            new = None if self.known.get(name) and self.dice.random() < 0.4 else f"version {self.next()}"
            self.coming[name] = new
            await (self._stream if name[0] == "S" else self._consumer)(hand, name, new)
            self.known[name] = self.coming.pop(name)
            self.done += 1

    async def _stream(self, hand: Hand, name: str, new: str | None) -> None:
        if new is None:
            await hand.ask(f"STREAM.DELETE.{name}")
            return
        call = "UPDATE" if self.known.get(name) else "CREATE"
        await hand.ask(f"STREAM.{call}.{name}", {"name": name, "subjects": [f"defined.{name}"], "description": new})

    async def _consumer(self, hand: Hand, name: str, new: str | None) -> None:
        if new is None:
            await hand.ask(f"CONSUMER.DELETE.DEFINE.{name}")
            return
        config = {"durable_name": name, "ack_policy": "explicit", "description": new}
        await hand.ask(f"CONSUMER.DURABLE.CREATE.DEFINE.{name}", {"stream_name": "DEFINE", "config": config})

    async def check(self, hand: Hand) -> None:
        for name in ["c0", "c1", "c2", "S0", "S1"]:
            call = f"STREAM.INFO.{name}" if name[0] == "S" else f"CONSUMER.INFO.DEFINE.{name}"
            try:
                found: str | None = (await hand.ask(call))["config"]["description"]
            except Refused:
                found = None
            known = self.known.get(name)
            assert found in (known, self.coming.pop(name, known)), f"{name} is {found!r}, and was {known!r}"
            self.known[name] = found


WORKLOADS: list[type[Workload]] = [
    Purging, Limited, Compacted, Counters, Batches, Sourcing, Expiring, Scheduled, Defining,
]  # fmt: skip
