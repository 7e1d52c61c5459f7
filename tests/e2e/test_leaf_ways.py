"""The ways to a hub: WebSocket, an HTTP proxy, compressed.  Our leaf and the real one, against a real hub."""

import base64
import json
import random
import re
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.test_leaf_security import Pair, tls, wait_for

Start = Callable[..., Any]
OFF = "compression: off"


class WebPair(Pair):
    """As its parent, but the leaf comes to the hub's WebSocket port."""

    def start_web(self, remote: str = "", web: str = "no_tls: true", scheme: str = "ws", path: str = "") -> None:
        self.web = f"websocket {{ listen: 127.0.0.1:{self.port}, {web} }}"
        self.hub = self.start_nats(
            f"listen: 127.0.0.1:-1\nserver_name: hub\nleafnodes {{ listen: 127.0.0.1:-1 }}\nhttp: 127.0.0.1:-1\n{self.web}", "hub"
        )
        self.leaf = self.either(
            'listen: 127.0.0.1:-1\nhttp: 127.0.0.1:-1\nserver_name: leaf\nleafnodes { reconnect: "0.1s", remotes: '
            f'[{{ url: "{scheme}://localhost:{self.port}{path}", {remote} }}] }}', "leaf"
        )


@pytest.fixture
def web(start_nats: Start, either: Start, free_port: Callable[[], int]) -> WebPair:
    return WebPair(start_nats, either, free_port())


@pytest.fixture
def pair(start_nats: Start, either: Start, free_port: Callable[[], int]) -> Pair:
    return Pair(start_nats, either, free_port())


@pytest.fixture
def our_web(start_nats: Start, start_edge: Start, free_port: Callable[[], int]) -> WebPair:
    return WebPair(start_nats, start_edge, free_port())


@pytest.fixture
def our_pair(start_nats: Start, start_edge: Start, free_port: Callable[[], int]) -> Pair:
    return Pair(start_nats, start_edge, free_port())


@pytest.mark.parametrize("remote", [OFF, "ws_compression: true, ws_no_masking: true"])
def test_a_websocket(remote: str, web: WebPair) -> None:
    web.start_web(remote, f"no_tls: true, compression: {remote != OFF}".lower())
    assert web.is_up()
    carries_much(web)


@pytest.mark.parametrize("remote", ["ws_compression: true", "ws_no_masking: true", "compression: s2_fast"])
def test_a_websocket_of_ours(remote: str, our_web: WebPair) -> None:
    our_web.start_web(remote, f"no_tls: true, compression: {'ws_compression' in remote}".lower(), path="/site/a")
    assert our_web.is_up()
    carries_much(our_web)


def test_a_hub_that_grants_neither_compression_nor_naked_frames(our_web: WebPair) -> None:
    our_web.start_web("ws_compression: true, ws_no_masking: true")
    assert our_web.is_up()


def test_wss(web: WebPair, authority: Any) -> None:
    web.start_web(f'tls {{ ca_file: "{authority.file}" }}', tls(authority.server("wss")), "wss")
    assert web.is_up()


def carries_much(pair: Pair) -> None:
    """A megabyte of what shrinks and of what does not, both ways, whole and in order."""
    up, down = pair.hub.wire(), pair.leaf.wire()
    for wire in (up, down):
        wire.login('{"verbose":false,"headers":true,"no_responders":true}')
    parts = [bytes([65 + i % 26]) * (i * 997 % 9_000) + bytes(j * j * i % 251 for j in range(i)) for i in range(1, 200)]
    for sender, receiver, subject in ((down, up, b"much.up"), (up, down, b"much.down")):
        receiver.send(b"SUB %s 1\r\nPING\r\n" % subject)
        receiver.expect(rb".*?PONG\r\n")
        knows(sender, subject)
        receiver.expect(rb"(PING\r\n|MSG \S+ 1 _INBOX.k 0\r\n\r\n)+")
        sender.send(b"".join(b"PUB %s %d\r\n%s\r\n" % (subject, len(part), part) for part in parts))
        takes(receiver, b"".join(b"MSG %s 1 %d\r\n%s\r\n" % (subject, len(part), part) for part in parts))


def takes(wire: Any, whole: bytes) -> None:
    got = bytearray(wire.received)
    wire.received = b""
    while len(got) < len(whole):
        chunk = wire.socket.recv(1 << 18)
        assert chunk
        got += chunk
    assert got == whole


