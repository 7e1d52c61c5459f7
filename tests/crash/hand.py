"""A client's connection to the server that is going to be killed, and what it is told."""

import asyncio
import contextlib
import json
from typing import Any, NamedTuple

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

SECONDS = 5.0
BATCH = 500


class Stored(NamedTuple):
    subject: str
    headers: dict[str, str]
    payload: bytes


class Refused(Exception):
    """The server's answer is an error: it did not do what it was asked, and says so."""


class Hand:
    def __init__(self, nc: Client) -> None:
        self.nc = nc
        self.js: JetStreamContext = nc.jetstream(timeout=SECONDS)

    @classmethod
    async def reach(cls, url: str) -> "Hand":
        return cls(await nats.connect(url, allow_reconnect=False, error_cb=_ignore))

    async def leave(self) -> None:
        """Also when the server is gone already."""
        with contextlib.suppress(OSError, NatsError):
            await self.nc._close(Client.CLOSED, do_cbs=False)
        await asyncio.sleep(0)  # which closes the socket

    async def ask(self, call: str, body: object = None) -> dict[str, Any]:
        """Of the JetStream API."""
        data = b"" if body is None else json.dumps(body).encode()
        return _told((await self.nc.request(f"$JS.API.{call}", data, SECONDS)).data)

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """What the PubAck says; empty where the server only takes note."""
        answer = (await self.nc.request(subject, payload, SECONDS, headers=headers)).data
        return _told(answer) if answer else {}

    async def state(self, stream: str) -> dict[str, Any]:
        found = await self.ask(f"STREAM.INFO.{stream}")
        state: dict[str, Any] = found["state"]
        return state

    async def messages(self, stream: str) -> dict[int, Stored]:
        """All that a consumer is given, held against what the stream says it has."""
        while True:
            state = await self.state(stream)
            found = await self.read(stream) if state["messages"] else {}
            if state == await self.state(stream):  # nothing has come or expired meanwhile
                break
        assert len(found) == state["messages"], f"{stream}: it says {state['messages']}, and gives {len(found)}"
        if found:
            ends = (state["first_seq"], state["last_seq"])
            assert ends[0] == min(found) and max(found) <= ends[1], f"{stream}: from {min(found)} to {max(found)}: {ends}"
        return found

    async def read(self, stream: str) -> dict[int, Stored]:
        """What a consumer of its own is given, as far as there is something."""
        found: dict[int, Stored] = {}
        config = {"ack_policy": "none", "mem_storage": True, "inactive_threshold": 5 * 10**9}
        name = (await self.ask(f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config}))["name"]
        inbox = self.nc.new_inbox()
        sub = await self.nc.subscribe(inbox)
        more = True
        while more:
            request = json.dumps({"batch": BATCH, "no_wait": True}).encode()
            await self.nc.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}", request, reply=inbox)
            for _ in range(BATCH):
                message = await sub.next_msg(SECONDS)
                headers = dict(message.headers or {})
                if "Status" in headers:
                    assert headers["Status"] in ("404", "408"), headers
                    more = False
                    break
                seq = message.metadata.sequence.stream
                assert seq not in found, f"{stream}: message {seq} comes twice"
                found[seq] = Stored(message.subject, headers, message.data)
        await sub.unsubscribe()
        await self.ask(f"CONSUMER.DELETE.{stream}.{name}")
        return found


def _told(data: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(data)
    if "error" in answer:
        raise Refused(answer["error"].get("description", answer["error"]))
    return answer


async def _ignore(error: Exception) -> None:
    """The connection's end is what this is about."""


# How a request ends that the kill cut off.
CUT = (NatsError, asyncio.TimeoutError, asyncio.CancelledError, OSError)
