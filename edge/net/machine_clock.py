"""What this machine says of the time."""

import os
import time
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TIMESYNC = "/run/systemd/timesync"  # there while systemd-timesyncd is; ``synchronized`` in it once it has the time
HARDWARE_CLOCK = "/sys/class/rtc/rtc0"


class MachineClock:
    """``root``: where those paths begin."""

    def __init__(self, root: str = "") -> None:
        self.root = root
        self.has_hardware_clock = os.path.exists(root + HARDWARE_CLOCK)
        try:
            self.boot = Path(f"{root}{BOOT_ID}").read_text().strip()
        except OSError:
            self.boot = f"since {(self.real() - self.since_boot()) // 10**9}"

    def real(self) -> int:
        return time.time_ns()

    def since_boot(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def awaits_time(self) -> bool:
        """A machine with a clock of its own has the time; one where nobody sets it will not get it."""
        return not self.is_sure() and os.path.isdir(self.root + TIMESYNC)

    def is_sure(self) -> bool:
        return self.has_hardware_clock or os.path.exists(f"{self.root}{TIMESYNC}/synchronized")
