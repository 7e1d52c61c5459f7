"""One serial device and the edge: telemetry up, commands down.  An ordinary NATS client of the local edge."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from nats.aio.client import Client

from firmware_bridge.commands import Commands
from firmware_bridge.frame import Hello
from firmware_bridge.journal import NOTHING, Entry, Journal, JournalError
from firmware_bridge.link import MS, BridgeLink, Ended, Event, Lost, Opened, Reading, WrongVersion
from firmware_bridge.lookback import Place
from firmware_bridge.messages import MSG_ID, ORIGIN_TIME, msg_id, read_reading, rfc3339, token
from firmware_bridge.payload import Identity, PayloadError, read_identity
from firmware_bridge.publisher import Outgoing, Publisher
from firmware_bridge.settled import Settled
from firmware_bridge.uart import Uart

log = logging.getLogger("petiole-bridge")

SETTLE_SECONDS = 0.02  # PubAcks of this long are one line in the journal


@dataclass(frozen=True, slots=True)
class Options:
    port: str
    baud: int
    edge: str


class Bridge:
    def __init__(self, options: Options, client: Client, journal: Journal) -> None:
        self.options = options
        self.journal = journal
        self.loop = asyncio.get_running_loop()
        self.link = BridgeLink(self._resume, lambda: random.randrange(1, 0x10000))
        self.uart = Uart(options.port, options.baud, self._on_data, self._turn, self._on_lost)
        self.prefix = f"telemetry.{options.edge}"
        self.publisher = Publisher(client, self.prefix, journal.place, self._on_first, self._on_stored)
        self.commands = Commands(options.edge, client, self.link, self._turn)
        self.device = ""
        self.opened = asyncio.Event()
        self.booted_at = 0  # on this machine's monotonic clock, which no time server moves
        self.stored: list[tuple[int, int]] = []  # boot and sequence
        self.settled = Settled()
        self.settling = asyncio.Event()
        self.timer: asyncio.TimerHandle | None = None
        self.said = ""

    async def run(self) -> None:
        """Until cancelled."""
        await self.publisher.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.uart.run())
            group.create_task(self.publisher.run())
            group.create_task(self._settle())
            group.create_task(self._serve_commands())

    # ---- the line

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
                self.publisher.send(self._outgoing(boot, seq, payload))
            case Ended(payload):
                self.commands.ended(payload)
            case Lost():
                self.commands.ended(None)
            case WrongVersion(version):
                log.error("the device speaks version %d of the protocol, this bridge version 1", version)

    # ---- sessions

    def _resume(self, hello: Hello) -> int:
        return self.journal.next_seq(token(self._identity(hello.payload).name), hello.boot)

    def _on_opened(self, boot: int, payload: bytes) -> None:
        identity = self._identity(payload)
        self.booted_at = time.monotonic_ns() - identity.now_ms * MS
        self.device = token(identity.name)
        self.opened.set()
        log.info("device %s: firmware %s, boot %08x", self.device, identity.firmware or "unknown", boot)

    def _identity(self, payload: bytes) -> Identity:
        try:
            return read_identity(payload)
        except PayloadError as exc:
            log.error("a device that does not say who it is: %s", exc)
            return Identity("unnamed", "", 0)

    async def _serve_commands(self) -> None:
        while True:
            await self.opened.wait()
            self.opened.clear()
            await self.commands.serve(self.device)

    # ---- telemetry

    def _outgoing(self, boot: int, seq: int, payload: bytes) -> Outgoing:
        channel, body, at_ms, wrong = read_reading(payload)
        if wrong:
            log.warning("device %s: reading %d: %s; kept as it came", self.device, seq, wrong)
        id = msg_id(self.device, boot, seq)
        headers = {MSG_ID: id}
        if at_ms is not None:
            headers[ORIGIN_TIME] = rfc3339(time.time() - self._age(at_ms))
        return Outgoing(self.device, boot, seq, id, f"{self.prefix}.{self.device}.{channel}", body, headers)

    def _age(self, at_ms: int) -> float:
        """Seconds since it was measured.  Never below 0: then the device's clock is fast, and is set by this."""
        age = time.monotonic_ns() - self.booted_at - at_ms * MS
        if age < 0:
            self.booted_at += age
        return max(age, 0) / 1e9

    async def _on_first(self, device: str, place: Place) -> None:
        if self.journal.place(device) is None:
            await self._journal(device, Entry(self.link.boot, NOTHING, place))

    def _on_stored(self, reading: Outgoing, place: Place) -> None:
        if (reading.device, reading.boot) == (self.device, self.link.boot):
            self.settled.add(reading.device, reading.boot, reading.seq, place)
            self.stored.append((reading.boot, reading.seq))
            self.settling.set()

    async def _settle(self) -> None:
        """Journal first, then tell the device: it may forget."""
        while True:
            await self.settling.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self.settling.clear()
            stored, self.stored = self.stored, []
            device = self.device
            entry = self.settled.take(device, self.link.boot, self.link.next)
            if entry is not None:
                await self._journal(device, entry)
            for boot, seq in stored:
                self.link.store(boot, seq)
            self._turn()

    async def _journal(self, device: str, entry: Entry) -> None:
        """A journal that cannot be written holds nothing up: it is for the next process, the edge has the readings."""
        try:
            await self.journal.put(device, entry)
            self.said = ""
        except JournalError as exc:
            if str(exc) != self.said:
                log.error("%s; going on without", exc)
                self.said = str(exc)


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
            bridge.publisher.connection_lost()  # what was in flight before is in doubt

    async def disconnected() -> None:
        log.warning("edge %s: connection lost", server)
        if bridge is not None:
            bridge.publisher.connection_lost()

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
        await journal.close()
        await client.close()
