"""A ``tls`` block, the same for every listener.  Files are looked at here: a mistake in them has a place too."""

import string
from functools import partial
from typing import NoReturn

from edge.config.fields import Fields, fail, fields, text, wrong
from edge.config.lexer import Place
from edge.config.parser import Entry, Value
from edge.config.units import duration_ns
from edge.core.tls_spec import CURVES, INSECURE_SUITES, SUITES, Tls

FALLBACK_NS = 50_000_000  # nats-server waits that long for a client that may speak first
MIN_VERSIONS = ("1.2", "1.3")
FINGERPRINT_DIGITS = 64
MAX_RATE = 2**31 - 1

REFUSED = {
    **dict.fromkeys(
        ("cert_store", "cert_match_by", "cert_match", "ca_certs_match", "cert_match_skip_invalid"),
        "certificates are files here",
    ),
    "ocsp_peer": "the status of certificates is not asked for; use short-lived certificates",
    "verify_cert_and_check_known_urls": "it is for routes and gateways, which are the hub's",
}


def read_tls(block: Fields) -> Tls:
    first, fallback_ns = _handshake_first(block)
    map_users = block.boolean("verify_and_map", default=False)
    tls = Tls(
        cert_file=block.string("cert_file", default=""),
        key_file=block.string("key_file", default=""),
        certificates=tuple(_pair(value, block.warnings) for value in block.items("certs", "certificates") or []),
        ca_file=block.string("ca_file", default=""),
        verify=block.boolean("verify", default=False) or map_users,
        verify_and_map=map_users,
        insecure=block.boolean("insecure", default=False),
        timeout_ns=block.seconds_ns("timeout", default=0),
        cipher_suites=_suites(block),
        curve_preferences=_names(block, "curve_preferences", CURVES),
        min_version=_min_version(block),
        handshake_first=first,
        handshake_first_fallback_ns=fallback_ns,
        pinned_certs=_pinned(block),
        connection_rate_limit=block.integer("connection_rate_limit", lowest=0, highest=MAX_RATE, default=0),
    )
    block.finish(REFUSED)
    _check(block, tls)
    return tls


def inner_tls(block: Fields) -> Tls | None:
    """The ``tls`` block within another."""
    inner = block.inner("tls")
    return read_tls(inner) if inner else None


def _pair(value: Value, warnings: list[str]) -> tuple[str, str]:
    block = fields(value, "certs", warnings)
    cert_file, key_file = block.string("cert_file", default=""), block.string("key_file", default="")
    block.finish()
    if not cert_file or not key_file:
        fail(value.place, "certs: expected cert_file and key_file")
    return cert_file, key_file


def _suites(block: Fields) -> tuple[str, ...]:
    allowed = block.boolean("allow_insecure_cipher_suites", default=False)
    names = _names(block, "cipher_suites", {**SUITES, **INSECURE_SUITES})
    weak = [name for name in names if name in INSECURE_SUITES]
    if weak and not allowed:
        fail(
            block.place("cipher_suites"),
            f"cipher_suites: {weak[0]} is insecure; allow_insecure_cipher_suites: true takes it all the same",
        )
    return names


def _names(block: Fields, key: str, known: dict[str, str]) -> tuple[str, ...]:
    items = block.items(key)
    if items is None:
        return ()
    names = tuple(text(item, key) for item in items)
    if not names:
        fail(block.place(key), f"{key}: expected at least one, found an empty list")
    for name in names:
        if name not in known:
            fail(block.place(key), f"{key}: {name!r} is not known: expected some of {', '.join(known)}")
    return names


def _min_version(block: Fields) -> str:
    version = block.string("min_version", default="")
    if version and version not in MIN_VERSIONS:
        fail(block.place("min_version"), f'min_version: expected "1.2" or "1.3", found {version!r}')
    return version


def _handshake_first(block: Fields) -> tuple[bool, int | None]:
    """``true``, ``auto``, or how long to wait for the client."""
    entry = block.entry("handshake_first", "first", "immediate")
    if entry is None:
        return False, None
    match entry.value.data:
        case bool() as first:
            return first, None
        case str() as word:
            return _handshake_word(entry, word.lower())
    wrong(entry.value, entry.key, 'true, false, auto or a duration such as "50ms"')


def _handshake_word(entry: Entry, word: str) -> tuple[bool, int | None]:
    match word:
        case "true" | "on":
            return True, None
        case "false" | "off":
            return False, None
        case "auto" | "auto_fallback":
            return True, FALLBACK_NS
    try:
        return True, duration_ns(word)
    except ValueError:
        wrong(entry.value, entry.key, 'true, false, auto or a duration such as "50ms"')


def _pinned(block: Fields) -> frozenset[str]:
    pinned = [text(item, "pinned_certs").lower() for item in block.items("pinned_certs") or []]
    for one in pinned:
        if len(one) != FINGERPRINT_DIGITS or not set(one) <= set(string.hexdigits):
            fail(
                block.place("pinned_certs"),
                f"pinned_certs: {one!r} is not the SHA-256 of a public key (DER) in {FINGERPRINT_DIGITS} hex digits",
            )
    return frozenset(pinned)


# ---- what must hold


def _check(block: Fields, tls: Tls) -> None:
    if tls.cert_file and not tls.key_file:
        fail(block.place("cert_file"), "tls: cert_file needs a key_file beside it")
    if tls.key_file and not tls.cert_file:
        fail(block.place("key_file"), "tls: key_file needs a cert_file beside it")
    if tls.cert_file and tls.certificates:
        fail(block.place("certs", "certificates"), "tls: cert_file and certs exclude each other")
    check_files(tls, block.place("cert_file"), block.place("ca_file"))


def check_files(tls: Tls, cert_place: Place, ca_place: Place) -> None:
    """Are they there, do certificate and key belong together?"""
    import ssl  # only where something is encrypted

    pairs = [(tls.cert_file, tls.key_file)] if tls.cert_file else list(tls.certificates)
    for cert_file, key_file in pairs:
        for path in (cert_file, key_file):
            _check_readable(path, cert_place)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # An encrypted key would otherwise be asked for on the terminal.
            context.load_cert_chain(cert_file, key_file, password=partial(_no_password, key_file, cert_place))
        except ssl.SSLError as exc:
            fail(cert_place, f"tls: {cert_file} and {key_file} are not a certificate and its key: {_reason(exc)}")
    if tls.ca_file:
        _check_readable(tls.ca_file, ca_place)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(tls.ca_file)
        except ssl.SSLError as exc:
            fail(ca_place, f"tls: {tls.ca_file} holds no certificate: {_reason(exc)}")


def _check_readable(path: str, place: Place) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as exc:
        fail(place, f"tls: cannot read {path}: {exc.strerror}")


def _no_password(path: str, place: Place) -> NoReturn:
    fail(place, f"tls: {path} is encrypted: expected a key without a passphrase")


def _reason(exc: OSError) -> str:
    return str(exc.args[1] if len(exc.args) > 1 else exc)
