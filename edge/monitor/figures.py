"""The state of this server at one moment, as numbers: what ``/metrics`` and the page are written from."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.core.account import Account, Traffic
from edge.core.router import Router
from edge.monitor.account_statz import clients, leafs
from edge.monitor.device import Wear, device_of, wear_of
from edge.monitor.process import Process, this_process
from edge.monitor.stamp import Stamp
from edge.net.listener import ClientListener

if TYPE_CHECKING:  # loaded where they are configured
    from edge.core.leaf_link import LeafLink
    from edge.jetstream.consumer import Consumer
    from edge.jetstream.jetstream import JetStream
    from edge.net.mqtt import MqttListener
    from edge.store.sqlite import SqliteStore

CommandCounts = Mapping[str, Mapping[str, int]]  # "open" and "ended", by state
Report = Callable[[], Mapping[str, Any] | None]


class AccountFigures(NamedTuple):
    name: str
    clients: int
    leafs: int
    subscriptions: int
    of_clients: Traffic
    of_leafs: Traffic
    slow_consumers: int


class StreamFigures(NamedTuple):
    """``last_ns``: wall time of the last message, 0: there was none."""

    account: str
    name: str
    storage: str
    messages: int
    bytes: int
    first_seq: int
    last_seq: int
    last_ns: int
    consumers: int


class ConsumerFigures(NamedTuple):
    """A durable one: others come and go, and with each a new row for ever."""

    account: str
    stream: str
    name: str
    delivered: int
    ack_floor: int
    ack_pending: int
    redelivered: int
    waiting: int


class LinkFigures(NamedTuple):
    """``rtt_ns`` 0: not known.  ``remote``: host and port it is connected to, or tried last."""

    account: str
    remote: str
    hub: str
    state: str
    up: bool
    rtt_ns: int
    connects: int
    pending: int
    dropped: int
    traffic: Traffic
    error: str


class StoreFigures(NamedTuple):
    """``files``: bytes of each.  ``error``: what the last commit failed with, or empty."""

    folder: str
    files: Mapping[str, int]
    commits: int
    is_full: bool
    error: str
    damage: int
    disk_free: int
    disk_size: int
    wear: Wear | None


class ClientFigures(NamedTuple):
    """``silent_ns``: since it was last heard."""

    kind: str
    name: str
    account: str
    host: str
    in_msgs: int
    out_msgs: int
    silent_ns: int


class MqttFigures(NamedTuple):
    connections: int
    total: int
    sessions: int
    retained: int


class Figures(NamedTuple):
    """``connections`` by kind.  ``links`` lead to hubs, ``inbound`` to leafs that have dialled.  ``uplinks`` as
    ``petiole.<edge>.status`` has them.  ``now_ns``, ``started_ns``: wall time.  None for what is not configured."""

    name: str
    id: str
    now_ns: int
    started_ns: int
    connections: Mapping[str, int]
    total_connections: int
    slow_consumers: int
    process: Process
    accounts: list[AccountFigures]
    links: list[LinkFigures]
    inbound: list[LinkFigures]
    uplinks: Mapping[str, Mapping[str, Any]]
    mqtt: MqttFigures | None
    store: StoreFigures | None
    streams: list[StreamFigures]
    consumers: list[ConsumerFigures]
    commands: CommandCounts | None = None


class Instruments:
    """Where the figures are read."""

    def __init__(
        self,
        stamp: Stamp,
        router: Router,
        listener: ClientListener,
        mqtt: "Callable[[], MqttListener | None]",
        store: "SqliteStore | None",
        jetstream: "JetStream | None",
        report: Report,
        commands: Callable[[], CommandCounts | None],
    ) -> None:
        self.stamp = stamp
        self.router = router
        self.listener = listener
        self.mqtt = mqtt
        self.store = store
        self.jetstream = jetstream
        self.report = report
        self.commands = commands

    def read(self) -> Figures:
        accounts = sorted(self.router.accounts.values(), key=lambda account: account.name)
        links = [link for account in accounts for link in sorted(account.links, key=lambda link: link.remote)]
        mqtt, report = self.mqtt(), self.report()
        return Figures(
            name=self.stamp.identity.name,
            id=self.stamp.identity.id,
            now_ns=self.stamp.wall(),
            started_ns=self.stamp.started_ns,
            connections=self._connections(),
            total_connections=self.listener.total,
            slow_consumers=sum(account.slow_consumers for account in accounts),
            process=this_process(),
            accounts=[_account(account) for account in accounts],
            links=[_link(link) for link in links if not link.is_inbound],
            inbound=[_link(link) for link in links if link.is_inbound],
            uplinks=report["uplinks"] if report else {},
            mqtt=_mqtt(mqtt) if mqtt else None,
            store=self._store() if self.store else None,
            streams=list(self._streams()),
            consumers=list(self._consumers()),
            commands=self.commands(),
        )

    def _connections(self) -> Mapping[str, int]:
        found = {"nats": 0, "websocket": 0}
        for connection in self.listener.connections.values():
            found["websocket" if connection.kind == "WEBSOCKET" else "nats"] += 1
        return found

    def clients(self) -> Iterator[ClientFigures]:
        """Who is logged in, whatever it speaks."""
        now = time.monotonic_ns()
        for connection in self.listener.connections.values():
            client = connection.client
            if client.admitted:
                yield ClientFigures(
                    "WebSocket" if connection.kind == "WEBSOCKET" else "NATS", client.connect.name, client.account.name,
                    connection.ip, client.in_msgs, client.out_msgs, max(now - connection.last_seen, 0),
                )  # fmt: skip
        for account in self.router.accounts.values():
            for mqtt in account.mqtt_clients:
                yield ClientFigures(
                    "MQTT", mqtt.client_id, account.name, mqtt.shell.ip, mqtt.in_msgs, mqtt.out_msgs,
                    max(now - mqtt.last_seen, 0),
                )  # fmt: skip

    def _store(self) -> StoreFigures:
        assert self.store is not None and self.jetstream is not None
        path = self.store.path
        folder = os.path.dirname(path)
        room = os.statvfs(folder)
        device = device_of(folder)
        return StoreFigures(
            folder=folder,
            files={"database": _size(path), "log": _size(f"{path}-wal"), "reserve": _size(self.store.reserve.path)},
            commits=self.store.writer.commits,
            is_full=self.store.full,
            error=self.jetstream.health.error,
            damage=len(self.store.damage),
            disk_free=room.f_bavail * room.f_frsize,
            disk_size=room.f_blocks * room.f_frsize,
            wear=wear_of(device) if device else None,
        )

    def _streams(self) -> Iterator[StreamFigures]:
        for name, account in sorted(self.jetstream.accounts.items()) if self.jetstream else ():
            for stream in sorted(account.streams.values(), key=lambda stream: stream.name):
                yield StreamFigures(
                    name, stream.name, stream.config.storage, stream.messages, stream.bytes,
                    stream.first_seq if stream.last_seq else 0, stream.last_seq, stream.last_ns,
                    len(account.keeper.names(stream.name)),
                )  # fmt: skip

    def _consumers(self) -> Iterator[ConsumerFigures]:
        for name, account in sorted(self.jetstream.accounts.items()) if self.jetstream else ():
            durable = (consumer for consumer in account.keeper.all() if consumer.config.durable)
            for consumer in sorted(durable, key=lambda consumer: (consumer.stream.name, consumer.name)):
                yield _consumer(name, consumer)


def _account(account: Account) -> AccountFigures:
    return AccountFigures(
        account.name, clients(account), leafs(account), len(account.sublist), account.client_traffic,
        account.leaf_traffic, account.slow_consumers,
    )  # fmt: skip


def _link(link: "LeafLink") -> LinkFigures:
    return LinkFigures(
        link.account.name, link.remote, link.far.server_name, link.state.value, link.up, link.rtt,
        link.connects, link.pending_bytes, link.dropped, Traffic().plus(link), link.last_error,
    )  # fmt: skip


def _consumer(account: str, consumer: "Consumer") -> ConsumerFigures:
    acks = consumer.acks
    return ConsumerFigures(
        account, consumer.stream.name, consumer.name, acks.delivered.consumer_seq, acks.floor.consumer_seq,
        len(acks.pending), len(acks.redelivered), len(consumer.way.waiting),
    )  # fmt: skip


def _mqtt(listener: "MqttListener") -> MqttFigures:
    broker = listener.broker
    return MqttFigures(
        len(listener.connections), listener.total, len(broker.sessions.sessions), broker.retained.messages
    )


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


