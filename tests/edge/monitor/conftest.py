"""The system account of a server without sockets: clients whose output is kept, documents that repeat their options."""

import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from edge.core.account_spec import AccountSpec
from edge.core.auth import Credentials, Login, Refusal
from edge.core.client import Client
from edge.core.permissions import Permissions
from edge.core.router import Router
from edge.core.times import SECOND, Clock
from edge.errors import ConfigError
from edge.monitor.ledger import Ledger
from edge.monitor.requests import DocumentError
from edge.monitor.stamp import Identity
from edge.monitor.state import Settings, State
from edge.monitor.system import System
from edge.net.listener import ClientLimits

WALL = 1_700_000_000 * SECOND
VARZ = {
    **dict.fromkeys(("mem", "cores", "cpu", "connections", "total_connections", "subscriptions", "gomaxprocs"), 1),
    **{f"{way}{kind}_{what}": 2 for way in ("in", "out") for kind in ("", "_client") for what in ("msgs", "bytes")},
    "start": "2023-11-14T22:13:20Z",
    "slow_consumers": 0,
    "stale_connections": 0,
    "slow_consumer_stats": {"clients": 0},
    "jetstream": {},
}
MESSAGE = re.compile(rb"(?:HMSG (?P<h>\S+) \S+ (?:\S+ )?(?P<cut>\d+)|MSG (?P<m>\S+) \S+(?: \S+)?) (?P<size>\d+)\r\n")


class Transport:
    pending = 0

    def get_write_buffer_size(self) -> int:
        return self.pending


class Shell:
    kind = "STANDARD"
    ip = "127.0.0.1"
    port = 40_000
    started_ns = WALL
    last_seen = 1
    rtt_ns = 250_000
    stalls = 0
    secured: Any = None

    def __init__(self, sent: bytearray) -> None:
        self.write = sent.extend
        self.transport = Transport()

    def credentials(self) -> Credentials:
        return Credentials()

    def on_connect(self, client: Client) -> None: ...
    def on_login(self, client: Client) -> None: ...
    def on_pong(self) -> None: ...
    def is_loaded(self) -> bool:
        return False

    def on_verdict(self, client: Client) -> None: ...
    def now(self) -> int:
        return 0


class Auth:
    """A user's name is its account's; ``bad`` is refused."""

    account = "$G"
    required = True
    challenges = False

    def __init__(self) -> None:
        self.permissions: Permissions | None = None

    def login(self, credentials: Credentials, answer: Callable[[Login | Refusal], None]) -> None:
        name = credentials.user
        answer(Refusal() if name == "bad" else Login(name, name, self.permissions))


class Documents:
    def server(self, name: str) -> Any:
        if name == "VARZ":
            return lambda options: VARZ
        return lambda options: self._make(name, options)

    def account(self, name: str) -> Any:
        return lambda options: self._make(name, options)

    def _make(self, name: str, options: Any) -> Any:
        if options.get("account") == "nope":
            raise DocumentError("Account nope does not exist")
        return {"name": name, "options": options}


class Control:
    def __init__(self) -> None:
        self.kicked: list[int] = []
        self.reloads = 0
        self.wrong = ""

    def kick(self, cid: int) -> bool:
        self.kicked.append(cid)
        return cid == 1

    def lame_duck(self, cid: int) -> str:
        return "" if cid == 1 else "no such client id"

    def reload(self) -> None:
        if self.wrong:
            raise ConfigError("x.conf", 1, 1, self.wrong)
        self.reloads += 1


class SystemBench:
    """``time`` is monotonic; wall time goes with it."""

    def __init__(self) -> None:
        self.time = 0
        self.router = Router()
        self.auth = Auth()
        self.control = Control()
        self.clock = Clock(lambda: WALL + self.time, lambda: self.time, lambda: None)
        self.identity = Identity("leaf one", "127.0.0.1", "NID", "2.12.0", tags=("site:a", "pi"), domain="edge")
        self.ledger = Ledger(self.router, 3, self.clock.wall, self.clock.monotonic)
        self.router.watchers.append(self.ledger)
        self.system = System(
            self.router.account("SYS"), self.router, self.identity, self.clock, Documents, lambda: self.control, "$G"
        )
        self.system.start()
        self.sent: dict[Client, bytearray] = {}
        self.listener = SimpleNamespace(connections={}, total=0, stalls=0, server=object())
        self.jetstream: Any = None
        self.specs: dict[str, AccountSpec] = {}
        settings = Settings({"config_load_time": "then", "config_digest": ""}, {"max_memory": -1}, "SYS")
        self.state = State(
            self.system.stamp, self.router, self.listener, self.ledger, lambda: settings, lambda: None,  # type: ignore[arg-type]
            lambda: self.jetstream, lambda: self.specs, lambda: None,
        )  # fmt: skip

    def client(self, user: str, **options: Any) -> Client:
        sent = bytearray()
        client = Client(self.router, self.auth, ClientLimits(), len(self.sent) + 1, "test", Shell(sent))
        self.sent[client] = sent
        self.listener.connections[client.cid] = SimpleNamespace(client=client)
        connect = {"user": user, "verbose": False, "pedantic": False, "headers": True, "no_responders": True, **options}
        try:
            client.receive(f"CONNECT {json.dumps(connect)}\r\n".encode())
        finally:
            self.router.flush()
        return client

    def say(self, client: Client, data: str) -> None:
        client.receive(data.encode())
        self.router.flush()

    def close(self, client: Client, reason: str = "Client Closed") -> None:
        client.close(reason)
        self.listener.connections.pop(client.cid, None)
        self.router.flush()

    def hear(self, client: Client) -> list[tuple[str, bytes]]:
        """Subject and payload of each message since the last look."""
        data = bytes(self.sent[client])
        self.sent[client].clear()
        found = []
        while match := MESSAGE.search(data):
            size, cut = int(match["size"]), int(match["cut"] or 0)
            found.append(((match["h"] or match["m"]).decode(), data[match.end() + cut : match.end() + size]))
            data = data[match.end() + size :]
        return found

    def ask(self, client: Client, subject: str, body: str = "") -> Any:
        """The answer's JSON; None when there is none, "503" when nobody was there to answer."""
        self.say(client, f"SUB answer a\r\nPUB {subject} answer {len(body)}\r\n{body}\r\nUNSUB a\r\n")
        raw = bytes(self.sent[client])
        answers = self.hear(client)
        if not answers:
            return None
        return "503" if b" 503" in raw else json.loads(answers[0][1])


@pytest.fixture
def bench() -> SystemBench:
    return SystemBench()
