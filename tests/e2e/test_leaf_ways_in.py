"""The ways in for leafs: TLS, WebSocket, compressed, with nkeys and JWTs.  Our edge is the hub; the leaf is ours, or a
real nats-server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.conftest import Wire
from tests.e2e.mint import Operator, creds, key
from tests.e2e.test_leaf_security import OPERATOR_LOGIN, USERS, Pair, tls
from tests.e2e.test_leaf_ways import WebPair, carries_much, leafz

Start = Callable[..., Any]


@pytest.fixture
def pair(start_edge: Start, start_nats: Start, free_port: Callable[[], int]) -> Pair:
    """A real nats-server dials us; ours has the same handshake with a real hub (``test_leaf_security.py``)."""
    return Pair(start_edge, start_nats, free_port())


@pytest.fixture
def our_pair(start_edge: Start, free_port: Callable[[], int]) -> Pair:
    return Pair(start_edge, start_edge, free_port())


@pytest.fixture
def web(start_edge: Start, start_nats: Start, free_port: Callable[[], int]) -> WebPair:
    return WebPair(start_edge, start_nats, free_port())


@pytest.fixture
def our_web(start_edge: Start, free_port: Callable[[], int]) -> WebPair:
    return WebPair(start_edge, start_edge, free_port())


def test_an_nkey_for_leafs_alone(pair: Pair) -> None:
    own = f'authorization {{ nkey: {key("U", 2).public}, account: A }}'
    pair.start(own, f'nkey: "{key("U", 2).seed}"', top=USERS)
    assert pair.is_up(OPERATOR_LOGIN)


def test_a_password_that_is_hashed(pair: Pair) -> None:
    """The verdict comes later; what the leaf has said meanwhile is not lost."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    own = f'authorization {{ user: u, password: "{hashed}" }}'
    pair.start(own, "", "nats-leaf://u:secret@127.0.0.1:{}")
    assert pair.is_up()


def test_credentials(pair: Pair, tmp_path: Path) -> None:
    operator = Operator()
    a = operator.account("A")
    path = creds(tmp_path, a.user(1, allowed_connection_types=["LEAFNODE"]), 1)
    pair.start("", f'credentials: "{path}"', top=operator.config().replace("server_name: S\n", ""))
    bearer = a.user(2, bearer_token=True)
    assert pair.is_up(f'{{"verbose":false,"headers":true,"no_responders":true,"jwt":"{bearer}"}}')


@pytest.mark.parametrize("how", ["tls", "auto", "mutual"])
def test_tls(how: str, pair: Pair, authority: Any) -> None:
    server, client = authority.server(f"hub-{how[:3]}"), authority.make(f"leaf-{how[:3]}")
    more = {
        "auto": ["handshake_first: auto"], "mutual": ["verify: true", f'ca_file: "{authority.file}"'],
    }.get(how, [])  # fmt: skip
    ours = [f'ca_file: "{authority.file}"']
    if how == "mutual":
        ours += [f'cert_file: "{client.cert}"', f'key_file: "{client.key}"']
    if how == "auto":
        ours.append("handshake_first: true")
    pair.start(tls(server, *more), f"tls {{ {', '.join(ours)} }}", "nats-leaf://localhost:{}")
    assert pair.is_up()


def test_a_websocket(web: WebPair) -> None:
    web.start_web("ws_compression: true, ws_no_masking: true", "no_tls: true, compression: true")
    assert web.is_up()
    carries_much(web)


def test_a_websocket_of_ours(our_web: WebPair) -> None:
    our_web.start_web("ws_compression: true, ws_no_masking: true", "no_tls: true, compression: true")
    assert our_web.is_up()
    carries_much(our_web)


def test_wss(web: WebPair, authority: Any) -> None:
    web.start_web(f'tls {{ ca_file: "{authority.file}" }}', tls(authority.server("wss")), "wss")
    assert web.is_up()


@pytest.mark.parametrize(("hub", "leaf"), [("s2_auto", "s2_auto"), ("off", "s2_fast")])
def test_compression(hub: str, leaf: str, pair: Pair) -> None:
    pair.start(f"compression: {hub}", f"compression: {leaf}", top="listen: 127.0.0.1:-1\nhttp: 127.0.0.1:-1")
    assert pair.is_up()
    carries_much(pair)
    (link,) = leafz(pair.hub)
    assert link["compression"].startswith("off" if hub == "off" else "s2_"), link


def test_ours_encrypts_and_compresses(our_pair: Pair, authority: Any) -> None:
    server = authority.server("hub-ours")
    our_pair.start(
        f"{tls(server)}, compression: s2_auto", f'tls {{ ca_file: "{authority.file}" }}', "nats-leaf://localhost:{}"
    )
    assert our_pair.is_up()
    carries_much(our_pair)


@pytest.mark.parametrize("first", ["false", "true"])
def test_who_comes_to_encrypt_and_does_not(first: str, start_edge: Start, authority: Any) -> None:
    block = tls(authority.server("hub-not"), f"handshake_first: {first}")
    server = start_edge(f"listen: 127.0.0.1:-1\nleafnodes {{ listen: 127.0.0.1:-1, {block} }}")
    wire = Wire(server.ports["leafnode"], greet=first == "false")
    wire.send(b'CONNECT {"name":"e"}\r\n')
    wire.expect_closed()
    server.wait_for_log("Leafnode connection closed: TLS Handshake Failure")
    wire.close()
