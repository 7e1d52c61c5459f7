"""What must hold between the parts of a configuration.  nats-server finds much of this out when it starts."""

from edge.config.access import OPERATOR, TRUSTED, identity
from edge.config.fields import Fields, fail
from edge.config.options import SYSTEM_ACCOUNT, Config
from edge.core.account_spec import AccountSpec
from edge.core.auth import GLOBAL_ACCOUNT, User

AUTH_NAMES = ("authorization",)
SYSTEM_NAMES = ("system_account", "system")


def check(top: Fields, config: Config) -> None:
    names = frozenset((GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, *(account.name for account in config.accounts)))
    if config.operator:
        _check_operator(top, config)
    else:
        _check_accounts(top, config, names)
    _check_users(top, config)
    _check_tls(top, config)
    if config.max_payload_bytes > config.max_pending_bytes:
        fail(top.place("max_payload"), "max_payload: cannot be higher than max_pending")


def refuse_duplicates(top: Fields, users: tuple[User, ...]) -> None:
    accounts: dict[str, str] = {}
    for user in users:
        name = identity(user)
        if name in accounts:
            place = top.place("accounts")
            fail(place, f"user {name!r} is in account {accounts[name]} and in account {user.account}")
        accounts[name] = user.account


def _check_operator(top: Fields, config: Config) -> None:
    place = top.place(*OPERATOR) if top.entry(*OPERATOR) else top.place(*TRUSTED)
    written: list[AccountSpec] = [account for account in config.accounts if account.name != GLOBAL_ACCOUNT]
    if written:
        fail(place, "operator: accounts are JWTs; none can stand in the configuration")
    if config.authorization.users or config.authorization.token:
        fail(place, "operator: users are JWTs; none can stand in the configuration")
    if config.authorization.auth_callout:
        fail(place, "operator: an auth_callout is set up in the JWT of an account")
    if config.leafnodes.listen is not None and config.leafnodes.listen.users:
        fail(top.place("leafnodes", "leaf"), "operator: leafs log in with JWTs; none can stand in the file")
    if config.authorization.no_auth_user:
        fail(top.place("no_auth_user"), "no_auth_user: users are JWTs; see default_sentinel")


def _check_accounts(top: Fields, config: Config, names: frozenset[str]) -> None:
    system = config.system_account
    if system not in names:
        fail(top.place(*SYSTEM_NAMES), f"system_account: no account {system!r} in accounts")
    if system == GLOBAL_ACCOUNT:
        fail(top.place(*SYSTEM_NAMES), "system_account: the global account cannot be the system account")
    for remote in config.leafnodes.remotes:
        if remote.account not in names:
            fail(top.place("leafnodes", "leaf"), f"remote: no account {remote.account!r} in accounts")
    if config.leafnodes.listen is not None:
        listen = config.leafnodes.listen
        for name in (listen.account, *(user.account for user in listen.users)):
            if name not in names:
                fail(top.place("leafnodes", "leaf"), f"authorization: no account {name!r} in accounts")
    callout = config.authorization.auth_callout
    if callout:
        for name in (callout.account, *callout.allowed_accounts):
            if name not in names:
                fail(top.place(*AUTH_NAMES), f"auth_callout: no account {name!r} in accounts")
    if config.no_system_account and any(export.latency for spec in config.accounts for export in spec.exports):
        fail(top.place("accounts"), "latency: it is measured by the system account, which no_system_account leaves out")


def _check_users(top: Fields, config: Config) -> None:
    users = {identity(user) for user in config.authorization.users}
    listeners = [("no_auth_user", config.authorization.no_auth_user)]
    if config.mqtt:
        listeners.append(("mqtt", config.mqtt.no_auth_user))
    if config.websocket:
        listeners.append(("websocket", config.websocket.no_auth_user))
    for key, name in listeners:
        if name and name not in users:
            fail(top.place(key), f"no_auth_user: no user {name!r} is configured")
    if config.websocket and config.websocket.jwt_cookie and not config.operator:
        fail(top.place("websocket", "ws"), "jwt_cookie: nobody reads the JWT without an operator or trusted_keys")


def _check_tls(top: Fields, config: Config) -> None:
    if config.tls and not (config.tls.cert_file or config.tls.certificates):
        fail(top.place("tls"), "tls: expected cert_file and key_file")
    for key, listener in (("mqtt", config.mqtt), ("websocket", config.websocket)):
        tls = listener.tls if listener else None
        if tls and not (tls.cert_file or tls.certificates):
            fail(top.place(key), f"{key}: tls: expected cert_file and key_file")
    if config.allow_non_tls and not config.tls:
        top.warnings.append("allow_non_tls without tls: nothing is encrypted")
