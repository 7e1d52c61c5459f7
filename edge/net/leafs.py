"""The connections of a leaf link that this server dials: dial, and after every end dial again, for ever."""

import asyncio
import logging
import random
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge.core.compression_spec import NOT_SUPPORTED, Compression
from edge.core.leaf_link import SECOND
from edge.core.leaf_login import LeafLogin, read_creds, read_seed
from edge.core.leaf_remote import TLS_TIMEOUT_NS, Encrypted, RemoteLink, RemoteTerms
from edge.core.leaf_rules import LinkRules
from edge.core.leaf_wire import LeafIdentity
from edge.core.router import Router
from edge.errors import StartError
from edge.net.leaf_connection import LeafConnection
from edge.net.leaf_options import LeafProxy, LeafRemote
from edge.net.leaf_urls import LeafUrls, Place, is_address
from edge.net.ticker import Ticker

if TYPE_CHECKING:  # loaded where something is encrypted
    from ssl import SSLContext

log = logging.getLogger("edge")

MAX_CREDENTIALS = 1 << 20
READ_SIZE = 64 * 1024
MAX_PATIENCE = 16
RESOLVE_SECONDS = 10.0
WRONG_NAME = 62  # X509_V_ERR_HOSTNAME_MISMATCH
WRONG_ADDRESS = 64  # X509_V_ERR_IP_ADDRESS_MISMATCH


