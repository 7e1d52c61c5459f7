"""The configuration as typed, immutable values with their units in their names.

Named tuples and not dataclasses: a dozen of them cost two milliseconds of every start instead of twelve.
Defaults are nats-server's; what differs says why.
"""

from typing import NamedTuple

from edge.config.units import SECOND
from edge.core.account_spec import AccountSpec
from edge.core.auth import GLOBAL_ACCOUNT, User

SYSTEM_ACCOUNT = "$SYS"
CLIENT_PORT = 4222
LEAF_PORT = 7422
MQTT_PORT = 1883


class Listen(NamedTuple):
    """``host`` empty: by the rule of ``load.settle``.  ``port`` 0: the system chooses (-1 in the file)."""

    host: str
    port: int


class Authorization(NamedTuple):
    """Users of every account, each with the permissions that hold for it; a single user/password is one of them."""

    users: tuple[User, ...] = ()
    token: str = ""
    timeout_ns: int = 2 * SECOND
    no_auth_user: str = ""

    @property
    def anonymous(self) -> bool:
        """May a client come in without credentials?"""
        return bool(self.no_auth_user) or not (self.users or self.token)


class JetStream(NamedTuple):
    """``commit_window_ns`` is ours: how long messages that nobody waits for may gather before a commit.

    ``sync_*`` are kept for what monitoring shows: here an ack is on disk, whatever they say.
    """

    store_dir: str = ""
    domain: str = ""
    max_file_bytes: int | None = None
    max_memory_bytes: int | None = None
    sync_interval_ns: int = 120 * SECOND
    sync_always: bool = False
    commit_window_ns: int = 10_000_000


class LeafUrl(NamedTuple):
    host: str
    port: int
    user: str = ""
    password: str = ""


class LeafRemote(NamedTuple):
    """A hub to connect to; ``urls`` are tried in turn, in random order unless ``no_randomize``."""

    urls: tuple[LeafUrl, ...]
    account: str = GLOBAL_ACCOUNT
    deny_imports: tuple[str, ...] = ()
    deny_exports: tuple[str, ...] = ()
    no_randomize: bool = False
    ignore_discovered_servers: bool = False
    dial_timeout_ns: int = SECOND
    first_info_timeout_ns: int = SECOND


class LeafNodes(NamedTuple):
    remotes: tuple[LeafRemote, ...] = ()
    reconnect_ns: int = SECOND


class Mqtt(NamedTuple):
    """``authorization`` None: clients are checked against the server's own."""

    listen: Listen
    authorization: Authorization | None = None
    no_auth_user: str = ""
    ack_wait_ns: int = 30 * SECOND
    max_ack_pending: int = 1024


class Uplink(NamedTuple):
    """Store and forward of ``subjects`` to the hub's stream (ours; architecture, section 6).

    ``hub_domain`` empty: what the hub names when the leaf connects.  ``window``: messages in flight.
    """

    name: str
    subjects: tuple[str, ...]
    hub_stream: str
    hub_domain: str = ""
    max_bytes: int = 1 << 30
    max_age_ns: int | None = None
    discard: str = "old"  # or "new"
    window: int = 256
    lane: str = ""


class Config(NamedTuple):
    """``warnings`` are lines for the log: odd, harmless, and with their place."""

    path: str = ""
    listen: Listen = Listen("", CLIENT_PORT)
    server_name: str = ""
    http: Listen | None = None
    max_payload_bytes: int = 1 << 20
    max_control_line_bytes: int = 4096
    max_pending_bytes: int = 64 << 20
    max_connections: int | None = 65536
    max_subscriptions: int | None = None
    ping_interval_ns: int = 120 * SECOND
    ping_max: int = 2
    write_deadline_ns: int = 10 * SECOND
    debug: bool = False
    trace: bool = False
    logtime: bool = True
    log_file: str = ""
    pid_file: str = ""
    ports_file_dir: str = ""
    authorization: Authorization = Authorization()
    accounts: tuple[AccountSpec, ...] = ()
    system_account: str = SYSTEM_ACCOUNT
    jetstream: JetStream | None = None
    leafnodes: LeafNodes = LeafNodes()
    mqtt: Mqtt | None = None
    uplinks: tuple[Uplink, ...] = ()
    warnings: tuple[str, ...] = ()
