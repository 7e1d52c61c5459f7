"""Commands to devices: a request on `commands.<edge>.<device>.<verb>`, JSON down, JSON back."""

import json

from nats.aio.client import Client
from nats.errors import Error, NoRespondersError

from edge.subjects import is_literal
from hub.errors import HubError


def command_subject(edge: str, device: str, verb: str) -> str:
    """The subject of a command; raises HubError where a part is not one token."""
    for what, token in (("edge", edge), ("device", device), ("verb", verb)):
        if "." in token or not is_literal(token):
            raise HubError(f"{what} {token!r}: must be one subject token, without dots, spaces and wildcards")
    return f"commands.{edge}.{device}.{verb}"


def command_payload(text: str) -> bytes:
    """The payload for what was typed: must be JSON, goes as compact JSON."""
    try:
        return json.dumps(json.loads(text), separators=(",", ":")).encode()
    except json.JSONDecodeError as exc:
        raise HubError(f"the argument is not JSON: {exc.msg} at column {exc.colno} of {text!r}") from exc


async def send_command(client: Client, subject: str, payload: bytes, timeout_s: float) -> object:
    """Send one command and answer its decoded result.  Sent once: it may not be harmless twice."""
    try:
        reply = await client.request(subject, payload, timeout=timeout_s)
    except NoRespondersError:
        raise HubError(
            f"nobody answers {subject}: the edge is not connected, or its bridge has no such device "
            "(petiole-hub status shows the edges)"
        ) from None
    except TimeoutError:
        raise HubError(
            f"no answer on {subject} within {timeout_s:g} s; the command may have been carried out"
        ) from None
    except Error as exc:
        raise HubError(f"{subject}: {exc}") from exc
    try:
        return json.loads(reply.data)
    except ValueError:
        raise HubError(f"{subject}: the answer is not JSON: {reply.data[:80]!r}") from None
