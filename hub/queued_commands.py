"""Commands that wait for their devices: put into the stream COMMANDS here, run once by the edge, told of in RESULTS.

The stream takes ``queued.commands.<edge>.<device>.<verb>`` and not ``commands.>``: it would answer plain requests.
"""

import asyncio
import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.js.errors import APIError, NotFoundError

from hub.errors import HubError
from hub.streams import COMMAND_STREAMS, COMMANDS, RESULTS, ensure_streams, read_stream

ID, DEADLINE, IDEMPOTENT = "Nats-Msg-Id", "Petiole-Deadline", "Petiole-Idempotent"
COMMAND = "Petiole-Command"  # whose result it is
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Queued(NamedTuple):
    """``state``: as the edge's result says; ``waits`` where there is none yet, ``overdue`` if it should be there."""

    id: str
    edge: str
    device: str
    verb: str
    deadline: datetime | None
    state: str
    answer: str


def deadline_after(text: str, now: datetime) -> datetime:
    """``90s``, ``15m``, ``12h``, ``7d`` from now, or a time as RFC 3339 has it."""
    if found := re.fullmatch(r"(\d{1,9})([smhd])", text):
        return now + timedelta(seconds=int(found[1]) * UNITS_S[found[2]])
    try:
        deadline = datetime.fromisoformat(text)
    except ValueError:
        deadline = now.replace(tzinfo=None)
    if deadline.tzinfo is None:
        raise HubError(f"deadline {text!r}: expected such as 90s, 15m, 12h, 7d or 2026-12-24T18:00:00Z")
    return deadline.astimezone(UTC)


async def queue_command(client: Client, subject: str, payload: bytes, deadline: datetime, idempotent: bool) -> str:
    """Its id, once the hub has it on disk.  ``subject``: ``commands.<edge>.<device>.<verb>``."""
    await ensure_streams(client, streams=COMMAND_STREAMS)
    id = secrets.token_hex(8)
    headers = {ID: id, DEADLINE: f"{deadline:%Y-%m-%dT%H:%M:%SZ}"} | ({IDEMPOTENT: "true"} if idempotent else {})
    try:
        await client.jetstream(timeout=10).publish(f"queued.{subject}", payload, headers=headers)
    except (Error, APIError, TimeoutError) as exc:
        raise HubError(f"{subject}: nobody knows whether the hub has stored it: {exc}") from exc
    return id


async def queued_commands(client: Client, now: datetime, edge: str = "*") -> list[Queued]:
    """Every command for this edge that the hub still has, the oldest first, with what became of it."""
    commands = await _read(client, COMMANDS, f"queued.commands.{edge}.>")
    results = await _read(client, RESULTS, f"results.{edge}.>")
    ended = {found["command"]: found for message in results if (found := _result(message))}
    return [_queued(message, ended, now) for message in commands]


async def command_result(client: Client, id: str, timeout_s: float) -> dict[str, object] | None:
    """What the edge tells of this command; None: nothing came in time."""
    try:
        subscription = await client.jetstream().subscribe("results.>", stream=RESULTS, ordered_consumer=True)
        async with asyncio.timeout(timeout_s):
            async for message in subscription.messages:
                if (message.headers or {}).get(COMMAND) == id and (found := _result(message)):
                    return found
    except TimeoutError:
        return None
    except (Error, APIError) as exc:
        raise HubError(f"stream {RESULTS}: {exc}") from exc
    return None


async def _read(client: Client, stream: str, subject: str) -> list[Msg]:
    try:
        return await read_stream(client, stream, subject)
    except NotFoundError:
        return []


def _result(message: Msg) -> dict[str, object] | None:
    try:
        found = json.loads(message.data)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "command" in found else None


def _queued(message: Msg, ended: dict[object, dict[str, object]], now: datetime) -> Queued:
    headers = message.headers or {}
    id = headers.get(ID) or f"{COMMANDS}:{message.metadata.sequence.stream}"
    edge, device, verb = [*message.subject.split(".")[2:], "", "", ""][:3]
    deadline = _time(headers.get(DEADLINE, ""))
    result = ended.get(id)
    if result is None:
        state, answer = "overdue" if deadline is not None and deadline < now else "waits", ""
    else:
        state = str(result.get("state"))
        answer = str(result.get("error") or json.dumps(result.get("result"), ensure_ascii=False))
    return Queued(id, edge, device, verb, deadline, state, answer)


def _time(text: str) -> datetime | None:
    try:
        return deadline_after(text, datetime.now(UTC)) if text else None
    except HubError:
        return None
