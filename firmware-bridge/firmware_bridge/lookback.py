"""What the edge's stream has of a device behind a known place.

A reading whose PubAck never came is in doubt.  The stream's duplicate window covers two minutes of that; the edge may
have been away for a night.  So the messages themselves are asked: each carries the reading's id.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from edge.message import header_get

PATIENCE_SECONDS = 2.0
NOT_FOUND = 404  # no such message, or no such stream: nothing of ours is there


@dataclass(frozen=True, slots=True)
class Place:
    """A sequence in a stream of the edge."""

    stream: str
    seq: int


class StreamSilent(Exception):
    """The edge does not say what the stream has; ``str(exc)`` is why."""


async def ids_after(client: Client, place: Place, subjects: str) -> dict[str, Place]:
    """``Nats-Msg-Id`` to place, of all that the stream has behind ``place`` on these subjects."""
    found: dict[str, Place] = {}
    while (message := await _next(client, place, subjects)) is not None:
        place = Place(place.stream, int(message["seq"]))
        id = header_get(base64.b64decode(message.get("hdrs", "")), "Nats-Msg-Id")
        if id is not None:
            found[id] = place
    return found


async def end_of_stream(client: Client, subjects: str) -> Place | None:
    """The last message of the stream that takes these subjects; None where no stream does.  StreamSilent."""
    names = await _ask(client, "STREAM.NAMES", {"subject": subjects})
    for name in (names or {}).get("streams") or ():
        info = await _ask(client, f"STREAM.INFO.{name}", {})
        if info is not None:
            return Place(name, int(info["state"]["last_seq"]))
    return None


async def _next(client: Client, place: Place, subjects: str) -> dict[str, Any] | None:
    wanted = {"seq": place.seq + 1, "next_by_subj": subjects}
    answer = await _ask(client, f"STREAM.MSG.GET.{place.stream}", wanted)
    return None if answer is None else dict(answer["message"])


async def _ask(client: Client, what: str, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """None: there is no such thing."""
    try:
        reply = await client.request(f"$JS.API.{what}", json.dumps(wanted).encode(), timeout=PATIENCE_SECONDS)
    except (NatsError, TimeoutError) as exc:
        raise StreamSilent(str(exc) or type(exc).__name__) from exc
    answer = dict(json.loads(reply.data))
    error = answer.get("error")
    if error is None:
        return answer
    if error.get("code") == NOT_FOUND:
        return None
    raise StreamSilent(str(error.get("description")))
