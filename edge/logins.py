"""Who decides about logins, at each listener: users of the configuration, JWTs, a service that is asked."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from edge.config.options import Config, LeafListen, Mqtt, WebSocket
from edge.core.account_spec import AccountSpec
from edge.core.auth import GLOBAL_ACCOUNT, Authenticator, ConfiguredUsers, User, is_bcrypt
from edge.core.router import Router
from edge.core.times import Clock
from edge.errors import StartError
from edge.net.info import NATS_LEVEL
from edge.net.ticker import Ticker
from edge.settings import access_of

if TYPE_CHECKING:  # loaded where it is configured
    from edge.core.auth_callout import ServerKeys
    from edge.core.auth_spec import Operator
    from edge.core.operator_accounts import Accounts, Resolver
    from edge.monitor.stamp import Stamp
    from edge.net.jwt_directory import JwtDirectory
    from edge.net.passwords import Passwords

log = logging.getLogger("edge")

Changed = Callable[[list[AccountSpec], Iterable[str]], None]


def server_keys(config: Config) -> "ServerKeys | None":
    """Where services are asked about logins, and have to believe that it is this server that asks."""
    if config.authorization.auth_callout is None and config.operator is None:
        return None
    from edge.core.auth_callout import ServerKeys

    return ServerKeys.create()


class Logins:
    """``keys`` None: nobody is asked.  ``configure`` again when the configuration has changed."""

    def __init__(
        self, router: Router, config: Config, server_id: str, server_name: str, keys: "ServerKeys | None"
    ) -> None:
        self.router = router
        self.config = config
        self.server_id = server_id
        self.server_name = server_name
        self.keys = keys
        self.loop = asyncio.get_running_loop()
        self.passwords: Passwords | None = None
        self.directory: JwtDirectory | None = None
        self.accounts: Accounts | None = None

    def configure(self, config: Config) -> None:
        before, self.config = self.config.operator, config
        if before is not None and config.operator is not None and before.preload != config.operator.preload:
            self._preload_again(config.operator)

    def _preload_again(self, operator: "Operator") -> None:
        """What the configuration holds may have changed; directories are changed over the system account."""
        from edge.core.jwt import ClaimsError
        from edge.net.jwt_directory import MemoryResolver

        if self.accounts is None or not isinstance(self.accounts.resolver, MemoryResolver):
            return
        jwts = self.accounts.resolver.jwts = dict(operator.preload)
        for key in list(self.accounts.rules):
            try:
                if key in jwts:
                    self.accounts.update(key, jwts[key])
                else:
                    self.accounts.remove(key)
            except ClaimsError as exc:
                log.error("resolver_preload: account %s stays as it was: %s", key, exc)

    # ---- operator mode

    def start_operator(self, changed: Changed) -> None:
        """Load the accounts that are at hand.  StartError for what cannot be used."""
        operator = self.config.operator
        if operator is None:
            return
        from edge.core.jwt import ClaimsError
        from edge.core.operator_accounts import Accounts, read_trust

        ticker = Ticker(self.loop, self.router)
        try:
            trust = read_trust(operator)
        except ClaimsError as exc:
            raise StartError(f"operator: {exc}") from exc
        self.accounts = Accounts(trust, self._resolver(operator), _clock(ticker), changed)
        self.accounts.load_known()
        ticker.start(self.accounts)
        if operator.resolver == "MEMORY" and self.config.system_account not in self.accounts.rules:
            raise StartError(
                f"system_account: no account {self.config.system_account} in resolver_preload, signed by the operator"
            )

    def _resolver(self, operator: "Operator") -> "Resolver":
        from edge.net.jwt_directory import DirectoryResolver, JwtDirectory, MemoryResolver
        from edge.net.jwt_lookup import CacheResolver, UrlResolver

        if operator.resolver == "URL":
            return UrlResolver(operator.resolver_url)
        if operator.resolver not in ("FULL", "CACHE"):
            return MemoryResolver(dict(operator.preload))
        self.directory = JwtDirectory(operator.resolver_dir, operator.resolver_limit, operator.resolver_ttl_ns)
        for key, jwt in operator.preload:
            self._preload(self.directory, key, jwt)
        if operator.resolver == "FULL":
            return DirectoryResolver(self.directory)
        timeout = operator.resolver_timeout_ns / 1e9
        system = self.router.account(self.config.system_account)
        return CacheResolver(self.directory, system, timeout) if timeout else CacheResolver(self.directory, system)

    def _preload(self, directory: "JwtDirectory", key: str, jwt: str) -> None:
        from edge.core.jwt import ClaimsError

        try:
            directory.save_newer(key, jwt)
        except ClaimsError as exc:
            raise StartError(f"resolver_preload: {exc}") from exc

    def open_desk(self, stamp: "Stamp") -> None:
        """Account JWTs are changed over the system account."""
        operator = self.config.operator
        if operator is None or self.accounts is None:
            return
        from edge.monitor.claims import ClaimsDesk

        directory = self.directory if operator.resolver == "FULL" else None
        system = self.router.account(self.config.system_account)
        ClaimsDesk(
            system, self.accounts, stamp, directory, operator.allow_delete, operator.hard_delete
        ).open()

    # ---- for each listener

    def clients(self) -> Authenticator:
        tls = self.config.tls
        access = self.config.authorization
        return self._judge(access.users, access.token, access.no_auth_user, tls is not None and tls.verify_and_map)

    def listener(self, options: Mqtt | WebSocket) -> Authenticator:
        """The listener's own users, or the server's."""
        access = access_of(self.config, options)
        anonymous = [user for user in self.config.authorization.users if user.name == options.no_auth_user]
        by_certificate = options.tls is not None and options.tls.verify_and_map
        return self._judge(
            (*access.users, *anonymous), access.token, options.no_auth_user or access.no_auth_user, by_certificate
        )

    def leafs(self, options: LeafListen) -> Authenticator:
        """Users that are for leafs alone, or the server's; ``account`` is where those come who need none."""
        access = self.config.authorization
        by_certificate = options.tls is not None and options.tls.verify_and_map
        if options.users:
            return self._configured(options.users, "", "", by_certificate, options.account)
        if self.config.operator is None and not (access.users or access.token or access.auth_callout):
            return self._configured((), "", "", False, options.account)
        return self._judge(access.users, access.token, access.no_auth_user, by_certificate)

    def _judge(self, users: Iterable[User], token: str, no_auth_user: str, by_certificate: bool) -> Authenticator:
        operator = self.config.operator
        auth: Authenticator
        if operator is not None and self.accounts is not None:
            from edge.core.operator_users import OperatorUsers

            auth = OperatorUsers(
                self.accounts, GLOBAL_ACCOUNT, frozenset(operator.pinned_accounts), operator.default_sentinel
            )
        else:
            auth = self._configured(tuple(users), token, no_auth_user, by_certificate)
        return self._ask_service(auth)

    def _configured(
        self,
        users: tuple[User, ...],
        token: str,
        no_auth_user: str,
        by_certificate: bool,
        account: str = GLOBAL_ACCOUNT,
    ) -> ConfiguredUsers:
        if self.passwords is None and any(is_bcrypt(secret) for secret in (token, *(user.password for user in users))):
            from edge.net.passwords import Passwords

            self.passwords = Passwords(self.loop)
        check = self.passwords.check if self.passwords is not None else None
        return ConfiguredUsers(users, token, no_auth_user, account, check, by_certificate)

    def _ask_service(self, auth: Authenticator) -> Authenticator:
        config = self.config
        if self.keys is None or (config.authorization.auth_callout is None and config.operator is None):
            return auth
        from edge.core.auth_callout import Callout, ServerName

        known = {GLOBAL_ACCOUNT, config.system_account, *(spec.name for spec in config.accounts)}
        ticker = Ticker(self.loop, self.router)
        server = ServerName(
            self.server_name, config.listen.host, self.server_id, NATS_LEVEL, config.server_tags
        )
        callout = Callout(
            auth, config.authorization.auth_callout, known.__contains__, self.router, self.keys, server,
            _clock(ticker), config.authorization.timeout_ns,
        )  # fmt: skip
        ticker.start(callout)
        return callout

    def close(self) -> None:
        if self.passwords is not None:
            self.passwords.close()


def _clock(ticker: Ticker) -> Clock:
    return Clock(time.time_ns, time.monotonic_ns, ticker.wake)
