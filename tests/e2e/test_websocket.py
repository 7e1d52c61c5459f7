"""Clients over WebSocket: raw frames to our server and to the real one, nats.py, nats.js, a browser, and MQTT clients."""

import asyncio
import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

PATIENCE = 60.0
JS = Path(__file__).parent / "js"
CONNECT = b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n'
MQTT_CONNECT = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd"
HEADERS = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
TAIL = b"\x00\x00\xff\xff"


def config(*inner: str, outer: str = "") -> str:
    return f"listen: 127.0.0.1:-1\nping_interval: \"100s\"\n{outer}\nwebsocket {{ listen: 127.0.0.1:-1\n{'; '.join(inner)} }}\n"


def frame(opcode: int, payload: bytes, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    size = len(payload)
    bit = masked << 7
    length = bytes([bit | size]) if size < 126 else bytes([bit | 126]) + struct.pack("!H", min(size, 65535))
    if size > 65535:
        length = bytes([bit | 127]) + struct.pack("!Q", size)
    head = bytes([fin << 7 | rsv << 4 | opcode]) + length
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class Browser:
    """A raw WebSocket: ``said`` is the stream of bytes that frames have carried, ``closed`` the code of the last."""

    def __init__(self, server: Any, path: str = "/", context: ssl.SSLContext | None = None, **headers: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.ports["websocket"]), timeout=PATIENCE)
        try:
            self._begin(server, path, context, headers)
        except OSError:
            self.socket.close()
            raise

    def _begin(self, server: Any, path: str, context: ssl.SSLContext | None, headers: dict[str, str]) -> None:
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        wanted = {"Host": f"127.0.0.1:{server.ports['websocket']}"} | HEADERS
        wanted |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items() if value)]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.raw = b""
        self.said = b""
        self.pongs: list[bytes] = []
        self.compressed = 0
        self.code = 0
        self.answer = self._answer()

    def _answer(self) -> str:
        while b"\r\n\r\n" not in self.raw:
            if not self._read():
                break
        head, _, self.raw = self.raw.partition(b"\r\n\r\n")
        return head.decode()

    @property
    def status(self) -> int:
        return int(self.answer.split()[1]) if self.answer else 0

    def _read(self) -> bool:
        try:
            chunk = self.socket.recv(1 << 16)
        except ConnectionError:
            return False
        self.raw += chunk
        return bool(chunk)

    def _next(self) -> bool:
        """Take one frame; False at the end."""
        while True:
            if len(self.raw) >= 2:
                size, at = self.raw[1] & 127, 2
                if size == 126:
                    size, at = int.from_bytes(self.raw[2:4], "big"), 4
                elif size == 127:
                    size, at = int.from_bytes(self.raw[2:10], "big"), 10
                if len(self.raw) >= at + size:
                    break
            if not self._read():
                return False
        first, payload, self.raw = self.raw[0], self.raw[at : at + size], self.raw[at + size :]
        assert first & 0x80, "one message, one frame"
        if first & 15 == 2:
            if first & 0x40:
                self.compressed += 1
                payload = zlib.decompressobj(-15).decompress(payload + TAIL)
            self.said += payload
        elif first & 15 == 8:
            self.code = int.from_bytes(payload[:2], "big")
        else:
            self.pongs.append(payload)
        return True

    def send(self, data: bytes, **how: Any) -> None:
        self.socket.sendall(frame(2, data, **how))

    def send_compressed(self, data: bytes) -> None:
        shrink = zlib.compressobj(9, zlib.DEFLATED, -15)
        self.send((shrink.compress(data) + shrink.flush(zlib.Z_SYNC_FLUSH))[:-4], rsv=4)

    def expect(self, pattern: bytes) -> bytes:
        while not (match := re.match(rb"(?:PING\r\n)*" + pattern, self.said, re.DOTALL)):
            assert self._next(), f"expected {pattern!r}, closed after {self.said!r}"
        self.said = self.said[match.end() :]
        return match.group()

    def info(self) -> dict[str, Any]:
        return json.loads(self.expect(rb"INFO \{.*?\} \r\n")[len(b"INFO ") :])

    def login(self) -> dict[str, Any]:
        self.info()
        self.send(CONNECT)
        self.expect(rb"PONG\r\n")
        return self.info()

    def end(self) -> int:
        """The code of the close frame, 0 where there was none."""
        while self._next():
            pass
        return self.code


