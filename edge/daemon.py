"""The composition root: every part of the server is built here, handed to the others, started and stopped."""

import asyncio
import logging
import os
import secrets
import signal
import sys
from base64 import b32encode
from pathlib import Path

import uvloop

from edge.config.options import Config
from edge.core.auth import Authenticator
from edge.core.router import Router
from edge.errors import PetioleError, StartError
from edge.net.info import ServerInfo
from edge.net.listener import ClientLimits, ClientListener
from edge.net.log import set_up_log
from edge.version import VERSION

log = logging.getLogger("edge")


class Daemon:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.server_id = "N" + b32encode(secrets.token_bytes(35)).decode()[:55]
        self.server_name = config.server_name or self.server_id
        self.stopping = asyncio.Event()
        self.router = Router()

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM.  StartError and StoreError before anything listens."""
        config = self.config
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stopping.set)
        log.info("Starting petiole-edge %s", VERSION)
        log.info("  Name: %s", self.server_name)
        log.info("  ID:   %s", self.server_id)
        for warning in config.warnings:
            log.warning("%s", warning)
        clients = ClientListener(self.router, self._authenticator(), self._limits(), self._info(), config.trace)
        port = await clients.start(config.listen.host, config.listen.port)
        log.info("Listening for client connections on %s:%d", config.listen.host, port)
        if config.pid_file:
            write_pid_file(config.pid_file)
        log.info("Server is ready")
        await self.stopping.wait()
        log.info("Initiating Shutdown...")
        await clients.stop()
        log.info("Server Exiting..")

    def _authenticator(self) -> Authenticator:
        access = self.config.authorization
        return Authenticator(access.users, access.token, access.no_auth_user)

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


async def serve(config: Config) -> None:
    await Daemon(config).run()


def run(config: Config) -> int:
    """The exit status: 0 after a clean shutdown, 1 when the server could not start."""
    try:
        set_up_log(config.log_file, config.debug, config.trace, config.logtime)
    except OSError as exc:
        print(f"petiole-edge: cannot write the log {config.log_file}: {exc.strerror}", file=sys.stderr)
        return 1
    try:
        uvloop.run(serve(config))
    except PetioleError as exc:
        log.critical("%s", exc)
        return 1
    return 0
