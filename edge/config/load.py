"""The configuration of the edge, from its file, its flags and its environment.  ``load_config`` is the entry point.

The file is nats-server's: a working leaf configuration is accepted as it is.  What nats-server knows and the edge
does not is an error where leaving it out would change who may do what or where messages go, and a warning otherwise.
"""

import os
from collections.abc import Mapping

from edge.config.access import read_accounts, read_authorization
from edge.config.fields import Fields, fail
from edge.config.jetstream import read_jetstream
from edge.config.leafs import read_leafnodes
from edge.config.listen import MAX_PORT, address, port_number, read_listen
from edge.config.mqtt import read_mqtt
from edge.config.options import (
    CLIENT_PORT,
    SYSTEM_ACCOUNT,
    Authorization,
    Config,
    JetStream,
    LeafNodes,
    Listen,
    Log,
)
from edge.config.parser import Block, parse_file
from edge.config.uplinks import read_uplinks
from edge.core.account_spec import AccountSpec
from edge.core.auth import GLOBAL_ACCOUNT, User
from edge.errors import ConfigError
from edge.flags import Flags, apply_flags

MAX_INT32 = 2**31 - 1
MAX_INT64 = 2**63 - 1
LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"

HUB = "clusters are the hub's; connect to it with leafnodes { remotes [...] }"
NO_TLS = "connections are not encrypted yet"
NO_JWT = "the edge checks user and password, or a token"
NO_MAPS = "the edge does not map subjects"
REFUSED = {
    "cluster": HUB,
    "gateway": HUB,
    **dict.fromkeys(("tls", "allow_non_tls", "https", "https_port", "ocsp", "ocsp_cache"), NO_TLS),
    **dict.fromkeys(("operator", "operators", "roots", "root", "root_operators", "root_operator"), NO_JWT),
    **dict.fromkeys(("resolver", "account_resolver", "accounts_resolver", "resolver_tls"), NO_JWT),
    **dict.fromkeys(("resolver_preload", "resolver_pinned_accounts", "default_sentinel"), NO_JWT),
    **dict.fromkeys(("trusted", "trusted_keys"), NO_JWT),
    **dict.fromkeys(("mappings", "maps"), NO_MAPS),
    **dict.fromkeys(("websocket", "ws"), "the edge has no websocket listener yet"),
    **dict.fromkeys(("proxies", "proxy_protocol"), "clients connect directly"),
    "default_js_domain": "every edge has a JetStream domain of its own",
}
IGNORED = (
    *("client_advertise", "logtime_utc", "log_size_limit", "logfile_size_limit", "log_max_num", "logfile_max_num"),
    *("syslog", "remote_syslog", "prof_port", "prof_block_rate", "http_base_path", "max_traced_msg_len"),
    *("max_sub_tokens", "max_subscription_tokens", "write_timeout", "lame_duck_duration", "lame_duck_grace_period"),
    *("no_system_account", "no_system", "no_sys_acc", "no_header_support", "connect_error_reports"),
    *("reconnect_error_reports", "server_tags", "server_metadata", "feature_flags", "no_fast_producer_stall"),
    *("max_closed_clients", "disable_sublist_cache", "no_sublist_cache"),
)


def load_config(path: str | None, flags: Flags, environ: Mapping[str, str]) -> Config:
    """Raises ConfigError with the place of the first mistake.  Flags override the file."""
    config = read_config(path, environ) if path else Config()
    return settle(apply_flags(config, flags), environ)


def read_config(path: str, environ: Mapping[str, str]) -> Config:
    """The file alone: hosts and directories it does not name are still empty."""
    return config_from(parse_file(path, environ), path)


