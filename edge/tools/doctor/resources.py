"""What the machine gives the server: open files, memory, power."""

import re
from collections.abc import Iterator

from edge.config.options import Config
from edge.tools.doctor.finding import Finding, fail, ok, warn
from edge.tools.doctor.machine import Machine
from edge.tools.figures import size

OWN_FILES = 40  # the store's, the listeners', the log's
FEW_FILES = 1024
LITTLE_BYTES, LEAST_BYTES = 96 << 20, 32 << 20

# Bits of the Raspberry Pi's firmware (get_throttled).
NOW, SINCE_START = 1 << 0, 1 << 16
THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"


def check_resources(machine: Machine, config: Config, pid: int | None, unit_files: int | None) -> Iterator[Finding]:
    """``unit_files``: what the systemd unit will give, where there is one and no server runs."""
    yield from _files(machine, config, pid, unit_files)
    yield from _memory(machine, config)
    yield from _power(machine)


def _files(machine: Machine, config: Config, pid: int | None, unit_files: int | None) -> Iterator[Finding]:
    limit = unit_files if pid is None and unit_files is not None else machine.open_files(pid)
    if limit is None:
        return
    room = max(limit - OWN_FILES, 0)
    wanted = config.max_connections
    what = f"{limit} open files are allowed: {room} connections at once"
    remedy = "set LimitNOFILE= in the unit (or ulimit -n), or lower max_connections"
    if wanted is not None and wanted != Config().max_connections and room < wanted:
        yield warn("files", f"{what}, while max_connections is {wanted}", remedy)
    elif limit < FEW_FILES:
        yield warn("files", f"{what}; that is little", remedy)
    else:
        yield ok("files", what)


def _memory(machine: Machine, config: Config) -> Iterator[Finding]:
    text = machine.read("/proc/meminfo") or ""
    sizes = {name: int(kb) << 10 for name, kb in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
    if total is None or available is None:
        return
    what = f"{size(available)} of {size(total)} available"
    promised = config.jetstream.max_memory_bytes if config.jetstream else None
    if available < LEAST_BYTES:
        yield fail("memory", f"{what}: the system is about to end processes", "end what is not needed")
    elif available < LITTLE_BYTES:
        yield warn("memory", f"{what}: that is little", "end what is not needed")
    elif promised is not None and promised > total // 2:
        told = f"{what}, while max_mem promises {size(promised)} to streams"
        yield warn("memory", told, f"lower it below {size(total / 2)}")
    else:
        yield ok("memory", what)


def _power(machine: Machine) -> Iterator[Finding]:
    """A weak supply is what damages most cards."""
    text = (machine.read(THROTTLED) or "").strip()
    if not re.fullmatch(r"(0x)?[0-9a-fA-F]+", text):
        return
    bits = int(text, 16)
    remedy = "use the supply and the cable that were made for this board"
    if bits & NOW:
        yield fail("power", "the supply gives too little voltage now", remedy)
    elif bits & SINCE_START:
        yield warn("power", "the supply has given too little voltage since the start", remedy)
    else:
        yield ok("power", "the supply has held its voltage since the start")