def leafz(server: Any) -> list[dict[str, Any]]:
    found = re.search(r"Starting http monitor on 127\.0\.0\.1:(\d+)", server.log.read_text())
    assert found
    with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/leafz", timeout=60) as answer:
        return list(json.load(answer)["leafs"])


def knows(wire: Any, subject: bytes) -> None:
    """Until the server of ``wire`` has heard that somebody wants ``subject``."""

    def asked() -> bool:
        wire.send(b"SUB _INBOX.k 99\r\nPUB %s _INBOX.k 0\r\n\r\nPING\r\n" % subject)
        answer = bytes(wire.expect(rb"(PING\r\n)*(HMSG _INBOX.k 99 [^\n]*\r\nNATS/1.0 503.*?)?PONG\r\n"))
        wire.send(b"UNSUB 99\r\n")
        return b" 503" not in answer

    wait_for(asked)


# ---- compression


def check_compression(hub: str, leaf: str, pair: Pair) -> None:
    pair.start(f"compression: {hub}", f"compression: {leaf}", top="listen: 127.0.0.1:-1\nhttp: 127.0.0.1:-1")
    assert pair.is_up()
    (link,) = leafz(pair.hub)
    off = "off" in (hub, leaf) or hub == leaf == "accept"
    assert (link["compression"] in ("off", "not supported")) is off, link
    carries_much(pair)


@pytest.mark.parametrize(("hub", "leaf"), [("s2_fast", "s2_better"), ("accept", "s2_fast")])
def test_compression(hub: str, leaf: str, pair: Pair) -> None:
    check_compression(hub, leaf, pair)


@pytest.mark.parametrize(
    ("hub", "leaf"),
    [("s2_better", "s2_best"), ("s2_best", "accept"), ("accept", "accept"), ("off", "s2_fast"), ("s2_fast", "off"), ("s2_auto", '{ mode: s2_auto, rtts: ["0s", "1s"] }')],
)
def test_compression_of_ours(hub: str, leaf: str, our_pair: Pair) -> None:
    check_compression(hub, leaf, our_pair)


def test_compression_within_tls(our_pair: Pair, authority: Any) -> None:
    ours = f'compression: s2_fast, tls {{ ca_file: "{authority.file}" }}'
    our_pair.start(f"{tls(authority.server('s2'))}, compression: s2_best", ours, "tls://localhost:{}")
    assert our_pair.is_up()
    carries_much(our_pair)


# ---- a proxy


