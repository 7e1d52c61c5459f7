"""A way through an HTTP proxy, by CONNECT (RFC 9110, section 9.3.6); the way to the proxy itself may be encrypted."""

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING

import h11

from edge.net.leaf_options import Proxy

if TYPE_CHECKING:  # where something is encrypted
    from ssl import SSLContext

READ_SIZE = 4096
MAX_HEAD = 16 * 1024


class Tunnel(asyncio.BufferedProtocol):
    """The connection to the proxy, until what it leads to takes it over."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self.where = f"proxy {proxy.host}:{proxy.port}"
        self.request = request(proxy, host, port)
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self.buffer = bytearray(READ_SIZE)
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.early = b""  # what has come from behind the proxy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(self.http.send(self.request) or b"")
        self.http.send(h11.EndOfMessage())

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, size: int) -> None:
        data = bytes(self.buffer[:size])
        if self.granted.done():
            self.early += data
            return
        try:
            self.http.receive_data(data)
            self._read()
        except h11.ProtocolError as exc:
            self._refused(f"no answer of HTTP: {exc}")

    def _read(self) -> None:
        while (event := self.http.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Response) and event.status_code == 200:
                self.early = self.http.trailing_data[0]
                self.transport.pause_reading()  # what comes next is for another protocol
                self.granted.set_result(None)
                return
            if isinstance(event, h11.Response):
                self._refused(f"refused: {event.status_code} {event.reason.decode('latin-1')}")
                return

    def connection_lost(self, exc: Exception | None) -> None:
        self._refused(str(exc or "closed the connection"))

    def _refused(self, why: str) -> None:
        if not self.granted.done():
            self.granted.set_exception(ConnectionError(f"{self.where}: {why}"))

    async def lead_to(
        self, protocol: asyncio.BufferedProtocol, context: "SSLContext | None" = None, name: str | None = None
    ) -> asyncio.Transport:
        """``protocol`` gets the connection, with TLS of its own where there is a ``context``; OSError where its
        handshake fails."""
        if context is None:
            self.transport.set_protocol(protocol)
            protocol.connection_made(self.transport)
            self.transport.resume_reading()
            return self.transport
        inner = await asyncio.get_running_loop().start_tls(self.transport, protocol, context, server_hostname=name)
        if inner is None:
            raise ConnectionError(f"{self.where}: closed the connection")
        protocol.connection_made(inner)
        return inner


async def tunnel(proxy: Proxy, host: str, port: int) -> Tunnel:
    """A way to ``host:port``.  OSError that says why there is none."""
    try:
        _, made = await asyncio.get_running_loop().create_connection(
            lambda: Tunnel(proxy, host, port), proxy.host, proxy.port, ssl=_context() if proxy.encrypted else None
        )
    except OSError as exc:
        raise ConnectionError(f"proxy {proxy.host}:{proxy.port}: {exc.strerror or exc}") from exc
    try:
        await made.granted
    except BaseException:
        made.transport.abort()
        raise
    return made


def _context() -> "SSLContext":
    """The proxy's certificate has nothing to do with the hub's: the system knows who vouches for it."""
    import ssl

    return ssl.create_default_context()


def request(proxy: Proxy, host: str, port: int) -> h11.Request:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = [("Host", target)]
    if proxy.user:
        login = b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {login}"))
    return h11.Request(method="CONNECT", target=target, headers=headers)