@pytest.fixture
def browse() -> Iterator[Callable[..., Browser]]:
    browsers: list[Browser] = []

    def make(server: Any, path: str = "/", context: ssl.SSLContext | None = None, **headers: str) -> Browser:
        browsers.append(Browser(server, path, context, **headers))
        return browsers[-1]

    yield make
    for browser in browsers:
        browser.socket.close()


# ---- the same on both servers


def test_a_conversation(either: Callable[..., Any], browse: Callable[..., Browser]) -> None:
    server = either(config("no_tls: true", 'headers { X-Here: "yes" }'))
    server.wait_for_log("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!")
    for path in ("/", "/any/thing?at=all"):
        browser = browse(server, path)
        assert browser.status == 101
        assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in browser.answer
        assert "X-Here: yes" in browser.answer
        assert "Extensions" not in browser.answer
        info = browser.info()
        assert (info["host"], info["port"], info["client_ip"]) == ("127.0.0.1", server.ports["websocket"], "127.0.0.1")
        assert not {"connect_urls", "ws_connect_urls", "tls_required", "tls_available"} & set(info)
        browser.send(CONNECT[:7], fin=False)
        browser.socket.sendall(frame(9, b"hello"))
        browser.socket.sendall(frame(0, CONNECT[7:20], fin=False) + frame(0, CONNECT[20:]))
        browser.expect(rb"PONG\r\n")
        assert browser.info()["connect_info"] is True
        browser.socket.sendall(frame(1, b"SUB a 1\r\nPUB a"))
        browser.send(b" 2\r\nhi\r\nPUB a 0\r\n\r\nPING\r\n")
        browser.expect(rb"MSG a 1 2\r\nhi\r\nMSG a 1 0\r\n\r\nPONG\r\n")
        browser.socket.sendall(frame(8, struct.pack("!H", 1000) + b"bye"))
        assert browser.end() == 1000
        assert browser.pongs == [b"hello"]


def test_with_clients_elsewhere(either: Callable[..., Any], browse: Callable[..., Browser]) -> None:
    server = either(config("no_tls: true"))
    browser, wire = browse(server), server.wire()
    browser.login()
    wire.login()
    wire.send(b"SUB up 1\r\nPING\r\n")
    wire.expect(rb"PONG\r\n")
    browser.send(b"SUB down 1\r\nPING\r\n")
    browser.expect(rb"PONG\r\n")
    body = os.urandom(500_000)
    browser.send(b"PUB up 500000\r\n" + body + b"\r\n")
    assert wire.expect(rb"MSG up 1 500000\r\n.{500000}\r\n").endswith(body + b"\r\n")
    wire.send(b"PUB down 500000\r\n" + body + b"\r\n")
    assert browser.expect(rb"MSG down 1 500000\r\n.{500000}\r\n").endswith(body + b"\r\n")


