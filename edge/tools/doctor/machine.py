"""What Linux says of itself in ``/proc`` and ``/sys``; a test has a machine of its own under another root."""

import ctypes
import os
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

LISTEN = "0A"
TIME_ERROR = 5  # of adjtimex(2): nobody keeps the clock
COMMAND_TIMEOUT_S = 10.0


class Socket(NamedTuple):
    """One that listens on TCP."""

    address: str
    port: int
    inode: str


class Mount(NamedTuple):
    point: str
    kind: str  # ext4, tmpfs, ...
    source: str
    options: frozenset[str]  # of the mount and of the file system


class Space(NamedTuple):
    free_bytes: int
    total_bytes: int
    free_files: int
    total_files: int  # 0 where the file system does not count them


class Machine:
    def __init__(self, root: str = "/") -> None:
        self.root = Path(root)
        self.uid = os.geteuid()

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def read(self, path: str) -> str | None:
        """None when it is not there, or not for us."""
        try:
            return self.path(path).read_text(errors="replace")
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        text = (self.read(path) or "").strip()
        return int(text) if text.isdecimal() else None

    def wall(self) -> float:
        return time.time()

    # ---- processes

    def command_line(self, pid: int) -> list[str]:
        """Empty when there is no such process."""
        return [part for part in (self.read(f"/proc/{pid}/cmdline") or "").split("\0") if part]

    def holder_of(self, inode: str) -> int | None:
        """The process that has the socket; of other people's only root is told."""
        wanted = f"socket:[{inode}]"
        for folder in self.path("/proc").glob("[0-9]*"):
            if wanted in _open_of(folder):
                return int(folder.name)
        return None

    def locker_of(self, path: str) -> int | None:
        """The process that holds an exclusive ``flock`` on the file."""
        try:
            status = os.stat(path)
        except OSError:
            return None
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in (self.read("/proc/locks") or "").splitlines():
            found = re.search(r" FLOCK +\S+ +WRITE +(\d+) (\S+) ", line)
            if found and found.group(2) == device:
                return int(found.group(1))
        return None

    def owner_of(self, pid: int) -> int | None:
        found = re.search(r"^Uid:\s+\d+\s+(\d+)", self.read(f"/proc/{pid}/status") or "", re.MULTILINE)
        return int(found.group(1)) if found else None

    def open_files(self, pid: int | None) -> int | None:
        """How many files a process may have open; without one, this process."""
        if pid is None:
            return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        found = re.search(r"^Max open files\s+(\d+)", self.read(f"/proc/{pid}/limits") or "", re.MULTILINE)
        return int(found.group(1)) if found else None

    # ---- network

    def listening(self) -> list[Socket] | None:
        """None where the system does not say."""
        tables = [self.read("/proc/net/tcp"), self.read("/proc/net/tcp6")]
        if tables == [None, None]:
            return None
        rows = [line.split() for table in tables for line in (table or "").splitlines()[1:]]
        return [_socket(row[1], row[9]) for row in rows if len(row) > 9 and row[3] == LISTEN]

    # ---- disks

    def mount_of(self, path: str) -> Mount | None:
        path = os.path.realpath(path)
        found = None
        for mount in self._mounts():
            point = mount.point.rstrip("/")
            is_above = path == point or path.startswith(point + "/")
            if is_above and (found is None or len(mount.point) >= len(found.point)):
                found = mount
        return found

    def _mounts(self) -> Iterator[Mount]:
        for line in (self.read("/proc/self/mountinfo") or "").splitlines():
            before, _, after = line.partition(" - ")
            left, right = before.split(), after.split()
            if len(left) > 5 and len(right) > 2:
                options = frozenset(left[5].split(",") + right[2].split(","))
                yield Mount(_unescape(left[4]), right[0], _unescape(right[1]), options)

    def space(self, path: str) -> Space:
        """OSError."""
        status = os.statvfs(path)
        size = status.f_frsize
        return Space(status.f_bavail * size, status.f_blocks * size, status.f_favail, status.f_files)

    def block_device(self, path: str) -> Path | None:
        """The folder in ``/sys`` of the device that a file is on: a partition's, or a whole disk's."""
        device = os.stat(path).st_dev
        link = self.path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
        return link.resolve() if link.exists() else None

    # ---- clock

    def clock_is_kept(self) -> bool | None:
        """Does somebody keep the kernel's clock right?  None where the C library does not say."""
        try:
            adjtimex = ctypes.CDLL(None).adjtimex
        except (OSError, AttributeError):
            return None
        # A struct timex, larger than it is anywhere, whose first field (modes) is 0: nothing is set.
        state = adjtimex(ctypes.create_string_buffer(512))
        return None if state < 0 else state != TIME_ERROR

    # ---- programs

    def run(self, *command: str) -> str | None:
        """What it prints; None when there is no such program, it fails or takes too long."""
        if not shutil.which(command[0]):
            return None
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None


def is_edge(command_line: Sequence[str]) -> bool:
    """``.../petiole-edge run``, by whichever interpreter, or ``python -m edge run``."""
    names = [os.path.basename(part) for part in command_line[:4]]
    return "run" in command_line and ("petiole-edge" in names or ("-m" in names and "edge" in names))


def _open_of(process: Path) -> Iterator[str]:
    """Names of what it has open, as far as it lives and is ours to look at."""
    try:
        numbers = os.listdir(process / "fd")
    except OSError:
        return
    for number in numbers:
        try:
            yield os.readlink(process / "fd" / number)
        except OSError:
            continue


def process_name(command_line: Sequence[str]) -> str:
    return os.path.basename(command_line[0]) if command_line else "?"


def _socket(local: str, inode: str) -> Socket:
    """``0100007F:1F90``: the address in the words of this machine's byte order."""
    words, _, port = local.partition(":")
    raw = b"".join(bytes.fromhex(words[i : i + 8])[::-1] for i in range(0, len(words), 8))
    return Socket(_address(raw), int(port, 16), inode)


def _address(raw: bytes) -> str:
    from ipaddress import IPv6Address, ip_address

    found = ip_address(raw)
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)
