"""Who may come in: ``authorization``, its users, and the users of accounts."""

from collections.abc import Iterable

from edge.config.fields import Fields, fail, fields, text
from edge.config.lexer import Place
from edge.config.options import Authorization
from edge.config.parser import Value
from edge.config.permissions import read_permissions
from edge.core.auth import GLOBAL_ACCOUNT, User
from edge.core.auth_spec import AuthCallout
from edge.core.permissions import Permissions

KINDS = frozenset(("STANDARD", "WEBSOCKET", "LEAFNODE", "LEAFNODE_WS", "MQTT", "MQTT_WS", "IN_PROCESS"))
DEFAULT = Authorization()

# Of operator mode, with their other names.
OPERATOR = ("operator", "operators", "roots", "root", "root_operators", "root_operator")
TRUSTED = ("trusted_keys", "trusted")
RESOLVER = ("resolver", "account_resolver", "accounts_resolver")
NEEDS_OPERATOR = (RESOLVER, ("resolver_preload",), ("resolver_pinned_accounts",), ("default_sentinel",))
OPERATOR_KEYS = (OPERATOR, TRUSTED, *NEEDS_OPERATOR)

DIRECT = "clients connect directly: the edge knows no proxies that sign"
REFUSED = {"proxy_required": DIRECT}


def read_authorization(block: Fields) -> Authorization:
    """The top-level block; its users belong to the global account."""
    name = block.string("user", "username", default="")
    password = block.string("password", "pass", default="")
    token = block.string("token", default="")
    timeout_ns = block.seconds_ns("timeout", default=0)
    default = read_permissions(block, "default_permissions", "default_permission", "permissions")
    listed = block.items("users")
    callout = block.inner("auth_callout", "auth_hook")
    auth_callout = _auth_callout(callout) if callout else None
    block.finish(REFUSED)
    if password and not name:
        fail(block.place("password", "pass"), "a password needs a user beside it")
    if token and (name or listed is not None):
        fail(block.place("token"), "a token and users exclude each other")
    if name and listed is not None:
        fail(block.place("user", "username"), "a single user and a list of users exclude each other")
    users = read_users(listed or [], GLOBAL_ACCOUNT, default, block.warnings)
    if name:
        users = (User(name, password, GLOBAL_ACCOUNT, default),)
    return Authorization(users, token, timeout_ns, auth_callout=auth_callout)


def simple_authorization(block: Fields) -> Authorization | None:
    """One user or a token: the own of a listener for MQTT or browsers."""
    inner = block.inner("authorization", "authentication")
    if inner is None:
        return None
    name = inner.string("user", "username", default="")
    password = inner.string("password", "pass", default="")
    token = inner.string("token", default="")
    timeout_ns = inner.seconds_ns("timeout", default=0)
    inner.finish()
    if password and not name:
        fail(inner.place("password", "pass"), "a password needs a user beside it")
    if token and name:
        fail(inner.place("token"), "a token and a user exclude each other")
    users = (User(name, password, GLOBAL_ACCOUNT),) if name else ()
    return Authorization(users, token, timeout_ns or DEFAULT.timeout_ns)


def read_users(
    values: Iterable[Value], account: str, default: Permissions | None, warnings: list[str]
) -> tuple[User, ...]:
    users: dict[str, User] = {}
    for value in values:
        user = _user(value, account, default, warnings)
        if identity(user) in users:
            fail(value.place, f"user {identity(user)!r} is listed twice")
        users[identity(user)] = user
    return tuple(users.values())


def identity(user: User) -> str:
    return user.name or user.nkey


def _user(value: Value, account: str, default: Permissions | None, warnings: list[str]) -> User:
    """By name and password, or by nkey."""
    block = fields(value, "user", warnings)
    name = block.string("user", "username", default="")
    password = block.string("password", "pass", default="")
    nkey = block.string("nkey", default="")
    permissions = read_permissions(block, "permissions", "permission", "authorization")
    kinds = _kinds(block)
    block.finish(REFUSED)
    if nkey:
        check_nkey(nkey, "U", block.place("nkey"), "nkey: expected the public nkey of a user")
        if name or password:
            fail(block.place("nkey"), "a user with an nkey has no name and no password")
        return User("", "", account, permissions or default, nkey, kinds)
    if not name:
        fail(value.place, "an entry of users needs a user or an nkey")
    return User(name, password, account, permissions or default, "", kinds)


def _kinds(block: Fields) -> frozenset[str]:
    names = ("allowed_connection_types", "connection_types", "clients")
    kinds = frozenset(kind.upper() for kind in block.strings(*names))
    for kind in sorted(kinds - KINDS):
        fail(block.place(*names), f"{names[0]}: expected some of {', '.join(sorted(KINDS))}, found {kind!r}")
    return kinds


def _auth_callout(block: Fields) -> AuthCallout:
    callout = AuthCallout(
        issuer=block.string("issuer", default=""),
        account=block.string("account", "acc", default=GLOBAL_ACCOUNT),
        auth_users=tuple(text(item, "auth_users") for item in block.items("auth_users", "users") or ()),
        xkey=block.string("xkey", "key", default=""),
        allowed_accounts=tuple(text(item, "allowed_accounts") for item in block.items("allowed_accounts") or ()),
    )
    block.finish()
    if not callout.issuer:
        fail(block.block.place, "auth_callout: expected an issuer, the public nkey that signs the answers")
    check_nkey(callout.issuer, "A", block.place("issuer"), "issuer: expected the public nkey of an account")
    if not callout.auth_users:
        fail(block.block.place, "auth_callout: expected auth_users, the users that the service itself logs in with")
    if callout.xkey:
        check_nkey(callout.xkey, "X", block.place("xkey", "key"), "xkey: expected a public curve key")
    return callout


def check_nkey(key: str, kind: str, place: Place, expected: str) -> None:
    from edge.core.nkeys import is_public  # where there are nkeys

    if not is_public(key, kind):
        fail(place, f"{expected} ({kind}...), found {key!r}")
