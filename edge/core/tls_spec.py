"""How one listener encrypts, as its ``tls`` block says it."""

from typing import NamedTuple


class Tls(NamedTuple):
    """Files are PEM.  Names of suites and curves are nats-server's (Go's); empty: the library's choice.

    ``certificates`` are (certificate, key) pairs in the place of ``cert_file`` and ``key_file``: the one that fits the
    name that a client asks for.  ``timeout_ns`` 0: nats-server's default for that listener.  ``min_version``: "1.2",
    "1.3" or empty.  ``handshake_first`` with a ``handshake_first_fallback_ns``: INFO goes out in plain when the client
    has not begun by then.  ``pinned_certs``: lower-case hex SHA-256 of the peer's public key (DER).
    ``connection_rate_limit``: handshakes a second; 0: any number.
    """

    cert_file: str = ""
    key_file: str = ""
    certificates: tuple[tuple[str, str], ...] = ()
    ca_file: str = ""
    verify: bool = False
    verify_and_map: bool = False
    insecure: bool = False
    timeout_ns: int = 0
    cipher_suites: tuple[str, ...] = ()
    curve_preferences: tuple[str, ...] = ()
    min_version: str = ""
    handshake_first: bool = False
    handshake_first_fallback_ns: int | None = None
    pinned_certs: frozenset[str] = frozenset()
    connection_rate_limit: int = 0
