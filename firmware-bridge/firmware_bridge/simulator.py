"""A device in Python, where there is no compiler for the one in C: makes readings, answers commands."""

import asyncio
import random
import time
from typing import Any

from firmware_bridge.link import DeviceLink
from firmware_bridge.payload import (
    CommandResult,
    Identity,
    PayloadError,
    Telemetry,
    read_command,
    write_identity,
    write_result,
    write_telemetry,
)
from firmware_bridge.uart import Uart


class Simulator:
    """``rate`` readings a second on channel ``counter``; ``count`` 0: without end."""

    def __init__(self, port: str, baud: int, name: str, rate: float, count: int) -> None:
        self.started = time.monotonic_ns()
        self.name = name
        self.rate = rate
        self.count = count
        self.produced = 0
        self.stopped = False
        self.led = False
        self.loop = asyncio.get_running_loop()
        self.timer: asyncio.TimerHandle | None = None
        self.link = DeviceLink(random.getrandbits(32), self._identity)
        self.uart = Uart(port, baud, self._on_data, self._turn, lambda: None)

    async def run(self) -> None:
        """Until all ``count`` readings are acknowledged."""
        line = asyncio.create_task(self.uart.run())
        try:
            while not self.is_finished():
                await asyncio.sleep(1 / self.rate)
                self._produce()
        finally:
            line.cancel()

    def stop(self) -> None:
        """No more readings; acks and commands go on."""
        self.stopped = True
        print(f"stopped {self.produced}", flush=True)

    def is_finished(self) -> bool:
        return 0 < self.count <= self.produced and not self.link.kept

    def _produce(self) -> None:
        if self.stopped or 0 < self.count <= self.produced:
            return
        reading = Telemetry("counter", self.produced + 1, "1", self._now_ms(time.monotonic_ns()))
        if self.link.keep(write_telemetry(reading), time.monotonic_ns()):
            self.produced += 1
            print(f"produced {self.produced}", flush=True)
        self._turn()

    def _on_data(self, data: bytes) -> None:
        for asked in self.link.receive(data, time.monotonic_ns()):
            self.link.answer(write_result(self._carry_out(asked.payload)))
        self._turn()

    def _carry_out(self, payload: bytes) -> CommandResult:
        try:
            call = read_command(payload)
        except PayloadError:
            return CommandResult(3)
        match call.verb:
            case "echo":
                return CommandResult(0, call.argument)
            case "set_led":
                return self._set_led(call.argument)
            case "status":
                return CommandResult(0, {"produced": self.produced, "unacked": len(self.link.kept)})
        return CommandResult(1)

    def _set_led(self, argument: Any) -> CommandResult:
        wanted = argument.get("on") if isinstance(argument, dict) else argument
        if not isinstance(wanted, bool):
            return CommandResult(3)
        self.led = wanted
        return CommandResult(0, {"on": self.led})

    def _turn(self) -> None:
        now = time.monotonic_ns()
        deadline = self.link.deadline()
        if deadline is not None and deadline <= now:
            self.link.tick(now)
            deadline = self.link.deadline()
        if data := self.link.data_to_send():
            self.uart.write(data)
        if self.timer is not None:
            self.timer.cancel()
        if deadline is not None:
            self.timer = self.loop.call_later(max(deadline - now, 1_000_000) / 1e9, self._turn)

    def _identity(self, now: int) -> bytes:
        return write_identity(Identity(self.name, "simulator", self._now_ms(now)))

    def _now_ms(self, now: int) -> int:
        return (now - self.started) // 1_000_000
