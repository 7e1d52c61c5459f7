"""A new configuration for a running server: what has changed, whether it can be had without a restart, and having it.

``compare`` decides and changes nothing; ``apply`` cannot fail, but for files that cannot be written.  Log lines are
nats-server's.
"""

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge.config.access import identity
from edge.config.load import load_config
from edge.config.options import (
    Authorization,
    Config,
    JetStream,
    LeafListen,
    LeafNodes,
    LeafRemote,
    Listen,
    Log,
    Mqtt,
    WebSocket,
)
from edge.core.auth import User
from edge.core.auth_spec import Operator
from edge.errors import ConfigError, StartError
from edge.net.log import set_up_log
from edge.protocol.nats import MAX_CONNECTIONS_EXCEEDED
from edge.run_files import remove_ports_file
from edge.settings import (
    client_limits,
    jetstream_accounts,
    mqtt_limits,
    tls_blocks,
    tracer,
)

if TYPE_CHECKING:
    from edge.daemon import Daemon
    from edge.net.leaf_listener import LeafListener
    from edge.net.mqtt import MqttListener

log = logging.getLogger("edge")

Lines = Callable[[Any, Any], list[str]]

NOT_COMPARED = frozenset(("path", "digest", "loaded_ns", "warnings"))


# ---- what has changed


def compare(old: Config, new: Config) -> list[str]:
    """A line for each change.  ConfigError names the first that needs a restart."""
    lines: list[str] = []
    if old.uplinks:
        _check_first(old.leafnodes.remotes, new.leafnodes.remotes)
    for field, before, after in zip(Config._fields, old, new, strict=True):
        if before == after or field in NOT_COMPARED:
            continue
        if field not in LINES:
            raise _restart(field, before, after)
        lines += LINES[field](before, after)
    if old.tls == new.tls and new.tls:
        lines.append("Reloaded: tls = enabled")  # the files may hold something else
    return lines


def _restart(field: str, before: object, after: object) -> ConfigError:
    """What is not a plain value may hold secrets."""
    shown = all(value is None or isinstance(value, (str, int, Listen)) for value in (before, after))
    return ConfigError(
        "", 0, 0, f"config reload not supported for {field}" + (f": old={before}, new={after}" if shown else "")
    )


def _value(name: str) -> Lines:
    return lambda before, after: [f"Reloaded: {name} = {after}"]


def _seconds(name: str) -> Lines:
    return lambda before, after: [f"Reloaded: {name} = {after / 1e9:g}s"]


def _noun(name: str) -> Lines:
    return lambda before, after: [f"Reloaded: {name}"]


def _tls(before: object, after: object) -> list[str]:
    if before is None or after is None:
        raise ConfigError("", 0, 0, "config reload not supported for switching tls on or off")
    return ["Reloaded: tls = enabled"]


def _log(before: Log, after: Log) -> list[str]:
    names = {"file": "log_file", "time": "logtime", "utc": "logtime_utc", "max_num": "log_max_num"}
    names |= {"size_limit": "log_size_limit", "format": "log_format"}
    return [
        f"Reloaded: {names.get(field, field)} = {_lower(now)}"
        for field, then, now in zip(Log._fields, before, after, strict=True)
        if then != now
    ]


