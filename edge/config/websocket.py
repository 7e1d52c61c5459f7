"""``websocket``: the listener for NATS clients in browsers."""

from edge.config.access import simple_authorization
from edge.config.fields import Fields, fail
from edge.config.listen import read_listen
from edge.config.options import Listen, WebSocket
from edge.config.tls import inner_tls
from edge.config.units import SECOND

DEFAULT = WebSocket(Listen("", 0))
ORIGINS = ("allowed_origins", "allowed_origin", "allow_origins", "allow_origin", "origins", "origin")
NOT_OURS = frozenset(("host", "content-length", "connection", "upgrade", "nats-no-masking"))


def read_websocket(block: Fields) -> WebSocket | None:
    """None without a port, as nats-server has it: then nothing listens."""
    websocket = WebSocket(
        listen=read_listen(block, 0),
        no_tls=block.boolean("no_tls", default=False),
        tls=inner_tls(block),
        same_origin=block.boolean("same_origin", default=False),
        allowed_origins=block.strings(*ORIGINS),
        handshake_timeout_ns=_handshake_timeout(block),
        compression=block.boolean("compression", "compress", default=False),
        jwt_cookie=block.string("jwt_cookie", default=""),
        user_cookie=block.string("user_cookie", default=""),
        pass_cookie=block.string("pass_cookie", default=""),
        token_cookie=block.string("token_cookie", default=""),
        no_auth_user=block.string("no_auth_user", default=""),
        authorization=simple_authorization(block),
        headers=_headers(block),
        ping_interval_ns=block.duration_ns("ping_interval", default=0),
        advertise=block.string("advertise", default=""),
    )
    block.finish()
    if block.entry("listen", "port") is None:
        block.warnings.append(f"{block.block.place.path}: websocket without a port does not listen")
        return None
    if websocket.tls is None and not websocket.no_tls:
        fail(block.block.place, "websocket: expected a tls block; no_tls: true serves without encryption")
    _check_origins(block, websocket)
    return websocket


def _handshake_timeout(block: Fields) -> int:
    entry = block.entry("handshake_timeout")
    if entry and isinstance(entry.value.data, int) and not isinstance(entry.value.data, bool):
        return entry.value.data * SECOND or DEFAULT.handshake_timeout_ns
    return block.duration_ns("handshake_timeout", default=0) or DEFAULT.handshake_timeout_ns


def _headers(block: Fields) -> tuple[tuple[str, str], ...]:
    headers = block.pairs("headers")
    for name, value in headers:
        if name.lower() in NOT_OURS or name.lower().startswith("sec-websocket-"):
            fail(block.place("headers"), f"headers: {name!r} is a header of the handshake itself")
        if not name.replace("-", "").replace("_", "").isalnum() or not value.isprintable():
            fail(block.place("headers"), f"headers: {name!r} cannot be sent as it is")
    return headers


def _check_origins(block: Fields, websocket: WebSocket) -> None:
    from urllib.parse import urlsplit

    for origin in websocket.allowed_origins:
        try:
            parts = urlsplit(origin)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good:
            fail(block.place(*ORIGINS), f"allowed_origins: expected such as \"https://host:port\", found {origin!r}")
