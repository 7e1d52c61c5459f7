"""``websocket``."""

from collections.abc import Callable

import pytest

from edge.config.options import Authorization, Config, Listen, WebSocket
from edge.core.auth import User

Load = Callable[..., Config]
SECOND = 1_000_000_000
PLAIN = WebSocket(Listen("127.0.0.1", 80), no_tls=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port: 80", PLAIN),
        ("listen: '0.0.0.0:80'", PLAIN._replace(listen=Listen("0.0.0.0", 80))),
        ("port: -1", PLAIN._replace(listen=Listen("127.0.0.1", 0))),
        ("port: 80, same_origin: true, origins: 'https://x'", PLAIN._replace(same_origin=True, allowed_origins=("https://x",))),
        ("port: 80, allowed_origins: ['http://a:1', 'https://b']", PLAIN._replace(allowed_origins=("http://a:1", "https://b"))),
        ("port: 80, handshake_timeout: 5", PLAIN._replace(handshake_timeout_ns=5 * SECOND)),
        ("port: 80, handshake_timeout: '5s'", PLAIN._replace(handshake_timeout_ns=5 * SECOND)),
        ("port: 80, compression: true, ping_interval: '9s'", PLAIN._replace(compression=True, ping_interval_ns=9 * SECOND)),
        ("port: 80, user_cookie: u, pass_cookie: p", PLAIN._replace(user_cookie="u", pass_cookie="p")),
        ("port: 80, token_cookie: t, advertise: 'h:1'", PLAIN._replace(token_cookie="t", advertise="h:1")),
        ("port: 80, headers { X-A: b, Y: c }", PLAIN._replace(headers=(("X-A", "b"), ("Y", "c")))),
        (
            "port: 80, authorization { user: a, password: b }",
            PLAIN._replace(listen=Listen("0.0.0.0", 80), authorization=Authorization((User("a", "b"),))),
        ),
    ],
)
def test_a_block(text: str, expected: WebSocket, load: Load) -> None:
    assert load(f"websocket {{ no_tls: true, {text} }}").websocket == expected


def test_without_a_port_nothing_listens(load: Load) -> None:
    config = load("websocket { no_tls: true }")
    assert config.websocket is None and "websocket without a port" in config.warnings[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("websocket { port: 80 }", "1:11: websocket: expected a tls block; no_tls: true serves without encryption"),
        ("websocket { port: 80, no_tls: true, compresion: true }", "1:37: unknown key 'compresion' in websocket"),
        ("websocket { port: 80, no_tls: true, headers { Host: x } }", "1:37: headers: 'Host' is a header of the handshake itself"),
        ("websocket { port: 80, no_tls: true, headers { Sec-WebSocket-Key: x } }", "1:37: headers: 'Sec-WebSocket-Key' is"),
        ("websocket { port: 80, no_tls: true, headers { A: 'b\r\nC: d' } }", "1:37: headers: 'A' cannot be sent"),
        ("websocket { port: 80, no_tls: true, origin: x }", "1:37: allowed_origins: expected such as \"https://host:port\", found 'x'"),
        ("websocket { port: 80, no_tls: true, origin: 'http://x:y' }", "1:37: allowed_origins: expected such as"),
        ("websocket { port: 80, no_tls: true, no_auth_user: x }", "1:1: no_auth_user: no user 'x' is configured"),
        ("websocket { port: 80, no_tls: true, jwt_cookie: x }", "1:1: jwt_cookie: nobody reads the JWT"),
        ("websocket { port: 80, no_tls: true, authorization { password: x } }", "1:53: a password needs a user"),
    ],
)
def test_mistakes(text: str, problem: str, mistake: Callable[..., str]) -> None:
    assert mistake(text).startswith(problem)
