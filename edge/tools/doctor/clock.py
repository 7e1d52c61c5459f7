"""Is it the right time, and will it be after the next power cut?"""

import os
import time
from collections.abc import Iterator

from edge.tools.doctor.finding import Finding, fail, ok, warn
from edge.tools.doctor.machine import Machine
from edge.tools.figures import duration

CHECK = "clock"
EARLIEST = 1_767_225_600  # 2026-01-01: this program is younger
LATEST = 4_102_444_800  # 2100-01-01
SLACK_S = 600.0
SYNCHRONISED = "/run/systemd/timesync/synchronized"  # made by systemd-timesyncd once it has the time
FAKE = ("/etc/fake-hwclock.data", "/usr/sbin/fake-hwclock", "/usr/bin/fake-hwclock")
GET_TIME = "let NTP through (UDP 123) and switch it on: timedatectl set-ntp true"


def check_clock(machine: Machine, database: str) -> Iterator[Finding]:
    """``database``: a file that the server writes; it must not be younger than now."""
    now = machine.wall()
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if not EARLIEST <= now < LATEST:
        yield fail(CHECK, f"it is {shown}: the clock has not been set", f"{GET_TIME}; or date -s by hand")
        return
    if (ahead := _written(database) - now) > SLACK_S:
        yield warn(
            CHECK, f"it is {shown}, {duration(ahead)} before the store was written: the clock went back", GET_TIME
        )
    has_clock = machine.path("/sys/class/rtc/rtc0").exists()
    is_fake = any(machine.path(path).exists() for path in FAKE)
    if machine.clock_is_kept() or machine.path(SYNCHRONISED).exists():
        without = "" if has_clock else "; no hardware clock, so only until the power goes"
        yield ok(CHECK, f"it is {shown}, kept in time over the network{without}")
    elif has_clock:
        yield warn(CHECK, f"it is {shown} by the hardware clock; nothing sets it right", GET_TIME)
    else:
        kept = "the last hour that was saved (fake-hwclock)" if is_fake else "1970 or when the system was built"
        yield warn(
            CHECK, f"it is {shown}, not synchronised; without a hardware clock it starts at {kept} after a power cut",
            f"{GET_TIME}; or fit a clock module (RTC)",
        )  # fmt: skip


def _written(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0
