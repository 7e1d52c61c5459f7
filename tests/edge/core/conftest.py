"""Clients without sockets: what they would have written is kept in ``sent``."""

from collections.abc import Callable

import pytest

from edge.core.auth import Authenticator, ConfiguredUsers, Credentials, User
from edge.core.client import Client
from edge.core.router import Router
from edge.net.listener import ClientLimits

PLAIN = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'


class BenchShell:
    """What a connection is to its client."""

    kind = "STANDARD"
    ip = "127.0.0.1"
    started_ns = 1_700_000_000_000_000_000
    rtt_ns = 0

    def __init__(self, sent: bytearray) -> None:
        self.write = sent.extend
        self.time = 0

    def credentials(self) -> Credentials:
        return Credentials()

    def on_connect(self, client: Client) -> None: ...
    def on_login(self, client: Client) -> None: ...
    def on_pong(self) -> None: ...
    def is_loaded(self) -> bool:
        return False

    def on_verdict(self, client: Client) -> None: ...
    def now(self) -> int:
        return self.time


class Bench:
    """A router and clients on it."""

    def __init__(self) -> None:
        self.router = Router()
        self.sent: dict[Client, bytearray] = {}

    def client(self, connect: bytes = PLAIN, auth: Authenticator | None = None, **limits: int) -> Client:
        sent = bytearray()
        client = Client(
            self.router, auth or ConfiguredUsers(), ClientLimits(**limits), len(self.sent) + 1, "test",
            BenchShell(sent),
        )  # fmt: skip
        self.sent[client] = sent
        if connect:
            self.feed(client, connect)
        return client

    def feed(self, client: Client, data: bytes) -> bytes:
        """One read chunk and the end of its batch; what was written to this client since the last look."""
        try:
            client.receive(data)
        finally:
            self.router.flush()
        return self.take(client)

    def take(self, client: Client) -> bytes:
        sent = bytes(self.sent[client])
        self.sent[client].clear()
        return sent


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def make_bench() -> Callable[[], Bench]:
    return Bench


@pytest.fixture
def user() -> Callable[..., User]:
    return User