def test_compression(either: Callable[..., Any], browse: Callable[..., Browser]) -> None:
    server = either(config("no_tls: true", "compression: true"))
    browser = browse(server, **DEFLATE)
    granted = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    assert granted in browser.answer
    browser.login()
    assert browser.compressed >= 1
    before = browser.compressed
    browser.send_compressed(b"SUB a 1\r\n" + b"PUB a 1000\r\n" + b"x" * 1000 + b"\r\n")
    browser.expect(rb"MSG a 1 1000\r\nx{1000}\r\n")
    assert browser.compressed == before + 1
    browser.send(b"PING\r\n")  # what is small goes as it is
    browser.expect(rb"PONG\r\n")
    assert browser.compressed == before + 1
    assert "Extensions" not in browse(server).answer


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Upgrade": "h2c"}, 400),
        ({"Connection": "close"}, 400),
        ({"Sec_WebSocket_Key": "abc"}, 400),
        ({"Sec_WebSocket_Version": "8"}, 400),
        ({"Host": ""}, 400),
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://a.example", "Host": "a.example"}, 101),
        ({"Origin": "http://A.example:80", "Host": "a.example"}, 101),
        ({"Origin": "https://a.example", "Host": "a.example"}, 403),
        ({}, 101),
    ],
)
def test_requests(either: Callable[..., Any], browse: Callable[..., Browser], change: dict[str, str], status: int) -> None:
    server = either(config("no_tls: true", "same_origin: true"))
    wanted = {name.replace("-", "_"): value for name, value in HEADERS.items()}
    assert browse(server, **wanted | change).status == status
    assert browse(server, "/mqtt").status == 404


def test_allowed_origins(either: Callable[..., Any], browse: Callable[..., Browser]) -> None:
    server = either(config("no_tls: true", 'allowed_origins: ["https://a.example", "http://b.example:8080"]'))
    for origin, status in (
        ("https://a.example", 101),
        ("https://a.example:443", 101),
        ("http://a.example", 403),
        ("http://b.example:8080", 101),
        ("http://b.example", 403),
        ("", 101),
    ):
        assert browse(server, Origin=origin).status == status, origin


VIOLATIONS = [
    frame(2, b"PING\r\n", masked=False),
    frame(2, b"PING\r\n", rsv=2),
    frame(2, b"PING\r\n", rsv=4),
    frame(0, b"PING\r\n"),
    frame(5, b"PING\r\n"),
    frame(9, b"x" * 126),
    frame(9, b"x", fin=False),
    frame(8, b"x"),
    frame(8, struct.pack("!H", 1005)),
    frame(2, b"PI", fin=False) + frame(2, b"NG\r\n"),
]


def test_violations_close(either: Callable[..., Any], browse: Callable[..., Browser]) -> None:
    server = either(config("no_tls: true"))
    for wire in VIOLATIONS:
        browser = browse(server)
        browser.info()
        browser.socket.sendall(wire)
        assert browser.end() in (0, 1002), wire  # the real one is gone before it has said so
        assert browser.said == b""


@pytest.mark.parametrize(
    ("operation", "text", "code"),
    [
        (b"PUB a 2000000\r\n", b"-ERR 'Maximum Payload Violation'\r\n", 1009),
        (b"PUB " + b"a" * 5000 + b" 1\r\n", b"-ERR 'maximum control line exceeded'\r\n", 1008),
    ],
)
def test_close_codes(
    either: Callable[..., Any], browse: Callable[..., Browser], operation: bytes, text: bytes, code: int
) -> None:
    server = either(config("no_tls: true"))
    browser = browse(server)
    browser.login()
    browser.send(operation)
    browser.expect(re.escape(text))
    assert browser.end() == code


def test_authentication(either: Callable[..., Any], browse: Callable[..., Browser]) -> None:
    users = "authorization { users [ {user: a, password: p}, {user: b, password: q} ], timeout: 0.5 }"
    server = either(config("no_tls: true", "user_cookie: who", "pass_cookie: secret", outer=users))
    silent = browse(server)
    assert silent.info()["auth_required"] is True
    bad = browse(server)
    bad.info()
    bad.send(b'CONNECT {"user":"a","pass":"no"}\r\nPING\r\n')
    bad.expect(rb"-ERR 'Authorization Violation'\r\n")
    assert bad.end() == 1008
    browse(server, Cookie="who=a; secret=p").login()
    browser = browse(server, Cookie="who=a; secret=wrong")
    browser.info()
    browser.send(b'CONNECT {"user":"b","pass":"q"}\r\nPING\r\n')  # what CONNECT says comes first
    browser.expect(rb"\+OK\r\nPONG\r\n")
    silent.expect(rb"-ERR 'Authentication Timeout'\r\n")
    assert silent.end() == 1008


