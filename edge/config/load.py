"""The configuration of the edge, from its file, its flags and its environment.  ``load_config`` is the entry point.

The file is nats-server's: a working leaf configuration is accepted as it is.  What nats-server knows and the edge
does not is an error where leaving it out would change who may do what or where messages go, and a warning otherwise.
"""

import os
import time
from collections.abc import Mapping
from typing import TypeVar

from edge.config.access import OPERATOR_KEYS, read_authorization
from edge.config.accounts import Accounts, read_accounts
from edge.config.check import check, refuse_duplicates
from edge.config.digest import digest
from edge.config.fields import Fields, fail
from edge.config.jetstream import read_jetstream
from edge.config.leafs import read_leafnodes
from edge.config.mappings import read_mappings
from edge.config.options import SYSTEM_ACCOUNT, Authorization, Config, JetStream, LeafNodes, Mqtt, WebSocket
from edge.config.parser import Block, parse_file
from edge.config.server import read_server
from edge.config.units import SECOND
from edge.config.uplinks import read_budget, read_uplinks
from edge.core.account_spec import AccountSpec
from edge.core.auth import GLOBAL_ACCOUNT
from edge.core.auth_spec import Operator
from edge.errors import ConfigError
from edge.flags import Flags, apply_flags

L = TypeVar("L", Mqtt, WebSocket)

LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"
TLS_TIMEOUT_NS = 2 * SECOND

HUB = "clusters are the hub's; connect to it with leafnodes { remotes [...] }"
NO_OCSP = "the status of certificates is not asked for; use short-lived certificates"
REFUSED = {
    "cluster": HUB,
    "gateway": HUB,
    **dict.fromkeys(("ocsp", "ocsp_cache"), NO_OCSP),
    "resolver_tls": "account JWTs are fetched with the system's certificate authorities",
    "proxies": "clients connect directly: the edge knows no proxies that sign",
    "default_js_domain": "every edge has a JetStream domain of its own",
}
IGNORED = (
    *("prof_port", "prof_block_rate", "connect_error_reports", "reconnect_error_reports", "feature_flags"),
    *("disable_sublist_cache", "no_sublist_cache"),
)

DOWNLINK_KEYS = ("commands", "desired", "reported", "files")


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
    config = read_server(top, Config(path=path, digest=digest(block), loaded_ns=time.time_ns()))
    config = _encryption(top, config)._replace(
        jetstream=_jetstream(top), leafnodes=_leafnodes(top), mqtt=_mqtt(top), websocket=_websocket(top)
    )
    config = _access(top, config)
    if (uplinks := top.inner("uplink", "uplinks")) is not None:
        names = [remote.name for remote in config.leafnodes.remotes if remote.name]
        config = config._replace(uplinks=read_uplinks(uplinks, names), uplink_budget=read_budget(uplinks))
    if any([top.entry(name) for name in DOWNLINK_KEYS]):
        from edge.config.downlink import read_downlink

        config = config._replace(downlink=read_downlink(top))
    top.finish(REFUSED, IGNORED)
    check(top, config)
    if config.uplinks and not config.leafnodes.remotes:
        warnings.append(f"{path}: uplink without a remote in leafnodes: everything is kept, nothing leaves")
    return config._replace(warnings=tuple(warnings))


# ---- from the file


def _encryption(top: Fields, config: Config) -> Config:
    config = config._replace(allow_non_tls=top.boolean("allow_non_tls", default=False))
    block = top.inner("tls")
    if block is None:
        return config
    from edge.config.tls import read_tls

    return config._replace(tls=read_tls(block))


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


def _mqtt(top: Fields) -> Mqtt | None:
    block = top.inner("mqtt")
    if block is None:
        return None
    from edge.config.mqtt import read_mqtt

    return read_mqtt(block)


def _websocket(top: Fields) -> WebSocket | None:
    block = top.inner("websocket", "ws")
    if block is None:
        return None
    from edge.config.websocket import read_websocket

    return read_websocket(block)


def _access(top: Fields, config: Config) -> Config:
    block, entry = top.inner("authorization"), top.entry("accounts")
    authorization = read_authorization(block) if block else Authorization(timeout_ns=0)
    accounts = read_accounts(entry, top.warnings) if entry else Accounts()
    if accounts.users and authorization.token:
        fail(top.place("authorization"), "a token and the users of accounts exclude each other")
    if accounts.users and block and block.entry("user", "username"):
        fail(top.place("authorization"), "a single user and the users of accounts exclude each other")
    users = authorization.users + accounts.users
    refuse_duplicates(top, users)
    operator = _operator(top)
    named = top.string("system_account", "system", default="")
    return config._replace(
        authorization=authorization._replace(users=users, no_auth_user=top.string("no_auth_user", default="")),
        accounts=_with_global(top, accounts.specs),
        operator=operator,
        system_account=named or (operator.system_account if operator else SYSTEM_ACCOUNT),
    )


