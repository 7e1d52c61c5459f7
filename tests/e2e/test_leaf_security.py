"""Leaf links that log in and encrypt as hubs want it: our leaf and the real one, against a real hub."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.mint import Operator, creds, key

PATIENCE = 60.0
Start = Callable[..., Any]


def wait_for(what: Callable[[], bool], why: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)


USERS = f"""
listen: 127.0.0.1:-1
accounts {{ A {{ users: [{{nkey: {key('U', 1).public}}}, {{user: op, password: op}}] }} }}
"""
OPERATOR_LOGIN = '{"verbose":false,"headers":true,"no_responders":true,"user":"op","pass":"op"}'


class Pair:
    """A hub with ``authorization`` and ``tls`` for leafs, and a leaf with these fields in its remote."""

    def __init__(self, start_nats: Start, either: Start, port: int) -> None:
        self.start_nats, self.either, self.port = start_nats, either, port

    def start(self, hub: str, remote: str, url: str = "nats-leaf://127.0.0.1:{}", top: str = "") -> None:
        self.hub = self.start_nats(
            f"{top or 'listen: 127.0.0.1:-1'}\nserver_name: hub\nleafnodes {{ listen: 127.0.0.1:{self.port}, {hub} }}", "hub"
        )
        self.leaf = self.either(
            "listen: 127.0.0.1:-1\nserver_name: leaf\nleafnodes { reconnect: \"0.1s\", remotes: "
            f'[{{ url: "{url.format(self.port)}", {remote} }}] }}', "leaf"
        )

    def is_up(self, hub_login: str = '{"verbose":false,"headers":true,"no_responders":true}') -> bool:
        """Does a message of the leaf's client come out at the hub?"""
        up, down = self.hub.wire(), self.leaf.wire()
        up.login(hub_login)
        down.login('{"verbose":false,"headers":true,"no_responders":true}')
        up.send(b"SUB over 1\r\nPING\r\n")
        up.expect(rb"(INFO[^\r]*\r\n)?.*?PONG\r\n")
        arrived = False
        deadline = time.monotonic() + PATIENCE
        while not arrived and time.monotonic() < deadline:
            down.send(b"PUB over 1\r\nx\r\nPING\r\n")
            down.expect(rb".*?PONG\r\n")
            time.sleep(0.05)
            up.send(b"PING\r\n")
            arrived = b"MSG over" in up.expect(rb".*?PONG\r\n")
        return arrived


@pytest.fixture
def pair(start_nats: Start, either: Start, free_port: Callable[[], int]) -> Pair:
    return Pair(start_nats, either, free_port())


def tls(pair: Any, *more: str) -> str:
    return f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}", {", ".join(("timeout: 2", *more))} }}'


def test_a_token(pair: Pair) -> None:
    pair.start("", "", "nats-leaf://s3cret@127.0.0.1:{}", 'listen: 127.0.0.1:-1\nauthorization { token: "s3cret" }')
    assert pair.is_up('{"verbose":false,"headers":true,"no_responders":true,"auth_token":"s3cret"}')


def test_an_nkey(pair: Pair) -> None:
    pair.start("", f'nkey: "{key("U", 1).seed}"', top=USERS)
    assert pair.is_up(OPERATOR_LOGIN)


def test_credentials(pair: Pair, tmp_path: Path) -> None:
    operator = Operator()
    a = operator.account("A")
    path = creds(tmp_path, a.user(1), 1)
    pair.start("", f'credentials: "{path}"', top=operator.config().replace("server_name: S\n", ""))
    bearer = a.user(2, bearer_token=True)
    assert pair.is_up(f'{{"verbose":false,"headers":true,"no_responders":true,"jwt":"{bearer}"}}')


@pytest.mark.parametrize("how", ["tls block", "tls url", "first", "mutual"])
def test_tls(how: str, pair: Pair, authority: Any) -> None:
    server, client = authority.server(f"hub-{how[:3]}"), authority.make(f"leaf-{how[:3]}")
    more = {"first": ["handshake_first: true"], "mutual": ["verify: true", f'ca_file: "{authority.file}"']}.get(how, [])
    ours = [f'ca_file: "{authority.file}"']
    if how == "mutual":
        ours += [f'cert_file: "{client.cert}"', f'key_file: "{client.key}"']
    if how == "first":
        ours.append("handshake_first: true")
    scheme = "tls" if how == "tls url" else "nats-leaf"
    pair.start(tls(server, *more), f"tls {{ {', '.join(ours)} }}", scheme + "://localhost:{}")
    assert pair.is_up()


@pytest.fixture
def our_pair(start_nats: Start, start_edge: Start, free_port: Callable[[], int]) -> Pair:
    return Pair(start_nats, start_edge, free_port())


def says(pair: Pair, *texts: str) -> None:
    log = pair.leaf.log
    wait_for(lambda: any(text in log.read_text() for text in texts), log.read_text)
    assert "Traceback" not in log.read_text()


def test_a_certificate_that_nobody_vouches_for(our_pair: Pair, authority: Any) -> None:
    our_pair.start(tls(authority.server("hub-good")), "", "tls://localhost:{}")
    says(our_pair, "certificate verify failed", "CERTIFICATE_VERIFY_FAILED")


def test_a_certificate_of_another(our_pair: Pair, authority: Any) -> None:
    ours = f'tls {{ ca_file: "{authority.file}" }}'
    our_pair.start(tls(authority.make("hub-other")), ours, "tls://localhost:{}")
    says(our_pair, "Hostname mismatch", "not valid for")


def test_a_hub_that_wants_tls_and_a_leaf_without(our_pair: Pair, authority: Any) -> None:
    our_pair.start(tls(authority.server("hub-w")), "")
    says(our_pair, "write tls:// in the url")


def test_a_file_that_is_not_there(our_pair: Pair, tmp_path: Path) -> None:
    our_pair.start("", f'credentials: "{tmp_path / "none.creds"}"')
    says(our_pair, "none.creds: No such file or directory")
    (tmp_path / "none.creds").write_text("nonsense")
    says(our_pair, "expected a user's JWT and its seed")


def test_a_seed_in_a_file_that_changes(our_pair: Pair, tmp_path: Path) -> None:
    """It is read at each try: who is enrolled later, or anew, needs no restart."""
    (tmp_path / "seed").write_text(key("U", 2).seed + "\n")
    our_pair.start("", f'nkey: "{tmp_path / "seed"}"', top=USERS)
    says(our_pair, "Authorization Violation")
    (tmp_path / "seed").write_text(key("U", 1).seed + "\n")
    assert our_pair.is_up(OPERATOR_LOGIN)