def test_its_own_no_auth_user(either: Callable[..., Any], browse: Callable[..., Browser]) -> None:
    users = "authorization { users [ {user: a, password: p}, {user: b, password: q} ] }"
    server = either(config("no_tls: true", "no_auth_user: b", outer=users))
    browser = browse(server)
    assert browser.info()["auth_required"] is True
    browser.send(CONNECT)
    browser.expect(rb"PONG\r\n")
    wire = server.wire()
    wire.send(CONNECT)
    wire.expect(rb"-ERR 'Authorization Violation'\r\n")


def test_encrypted(either: Callable[..., Any], browse: Callable[..., Browser], authority: Any) -> None:
    pair, client = authority.server("wss"), authority.make("phone")
    tls = f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}", ca_file: "{authority.file}", verify: true }}'
    server = either(config(tls, "same_origin: true"))
    server.wait_for_log("Listening for websocket clients on wss://")
    context = authority.context(client)
    browser = browse(server, context=context)
    info = browser.info()
    assert (info["tls_required"], info["tls_available"]) == (True, True)
    browser.send(CONNECT)
    browser.expect(rb"PONG\r\n")
    host = f"127.0.0.1:{server.ports['websocket']}"
    assert browse(server, context=context, Origin=f"https://{host}").status == 101
    assert browse(server, context=context, Origin=f"http://{host}").status == 403
    assert browse(server).status in (0, 400)
    try:
        assert browse(server, context=authority.context()).status == 0
    except (ssl.SSLError, ConnectionError):
        pass


def test_the_end_of_the_server(either: Callable[..., Any], browse: Callable[..., Browser]) -> None:
    server = either(config("no_tls: true"))
    browser = browse(server)
    browser.login()
    server.process.send_signal(signal.SIGTERM)
    assert browser.end() == 1001


def test_mqtt(either: Callable[..., Any], browse: Callable[..., Browser], tmp_path: Path) -> None:
    mqtt = f'server_name: here\njetstream {{ store_dir: "{tmp_path}" }}\nmqtt {{ listen: 127.0.0.1:-1 }}'
    server = either(config("no_tls: true", outer=mqtt))
    browser = browse(server, "/mqtt", Sec_WebSocket_Protocol="mqtt")
    assert re.search("sec-websocket-protocol: mqtt", browser.answer, re.IGNORECASE)
    for piece in (MQTT_CONNECT[:3], MQTT_CONNECT[3:]):
        browser.send(piece)
    browser.expect(rb"\x20\x02\x00\x00")
    browser.send(b"\xe0\x00")
    assert browser.end() == 1000
    for bad in (b"\x00\x00", b"\xff\x00"):
        other = browse(server, "/deep/mqtt?x=1")
        other.send(bad)
        other.end()
        assert other.said == b""

    wire = server.wire()
    wire.login()
    wire.send(b"SUB sensors.> 1\r\nPING\r\n")
    wire.expect(rb"PONG\r\n")
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="sensor", transport="websockets")
    client.ws_set_options(path="/mqtt")
    client.connect("127.0.0.1", server.ports["websocket"])
    client.loop_start()
    got = threading.Event()
    client.on_message = lambda client, data, message: got.set() if message.payload == b"on" else None
    client.on_subscribe = lambda client, data, *rest: wire.send(b"PUB switch 2\r\non\r\n")
    client.publish("sensors/one", b"21.5", qos=1).wait_for_publish(PATIENCE)
    wire.expect(rb"H?MSG sensors\.one 1 .*?21\.5\r\n")
    client.subscribe("switch")
    assert got.wait(PATIENCE)
    client.disconnect()
    client.loop_stop()


# ---- our own limits


