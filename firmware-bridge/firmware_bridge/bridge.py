"""One serial device and the edge: telemetry up, commands down.  An ordinary NATS client of the local edge."""

import asyncio
import base64
import json
import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from firmware_bridge.frame import FrameTooLong, Hello
from firmware_bridge.journal import Journal
from firmware_bridge.link import BridgeLink, Ended, Event, Lost, Opened, Reading, WrongVersion
from firmware_bridge.payload import (
    STATUSES,
    CommandCall,
    Identity,
    PayloadError,
    Telemetry,
    read_identity,
    read_result,
    read_telemetry,
    write_command,
)
from firmware_bridge.publisher import Key, Outgoing, Publisher
from firmware_bridge.uart import Uart

log = logging.getLogger("petiole-bridge")

COMMAND_SECONDS = 5.0  # a device that has not answered by then does not
SETTLE_SECONDS = 0.02  # PubAcks of this long are one line in the journal


@dataclass(frozen=True, slots=True)
class Options:
    port: str
    baud: int
    edge: str


class Bridge:
    def __init__(self, options: Options, client: Client, journal: Journal) -> None:
        self.options = options
        self.client = client
        self.journal = journal
        self.loop = asyncio.get_running_loop()
        self.link = BridgeLink(self._resume, lambda: random.randrange(1, 0x10000))
        self.uart = Uart(options.port, options.baud, self._on_data, self._on_open, self._on_lost)
        self.publisher = Publisher(client, self._on_stored)
        self.device = ""
        self.booted_at = 0.0  # wall time of the device's boot
        self.arrived: asyncio.Queue[Outgoing] = asyncio.Queue()
        self.stored: list[Key] = []
        self.settling = asyncio.Event()
        self.timer: asyncio.TimerHandle | None = None
        self.commands: Subscription | None = None
        self.command_turn = asyncio.Lock()
        self.result: asyncio.Future[bytes | None] | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled."""
        await self.publisher.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.uart.run())
            group.create_task(self.publisher.run())
            group.create_task(self._send())
            group.create_task(self._settle())

    # ---- the line

    def _on_open(self) -> None:
        self._turn()

    def _on_data(self, data: bytes) -> None:
        for event in self.link.receive(data, time.monotonic_ns()):
            self._on_event(event)
        self._turn()

    def _on_lost(self) -> None:
        for event in self.link.lost():
            self._on_event(event)

    def _turn(self) -> None:
        """Send what there is to send and arm the one timer."""
        deadline = self.link.deadline()
        now = time.monotonic_ns()
        if deadline is not None and deadline <= now:
            self.link.tick(now)
            deadline = self.link.deadline()
        if data := self.link.data_to_send():
            self.uart.write(data)
        if self.timer is not None:
            self.timer.cancel()
        if deadline is not None and self.uart.port is not None:
            self.timer = self.loop.call_later(max(deadline - now, 0) / 1e9, self._turn)

    def _on_event(self, event: Event) -> None:
        match event:
            case Opened(boot, payload):
                self._on_opened(boot, payload)
            case Reading(boot, seq, payload):
                self.arrived.put_nowait(self._outgoing(boot, seq, payload))
            case Ended(payload):
                self._end_command(payload)
            case Lost():
                self._end_command(None)
            case WrongVersion(version):
                log.error("the device speaks version %d of the protocol, this bridge version 1", version)

    # ---- sessions

    def _resume(self, hello: Hello) -> int:
        try:
            return self.journal.next_seq(token(read_identity(hello.payload).name), hello.boot)
        except PayloadError:
            return 0

    def _on_opened(self, boot: int, payload: bytes) -> None:
        try:
            identity = read_identity(payload)
        except PayloadError as exc:
            log.error("a device that cannot be used: %s", exc)
            identity = Identity("unnamed", "", 0)
        self.booted_at = time.time() - identity.now_ms / 1000
        device = token(identity.name)
        log.info("device %s: firmware %s, boot %08x", device, identity.firmware or "unknown", boot)
        if device != self.device:
            self.device = device
            self._start(self._subscribe(device))

    async def _subscribe(self, device: str) -> None:
        if self.commands is not None:
            await self.commands.unsubscribe()
        self.commands = await self.client.subscribe(f"commands.{self.options.edge}.{device}.*", cb=self._on_request)

    # ---- telemetry

    def _outgoing(self, boot: int, seq: int, payload: bytes) -> Outgoing:
        prefix = f"telemetry.{self.options.edge}.{self.device}"
        headers = {"Nats-Msg-Id": f"{self.device}:{boot:08x}:{seq}"}
        key = (self.device, boot, seq)
        try:
            reading = read_telemetry(payload)
        except PayloadError as exc:
            log.warning("device %s: reading %d: %s; kept as it came", self.device, seq, exc)
            body: dict[str, Any] = {"bytes": base64.b64encode(payload).decode()}
            return Outgoing(key, f"{prefix}._undecodable", json.dumps(body).encode(), headers)
        if reading.at_ms is not None:
            headers["Petiole-Origin-Time"] = rfc3339(self.booted_at + reading.at_ms / 1000)
        return Outgoing(key, f"{prefix}.{token(reading.channel)}", reading_json(reading), headers)

    async def _send(self) -> None:
        while True:
            await self.publisher.send(await self.arrived.get())

    def _on_stored(self, key: Key) -> None:
        self.stored.append(key)
        self.settling.set()

    async def _settle(self) -> None:
        """Journal first, then tell the device: it may forget."""
        waiting: dict[tuple[str, int], set[int]] = {}
        while True:
            await self.settling.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self.settling.clear()
            stored, self.stored = self.stored, []
            for device, boot, seq in stored:
                waiting.setdefault((device, boot), set()).add(seq)
            for (device, boot), seqs in waiting.items():
                if (device, boot) == (self.device, self.link.boot):
                    await self._journal(device, boot, seqs)
            for _, boot, seq in stored:
                self.link.store(boot, seq)
            waiting = {key: seqs for key, seqs in waiting.items() if seqs and key == (self.device, self.link.boot)}
            self._turn()

    async def _journal(self, device: str, boot: int, seqs: set[int]) -> None:
        """All up to a sequence: what is stored beyond a gap waits in ``seqs``."""
        last = self.link.next - 1
        while last + 1 in seqs:
            last += 1
        if last >= self.link.next:
            await self.journal.put(device, boot, last)
        seqs.difference_update(range(min(seqs, default=0), last + 1))

    # ---- commands

    async def _on_request(self, message: Msg) -> None:
        """Requests wait for each other, not for telemetry, and not in the way of the acks."""
        self._start(self._answer(message))

    async def _answer(self, message: Msg) -> None:
        verb = message.subject.rpartition(".")[2]
        async with self.command_turn:
            answer = await self._command(verb, message.data)
        if message.reply:
            await message.respond(json.dumps(answer).encode())

    async def _command(self, verb: str, body: bytes) -> dict[str, Any]:
        try:
            argument = json.loads(body) if body.strip() else None
        except ValueError as exc:
            return {"status": "bad argument", "error": f"the argument is no JSON: {exc}"}
        self.result = self.loop.create_future()
        try:
            sent = self.link.send_command(write_command(CommandCall(verb, argument)), time.monotonic_ns())
        except FrameTooLong as exc:
            return {"status": "bad argument", "error": f"the argument does not fit: {exc}"}
        if not sent:
            return {"status": "offline", "error": f"device {self.device} is not connected to its bridge"}
        self._turn()
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                payload = await self.result
        except TimeoutError:
            self.link.drop_command()
            return {"status": "timeout", "error": f"device {self.device} did not answer; it may have carried it out"}
        if payload is None:
            return {"status": "interrupted", "error": f"device {self.device} went away; it may have carried it out"}
        return result_json(verb, payload)

    def _end_command(self, payload: bytes | None) -> None:
        if self.result is not None and not self.result.done():
            self.result.set_result(payload)

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def token(name: str) -> str:
    """A subject's token; what it cannot hold becomes ``_``."""
    return "".join("_" if char.isspace() or char in ".*>" or char < " " else char for char in name) or "_"


