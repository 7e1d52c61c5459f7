"""The composition root: every part of the server is built here, handed to the others, started and stopped."""

import asyncio
import logging
import os
import resource
import sys
import time
from base64 import b32encode
from collections.abc import Iterable
from typing import TYPE_CHECKING

import uvloop

from edge.config.options import Config, LeafListen, Listen, Mqtt, WebSocket
from edge.core.account_spec import AccountSpec
from edge.core.auth import GLOBAL_ACCOUNT
from edge.core.router import Router
from edge.core.tls_spec import Tls
from edge.errors import PetioleError, StartError
from edge.flags import Flags
from edge.lean import keep_freed_heap
from edge.lifecycle import Lifecycle, Listener, lame_duck
from edge.logins import Logins, server_keys
from edge.net.info import NATS_LEVEL, ServerInfo
from edge.net.listener import ClientListener
from edge.net.log import reopen_log_file, set_up_log
from edge.net.ticker import Ticker
from edge.run_files import remove_ports_file, write_pid_file, write_ports_file
from edge.settings import (
    client_limits,
    jetstream_accounts,
    leaf_options,
    mqtt_limits,
    server_info,
    tls_blocks,
    tracer,
    websocket_options,
)
from edge.version import VERSION

if TYPE_CHECKING:  # loaded where it is configured
    from edge.core.exchange import Exchange
    from edge.hubs import Hubs
    from edge.monitor.control import Buttons
    from edge.monitor.documents import ServerDocuments
    from edge.monitor.ledger import Ledger
    from edge.monitor.stamp import Identity
    from edge.monitor.system import System
    from edge.net.entrance import Entrance
    from edge.net.leaf_listener import LeafListener
    from edge.net.mqtt import MqttListener
    from edge.net.tls import Encryption
    from edge.net.websocket import WebSocketListener
    from edge.storage import Storage

log = logging.getLogger("edge")

MANY_FILES = 1 << 20  # where there is no limit: what Linux allows a process by default


