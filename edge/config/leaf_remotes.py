"""``remotes`` of ``leafnodes``: the hubs this edge connects to."""

from typing import TYPE_CHECKING

from edge.config.compression import read_compression
from edge.config.fields import Fields, fail, fields, texts
from edge.config.lexer import Place
from edge.config.options import LEAF_PORT, LeafProxy, LeafRemote, LeafUrl
from edge.config.parser import Value
from edge.config.tls import inner_tls
from edge.config.units import SECOND
from edge.core.auth import GLOBAL_ACCOUNT

if TYPE_CHECKING:
    from urllib.parse import SplitResult

SCHEMES = ("nats-leaf", "nats", "leaf", "tls")
WEB_SCHEMES = ("ws", "wss")
PROXY_PORTS = {"http": 80, "https": 443}

IGNORED = ("jetstream_cluster_migrate", "js_cluster_migrate")  # there is no cluster to migrate in


def read_remotes(values: list[Value], dial_timeout_ns: int, warnings: list[str]) -> tuple[LeafRemote, ...]:
    """Without those that are disabled."""
    found: dict[tuple[object, ...], LeafRemote] = {}
    for value in values:
        remote = _remote(value, dial_timeout_ns, warnings)
        if remote is None:
            continue
        name = remote.urls, remote.account, remote.credentials, remote.nkey
        if name in found:
            fail(value.place, f"duplicate remote: {remote.urls[0].host} has an earlier one, of the same account")
        if remote.name and any(other.name == remote.name for other in found.values()):
            fail(value.place, f"remote: another has the name {remote.name!r} already")
        found[name] = remote
    return tuple(found.values())


def _remote(value: Value, dial_timeout_ns: int, warnings: list[str]) -> LeafRemote | None:
    """None for one that is disabled."""
    block = fields(value, "remote", warnings)
    entry = block.entry("urls", "url")
    disabled = block.boolean("disabled", default=False)
    remote = LeafRemote(
        urls=_urls(entry.value) if entry else (),
        account=block.string("account", "local", default=GLOBAL_ACCOUNT),
        hub=block.boolean("hub", default=False),
        deny_imports=block.subjects("deny_imports", "deny_import"),
        deny_exports=block.subjects("deny_exports", "deny_export"),
        isolate=block.boolean("isolate_leafnode_interest", "isolate", default=False),
        request_isolation=block.boolean("request_isolation", default=False),
        no_randomize=block.boolean("no_randomize", "dont_randomize", default=False),
        ignore_discovered_servers=block.boolean("ignore_discovered_servers", default=False),
        dial_timeout_ns=block.duration_ns("dial_timeout", default=0) or dial_timeout_ns,
        first_info_timeout_ns=block.duration_ns("first_info_timeout", default=0) or SECOND,
        tls=inner_tls(block),
        credentials=_file(block, "credentials", "creds"),
        nkey=_seed(block),
        compression=read_compression(block),
        ws_compression=block.boolean(
            "ws_compress", "ws_compression", "websocket_compress", "websocket_compression", default=False
        ),
        ws_no_masking=block.boolean("ws_no_masking", "websocket_no_masking", default=False),
        proxy=_proxy(block),
        name=block.string("name", default=""),
    )
    block.finish(ignored=IGNORED)
    if not remote.urls:
        fail(value.place, 'a remote needs a url, such as "nats-leaf://hub.example:7422"')
    if len({url.websocket for url in remote.urls}) > 1:
        fail(block.place("urls", "url"), "urls: expected all of them with ws:// or wss://, or none")
    if remote.urls[0].websocket and (compression := block.entry("compression")) and remote.compression.is_wanted:
        block.warn(compression, "by WebSocket ws_compression is what compresses")
    if remote.credentials and remote.nkey:
        fail(block.place("nkey", "seed"), "a remote logs in with credentials or with an nkey, not with both")
    through = remote.proxy is not None and remote.proxy.encrypted
    if not disabled and (remote.tls or through or any(url.encrypted for url in remote.urls)):
        import ssl  # noqa: F401  before the loop, which otherwise goes without it (edge/lean.py)
    return None if disabled else remote


def _file(block: Fields, *names: str) -> str:
    """It is read when it is needed: it may be there only later, or be another then."""
    import os

    return os.path.expanduser(block.string(*names, default=""))


def _seed(block: Fields) -> str:
    """The seed itself, or where it stands."""
    written = block.string("nkey", "seed", default="")
    if not written.startswith("SU"):
        return _file(block, "nkey", "seed")
    from edge.core.nkeys import KeyPair

    try:
        KeyPair.from_seed(written)
    except ValueError:
        fail(block.place("nkey", "seed"), "nkey: expected the seed of a user (SU...), or a file that holds one")
    return written


# ---- urls


def _urls(value: Value) -> tuple[LeafUrl, ...]:
    texts(value, "url")  # the type, before the places
    items = value.data if isinstance(value.data, list) else [value]
    return tuple(leaf_url(str(item.data).strip(), item.place) for item in items)


def leaf_url(url: str, place: Place) -> LeafUrl:
    """``nats-leaf://user:password@host:port``, or ``wss://host:port/path``; reserved characters are %-encoded.
    Messages never show passwords."""
    from urllib.parse import unquote  # only where there is a remote

    parts, port = _split(url, place)
    _check(parts, place)
    return LeafUrl(
        parts.hostname or "", port or LEAF_PORT, unquote(parts.username or ""), unquote(parts.password or ""),
        parts.scheme in ("tls", "wss"), parts.scheme in WEB_SCHEMES,
        parts.path if parts.scheme in WEB_SCHEMES else "",
    )  # fmt: skip


def _split(url: str, place: Place) -> "tuple[SplitResult, int | None]":
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError as exc:
        fail(place, f"url: {exc}")


def _check(parts: "SplitResult", place: Place) -> None:
    if parts.scheme not in SCHEMES + WEB_SCHEMES or not parts.hostname:
        fail(place, 'url: expected "nats-leaf://host:port", "nats-leaf://user:password@host:port" or "wss://host:port"')
    if parts.query or parts.fragment or (parts.scheme in SCHEMES and parts.path not in ("", "/")):
        fail(place, "url: expected nothing after the port (reserved characters in a password are %-encoded)")


# ---- proxy


def _proxy(block: Fields) -> LeafProxy | None:
    """An HTTP proxy that connects us by CONNECT."""
    inner = block.inner("proxy")
    if inner is None:
        return None
    entry = inner.entry("url")
    if entry is None:
        fail(block.place("proxy"), 'proxy: expected a url, such as "http://proxy.example:3128"')
    user, password = inner.string("username", default=""), inner.string("password", default="")
    timeout_ns = inner.duration_ns("timeout", default=0)
    parts, port = _split(inner.string("url", default=""), entry.place)
    inner.finish()
    if parts.scheme not in PROXY_PORTS or not parts.hostname:
        fail(entry.place, 'proxy: expected a url such as "http://proxy.example:3128"')
    if bool(user) != bool(password):
        fail(entry.place, "proxy: expected both username and password, or neither")
    port = port or PROXY_PORTS[parts.scheme]
    return LeafProxy(parts.hostname, port, user, password, timeout_ns, parts.scheme == "https")
