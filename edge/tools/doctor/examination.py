"""All checks in their order, and what is printed of them."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence

from edge.config.load import load_config
from edge.config.options import Config
from edge.errors import ConfigError
from edge.flags import Flags
from edge.store.database import FILE
from edge.tools.doctor.certificates import check_certificates
from edge.tools.doctor.clock import check_clock
from edge.tools.doctor.disk import check_disk
from edge.tools.doctor.finding import Finding, Level, fail, ok, warn
from edge.tools.doctor.health import check_health
from edge.tools.doctor.hub import check_hubs
from edge.tools.doctor.machine import Machine
from edge.tools.doctor.ports import check_ports
from edge.tools.doctor.resources import check_resources
from edge.tools.doctor.running import find_running
from edge.tools.doctor.store import check_store
from edge.tools.doctor.unit import check_unit, find_unit
from edge.tools.figures import plain

USUAL_CONFIG = "/etc/petiole/edge.conf"
STATE_DIRECTORY = "/var/lib/petiole"  # the unit's
COLOURS = {Level.OK: "\x1b[32m", Level.WARN: "\x1b[33m", Level.FAIL: "\x1b[31m"}
INDENT = " " * 6


def examine(path: str, environ: Mapping[str, str], machine: Machine, deep: bool) -> Iterator[Finding]:
    """Findings as they are made: some take seconds.  ``path`` empty: where the unit has its configuration."""
    if not path and machine.path(USUAL_CONFIG).exists():
        path = str(machine.path(USUAL_CONFIG))
    try:
        config, first = _configuration(path, environ, machine)
    except ConfigError as exc:
        yield fail("config", str(exc), "mend it there; nothing that depends on it is looked at")
        yield from check_unit(find_unit(machine), None)
        yield from check_clock(machine, "")
        return
    yield from first
    pid = find_running(machine, config)
    config = _with_whole_paths(config, machine, pid)
    unit = find_unit(machine)
    yield from check_unit(unit, pid)
    yield from check_ports(machine, config, pid)
    yield from check_certificates(machine, config)
    folder = config.jetstream.store_dir if config.jetstream else ""
    if config.jetstream is not None:
        yield from check_disk(machine, config.jetstream)
        yield from check_store(machine, folder, pid, deep)
    else:
        yield ok("store", "no jetstream: nothing is kept on disk")
    yield from check_clock(machine, os.path.join(folder, FILE) if folder else "")
    yield from check_resources(machine, config, pid, unit.open_files if unit else None)
    yield from check_hubs(config)
    if pid is not None:
        yield from check_health(config)


def _configuration(path: str, environ: Mapping[str, str], machine: Machine) -> tuple[Config, list[Finding]]:
    is_usual = path == str(machine.path(USUAL_CONFIG))
    if is_usual:
        environ = {"STATE_DIRECTORY": str(machine.path(STATE_DIRECTORY)), **environ}
    config = load_config(path or None, Flags(), environ)
    if not path:
        told = f"no file given, and no {USUAL_CONFIG}: the defaults are looked at"
        return config, [warn("config", told, "give -c FILE")]
    warned = [warn("config", warning, "mend it there, or leave it") for warning in config.warnings]
    return config, warned or [ok("config", f"{path} is valid")]


def _with_whole_paths(config: Config, machine: Machine, pid: int | None) -> Config:
    """A store_dir without a slash before it is the server's, not ours."""
    if config.jetstream is None:
        return config
    base = os.getcwd()
    if pid is not None:
        try:
            base = os.readlink(machine.path(f"/proc/{pid}/cwd"))
        except OSError:
            pass  # of another user: as good as any other guess
    folder = os.path.join(base, config.jetstream.store_dir)
    return config._replace(jetstream=config.jetstream._replace(store_dir=folder))


# ---- for people and for programs


def lines(finding: Finding, colours: bool) -> list[str]:
    level = finding.level.value.ljust(4)
    if colours:
        level = f"{COLOURS[finding.level]}{level}\x1b[0m"
    first = f"{level}  {finding.check}: {plain(finding.found)}"
    return [first, f"{INDENT}-> {plain(finding.remedy)}"] if finding.remedy else [first]


def summary(findings: Sequence[Finding]) -> str:
    fails, warns = (sum(each.level is level for each in findings) for level in (Level.FAIL, Level.WARN))
    if not fails and not warns:
        return "nothing wrong was found"
    return f"{fails} failed, {warns} warned, {len(findings) - fails - warns} in order"


def as_json(findings: Sequence[Finding]) -> str:
    checks = [{**each._asdict(), "level": each.level.value} for each in findings]
    return json.dumps({"ok": not has_failed(findings), "checks": checks}, indent=2)


def has_failed(findings: Sequence[Finding]) -> bool:
    return any(each.level is Level.FAIL for each in findings)
