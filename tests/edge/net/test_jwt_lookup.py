import asyncio
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core.nkeys import KeyPair
from edge.core.router import Router
from edge.net.jwt_directory import JwtDirectory
from edge.net.jwt_lookup import CacheResolver, UrlResolver

A, B = (KeyPair("A", bytes([i]) * 32).public for i in range(2))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path == f"/jwt/v1/accounts/{A}"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b" the jwt\n" if found else b"not found")

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def site() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/jwt/v1/accounts/"
    server.shutdown()
    thread.join()
    server.server_close()


async def fetch(resolver: UrlResolver | CacheResolver, key: str) -> str:
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    resolver.fetch(key, found.set_result)
    return await found


def test_behind_a_url(site: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        assert await fetch(UrlResolver(site), A) == await fetch(UrlResolver(site.removesuffix("/")), A) == "the jwt"
        assert await fetch(UrlResolver(site), B) == ""

    asyncio.run(main())
    assert "cannot fetch an account JWT" in caplog.text and "404" in caplog.text


def test_over_the_system_account(tmp_path: Path) -> None:
    async def main() -> None:
        system = Router().account("SYS")
        directory = JwtDirectory(str(tmp_path))
        resolver = CacheResolver(directory, system, 0.2)
        assert await fetch(resolver, A) == ""  # nobody answers
        system.subscribe(f"$SYS.REQ.ACCOUNT.{A}.CLAIMS.LOOKUP", lambda s, reply, h, p: system.publish(reply, b""))
        system.subscribe(f"$SYS.REQ.ACCOUNT.{A}.CLAIMS.LOOKUP", lambda s, reply, h, p: system.publish(reply, b"jwt"))
        assert await fetch(resolver, A) == directory.load(A) == "jwt"
        assert not resolver.asked
        assert await fetch(CacheResolver(directory, Router().account("SYS"), 60), A) == "jwt"  # by now it is here

    asyncio.run(main())
