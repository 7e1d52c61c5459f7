"""How one listener encrypts: a context made from its ``tls`` block, and what is known of a peer after the handshake.

Imported only where something is encrypted (``edge/lean.py``).
"""

import asyncio
import hashlib
import logging
import ssl
from functools import partial
from typing import Any, NamedTuple, NoReturn

from edge.core.certificate import PeerCertificate
from edge.core.tls_spec import CURVES, INSECURE_SUITES, SUITES, Tls
from edge.errors import StartError

log = logging.getLogger("edge")

TIMEOUT = 2.0  # seconds for a handshake, where the block says nothing
CLOSE_SECONDS = 2.0  # for a peer to answer the end of the session
GO_NAMES = {openssl: go for go, openssl in (SUITES | INSECURE_SUITES).items()}
NEWEST = frozenset(go for go, openssl in SUITES.items() if go == openssl)  # TLS 1.3
VERSIONS = {"TLSv1.2": "1.2", "TLSv1.3": "1.3"}

# A distinguished name as Go prints it: these attributes in this order, the others before them.
ATTRIBUTES = {
    "serialNumber": "SERIALNUMBER",
    "commonName": "CN",
    "postalCode": "POSTALCODE",
    "streetAddress": "STREET",
    "stateOrProvinceName": "ST",
    "localityName": "L",
    "organizationalUnitName": "OU",
    "organizationName": "O",
    "countryName": "C",
}
ESCAPED = frozenset(',+"\\<>;')


class Secured(NamedTuple):
    """An encrypted connection: version and suite in Go's words, and who the peer is where that was verified.

    ``first``: the handshake came before INFO.
    """

    version: str
    cipher_suite: str
    peer: PeerCertificate | None
    first: bool = False


class Encryption:
    """The TLS of one listener.  ``reload`` replaces the context: who is connected stays, who comes gets the new one."""

    def __init__(self, options: Tls) -> None:
        self.options = options
        self.context = server_context(options)
        self.not_after_ns = not_after(options)
        self.timeout = options.timeout_ns / 1e9 or TIMEOUT
        self.second_ends = self.handshakes = self.rejected = 0

    def reload(self, options: Tls) -> None:
        """StartError where a file is not what it should be; then everything stays as it was."""
        self.context = server_context(options)
        self.not_after_ns = not_after(options)
        self.options = options
        self.timeout = options.timeout_ns / 1e9 or TIMEOUT

    def allows(self, now: int) -> bool:
        """Is one more handshake within the limit?  ``now``: monotonic nanoseconds."""
        limit = self.options.connection_rate_limit
        if now >= self.second_ends:
            if self.rejected:
                log.warning("Rejected %d connections due to TLS rate limiting", self.rejected)
            self.second_ends = now + 1_000_000_000
            self.handshakes = self.rejected = 0
        self.handshakes += 1
        if not limit or self.handshakes <= limit:
            return True
        self.rejected += 1
        return False

    def secured(self, transport: asyncio.BaseTransport, first: bool = False) -> Secured | None:
        """None for a transport that is not encrypted."""
        session = transport.get_extra_info("ssl_object")
        return describe(session, first) if session is not None else None

    def accepts(self, secured: Secured) -> bool:
        """Is the peer's key one of the pinned ones, where there are any?"""
        pinned = self.options.pinned_certs
        return not pinned or (secured.peer is not None and secured.peer.public_key_sha256 in pinned)


# ---- a context


def server_context(options: Tls) -> ssl.SSLContext:
    """StartError that names the file where one cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if options.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    pairs = options.certificates or ((options.cert_file, options.key_file),)
    for pair in pairs[:1]:
        load_pair(context, *pair)
    if options.verify:
        _verify(context, options.ca_file)
    _choose_suites(context, options.cipher_suites)
    _choose_curves(context, options.curve_preferences)
    if len(pairs) > 1:
        _choose_by_name(context, options, pairs)
    return context


def client_context(options: Tls) -> ssl.SSLContext:
    """For a connection to another server: its certificate is verified, unless the options are ``insecure``, against
    ``ca_file`` or the system's authorities.  StartError that names the file where one cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if options.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif options.ca_file:
        _load_authorities(context, options.ca_file)
    else:
        context.load_default_certs()
    if options.cert_file:
        load_pair(context, options.cert_file, options.key_file)
    _choose_suites(context, options.cipher_suites)
    _choose_curves(context, options.curve_preferences)
    return context


