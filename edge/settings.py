"""What the configuration says, in the shape in which each part takes it."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edge.config.options import Authorization, Config, LeafListen, Mqtt, WebSocket
from edge.core.account_spec import AccountSpec
from edge.core.auth import GLOBAL_ACCOUNT
from edge.core.tls_spec import Tls
from edge.net.info import ServerInfo
from edge.net.listener import ClientLimits

if TYPE_CHECKING:  # loaded where it is configured
    from edge.core.mqtt_broker import MqttLimits
    from edge.jetstream.account import Limits
    from edge.net.leaf_listener import LeafOptions
    from edge.net.trace import Tracer
    from edge.net.websocket import WebSocketOptions


def server_info(config: Config, server_id: str, server_name: str, xkey: str = "") -> ServerInfo:
    return ServerInfo(
        server_id=server_id,
        server_name=server_name,
        host=config.listen.host,
        port=config.listen.port,
        max_payload=config.max_payload_bytes,
        auth_required=config.operator is not None or not config.authorization.anonymous,
        jetstream=config.jetstream is not None,
        domain=config.jetstream.domain if config.jetstream else "",
        tls_required=config.tls is not None and not config.allow_non_tls,
        tls_verify=config.tls is not None and config.tls.verify,
        tls_available=config.tls is not None and config.allow_non_tls,
        xkey=xkey,
    )


def client_limits(config: Config) -> ClientLimits:
    return ClientLimits(
        max_payload=config.max_payload_bytes,
        max_control_line=config.max_control_line_bytes,
        max_pending=config.max_pending_bytes,
        max_connections=config.max_connections or sys.maxsize,
        max_subscriptions=config.max_subscriptions or 0,
        max_subscription_tokens=config.max_subscription_tokens or 0,
        no_fast_producer_stall=config.no_fast_producer_stall,
        ping_interval_ns=config.ping_interval_ns,
        ping_max=config.ping_max,
        write_deadline_ns=config.write_deadline_ns,
        auth_timeout=config.authorization.timeout_ns / 1e9,
    )


def tracer(config: Config) -> "Tracer | None":
    if not config.log.trace:
        return None
    from edge.net.trace import Tracer

    return Tracer(config.log.max_traced_msg_len, config.log.trace_headers)


def tls_blocks(config: Config) -> dict[str, Tls]:
    """By the listener that each is for."""
    blocks = {
        "client": config.tls,
        "mqtt": config.mqtt.tls if config.mqtt else None,
        "websocket": config.websocket.tls if config.websocket else None,
        "leafnodes": config.leafnodes.listen.tls if config.leafnodes.listen else None,
        "https": config.tls._replace(verify=False, verify_and_map=False) if config.https and config.tls else None,
    }
    return {name: options for name, options in blocks.items() if options is not None}


# ---- MQTT and WebSocket


def access_of(config: Config, listener: Mqtt | WebSocket) -> Authorization:
    """The listener's own, or the server's."""
    return listener.authorization or config.authorization



def mqtt_limits(config: Config, options: Mqtt) -> "MqttLimits":
    from edge.core.mqtt_broker import MqttLimits

    return MqttLimits(
        max_payload=config.max_payload_bytes,
        max_connections=config.max_connections or sys.maxsize,
        max_unacked=options.max_ack_pending,
        connect_timeout_ns=access_of(config, options).timeout_ns,
        write_deadline_ns=config.write_deadline_ns,
    )


def websocket_options(config: Config, options: WebSocket) -> "WebSocketOptions":
    from edge.net.websocket import WebSocketOptions
    from edge.protocol.websocket import Terms

    terms = Terms(
        options.compression, config.mqtt is not None, options.tls is not None, options.same_origin,
        options.allowed_origins, options.jwt_cookie, options.user_cookie, options.pass_cookie,
        options.token_cookie, options.headers, config.leafnodes.listen is not None,
    )  # fmt: skip
    access = access_of(config, options)
    required = bool(config.operator or access.users or access.token or not access.anonymous)
    return WebSocketOptions(terms, required, options.handshake_timeout_ns / 1e9, options.ping_interval_ns)


# ---- leafs that dial this edge


def cluster_name(config: Config, server_name: str) -> str:
    """A nats-server with hubs is a cluster of its own, and so are we."""
    return server_name if config.leafnodes.remotes else ""


def leaf_options(config: Config, listen: LeafListen, info: ServerInfo, port: int, web: int = 0) -> "LeafOptions":
    """``port``: on which it listens; ``web``: the port of the listener for WebSocket, 0 where there is none."""
    from edge.core.leaf_inbound import LeafTerms
    from edge.core.leaf_link import PING_INTERVAL_NS
    from edge.net.leaf_listener import LeafOptions
    from edge.net.leafs import possible
    from edge.net.own_address import advertised, place

    cluster = cluster_name(config, info.server_name)
    host, shown_port = advertised(listen.advertise, listen.listen.host, port)
    where = place(host, shown_port)
    said = info.fields(0, "") | {"proto": 3, "host": host, "port": shown_port, "ip": where, "info_on_connect": True}
    said["auth_required"] = True
    for name, is_so in (("tls_required", listen.tls), ("tls_verify", listen.tls and listen.tls.verify)):
        said.pop(name, None)
        if is_so:
            said[name] = True
    if cluster:
        said["cluster"] = cluster
    if not listen.no_advertise:
        said["leafnode_urls"] = [where]
        if web and config.websocket is not None:
            browsers = config.websocket
            said["ws_connect_urls"] = [place(*advertised(browsers.advertise, browsers.listen.host, web))]
    terms = LeafTerms(
        cluster, listen.min_version, listen.isolate, possible(listen.compression), config.max_subscriptions or 0,
        listen.timeout_ns, min(config.ping_interval_ns, PING_INTERVAL_NS), config.ping_max,
        "" if config.no_system_account else config.system_account,
    )  # fmt: skip
    deadline = listen.write_deadline_ns or config.write_deadline_ns
    return LeafOptions(
        terms, said, config.max_pending_bytes, deadline, listen.ends_slow, config.max_connections or sys.maxsize
    )


# ---- JetStream


def jetstream_accounts(config: Config, signed: Iterable[AccountSpec] = ()) -> "list[tuple[str, Limits]]":
    """Those whose block or JWT (``signed``) says so; the global account where there is no other, as in nats-server."""
    from edge.jetstream.limits import Limits

    others = {account.name for account in config.accounts} - {GLOBAL_ACCOUNT, config.system_account}
    accounts = [] if config.operator or others else [(GLOBAL_ACCOUNT, Limits())]
    for account in (*config.accounts, *signed):
        if account.jetstream is not None:
            accounts.append((account.name, Limits.of(account.jetstream)))
    return accounts
