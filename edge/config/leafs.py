"""``leafnodes``: the hubs this edge connects to."""

from typing import TYPE_CHECKING

from edge.config.fields import Fields, fail, fields, texts
from edge.config.lexer import Place
from edge.config.options import LEAF_PORT, LeafNodes, LeafRemote, LeafUrl
from edge.config.parser import Value
from edge.core.auth import GLOBAL_ACCOUNT

if TYPE_CHECKING:
    from urllib.parse import SplitResult

SCHEMES = ("nats-leaf", "nats", "leaf")
ENCRYPTED = ("tls", "ws", "wss")
SECOND_DEFAULT = LeafNodes().reconnect_ns

REFUSED = {
    **dict.fromkeys(("listen", "port", "host", "net", "authorization"), "an edge connects to hubs, none to it"),
    "tls": "leaf connections are not encrypted yet",
}
IGNORED = (
    *("advertise", "leafnode_advertise", "no_advertise", "min_version", "minimum_version", "compression"),
    *("isolate_leafnode_interest", "isolate", "write_deadline", "write_timeout"),
)
REFUSED_REMOTE = {
    **dict.fromkeys(("credentials", "creds", "nkey", "seed"), "give user and password in the url"),
    "tls": "leaf connections are not encrypted yet",
    "proxy": "the edge connects directly",
}
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
    )
    block.finish(REFUSED_REMOTE, IGNORED_REMOTE)
    if not remote.urls:
        fail(value.place, 'a remote needs a url, such as "nats-leaf://hub.example:7422"')
    return None if disabled else remote


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
    if parts.scheme in ENCRYPTED:
        fail(place, f"url: {parts.scheme}:// is known to nats-server, but not supported here yet: use nats-leaf://")
    _check(parts, place)
    return LeafUrl(
        parts.hostname or "", port or LEAF_PORT, unquote(parts.username or ""), unquote(parts.password or "")
    )


def _check(parts: "SplitResult", place: Place) -> None:
    if parts.scheme not in SCHEMES or not parts.hostname:
        fail(place, 'url: expected "nats-leaf://host:port" or "nats-leaf://user:password@host:port"')
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        fail(place, "url: expected nothing after the port (reserved characters in a password are %-encoded)")