class Dialled(LeafConnection):
    """``context``: its TLS, None where it encrypts nothing.  ``early``: what had come before it was made."""

    def __init__(
        self,
        link: RemoteLink,
        router: Router,
        ticker: Ticker,
        buffer: bytearray,
        place: Place,
        login: LeafLogin,
        tls: Encrypted = Encrypted.PLAIN,
        context: "SSLContext | None" = None,
        patience: int = 1,
    ) -> None:
        super().__init__(link, router, buffer)
        self.patience = patience
        self.remote = link
        self.ticker = ticker
        self.place = place
        self.login = login
        self.tls = tls
        self.context = context
        self.early = b""
        self.problem = ""  # why it came to nothing
        self.is_late = False  # because nothing came
        self.refused_name = False  # its certificate bears another one
        self.handshake: asyncio.Task[None] | None = None

    def begin(self) -> None:
        now = time.monotonic_ns()
        self.remote.opened(self, str(self.place), self.login, now, self.tls, self.is_web, self.patience)
        if self.early:
            self.receive(self.early)
        self.ticker.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.handshake is not None:
            self.handshake.cancel()
        super().connection_lost(exc)

    def came_to_nothing(self, problem: str, is_late: bool) -> None:
        """Before it began."""
        self.problem = problem
        self.is_late = is_late
        if not self.ended.done():
            self.ended.set_result(None)

    def encrypt(self) -> None:
        self.handshake = asyncio.get_running_loop().create_task(self._encrypt())

    async def _encrypt(self) -> None:
        """TLS over the connection that is there.  The link's own deadline is the handshake's."""
        loop = asyncio.get_running_loop()
        assert self.context is not None
        try:
            transport = await loop.start_tls(self.transport, self, self.context, server_hostname=self.place.name)
        except OSError as exc:
            self.handshake = None
            self.refused_name = is_name_refused(exc)
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
    again at random.  ``patience``: how many times as long as the configuration says the hub is waited for.  A line so
    slow that nothing would ever come in time doubles it, and a round trip shows what is needed.
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
        self.urls = LeafUrls(remote.urls, rng, not remote.no_randomize)
        self.tries = 0
        self.patience = 1
        self.last_failure = ""

    async def run(self) -> None:
        ticker = Ticker(asyncio.get_running_loop(), self.router)
        ticker.start(self.link)
        try:
            while True:
                self.tries += 1
                await self._connect(ticker, self._next())
                await asyncio.sleep(self._delay())
        finally:
            ticker.stop()

    def _next(self) -> Place:
        """Where to try, with what the hub has told meanwhile."""
        info = self.link.info
        if info is not None and not self.remote.ignore_discovered_servers:
            self.urls.learn(info.ws_connect_urls if self.remote.urls[0].websocket else info.leafnode_urls)
        return self.urls.next()

    async def _connect(self, ticker: Ticker, place: Place) -> None:
        """One connection, from its beginning to its end."""
        connects = self.link.connects
        try:
            connection = self._make(ticker, place)
            transport = await self._dial(connection, place)
        except (OSError, StartError) as exc:
            if is_name_refused(exc):
                self.urls.distrust_name()
            self._failed(place, _reason(exc))
            self._learn(isinstance(exc, TimeoutError))
            return
        log.debug("leaf %s: TCP connected", place)
        try:
            await connection.ended
        except asyncio.CancelledError:
            self.link.leave()
            transport.abort()
            raise
        if connection.refused_name:
            self.urls.distrust_name()
        if connection.problem:
            self._failed(place, connection.problem)
        else:
            self.last_failure = ""
        self._learn(self.link.is_late or connection.is_late, self.link.rtt if self.link.connects > connects else 0)

    def _learn(self, is_late: bool, rtt: int = 0) -> None:
        """``rtt``: of a link that has come up, nanoseconds."""
        if is_late:
            self.patience = min(2 * self.patience, MAX_PATIENCE)
        elif rtt:
            self.patience = min(-(-4 * rtt // SECOND), MAX_PATIENCE)

    def _make(self, ticker: Ticker, place: Place) -> Dialled:
        tls, context = self._encryption(place)
        login = self._login(place)
        return Dialled(self.link, self.router, ticker, self.buffer, place, login, tls, context, self.patience)

    async def _dial(self, connection: Dialled, place: Place) -> asyncio.Transport:
        """Through the proxy, where there is one; every address of the host has its turn."""
        remote = self.remote
        first = connection.context if connection.tls is Encrypted.FROM_THE_START else None
        outer = connection if not place.websocket else self._by_websocket(connection, place)
        name = place.name if first is not None else None
        loop = asyncio.get_running_loop()
        if remote.proxy is None:
            problem: OSError = ConnectionError("no address")
            for address in await self._addresses(place):
                try:
                    async with asyncio.timeout(remote.dial_timeout_ns / 1e9 * self.patience):
                        made = await loop.create_connection(
                            lambda: outer, address, place.port, ssl=first, server_hostname=name
                        )
                    return made[0]
                except OSError as exc:
                    problem = exc
            raise problem
        async with asyncio.timeout(_proxy_timeout(remote.proxy, remote.dial_timeout_ns) * self.patience):
            from edge.net.tunnel import tunnel

            way = await tunnel(remote.proxy, place.host, place.port)
            connection.early = way.early
            return await way.lead_to(outer, first, name)

    async def _addresses(self, place: Place) -> list[str]:
        """Of the host, in any order: a fleet is not to meet at the first of them."""
        if is_address(place.host):
            return [place.host]
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        self.rng.shuffle(addresses)
        return addresses

    def _by_websocket(self, connection: Dialled, place: Place) -> asyncio.BufferedProtocol:
        from edge.net.leaf_websocket import LeafWebSocket

        return LeafWebSocket(
            place, connection.context is not None, self.remote.ws_compression, not self.remote.ws_no_masking,
            self.remote.first_info_timeout_ns / 1e9 * self.patience, connection, connection.came_to_nothing,
        )  # fmt: skip

    def _encryption(self, place: Place) -> "tuple[Encrypted, SSLContext | None]":
        """Made anew for each connection: certificates are renewed in place.  StartError for files that are none."""
        options = self.remote.tls
        if options is None and not place.encrypted:
            return Encrypted.PLAIN, None
        from edge.core.tls_spec import Tls
        from edge.net.tls import client_context

        options = options or Tls()
        is_first = options.handshake_first or place.websocket
        return Encrypted.FROM_THE_START if is_first else Encrypted.AFTER_INFO, client_context(options)

    def _login(self, place: Place) -> LeafLogin:
        """StartError where a file does not hold what it should."""
        login = LeafLogin(place.user, place.password)
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

    def _failed(self, place: Place, reason: str) -> None:
        """A hub that is away for a night is one line in the log, not thirty thousand."""
        self.link.last_error = f"cannot connect to {place}: {reason}"
        level = logging.DEBUG if self.link.last_error == self.last_failure else logging.WARNING
        log.log(level, "leaf: %s", self.link.last_error)
        self.last_failure = self.link.last_error

    def _delay(self) -> float:
        wait = self.reconnect_ns + self.rng.randrange(self.reconnect_ns + 1)
        return max(wait, self.link.retry_delay_ns) / 1e9


def make_connector(
    remote: LeafRemote,
    identity: LeafIdentity,
    up_only: Sequence[str],
    reconnect_ns: int,
    router: Router,
    link: RemoteLink | None = None,
) -> LeafConnector:
    """The link of one remote (``.link``) and what keeps it connected (``.run()``).

    ``up_only``: subjects of the uplinks that use this link; ``link``: one that is there, and is to be of this remote
    from now on.
    """
    rules = LinkRules(remote.deny_imports, remote.deny_exports, up_only, identity.domain)
    tls_timeout_ns = (remote.tls.timeout_ns if remote.tls else 0) or TLS_TIMEOUT_NS
    terms = RemoteTerms(
        remote.first_info_timeout_ns, possible(remote.compression), remote.hub, remote.isolate,
        remote.request_isolation, tls_timeout_ns,
    )  # fmt: skip
    if link is None:
        link = RemoteLink(router, router.account(remote.account), identity, rules, terms)
    else:
        link.renew(rules, terms)
    return LeafConnector(link, remote, reconnect_ns, router, random.Random())


def possible(wanted: Compression) -> Compression:
    """What is wanted, where the package for it is installed."""
    if not wanted.is_wanted:
        return wanted
    from edge.protocol.s2 import is_available

    if is_available():
        return wanted
    log.info("leaf: not compressed: the package cramjam is not installed (petiole[s2])")
    return Compression(NOT_SUPPORTED)


def is_name_refused(exc: Exception) -> bool:
    """Is the certificate good, but for another host?"""
    return getattr(exc, "verify_code", 0) in (WRONG_NAME, WRONG_ADDRESS)


def _proxy_timeout(proxy: LeafProxy, dial_timeout_ns: int) -> float:
    return (proxy.timeout_ns or dial_timeout_ns) / 1e9


def _reason(exc: Exception) -> str:
    return "no answer" if isinstance(exc, TimeoutError) else getattr(exc, "strerror", None) or str(exc)
