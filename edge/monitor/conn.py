"""A connection as CONNZ tells of it: one that is here, or one as it was when it ended."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, cast

from edge.core.account import Account, Traffic
from edge.core.client import Client
from edge.core.peer import Subscription

if TYPE_CHECKING:  # loaded where they are configured
    from edge.core.leaf_link import LeafLink
    from edge.core.mqtt_client import MqttClient
    from edge.net.connection import Connection
    from edge.net.mqtt import MqttConnection
    from edge.net.tls import Secured

NO_TRAFFIC = Traffic()


class Conn(NamedTuple):
    """Times are wall time in ns; ``stop_ns`` 0: it is here.  ``rtt_ns`` 0: not known.  ``account``: empty for one that
    has not logged in."""

    cid: int
    kind: str  # Client, Leafnode
    type: str  # nats, websocket, mqtt; empty for a leaf
    ip: str
    port: int
    start_ns: int
    last_ns: int
    rtt_ns: int
    pending: int
    traffic: Traffic
    stalls: int
    subscriptions: int
    user: str
    account: str
    name: str = ""
    lang: str = ""
    version: str = ""
    secured: "Secured | None" = None
    jwt: str = ""
    issuer_key: str = ""
    tags: tuple[str, ...] = ()
    mqtt_client: str = ""
    stop_ns: int = 0
    reason: str = ""


class Sub(NamedTuple):
    """``max`` 0: it does not end by itself."""

    subject: str
    queue: str
    sid: str
    msgs: int
    max: int = 0


class Moment(NamedTuple):
    """The same instant on both clocks."""

    wall: int
    monotonic: int

    def wall_of(self, monotonic: int) -> int:
        return self.wall - (self.monotonic - monotonic)


# ---- NATS clients


def conn_of_client(client: Client, now: Moment) -> Conn:
    shell = cast("Connection", client.shell)
    connect, login = client.connect, client.login
    return Conn(
        client.cid, "Client", "websocket" if shell.kind == "WEBSOCKET" else "nats", shell.ip, shell.port,
        shell.started_ns, now.wall_of(shell.last_seen) if shell.last_seen else shell.started_ns, shell.rtt_ns,
        shell.transport.get_write_buffer_size() if shell.last_seen else 0,  # it may have ended before there was one
        NO_TRAFFIC.plus(client), 0, len(client.subs), user_of(client), client.account.name if client.admitted else "",
        connect.name, connect.lang, connect.version, shell.secured, login.jwt or connect.jwt, login.issuer_key,
        login.tags,
    )  # fmt: skip


def user_of(client: Client) -> str:
    """Who it is, or says it is, without its secrets."""
    connect = client.connect
    said = connect.nkey or connect.user or ("[REDACTED]" if connect.auth_token else "")
    return client.login.nkey or client.user or said


def subs_of_client(client: Client) -> list[Sub]:
    return [sub_of(sub) for sub in client.subs.values()]


def sub_of(sub: Subscription) -> Sub:
    return Sub(sub.subject, sub.queue, sub.sid.decode("utf-8", "replace"), sub.delivered, sub.max)


# ---- MQTT clients


def conn_of_mqtt(client: "MqttClient", now: Moment) -> Conn:
    shell = cast("MqttConnection", client.shell)
    admitted = client.sender is not None
    return Conn(
        shell.number, "Client", "mqtt", shell.ip, shell.port, shell.started_ns, now.wall_of(client.last_seen), 0,
        shell.transport.get_write_buffer_size(), NO_TRAFFIC.plus(client), 0, len(subs_of_mqtt(client)), client.user,
        client.account.name if admitted else "", secured=shell.secured, mqtt_client=client.client_id,
    )  # fmt: skip


def subs_of_mqtt(client: "MqttClient") -> list[Sub]:
    return [shown for _, shown in held_by(client)]


def held_by(client: "MqttClient") -> Iterator[tuple[Subscription, Sub]]:
    """``sid``: as nats-server names them, by subject; of the two of a filter with ``#`` one is for the level above."""
    session = client.session
    for held in session.filters.values() if session is not None else ():
        for sub in held.subscriptions:
            sid = sub.subject if sub.subject == held.subjects[-1] else f"{sub.subject} fwc"
            yield sub, Sub(sub.subject, "", sid, sub.delivered)


# ---- links to hubs


class Since(NamedTuple):
    """A link's connection: its number, where the hub is, when it came to be, and what the link had carried before."""

    cid: int
    ip: str
    port: int
    start_ns: int
    before: Traffic


def conn_of_link(link: "LeafLink", account: Account, since: Since, now: Moment) -> Conn:
    last = now.wall_of(link.now) if link.now else since.start_ns
    return Conn(
        since.cid, "Leafnode", "", since.ip, since.port, since.start_ns, last, link.rtt,
        link.pending_bytes, traffic_of(link, since), 0, len(link.subs), "", account.name,
    )  # fmt: skip


def traffic_of(link: "LeafLink", since: Since) -> Traffic:
    """Of this connection alone."""
    total = NO_TRAFFIC.plus(link)
    return Traffic(*(now - then for now, then in zip(total, since.before, strict=True)))


def address_of(link: "LeafLink") -> tuple[str, int]:
    """Where the hub is; what its URL says where there is no socket to ask."""
    from edge.net.leafs import LeafConnection

    if isinstance(link.wire, LeafConnection):
        peer = link.wire.transport.get_extra_info("peername")
        if peer:
            return str(peer[0]), int(peer[1])
    host, _, port = link.remote.rpartition(":")
    return host.strip("[]"), int(port) if port.isdigit() else 0


def subs_of_link(link: "LeafLink") -> list[Sub]:
    """What the hub asked for; ``sid`` as on the wire."""
    return [
        Sub(sub.subject, sub.queue, f"{sub.subject} {sub.queue}" if sub.queue else sub.subject, sub.delivered)
        for sub in link.subs.values()
    ]