def config_from(block: Block, path: str) -> Config:
    warnings: list[str] = []
    if not block.entries:
        warnings.append(f"{path}: the configuration is empty")
    top = Fields(block, "the configuration", warnings)
    config = _limits(top, _top(top, path))._replace(
        http=_http(top),
        jetstream=_jetstream(top),
        leafnodes=_leafnodes(top),
    )
    config = _access(top, config)
    mqtt, uplinks = top.inner("mqtt"), top.inner("uplink", "uplinks")
    config = config._replace(
        mqtt=read_mqtt(mqtt) if mqtt else None, uplinks=read_uplinks(uplinks) if uplinks else ()
    )
    top.finish(REFUSED, IGNORED)
    _check(top, config)
    if config.uplinks and not config.leafnodes.remotes:
        warnings.append(f"{path}: uplink without a remote in leafnodes: everything is kept, nothing leaves")
    return config._replace(warnings=tuple(warnings))


# ---- from the file


def _top(top: Fields, path: str) -> Config:
    name = top.string("server_name", default="")
    if any(char.isspace() for char in name):
        fail(top.place("server_name"), f"server_name: expected a name without white space, found {name!r}")
    verbose = top.boolean("trace_verbose", default=False) or top.boolean("trace_headers", default=False)
    return Config(
        path=path,
        listen=read_listen(top, CLIENT_PORT),
        server_name=name,
        log=Log(
            file=top.string("log_file", "logfile", default=""),
            time=top.boolean("logtime", default=True),
            debug=top.boolean("debug", default=False),
            trace=top.boolean("trace", default=False) or verbose,
        ),
        pid_file=top.string("pid_file", "pidfile", default=""),
        ports_file_dir=top.string("ports_file_dir", default=""),
    )


def _limits(top: Fields, config: Config) -> Config:
    """Zero is the default, as in nats-server, but for counts, where it is no limit."""

    def number(*names: str, default: int, highest: int = MAX_INT32) -> int:
        return top.integer(*names, lowest=0, highest=highest, default=0) or default

    connections = top.integer("max_connections", "max_conn", lowest=-1, highest=MAX_INT32, default=None)
    subscriptions = top.integer("max_subscriptions", "max_subs", lowest=-1, highest=MAX_INT32, default=0)
    return config._replace(
        max_payload_bytes=number("max_payload", default=config.max_payload_bytes),
        max_control_line_bytes=number("max_control_line", default=config.max_control_line_bytes),
        max_pending_bytes=number("max_pending", default=config.max_pending_bytes, highest=MAX_INT64),
        max_connections=config.max_connections if connections is None else connections if connections > 0 else None,
        max_subscriptions=subscriptions if subscriptions > 0 else None,
        ping_interval_ns=top.duration_ns("ping_interval", default=0) or config.ping_interval_ns,
        ping_max=number("ping_max", default=config.ping_max),
        write_deadline_ns=top.duration_ns("write_deadline", default=0) or config.write_deadline_ns,
    )


def _http(top: Fields) -> Listen | None:
    """Monitoring.  A port of 0 is none."""
    entry, port_entry = top.entry("http"), top.entry("http_port", "monitor_port")
    if entry and port_entry:
        fail(port_entry.place, f"{port_entry.key!r} says the same as 'http' in line {entry.place.line}")
    if entry:
        return None if entry.value.data == 0 else address(entry, 0)
    port = top.integer("http_port", "monitor_port", lowest=-1, highest=MAX_PORT, default=0)
    return Listen("", port_number(port, 0)) if port else None


def _jetstream(top: Fields) -> JetStream | None:
    """``store_dir`` may also stand outside of the block."""
    entry = top.entry("jetstream")
    outside = top.entry("store_dir", "storedir")
    jetstream = read_jetstream(entry, top.warnings) if entry else None
    if outside is None or jetstream is None:
        return jetstream
    if jetstream.store_dir:
        fail(outside.place, "store_dir is given here and in jetstream { ... }: expected one of them")
    return jetstream._replace(store_dir=top.string("store_dir", "storedir", default=""))


def _leafnodes(top: Fields) -> LeafNodes:
    block = top.inner("leafnodes", "leaf")
    return read_leafnodes(block) if block else LeafNodes()


