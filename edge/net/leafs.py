"""The connections of a leaf link: dial, read, write, and after every end dial again, for ever."""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from edge.core.leaf_login import LeafLogin, read_creds, read_seed
from edge.core.leaf_remote import Encrypted, RemoteLink
from edge.core.leaf_rules import LinkRules
from edge.core.leaf_wire import LeafIdentity
from edge.core.router import Router
from edge.core.tls_spec import Tls
from edge.errors import StartError
from edge.net.leaf_connection import LeafConnection
from edge.net.ticker import Ticker

if TYPE_CHECKING:  # loaded where something is encrypted
    from ssl import SSLContext

log = logging.getLogger("edge")

MAX_CREDENTIALS = 1 << 20
READ_SIZE = 64 * 1024


class LeafUrl(Protocol):
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def user(self) -> str: ...
    @property
    def password(self) -> str: ...
    @property
    def encrypted(self) -> bool: ...


class LeafRemote(Protocol):
    """One ``remotes`` entry of the configuration."""

    @property
    def urls(self) -> Sequence[LeafUrl]: ...
    @property
    def account(self) -> str: ...
    @property
    def deny_imports(self) -> Sequence[str]: ...
    @property
    def deny_exports(self) -> Sequence[str]: ...
    @property
    def no_randomize(self) -> bool: ...
    @property
    def ignore_discovered_servers(self) -> bool: ...
    @property
    def dial_timeout_ns(self) -> int: ...
    @property
    def first_info_timeout_ns(self) -> int: ...
    @property
    def tls(self) -> Tls | None: ...
    @property
    def credentials(self) -> str: ...
    @property
    def nkey(self) -> str: ...


class DialledConnection(LeafConnection):
    """``context``: its TLS, None where it encrypts nothing."""

    def __init__(
        self,
        link: RemoteLink,
        router: Router,
        ticker: Ticker,
        buffer: bytearray,
        url: LeafUrl,
        login: LeafLogin,
        tls: Encrypted = Encrypted.PLAIN,
        context: "SSLContext | None" = None,
    ) -> None:
        super().__init__(link, router, buffer)
        self.remote = link
        self.ticker = ticker
        self.url = url
        self.login = login
        self.tls = tls
        self.context = context
        self.handshake: asyncio.Task[None] | None = None

    def begin(self) -> None:
        url = self.url
        self.remote.opened(self, f"{url.host}:{url.port}", self.login, time.monotonic_ns(), self.tls)
        self.ticker.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.handshake is not None:
            self.handshake.cancel()
        super().connection_lost(exc)

    def encrypt(self) -> None:
        self.handshake = asyncio.get_running_loop().create_task(self._encrypt())

    async def _encrypt(self) -> None:
        """TLS over the connection that is there.  The link's own deadline is the handshake's."""
        loop = asyncio.get_running_loop()
        assert self.context is not None
        try:
            transport = await loop.start_tls(self.transport, self, self.context, server_hostname=self.url.host)
        except OSError as exc:
            self.handshake = None
            self.remote.failed(f"TLS handshake: {exc}")
            self.transport.abort()
            self.router.flush()
            return
        self.handshake = None
        assert transport is not None
        self.use(transport)
        self.remote.encrypted(time.monotonic_ns())
        self.ticker.wake()
        self.router.flush()