def reading_json(reading: Telemetry) -> bytes:
    fields: dict[str, Any] = {}
    if isinstance(reading.value, bytes):
        fields["bytes"] = base64.b64encode(reading.value).decode()
    elif isinstance(reading.value, float) and not math.isfinite(reading.value):
        fields["value"] = str(reading.value)  # JSON has no such number
    else:
        fields["value"] = reading.value
    if reading.unit:
        fields["unit"] = reading.unit
    return json.dumps(fields).encode()


def result_json(verb: str, payload: bytes) -> dict[str, Any]:
    try:
        result = read_result(payload)
    except PayloadError as exc:
        return {"status": "failed", "error": f"the device's answer cannot be read: {exc}"}
    status = STATUSES.get(result.status, "failed")
    answer: dict[str, Any] = {"status": status}
    if result.value is not None:
        answer["value"] = json.loads(json.dumps(result.value, default=_plain, skipkeys=True))
    if status != "ok":
        answer["error"] = f"{verb}: {status}"
    return answer


def _plain(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def serve(
    options: Options,
    server: str,
    user: str | None,
    password: str | None,
    journal_path: str,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Connect to the edge (for ever, when it is away) and run; cancelled to end."""
    client = Client()
    journal = await Journal.open(journal_path)
    bridge: Bridge | None = None

    async def reconnected() -> None:
        said.clear()
        log.info("edge %s: connected again", server)
        if bridge is not None:
            await bridge.publisher.on_reconnected()

    async def disconnected() -> None:
        log.warning("edge %s: connection lost", server)

    said: set[str] = set()

    async def failed(error: Exception) -> None:
        """Each reason once: an edge that is away for a night is one line."""
        level = logging.DEBUG if str(error) in said else logging.WARNING
        said.add(str(error))
        log.log(level, "edge %s: %s; trying again", server, error)

    try:
        await client.connect(
            server, user=user, password=password, name=f"petiole-bridge {options.port}",
            allow_reconnect=True, max_reconnect_attempts=-1, reconnect_time_wait=1,
            reconnected_cb=reconnected, disconnected_cb=disconnected, error_cb=failed,
        )  # fmt: skip
        bridge = Bridge(options, client, journal)
        on_ready()
        await bridge.run()
    finally:
        await client.close()
        await journal.close()
