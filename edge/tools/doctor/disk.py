"""The disk under the store: what kind, how it is mounted, how full, how worn."""

import os
from collections.abc import Iterator
from pathlib import Path

from edge.config.options import JetStream
from edge.monitor.device import wear_of
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

WORN_WARN, WORN_OUT = 8, 11  # tenths of its life
NEAR_ITS_END = {2: "80 % of its spare blocks are used", 3: "hardly a spare block is left"}


def check_disk(machine: Machine, options: JetStream) -> Iterator[Finding]:
    place = existing(options.store_dir)
    mount = machine.mount_of(place)
    if mount is not None:
        yield from _file_system(mount)
    yield from _room(machine, options, place)
    device = machine.block_device(place)
    if device is not None:
        yield from _device(device)
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


def _device(device: Path) -> Iterator[Finding]:
    wear = wear_of(device)
    name = f"{wear.disk}{f' ({wear.name})' if wear.name else ''}"
    written = "" if wear.written is None else f"; {size(wear.written)} written since the start of the machine"
    replace = "copy the store to a new card or module soon"
    if wear.spare in NEAR_ITS_END:
        yield fail("wear", f"{name}: {NEAR_ITS_END[wear.spare]}", replace)
    elif wear.used >= WORN_OUT:
        yield fail("wear", f"{name} is past the life it was made for", replace)
    elif wear.used >= WORN_WARN:
        yield warn("wear", f"{name}: {wear.used - 1}0-{wear.used}0 % of its life is used", replace)
    elif wear.used:
        yield ok("wear", f"{name}: up to {wear.used}0 % of its life is used{written}")
    else:
        yield ok("wear", f"{name} does not tell how worn it is{written}")


def _errors(machine: Machine, device: Path) -> Iterator[Finding]:
    count = machine.number(f"/sys/fs/ext4/{device.name}/errors_count")
    if count:
        yield fail(
            CHECK, f"ext4 on {device.name} has met {count} errors since it was last checked",
            f"stop the server, unmount it and run e2fsck -f /dev/{device.name}; if they come again, replace the disk",
        )  # fmt: skip
