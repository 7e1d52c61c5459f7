"""Who may come in, and into which account.

What a client says goes to an ``Authenticator`` as ``Credentials``; a ``Login`` or a ``Refusal`` comes back, at once or
later: a bcrypt hash takes a tenth of a second, an auth callout a round trip (reference: core.md section 3).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from edge.core.certificate import PeerCertificate
from edge.core.permissions import Permissions

GLOBAL_ACCOUNT = "$G"
AUTHORIZATION_VIOLATION = "Authorization Violation"


class Credentials(NamedTuple):
    """What one connection brings.  ``kind`` is a connection type of user JWTs: STANDARD, WEBSOCKET, MQTT, MQTT_WS,
    LEAFNODE, LEAFNODE_WS.  ``certificate`` is the peer's TLS certificate where it was verified."""

    user: str = ""
    password: str = ""
    token: str = ""
    nkey: str = ""
    signature: str = ""
    jwt: str = ""
    nonce: str = ""
    kind: str = "STANDARD"
    ip: str = ""
    cid: int = 0
    name: str = ""
    lang: str = ""
    version: str = ""
    certificate: PeerCertificate | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A user of the configuration: by name and password (plain or bcrypt), or by the public part of an nkey."""

    name: str
    password: str = ""
    account: str = GLOBAL_ACCOUNT
    permissions: Permissions | None = None
    nkey: str = ""
    kinds: frozenset[str] = frozenset()  # allowed connection types; empty: all


@dataclass(frozen=True, slots=True)
class Login:
    """An admitted client.  Limits are None where the user has none of their own; ``expires_ns`` is wall time."""

    account: str
    user: str = ""
    permissions: Permissions | None = None
    max_subscriptions: int | None = None
    max_payload: int | None = None
    expires_ns: int | None = None
    nkey: str = ""
    jwt: str = ""
    issuer_key: str = ""
    name_tag: str = ""
    tags: tuple[str, ...] = ()


class Refusal(NamedTuple):
    """``text`` goes to the client, ``reason`` to the log and to monitoring."""

    text: str = AUTHORIZATION_VIOLATION
    reason: str = "Authentication Failure"


Answer = Callable[[Login | Refusal], None]


class Authenticator(Protocol):
    @property
    def account(self) -> str:
        """Where clients are until they have logged in."""

    @property
    def required(self) -> bool:
        """Must a client send credentials?"""

    @property
    def challenges(self) -> bool:
        """Does INFO carry a nonce to sign?"""

    def login(self, credentials: Credentials, answer: Answer) -> None:
        """Call ``answer`` with the verdict, now or in a later turn of the loop; once."""


class ConfiguredUsers:
    """Names and passwords, or a single token.  Without users and token everybody is let in."""

    challenges = False

    def __init__(
        self, users: tuple[User, ...] = (), token: str = "", no_auth_user: str = "", account: str = GLOBAL_ACCOUNT
    ) -> None:
        self.users = {user.name: user for user in users}
        self.token = token
        self.no_auth_user = no_auth_user
        self.account = account

    @property
    def required(self) -> bool:
        return bool(self.users or self.token) and not self.no_auth_user

    def login(self, credentials: Credentials, answer: Answer) -> None:
        answer(self._login(credentials.user, credentials.password, credentials.token) or Refusal())

    def _login(self, user: str, password: str, token: str) -> Login | None:
        if not self.users and not self.token:
            return Login(self.account)
        if not user and not password and not token and self.no_auth_user:
            return _admit(self.users[self.no_auth_user])
        if self.token:
            given = token or (user if not password else "")
            return Login(self.account) if _same(given, self.token) else None
        known = self.users.get(user)
        if known is None or not _same(password, known.password):
            return None
        return _admit(known)


def _admit(user: User) -> Login:
    return Login(user.account, user.name, user.permissions)


def _same(given: str, expected: str) -> bool:
    import hmac  # brings OpenSSL: only where passwords are checked

    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