def _lower(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _authorization(before: Authorization, after: Authorization) -> list[str]:
    if before.no_auth_user != after.no_auth_user:
        raise _restart("no_auth_user", before.no_auth_user, after.no_auth_user)
    lines = []
    if before.token != after.token:
        lines.append("Reloaded: authorization token")
    if _named(before) != _named(after):
        lines.append("Reloaded: authorization users")
    if _nkeys(before) != _nkeys(after):
        lines.append("Reloaded: authorization nkey users")
    if before.timeout_ns != after.timeout_ns:
        lines.append(f"Reloaded: authorization timeout = {after.timeout_ns / 1e9:g}")
    if before.auth_callout != after.auth_callout:
        lines.append("Reloaded: authorization callout")
    return lines


def _named(access: Authorization) -> list[User]:
    return [user for user in access.users if not user.nkey]


def _nkeys(access: Authorization) -> list[User]:
    return [user for user in access.users if user.nkey]


def _operator(before: Operator | None, after: Operator | None) -> list[str]:
    """Accounts in the configuration may change, and who may come from them."""
    if before is None or after is None:
        raise ConfigError("", 0, 0, "config reload not supported for switching operator mode on or off")
    kept = before._replace(
        preload=after.preload, pinned_accounts=after.pinned_accounts, default_sentinel=after.default_sentinel
    )
    if kept != after:
        raise ConfigError("", 0, 0, "config reload not supported for the operator or the resolver")
    return ["Reloaded: operator accounts"]


def _jetstream(before: JetStream | None, after: JetStream | None) -> list[str]:
    if before is None or after is None:
        raise ConfigError("", 0, 0, "config reload not supported for switching jetstream on or off")
    for field in ("store_dir", "domain", "commit_window_ns"):
        if getattr(before, field) != getattr(after, field):
            raise _restart(f"jetstream {field}", getattr(before, field), getattr(after, field))
    return [f"Reloaded: JetStream max_mem_store = {after.max_memory_bytes}, max_file_store = {after.max_file_bytes}"]


def _mqtt(before: Mqtt | None, after: Mqtt | None) -> list[str]:
    if before is None or after is None or before.listen != after.listen:
        raise _restart("mqtt", before and before.listen, after and after.listen)
    if (before.tls is None) != (after.tls is None):
        raise ConfigError("", 0, 0, "config reload not supported for tls of mqtt, switched on or off")
    return ["Reloaded: MQTT"]


def _websocket(before: WebSocket | None, after: WebSocket | None) -> list[str]:
    """Its certificates may change, and nothing else."""
    if before is None or after is None or before._replace(tls=after.tls) != after or not (before.tls and after.tls):
        raise ConfigError("", 0, 0, "config reload not supported for websocket")
    return ["Reloaded: websocket tls"]


def _leafnodes(before: LeafNodes, after: LeafNodes) -> list[str]:
    if before._replace(remotes=(), listen=None) != after._replace(remotes=(), listen=None):
        raise ConfigError("", 0, 0, "config reload not supported for leafnodes reconnect")
    gone, come = _remotes(before, after)
    lines = _leaf_listener(before.listen, after.listen) if before.listen != after.listen else []
    return lines + [f"Reloaded: LeafNode Remote {name_of(remote)} removed" for remote in gone] + [
        f"Reloaded: LeafNode Remote {name_of(remote)} added" for remote in come
    ]


def _leaf_listener(before: LeafListen | None, after: LeafListen | None) -> list[str]:
    """Where it listens stays; who is let in, and how, may change."""
    if before is None or after is None:
        raise ConfigError("", 0, 0, "config reload not supported for switching listening for leafs on or off")
    for field in ("listen", "advertise", "no_advertise"):
        if getattr(before, field) != getattr(after, field):
            raise _restart(f"leafnodes {field}", getattr(before, field), getattr(after, field))
    if (before.tls is None) != (after.tls is None):
        raise ConfigError("", 0, 0, "config reload not supported for tls of leafnodes, switched on or off")
    return ["Reloaded: LeafNode listener"]


def _check_first(before: tuple[LeafRemote, ...], after: tuple[LeafRemote, ...]) -> None:
    """The first remote may change, or be gone for a time, but uplinks stay in its account and on a link of theirs."""
    if not before or not after or before[0] == after[0]:
        return
    if after[0].account != before[0].account or after[0] in before:
        raise ConfigError("", 0, 0, "config reload not supported for the account of the first remote: uplinks use it")


def _remotes(before: LeafNodes, after: LeafNodes) -> tuple[list[LeafRemote], list[LeafRemote]]:
    """Those that go, and those that come."""
    gone = [remote for remote in before.remotes if remote not in after.remotes]
    return gone, [remote for remote in after.remotes if remote not in before.remotes]


def name_of(remote: LeafRemote) -> str:
    """Without the password."""
    return ",".join(f"{url.host}:{url.port}" for url in remote.urls)


LINES: dict[str, Lines] = {
    "client_advertise": _value("client_advertise"),
    "server_tags": _noun("tags"),
    "server_metadata": _noun("metadata"),
    "tls": _tls,
    "max_payload_bytes": _value("max_payload"),
    "max_control_line_bytes": _value("max_control_line"),
    "max_pending_bytes": _value("max_pending"),
    "max_connections": _value("max_connections"),
    "max_subscriptions": _value("max_subscriptions"),
    "max_subscription_tokens": _value("max_subscription_tokens"),
    "max_closed_clients": _value("max_closed_clients"),
    "ping_interval_ns": _seconds("ping_interval"),
    "ping_max": _value("ping_max"),
    "write_deadline_ns": _seconds("write_deadline"),
    "lame_duck_duration_ns": _seconds("lame_duck_duration"),
    "lame_duck_grace_period_ns": _seconds("lame_duck_grace_period"),
    "no_fast_producer_stall": _value("no_fast_producer_stall"),
    "log": _log,
    "pid_file": _value("pid_file"),
    "ports_file_dir": _value("ports_file_dir"),
    "authorization": _authorization,
    "accounts": _noun("accounts"),
    "operator": _operator,
    "jetstream": _jetstream,
    "leafnodes": _leafnodes,
    "mqtt": _mqtt,
    "websocket": _websocket,
}


# ---- having it


def reload(daemon: "Daemon") -> None:
    """PetioleError, and nothing has changed, when the new configuration cannot be had."""
    old, flags = daemon.config, daemon.flags
    if not flags.config_path:
        raise ConfigError("", 0, 0, "can only reload config when a file is provided using -c or --config")
    new = load_config(flags.config_path, flags, os.environ)
    lines = compare(old, new)
    if old.log != new.log:
        _set_up_log(new.log)
    apply(daemon, new)
    for warning in new.warnings:
        log.warning("%s", warning)
    for line in lines:
        log.info("%s", line)
    log.info("Reloaded server configuration (%s)", new.digest)


def _set_up_log(options: Log) -> None:
    try:
        set_up_log(options)
    except OSError as exc:
        raise ConfigError("", 0, 0, f"cannot write the log {options.file}: {exc.strerror}") from exc


def apply(daemon: "Daemon", new: Config) -> None:
    old, daemon.config = daemon.config, new
    if old.log != new.log:
        _apply_log(daemon)
    _apply_files(daemon, old)
    _apply_encryption(daemon)
    if old.accounts != new.accounts:
        daemon.share()
    _apply_limits(daemon)
    access_before = old.authorization, old.accounts, old.operator
    if access_before != (new.authorization, new.accounts, new.operator):
        _apply_access(daemon, old)
    _apply_leafs(daemon, old)
    if daemon.mqtt is not None and new.mqtt is not None:
        _apply_mqtt(daemon.mqtt, daemon, old, new.mqtt)
    daemon.router.flush()


def _apply_log(daemon: "Daemon") -> None:
    clients = daemon.clients
    clients.tracer = tracer(daemon.config)
    for connection in clients.connections.values():
        connection.client.set_trace(connection.trace if clients.tracer else None)


def _apply_files(daemon: "Daemon", old: Config) -> None:
    new = daemon.config
    if new.ports_file_dir != old.ports_file_dir and old.ports_file_dir:
        remove_ports_file(old.ports_file_dir)
    try:
        daemon.write_run_files()
    except StartError as exc:
        log.error("%s", exc)


def _apply_encryption(daemon: "Daemon") -> None:
    """The same files may hold other certificates now.  Who is connected stays."""
    for block, options in tls_blocks(daemon.config).items():
        encryption = daemon.encryption(block)
        assert encryption is not None
        try:
            encryption.reload(options)
        except StartError as exc:
            log.error("%s: the certificates from before stay in use", exc)


def _apply_limits(daemon: "Daemon") -> None:
    clients, config = daemon.clients, daemon.config
    clients.limits = client_limits(config)
    clients.info = daemon.info()._replace(port=clients.info.port)
    connections = list(clients.connections.values())
    for connection in connections:
        connection.client.set_limits(clients.limits)
    excess = connections[clients.limits.max_connections :]
    for connection in excess:
        connection.close_with(MAX_CONNECTIONS_EXCEEDED, "Maximum Connections Exceeded")
    if excess:
        log.info("Closed %d connections to fall within max_connections", len(excess))
    if daemon.storage is not None and config.jetstream is not None:
        daemon.storage.limit(config.jetstream, jetstream_accounts(config, daemon.signed))


# ---- who may do what


def _apply_access(daemon: "Daemon", old: Config) -> None:
    """Whose user is gone or in another account is closed without a word, as nats-server does.  Of the others those are
    judged again whose rules may be others now: a hashed password takes its time."""
    new = daemon.config
    daemon.logins.configure(new)
    daemon.clients.auth = daemon.logins.clients()
    if daemon.websocket is not None and new.websocket is not None:
        daemon.websocket.auth = daemon.logins.listener(new.websocket)
    were, are = _users(old.authorization), _users(new.authorization)
    same_way = _way_in(old) == _way_in(new)
    for connection in list(daemon.clients.connections.values()):
        connection.client.auth = connection.auth
        login = connection.client.login
        name = login.nkey or login.user
        user = are.get(name)
        if name in were and (user is None or user.account != connection.client.account.name):
            connection.close_with("", "Client Closed")
        elif not same_way or user != were.get(name):
            connection.judge_again()


def _users(access: Authorization) -> dict[str, User]:
    return {identity(user): user for user in access.users}


def _way_in(config: Config) -> tuple[object, ...]:
    """What decides about those who are not users of the list."""
    access = config.authorization
    return access.token, access.auth_callout, config.operator, bool(access.users)


def _apply_mqtt(listener: "MqttListener", daemon: "Daemon", old: Config, options: Mqtt) -> None:
    """Clients whose rights are others now have to come back with a CONNECT."""
    new = daemon.config
    listener.broker.limits = mqtt_limits(new, options)
    listener.broker.auth = daemon.logins.listener(options)
    if (old.authorization, old.accounts, old.mqtt) == (new.authorization, new.accounts, new.mqtt):
        return
    for connection in list(listener.connections.values()):
        connection.judge_again()


# ---- hubs


def _apply_leafs(daemon: "Daemon", old: Config) -> None:
    new = daemon.config
    if daemon.leafs is not None and new.leafnodes.listen is not None:
        _apply_leaf_listener(daemon, daemon.leafs, old, new.leafnodes.listen)
    gone, come = _remotes(old.leafnodes, new.leafnodes)
    if daemon.hubs is None and come:
        daemon.make_hubs().start(daemon.lifecycle)
    elif daemon.hubs is not None:
        daemon.hubs.set_pings(new)
        for remote in gone:
            daemon.hubs.remove(remote)
        for remote in come:
            daemon.hubs.add(remote, daemon.lifecycle)


def _apply_leaf_listener(daemon: "Daemon", listener: "LeafListener", old: Config, options: LeafListen) -> None:
    new = daemon.config
    daemon.tell_leafs()
    listener.auth = daemon.logins.leafs(options)
    if (old.authorization, old.accounts, old.operator, old.leafnodes.listen) != (
        new.authorization, new.accounts, new.operator, options,
    ):  # fmt: skip
        listener.judge_again()
