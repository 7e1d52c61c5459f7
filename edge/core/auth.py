"""Who may come in, and into which account."""

from dataclasses import dataclass

from edge.core.permissions import Permissions


@dataclass(frozen=True, slots=True)
class User:
    name: str
    password: str
    account: str
    permissions: Permissions | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """An admitted client."""

    account: str
    user: str = ""
    permissions: Permissions | None = None


class Authenticator:
    """Checks names and passwords, or a single token.  Without users and token everybody is let in."""

    def __init__(
        self, users: tuple[User, ...] = (), token: str = "", no_auth_user: str = "", account: str = "$G"
    ) -> None:
        self.users = {user.name: user for user in users}
        self.token = token
        self.no_auth_user = no_auth_user
        self.account = account

    @property
    def required(self) -> bool:
        """Must a client send credentials?"""
        return bool(self.users or self.token) and not self.no_auth_user

    def login(self, user: str, password: str, token: str) -> Login | None:
        """The account for these credentials, or None for "Authorization Violation"."""
        if not self.users and not self.token:
            return Login(self.account)
        if not user and not password and not token and self.no_auth_user:
            return self._admit(self.users[self.no_auth_user])
        if self.token:
            given = token or (user if not password else "")
            return Login(self.account) if _same(given, self.token) else None
        known = self.users.get(user)
        if known is None or not _same(password, known.password):
            return None
        return self._admit(known)

    def _admit(self, user: User) -> Login:
        return Login(user.account, user.name, user.permissions)


def _same(given: str, expected: str) -> bool:
    import hmac  # brings OpenSSL: only where passwords are checked

    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
