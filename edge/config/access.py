"""Who may come in and do what: ``authorization``, ``accounts``, users and their permissions."""

from edge.config.fields import Fields, fail, fields, text, texts, wrong
from edge.config.lexer import BCRYPT, Place
from edge.config.options import Authorization
from edge.config.parser import Block, Entry, Value
from edge.core.account_spec import AccountSpec, JetStreamLimits
from edge.core.auth import GLOBAL_ACCOUNT, User
from edge.core.permissions import Permissions, SubjectRule
from edge.subjects import is_valid

UNLIMITED = -1
MAX_COUNT = 2**31 - 1

LATER_AUTH = "the edge checks user and password, or a token"
REFUSED_AUTH = dict.fromkeys(("auth_callout", "auth_hook", "proxy_required"), LATER_AUTH)
REFUSED_USER = {
    **dict.fromkeys(("allowed_connection_types", "connection_types", "clients"), "it would not be enforced"),
    "nkey": LATER_AUTH,
    "proxy_required": LATER_AUTH,
}
REFUSED_PERMISSIONS = dict.fromkeys(
    ("allow_responses", "publish_allow_responses"), "allow the reply subjects themselves, such as _INBOX.>"
)
REFUSED_ACCOUNT = {
    **dict.fromkeys(("imports", "exports"), "accounts of the edge do not share subjects"),
    **dict.fromkeys(("mappings", "maps"), "the edge does not map subjects"),
    "limits": "they would not be enforced",
    "nkey": LATER_AUTH,
}
IGNORED_ACCOUNT = ("msg_trace", "trace_dest")
REFUSED_ACCOUNT_JETSTREAM = dict.fromkeys(
    (
        *("max_bytes_required", "max_stream_bytes", "max_bytes", "max_ack_pending"),
        *("mem_max_stream_bytes", "memory_max_stream_bytes", "disk_max_stream_bytes", "store_max_stream_bytes"),
    ),
    "it would not be enforced",
)


def read_authorization(block: Fields) -> Authorization:
    """The top-level block; its users belong to the global account."""
    name = block.string("user", "username", default="")
    password = _password(block)
    token = block.string("token", default="")
    timeout_ns = block.seconds_ns("timeout", default=Authorization().timeout_ns)
    default = _permissions(block, "default_permissions", "default_permission", "permissions")
    listed = block.items("users")
    block.finish(REFUSED_AUTH)
    if password and not name:
        fail(block.place("password", "pass"), "a password needs a user beside it")
    if token and (name or listed is not None):
        fail(block.place("token"), "a token and users exclude each other")
    if name and listed is not None:
        fail(block.place("user", "username"), "a single user and a list of users exclude each other")
    if token.startswith(BCRYPT):
        _refuse_bcrypt(block.place("token"))
    users = _users(listed or [], GLOBAL_ACCOUNT, default, block.warnings)
    if name:
        users = (User(name, password, GLOBAL_ACCOUNT, default),)
    return Authorization(users, token, timeout_ns or Authorization().timeout_ns)


def read_accounts(entry: Entry, warnings: list[str]) -> tuple[tuple[AccountSpec, ...], tuple[User, ...]]:
    """``accounts { A { users: [...], jetstream: enabled } }``, or just names: ``accounts: [A, B]``."""
    data = entry.value.data
    if isinstance(data, list):
        names = [text(item, entry.key) for item in data]
        for name, item in zip(names, data, strict=True):
            _check_account_name(name, names, item.place)
        return tuple(AccountSpec(name) for name in names), ()
    if not isinstance(data, Block):
        wrong(entry.value, entry.key, "a block { ... } or a list of names")
    accounts: list[AccountSpec] = []
    users: list[User] = []
    for inner in data.entries.values():
        if inner.referenced and not isinstance(inner.value.data, Block):
            continue  # a variable
        _check_account_name(inner.key, [inner.key], inner.place)
        account, members = _account(inner, warnings)
        accounts.append(account)
        users += members
    return tuple(accounts), tuple(users)


def _check_account_name(name: str, names: list[str], place: Place) -> None:
    if name == GLOBAL_ACCOUNT:
        fail(place, f"{name} is the global account and cannot be defined; its users stand in authorization")
    if names.count(name) > 1:
        fail(place, f"account {name!r} is listed twice")


