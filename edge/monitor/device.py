"""The disk under the store as the kernel shows it: how worn it says it is, and what was written to it."""

import os
import re
from pathlib import Path
from typing import NamedTuple

SECTOR = 512  # bytes, in the kernel's counters, whatever the disk's are


class Wear(NamedTuple):
    """``used``: tenths of its life, rounded up; 11: past it, 0: it does not tell (eMMC alone does: JESD84-B51,
    DEVICE_LIFE_TIME_EST).  ``spare``: 1: as should be, 2: 80 % of the spare blocks are used, 3: hardly one is left,
    0: it does not tell.  ``written``: bytes since the machine started, None: unknown."""

    disk: str
    name: str = ""  # what its maker calls it
    used: int = 0
    spare: int = 0
    written: int | None = None


def device_of(path: str, root: Path = Path("/")) -> Path | None:
    """The folder in ``/sys`` of the device that a file is on, a partition's or a whole disk's.  None where there is
    none to speak of: memory, a network, some file systems over several disks."""
    try:
        device = os.stat(path).st_dev
    except OSError:
        return None
    link = root / f"sys/dev/block/{os.major(device)}:{os.minor(device)}"
    return link.resolve() if link.exists() else None


def wear_of(device: Path) -> Wear:
    """``device`` as ``device_of`` gives it."""
    disk = device.parent if (device / "partition").exists() else device
    fields = _text(disk / "stat").split()
    used = [int(part, 16) for part in re.findall(r"0x[0-9a-fA-F]+", _text(disk / "device" / "life_time"))]
    spare = re.fullmatch(r"0x0?([0-9a-fA-F])", _text(disk / "device" / "pre_eol_info"))
    return Wear(
        disk.name,
        _text(disk / "device" / "name"),
        max(used, default=0),
        int(spare.group(1), 16) if spare else 0,
        int(fields[6]) * SECTOR if len(fields) > 6 and fields[6].isdecimal() else None,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
