"""The composition root: every part of the server is built here, handed to the others, started and stopped."""

import asyncio
import logging
import os
import sys
import time
from base64 import b32encode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import uvloop

from edge.config.options import Config, LeafRemote, Listen, Mqtt, WebSocket
from edge.core.auth import GLOBAL_ACCOUNT, Authenticator, ConfiguredUsers
from edge.core.router import Router
from edge.core.tls_spec import Tls
from edge.errors import PetioleError, StartError
from edge.flags import Flags
from edge.lifecycle import Lifecycle, Listener, lame_duck
from edge.net.info import NATS_LEVEL, ServerInfo
from edge.net.listener import ClientLimits, ClientListener
from edge.net.log import reopen_log_file, set_up_log
from edge.net.ticker import Ticker
from edge.run_files import ports_file, write_pid_file, write_ports_file
from edge.version import VERSION

if TYPE_CHECKING:  # loaded when there is a store
    from edge.core.exchange import Exchange
    from edge.core.leaf_link import LeafLink
    from edge.core.mqtt_broker import MqttLimits
    from edge.jetstream.account import Limits
    from edge.monitor.control import Buttons
    from edge.monitor.documents import ServerDocuments
    from edge.monitor.system import System
    from edge.net.entrance import Entrance
    from edge.net.leafs import LeafConnector
    from edge.net.mqtt import MqttListener
    from edge.net.tls import Encryption
    from edge.net.trace import Tracer
    from edge.net.websocket import WebSocketListener
    from edge.store.sqlite import SqliteStore

log = logging.getLogger("edge")


class Leaf:
    """A remote, and what keeps it connected."""

    def __init__(self, remote: LeafRemote, connector: "LeafConnector") -> None:
        self.remote = remote
        self.connector = connector
        self.task: asyncio.Task[None] | None = None