class Daemon:
    def __init__(self, config: Config, flags: Flags) -> None:
        self.config = config
        self.flags = flags  # they go over the file again when it is read again
        self.keys = server_keys(config)
        self.server_id = self.keys.signing.public if self.keys else "N" + b32encode(os.urandom(35)).decode()[:55]
        self.server_name = config.server_name or self.server_id
        self.router = Router()
        self.loop = asyncio.get_running_loop()
        self.lifecycle = Lifecycle(self)
        self.encryptions: dict[str, Encryption] = {}  # by the block of the configuration
        self.listeners: list[Listener] = []  # in the order of their start
        self.urls: dict[str, list[str]] = {}  # where they listen, for the ports file
        self.hubs: Hubs | None = None
        self.mqtt: MqttListener | None = None
        self.leafs: LeafListener | None = None  # those that dial us
        self.websocket: WebSocketListener | None = None
        self.storage: Storage | None = None
        self.system: System | None = None
        self.ledger: Ledger | None = None
        self.documents: ServerDocuments | None = None
        self.monitoring_port = 0
        self.exchange: Exchange | None = None
        self.signed: list[AccountSpec] = []  # operator mode: what the accounts' JWTs say
        self.logins = Logins(self.router, config, self.server_id, self.server_name, self.keys)

    async def run(self) -> None:
        """Serve until it is told to stop.  StartError and StoreError before anything listens."""
        self.lifecycle.hear_signals()
        self._say_hello()
        self.share()
        self.logins.start_operator(self._accounts_changed)
        self._open_storage()
        self._make_hubs()
        config = self.config
        self.clients = ClientListener(self.router, self.logins.clients(), client_limits(config), self.info())
        self.clients.tracer = tracer(config)
        self._keep_ledger()
        self._start_system(self.clients)
        await self._listen()
        self.write_run_files()
        if self.hubs is not None:
            self.hubs.start(self.lifecycle)
        log.info("Server is ready")
        await self.lifecycle.serve()
        await self._stop()
        log.info("Server Exiting..")

    def _say_hello(self) -> None:
        log.info("Starting petiole-edge")
        log.info("  Version:  %s", VERSION)
        log.info("  Name:     %s", self.server_name)
        log.info("  ID:       %s", self.server_id)
        if self.config.path:
            log.info("Using configuration file: %s (%s)", self.config.path, self.config.digest)
        for warning in self.config.warnings:
            log.warning("%s", warning)

    async def _listen(self) -> None:
        config = self.config
        if config.http or config.https:
            await self._start_monitoring(config.http or config.https)
        if config.mqtt:
            await self._start_mqtt(config.mqtt)
        if config.leafnodes.listen:
            await self._start_leafs(config.leafnodes.listen)
        if config.websocket:
            await self._start_websocket(config.websocket)
        await self._start_clients(config.listen)

    async def _start_clients(self, listen: Listen) -> None:
        """The last, so that whoever sees its line finds all the others."""
        self.clients.entrance = self._entrance()
        port = await self.clients.start(listen.host, listen.port)
        self.clients.info = self.clients.info._replace(port=port)
        self.listeners.append(self.clients)
        self.urls["nats"] = [f"{'tls' if self.config.tls else 'nats'}://{listen.host}:{port}"]
        log.info("Listening for client connections on %s:%d", listen.host, port)
        if self.config.tls:
            self._say_encrypted(self.config.tls)

    # ---- TLS

    def encryption(self, block: str) -> "Encryption | None":
        """The same for whoever asks for the same block; None where it encrypts nothing."""
        options = tls_blocks(self.config).get(block)
        if options is None:
            return None
        from edge.net.tls import Encryption

        if block not in self.encryptions:
            self.encryptions[block] = Encryption(options)
        return self.encryptions[block]

    def _entrance(self) -> "Entrance | None":
        """None: a client is greeted at once."""
        config = self.config
        if config.tls is None and not config.proxy_protocol:
            return None
        from edge.net.entrance import Entrance

        return Entrance(self.encryption("client"), config.allow_non_tls, config.proxy_protocol)

    def _say_encrypted(self, options: Tls) -> None:
        always_first = options.handshake_first and options.handshake_first_fallback_ns is None
        available = self.config.allow_non_tls and not always_first
        log.info("TLS %s for client connections", "available" if available else "required")
        if always_first:
            log.warning('Clients that are not using "TLS Handshake First" option will fail to connect')

    def write_run_files(self) -> None:
        if self.config.ports_file_dir:
            write_ports_file(self.config.ports_file_dir, self.urls)
        if self.config.pid_file:
            write_pid_file(self.config.pid_file)

    async def _stop(self) -> None:
        """What was written to clients goes out, what was acked is on disk."""
        if self.config.ports_file_dir:
            remove_ports_file(self.config.ports_file_dir)
        if self.system is not None:
            self.system.events.shutdown()
            self.router.flush()
        for listener in self.listeners:
            await listener.stop()
        self.logins.close()
        if self.storage is not None:
            self.storage.close()

    # ---- what signals and the system account ask

    def reload(self) -> None:
        """PetioleError, and all is as before, when the configuration is wrong or cannot be had without a restart."""
        from edge.reload import reload

        reload(self)

    def reopen_log(self) -> None:
        reopened = reopen_log_file()
        log.info("File log re-opened" if reopened else "File log re-open ignored, not a file logger")

    async def lame_duck(self) -> None:
        if self.system is not None:
            self.system.events.lame_duck()
            self.router.flush()
        await lame_duck(self.listeners, self.config.lame_duck_grace_period_ns, self.config.lame_duck_duration_ns)

    def info(self) -> ServerInfo:
        """``xkey``: who answers a callout may encrypt to it."""
        xkey = self.keys.sealing.public if self.keys else ""
        return server_info(self.config, self.server_id, self.server_name, xkey)

    # ---- accounts

    def share(self) -> None:
        """Accounts give each other what the configuration says."""
        config = self.config
        if not config.accounts and config.operator is None and self.exchange is None:
            return
        if self.exchange is None:
            from edge.core.exchange import Exchange
            from edge.core.times import Clock

            ticker = Ticker(self.loop, self.router)
            self.exchange = Exchange(
                self.router, self.server_name, Clock(time.time_ns, time.monotonic_ns, ticker.wake)
            )
            ticker.start(self.exchange)
        self.exchange.apply((*config.accounts, *self.signed))

    def _accounts_changed(self, specs: list[AccountSpec], keys: Iterable[str]) -> None:
        """Operator mode.  Clients of accounts ``keys`` are judged by what these say now."""
        self.signed = specs
        self.share()
        if self.storage is not None and self.config.jetstream is not None:
            self.storage.limit(self.config.jetstream, jetstream_accounts(self.config, specs))
        changed = frozenset(keys)
        if not changed:
            return
        for connection in list(self.clients.connections.values()):
            if connection.client.account.name in changed:
                connection.judge_again()
        for client in list(self.mqtt.connections.values()) if self.mqtt is not None else ():
            client.judge_again()
        if self.leafs is not None:
            self.leafs.judge_again(changed)
        self.router.flush()

    # ---- what is on disk, and hubs

    def _open_storage(self) -> None:
        """StoreError when there can be none."""
        options = self.config.jetstream
        if options is not None:
            from edge.storage import Storage

            self.storage = Storage(self.router, options, self.server_name, jetstream_accounts(self.config, self.signed))

    def _make_hubs(self) -> None:
        if self.config.leafnodes.remotes:
            self.make_hubs()
        elif self.config.uplinks:
            raise StartError("uplink needs a hub: add leafnodes { remotes [ { url: ... } ] }")

    def make_hubs(self) -> "Hubs":
        from edge.hubs import Hubs

        self.hubs = Hubs(self.router, self.config, self.server_id, self.server_name, self.storage)
        return self.hubs

    # ---- the system account

    def _keep_ledger(self) -> None:
        """From the first connection on: who asks later wants to know of those that are gone."""
        config = self.config
        if config.no_system_account and not (config.http or config.https):
            return
        from edge.monitor.ledger import Ledger

        self.ledger = Ledger(self.router, config.max_closed_clients, time.time_ns, time.monotonic_ns)
        self.router.watchers.append(self.ledger)

    def _start_system(self, clients: ClientListener) -> None:
        """Events and requests: they are about the clients, so they are there first."""
        config = self.config
        if config.no_system_account:
            return
        from edge.core.times import Clock
        from edge.monitor.system import System

        ticker = Ticker(self.loop, self.router)
        clock = Clock(time.time_ns, time.monotonic_ns, ticker.wake)
        clients.system_account = config.system_account
        self.system = System(
            self.router.account(config.system_account), self.router, self._identity(), clock,
            lambda: self._documents(clients), lambda: self._buttons(clients), GLOBAL_ACCOUNT,
        )  # fmt: skip
        for spec in config.accounts:
            self.router.account(spec.name)  # they are there before anybody comes
        self.system.start()
        self.logins.open_desk(self.system.stamp)
        ticker.start(self.system)

    def _identity(self) -> "Identity":
        from edge.monitor.stamp import Identity

        config, info = self.config, self.clients.info
        return Identity(
            info.server_name, info.host, info.server_id, NATS_LEVEL,
            cluster=info.server_name if config.leafnodes.remotes else "", domain=info.domain,
            tags=config.server_tags, metadata=dict(config.server_metadata), jetstream=info.jetstream,
        )  # fmt: skip

    def _documents(self, clients: ClientListener) -> "ServerDocuments":
        """The same for who asks over NATS and who asks over HTTP."""
        if self.documents is None:
            from edge.monitor.documents import ServerDocuments
            from edge.monitor.stamp import Stamp
            from edge.varz_settings import state_of

            stamp = self.system.stamp if self.system else Stamp(self._identity(), time.time_ns)
            self.documents = ServerDocuments(state_of(self, stamp))
        return self.documents

    def _buttons(self, clients: ClientListener) -> "Buttons":
        from edge.monitor.control import Buttons

        return Buttons(clients, lambda: self.mqtt, lambda: self.leafs, self.reload)

    # ---- monitoring

    async def _start_monitoring(self, listen: Listen | None) -> None:
        """The first: whoever looks may watch the rest of the start."""
        from edge.monitoring import Monitoring

        assert listen is not None
        listener = Monitoring(self, self._documents(self.clients)).listener()
        port = self.monitoring_port = await listener.start(listen.host, listen.port)
        self.listeners.append(listener)
        scheme = "https" if self.config.https else "http"
        where = f"[{listen.host}]:{port}" if ":" in listen.host else f"{listen.host}:{port}"
        self.urls["monitoring"] = [f"{scheme}://{where}"]
        log.info("Starting %s monitor on %s", scheme, where)

    # ---- MQTT

    async def _start_mqtt(self, options: Mqtt) -> None:
        """Its sessions and retained messages are in the store, or end with the process where there is none."""
        from edge.net.mqtt import MqttListener, ends_of_streams

        auth, limits = self.logins.listener(options), mqtt_limits(self.config, options)
        storage = self.storage
        if storage is not None:
            recent = ends_of_streams(storage.jetstream)
            listener = MqttListener(self.router, auth, limits, storage.store, storage.values, recent)
        else:
            from edge.net.batch import soon
            from edge.store.memory import MemoryStore

            log.warning("mqtt without jetstream: sessions and retained messages are kept in memory only")
            listener = MqttListener(self.router, auth, limits, MemoryStore(soon(self.router)), {}, tuple)
        listener.encryption = self.encryption("mqtt")
        listener.allow_plain = self.config.allow_non_tls
        port = await listener.start(options.listen.host, options.listen.port)
        self.mqtt = listener
        self.listeners.append(listener)
        scheme = "tls" if options.tls else "mqtt"
        self.urls["mqtt"] = [f"{scheme}://{options.listen.host}:{port}"]
        log.info("Listening for MQTT clients on %s://%s:%d", scheme, options.listen.host, port)

    # ---- leafs

    async def _start_leafs(self, options: LeafListen) -> None:
        from edge.core.leaf_wire import LeafIdentity
        from edge.net.leaf_listener import LeafListener

        info = self.clients.info
        identity = LeafIdentity(
            info.server_id, info.server_name, NATS_LEVEL, info.domain, info.jetstream, info.max_payload
        )
        ours = leaf_options(self.config, options, info, options.listen.port)
        listener = LeafListener(self.router, self.logins.leafs(options), identity, ours, self.encryption("leafnodes"))
        port = await listener.start(options.listen.host, options.listen.port)
        self.leafs = listener
        self.tell_leafs()
        self.listeners.append(listener)
        self.urls["leafnode"] = [f"{options.listen.host}:{port}"]
        log.info("Listening for leafnode connections on %s:%d", options.listen.host, port)

    def tell_leafs(self) -> None:
        """What INFO says, with the ports that there are now."""
        options = self.config.leafnodes.listen
        if self.leafs is not None and options is not None:
            web = self.websocket.port if self.websocket else 0
            self.leafs.options = leaf_options(self.config, options, self.clients.info, self.leafs.port, web)

    # ---- WebSocket

    async def _start_websocket(self, options: WebSocket) -> None:
        """After MQTT, whose clients may come this way too."""
        from edge.net.websocket import WebSocketListener

        auth, ours = self.logins.listener(options), websocket_options(self.config, options)
        listener = WebSocketListener(self.clients, self.mqtt, auth, ours, self.encryption("websocket"))
        listener.leafs = self.leafs
        port = await listener.start(options.listen.host, options.listen.port)
        self.websocket = listener
        self.listeners.append(listener)
        scheme = "wss" if options.tls else "ws"
        self.tell_leafs()
        self.urls["websocket"] = [f"{scheme}://{options.listen.host}:{port}"]
        log.info("Listening for websocket clients on %s://%s:%d", scheme, options.listen.host, port)
        if not options.tls:
            log.warning("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!")


def raise_file_limit() -> None:
    """As far as it goes, as every Go program does: each client is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def serve(config: Config, flags: Flags) -> None:
    await Daemon(config, flags).run()


def run(config: Config, flags: Flags) -> int:
    """The exit status: 0 after a clean shutdown, 1 when the server could not start."""
    try:
        set_up_log(config.log)
    except OSError as exc:
        print(f"petiole-edge: cannot write the log {config.log.file}: {exc.strerror}", file=sys.stderr)
        return 1
    raise_file_limit()
    keep_freed_heap()
    try:
        uvloop.run(serve(config, flags))
    except PetioleError as exc:
        log.critical("%s", exc)
        return 1
    return 0
