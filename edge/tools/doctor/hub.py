"""The way to the hub: its name, its port, and the line with which it greets.  Nothing is sent to it, nor to a proxy."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from edge.config.options import Config, LeafRemote, LeafUrl
from edge.errors import ProtocolError
from edge.protocol.leaf import Info, parse_info
from edge.tools.doctor.finding import Finding, fail, ok, warn
from edge.tools.figures import plain

CHECK = "hub"
TIMEOUT_S = 5.0
MAX_LINE = 1 << 20
OLDEST = (2, 9)  # of nats-server: its leafs had JetStream domains and headers as they are now


class Greeting(NamedTuple):
    info: Info
    fields: dict[str, Any]
    rtt_s: float


class NoGreeting(Exception):
    """Why, and what to do."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.found = found
        self.remedy = remedy


def check_hubs(config: Config, timeout: float = TIMEOUT_S) -> Iterator[Finding]:
    remotes = config.leafnodes.remotes
    if not remotes:
        yield ok(CHECK, "no remotes in leafnodes: this edge stands alone")
    domain = config.jetstream.domain if config.jetstream else ""
    for remote in remotes:
        for url in remote.urls:
            yield _check(remote, url, domain, timeout)


def _check(remote: LeafRemote, url: LeafUrl, domain: str, timeout: float) -> Finding:
    where = f"{plain(url.host)}:{url.port}"
    if remote.proxy is not None:
        return _check_port(remote.proxy.host, remote.proxy.port, "the proxy", where, timeout)
    if url.websocket:
        return _check_port(url.host, url.port, "a port", f"{where} by WebSocket", timeout)
    if remote.tls is not None and remote.tls.handshake_first:
        return ok(CHECK, f"{where}: TLS comes first there (not tried)")
    try:
        greeting = greet(url.host, url.port, timeout)
    except NoGreeting as exc:
        return fail(CHECK, f"{where}: {exc.found}", exc.remedy)
    info, fields = greeting.info, greeting.fields
    name = plain(info.server_name or info.server_id)
    what = f"{where}: {name}, nats-server {plain(info.version)}, {greeting.rtt_s * 1000:.1f} ms"
    if "client_ip" in fields and "leafnode_urls" not in fields:
        return fail(CHECK, f"{where}: {name} takes clients there, no leafs", "give its leafnodes port, usually 7422")
    if info.tls_required and remote.tls is None and not url.encrypted:
        return fail(CHECK, f"{what}: it wants TLS", "write tls:// in the url, or give the remote a tls block")
    if _version(info.version) < OLDEST:
        return warn(CHECK, f"{what}: that version is old", "bring the hub to nats-server 2.10 or later")
    if domain and info.domain == domain:
        return warn(CHECK, f"{what}: it has our JetStream domain, {domain}", "give each a domain of its own")
    # Every hub says auth_required, whether it has users or not: only the link itself can tell.
    login = f"login as {plain(url.user)}" if url.user else "no login"
    return ok(CHECK, f"{what}, {login} (not tried)")


def _check_port(host: str, port: int, what: str, where: str, timeout: float) -> Finding:
    try:
        connection, rtt = _connect(_resolve(host, port, timeout), timeout)
    except NoGreeting as exc:
        return fail(CHECK, f"{where}: {what} at {plain(host)}:{port}: {exc.found}", exc.remedy)
    connection.close()
    return ok(CHECK, f"{where}: {what} answers at {plain(host)}:{port}, {rtt * 1000:.1f} ms (no more was tried)")


def greet(host: str, port: int, timeout: float) -> Greeting:
    """The INFO line, and nothing more: a hub sees somebody who connects and goes.  NoGreeting says what is wrong."""
    addresses = _resolve(host, port, timeout)
    connection, rtt = _connect(addresses, timeout)
    with connection:
        line = _line(connection, time.monotonic() + timeout)
    if not line.startswith(b"INFO "):
        raise NoGreeting("what answers there is no nats-server", "give the leafnodes port of the hub, usually 7422")
    try:
        return Greeting(parse_info(line), json.loads(line[4:]), rtt)
    except ProtocolError:
        raise NoGreeting("its INFO cannot be read", "give the leafnodes port of a nats-server") from None


def _resolve(host: str, port: int, timeout: float) -> list[Any]:
    """In a thread, because nothing ends a question to a name server that does not answer."""
    answers: list[list[Any] | OSError] = []

    def ask() -> None:
        try:
            answers.append(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except OSError as exc:
            answers.append(exc)
        except UnicodeError:
            answers.append(OSError(0, "it cannot be the name of a machine"))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    remedy = "look at /etc/resolv.conf and the network, or give the hub's address instead of its name"
    match answers:
        case [OSError() as exc]:
            raise NoGreeting(f"the name is not found: {exc.strerror}", remedy)
        case [list(found)]:
            return found
    raise NoGreeting(f"no name server answers within {timeout:g} s", remedy)


def _connect(addresses: list[Any], timeout: float) -> tuple[socket.socket, float]:
    """And how long it took: one round trip."""
    reason = "no address"
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(timeout)
        started = time.monotonic()
        try:
            connection.connect(address)
            return connection, time.monotonic() - started
        except OSError as exc:
            connection.close()
            reason = f"no answer within {timeout:g} s" if isinstance(exc, TimeoutError) else exc.strerror or str(exc)
    if "refused" in reason:
        raise NoGreeting(reason, "is the hub running, with leafnodes { port: ... }?")
    raise NoGreeting(reason, "is there a way to it: network, VPN, firewall?")


def _line(connection: socket.socket, deadline: float) -> bytes:
    received = b""
    while b"\n" not in received and len(received) < MAX_LINE:
        left = deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            chunk = connection.recv(65536)
        except TimeoutError:
            raise NoGreeting(
                "it says nothing: it waits for TLS (handshake_first), or is no nats-server",
                "give the leafnodes port of the hub, without handshake_first",
            ) from None
        except OSError as exc:
            raise NoGreeting(exc.strerror or str(exc), "does a firewall cut the connection?") from None
        if not chunk:
            raise NoGreeting("it closes at once", "does the hub take connections from this address?")
        received += chunk
    return received.partition(b"\n")[0].rstrip(b"\r")


def _version(text: str) -> tuple[int, ...]:
    """Unknown ones are new."""
    parts = text.split("-")[0].split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() and len(part) < 6 for part in parts) else OLDEST
