"""Who may come in, and into which account.

What a client says goes to an ``Authenticator`` as ``Credentials``; a ``Login`` or a ``Refusal`` comes back, at once or
later: a bcrypt hash takes a tenth of a second, an auth callout a round trip (reference: core.md section 3).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from edge.core.certificate import PeerCertificate
from edge.core.permissions import Permissions

GLOBAL_ACCOUNT = "$G"
AUTHORIZATION_VIOLATION = "Authorization Violation"


class Credentials(NamedTuple):
    """What one connection brings.  ``kind`` is a connection type of user JWTs: STANDARD, WEBSOCKET, MQTT, MQTT_WS,
    LEAFNODE, LEAFNODE_WS.  ``tls``: version and cipher of an encrypted connection, ``certificate`` the peer's where it
    showed one."""

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
    protocol: int = 0
    mqtt_id: str = ""
    tls: tuple[str, str] | None = None
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
    """``text`` goes to the client, ``reason`` to the log and to monitoring; ``withdrawn`` is both of them for a client
    that had been let in before."""

    text: str = AUTHORIZATION_VIOLATION
    reason: str = "Authentication Failure"
    withdrawn: tuple[str, str] | None = None


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


CheckHash = Callable[[str, str, Callable[[bool], None]], None]  # password, bcrypt hash, verdict


class ConfiguredUsers:
    """The users of a configuration, or a single token.  Without users and token everybody is let in.

    ``check_hash`` compares with bcrypt, where it does not hold up others.  ``by_certificate``: who a client is says
    its TLS certificate (verify_and_map).
    """

    def __init__(
        self,
        users: Iterable[User] = (),
        token: str = "",
        no_auth_user: str = "",
        account: str = GLOBAL_ACCOUNT,
        check_hash: CheckHash | None = None,
        by_certificate: bool = False,
    ) -> None:
        users = tuple(users)
        self.users = {user.name: user for user in users if not user.nkey}
        self.nkeys = {user.nkey: user for user in users if user.nkey}
        self.token = token
        self.no_auth_user = no_auth_user
        self.account = account
        self.check_hash = check_hash
        self.by_certificate = by_certificate

    @property
    def challenges(self) -> bool:
        return bool(self.nkeys)

    @property
    def required(self) -> bool:
        return self.is_closed and not self.no_auth_user

    @property
    def is_closed(self) -> bool:
        """Is not everybody let in?"""
        return bool(self.users or self.nkeys or self.token)

    def login(self, credentials: Credentials, answer: Answer) -> None:
        if not self.is_closed:
            answer(Login(self.account))
            return
        says_nothing = not (
            credentials.user or credentials.password or credentials.token or credentials.nkey or credentials.jwt
        )
        if self.users and self.by_certificate and not credentials.nkey:
            user = self._by_certificate(credentials)
            answer(admit(user) if user is not None and may_come_as(user, credentials) else Refusal())
        elif says_nothing and self.no_auth_user:
            known = self.users.get(self.no_auth_user) or self.nkeys.get(self.no_auth_user)
            answer(admit(known) if known is not None and may_come_as(known, credentials) else Refusal())
        elif credentials.nkey and self.nkeys:
            known = self.nkeys.get(credentials.nkey)
            answer(admit(known) if known is not None and has_signed(known, credentials) else Refusal())
        elif self.token:
            given = credentials.token or (credentials.user if not credentials.password else "")
            self._compare(given, self.token, Login(self.account), answer)
        else:
            self._by_password(credentials, answer)

    def _by_password(self, credentials: Credentials, answer: Answer) -> None:
        user = self.users.get(credentials.user)
        if user is None or not may_come_as(user, credentials):
            answer(Refusal())
        else:
            self._compare(credentials.password, user.password, admit(user), answer)

    def _compare(self, given: str, expected: str, login: Login, answer: Answer) -> None:
        if not is_bcrypt(expected):
            answer(login if _same(given, expected) else Refusal())
            return
        assert self.check_hash is not None, "there are hashes to compare with"
        self.check_hash(given, expected, lambda fits: answer(login if fits else Refusal()))

    def _by_certificate(self, credentials: Credentials) -> User | None:
        """By a name in the certificate: mail addresses, DNS names, URIs, then its subject."""
        certificate = credentials.certificate
        if certificate is None:
            return None
        for name in (*certificate.emails, *certificate.dns_names, *certificate.uris):
            if name in self.users:
                return self.users[name]
        mine = sorted(distinguished_names(certificate.subject))
        for name, user in self.users.items():
            if "=" in name and sorted(distinguished_names(name)) == mine:
                return user
        return self.users.get(certificate.subject)


def admit(user: User) -> Login:
    return Login(user.account, user.name or user.nkey, user.permissions, nkey=user.nkey)


def may_come_as(user: User, credentials: Credentials) -> bool:
    """By this kind of connection?"""
    return not user.kinds or credentials.kind in user.kinds


def has_signed(user: User, credentials: Credentials) -> bool:
    return may_come_as(user, credentials) and signed_nonce(user.nkey, credentials)


def signed_nonce(nkey: str, credentials: Credentials) -> bool:
    """Has the owner of this nkey signed what INFO asked for?"""
    from edge.core.nkeys import decode_base64, verify  # where there are nkeys

    if not credentials.nonce or not credentials.signature:
        return False
    try:
        signature = decode_base64(credentials.signature)
    except ValueError:
        return False
    return verify(nkey, credentials.nonce.encode(), signature)


def distinguished_names(text: str) -> list[tuple[str, str]]:
    """``CN=derek,O=Sensors`` as pairs, types in upper case; what is no pair is passed over."""
    found = []
    for part in text.replace("\\,", "\0").split(","):
        name, equals, value = part.partition("=")
        if equals:
            found.append((name.strip().upper(), value.strip().replace("\0", ",")))
    return found


def is_bcrypt(password: str) -> bool:
    return password.startswith(("$2a$", "$2b$", "$2x$", "$2y$"))


def _same(given: str, expected: str) -> bool:
    import hmac  # brings OpenSSL: only where passwords are checked

    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
