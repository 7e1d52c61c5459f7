"""What the documents of monitoring show of the configuration, and where the rest of them is read."""

from typing import TYPE_CHECKING

from edge.config.options import Config, LeafListen, LeafNodes, LeafRemote, Mqtt, WebSocket
from edge.core.times import SECOND, rfc3339
from edge.core.tls_spec import Tls
from edge.monitor.stamp import Fields, Stamp
from edge.monitor.state import Settings, State

if TYPE_CHECKING:
    from edge.daemon import Daemon
    from edge.net.tls import Encryption

TLS_SECONDS = 2  # where a block says nothing
NO_LIMIT = -1


def state_of(daemon: "Daemon", stamp: Stamp) -> State:
    assert daemon.ledger is not None, "who answers has watched from the beginning"
    return State(
        stamp, daemon.router, daemon.clients, daemon.ledger, lambda: settings(daemon), lambda: daemon.mqtt,
        lambda: daemon.storage.jetstream if daemon.storage else None,
        lambda: daemon.exchange.specs if daemon.exchange else {}, lambda: daemon.logins.accounts,
    )  # fmt: skip


def settings(daemon: "Daemon") -> Settings:
    config = daemon.config
    system = "" if config.no_system_account else config.system_account
    blocks: Fields = {
        "cluster": {},
        "gateway": {},
        "leaf": _leafs(daemon, config.leafnodes),
        "mqtt": _mqtt(daemon, config.mqtt) if config.mqtt else {},
        "websocket": _websocket(daemon, config.websocket) if config.websocket else {},
    }
    varz = _limits(config) | _monitoring(daemon) | blocks | _identity(config, system) | _operators(config)
    if config.tls:
        varz |= _certificate(daemon.encryption("client"))
    return Settings(varz, _jetstream(config), system)


def _limits(config: Config) -> Fields:
    access = config.authorization
    fields: Fields = {}
    if config.operator or access.users or access.token or access.auth_callout:
        fields["auth_required"] = True
    fields["max_connections"] = config.max_connections or 0
    if config.max_subscriptions:
        fields["max_subscriptions"] = config.max_subscriptions
    return fields | {
        "ping_interval": config.ping_interval_ns,
        "ping_max": config.ping_max,
        "auth_timeout": _seconds(config.authorization.timeout_ns),
        "max_control_line": config.max_control_line_bytes,
        "max_payload": config.max_payload_bytes,
        "max_pending": config.max_pending_bytes,
        "tls_timeout": _tls_timeout(config.tls),
        "write_deadline": config.write_deadline_ns,
    }


def _monitoring(daemon: "Daemon") -> Fields:
    config = daemon.config
    listen = config.http or config.https
    return {
        "http_host": (listen or config.listen).host,
        "http_port": daemon.monitoring_port if config.http else 0,
        "http_base_path": config.http_base_path,
        "https_port": daemon.monitoring_port if config.https else 0,
    }


def _identity(config: Config, system: str) -> Fields:
    fields: Fields = {"config_load_time": rfc3339(config.loaded_ns), "config_digest": config.digest}
    if config.server_tags:
        fields["tags"] = list(config.server_tags)
    if config.server_metadata:
        fields["metadata"] = dict(config.server_metadata)
    return fields | ({"system_account": system} if system else {})


def _operators(config: Config) -> Fields:
    if config.operator is None or not config.operator.jwts:
        return {}
    from edge.core.jwt import payload

    jwts = config.operator.jwts
    return {"trusted_operators_jwt": list(jwts), "trusted_operators_claim": [payload(jwt) for jwt in jwts]}


def _jetstream(config: Config) -> Fields:
    """``max_memory``, ``max_storage`` -1: whatever the machine has."""
    options = config.jetstream
    if options is None:
        return {}
    memory, disk = options.max_memory_bytes, options.max_file_bytes
    fields: Fields = {
        "max_memory": NO_LIMIT if memory is None else memory,
        "max_storage": NO_LIMIT if disk is None else disk,
        "store_dir": options.store_dir,
        "sync_interval": options.sync_interval_ns,
    }
    if options.sync_always:
        fields["sync_always"] = True
    if options.domain:
        fields["domain"] = options.domain
    return fields | {"strict": True}


