"""What an account is, as the configuration file or an account's JWT says it."""

from typing import NamedTuple

from edge.core.permissions import Permissions


class Latency(NamedTuple):
    """``sampling``: percent of the requests that are measured; 0: those whose headers ask for it."""

    subject: str
    sampling: int = 100


class Export(NamedTuple):
    """``accounts`` None: for everybody.  ``account_position`` counts from 1: that token of the subject is the
    importing account's name; 0: none."""

    subject: str
    service: bool
    accounts: frozenset[str] | None = None
    response: str = "Singleton"  # or "Stream", "Chunked"
    threshold_ns: int = 0  # 0: nats-server's two minutes
    latency: Latency | None = None
    account_position: int = 0
    allow_trace: bool = False


class Import(NamedTuple):
    """``subject`` is the exporter's, ``to`` the name it has here (a transform of ``subject`` for streams, and of
    ``to`` into ``subject`` for services)."""

    account: str
    subject: str
    service: bool
    to: str
    share: bool = False
    allow_trace: bool = False


class Destination(NamedTuple):
    subject: str
    weight: int = 100  # percent
    cluster: str = ""


class Mapping(NamedTuple):
    source: str
    destinations: tuple[Destination, ...]


class AccountLimits(NamedTuple):
    """None: unlimited."""

    max_connections: int | None = None
    max_subscriptions: int | None = None
    max_payload: int | None = None
    max_leafnodes: int | None = None


class JetStreamLimits(NamedTuple):
    """None: unlimited, and so are counts of 0.  ``tiers``: where a JWT has limits by the number of replicas, all of
    them by their names; those for one replica are what holds here."""

    max_memory_bytes: int | None = None
    max_file_bytes: int | None = None
    max_streams: int | None = None
    max_consumers: int | None = None
    max_ack_pending: int | None = None
    memory_max_stream_bytes: int | None = None
    file_max_stream_bytes: int | None = None
    max_bytes_required: bool = False
    tiers: "tuple[tuple[str, JetStreamLimits], ...]" = ()


class AccountSpec(NamedTuple):
    """``jetstream`` None: this account has none.  The global account has it whenever the server has."""

    name: str
    exports: tuple[Export, ...] = ()
    imports: tuple[Import, ...] = ()
    mappings: tuple[Mapping, ...] = ()
    limits: AccountLimits = AccountLimits()
    jetstream: JetStreamLimits | None = None
    default_permissions: Permissions | None = None
    issuer: str = ""  # operator mode: who signed it
    expires_ns: int | None = None
