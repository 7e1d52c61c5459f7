"""The configuration as typed, immutable values with their units in their names.

Named tuples and not dataclasses: a dozen of them cost two milliseconds of every start instead of twelve.
Defaults are nats-server's; what differs says why.
"""

from typing import NamedTuple

from edge.config.units import SECOND
from edge.core.account_spec import AccountSpec
from edge.core.auth import GLOBAL_ACCOUNT, User
from edge.core.auth_spec import AuthCallout, Operator
from edge.core.compression_spec import Compression
from edge.core.tls_spec import Tls

SYSTEM_ACCOUNT = "$SYS"
CLIENT_PORT = 4222
LEAF_PORT = 7422
MQTT_PORT = 1883


class Listen(NamedTuple):
    """``host`` empty: by the rule of ``load.settle``.  ``port`` 0: the system chooses (-1 in the file)."""

    host: str
    port: int


class Authorization(NamedTuple):
    """Users of every account, each with the permissions that hold for it; a single user/password is one of them.

    Passwords and token are plain or bcrypt hashes (they begin with ``$2``).
    """

    users: tuple[User, ...] = ()
    token: str = ""
    timeout_ns: int = 2 * SECOND
    no_auth_user: str = ""
    auth_callout: AuthCallout | None = None

    @property
    def anonymous(self) -> bool:
        """May a client come in without credentials?"""
        return bool(self.no_auth_user) or not (self.users or self.token or self.auth_callout)


class JetStream(NamedTuple):
    """``commit_window_ns`` is ours: how long messages that nobody waits for may gather before a commit.

    ``sync_*`` are kept for what monitoring shows: here an ack is on disk, whatever they say.
    """

    store_dir: str = ""
    domain: str = ""
    max_file_bytes: int | None = None
    max_memory_bytes: int | None = None
    max_ack_pending: int | None = None  # these three: of any one consumer or stream
    max_request_batch: int | None = None
    max_window_ns: int | None = None
    sync_interval_ns: int = 120 * SECOND
    sync_always: bool = False
    commit_window_ns: int = 10_000_000


class LeafUrl(NamedTuple):
    """``encrypted``: it says tls:// or wss://; ``websocket``: ws:// or wss://, at this ``path``."""

    host: str
    port: int
    user: str = ""
    password: str = ""
    encrypted: bool = False
    websocket: bool = False
    path: str = ""


class LeafProxy(NamedTuple):
    """An HTTP proxy; ``timeout_ns`` 0: that of dialling; ``encrypted``: the way to it, too."""

    host: str
    port: int
    user: str = ""
    password: str = ""
    timeout_ns: int = 0
    encrypted: bool = False


class LeafRemote(NamedTuple):
    """A hub to connect to; ``urls`` are tried in turn, in random order unless ``no_randomize``.

    ``credentials``: a file with JWT and seed; ``nkey``: a seed, or (ours) a file with one.  Files are read at each
    connection.  ``hub``: the other side is to be the leaf.  ``isolate``: it is not told what our other leafs want;
    ``request_isolation``: we are not to be told what its are.  ``name`` (ours): by which uplinks name it.
    """

    urls: tuple[LeafUrl, ...]
    account: str = GLOBAL_ACCOUNT
    deny_imports: tuple[str, ...] = ()
    deny_exports: tuple[str, ...] = ()
    no_randomize: bool = False
    ignore_discovered_servers: bool = False
    dial_timeout_ns: int = SECOND
    first_info_timeout_ns: int = SECOND
    tls: Tls | None = None
    credentials: str = ""
    nkey: str = ""
    hub: bool = False
    isolate: bool = False
    request_isolation: bool = False
    compression: Compression = Compression()
    ws_compression: bool = False
    ws_no_masking: bool = False
    proxy: LeafProxy | None = None
    name: str = ""


class LeafListen(NamedTuple):
    """Where leafs dial this edge.  ``users`` empty: the server's own; ``account`` is for those who need no user then.
    ``advertise`` empty: where it listens; ``min_version`` empty: any; ``isolate``: no leaf hears what the others want.
    ``write_deadline_ns`` 0: as for clients; ``ends_slow``: it closes the connection."""

    listen: Listen
    users: tuple[User, ...] = ()
    account: str = GLOBAL_ACCOUNT
    timeout_ns: int = 0
    tls: Tls | None = None
    advertise: str = ""
    no_advertise: bool = False
    min_version: str = ""
    compression: Compression = Compression()
    isolate: bool = False
    write_deadline_ns: int = 0
    ends_slow: bool = False


class LeafNodes(NamedTuple):
    """``listen`` None: nobody dials this edge."""

    remotes: tuple[LeafRemote, ...] = ()
    reconnect_ns: int = SECOND
    listen: LeafListen | None = None


class WebSocket(NamedTuple):
    """``authorization`` None: clients are checked against the server's own.  Cookies name the one that bears the JWT,
    the user, the password, the token.  ``headers`` go with the answer to the upgrade.  ``ping_interval_ns`` 0: the
    server's."""

    listen: Listen
    no_tls: bool = False
    tls: Tls | None = None
    same_origin: bool = False
    allowed_origins: tuple[str, ...] = ()
    handshake_timeout_ns: int = 2 * SECOND
    compression: bool = False
    jwt_cookie: str = ""
    user_cookie: str = ""
    pass_cookie: str = ""
    token_cookie: str = ""
    no_auth_user: str = ""
    authorization: Authorization | None = None
    headers: tuple[tuple[str, str], ...] = ()
    ping_interval_ns: int = 0
    advertise: str = ""