# ---- listeners, hubs


def _leafs(daemon: "Daemon", leafnodes: LeafNodes) -> Fields:
    remotes = [_remote(remote) for remote in leafnodes.remotes]
    fields = _leaf_listener(daemon, leafnodes.listen) if leafnodes.listen is not None else {}
    return fields | ({"remotes": remotes} if remotes else {})


def _leaf_listener(daemon: "Daemon", options: LeafListen) -> Fields:
    tls = options.tls
    said: Fields = {
        "host": options.listen.host,
        "port": daemon.leafs.port if daemon.leafs else options.listen.port,
        "auth_timeout": _seconds(options.timeout_ns),
        "tls_timeout": _tls_timeout(tls),
        "tls_required": tls is not None,
        "tls_verify": tls is not None and tls.verify,
        "write_deadline": options.write_deadline_ns,
        "write_timeout": "close" if options.ends_slow else "",
    }
    fields = {name: value for name, value in said.items() if value}
    return fields | (_certificate(daemon.encryption("leafnodes")) if tls else {})


def _remote(remote: LeafRemote) -> Fields:
    hosts = [f"[{url.host}]:{url.port}" if ":" in url.host else f"{url.host}:{url.port}" for url in remote.urls]
    fields: Fields = {"local_account": remote.account, "urls": hosts}
    denied = {"exports": list(remote.deny_exports), "imports": list(remote.deny_imports)}
    deny = {name: subjects for name, subjects in denied.items() if subjects}
    return fields | ({"deny": deny} if deny else {})


def _mqtt(daemon: "Daemon", options: Mqtt) -> Fields:
    port = daemon.mqtt.port if daemon.mqtt else options.listen.port
    fields = _listener(daemon, options, port) | {"tls_timeout": _tls_timeout(options.tls)}
    if options.ack_wait_ns != Mqtt(options.listen).ack_wait_ns:
        fields["ack_wait"] = options.ack_wait_ns
    if options.max_ack_pending != Mqtt(options.listen).max_ack_pending:
        fields["max_ack_pending"] = options.max_ack_pending
    return fields | (_certificate(daemon.encryption("mqtt")) if options.tls else {})


def _websocket(daemon: "Daemon", options: WebSocket) -> Fields:
    port = daemon.websocket.port if daemon.websocket else options.listen.port
    said: Fields = {
        "advertise": options.advertise,
        "jwt_cookie": options.jwt_cookie,
        "no_tls": options.no_tls,
        "same_origin": options.same_origin,
        "allowed_origins": list(options.allowed_origins),
        "compression": options.compression,
    }
    if options.handshake_timeout_ns != WebSocket(options.listen).handshake_timeout_ns:
        said["handshake_timeout"] = options.handshake_timeout_ns
    fields = _listener(daemon, options, port) | {name: value for name, value in said.items() if value}
    return fields | (_certificate(daemon.encryption("websocket")) if options.tls else {})


def _listener(daemon: "Daemon", options: Mqtt | WebSocket, port: int) -> Fields:
    tls = options.tls
    said: Fields = {
        "host": options.listen.host,
        "port": port,
        "no_auth_user": options.no_auth_user,
        "auth_timeout": _seconds(options.authorization.timeout_ns) if options.authorization else 0,
        "tls_map": tls is not None and tls.verify_and_map,
        "tls_pinned_certs": sorted(tls.pinned_certs) if tls else [],
    }
    return {name: value for name, value in said.items() if value}


# ---- small things


def _tls_timeout(tls: Tls | None) -> float:
    return _seconds(tls.timeout_ns) if tls and tls.timeout_ns else TLS_SECONDS


def _seconds(ns: int) -> float:
    """A whole number is written as one."""
    return ns // SECOND if ns % SECOND == 0 else ns / SECOND


def _certificate(encryption: "Encryption | None") -> Fields:
    return {"tls_cert_not_after": rfc3339(encryption.not_after_ns)} if encryption is not None else {}
