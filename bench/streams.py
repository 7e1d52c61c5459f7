"""Streams and consumers of the measured servers, made and asked beside what is measured; when JetStream is served."""

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import nats
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, StreamConfig

from bench.load import BenchError

PATIENCE = 60.0
STREAM, CONSUMER = "BENCH", "PULL"
T = TypeVar("T")


def ask(port: int, question: Callable[[JetStreamContext], Awaitable[T]]) -> T:
    async def asked() -> T:
        nc = await nats.connect(f"nats://127.0.0.1:{port}")
        try:
            return await question(nc.jetstream())
        finally:
            await nc.close()

    return asyncio.run(asked())


def make_stream(port: int, max_msgs: int = -1) -> None:
    """One that captures ``js.>``."""
    ask(port, lambda js: js.add_stream(StreamConfig(name=STREAM, subjects=["js.>"], max_msgs=max_msgs)))


def messages_of_stream(port: int) -> int:
    return ask(port, lambda js: js.stream_info(STREAM)).state.messages


def make_consumer(port: int, after: int = 0) -> None:
    """A durable one that pulls from behind this sequence; in place of the last one."""

    async def made(js: JetStreamContext) -> None:
        if any(known.name == CONSUMER for known in await js.consumers_info(STREAM)):
            await js.delete_consumer(STREAM, CONSUMER)
        config = ConsumerConfig(
            durable_name=CONSUMER, ack_policy=AckPolicy.EXPLICIT,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1,
        )  # fmt: skip
        await js.add_consumer(STREAM, config)

    ask(port, made)


def consumer_state(port: int) -> ConsumerInfo:
    state: ConsumerInfo = ask(port, lambda js: js.consumer_info(STREAM, CONSUMER))
    return state


def serving_ms(port: int, begin: float) -> float:
    """From ``begin`` (time.perf_counter) to the ack of a message that the stream has stored."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if re.search(rb'"seq":\s*\d', _publish_one(port)):
            return (time.perf_counter() - begin) * 1000
        time.sleep(0.002)
    raise BenchError(f"no message was acked within {PATIENCE:g} s of the start")


def _publish_one(port: int) -> bytes:
    """The answer, which may be that nobody is there."""
    hello = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(hello + b"SUB _INBOX.start 1\r\nPUB js.data _INBOX.start 1\r\nx\r\nPING\r\n")
        received = b""
        while not re.search(rb"MSG _INBOX\.start [^\n]*\n", received) or not received.endswith(b"\r\n"):
            chunk = client.recv(65536)
            if not chunk:
                raise BenchError(f"the server closed the connection: {received[-200:]!r}")
            received += chunk
        return received
