"""What can come between a stream and its origin: the rows of the table in reference/sourcing.md section 4, and some more.

Each is played both ways, and ends with every message there once and in its order.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from tests.e2e.sides import PATIENCE, Pair, Way, numbers

Row = Callable[[Pair], Awaitable[None]]
THRESHOLD = 10.0  # seconds until an origin gives up a consumer that nobody listens to


async def make(way: Way) -> None:
    """A stream, its mirror, and what sources it; a work queue, and what takes from it."""
    await way.there.create("O", subjects=[f"{way.name}.o.>"])
    await way.there.create("W", subjects=[f"{way.name}.w.>"], retention="workqueue")
    await follow(way)
    await publish(way, range(1, 11))
    await whole(way, 10)


async def follow(way: Way) -> None:
    await way.here.create("M", mirror=way.origin("O"))
    await way.here.create("S", sources=[way.origin("O")])
    if way.acknowledges:
        await way.here.create("D", sources=[way.origin("W")])


async def publish(way: Way, some: range) -> None:
    await way.there.publish(f"{way.name}.o", some)
    await way.there.publish(f"{way.name}.w", some)


async def whole(way: Way, last: int) -> None:
    await way.here.has("M", last)
    assert await way.here.messages("M") == await way.there.messages("O")
    await way.here.has("S", last)
    assert numbers(await way.here.messages("S")) == numbers(await way.there.messages("O"))
    if way.acknowledges:
        await way.here.has("D", last)
        assert sorted(numbers(await way.here.messages("D"))) == list(range(1, last + 1))
        await way.there.has("W", 0)


async def a_long_cut(pair: Pair) -> None:
    """The consumers are gone when the link is back."""
    await pair.both(make)
    pair.proxy.cut()
    await pair.both(lambda way: publish(way, range(11, 21)))
    await asyncio.sleep(THRESHOLD + 1)
    pair.proxy.restore()
    await pair.both(lambda way: whole(way, 20))


async def a_flapping_link(pair: Pair) -> None:
    await pair.both(make)
    publishing = asyncio.create_task(pair.both(lambda way: publish(way, range(11, 511))))
    while not publishing.done():
        pair.proxy.cut()
        next_one = pair.proxy.connects + 1
        pair.proxy.restore()
        await until(partial(pair.proxy.has_connected, next_one))
    await publishing
    await pair.both(lambda way: whole(way, 510))


async def a_black_hole(pair: Pair) -> None:
    """Nobody is told that the link is gone."""
    await pair.both(make)
    begin = len(pair.edge.server.log.read_text())
    pair.proxy.silence()
    await pair.both(lambda way: publish(way, range(11, 21)))
    await until(lambda: "does not answer" in pair.edge.server.log.read_text()[begin:])
    pair.proxy.restore()
    await pair.both(lambda way: whole(way, 20))


async def an_origin_killed(pair: Pair) -> None:
    """And started again at once; nats-server takes its silence for that of an origin that has nothing to say."""
    await pair.both(make)
    await pair.edge.kill()
    await pair.both(lambda way: publish(way, range(11, 21)))
    await pair.both(lambda way: whole(way, 20))


async def an_origin_that_comes_later(pair: Pair) -> None:
    await pair.both(follow)
    await pair.both(lambda way: way.here.is_refused("S", "stream not found"))

    async def begin(way: Way) -> None:
        await way.there.create("W", subjects=[f"{way.name}.w.>"], retention="workqueue")
        await way.there.create("O", subjects=[f"{way.name}.o.>"])
        await publish(way, range(1, 11))
        await whole(way, 10)

    await pair.both(begin)


async def an_origin_made_anew_behind_a_cut(pair: Pair) -> None:
    """A source takes it from its beginning, a mirror has what was there and goes on behind that."""

    async def anew(way: Way) -> None:
        await way.there.api("STREAM.DELETE.O")
        await way.there.create("O", subjects=[f"{way.name}.o.>"])
        await way.there.publish(f"{way.name}.o", range(101, 113))

    async def compare(way: Way) -> None:
        old = list(range(1, 11))
        await way.here.has("M", 12)
        assert numbers(await way.here.messages("M")) == [*old, 111, 112]
        if way.tells_identity:
            await way.here.has("S", 22)
            assert numbers(await way.here.messages("S")) == [*old, *range(101, 113)]

    await pair.both(make)
    pair.proxy.cut()
    await pair.both(anew)
    pair.proxy.restore()
    await pair.both(compare)


async def a_purged_origin(pair: Pair) -> None:
    """With the link, and behind a cut: what was taken stays, what comes follows."""

    async def purge(way: Way, some: range) -> None:
        await way.there.api("STREAM.PURGE.O")
        await way.there.publish(f"{way.name}.o", some)

    async def compare(way: Way, last: int) -> None:
        for name in "MS":
            await way.here.has(name, last)
            assert numbers(await way.here.messages(name)) == list(range(1, last + 1))

    await pair.both(make)
    await pair.both(lambda way: purge(way, range(11, 16)))
    await pair.both(lambda way: compare(way, 15))
    pair.proxy.cut()
    await pair.both(lambda way: purge(way, range(16, 21)))
    pair.proxy.restore()
    await pair.both(lambda way: compare(way, 20))


async def a_consumer_that_is_gone(pair: Pair) -> None:
    """It was deleted where it was; the link has noticed nothing."""

    async def scene(way: Way) -> None:
        found: list[tuple[str, str]] = []

        async def note(message: Any) -> None:
            answer = json.loads(message.data)
            if "stream_name" in answer:
                found.append((answer["stream_name"], answer["name"]))

        subscription = await way.there.client.subscribe("$JSC.R.*", cb=note)
        await way.there.client.flush()
        await make(way)
        wanted = 3 if way.acknowledges else 2
        await until(lambda: len({stream + name[:4] for stream, name in found}) >= wanted)
        await subscription.unsubscribe()
        for stream, name in found:
            await way.there.api(f"CONSUMER.DELETE.{stream}.{name}")
        await publish(way, range(11, 21))
        await whole(way, 20)

    await pair.both(scene)


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


ROWS: tuple[Row, ...] = (
    a_long_cut, a_flapping_link, a_black_hole, an_origin_killed, an_origin_that_comes_later,
    an_origin_made_anew_behind_a_cut, a_purged_origin, a_consumer_that_is_gone,
)  # fmt: skip
