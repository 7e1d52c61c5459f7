"""Readings to the edge's stream: a window of them in flight, the PubAck as the only proof, in order."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg

log = logging.getLogger("petiole-bridge")

PATIENCE_SECONDS = 5.0  # without a PubAck all that is in flight is sent again
RETRY_SECONDS = 0.5  # after a refusal

Key = tuple[str, int, int]  # device, boot, sequence


@dataclass(slots=True)
class Outgoing:
    key: Key
    subject: str
    payload: bytes
    headers: dict[str, str]


class Publisher:
    """``on_stored`` is called for every reading whose PubAck came, also when it says duplicate: the edge has it.

    Sending again is harmless: the ``Nats-Msg-Id`` is the reading's own.
    """

    def __init__(self, client: Client, on_stored: Callable[[Key], None]) -> None:
        self.client = client
        self.on_stored = on_stored
        self.inbox = client.new_inbox()
        self.flying: dict[str, Outgoing] = {}  # by reply token, oldest first
        self.tokens: dict[Key, str] = {}
        self.number = 0
        self.progress_at = time.monotonic()
        self.again = asyncio.Event()
        self.said = ""

    async def start(self) -> None:
        await self.client.subscribe(f"{self.inbox}.*", cb=self._on_answer)

    async def send(self, outgoing: Outgoing) -> None:
        if outgoing.key in self.tokens:
            return  # received once more while it is in flight
        self.number += 1
        token = str(self.number)
        if not self.flying:
            self.progress_at = time.monotonic()
        self.flying[token] = outgoing
        self.tokens[outgoing.key] = token
        await self._publish(token, outgoing)

    async def run(self) -> None:
        """Send again what was refused, or what nobody answers."""
        while True:
            try:
                async with asyncio.timeout(1.0):
                    await self.again.wait()
                await asyncio.sleep(RETRY_SECONDS)
            except TimeoutError:
                if not self.flying or time.monotonic() - self.progress_at < PATIENCE_SECONDS:
                    continue
            self.again.clear()
            self.progress_at = time.monotonic()
            for token, outgoing in list(self.flying.items()):
                if token in self.flying:
                    await self._publish(token, outgoing)

    async def on_reconnected(self) -> None:
        self.again.set()

    async def _publish(self, token: str, outgoing: Outgoing) -> None:
        if not self.client.is_connected:
            self.again.set()
            return
        await self.client.publish(
            outgoing.subject, outgoing.payload, reply=f"{self.inbox}.{token}", headers=outgoing.headers
        )

    async def _on_answer(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        outgoing = self.flying.get(token)
        if outgoing is None:
            return
        refusal = _refusal(message)
        if refusal is not None:
            if refusal != self.said:
                log.warning("%s: not stored: %s; trying again", outgoing.subject, refusal)
                self.said = refusal
            self.again.set()
            return
        self.said = ""
        self.progress_at = time.monotonic()
        del self.flying[token]
        del self.tokens[outgoing.key]
        self.on_stored(outgoing.key)


def _refusal(message: Msg) -> str | None:
    """Why this is no PubAck; None when it is one."""
    if message.headers and message.headers.get("Status") == "503":
        return "no stream takes this subject"
    try:
        answer = json.loads(message.data)
        error = answer.get("error")
    except (ValueError, AttributeError):
        return "an answer that is no PubAck"
    if error is not None:
        return str(error.get("description", error))
    return None if answer.get("seq") else "an answer that is no PubAck"
