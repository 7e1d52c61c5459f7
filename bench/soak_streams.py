"""Streams of a soak that follow those of the other side: mirrors, sources, what empties a work queue; down and up."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from nats.aio.client import Client
from nats.errors import Error
from nats.js.errors import APIError

from hub.errors import HubError
from hub.ledger import Reading
from hub.streams import stored_messages

Connect = Callable[[], AbstractAsyncContextManager[Client]]
PATIENCE_S = 60.0
FOLLOWERS = (("M", "O", "mirror"), ("S", "O", "source"), ("D", "W", "work"))  # stream, its origin, what it is


class Way:
    """From the streams of ``origin`` to those of ``follower``; the first is reached as ``domain``."""

    def __init__(self, name: str, origin: Connect, domain: str, follower: Connect, fields: tuple[Any, Any]) -> None:
        self.name = name
        self.origin, self.follower = origin, follower
        self.external = {"api": f"$JS.{domain}.API", "deliver": ""}
        self.at_origin, self.at_follower = fields
        self.produced = {"O": 0, "W": 0}

    def stream(self, letter: str) -> str:
        return f"{letter}_{self.name}"

    async def make(self) -> None:
        async with self.origin() as client:
            await _create(client, self.stream("O"), subjects=[f"o.{self.name}"], **self.at_origin)
            await _create(
                client, self.stream("W"), subjects=[f"w.{self.name}"], retention="workqueue", **self.at_origin
            )
        async with self.follower() as client:
            for letter, origin, kind in FOLLOWERS:
                source = {"name": self.stream(origin), "external": self.external}
                way: dict[str, Any] = {"mirror": source} if kind == "mirror" else {"sources": [source]}
                await _create(client, self.stream(letter), **way, **self.at_follower)

    async def publish(self, letter: str, interval: float, is_over: Callable[[], bool]) -> None:
        """Each until it is acknowledged, under its id."""
        async with self.origin() as client:
            js = client.jetstream(timeout=2.0)
            subject = f"{letter.lower()}.{self.name}"
            while not is_over():
                number = self.produced[letter] + 1
                try:
                    await js.publish(subject, b"%d" % number, headers={"Nats-Msg-Id": f"{subject} {number}"})
                except (Error, APIError, OSError, TimeoutError):
                    await asyncio.sleep(0.05)
                    continue
                self.produced[letter] = number
                await asyncio.sleep(interval)

    async def settle(self, patience_s: float) -> tuple[dict[str, int], list[Reading]]:
        """What was produced, and what each follower has."""
        produced: dict[str, int] = {}
        stored: list[Reading] = []
        deadline = time.monotonic() + patience_s
        async with self.follower() as client:
            for letter, origin, kind in FOLLOWERS:
                device = f"{self.name} {kind}"
                produced[device] = self.produced[origin]
                await _await(client, self.stream(letter), self.produced[origin], deadline)
            await asyncio.sleep(2)  # what would come twice has time to come
            for letter, _, kind in FOLLOWERS:
                found = await stored_messages(client, self.stream(letter))
                stored += [(f"{self.name} {kind}", int(payload)) for _, payload in found]
        return produced, stored


async def _await(client: Client, stream: str, messages: int, deadline: float) -> None:
    js = client.jetstream(timeout=2.0)
    while time.monotonic() < deadline:
        with contextlib.suppress(Error, APIError, TimeoutError):
            if (await js.stream_info(stream)).state.messages >= messages:
                return
        await asyncio.sleep(0.2)


async def _create(client: Client, name: str, **fields: object) -> None:
    deadline = time.monotonic() + PATIENCE_S
    body = json.dumps({"name": name, **fields}).encode()
    while True:
        why = "no answer"
        with contextlib.suppress(Error, TimeoutError):
            answer = json.loads((await client.request(f"$JS.API.STREAM.CREATE.{name}", body, timeout=5)).data)
            if "error" not in answer:
                return
            why = answer["error"]["description"]
        if time.monotonic() > deadline:
            raise HubError(f"stream {name}: {why}")
        await asyncio.sleep(0.2)
