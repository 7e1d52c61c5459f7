"""Can the server listen where it is told to, or is it the one who does already?"""

import socket
from collections.abc import Iterator

from edge.config.options import Config, Listen
from edge.tools.doctor.finding import Finding, fail, ok, warn
from edge.tools.doctor.machine import Machine, Socket, process_name

CHECK = "ports"
WILDCARDS = ("", "0.0.0.0", "::")


def check_ports(machine: Machine, config: Config, pid: int | None) -> Iterator[Finding]:
    listening = machine.listening()
    taken: dict[tuple[str, int], str] = {}
    for name, listen in listeners(config):
        where = f"{name} {_shown(listen)}"
        if other := _clash(taken, listen):
            yield fail(CHECK, f"{where}: {other} is to listen there too", f"give {name} or {other} another port")
            continue
        taken[listen.host, listen.port] = name
        if problem := _no_such_address(listen.host):
            yield fail(CHECK, f"{where}: {problem}", "name an address of this machine, or 0.0.0.0 for all")
        elif not listen.port:
            yield ok(CHECK, f"{where}: any free port")
        elif listening is None:
            yield warn(CHECK, f"{where}: this system does not say who listens", "look with lsof -i")
        else:
            yield _held(machine, name, where, [each for each in listening if _is_at(each, listen)], pid)


def listeners(config: Config) -> Iterator[tuple[str, Listen]]:
    """Those that the configuration asks for, by the name of what they serve."""
    yield "clients", config.listen
    if config.mqtt is not None:
        yield "mqtt", config.mqtt.listen
    if config.websocket is not None:
        yield "websocket", config.websocket.listen
    if config.http is not None:
        yield "http", config.http
    if config.https is not None:
        yield "https", config.https


def _held(machine: Machine, name: str, where: str, sockets: list[Socket], pid: int | None) -> Finding:
    holders = [machine.holder_of(each.inode) for each in sockets]
    if not sockets and pid is None:
        return ok(CHECK, f"{where}: free")
    if not sockets:
        return warn(
            CHECK, f"{where}: the running petiole-edge (pid {pid}) does not listen there",
            "it was started with another configuration: restart it",
        )  # fmt: skip
    if pid is not None and pid in holders:
        return ok(CHECK, f"{where}: held by petiole-edge, pid {pid}")
    holder = next((each for each in holders if each is not None), None)
    if holder is None:
        return warn(CHECK, f"{where}: in use, this user is not told by whom", "run doctor as root (sudo)")
    return fail(
        CHECK, f"{where}: in use by {process_name(machine.command_line(holder))}, pid {holder}",
        f"end it (systemctl status {holder} says what started it), or give {name} another port",
    )  # fmt: skip


def _clash(taken: dict[tuple[str, int], str], listen: Listen) -> str:
    names = (
        name for (host, port), name in taken.items() if port and port == listen.port and _overlap(host, listen.host)
    )
    return next(names, "")


def _is_at(found: Socket, listen: Listen) -> bool:
    return found.port == listen.port and _overlap(found.address, listen.host)


def _overlap(one: str, other: str) -> bool:
    if one in WILDCARDS or other in WILDCARDS:
        return True
    return one == other or {one, other} <= {"localhost", "127.0.0.1", "::1"}


def _no_such_address(host: str) -> str:
    """Binding to any free port of it tells, and disturbs nobody."""
    if host in WILDCARDS:
        return ""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        return f"{host} is no address: {exc.strerror}"
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.bind(address)
                return ""
            except OSError:
                continue
    return f"{host} is no address of this machine"


def _shown(listen: Listen) -> str:
    host = f"[{listen.host}]" if ":" in listen.host else listen.host or "0.0.0.0"
    return f"{host}:{listen.port}" if listen.port else host
