"""The composition root: every part of the server is built here, handed to the others, started and stopped."""

import asyncio
import logging
import os
import signal
import sys
import time
from base64 import b32encode
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from edge.config.options import Config, Mqtt
from edge.core.auth import GLOBAL_ACCOUNT, Authenticator, ConfiguredUsers
from edge.core.router import Router
from edge.errors import PetioleError, StartError
from edge.flags import Flags
from edge.net.info import NATS_LEVEL, ServerInfo
from edge.net.listener import ClientLimits, ClientListener
from edge.net.log import set_up_log
from edge.net.ticker import Ticker
from edge.version import VERSION

if TYPE_CHECKING:  # loaded when there is a store
    from edge.core.exchange import Exchange
    from edge.core.leaf_link import LeafLink
    from edge.jetstream.account import Limits
    from edge.monitor.control import Buttons
    from edge.monitor.documents import ServerDocuments
    from edge.monitor.system import System
    from edge.net.leafs import LeafConnector
    from edge.net.mqtt import MqttListener
    from edge.net.trace import Tracer
    from edge.store.sqlite import SqliteStore

log = logging.getLogger("edge")


class Daemon:
    def __init__(self, config: Config, flags: Flags) -> None:
        self.config = config
        self.flags = flags  # they go over the file again when it is read again
        self.server_id = "N" + b32encode(os.urandom(35)).decode()[:55]
        self.server_name = config.server_name or self.server_id
        self.stopping = asyncio.Event()
        self.router = Router()
        self.loop = asyncio.get_running_loop()
        self.store: SqliteStore | None = None
        self.mqtt_port = 0
        self.system: System | None = None
        self.exchange: Exchange | None = None

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM.  StartError and StoreError before anything listens."""
        config = self.config
        for number in (signal.SIGINT, signal.SIGTERM):
            self.loop.add_signal_handler(number, self.stopping.set)
        log.info("Starting petiole-edge %s", VERSION)
        log.info("  Name: %s", self.server_name)
        log.info("  ID:   %s", self.server_id)
        for warning in config.warnings:
            log.warning("%s", warning)
        self._share(config)
        self._recover()
        leafs = self._leafs()
        clients = ClientListener(self.router, self._authenticator(), self._limits(), self._info())
        clients.tracer = self._tracer()
        self._start_system(clients)
        port = await clients.start(config.listen.host, config.listen.port)
        mqtt = await self._start_mqtt(config.mqtt) if config.mqtt else None
        log.info("Listening for client connections on %s:%d", config.listen.host, port)
        clients.info = clients.info._replace(port=port)
        ports_file = self._write_ports_file(port)
        if config.http is not None:
            log.warning("monitoring over HTTP is not served by this version")
        if config.pid_file:
            write_pid_file(config.pid_file)
        tasks = [asyncio.create_task(leaf.run()) for leaf in leafs]
        log.info("Server is ready")
        await self._serve(tasks)
        if ports_file is not None:
            ports_file.unlink(missing_ok=True)
        if self.system is not None:
            self.system.events.shutdown()
            self.router.flush()
        if mqtt is not None:
            await mqtt.stop()
        await clients.stop()
        self._close_store()
        log.info("Server Exiting..")

    async def _serve(self, tasks: list[asyncio.Task[None]]) -> None:
        """Until it is told to stop.  A task that ends before has met a bug: it takes the server with it."""
        stopping = asyncio.create_task(self._wait_for_stop())
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        log.info("Initiating Shutdown...")
        for task in [stopping, *tasks]:
            task.cancel()
        await asyncio.gather(stopping, *tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _wait_for_stop(self) -> None:
        await self.stopping.wait()

    def _write_ports_file(self, port: int) -> Path | None:
        """For those who start a server on a port of the system's choice and want to know which."""
        if not self.config.ports_file_dir:
            return None
        import json

        urls = {"nats": [f"nats://{self.config.listen.host}:{port}"]}
        if self.config.mqtt is not None:
            urls["mqtt"] = [f"mqtt://{self.config.mqtt.listen.host}:{self.mqtt_port}"]
        file = Path(self.config.ports_file_dir, f"petiole-edge_{os.getpid()}.ports")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(urls))
        except OSError as exc:
            raise StartError(f"cannot write to ports_file_dir {file.parent}: {exc.strerror}") from exc
        return file

    # ---- accounts

    def _share(self, config: Config) -> None:
        """Accounts give each other what the configuration says."""
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

    def _leafs(self) -> "list[LeafConnector]":
        """A connector for each remote; the uplinks go over the first."""
        config = self.config
        remotes = config.leafnodes.remotes
        if not remotes:
            if config.uplinks:
                raise StartError("uplink needs a hub: add leafnodes { remotes [ { url: ... } ] }")
            return []
        from edge.core.leaf_link import LeafIdentity
        from edge.net.leafs import make_connector

        domain = config.jetstream.domain if config.jetstream else ""
        identity = LeafIdentity(
            self.server_id, self.server_name, NATS_LEVEL, domain, config.jetstream is not None, config.max_payload_bytes
        )
        carried = [subject for uplink in config.uplinks for subject in uplink.subjects]
        leafs = [
            make_connector(remote, identity, () if i else carried, config.leafnodes.reconnect_ns, self.router)
            for i, remote in enumerate(remotes)
        ]
        self._start_uplinks(leafs[0].link)
        return leafs

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

        return Buttons(clients, self._reload)

    def _reload(self) -> None:
        raise StartError("this version takes a new configuration at its start only")

    # ---- MQTT

    async def _start_mqtt(self, options: Mqtt) -> "MqttListener":
        """Its sessions and retained messages are in the store, or end with the process where there is none."""
        from edge.core.mqtt_broker import MqttLimits
        from edge.net.mqtt import MqttListener, ends_of_streams
        from edge.store.memory import MemoryStore

        access = options.authorization or self.config.authorization
        anonymous = [user for user in self.config.authorization.users if user.name == options.no_auth_user]
        auth = ConfiguredUsers(
            (*access.users, *anonymous), access.token, options.no_auth_user or access.no_auth_user
        )  # fmt: skip
        limits = MqttLimits(
            max_payload=self.config.max_payload_bytes,
            max_connections=self.config.max_connections or sys.maxsize,
            max_unacked=options.max_ack_pending,
            connect_timeout_ns=access.timeout_ns,
            write_deadline_ns=self.config.write_deadline_ns,
        )
        if self.store is not None:
            listener = MqttListener(self.router, auth, limits, self.store, self.values, ends_of_streams(self.jetstream))
        else:
            log.warning("mqtt without jetstream: sessions and retained messages are kept in memory only")
            listener = MqttListener(self.router, auth, limits, MemoryStore(self._soon), {}, tuple)
        self.mqtt_port = await listener.start(options.listen.host, options.listen.port)
        log.info("Listening for MQTT clients on mqtt://%s:%d", options.listen.host, self.mqtt_port)
        return listener

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
        for name, limits in self._jetstream_accounts():
            self.jetstream.add_account(self.router.account(name), limits)
        found = self.store.load()
        self.values = found.values
        log.info("Starting JetStream")
        log.info("  Store Directory: \"%s\" (%s)", options.store_dir, found.engine)
        for line in found.damage:
            log.error("  %s", line)
        self.jetstream.recover(found)
        self.jetstream.start()
        self.ticker.start(self.jetstream)

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

    def _tracer(self) -> "Tracer | None":
        if not self.config.log.trace:
            return None
        from edge.net.trace import Tracer

        return Tracer(self.config.log.max_traced_msg_len, self.config.log.trace_headers)

    def _authenticator(self) -> Authenticator:
        access = self.config.authorization
        return ConfiguredUsers(access.users, access.token, access.no_auth_user)

    def _limits(self) -> ClientLimits:
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

    def _info(self) -> ServerInfo:
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
        )


def write_pid_file(path: str) -> None:
    try:
        Path(path).write_text(f"{os.getpid()}\n")
    except OSError as exc:
        raise StartError(f"cannot write pid_file {path}: {exc.strerror}") from exc


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