class Mqtt(NamedTuple):
    """``authorization`` None: clients are checked against the server's own."""

    listen: Listen
    authorization: Authorization | None = None
    no_auth_user: str = ""
    ack_wait_ns: int = 30 * SECOND
    max_ack_pending: int = 1024
    tls: Tls | None = None


class Log(NamedTuple):
    """Where log lines go and how they look.  ``size_limit`` 0: the file grows; ``max_num`` 0: every rotated file is
    kept.  ``remote_syslog``: ``udp://host:514`` and the like, empty: this machine's.  ``format`` is ours: "text" as
    nats-server writes it, or "json", one object a line."""

    file: str = ""
    size_limit: int = 0
    max_num: int = 0
    time: bool = True
    utc: bool = False
    debug: bool = False
    trace: bool = False
    trace_verbose: bool = False
    trace_headers: bool = False
    max_traced_msg_len: int = 0
    syslog: bool = False
    remote_syslog: str = ""
    format: str = "text"


class Uplink(NamedTuple):
    """Store and forward of ``subjects`` to the hub's stream (ours; architecture, section 6).

    ``hub_domain`` empty: what the hub names when the leaf connects.  ``window``: messages in flight.  ``gather_ns``:
    how long what is fresh waits for others that can go with it.  ``weight`` 0: its lane's.  ``order`` "live": what is
    fresh goes first, or "strict".  ``receipts``: the subject of loss receipts, empty: one made of the first of
    ``subjects``.  ``hours``: only then is anything sent, as minutes of the day of ``time_zone``; none: always.
    """

    name: str
    subjects: tuple[str, ...]
    hub_stream: str
    hub_domain: str = ""
    max_bytes: int = 1 << 30
    max_age_ns: int | None = None
    discard: str = "old"  # or "new", "thin"
    window: int = 1024
    lane: str = "normal"  # or "urgent", "bulk"
    gather_ns: int = 0
    weight: int = 0
    order: str = "live"
    receipts: str = ""
    remote: str = ""  # its name; none: the first
    compress: str = ""  # or "zlib", "zstd"
    on_hub_loss: str = "continue"  # or "stop", "resend"
    hours: tuple[tuple[int, int], ...] = ()
    time_zone: str = ""


class UplinkBudget(NamedTuple):
    """What all uplinks together may send: ``rate`` bytes a second, ``daily`` bytes a day of ``time_zone``; 0: any.

    ``reserve_percent`` of the day are for lanes of the name ``reserve_for`` only.
    """

    rate: int = 0
    daily: int = 0
    reserve_for: str = ""  # or "urgent"
    reserve_percent: int = 20
    time_zone: str = "local"


class Commands(NamedTuple):
    """``stream`` of the hub, whose commands for this edge are run here: ``parallel`` at once for each device, whose
    answer is waited for ``timeout_ns``.  ``keep`` that have ended are remembered; ``max_bytes`` may wait here."""

    hub_domain: str
    stream: str = "COMMANDS"
    parallel: int = 1
    timeout_ns: int = 60 * SECOND
    keep: int = 1000
    max_bytes: int = 64 << 20


class Bucket(NamedTuple):
    """Of state: the desired one is mirrored from ``hub_domain``, the reported one is made here."""

    bucket: str
    hub_domain: str = ""
    max_bytes: int = 16 << 20


class Files(NamedTuple):
    """Objects of the hub's ``bucket`` that are put into ``dir``; ``max_bytes`` of what is said of them."""

    hub_domain: str
    dir: str
    bucket: str = "FILES"
    max_bytes: int = 16 << 20


class Downlink(NamedTuple):
    """What comes from the hub to be kept here."""

    commands: Commands | None = None
    desired: Bucket | None = None
    reported: Bucket | None = None
    files: Files | None = None


class Config(NamedTuple):
    """``warnings`` are lines for the log: odd, harmless, and with their place.

    ``accounts`` holds the global account too where ``mappings`` stand outside of accounts.  ``digest``: SHA-256 of what
    the file says, as nats-server shows it; ``loaded_ns``: wall time of the reading.
    """

    path: str = ""
    digest: str = ""
    loaded_ns: int = 0
    listen: Listen = Listen("", CLIENT_PORT)
    client_advertise: str = ""
    server_name: str = ""
    server_tags: tuple[str, ...] = ()
    server_metadata: tuple[tuple[str, str], ...] = ()
    tls: Tls | None = None
    allow_non_tls: bool = False
    proxy_protocol: bool = False
    websocket: WebSocket | None = None
    http: Listen | None = None
    https: Listen | None = None
    http_base_path: str = ""
    max_payload_bytes: int = 1 << 20
    max_control_line_bytes: int = 4096
    max_pending_bytes: int = 64 << 20
    max_connections: int | None = 65536
    max_subscriptions: int | None = None
    max_subscription_tokens: int | None = None
    max_closed_clients: int = 10_000
    ping_interval_ns: int = 120 * SECOND
    ping_max: int = 2
    write_deadline_ns: int = 10 * SECOND
    no_header_support: bool = False
    no_fast_producer_stall: bool = False
    lame_duck_duration_ns: int = 120 * SECOND
    lame_duck_grace_period_ns: int = 10 * SECOND
    log: Log = Log()
    pid_file: str = ""
    ports_file_dir: str = ""
    authorization: Authorization = Authorization()
    accounts: tuple[AccountSpec, ...] = ()
    operator: Operator | None = None
    system_account: str = SYSTEM_ACCOUNT
    no_system_account: bool = False
    jetstream: JetStream | None = None
    leafnodes: LeafNodes = LeafNodes()
    mqtt: Mqtt | None = None
    uplinks: tuple[Uplink, ...] = ()
    uplink_budget: UplinkBudget | None = None
    downlink: Downlink | None = None
    warnings: tuple[str, ...] = ()
