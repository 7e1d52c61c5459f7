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
        cid=client.cid,
        kind="Client",
        type="websocket" if shell.kind == "WEBSOCKET" else "nats",
        ip=shell.ip,
        port=shell.port,
        start_ns=shell.started_ns,
        last_ns=max(now.wall_of(shell.last_seen), shell.started_ns),
        rtt_ns=shell.rtt_ns,
        pending=shell.transport.get_write_buffer_size() if shell.last_seen else 0,  # it may end before there is one
        traffic=NO_TRAFFIC.plus(client),
        stalls=shell.stalls,
        subscriptions=len(client.subs),
        user=user_of(client),
        account=client.account.name if client.admitted else "",
        name=connect.name,
        lang=connect.lang,
        version=connect.version,
        secured=shell.secured,
        jwt=login.jwt or connect.jwt,
        issuer_key=login.issuer_key,
        tags=login.tags,
    )


def user_of(client: Client) -> str:
    """Who it is, or says it is, without its secrets."""
    connect = client.connect
    said = connect.user or ("[REDACTED]" if connect.auth_token else "")
    return connect.nkey or client.login.nkey or said or client.user


def subs_of_client(client: Client) -> list[Sub]:
    return [sub_of(sub) for sub in client.subs.values()]


def sub_of(sub: Subscription) -> Sub:
    return Sub(sub.subject, sub.queue, sub.sid.decode("utf-8", "replace"), sub.delivered, sub.max)


# ---- MQTT clients


def conn_of_mqtt(client: "MqttClient", now: Moment) -> Conn:
    shell = cast("MqttConnection", client.shell)
    return Conn(
        cid=shell.number,
        kind="Client",
        type="mqtt",
        ip=shell.ip,
        port=shell.port,
        start_ns=shell.started_ns,
        last_ns=max(now.wall_of(client.last_seen), shell.started_ns),
        rtt_ns=0,
        pending=shell.transport.get_write_buffer_size(),
        traffic=NO_TRAFFIC.plus(client),
        stalls=0,
        subscriptions=len(subs_of_mqtt(client)),
        user=client.user,
        account=client.account.name if client.sender is not None else "",
        secured=shell.secured,
        mqtt_client=client.client_id,
    )


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
    return Conn(
        cid=since.cid,
        kind="Leafnode",
        type="",
        ip=since.ip,
        port=since.port,
        start_ns=since.start_ns,
        last_ns=max(now.wall_of(link.now), since.start_ns),
        rtt_ns=link.rtt,
        pending=link.pending_bytes,
        traffic=traffic_of(link, since),
        stalls=0,
        subscriptions=len(link.subs),
        user=link.user,
        account=account.name,
        name=link.said[0],
        version=link.said[1],
    )


def traffic_of(link: "LeafLink", since: Since) -> Traffic:
    """Of this connection alone."""
    total = NO_TRAFFIC.plus(link)
    return Traffic(*(now - then for now, then in zip(total, since.before, strict=True)))


def address_of(link: "LeafLink") -> tuple[str, int]:
    """Where the hub is; what its URL says where there is no socket to ask."""
    from edge.net.leaf_connection import LeafConnection

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
