"""SIGKILL at random moments under load: what was acknowledged is there, what was confirmed does not come back.

Rounds are 20 by default; a longer campaign: ``PETIOLE_CRASH_ROUNDS=500 tests/run tests/crash``.
"""

import asyncio
import os
import random
from collections.abc import Callable
from typing import Any

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

ROUNDS = int(os.environ.get("PETIOLE_CRASH_ROUNDS", "20"))

CONFIG = """
listen: 127.0.0.1:{port}
server_name: crash
jetstream {{ store_dir: "{store}" }}
"""


class Ledger:
    """What this side saw: the only truth that counts."""

    def __init__(self) -> None:
        self.acked: dict[int, bytes] = {}  # PubAck received: sequence to payload
        self.doubt: set[bytes] = set()  # sent with a message id, no PubAck seen
        self.confirmed: set[int] = set()  # AckSync answered
        self.verified = 0  # the stream is known to be right up to here
        self.number = 0

    def next_payload(self) -> bytes:
        self.number += 1
        return b"reading %d" % self.number


async def publish(nc: Client, ledger: Ledger, subject: str) -> None:
    js = nc.jetstream(timeout=5)
    while True:
        payloads = [ledger.next_payload() for _ in range(40)]
        ledger.doubt.update(payloads)
        await asyncio.gather(*(publish_one(js, ledger, subject, payload) for payload in payloads))


async def publish_one(js: Any, ledger: Ledger, subject: str, payload: bytes) -> None:
    ack = await js.publish(subject, payload, headers={"Nats-Msg-Id": payload.decode()})
    ledger.doubt.discard(payload)
    assert ledger.acked.setdefault(ack.seq, payload) == payload, f"sequence {ack.seq} acknowledged twice"


async def consume(nc: Client, ledger: Ledger) -> None:
    sub = await nc.jetstream(timeout=5).pull_subscribe_bind("worker", "CRASH")
    while True:
        try:
            messages = await sub.fetch(20, timeout=1)
        except nats.errors.TimeoutError:
            continue
        for message in messages:
            seq = message.metadata.sequence.stream
            assert seq not in ledger.confirmed, f"message {seq} came back after its ack was confirmed"
        for message in messages:
            await message.ack_sync(timeout=5)
            ledger.confirmed.add(message.metadata.sequence.stream)


async def load(port: int, ledger: Ledger, kill: Callable[[], None], seconds: float) -> None:
    """Publishers and a consumer until the server is gone."""
    nc = await nats.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False, error_cb=ignore)
    tasks = [asyncio.create_task(publish(nc, ledger, f"crash.{i}")) for i in range(2)]
    tasks.append(asyncio.create_task(consume(nc, ledger)))
    await asyncio.sleep(seconds)
    kill()
    await nc._close(nats.aio.client.Client.CLOSED, do_cbs=False)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, (NatsError, asyncio.CancelledError, OSError)):
            raise result


async def ignore(error: Exception) -> None:
    """The connection's end is what this test is about."""


async def verify(port: int, ledger: Ledger) -> None:
    """After a restart: nothing acknowledged is missing, no sequence is, and no payload stands there twice."""
    nc = await nats.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False)
    js = nc.jetstream(timeout=5)
    state = (await js.stream_info("CRASH")).state
    assert state.last_seq >= max(ledger.acked, default=0), "acknowledged messages are gone"
    assert state.messages == state.last_seq and state.first_seq == min(1, state.last_seq), f"a gap: {state}"
    for payload in sorted(ledger.doubt):  # a publisher sends again what it saw no ack for
        ack = await js.publish("crash.again", payload, headers={"Nats-Msg-Id": payload.decode()})
        assert ledger.acked.setdefault(ack.seq, payload) == payload
    ledger.doubt.clear()
    last = (await js.stream_info("CRASH")).state.last_seq
    assert last == len(ledger.acked) == len(set(ledger.acked.values())), "stored more, or less, than was acknowledged"
    for seq in range(ledger.verified + 1, last + 1):
        assert (await js.get_msg("CRASH", seq)).data == ledger.acked[seq], f"message {seq} is another"
    ledger.verified = last
    await verify_consumer(js, ledger, last)
    await nc.close()


async def verify_consumer(js: Any, ledger: Ledger, last: int) -> None:
    info = await js.consumer_info("CRASH", "worker")
    floor, delivered = info.ack_floor, info.delivered
    assert floor.stream_seq <= delivered.stream_seq <= last and floor.consumer_seq <= delivered.consumer_seq
    assert info.num_pending == last - delivered.stream_seq
    assert floor.stream_seq + info.num_ack_pending <= delivered.stream_seq
    unconfirmed = [seq for seq in range(1, floor.stream_seq + 1) if seq not in ledger.confirmed]
    assert len(unconfirmed) <= ledger_slack(ledger), f"acked without an ack: {unconfirmed[:10]}"


def ledger_slack(ledger: Ledger) -> int:
    """One ack a round may have been carried out with its answer cut off."""
    return ROUNDS


def test_kill_at_random_moments(start_edge: Callable[..., Any], free_port: Callable[[], int], tmp_path: Any) -> None:
    config = CONFIG.format(port=free_port(), store=tmp_path / "store")
    ledger = Ledger()
    server = start_edge(config)

    async def create() -> None:
        nc = await nats.connect(server.url, allow_reconnect=False)
        js = nc.jetstream()
        await js.add_stream(StreamConfig(name="CRASH", subjects=["crash.>"], duplicate_window=3600))
        await js.add_consumer("CRASH", ConsumerConfig(durable_name="worker", ack_policy=AckPolicy.EXPLICIT, ack_wait=2))
        await nc.close()

    asyncio.run(create())
    for _ in range(ROUNDS):
        asyncio.run(load(server.port, ledger, server.kill, random.uniform(0.05, 0.6)))
        server.start()
        asyncio.run(verify(server.port, ledger))
    assert len(ledger.acked) > ROUNDS and len(ledger.confirmed) > ROUNDS, "there was no load"
    assert server.stop() == 0
