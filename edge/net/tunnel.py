"""A way through an HTTP proxy, by CONNECT (RFC 9110, section 9.3.6)."""

import asyncio
import socket
from base64 import b64encode
from typing import Protocol

import h11

READ_SIZE = 4096
MAX_HEAD = 16 * 1024


class Proxy(Protocol):
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def user(self) -> str: ...
    @property
    def password(self) -> str: ...


async def tunnel(proxy: Proxy, host: str, port: int) -> tuple[socket.socket, bytes]:
    """A socket that ends at ``host:port``, and what has come from there already.  OSError that says why not."""
    loop = asyncio.get_running_loop()
    where = f"proxy {proxy.host}:{proxy.port}"
    try:
        sock = await _dial(proxy)
    except OSError as exc:
        raise ConnectionError(f"{where}: {exc.strerror or exc}") from exc
    try:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        await loop.sock_sendall(sock, connection.send(request(proxy, host, port)) or b"")
        connection.send(h11.EndOfMessage())
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await loop.sock_recv(sock, READ_SIZE))
            elif isinstance(event, h11.Response) and event.status_code == 200:
                return sock, connection.trailing_data[0]
            elif not isinstance(event, h11.InformationalResponse):
                raise ConnectionError(f"{where}: {_refusal(event)}")
    except h11.ProtocolError as exc:
        sock.close()
        raise ConnectionError(f"{where}: no answer of HTTP: {exc}") from exc
    except BaseException:
        sock.close()
        raise


def request(proxy: Proxy, host: str, port: int) -> h11.Request:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = [("Host", target)]
    if proxy.user:
        login = b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {login}"))
    return h11.Request(method="CONNECT", target=target, headers=headers)


def _refusal(event: object) -> str:
    if isinstance(event, h11.Response):
        return f"refused: {event.status_code} {event.reason.decode('latin-1')}"
    return "closed the connection"


async def _dial(proxy: Proxy) -> socket.socket:
    loop = asyncio.get_running_loop()
    problem: OSError = ConnectionError("no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except OSError as exc:
            problem = exc
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise problem