class Proxy:
    """Joins who asks with ``CONNECT`` to where they want to go."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heads: list[bytes] = []
        self.answer = b"HTTP/1.1 200 Connection established\r\n\r\n"
        self.context: ssl.SSLContext | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            self.sockets.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        if self.context is not None:
            try:
                sock = self.context.wrap_socket(sock, server_side=True)
            except OSError:  # who has come does not trust us
                return
            self.sockets.append(sock)
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        self.heads.append(head)
        sock.sendall(self.answer)
        if b" 200 " not in self.answer:
            sock.close()
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        far = socket.create_connection((host, int(port)))
        self.sockets.append(far)
        threading.Thread(target=pump, args=(far, sock), daemon=True).start()
        pump(sock, far)


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.listener.close()
    for sock in made.sockets:
        sock.close()


@pytest.mark.parametrize("way", ["ws", "wss", "tcp", "tls"])
def test_a_proxy(way: str, web: WebPair, proxy: Proxy, authority: Any) -> None:
    login = f'proxy {{ url: "http://127.0.0.1:{proxy.port}", username: u, password: "p:w" }}'
    if way == "tcp":
        web.start("", login, "nats-leaf://localhost:{}")
    elif way == "tls":
        web.start(tls(authority.server("prt")), f'{login}, tls {{ ca_file: "{authority.file}" }}', "tls://localhost:{}")
    elif way == "ws":
        web.start_web(login)
    else:
        web.start_web(f'{login}, tls {{ ca_file: "{authority.file}" }}', tls(authority.server("prx")), "wss")
    assert web.is_up()
    head = proxy.heads[0]
    assert head.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % web.port)
    assert b"proxy-authorization: basic " + base64.b64encode(b"u:p:w").lower() in head.lower()


@pytest.mark.parametrize("way", ["wss", "tcp", "tls"])
def test_a_proxy_that_is_encrypted_too(
    way: str, web: WebPair, proxy: Proxy, authority: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificate is one that the system trusts, whatever the remote's ``tls`` says."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    pair = authority.server("prx")
    proxy.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    proxy.context.load_cert_chain(pair.cert, pair.key)
    remote = f'proxy {{ url: "https://localhost:{proxy.port}" }}'
    if way == "wss":
        web.start_web(f'{remote}, tls {{ ca_file: "{authority.file}" }}', tls(authority.server("hub")), "wss")
    elif way == "tls":
        web.start(tls(authority.server("hub")), f'{remote}, tls {{ ca_file: "{authority.file}" }}', "tls://localhost:{}")
    else:
        web.start("", remote, "nats-leaf://localhost:{}")
    assert web.is_up()
    assert proxy.heads[0].startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % web.port)


def test_a_proxy_that_nobody_vouches_for(our_web: WebPair, proxy: Proxy, authority: Any) -> None:
    pair = authority.server("prx")
    proxy.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    proxy.context.load_cert_chain(pair.cert, pair.key)
    our_web.start_web(f'proxy {{ url: "https://localhost:{proxy.port}" }}')
    wait_for(lambda: "certificate verify failed" in our_web.leaf.log.read_text(), our_web.leaf.log.read_text)
    assert f"proxy localhost:{proxy.port}: " in our_web.leaf.log.read_text()


def test_a_proxy_that_refuses(our_web: WebPair, proxy: Proxy) -> None:
    ours = our_web
    proxy.answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    ours.start_web(f'proxy {{ url: "http://127.0.0.1:{proxy.port}" }}')
    wait_for(lambda: "refused: 407 Proxy Authentication Required" in ours.leaf.log.read_text(), ours.leaf.log.read_text)
    proxy.answer = b"HTTP/1.1 200 OK\r\n\r\n"
    assert ours.is_up()


# ---- a line that garbles


class Garbler:
    """Passes on what comes; one byte of the next that the hub sends is another, once ``at`` is set."""

    def __init__(self, port: int) -> None:
        self.far_port = port
        self.at = 0
        self.sockets: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near = self.listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.far_port))
            except OSError:
                return
            self.sockets += [near, far]
            threading.Thread(target=pump, args=(near, far), daemon=True).start()
            threading.Thread(target=self._garble, args=(far, near), daemon=True).start()

    def _garble(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if self.at and len(data) > self.at:
                    data = data[: self.at] + bytes([data[self.at] ^ 1]) + data[self.at + 1 :]
                    self.at = 0
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        for sock in (self.listener, *self.sockets):
            sock.close()


@pytest.fixture
def garbler(pair: Pair) -> Iterator[Garbler]:
    made = Garbler(pair.port)
    yield made
    made.close()


def test_what_was_garbled_is_not_passed_on(pair: Pair, garbler: Garbler) -> None:
    """The link ends, says why, and comes back."""
    pair.start("compression: s2_fast", "compression: s2_fast", f"nats-leaf://127.0.0.1:{garbler.port}")
    assert pair.is_up()
    wire, up = pair.leaf.wire(), pair.hub.wire()
    for each in (wire, up):
        each.login('{"verbose":false,"headers":true,"no_responders":true}')
    wire.send(b"SUB garbled 1\r\nSUB whole 2\r\nPING\r\n")
    wire.expect(rb".*?PONG\r\n")
    knows(up, b"garbled")
    wire.expect(rb"(PING\r\n|MSG garbled 1 _INBOX.k 0\r\n\r\n)+")
    payload = random.Random(1).randbytes(5000)  # does not shrink
    garbler.at = 2500
    up.send(b"PUB garbled %d\r\n%s\r\n" % (len(payload), payload))
    wait_for(lambda: not garbler.at and re.search(r"closed: Read Error|wrong sum of", pair.leaf.log.read_text()) is not None, pair.leaf.log.read_text)
    wait_for(lambda: pair.hub.log.read_text().count("Leafnode connection created") > 1, pair.hub.log.read_text)
    knows(up, b"whole")
    assert b"garbled" not in wire.expect(rb".*?MSG whole 2 _INBOX.k 0\r\n\r\n")