def load_pair(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """A certificate chain and its key, PEM."""
    if not cert_file:
        raise StartError("tls: expected cert_file and key_file")
    try:
        context.load_cert_chain(cert_file, key_file, password=partial(_no_password, key_file))
    except ssl.SSLError as exc:
        reason = exc.reason or exc
        raise StartError(f"tls: {cert_file} and {key_file} are not a certificate and its key: {reason}") from exc
    except OSError as exc:
        raise StartError(f"tls: cannot read {_unreadable(cert_file, key_file)}: {exc.strerror}") from exc


def _unreadable(*paths: str) -> str:
    """The one that it was: OpenSSL does not say."""
    for path in paths:
        try:
            with open(path, "rb"):
                pass
        except OSError:
            return path
    return " or ".join(paths)


def _no_password(path: str) -> NoReturn:
    raise StartError(f"tls: {path} is encrypted: expected a key without a passphrase")


def _verify(context: ssl.SSLContext, ca_file: str) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    if not ca_file:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    _load_authorities(context, ca_file)


def _load_authorities(context: ssl.SSLContext, ca_file: str) -> None:
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError as exc:
        raise StartError(f"tls: {ca_file} holds no certificate: {exc.reason or exc}") from exc
    except OSError as exc:
        raise StartError(f"tls: cannot read {ca_file}: {exc.strerror}") from exc


def _choose_suites(context: ssl.SSLContext, names: tuple[str, ...]) -> None:
    """Those of TLS 1.2: OpenSSL has another list for 1.3, which Python cannot set."""
    older = [(SUITES | INSECURE_SUITES)[name] for name in names if name not in NEWEST]
    if len(older) < len(names):
        log.warning("tls: cipher_suites: those of TLS 1.3 cannot be chosen here; all of them are offered")
    if not older:
        return
    try:
        context.set_ciphers(":".join(older))
    except ssl.SSLError as exc:
        raise StartError(f"tls: cipher_suites: this OpenSSL has none of {', '.join(names)}") from exc


def _choose_curves(context: ssl.SSLContext, names: tuple[str, ...]) -> None:
    if not names:
        return
    if hasattr(context, "set_groups"):  # Python 3.15
        groups = ":".join(CURVES[name] for name in names)
        try:
            context.set_groups(groups)
        except ssl.SSLError as exc:
            raise StartError(f"tls: curve_preferences: this OpenSSL does not know all of {groups}") from exc
    elif len(names) > 1:
        log.warning("tls: curve_preferences: this Python can choose one curve, not several; OpenSSL's order holds")
    else:
        try:
            context.set_ecdh_curve(CURVES[names[0]])
        except (ValueError, ssl.SSLError) as exc:
            raise StartError(f"tls: curve_preferences: this OpenSSL does not know {names[0]}") from exc


def _choose_by_name(context: ssl.SSLContext, options: Tls, pairs: tuple[tuple[str, str], ...]) -> None:
    """Of several certificates the first that is made out to the name a client asks for; else the first of all."""
    by_name: dict[str, ssl.SSLContext] = {}
    for pair in reversed(pairs):
        single = server_context(options._replace(certificates=(pair,)))
        by_name.update(dict.fromkeys(_names_of(pair[0]), single))

    def choose(session: Any, name: str | None, _: ssl.SSLContext) -> None:
        found = by_name.get((name or "").lower()) or by_name.get("*." + (name or "").lower().partition(".")[2])
        if found is not None:
            session.context = found

    context.sni_callback = choose


def not_after(options: Tls) -> int:
    """When the (first) certificate expires, wall time in ns; it has been loaded before."""
    cert_file = options.certificates[0][0] if options.certificates else options.cert_file
    found: dict[str, Any] = ssl._ssl._test_decode_cert(cert_file)  # type: ignore[attr-defined]
    return int(ssl.cert_time_to_seconds(found["notAfter"])) * 1_000_000_000


def _names_of(cert_file: str) -> list[str]:
    """The DNS names that a certificate is made out to."""
    found: dict[str, Any] = ssl._ssl._test_decode_cert(cert_file)  # type: ignore[attr-defined]
    return [value.lower() for kind, value in found.get("subjectAltName", ()) if kind == "DNS"]


# ---- a peer


def describe(session: Any, first: bool = False) -> Secured:
    """``session``: the ``ssl.SSLObject`` of a connection whose handshake is done."""
    suite, version, _ = session.cipher()
    der = session.getpeercert(True)
    peer = peer_certificate(der, session.getpeercert()) if der else None
    return Secured(VERSIONS.get(version, version), GO_NAMES.get(suite, suite), peer, first)


def peer_certificate(der: bytes, fields: dict[str, Any]) -> PeerCertificate:
    """``fields``: what Python reads out of it."""
    rdns = fields.get("subject", ())
    names = fields.get("subjectAltName", ())

    def of_kind(wanted: str) -> tuple[str, ...]:
        return tuple(value for kind, value in names if kind == wanted)

    return PeerCertificate(
        subject=distinguished_name(rdns),
        rdns=rdns,
        emails=of_kind("email"),
        dns_names=of_kind("DNS"),
        uris=of_kind("URI"),
        sha256=hashlib.sha256(der).hexdigest(),
        public_key_sha256=hashlib.sha256(public_key(der)).hexdigest(),
        der=der,
    )


def distinguished_name(rdns: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """As Go prints the subject of a certificate."""
    values: dict[str, list[str]] = {}
    for attribute, value in (pair for rdn in rdns for pair in rdn):
        values.setdefault(attribute, []).append(_escape(value))
    known = [(short, values.pop(attribute)) for attribute, short in ATTRIBUTES.items() if attribute in values]
    parts = ["+".join(f"{short}={value}" for value in found) for short, found in known]
    others = [f"{attribute}={value}" for attribute, found in reversed(values.items()) for value in reversed(found)]
    return ",".join(parts + others)


def _escape(value: str) -> str:
    escaped = "".join(f"\\{char}" if char in ESCAPED else char for char in value)
    if value.startswith(("#", " ")):
        escaped = "\\" + escaped
    if len(value) > 1 and value.endswith(" "):
        escaped = escaped[:-1] + "\\ "
    return escaped


def public_key(der: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate: the seventh field of what is signed; the version may be left out."""
    _, signed, _ = _element(der, _element(der, 0)[1])
    at = signed
    fields = 6 if der[at] == 0xA0 else 5
    for _ in range(fields):
        at = _element(der, at)[2]
    return der[at : _element(der, at)[2]]


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, where the content begins, where it ends."""
    size = der[at + 1]
    begin = at + 2
    if size & 0x80:
        width = size & 0x7F
        size = int.from_bytes(der[begin : begin + width], "big")
        begin += width
    return der[at], begin, begin + size