def _operator(top: Fields) -> Operator | None:
    if not any([top.entry(*names) for names in OPERATOR_KEYS]):
        return None
    from edge.config.operator import read_operator

    return read_operator(top)


def _with_global(top: Fields, specs: tuple[AccountSpec, ...]) -> tuple[AccountSpec, ...]:
    mappings = read_mappings(top)
    return (AccountSpec(GLOBAL_ACCOUNT, mappings=mappings), *specs) if mappings else specs


# ---- what the file and the flags left open


def settle(config: Config, environ: Mapping[str, str]) -> Config:
    """Hosts, directories and times that nobody named.

    Nothing listens on other than loopback without credentials, unless the configuration names the host; nats-server
    would listen everywhere.  Monitoring asks for no credentials, so it stays on loopback unless it is told.
    """
    mqtt, websocket, http, https, jetstream = (
        config.mqtt, config.websocket, config.http, config.https, config.jetstream
    )  # fmt: skip
    _check_settled(config)
    return config._replace(
        listen=config.listen._replace(host=config.listen.host or _host(config, None, "")),
        http=http and http._replace(host=http.host or LOOPBACK),
        https=https and https._replace(host=https.host or LOOPBACK),
        mqtt=mqtt and _settle_listener(config, mqtt),
        websocket=websocket and _settle_listener(config, websocket),
        leafnodes=_settle_leafs(config),
        jetstream=jetstream and jetstream._replace(store_dir=jetstream.store_dir or _store_dir(environ)),
        authorization=_settle_timeout(config),
        tls=config.tls and config.tls._replace(timeout_ns=config.tls.timeout_ns or TLS_TIMEOUT_NS),
    )


def _check_settled(config: Config) -> None:
    """What file and flags must not say together."""
    if config.uplinks and config.jetstream is None:
        raise ConfigError(config.path, 0, 0, "uplink needs a store: add jetstream { store_dir: ... }")
    if config.downlink and (config.jetstream is None or not config.leafnodes.remotes):
        wanted = "a store and a hub: add jetstream { store_dir: ... } and leafnodes { remotes: [ ... ] }"
        raise ConfigError(config.path, 0, 0, f"{', '.join(DOWNLINK_KEYS)}: need {wanted}")
    if config.http and config.https:
        raise ConfigError(config.path, 0, 0, "http and https exclude each other")
    if config.https and config.tls is None:
        raise ConfigError(config.path, 0, 0, "https needs a tls block with the certificate")


def _settle_listener(config: Config, listener: L) -> L:
    host = listener.listen.host or config.listen.host or _host(config, listener.authorization, listener.no_auth_user)
    tls = listener.tls and listener.tls._replace(timeout_ns=listener.tls.timeout_ns or TLS_TIMEOUT_NS)
    return listener._replace(listen=listener.listen._replace(host=host), tls=tls)


def _settle_leafs(config: Config) -> LeafNodes:
    """A leaf brings everything that its clients may do: it is let in like these."""
    leafnodes, listen = config.leafnodes, config.leafnodes.listen
    if listen is None:
        return leafnodes
    authorization = Authorization(listen.users) if listen.users else None
    host = listen.listen.host or config.listen.host or _host(config, authorization, "")
    tls = listen.tls and listen.tls._replace(timeout_ns=listen.tls.timeout_ns or TLS_TIMEOUT_NS)
    timeout_ns = listen.timeout_ns or Authorization().timeout_ns
    settled = listen._replace(listen=listen.listen._replace(host=host), tls=tls, timeout_ns=timeout_ns)
    return leafnodes._replace(listen=settled)


def _host(config: Config, authorization: Authorization | None, no_auth_user: str) -> str:
    anonymous = (authorization or config.authorization).anonymous and config.operator is None
    return LOOPBACK if anonymous or no_auth_user else EVERYWHERE


def _settle_timeout(config: Config) -> Authorization:
    """A handshake comes before CONNECT: where there is one, its time is added."""
    authorization = config.authorization
    if authorization.timeout_ns:
        return authorization
    if config.tls:
        return authorization._replace(timeout_ns=(config.tls.timeout_ns or TLS_TIMEOUT_NS) + SECOND)
    return authorization._replace(timeout_ns=Authorization().timeout_ns)


def _store_dir(environ: Mapping[str, str]) -> str:
    """systemd names the unit's directory; without it the working directory, which unlike /tmp survives a reboot."""
    state = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return os.path.join(state, "jetstream") if state else "jetstream"