class LeafConnector:
    """Keeps one link connected; ``run`` never returns.

    ``rng`` spreads a fleet whose hub has restarted; ``reconnect_ns`` is waited after every end, and up to as much
    again at random.
    """

    def __init__(
        self, link: RemoteLink, remote: LeafRemote, reconnect_ns: int, router: Router, rng: random.Random
    ) -> None:
        self.link = link
        self.remote = remote
        self.reconnect_ns = reconnect_ns
        self.router = router
        self.rng = rng
        self.buffer = bytearray(READ_SIZE)
        self.urls = list(remote.urls)
        if not remote.no_randomize:
            rng.shuffle(self.urls)
        self.turn = 0
        self.last_failure = ""

    async def run(self) -> None:
        ticker = Ticker(asyncio.get_running_loop(), self.router)
        ticker.start(self.link)
        try:
            while True:
                await self._connect(ticker, self._next_url())
                await asyncio.sleep(self._delay())
        finally:
            ticker.stop()

    async def _connect(self, ticker: Ticker, url: LeafUrl) -> None:
        """One connection, from its beginning to its end."""
        loop = asyncio.get_running_loop()
        try:
            tls, context = self._encryption(url)
            login = self._login(url)
            connection = DialledConnection(self.link, self.router, ticker, self.buffer, url, login, tls, context)
            first = tls is Encrypted.FROM_THE_START
            async with asyncio.timeout(self.remote.dial_timeout_ns / 1e9):
                await loop.create_connection(
                    lambda: connection, url.host, url.port, ssl=context if first else None,
                    server_hostname=url.host if first else None,
                )  # fmt: skip
        except (OSError, StartError) as exc:
            self._failed(url, exc)
            return
        self.last_failure = ""
        log.debug("leaf %s:%d: TCP connected", url.host, url.port)
        try:
            await connection.ended
        except asyncio.CancelledError:
            self.link.leave()
            connection.transport.abort()
            raise

    def _encryption(self, url: LeafUrl) -> "tuple[Encrypted, SSLContext | None]":
        """Made anew for each connection: certificates are renewed in place.  StartError for files that are none."""
        options = self.remote.tls
        if options is None and not url.encrypted:
            return Encrypted.PLAIN, None
        from edge.core.tls_spec import Tls
        from edge.net.tls import client_context

        options = options or Tls()
        return Encrypted.FROM_THE_START if options.handshake_first else Encrypted.AFTER_INFO, client_context(options)

    def _login(self, url: LeafUrl) -> LeafLogin:
        """StartError where a file does not hold what it should."""
        login = LeafLogin(url.user, url.password)
        path = self.remote.credentials or self.remote.nkey
        if path.startswith("SU") and self.remote.nkey:
            return login._replace(seed=path)
        if not path:
            return login
        try:
            with open(path, encoding="ascii") as file:
                text = file.read(MAX_CREDENTIALS)
            if self.remote.nkey:
                return login._replace(seed=read_seed(text))
            jwt, seed = read_creds(text)
        except OSError as exc:
            raise StartError(f"cannot read {path}: {exc.strerror}") from exc
        except ValueError as exc:
            raise StartError(f"{path}: {exc}") from exc
        return login._replace(jwt=jwt, seed=seed)

    def _failed(self, url: LeafUrl, exc: OSError | StartError) -> None:
        """A hub that is away for a night is one line in the log, not thirty thousand."""
        reason = "no answer" if isinstance(exc, TimeoutError) else getattr(exc, "strerror", None) or str(exc)
        self.link.last_error = f"cannot connect to {url.host}:{url.port}: {reason}"
        level = logging.DEBUG if self.link.last_error == self.last_failure else logging.WARNING
        log.log(level, "leaf: %s", self.link.last_error)
        self.last_failure = self.link.last_error

    def _delay(self) -> float:
        wait = self.reconnect_ns + self.rng.randrange(self.reconnect_ns + 1)
        return max(wait, self.link.retry_delay_ns) / 1e9

    def _next_url(self) -> LeafUrl:
        """Round robin through what is configured and, with the same user, what the hub has told of."""
        urls = [*self.urls, *self._discovered()]
        url = urls[self.turn % len(urls)]
        self.turn += 1
        return url

    def _discovered(self) -> list[LeafUrl]:
        if self.remote.ignore_discovered_servers:
            return []
        known = {f"{url.host}:{url.port}" for url in self.urls}
        own = self.urls[0]
        found = [DiscoveredUrl(address, own) for address in self.link.discovered if address not in known]
        return [url for url in found if url.host and url.port]


def make_connector(
    remote: LeafRemote, identity: LeafIdentity, up_only: Sequence[str], reconnect_ns: int, router: Router
) -> LeafConnector:
    """The link of one remote (``.link``) and what keeps it connected (``.run()``).

    ``up_only``: subjects of the uplinks that use this link.
    """
    rng = random.Random()
    rules = LinkRules(remote.deny_imports, remote.deny_exports, up_only, identity.domain)
    link = RemoteLink(router, router.account(remote.account), identity, rules, remote.first_info_timeout_ns)
    return LeafConnector(link, remote, reconnect_ns, router, rng)


class DiscoveredUrl:
    """``host:port`` from a hub's INFO; user and password are those of a configured one."""

    def __init__(self, address: str, like: LeafUrl) -> None:
        host, _, port = address.rpartition(":")
        self.host = host.strip("[]")
        self.port = int(port) if port.isdigit() else 0
        self.user = like.user
        self.password = like.password
        self.encrypted = like.encrypted
