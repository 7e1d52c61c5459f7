"""SIGKILL in the middle of a restore: afterwards the stream is there, whole, or nothing of it is."""

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import nats
from nats.errors import Error as NatsError

from tests.crash.test_edge_crash import CONFIG, ROUNDS, ignore
from tests.e2e.test_snapshot import ask, restore, snapshot

MESSAGES = 3000


async def fill(url: str) -> tuple[dict[str, Any], bytes]:
    nc = await nats.connect(url)
    js = nc.jetstream()
    await js.add_stream(name="S", subjects=["s.>"])
    maker = random.Random(4)
    for _ in range(MESSAGES // 100):
        await asyncio.gather(*(js.publish("s.x", maker.randbytes(1500)) for _ in range(100)))
    sub = await js.pull_subscribe("s.>", "worker", stream="S")
    for message in await sub.fetch(50):
        await message.ack_sync()
    found = await snapshot(js)
    await js.delete_stream("S")
    await nc.close()
    return found


async def interrupted(url: str, config: dict[str, Any], data: bytes, kill: Callable[[], None], seconds: float) -> bool:
    """Killed after a while; True when the last answer came before that."""
    nc = await nats.connect(url, allow_reconnect=False, error_cb=ignore)
    js = nc.jetstream()
    coming = asyncio.create_task(restore(js, config, data, 16384))
    done, _ = await asyncio.wait([coming], timeout=seconds)
    kill()
    with contextlib.suppress(NatsError, asyncio.TimeoutError, OSError):
        await nc._close(nats.aio.client.Client.CLOSED, do_cbs=False)
    coming.cancel()
    results = await asyncio.gather(coming, return_exceptions=True)
    return bool(done) and isinstance(results[0], dict) and results[0]["state"]["messages"] == MESSAGES


async def look(url: str, was_told: bool) -> bool:
    """Is it there?  Then all of it is."""
    nc = await nats.connect(url)
    js = nc.jetstream()
    names = (await ask(js, "$JS.API.STREAM.NAMES", b""))["streams"]
    assert names in (None, ["S"]) and (names or not was_told), "a restore that was answered is gone"
    if names:
        state, worker = (await js.stream_info("S")).state, await js.consumer_info("S", "worker")
        assert (state.messages, state.last_seq, worker.ack_floor.stream_seq) == (MESSAGES, MESSAGES, 50)
        await js.delete_stream("S")
    await nc.close()
    return bool(names)


def verified(store: Any) -> str:
    done = subprocess.run([sys.executable, "-m", "edge", "verify", "-s", str(store)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kill_while_a_stream_is_restored(start_edge: Callable[..., Any], free_port: Callable[[], int], tmp_path: Any) -> None:
    store = tmp_path / "store"
    server = start_edge(CONFIG.format(port=free_port(), store=store))
    config, data = asyncio.run(fill(server.url))
    whole, takes = 0, 0.0
    for number in range(max(ROUNDS // 4, 6)):
        begin = time.monotonic()
        seconds = random.uniform(0, takes) if number else 30  # the first goes to its end
        was_told = asyncio.run(interrupted(server.url, config, data, server.kill, seconds))
        takes = takes or time.monotonic() - begin
        assert "no faults" in verified(store)  # what is half made is no fault, and no stream
        server.start()
        whole += asyncio.run(look(server.url, was_told))
    assert whole and server.stop() == 0
    assert "A restore was cut off" in server.log.read_text(), "none was"
    assert "0 messages of 0 streams: no faults" in verified(store)
