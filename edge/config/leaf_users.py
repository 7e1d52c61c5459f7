"""``authorization`` of ``leafnodes``: users that are for leafs alone."""

from typing import NamedTuple

from edge.config.access import DIRECT, check_nkey
from edge.config.fields import Fields, fail, fields
from edge.config.parser import Value
from edge.core.auth import GLOBAL_ACCOUNT, User

REFUSED = {"proxy_required": DIRECT}


class LeafAccess(NamedTuple):
    """``users`` empty: the server's own are asked.  ``timeout_ns`` 0: as for clients."""

    users: tuple[User, ...] = ()
    account: str = GLOBAL_ACCOUNT
    timeout_ns: int = 0


def read_leaf_access(block: Fields) -> LeafAccess:
    """A single user or nkey, or a list of users."""
    name = block.string("user", "username", default="")
    password = block.string("pass", "password", default="")
    nkey = block.string("nkey", default="")
    account = block.string("account", default=GLOBAL_ACCOUNT)
    timeout_ns = block.seconds_ns("timeout", default=0)
    listed = block.items("users") or []
    block.finish(REFUSED)
    if nkey:
        check_nkey(nkey, "U", block.place("nkey"), "nkey: expected the public nkey of a user")
    if password and not name:
        fail(block.place("pass", "password"), "a password needs a user beside it")
    if listed and (name or nkey):
        fail(block.place("users"), "a single user or nkey and a list of users exclude each other")
    if nkey and name:
        fail(block.place("nkey"), "a user with an nkey has no name and no password")
    users = _users(listed, block.warnings)
    if nkey:
        users = (User("", "", account, nkey=nkey),)
    elif name:
        users = (User(name, password, account),)
    return LeafAccess(users, account, timeout_ns)


def _users(values: list[Value], warnings: list[str]) -> tuple[User, ...]:
    users: dict[str, User] = {}
    for value in values:
        block = fields(value, "user", warnings)
        name = block.string("user", "username", default="")
        password = block.string("pass", "password", default="")
        account = block.string("account", default=GLOBAL_ACCOUNT)
        block.finish(REFUSED)
        if not name:
            fail(value.place, "an entry of users needs a user")
        if name in users:
            fail(value.place, f"user {name!r} is listed twice")
        users[name] = User(name, password, account)
    return tuple(users.values())