class Daemon:
    def __init__(self, config: Config, flags: Flags) -> None:
        self.config = config
        self.flags = flags  # they go over the file again when it is read again
        self.server_id = "N" + b32encode(os.urandom(35)).decode()[:55]
        self.server_name = config.server_name or self.server_id
        self.router = Router()
        self.loop = asyncio.get_running_loop()
        self.lifecycle = Lifecycle(self)
        self.encryptions: dict[str, Encryption] = {}  # by the block of the configuration
        self.listeners: list[Listener] = []  # in the order of their start
        self.urls: dict[str, list[str]] = {}  # where they listen, for the ports file
        self.leafs: list[Leaf] = []
        self.mqtt: MqttListener | None = None
        self.websocket: WebSocketListener | None = None
        self.store: SqliteStore | None = None
        self.system: System | None = None
        self.exchange: Exchange | None = None

    async def run(self) -> None:
        """Serve until it is told to stop.  StartError and StoreError before anything listens."""
        self.lifecycle.hear_signals()
        self._say_hello()
        self.share()
        self._recover()
        self._make_leafs()
        self.clients = ClientListener(self.router, self.authenticator(), self.limits(), self.info())
        self.clients.tracer = self.tracer()
        self._start_system(self.clients)
        await self._listen()
        self.write_run_files()
        for leaf in self.leafs:
            leaf.task = self.lifecycle.start(leaf.connector.run())
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
        if config.mqtt:
            await self._start_mqtt(config.mqtt)
        if config.websocket:
            await self._start_websocket(config.websocket)
        if config.http is not None:
            log.warning("monitoring over HTTP is not served by this version")
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

    def tls_blocks(self) -> dict[str, Tls]:
        config = self.config
        blocks = {
            "client": config.tls,
            "mqtt": config.mqtt.tls if config.mqtt else None,
            "websocket": config.websocket.tls if config.websocket else None,
        }
        return {name: options for name, options in blocks.items() if options is not None}

    def encryption(self, block: str) -> "Encryption | None":
        """The same for whoever asks for the same block; None where it encrypts nothing."""
        options = self.tls_blocks().get(block)
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
            ports_file(self.config.ports_file_dir).unlink(missing_ok=True)
        if self.system is not None:
            self.system.events.shutdown()
            self.router.flush()
        for listener in self.listeners:
            await listener.stop()
        self._close_store()

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

    # ---- accounts

    def share(self) -> None:
        """Accounts give each other what the configuration says."""
        config = self.config
        if not config.accounts and self.exchange is None:
            return
        if self.exchange is None:
            from edge.core.exchange import Exchange
            from edge.core.times import Clock

            ticker = Ticker(self.loop, self.router)
            self.exchange = Exchange(
                self.router, self.server_name, Clock(time.time_ns, time.monotonic_ns, ticker.wake)
            )
            ticker.start(self.exchange)
        self.exchange.apply(config.accounts)

    # ---- leafs and uplinks

    def _make_leafs(self) -> None:
        """A connector for each remote; the uplinks go over the first."""
        config = self.config
        carried = [subject for uplink in config.uplinks for subject in uplink.subjects]
        for remote in config.leafnodes.remotes:
            self.leafs.append(Leaf(remote, self._connector(remote, () if self.leafs else carried)))
        if self.leafs:
            self._start_uplinks(self.leafs[0].connector.link)
        elif config.uplinks:
            raise StartError("uplink needs a hub: add leafnodes { remotes [ { url: ... } ] }")

    def start_leaf(self, remote: LeafRemote) -> None:
        leaf = Leaf(remote, self._connector(remote))
        leaf.task = self.lifecycle.start(leaf.connector.run())
        self.leafs.append(leaf)

    def stop_leaf(self, remote: LeafRemote) -> None:
        for leaf in [leaf for leaf in self.leafs if leaf.remote == remote]:
            self.leafs.remove(leaf)
            if leaf.task is not None:
                leaf.task.cancel()
            leaf.connector.link.account.links.discard(leaf.connector.link)

    def _connector(self, remote: LeafRemote, carried: Sequence[str] = ()) -> "LeafConnector":
        from edge.core.leaf_link import LeafIdentity
        from edge.net.leafs import make_connector

        config = self.config
        domain = config.jetstream.domain if config.jetstream else ""
        identity = LeafIdentity(
            self.server_id, self.server_name, NATS_LEVEL, domain, config.jetstream is not None, config.max_payload_bytes
        )
        return make_connector(remote, identity, carried, config.leafnodes.reconnect_ns, self.router)

    def _start_uplinks(self, link: "LeafLink") -> None:
        from edge.core.times import Clock
        from edge.jetstream.account import random_name
        from edge.uplink.status import Status
        from edge.uplink.uplinks import Uplinks

        ticker = Ticker(self.loop, self.router)
        clock = Clock(time.time_ns, time.monotonic_ns, ticker.wake)
        uplinks = None
        if self.config.uplinks:
            jetstream = self.jetstream.accounts.get(link.account.name)
            if jetstream is None:
                raise StartError(f"uplink needs JetStream in account {link.account.name}, that of the first remote")
            uplinks = Uplinks(
                self.config.uplinks, self.server_name, link.account, jetstream, link, self.values, clock,
                lambda: random_name(22),
            )  # fmt: skip
            ticker.start(uplinks)
        Status(self.server_name, link.account, link, uplinks, clock)

    # ---- the system account

    def _start_system(self, clients: ClientListener) -> None:
        """Events and requests: they are about the clients, so they are there first."""
        config = self.config
        if config.no_system_account:
            return
        from edge.core.times import Clock
        from edge.monitor.stamp import Identity
        from edge.monitor.system import System

        info = clients.info
        identity = Identity(
            info.server_name, info.host, info.server_id, NATS_LEVEL,
            cluster=info.server_name if config.leafnodes.remotes else "", domain=info.domain,
            tags=config.server_tags, metadata=dict(config.server_metadata), jetstream=info.jetstream,
        )  # fmt: skip
        ticker = Ticker(self.loop, self.router)
        clock = Clock(time.time_ns, time.monotonic_ns, ticker.wake)
        clients.system_account = config.system_account
        self.system = System(
            self.router.account(config.system_account), self.router, identity, clock,
            lambda: self._documents(clients), lambda: self._buttons(clients), GLOBAL_ACCOUNT,
        )  # fmt: skip
        for spec in config.accounts:
            self.router.account(spec.name)  # they are there before anybody comes
        self.system.start()
        ticker.start(self.system)

    def _documents(self, clients: ClientListener) -> "ServerDocuments":
        from edge.monitor.documents import ServerDocuments

        assert self.system is not None
        return ServerDocuments(self.router, clients, self.system.stamp)

    def _buttons(self, clients: ClientListener) -> "Buttons":
        from edge.monitor.control import Buttons

        return Buttons(clients, self.reload)

    # ---- MQTT

    async def _start_mqtt(self, options: Mqtt) -> None:
        """Its sessions and retained messages are in the store, or end with the process where there is none."""
        from edge.net.mqtt import MqttListener, ends_of_streams
        from edge.store.memory import MemoryStore

        auth, limits = self.mqtt_authenticator(options), self.mqtt_limits(options)
        if self.store is not None:
            listener = MqttListener(self.router, auth, limits, self.store, self.values, ends_of_streams(self.jetstream))
        else:
            log.warning("mqtt without jetstream: sessions and retained messages are kept in memory only")
            listener = MqttListener(self.router, auth, limits, MemoryStore(self._soon), {}, tuple)
        listener.encryption = self.encryption("mqtt")
        listener.allow_plain = self.config.allow_non_tls
        port = await listener.start(options.listen.host, options.listen.port)
        self.mqtt = listener
        self.listeners.append(listener)
        scheme = "tls" if options.tls else "mqtt"
        self.urls["mqtt"] = [f"{scheme}://{options.listen.host}:{port}"]
        log.info("Listening for MQTT clients on %s://%s:%d", scheme, options.listen.host, port)

    def mqtt_authenticator(self, options: Mqtt) -> Authenticator:
        access = options.authorization or self.config.authorization
        anonymous = [user for user in self.config.authorization.users if user.name == options.no_auth_user]
        return ConfiguredUsers((*access.users, *anonymous), access.token, options.no_auth_user or access.no_auth_user)

    def mqtt_limits(self, options: Mqtt) -> "MqttLimits":
        from edge.core.mqtt_broker import MqttLimits

        access = options.authorization or self.config.authorization
        return MqttLimits(
            max_payload=self.config.max_payload_bytes,
            max_connections=self.config.max_connections or sys.maxsize,
            max_unacked=options.max_ack_pending,
            connect_timeout_ns=access.timeout_ns,
            write_deadline_ns=self.config.write_deadline_ns,
        )

    # ---- WebSocket

    async def _start_websocket(self, options: WebSocket) -> None:
        """After MQTT, whose clients may come this way too."""
        from edge.net.websocket import WebSocketListener, WebSocketOptions
        from edge.protocol.websocket import Terms

        terms = Terms(
            options.compression, self.mqtt is not None, options.tls is not None, options.same_origin,
            options.allowed_origins, options.jwt_cookie, options.user_cookie, options.pass_cookie,
            options.token_cookie, options.headers,
        )  # fmt: skip
        access = options.authorization or self.config.authorization
        ours = WebSocketOptions(
            terms, bool(access.users or access.token or not access.anonymous),
            options.handshake_timeout_ns / 1e9, options.ping_interval_ns,
        )  # fmt: skip
        auth = self.websocket_authenticator(options)
        listener = WebSocketListener(self.clients, self.mqtt, auth, ours, self.encryption("websocket"))
        port = await listener.start(options.listen.host, options.listen.port)
        self.websocket = listener
        self.listeners.append(listener)
        scheme = "wss" if options.tls else "ws"
        self.urls["websocket"] = [f"{scheme}://{options.listen.host}:{port}"]
        log.info("Listening for websocket clients on %s://%s:%d", scheme, options.listen.host, port)
        if not options.tls:
            log.warning("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!")

    def websocket_authenticator(self, options: WebSocket) -> Authenticator:
        access = options.authorization or self.config.authorization
        anonymous = [user for user in self.config.authorization.users if user.name == options.no_auth_user]
        return ConfiguredUsers((*access.users, *anonymous), access.token, options.no_auth_user or access.no_auth_user)

    # ---- what is on disk

    def _recover(self) -> None:
        """Open the store and bring back what it holds.  StoreError when there can be none."""
        options = self.config.jetstream
        if options is None:
            return
        from edge.core.times import Clock
        from edge.jetstream.account import Limits, Stores
        from edge.jetstream.jetstream import JetStream
        from edge.store.memory import MemoryStore
        from edge.store.sqlite import SqliteStore

        self.store = SqliteStore(options.store_dir, self._from_writer, options.commit_window_ns)
        memory = MemoryStore(self._soon)
        self.ticker = Ticker(self.loop, self.router)
        clock = Clock(time.time_ns, time.monotonic_ns, self.ticker.wake)
        server = Limits(options.max_file_bytes, options.max_memory_bytes)
        self.jetstream = JetStream(Stores(self.store, memory), clock, options.domain, self.server_name, server)
        self.add_jetstream_accounts()
        found = self.store.load()
        self.values = found.values
        log.info("Starting JetStream")
        log.info("  Store Directory: \"%s\" (%s)", options.store_dir, found.engine)
        for line in found.damage:
            log.error("  %s", line)
        self.jetstream.recover(found)
        self.jetstream.start()
        self.ticker.start(self.jetstream)

    def add_jetstream_accounts(self) -> None:
        """Those that there are not yet; the others get the limits that they have now."""
        for name, limits in self._jetstream_accounts():
            known = self.jetstream.accounts.get(name)
            if known is None:
                self.jetstream.add_account(self.router.account(name), limits)
            else:
                known.limits = limits

    def limit_jetstream(self) -> None:
        from edge.jetstream.account import Limits

        assert self.config.jetstream is not None
        self.jetstream.limits = Limits(self.config.jetstream.max_file_bytes, self.config.jetstream.max_memory_bytes)

    def _jetstream_accounts(self) -> "list[tuple[str, Limits]]":
        """The global account has it whenever the server has, the others with what their block says."""
        from edge.jetstream.account import Limits

        accounts = [(GLOBAL_ACCOUNT, Limits())]
        for account in self.config.accounts:
            if account.jetstream is not None:
                accounts.append((account.name, Limits(**account.jetstream._asdict())))
        return accounts

    def _close_store(self) -> None:
        if self.store is not None:
            self.ticker.stop()
            self.store.close()

    def _from_writer(self, call: Callable[[], None]) -> None:
        """The writer's thread says that a commit has returned."""
        self.loop.call_soon_threadsafe(self._batch, call)

    def _soon(self, call: Callable[[], None]) -> None:
        self.loop.call_soon(self._batch, call)

    def _batch(self, call: Callable[[], None]) -> None:
        call()
        self.router.flush()

    # ---- parts

    def tracer(self) -> "Tracer | None":
        if not self.config.log.trace:
            return None
        from edge.net.trace import Tracer

        return Tracer(self.config.log.max_traced_msg_len, self.config.log.trace_headers)

    def authenticator(self) -> Authenticator:
        access = self.config.authorization
        return ConfiguredUsers(access.users, access.token, access.no_auth_user)

    def limits(self) -> ClientLimits:
        config = self.config
        return ClientLimits(
            max_payload=config.max_payload_bytes,
            max_control_line=config.max_control_line_bytes,
            max_pending=config.max_pending_bytes,
            max_connections=config.max_connections or sys.maxsize,
            max_subscriptions=config.max_subscriptions or 0,
            ping_interval_ns=config.ping_interval_ns,
            ping_max=config.ping_max,
            write_deadline_ns=config.write_deadline_ns,
            auth_timeout=config.authorization.timeout_ns / 1e9,
        )

    def info(self) -> ServerInfo:
        config = self.config
        return ServerInfo(
            server_id=self.server_id,
            server_name=self.server_name,
            host=config.listen.host,
            port=config.listen.port,
            max_payload=config.max_payload_bytes,
            auth_required=not config.authorization.anonymous,
            jetstream=config.jetstream is not None,
            domain=config.jetstream.domain if config.jetstream else "",
            tls_required=config.tls is not None and not config.allow_non_tls,
            tls_verify=config.tls is not None and config.tls.verify,
            tls_available=config.tls is not None and config.allow_non_tls,
        )


async def serve(config: Config, flags: Flags) -> None:
    await Daemon(config, flags).run()


def run(config: Config, flags: Flags) -> int:
    """The exit status: 0 after a clean shutdown, 1 when the server could not start."""
    try:
        set_up_log(config.log)
    except OSError as exc:
        print(f"petiole-edge: cannot write the log {config.log.file}: {exc.strerror}", file=sys.stderr)
        return 1
    try:
        uvloop.run(serve(config, flags))
    except PetioleError as exc:
        log.critical("%s", exc)
        return 1
    return 0
