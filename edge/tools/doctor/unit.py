"""The systemd unit: is it there, does it run, does it come back after a restart of the machine?"""

from collections.abc import Iterator
from typing import NamedTuple

from edge.tools.doctor.finding import Finding, fail, ok, warn
from edge.tools.doctor.machine import Machine

CHECK = "unit"
UNIT = "petiole-edge.service"
PROPERTIES = ("LoadState", "ActiveState", "SubState", "Result", "NRestarts", "UnitFileState", "MainPID", "LimitNOFILE")
MANY_RESTARTS = 3


class Unit(NamedTuple):
    """As systemd tells of it."""

    loaded: str
    active: str
    sub: str
    result: str
    restarts: int
    enabled: str
    open_files: int | None


def find_unit(machine: Machine) -> Unit | None:
    """None where there is no systemd, or it has no such unit."""
    if not machine.path("/run/systemd/system").is_dir():
        return None
    text = machine.run("systemctl", "show", UNIT, f"--property={','.join(PROPERTIES)}")
    fields = dict(line.split("=", 1) for line in (text or "").splitlines() if "=" in line)
    if fields.get("LoadState", "not-found") == "not-found":
        return None
    get = fields.get
    files = get("LimitNOFILE", "")
    return Unit(
        get("LoadState", ""), get("ActiveState", ""), get("SubState", ""), get("Result", ""),
        int(get("NRestarts", "0") or 0), get("UnitFileState", ""), int(files) if files.isdecimal() else None,
    )  # fmt: skip


def check_unit(unit: Unit | None, pid: int | None) -> Iterator[Finding]:
    if unit is None:
        running = f"petiole-edge runs as pid {pid}" if pid else "petiole-edge does not run"
        yield ok(CHECK, f"{UNIT} is not installed here; {running}")
    elif unit.loaded != "loaded":
        yield fail(CHECK, f"{UNIT} is {unit.loaded}", f"systemctl status {UNIT} says why")
    elif unit.active == "failed" or unit.sub == "auto-restart":
        yield fail(CHECK, f"{UNIT} does not stay up ({unit.result})", f"journalctl -u {UNIT} -n 20 says why")
    elif unit.active not in ("active", "reloading", "activating"):
        yield warn(CHECK, f"{UNIT} is {unit.active}", f"systemctl start {UNIT}")
    elif unit.restarts >= MANY_RESTARTS:
        yield warn(CHECK, f"{UNIT} runs, after {unit.restarts} restarts by itself", f"journalctl -u {UNIT} says why")
    elif unit.enabled == "disabled":
        yield warn(CHECK, f"{UNIT} runs, but does not start with the machine", f"systemctl enable {UNIT}")
    else:
        yield ok(CHECK, f"{UNIT} is {unit.active}{f', {unit.enabled}' if unit.enabled else ''}")
