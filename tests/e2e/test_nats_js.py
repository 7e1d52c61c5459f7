"""nats.js over TCP: the same programs against our server and the real one print the same."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.mint import Operator, creds, key

Start = Callable[..., Any]
JS = Path(__file__).parent / "js"
CONFIG = """
listen: 127.0.0.1:{port}
max_payload: 10000
jetstream {{ store_dir: "{store}" }}
authorization {{ users: [ {{ user: u, password: u, permissions: {{ publish: {{deny: denied.pub}}, subscribe: {{deny: denied.sub}} }} }} ] }}
"""


def command(program: str, server: Any, **options: object) -> list[str]:
    return ["node", str(JS / "tcp.mjs"), json.dumps({"program": program, "url": server.url, **options})]


def run(program: str, server: Any, **options: object) -> list[Any]:
    done = subprocess.run(command(program, server, **options), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def servers(module_servers: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return [
        start(CONFIG.format(port=-1, store=tmp_path_factory.mktemp("store"))) for start in module_servers
    ]


@pytest.mark.parametrize("program", ["core", "services", "jetstream"])
def test_the_same_on_both(program: str, servers: list[Any]) -> None:
    ours, theirs = (run(program, server) for server in servers)
    assert ours == theirs and len(ours) >= 5


def test_logins(either: Start) -> None:
    users = f'[{{user: u, password: p}}, {{nkey: {key("U", 1).public}}}]'
    server = either(f"listen: 127.0.0.1:-1\nauthorization {{ users: {users} }}")
    logins = {
        "right": {"user": "u", "pass": "p"}, "wrong": {"user": "u", "pass": "x"}, "nothing": {},
        "nkey": {"seed": key("U", 1).seed}, "another's nkey": {"seed": key("U", 2).seed}, "token": {"token": "t"},
    }  # fmt: skip
    found = run("logins", server, logins=logins)
    assert [line[:2] for line in found] == [
        ["right", "in"], ["wrong", "AuthorizationError"], ["nothing", "AuthorizationError"], ["nkey", "in"],
        ["another's nkey", "AuthorizationError"], ["token", "AuthorizationError"],
    ]  # fmt: skip


def test_credentials(either: Start, tmp_path: Path) -> None:
    operator = Operator()
    a = operator.account("A")
    server = either(operator.config())
    text = Path(creds(tmp_path, a.user(1), 1)).read_text()
    logins = {
        "creds": {"creds": text}, "bearer": {"jwt": a.user(2, bearer_token=True)}, "no bearer": {"jwt": a.user(2)},
    }  # fmt: skip
    found = run("logins", server, logins=logins)
    assert [line[:2] for line in found] == [["creds", "in"], ["bearer", "in"], ["no bearer", "AuthorizationError"]]


def test_tls(either: Start, authority: Any) -> None:
    pair, client = authority.server("js"), authority.make("js-client")
    tls = f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}", ca_file: "{authority.file}", verify: true }}'
    server = either(f"listen: 127.0.0.1:-1\n{tls}")
    mine = {"caFile": str(authority.file), "certFile": str(client.cert), "keyFile": str(client.key)}
    logins = {"with a certificate": {"tls": mine}, "without": {"tls": {"caFile": str(authority.file)}, "timeout": 1500}}
    found = run("logins", server, logins=logins)
    assert found[0] == ["with a certificate", "in"] and found[1][1] != "in"


@pytest.mark.parametrize("how", ["kill", "lame duck"])
def test_it_comes_back(how: str, either: Start, free_port: Callable[[], int], tmp_path: Path) -> None:
    config = CONFIG.format(port=free_port(), store=tmp_path / "js")
    server = either(config + '\nlame_duck_grace_period: "100ms"\n')
    client = subprocess.Popen(command("statuses", server), stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    try:
        assert json.loads(client.stdout.readline()) == ["ready"]
        if how == "kill":
            server.kill()
        else:
            server.process.send_signal(signal.SIGUSR2)
            assert json.loads(client.stdout.readline()) == ["lame duck"]
            server.process.wait(60)
        assert json.loads(client.stdout.readline()) == ["disconnected"]
        server.start()
        assert json.loads(client.stdout.readline()) == ["back", 1]
        assert client.wait(60) == 0
    finally:
        client.kill()
        client.stdout.close()
        client.wait()
