"""Who decides about logins where it is not the list of users, as the configuration file says it."""

from typing import NamedTuple


class AuthCallout(NamedTuple):
    """A service in ``account`` that is asked for each login.  ``issuer``: the public account nkey that signs its
    answers; ``auth_users``: users (or public nkeys) that log in without it, the service itself among them; ``xkey``:
    the public curve key that requests are encrypted to, or empty; ``allowed_accounts``: where it may place users,
    ``*``: everywhere (operator mode)."""

    issuer: str
    account: str
    auth_users: tuple[str, ...]
    xkey: str = ""
    allowed_accounts: tuple[str, ...] = ()


class Operator(NamedTuple):
    """Operator mode: accounts and users are JWTs.

    ``jwts``: the operators' own; ``trusted_keys``: public operator keys in their place.  ``resolver``: MEMORY, FULL,
    CACHE or URL; ``resolver_url`` is what goes before the account's key.  ``resolver_limit``: accounts kept (0: any
    number); ``resolver_ttl_ns``: 0: for ever.  ``preload``: (account key, JWT).  ``default_sentinel``: the JWT of the
    user that a client without credentials is.
    """

    jwts: tuple[str, ...] = ()
    trusted_keys: tuple[str, ...] = ()
    system_account: str = ""
    resolver: str = ""
    resolver_url: str = ""
    resolver_dir: str = ""
    resolver_limit: int = 0
    resolver_ttl_ns: int = 0
    resolver_interval_ns: int = 0
    resolver_timeout_ns: int = 0
    allow_delete: bool = False
    hard_delete: bool = False
    preload: tuple[tuple[str, str], ...] = ()
    pinned_accounts: tuple[str, ...] = ()
    default_sentinel: str = ""