def test_bombs_and_giants(start_edge: Callable[..., Any], browse: Callable[..., Browser]) -> None:
    """What a peer may make the server hold is bounded, before it is known and after."""
    users = "authorization { user: a, password: p }"
    server = start_edge(config("no_tls: true", "compression: true", outer=users))

    def memory() -> int:
        text = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1])  # type: ignore[index]

    browse(server, **DEFLATE).info()
    before = memory()
    early = browse(server)
    early.info()
    early.socket.sendall(b"\x82\xff" + struct.pack("!Q", 200_000) + b"mask")
    assert early.end() == 1009
    for data in (bytes(100_000_000), b"\r\n" * 50_000_000):
        bomb = browse(server, **DEFLATE)
        bomb.info()
        bomb.send(b'CONNECT {"user":"a","pass":"p","verbose":false}\r\nPING\r\n')
        bomb.expect(rb"PONG\r\n")
        bomb.send_compressed(data)
        assert bomb.end() in (1002, 1009)
    assert memory() - before < 60_000


def test_a_browser_that_never_reads(start_edge: Callable[..., Any], browse: Callable[..., Browser]) -> None:
    server = start_edge(config("no_tls: true", outer="max_pending: 2MB\nwrite_deadline: \"60s\""))
    slow, fast = browse(server), browse(server)
    for browser in (slow, fast):
        browser.login()
        browser.send(b"SUB a 1\r\nPING\r\n")
        browser.expect(rb"PONG\r\n")
    body = bytes(500_000)
    wire = server.wire()
    wire.login('{"verbose":false}')
    for _ in range(60):
        wire.send(b"PUB a 500000\r\n" + body + b"\r\n")
        fast.expect(rb"MSG a 1 500000\r\n.{500000}\r\n")
    server.wait_for_log("Slow Consumer Detected: MaxPending of")
    fast.send(b"PING\r\n")
    fast.expect(rb"PONG\r\n")


def test_leafs_come_where_leafnodes_listens(start_edge: Callable[..., Any], browse: Callable[..., Browser]) -> None:
    server = start_edge(config("no_tls: true"))
    assert browse(server, "/leafnode").status == 404
    server.wait_for_log("leafnodes does not listen")


def test_a_request_that_never_ends(start_edge: Callable[..., Any]) -> None:
    server = start_edge(config("no_tls: true", 'handshake_timeout: "200ms"'))
    with socket.create_connection(("127.0.0.1", server.ports["websocket"]), timeout=PATIENCE) as half:
        half.sendall(b"GET / HTTP/1.1\r\nHost:")
        with contextlib.suppress(ConnectionError):
            assert half.recv(100) == b""
    with socket.create_connection(("127.0.0.1", server.ports["websocket"]), timeout=PATIENCE) as long:
        long.sendall(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 40_000)
        assert long.recv(100).startswith(b"HTTP/1.1 431 ")


def test_forwarded_for(start_edge: Callable[..., Any], browse: Callable[..., Browser]) -> None:
    server = start_edge(config("no_tls: true", outer="debug: true"))
    browse(server, X_Forwarded_For="1.2.3.4").login()
    server.wait_for_log("1.2.3.4/127.0.0.1:")


# ---- clients of others


@pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")  # of nats.py's, in aiohttp
def test_nats_py(either: Callable[..., Any], authority: Any) -> None:
    pair = authority.server("wss-py")
    server = either(config(f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}" }}', "compression: true"))

    async def main() -> None:
        client = await nats.connect(f"wss://localhost:{server.ports['websocket']}", tls=authority.context())

        async def answer(message: Any) -> None:
            await message.respond(message.data)

        await client.subscribe("echo", cb=answer)
        for size in (0, 1, 100, 100_000):
            assert len((await client.request("echo", bytes(size), PATIENCE)).data) == size
        await client.drain()

    asyncio.run(main())


def expected(server: Any) -> list[list[object]]:
    return [
        ["port", server.ports["websocket"], "host", "127.0.0.1"],
        ["request", "hello", "a test"],
        ["large", 1 << 20, True],
        ["no responders", True],
        ["in order", 1000],
        ["closed", True],
    ]


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """nats.js and what it shall do, in one script for a browser."""
    assert (JS / "node_modules").exists(), "nats.js is missing: npm ci --prefix tests/e2e/js"
    out = tmp_path_factory.mktemp("page") / "page.js"
    tool = JS / "node_modules/.bin/esbuild"
    subprocess.run([tool, JS / "browser.mjs", "--bundle", "--format=esm", f"--outfile={out}", "--log-level=error"], check=True)
    return out.read_bytes()


def compressed(server: str) -> str:
    """nats-server 2.15.1 does not come to the end of nats.js's large message where that is compressed."""
    return "compression: true" if server == "edge" else "compression: false"


@pytest.mark.parametrize("either", ["edge", "nats"], indirect=True)
def test_nats_js_in_node(request: pytest.FixtureRequest, either: Callable[..., Any]) -> None:
    server = either(config("no_tls: true", compressed(request.node.callspec.params["either"])))
    options = {"servers": f"ws://127.0.0.1:{server.ports['websocket']}"}
    run = subprocess.run(
        ["node", JS / "node.mjs", json.dumps(options)], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(run.stdout) == {"seen": expected(server)}, run.stderr


class Site(http.server.ThreadingHTTPServer):
    """The page, what it shall connect to, and where it reports."""

    def __init__(self, page: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.page = page
        self.options: dict[str, object] = {}
        self.report: dict[str, object] = {}
        self.reported = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer("text/html", b'<!doctype html><script type="module" src="/page.js"></script>')
        elif self.path == "/page.js":
            self._answer("text/javascript", self.server.page)
        elif self.path == "/options":
            self._answer("application/json", json.dumps(self.server.options).encode())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        self.server.report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer("text/plain", b"")
        self.server.reported.set()

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Not in the output of the tests."""


@pytest.fixture
def site(page: bytes) -> Iterator[Site]:
    site = Site(page)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield site
    site.shutdown()
    thread.join()
    site.server_close()


@pytest.fixture
def visit(site: Site, tmp_path: Path) -> Iterator[Callable[[str], dict[str, object]]]:
    """``visit(url)``: a real browser opens the page, which connects to ``url``; its report."""
    chromium = shutil.which("chromium")
    assert chromium, "a browser is missing: apt install chromium"
    started: list[subprocess.Popen[bytes]] = []

    def open_page(url: str) -> dict[str, object]:
        site.options = {"servers": url}
        site.reported.clear()
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage")
        more = ("--ignore-certificate-errors", "--disable-background-networking", f"--user-data-dir={tmp_path / 'chromium'}")
        started.append(
            subprocess.Popen([chromium, *flags, *more, site.url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        assert site.reported.wait(60), "the page has not reported"
        _end(started[-1])
        return site.report

    yield open_page
    for process in started:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.mark.parametrize("either", ["edge", "nats"], indirect=True)
def test_nats_js_in_a_browser(
    request: pytest.FixtureRequest, either: Callable[..., Any], authority: Any, site: Site,
    visit: Callable[[str], dict[str, object]],
) -> None:  # fmt: skip
    pair = authority.server("wss-browser")
    tls = f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}" }}'
    compression = compressed(request.node.callspec.params["either"])
    server = either(config(tls, compression, f'allowed_origins: ["{site.url}"]'))
    assert visit(f"wss://127.0.0.1:{server.ports['websocket']}") == {"seen": expected(server)}


def test_a_browser_from_elsewhere(start_edge: Callable[..., Any], visit: Callable[[str], dict[str, object]]) -> None:
    server = start_edge(config("no_tls: true", "same_origin: true"))
    assert "error" in visit(f"ws://127.0.0.1:{server.ports['websocket']}")
    server.wait_for_log("origin not allowed: not same origin")
