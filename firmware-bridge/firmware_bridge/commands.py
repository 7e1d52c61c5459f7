"""Requests on ``commands.<edge>.<device>.<verb>``, one at a time down the link, and their results as the replies."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from firmware_bridge.frame import FrameTooLong
from firmware_bridge.link import BridgeLink
from firmware_bridge.messages import result_json
from firmware_bridge.payload import CommandCall, PayloadError, write_command

log = logging.getLogger("petiole-bridge")

PATIENCE_SECONDS = 5.0  # a device that has not answered by then does not; so long a request waits for its turn, too

Answer = dict[str, Any]


class Commands:
    """``turn`` is called when the link has something to send."""

    def __init__(self, edge: str, client: Client, link: BridgeLink, turn: Callable[[], None]) -> None:
        self.edge = edge
        self.client = client
        self.link = link
        self.turn = turn
        self.device = ""
        self.subscription: Subscription | None = None
        self.one_at_a_time = asyncio.Lock()
        self.result: asyncio.Future[bytes | None] | None = None
        self.requests: set[asyncio.Task[None]] = set()

    async def serve(self, device: str) -> None:
        """This device is on the line now.  While it is away its requests are answered too: offline."""
        if device == self.device:
            return
        self.device = device
        if self.subscription is not None:
            await self.subscription.unsubscribe()
        self.subscription = await self.client.subscribe(f"commands.{self.edge}.{device}.*", cb=self._on_request)

    def ended(self, payload: bytes | None) -> None:
        """The RESULT of the command that is under way; None: its session is over."""
        if self.result is not None and not self.result.done():
            self.result.set_result(payload)

    async def _on_request(self, message: Msg) -> None:
        task = asyncio.create_task(self._answer(message))
        self.requests.add(task)
        task.add_done_callback(self.requests.discard)

    async def _answer(self, message: Msg) -> None:
        answer = await self._command(message.subject.rpartition(".")[2], message.data)
        if not message.reply:
            return
        try:
            await message.respond(json.dumps(answer, ensure_ascii=False).encode())
        except NatsError as exc:
            log.warning("%s: the reply is lost: %s", message.subject, exc)

    async def _command(self, verb: str, body: bytes) -> Answer:
        try:
            payload = write_command(CommandCall(verb, read_argument(body)))
        except PayloadError as exc:
            return {"status": "bad argument", "error": str(exc)}
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.one_at_a_time.acquire()
        except TimeoutError:
            return {"status": "busy", "error": f"device {self.device} is busy with other commands; not carried out"}
        try:
            return await self._carry_out(verb, payload)
        finally:
            self.one_at_a_time.release()

    async def _carry_out(self, verb: str, payload: bytes) -> Answer:
        self.result = asyncio.get_running_loop().create_future()
        try:
            sent = self.link.send_command(payload, time.monotonic_ns())
        except FrameTooLong as exc:
            return {"status": "bad argument", "error": f"the argument does not fit: {exc}"}
        if not sent:
            return {"status": "offline", "error": f"device {self.device} is not connected to its bridge"}
        self.turn()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                result = await self.result
        except TimeoutError:
            self.link.drop_command()
            self.turn()
            return {"status": "timeout", "error": f"device {self.device} did not answer; it may have carried it out"}
        if result is None:
            return {"status": "interrupted", "error": f"device {self.device} went away; it may have carried it out"}
        return result_json(verb, result)


def read_argument(body: bytes) -> Any:
    """JSON, or nothing.  PayloadError: it is neither."""
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise PayloadError(f"the argument is no JSON: {exc}") from exc
