"""Watchers: tasks that look at the edge and at the hub and put what they see into the picture."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from hub.demo.picture import Picture
from hub.errors import HubError
from hub.streams import TELEMETRY, stream_states

EVERY_S = 0.4


async def watch_edge(url: str, edge: str, picture: Picture) -> None:
    """Ask the edge for its own view of leaf and backlog, until cancelled; it may be dead or not yet alive."""
    while wanted():
        with suppress(OSError, Error, asyncio.TimeoutError):
            client = await nats.connect(url, allow_reconnect=False, error_cb=_unmentioned, connect_timeout=1)
            try:
                while client.is_connected and wanted():
                    reply = await client.request(f"petiole.{edge}.status", timeout=1)
                    _see_edge(json.loads(reply.data), picture)
                    await asyncio.sleep(EVERY_S)
            finally:
                await client.close()
        picture.leaf_connected = None
        await asyncio.sleep(EVERY_S)


def _see_edge(status: dict[str, dict[str, object]], picture: Picture) -> None:
    uplink = status["uplinks"][TELEMETRY]
    assert isinstance(uplink, dict)
    connected = bool(status["leaf"]["connected"])
    picture.edge_says(connected, int(uplink["backlog_messages"]), int(uplink["backlog_bytes"]))


async def watch_arrivals(client: Client, picture: Picture) -> None:
    """Show each reading as it reaches the hub."""

    async def arrived(message: Msg) -> None:
        picture.arrived(message.subject, message.data.decode(errors="replace")[:60])

    await client.subscribe("telemetry.>", cb=arrived)


async def watch_stored(client: Client, picture: Picture) -> None:
    """Follow the stream's own count; while its leader is being elected there is no answer."""
    while wanted():
        with suppress(HubError):
            for stream in await stream_states(client):
                if stream.name == TELEMETRY:
                    picture.stored = stream.messages
        await asyncio.sleep(EVERY_S)


async def watch_produced(produced: Callable[[], dict[str, int]], picture: Picture) -> None:
    while True:
        picture.produced = produced()
        await asyncio.sleep(EVERY_S)


def wanted() -> bool:
    """Has nobody cancelled this task?  Asked in each turn: nats-py may swallow the exception that says so."""
    task = asyncio.current_task()
    assert task is not None
    return not task.cancelling()


async def _unmentioned(_: Exception) -> None:
    """The edge is killed on purpose; the screen says so."""
