"""``leafnodes``: the hubs this edge connects to."""

from typing import TYPE_CHECKING

from edge.config.fields import Fields, fail, fields, texts
from edge.config.lexer import Place
from edge.config.options import LEAF_PORT, LeafNodes, LeafRemote, LeafUrl
from edge.config.parser import Value
from edge.config.tls import inner_tls
from edge.core.auth import GLOBAL_ACCOUNT

if TYPE_CHECKING:
    from urllib.parse import SplitResult

SCHEMES = ("nats-leaf", "nats", "leaf", "tls")
BROWSERS = ("ws", "wss")
SECOND_DEFAULT = LeafNodes().reconnect_ns

REFUSED = {
    **dict.fromkeys(("listen", "port", "host", "net", "authorization"), "an edge connects to hubs, none to it"),
    "tls": "leaf connections are not encrypted yet",
}
IGNORED = (
    *("advertise", "leafnode_advertise", "no_advertise", "min_version", "minimum_version", "compression"),
    *("isolate_leafnode_interest", "isolate", "write_deadline", "write_timeout"),
)
REFUSED_REMOTE = {"proxy": "the edge connects directly"}
IGNORED_REMOTE = (
    *("ws_compress", "ws_compression", "websocket_compress", "websocket_compression"),
    *("ws_no_masking", "websocket_no_masking", "jetstream_cluster_migrate", "js_cluster_migrate"),
    *("isolate_leafnode_interest", "isolate", "request_isolation", "compression"),
)


def read_leafnodes(block: Fields) -> LeafNodes:
    dial_timeout_ns = block.duration_ns("dial_timeout", default=SECOND_DEFAULT)
    reconnect_ns = block.duration_ns("reconnect", "reconnect_delay", "reconnect_interval", default=SECOND_DEFAULT)
    remotes = [_remote(value, dial_timeout_ns, block.warnings) for value in block.items("remotes") or []]
    block.finish(REFUSED, IGNORED)
    return LeafNodes(tuple(r for r in remotes if r is not None), reconnect_ns or SECOND_DEFAULT)


def _remote(value: Value, dial_timeout_ns: int, warnings: list[str]) -> LeafRemote | None:
    """None for one that is disabled."""
    block = fields(value, "remote", warnings)
    if block.boolean("hub", default=False):
        fail(block.place("hub"), "hub: true is known to nats-server, but not supported here: an edge is never the hub")
    entry = block.entry("urls", "url")
    disabled = block.boolean("disabled", default=False)
    remote = LeafRemote(
        urls=_urls(entry.value) if entry else (),
        account=block.string("account", "local", default=GLOBAL_ACCOUNT),
        deny_imports=block.subjects("deny_imports", "deny_import"),
        deny_exports=block.subjects("deny_exports", "deny_export"),
        no_randomize=block.boolean("no_randomize", "dont_randomize", default=False),
        ignore_discovered_servers=block.boolean("ignore_discovered_servers", default=False),
        dial_timeout_ns=block.duration_ns("dial_timeout", default=dial_timeout_ns),
        first_info_timeout_ns=block.duration_ns("first_info_timeout", default=SECOND_DEFAULT),
        tls=inner_tls(block),
        credentials=_file(block, "credentials", "creds"),
        nkey=_seed(block),
    )
    block.finish(REFUSED_REMOTE, IGNORED_REMOTE)
    if not remote.urls:
        fail(value.place, 'a remote needs a url, such as "nats-leaf://hub.example:7422"')
    if remote.credentials and remote.nkey:
        fail(block.place("nkey", "seed"), "a remote logs in with credentials or with an nkey, not with both")
    if not disabled and (remote.tls or any(url.encrypted for url in remote.urls)):
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


def _urls(value: Value) -> tuple[LeafUrl, ...]:
    texts(value, "url")  # the type, before the places
    items = value.data if isinstance(value.data, list) else [value]
    return tuple(leaf_url(str(item.data).strip(), item.place) for item in items)


def leaf_url(url: str, place: Place) -> LeafUrl:
    """``nats-leaf://user:password@host:port``; reserved characters are %-encoded.  Messages never show passwords."""
    from urllib.parse import unquote, urlsplit  # only where there is a remote

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        fail(place, f"url: {exc}")
    if parts.scheme in BROWSERS:
        fail(place, f"url: {parts.scheme}:// is known to nats-server, but not supported here yet: use nats-leaf://")
    _check(parts, place)
    return LeafUrl(
        parts.hostname or "", port or LEAF_PORT, unquote(parts.username or ""), unquote(parts.password or ""),
        parts.scheme == "tls",
    )  # fmt: skip


def _check(parts: "SplitResult", place: Place) -> None:
    if parts.scheme not in SCHEMES or not parts.hostname:
        fail(place, 'url: expected "nats-leaf://host:port" or "nats-leaf://user:password@host:port"')
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        fail(place, "url: expected nothing after the port (reserved characters in a password are %-encoded)")
