"""Two servers that have each other's streams for their origins: a client for each that finds its server again, and what
flows from one to the other."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import nats

PATIENCE = 90.0  # nats-server takes up to 40 s to notice that an origin is back (reference: sourcing.md section 4)


class Side:
    """One of the servers, with a client that finds it again."""

    def __init__(self, server: Any, user: str | None = None) -> None:
        self.server = server
        self.user = user

    async def connect(self) -> None:
        self.client = await nats.connect(
            self.server.url, user=self.user, password="p", max_reconnect_attempts=-1, reconnect_time_wait=0.05,
            error_cb=_ignore,
        )  # fmt: skip

    async def api(self, call: str, body: object = None) -> Any:
        """Asked again while the server is away."""
        data = b"" if body is None else json.dumps(body).encode()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = await self.client.request(f"$JS.API.{call}", data, timeout=1)
                return json.loads(answer.data)
            except (nats.errors.Error, TimeoutError) as exc:
                assert time.monotonic() < deadline, (call, exc)
                await asyncio.sleep(0.1)

    async def create(self, name: str, **fields: object) -> None:
        answer = await self.api(f"STREAM.CREATE.{name}", {"name": name, **fields})
        assert "error" not in answer, answer

    async def publish(self, subject: str, numbers: range, size: int = 0) -> None:
        """Until each is acknowledged, whatever happens to the server meanwhile."""
        for first in range(numbers.start, numbers.stop, 100):
            some = range(first, min(first + 100, numbers.stop))
            await asyncio.gather(*(self._publish(subject, number, size) for number in some))

    async def _publish(self, subject: str, number: int, size: int) -> None:
        headers = {"Nats-Msg-Id": f"{subject} {number}"}
        payload = str(number).encode().ljust(size)
        while True:
            try:
                answer = await self.client.request(f"{subject}.{number % 3}", payload, timeout=1, headers=headers)
            except (nats.errors.Error, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            assert b'"error"' not in answer.data, answer.data
            return

    async def info(self, stream: str) -> Any:
        return await self.api(f"STREAM.INFO.{stream}")

    async def messages(self, stream: str) -> list[Any]:
        state = (await self.info(stream))["state"]
        gets = [{"seq": seq} for seq in range(state["first_seq"], state["last_seq"] + 1)]
        found = []
        for first in range(0, len(gets), 200):
            answers = (self.api(f"STREAM.MSG.GET.{stream}", get) for get in gets[first : first + 200])
            found += [answer["message"] for answer in await asyncio.gather(*answers) if "message" in answer]
        return found

    async def has(self, stream: str, messages: int) -> None:
        """Wait until the stream has so many messages."""
        deadline = time.monotonic() + PATIENCE
        while (answer := await self.info(stream))["state"]["messages"] != messages:
            assert time.monotonic() < deadline, answer
            await asyncio.sleep(0.05)

    async def is_refused(self, stream: str, why: str) -> None:
        """Wait until its source says that."""
        deadline = time.monotonic() + PATIENCE
        while why not in str((answer := await self.info(stream))["sources"][0].get("error")):
            assert time.monotonic() < deadline, answer
            await asyncio.sleep(0.05)

    async def reaches(self, stream: str, seq: int) -> None:
        while (await self.info(stream))["state"]["last_seq"] < seq:
            await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """The power cut, and a new start."""
        await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.server.start)


async def _ignore(exc: Exception) -> None:
    pass


def numbers(messages: list[Any]) -> list[int]:
    return [int(base64.b64decode(message["data"])) for message in messages]


class Way:
    """What flows from ``there`` to ``here``: ``name`` is down, from the hub, or up, from the edge."""

    acknowledges = True  # both sides do, as servers since 2.14
    tells_identity = True

    def __init__(self, name: str, here: Side, there: Side, domain: str) -> None:
        self.name = name
        self.here = here
        self.there = there
        self.external = {"api": f"$JS.{domain}.API", "deliver": ""}

    def origin(self, name: str, **fields: object) -> dict[str, object]:
        return {"name": name, "external": self.external, **fields}


class Pair:
    """A hub and an edge, with ``proxy`` between them, and streams both ways."""

    def __init__(self, hub: Side, edge: Side, proxy: Any, domain: str = "edge") -> None:
        self.hub, self.edge, self.proxy = hub, edge, proxy
        self.down = Way("down", edge, hub, "hub")
        self.up = Way("up", hub, edge, domain)

    async def both(self, what: Callable[[Way], Awaitable[None]]) -> None:
        await asyncio.gather(what(self.down), what(self.up))

    async def run(self, what: "Callable[[Pair], Awaitable[None]]") -> None:
        await self.hub.connect()
        await self.edge.connect()
        version = self.hub.client.connected_server_version
        self.up.tells_identity = (version.major, version.minor) >= (2, 15)
        self.down.acknowledges = self.up.acknowledges = (version.major, version.minor) >= (2, 14)
        try:
            await what(self)
        finally:
            await self.hub.client.close()
            await self.edge.client.close()
