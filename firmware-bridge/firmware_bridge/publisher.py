"""Readings to the edge's stream: in order, a window of them in flight, the PubAck as the only proof.

After anything that leaves a doubt (a start, a lost connection, a refusal, silence) one reading goes alone until its
PubAck comes, and only then the others behind it: none overtakes one that was refused.  On a new connection the stream
is asked first what it has (``lookback.py``), because its duplicate window may be over.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from firmware_bridge.lookback import Place, StreamSilent, end_of_stream, ids_after

log = logging.getLogger("petiole-bridge")

PATIENCE_SECONDS = 5.0  # a PubAck that has not come by then does not
RETRY_SECONDS = 0.5
LOOKS = 3  # an edge that does not say so often what it has is believed to keep its duplicate window


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A reading as it goes to the stream; ``id`` is its own for ever."""

    device: str
    boot: int
    seq: int
    id: str
    subject: str
    payload: bytes
    headers: dict[str, str]


class Publisher:
    """``on_stored(reading, place)`` is called for each reading that the stream has.

    The subjects of a device begin with ``<prefix>.<device>``.  ``place(device)`` is where to look back from: nothing of
    it that is in doubt stands before; None: nothing of it was ever published.  Then ``on_first(device, place)`` is
    awaited before it is: a process that is killed before the first PubAck leaves a place to look back from too.
    """

    def __init__(
        self,
        client: Client,
        prefix: str,
        place: Callable[[str], Place | None],
        on_first: Callable[[str, Place], Awaitable[None]],
        on_stored: Callable[[Outgoing, Place], None],
    ) -> None:
        self.client = client
        self.prefix = prefix
        self.place = place
        self.on_first = on_first
        self.on_stored = on_stored
        self.inbox = client.new_inbox()
        self.flying: dict[int, Outgoing] = {}  # by number, oldest first
        self.ids: set[str] = set()  # of those
        self.number = 0
        self.sent = 0  # the last number published; what is above waits
        self.refused = 0  # the last number that was refused
        self.is_sure = False
        self.looked: set[str] = set()  # devices, on this connection
        self.looks = 0
        self.there: dict[str, Place] = {}  # ids that the look back has found
        self.progress_at = 0.0
        self.wake = asyncio.Event()
        self.said = ""

    async def start(self) -> None:
        await self.client.subscribe(f"{self.inbox}.*", cb=self._on_answer)

    def send(self, reading: Outgoing) -> None:
        """It goes behind those before it.  Received once more while it is in flight, it is one."""
        if reading.id in self.ids:
            return
        if not self.flying:
            self.progress_at = time.monotonic()
        self.number += 1
        self.flying[self.number] = reading
        self.ids.add(reading.id)
        if reading.device not in self.looked:
            self.is_sure = False
        self.wake.set()

    def connection_lost(self) -> None:
        self.looked.clear()
        self.there.clear()
        self.looks = 0
        self.is_sure = False
        self.wake.set()

    async def run(self) -> None:
        while True:
            if self.is_sure:
                await self._flow()
            else:
                await self._become_sure()

    # ---- all behind each other

    async def _flow(self) -> None:
        waiting = [(number, reading) for number, reading in self.flying.items() if number > self.sent]
        for number, reading in waiting:
            if not self.is_sure:
                return
            self.sent = number
            await self._publish(number, reading)
        await self._until(lambda: not self.is_sure or next(reversed(self.flying), 0) > self.sent)
        if self.flying and time.monotonic() - self.progress_at > PATIENCE_SECONDS:
            self.is_sure = False

    # ---- one alone

    async def _become_sure(self) -> None:
        await self._until(lambda: bool(self.flying))
        if not self.flying:
            return
        if not self.client.is_connected or not await self._look_back():
            await asyncio.sleep(RETRY_SECONDS)
            return
        number, reading = next(iter(self.flying.items()), (0, None))
        if reading is None:
            return  # the look back has found them all
        self.refused = 0
        await self._publish(number, reading)
        await self._until(lambda: number not in self.flying or self.refused == number)
        if number not in self.flying:
            self.is_sure, self.sent, self.said = True, number, ""
            return
        if self.refused != number:
            self._say(reading, "no answer; does a stream take this subject?")
        await asyncio.sleep(RETRY_SECONDS)

    async def _look_back(self) -> bool:
        """Ask for what is in flight whether it is there already.  False: not now."""
        for device in {reading.device for reading in self.flying.values()} - self.looked:
            try:
                if not await self._look_for(device, f"{self.prefix}.{device}.>"):
                    continue
            except StreamSilent as exc:
                self.looks += 1
                if self.looks < LOOKS or not self.client.is_connected:
                    return False
                what = self.place(device) or f"of {device}"
                log.warning("stream %s does not say what it has (%s): readings in doubt are sent again", what, exc)
            self.looked.add(device)
        for number, reading in list(self.flying.items()):
            if reading.id in self.there:
                self._store(number, self.there.pop(reading.id))
        return True

    async def _look_for(self, device: str, subjects: str) -> bool:
        """False: no stream takes them yet."""
        place = self.place(device)
        if place is not None:
            self.there |= await ids_after(self.client, place, subjects)
            return True
        end = await end_of_stream(self.client, subjects)
        if end is not None:
            await self.on_first(device, end)
        return end is not None

    # ---- messages

    async def _publish(self, number: int, reading: Outgoing) -> None:
        if reading.id in self.there:
            self._store(number, self.there.pop(reading.id))
            return
        try:
            await self.client.publish(
                reading.subject, reading.payload, reply=f"{self.inbox}.{number}", headers=reading.headers
            )
        except NatsError as exc:
            self._refuse(number, reading, str(exc))

    async def _on_answer(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        number = int(token) if token.isdecimal() else 0
        reading = self.flying.get(number)
        if reading is None:
            return
        place = read_pub_ack(message)
        if isinstance(place, Place):
            self._store(number, place)
        else:
            self._refuse(number, reading, place)

    def _store(self, number: int, place: Place) -> None:
        reading = self.flying.pop(number)
        self.ids.discard(reading.id)
        self.progress_at = time.monotonic()
        self.wake.set()
        self.on_stored(reading, place)

    def _refuse(self, number: int, reading: Outgoing, why: str) -> None:
        self._say(reading, why)
        self.refused = number
        self.is_sure = False
        self.wake.set()

    def _say(self, reading: Outgoing, why: str) -> None:
        """Each reason once: an edge with a full disk for a night is one line."""
        if why != self.said:
            log.warning("%s: not stored: %s; trying again", reading.subject, why)
            self.said = why

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Or until patience ends."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not is_so():
                    self.wake.clear()
                    await self.wake.wait()
        except TimeoutError:
            pass


def read_pub_ack(message: Msg) -> Place | str:
    """Where it is stored, or why it is not."""
    if message.headers and message.headers.get("Status") == "503":
        return "no stream takes this subject"
    try:
        answer = json.loads(message.data)
    except ValueError:
        answer = None
    match answer:
        case {"error": {"description": str(description)}}:
            return description
        case {"stream": str(stream), "seq": int(seq)} if seq > 0 and "error" not in answer:
            return Place(stream, seq)
    return "an answer that is no PubAck"