def _account(entry: Entry, warnings: list[str]) -> tuple[AccountSpec, tuple[User, ...]]:
    block = fields(entry.value, f"account {entry.key}", warnings)
    default = _permissions(block, "default_permissions")
    users = _users(block.items("users") or [], entry.key, default, warnings)
    jetstream = block.entry("jetstream")
    account = AccountSpec(entry.key, jetstream=_account_jetstream(jetstream, warnings) if jetstream else None)
    block.finish(REFUSED_ACCOUNT, IGNORED_ACCOUNT)
    return account, users


def _account_jetstream(entry: Entry, warnings: list[str]) -> JetStreamLimits | None:
    if not isinstance(entry.value.data, Block):
        return JetStreamLimits() if switched_on(entry) else None
    block = fields(entry.value, "jetstream", warnings)
    limits = JetStreamLimits(
        max_memory_bytes=_limit(block.size_bytes("max_memory", "max_mem", "mem", "memory", default=UNLIMITED)),
        max_file_bytes=_limit(
            block.size_bytes("max_file", "max_store", "max_disk", "store", "disk", default=UNLIMITED)
        ),
        max_streams=_count(block, "max_streams", "streams"),
        max_consumers=_count(block, "max_consumers", "consumers"),
    )
    block.finish(REFUSED_ACCOUNT_JETSTREAM, ("cluster_traffic",))
    return limits


def switched_on(entry: Entry) -> bool:
    """``true``, ``enabled`` and their opposites."""
    match entry.value.data:
        case bool() as on:
            return on
        case str() as word if word.lower() in ("enabled", "enable"):
            return True
        case str() as word if word.lower() in ("disabled", "disable"):
            return False
    wrong(entry.value, entry.key, "enabled, disabled or a block { ... }")


def _count(block: Fields, *names: str) -> int | None:
    return _limit(block.integer(*names, lowest=UNLIMITED, highest=MAX_COUNT, default=UNLIMITED))


def _limit(number: int) -> int | None:
    return None if number < 0 else number


# ---- users and permissions


def _users(
    values: list[Value], account: str, default: Permissions | None, warnings: list[str]
) -> tuple[User, ...]:
    users: dict[str, User] = {}
    for value in values:
        block = fields(value, "user", warnings)
        name = block.string("user", "username", default="")
        password = _password(block)
        permissions = _permissions(block, "permissions", "permission", "authorization")
        block.finish(REFUSED_USER)
        if not name:
            fail(value.place, "an entry of users needs a user")
        if name in users:
            fail(value.place, f"user {name!r} is listed twice")
        users[name] = User(name, password, account, permissions or default)
    return tuple(users.values())


def _password(block: Fields) -> str:
    password = block.string("password", "pass", default="")
    if password.startswith(BCRYPT):
        _refuse_bcrypt(block.place("password", "pass"))
    return password


def _refuse_bcrypt(place: Place) -> None:
    fail(place, "bcrypt hashes are known to nats-server, but not supported here: give the password itself")


def _permissions(block: Fields, *names: str) -> Permissions | None:
    inner = block.inner(*names)
    if inner is None:
        return None
    permissions = Permissions(
        publish=_rule(inner, "publish", "pub", "import"), subscribe=_rule(inner, "subscribe", "sub", "export")
    )
    inner.finish(REFUSED_PERMISSIONS)
    return permissions


def _rule(block: Fields, *names: str) -> SubjectRule:
    """A subject, a list of them (both: allow), or ``{ allow: ..., deny: ... }``."""
    entry = block.entry(*names)
    if entry is None:
        return SubjectRule()
    if not isinstance(entry.value.data, Block):
        return SubjectRule(allow=_patterns(entry))
    inner = fields(entry.value, entry.key, block.warnings)
    allow, deny = inner.entry("allow"), inner.entry("deny")
    inner.finish()
    return SubjectRule(_patterns(allow) if allow else None, _patterns(deny) if deny else ())


def _patterns(entry: Entry) -> tuple[str, ...]:
    patterns = texts(entry.value, entry.key)
    for pattern in patterns:
        if not is_valid(pattern):
            queue = " (limits for queue groups are not supported here)" if " " in pattern else ""
            fail(entry.place, f"{entry.key}: {pattern!r} is not a valid subject{queue}")
    return patterns
