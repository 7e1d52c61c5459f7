"""The plan of this machine's hub (ports, secrets, edges): made once and kept, so URLs stay the same."""

import dataclasses
import errno
import json
import re
import secrets
import socket
from contextlib import ExitStack
from pathlib import Path

from hub.errors import HubError
from hub.nats_conf import HubNode, HubPlan, Passwords
from hub.state_files import replace_file

NODES = 3
LOWEST_PORT = 10000
PORTS_PER_NODE = 3  # client, cluster, leaf
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # one subject token that is also safe as user name in a URL


def new_plan(host: str, base_port: int | None, edges: tuple[str, ...]) -> HubPlan:
    """A fresh plan; ports from `base_port` upward, or chosen by the system."""
    count = NODES * PORTS_PER_NODE
    ports = free_ports(host, count) if base_port is None else list(range(base_port, base_port + count))
    nodes = tuple(HubNode(f"hub-{i + 1}", ports[i], ports[NODES + i], ports[2 * NODES + i]) for i in range(NODES))
    passwords = Passwords(operator=_secret(), system=_secret(), route=_secret())
    return with_edges(HubPlan(host, nodes, passwords, {}), edges)


def with_edges(plan: HubPlan, edges: tuple[str, ...]) -> HubPlan:
    """The plan with a leaf user for each of `edges`; those it knows keep their password."""
    for edge in edges:
        if not NAME.fullmatch(edge):
            raise HubError(f"edge name {edge!r}: letters, digits, - and _ only (it is a token of subjects)")
    fresh = {edge: _secret() for edge in edges if edge not in plan.edges}
    return dataclasses.replace(plan, edges=plan.edges | fresh)


def load_plan(directory: Path) -> HubPlan | None:
    """The plan kept in `directory`; None where no hub was ever started."""
    path = directory / "hub.json"
    try:
        kept = json.loads(path.read_text())
        return HubPlan(
            host=kept["host"],
            nodes=tuple(HubNode(**node) for node in kept["nodes"]),
            passwords=Passwords(**kept["passwords"]),
            edges=dict(kept["edges"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise HubError(f"{path}: cannot be read ({exc}); restore it, or name another --dir") from exc


def save_plan(plan: HubPlan, directory: Path) -> None:
    replace_file(directory / "hub.json", json.dumps(dataclasses.asdict(plan), indent=2) + "\n")


def free_ports(host: str, count: int) -> list[int]:
    """Ports nobody listens on now, all different because all are held until the last is found.

    They lie below those the system gives to outgoing connections: a server that is started again on its port
    must not find a client of somebody's sitting there.
    """
    ports: list[int] = []
    with ExitStack() as stack:
        for port in _random_ports():
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            try:
                sock.bind((host, port))
            except OSError as exc:
                if exc.errno == errno.EADDRINUSE:
                    continue
                raise HubError(f"cannot listen on {host}: {exc.strerror or exc}") from exc
            ports.append(port)
            if len(ports) == count:
                return ports
    raise HubError(f"{host}: no {count} free ports; name some with --base-port")


def _random_ports() -> list[int]:
    outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    low = LOWEST_PORT if outgoing > LOWEST_PORT + 1000 else 1024
    return secrets.SystemRandom().sample(range(low, outgoing), min(1000, outgoing - low))


def _secret() -> str:
    return secrets.token_urlsafe(18)
