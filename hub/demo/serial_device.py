"""The serial device of the demo, the cable, and the bridge that joins it to the edge."""

import re
import signal
import sys
from pathlib import Path

from firmware_bridge.device_build import DeviceBuildError, build_host_device
from hub.demo.process import Process
from hub.demo.serial_cable import SerialCable

COUNTER = re.compile(rb"^(produced|stopped) (\d+)$", re.MULTILINE)


class SerialDevice:
    """Makes readings of a counter that begins at 1; says on its output how many.

    `kind` says what it is: our C library, compiled for this machine, or the simulator in Python.
    """

    def __init__(self, directory: Path, edge_url: str, edge: str, name: str) -> None:
        self.kind, self._program = _program(directory)
        self._directory = directory
        self._edge_url = edge_url
        self._edge = edge
        self._name = name
        self._log = directory / "device.log"
        self._cable: SerialCable | None = None
        self._device: Process | None = None
        self._bridge: Process | None = None

    def start(self, readings_per_s: float) -> None:
        """Plug in the cable and start both ends of it; a loop must be running."""
        self._cable = SerialCable()
        words = [*self._program, self._cable.device_end, "--name", self._name, "--rate", str(readings_per_s)]
        self._device = Process("serial device", words, self._log)
        words = [sys.executable, "-m", "firmware_bridge.cli", "run", "--port", self._cable.bridge_end]
        words += ["--edge", self._edge, "--server", self._edge_url, "--journal", str(self._directory / "bridge.db")]
        self._bridge = Process("bridge", words, self._directory / "bridge.log")
        self._device.start()
        self._bridge.start()

    def stop_producing(self) -> None:
        """No more readings; those it has are still delivered."""
        assert self._device is not None
        self._device.signal(signal.SIGUSR1)

    def has_stopped(self) -> bool:
        return b"stopped" in self._said()

    def produced(self) -> int:
        counts = COUNTER.findall(self._said())
        return int(counts[-1][1]) if counts else 0

    def fault(self) -> str | None:
        parts = (part for part in (self._device, self._bridge) if part is not None)
        return next((fault for part in parts if (fault := part.fault()) is not None), None)

    def unplug(self) -> None:
        """Give the cable back, while the loop still runs."""
        if self._cable is not None:
            self._cable.close()
            self._cable = None

    def end(self) -> None:
        for part in (self._bridge, self._device):
            if part is not None:
                part.end()

    def _said(self) -> bytes:
        return self._log.read_bytes() if self._log.exists() else b""


def _program(directory: Path) -> tuple[str, list[str]]:
    """What is plugged in, and the words that run it; they lack port, name and rate."""
    try:
        return "the compiled C library", [str(build_host_device(directory))]
    except DeviceBuildError as exc:
        simulator = [sys.executable, "-m", "firmware_bridge.cli", "simulate", "--port"]
        return f"the Python simulator ({exc})", simulator
