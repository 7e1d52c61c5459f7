"""Programs as their users write them, with nats-py unmodified: streams, consumers, queue groups, request-reply."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig

Start = Callable[..., Any]


@pytest.fixture
def server(start_edge: Start, tmp_path: Path) -> Any:
    return start_edge(f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path / "store"}" }}')


ORDER = {"orderId": "ord-7829", "totalAmount": 149.99, "region": "us-east-1"}


async def order_stream(url: str) -> list[str]:
    nc = await nats.connect(url)
    js = nc.jetstream()
    await js.add_stream(
        StreamConfig(
            name="ORDERS",
            subjects=["orders.>"],
            retention=RetentionPolicy.LIMITS,
            max_age=7 * 24 * 60 * 60 * 1_000_000_000,  # the author meant nanoseconds, the client takes seconds
            max_bytes=10 * 1024 * 1024 * 1024,
            num_replicas=1,
        )
    )
    acks = [
        await js.publish("orders.placed", json.dumps(ORDER).encode(), headers={"Nats-Msg-Id": "ord-7829-placed"})
        for _ in range(2)
    ]
    assert [(ack.stream, ack.seq, bool(ack.duplicate)) for ack in acks] == [("ORDERS", 1, False), ("ORDERS", 1, True)]
    sub = await js.pull_subscribe(
        "orders.placed",
        durable="order-processor",
        config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_deliver=5, ack_wait=30),
    )
    seen = []
    for message in await sub.fetch(batch=10, timeout=5):
        seen.append(json.loads(message.data)["orderId"])
        await message.ack()
    with pytest.raises(TimeoutError):
        await sub.fetch(batch=10, timeout=0.2)
    info = await sub.consumer_info()
    assert info.num_ack_pending == 0 and info.num_pending == 0
    await nc.close()
    return seen


def test_the_order_stream(server: Any) -> None:
    assert asyncio.run(order_stream(server.url)) == ["ord-7829"]


def test_queue_group_and_request_reply(server: Any) -> None:
    async def main() -> None:
        nc = await nats.connect(server.url)
        received: list[Any] = []

        async def handler(message: Any) -> None:
            received.append(json.loads(message.data))

        async def validator(message: Any) -> None:
            await message.respond(json.dumps({"valid": True, "orderId": json.loads(message.data)["orderId"]}).encode())

        await nc.subscribe("orders.placed", queue="order-processors", cb=handler)
        await nc.subscribe("orders.placed", queue="order-processors", cb=handler)
        await nc.subscribe("orders.validate", cb=validator)
        response = await nc.request("orders.validate", json.dumps({"orderId": "ord-7829"}).encode(), timeout=30)
        assert json.loads(response.data) == {"valid": True, "orderId": "ord-7829"}
        await nc.publish("orders.placed", json.dumps({"orderId": "ord-7829", "total": 149.99}).encode())
        await nc.flush()
        await nc.drain()
        assert received == [{"orderId": "ord-7829", "total": 149.99}]

    asyncio.run(main())


def test_redelivery_nak_term_and_progress(server: Any) -> None:
    async def main() -> None:
        nc = await nats.connect(server.url)
        js = nc.jetstream()
        await js.add_stream(name="S", subjects=["s.*"])
        for i in range(3):
            await js.publish(f"s.{i}", b"%d" % i)
        sub = await js.pull_subscribe("s.*", durable="D", config=ConsumerConfig(ack_wait=0.5, max_deliver=3))
        first, second, third = await sub.fetch(3)
        assert [m.metadata.num_delivered for m in (first, second, third)] == [1, 1, 1]
        await first.nak(delay=0.1)
        await second.term()
        await third.ack_sync()
        (again,) = await sub.fetch(1, timeout=5)
        assert again.data == b"0" and again.metadata.num_delivered == 2 and again.metadata.sequence.stream == 1
        await again.in_progress()
        (last,) = await sub.fetch(1, timeout=5)
        assert last.data == b"0" and last.metadata.num_delivered == 3
        with pytest.raises(TimeoutError):
            await sub.fetch(1, timeout=1.2)
        await nc.close()

    asyncio.run(main())


def test_what_is_acknowledged_survives_a_kill(server: Any) -> None:
    async def before() -> None:
        nc = await nats.connect(server.url)
        js = nc.jetstream()
        await js.add_stream(name="S", subjects=["s.*"])
        for i in range(10):
            await js.publish("s.x", b"%d" % i, headers={"Nats-Msg-Id": f"id-{i}"})
        sub = await js.pull_subscribe("s.*", durable="D")
        for message in await sub.fetch(4):
            await message.ack_sync()
        server.kill()
        await nc.close()

    async def after() -> None:
        nc = await nats.connect(server.url)
        js = nc.jetstream()
        ack = await js.publish("s.x", b"9", headers={"Nats-Msg-Id": "id-9"})
        assert ack.duplicate and ack.seq == 10
        sub = await js.pull_subscribe_bind("D", "S")
        assert [message.data for message in await sub.fetch(10, timeout=2)] == [b"%d" % i for i in range(4, 10)]
        assert (await js.get_last_msg("S", "s.x")).data == b"9"
        await nc.close()

    asyncio.run(before())
    server.start()
    asyncio.run(after())
