"""The disk under the store: what kind, how it is mounted, how full, how worn."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from edge.config.options import JetStream
from edge.store.database import FILE
from edge.store.reserve import RESERVE_BYTES
from edge.tools.doctor.finding import Finding, fail, ok, warn
from edge.tools.doctor.machine import Machine, Mount
from edge.tools.figures import size

CHECK = "disk"
LITTLE_BYTES = 128 << 20
FEW_FILES = 100

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "glusterfs", "vboxsf", "fuse.sshfs")
VOLATILE = ("tmpfs", "ramfs", "devtmpfs")
FAT = ("vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk")

# eMMC: the part of its life that is used, in tenths (JESD84-B51, DEVICE_LIFE_TIME_EST).
WORN_WARN, WORN_OUT = 8, 11
NEAR_ITS_END = {2: "80 % of its spare blocks are used", 3: "hardly a spare block is left"}


def check_disk(machine: Machine, options: JetStream) -> Iterator[Finding]:
    place = existing(options.store_dir)
    mount = machine.mount_of(place)
    if mount is not None:
        yield from _file_system(mount)
    yield from _room(machine, options, place)
    device = machine.block_device(place)
    if device is not None:
        yield from _device(machine, device)
        yield from _errors(machine, device)


def existing(path: str) -> str:
    """The nearest folder that is there."""
    path = os.path.abspath(path)
    while not os.path.isdir(path) and path != "/":
        path = os.path.dirname(path)
    return path


# ---- the file system


def _file_system(mount: Mount) -> Iterator[Finding]:
    what = f"{mount.kind} on {mount.point}"
    move = "put store_dir on a file system of a local disk, such as ext4"
    if "ro" in mount.options:
        yield fail(CHECK, f"{what} is mounted read-only", f"mount -o remount,rw {mount.point}, or another store_dir")
    if mount.kind in VOLATILE:
        yield fail(CHECK, f"{what} is memory: a restart of the machine loses every message", move)
    elif mount.kind in NETWORK:
        yield fail(CHECK, f"{what} is on the network, where SQLite's locks and log are not safe", move)
    elif mount.kind in FAT:
        yield warn(CHECK, f"{what} has no journal: a power cut can damage all of it", move)
    elif mount.kind == "overlay":
        yield warn(CHECK, f"{what}: what is written goes with the container, or into memory", "give store_dir a volume")
    elif loose := _loose(mount):
        yield fail(
            CHECK, f"{what} is mounted with {loose}: what was acknowledged can be lost with the power",
            f"mount it without {loose} (/etc/fstab)",
        )  # fmt: skip
    elif "data=writeback" in mount.options:
        yield warn(
            CHECK, f"{what} is mounted with data=writeback: files can hold old blocks after a power cut",
            "mount it with data=ordered, the default (/etc/fstab)",
        )  # fmt: skip
    else:
        yield ok(CHECK, f"{what} ({mount.source})")


def _loose(mount: Mount) -> str:
    """The option with which a sync is none."""
    found = mount.options & {"nobarrier", "barrier=0", "fsync_mode=nobarrier"}
    return min(found, default="")


# ---- room


def _room(machine: Machine, options: JetStream, place: str) -> Iterator[Finding]:
    space = machine.space(place)
    stored = sum(_size(os.path.join(options.store_dir, name)) for name in (FILE, FILE + "-wal"))
    held = _size(os.path.join(options.store_dir, "reserve"))
    what = f"{size(space.free_bytes)} of {size(space.total_bytes)} free, the store has {size(stored)}"
    give = "delete what is not needed, or let the streams keep less (max_bytes, max_age)"
    if space.free_bytes + held < 2 * RESERVE_BYTES:
        yield fail(CHECK, f"{what}: messages are refused", give)
    elif space.free_bytes < LITTLE_BYTES:
        yield warn(CHECK, f"{what}: that is little", give)
    elif options.max_file_bytes is not None and space.free_bytes + stored < options.max_file_bytes:
        yield warn(
            CHECK, f"{what}: max_file promises {size(options.max_file_bytes)}",
            f"lower max_file below {size(space.free_bytes + stored)}, or make room",
        )  # fmt: skip
    else:
        limit = "no limit" if options.max_file_bytes is None else size(options.max_file_bytes)
        yield ok(CHECK, f"{what}, max_file: {limit}")
    if space.total_files and space.free_files < FEW_FILES:
        yield fail(CHECK, f"{space.free_files} more files can be made on it", "delete files: the inodes are used up")


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


# ---- wear and errors


def _device(machine: Machine, device: Path) -> Iterator[Finding]:
    disk = device.parent if (device / "partition").exists() else device
    kept = _text(disk / "device" / "name")
    name = f"{disk.name}{f' ({kept})' if kept else ''}"
    written = _written(disk)
    used = [int(part, 16) for part in re.findall(r"0x[0-9a-fA-F]+", _text(disk / "device" / "life_time"))]
    spare = re.fullmatch(r"0x0?([0-9a-fA-F])", _text(disk / "device" / "pre_eol_info"))
    worn = max(used, default=0)
    replace = "copy the store to a new card or module soon"
    if spare and int(spare.group(1), 16) in NEAR_ITS_END:
        yield fail("wear", f"{name}: {NEAR_ITS_END[int(spare.group(1), 16)]}", replace)
    elif worn >= WORN_OUT:
        yield fail("wear", f"{name} is past the life it was made for", replace)
    elif worn >= WORN_WARN:
        yield warn("wear", f"{name}: {worn - 1}0-{worn}0 % of its life is used", replace)
    elif worn:
        yield ok("wear", f"{name}: up to {worn}0 % of its life is used{written}")
    else:
        yield ok("wear", f"{name} does not tell how worn it is{written}")


def _written(disk: Path) -> str:
    """What went to it since the machine started; sectors there are of 512 bytes, whatever the disk's are."""
    fields = _text(disk / "stat").split()
    return f"; {size(int(fields[6]) * 512)} written since the start of the machine" if len(fields) > 6 else ""


def _errors(machine: Machine, device: Path) -> Iterator[Finding]:
    count = machine.number(f"/sys/fs/ext4/{device.name}/errors_count")
    if count:
        yield fail(
            CHECK, f"ext4 on {device.name} has met {count} errors since it was last checked",
            f"stop the server, unmount it and run e2fsck -f /dev/{device.name}; if they come again, replace the disk",
        )  # fmt: skip


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