def _access(top: Fields, config: Config) -> Config:
    block, entry = top.inner("authorization"), top.entry("accounts")
    authorization = read_authorization(block) if block else Authorization()
    accounts: tuple[AccountSpec, ...] = ()
    members: tuple[User, ...] = ()
    if entry:
        accounts, members = read_accounts(entry, top.warnings)
    if members and authorization.token:
        fail(top.place("authorization"), "a token and the users of accounts exclude each other")
    _refuse_duplicates(top, authorization.users + members)
    return config._replace(
        authorization=authorization._replace(
            users=authorization.users + members, no_auth_user=top.string("no_auth_user", default="")
        ),
        accounts=accounts,
        system_account=top.string("system_account", "system", default=SYSTEM_ACCOUNT),
    )


def _refuse_duplicates(top: Fields, users: tuple[User, ...]) -> None:
    accounts: dict[str, str] = {}
    for user in users:
        if user.name in accounts:
            place = top.place("accounts")
            fail(place, f"user {user.name!r} is in account {accounts[user.name]} and in account {user.account}")
        accounts[user.name] = user.account


# ---- what must hold between the parts


def _check(top: Fields, config: Config) -> None:
    accounts = {GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, *(account.name for account in config.accounts)}
    users = {user.name for user in config.authorization.users}
    if config.system_account not in accounts:
        fail(top.place("system_account", "system"), f"system_account: no account {config.system_account!r} in accounts")
    if config.system_account == GLOBAL_ACCOUNT:
        fail(top.place("system_account", "system"), "system_account: the global account cannot be the system account")
    if config.authorization.no_auth_user and config.authorization.no_auth_user not in users:
        fail(top.place("no_auth_user"), f"no_auth_user: no user {config.authorization.no_auth_user!r} is configured")
    if config.mqtt and config.mqtt.no_auth_user and config.mqtt.no_auth_user not in users:
        fail(top.place("mqtt"), f"no_auth_user: no user {config.mqtt.no_auth_user!r} is configured")
    for remote in config.leafnodes.remotes:
        if remote.account not in accounts:
            fail(top.place("leafnodes", "leaf"), f"remote: no account {remote.account!r} in accounts")
    if config.max_payload_bytes > config.max_pending_bytes:
        fail(top.place("max_payload"), "max_payload: cannot be higher than max_pending")


# ---- what the file and the flags left open


def settle(config: Config, environ: Mapping[str, str]) -> Config:
    """Hosts and directories that nobody named.

    Nothing listens on other than loopback without credentials, unless the configuration names the host; nats-server
    would listen everywhere.  Monitoring asks for no credentials, so it stays on loopback unless it is told.
    """
    host = config.listen.host or (LOOPBACK if config.authorization.anonymous else EVERYWHERE)
    mqtt, http, jetstream = config.mqtt, config.http, config.jetstream
    if config.uplinks and jetstream is None:
        raise ConfigError(config.path, 0, 0, "uplink needs a store: add jetstream { store_dir: ... }")
    return config._replace(
        listen=config.listen._replace(host=host),
        http=http and http._replace(host=http.host or LOOPBACK),
        mqtt=mqtt and mqtt._replace(listen=mqtt.listen._replace(host=mqtt.listen.host or _mqtt_host(config))),
        jetstream=jetstream and jetstream._replace(store_dir=jetstream.store_dir or _store_dir(environ)),
    )


def _mqtt_host(config: Config) -> str:
    assert config.mqtt is not None
    if config.listen.host:
        return config.listen.host
    anonymous = (config.mqtt.authorization or config.authorization).anonymous or config.mqtt.no_auth_user
    return LOOPBACK if anonymous else EVERYWHERE


def _store_dir(environ: Mapping[str, str]) -> str:
    """systemd names the unit's directory; without it the working directory, which unlike /tmp survives a reboot."""
    state = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return os.path.join(state, "jetstream") if state else "jetstream"
