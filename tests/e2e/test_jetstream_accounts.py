"""Which accounts have JetStream, and what the others are told: on our server and on the real one."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]
CALLS = (
    "INFO", "STREAM.CREATE.S", "STREAM.UPDATE.S", "STREAM.NAMES", "STREAM.LIST", "STREAM.INFO.S", "STREAM.DELETE.S",
    "STREAM.PURGE.S", "STREAM.MSG.GET.S", "STREAM.MSG.DELETE.S", "CONSUMER.CREATE.S", "CONSUMER.CREATE.S.c",
    "CONSUMER.DURABLE.CREATE.S.c", "CONSUMER.NAMES.S", "CONSUMER.LIST.S", "CONSUMER.INFO.S.c", "CONSUMER.DELETE.S.c",
    "CONSUMER.PAUSE.S.c", "CONSUMER.MSG.NEXT.S.c", "DIRECT.GET.S", "NONSENSE",
)  # fmt: skip
CONFIGS = {
    "no accounts": "authorization { users: [{user: g, password: g}] }",
    "the system's alone": "authorization {{ users: [{{user: g, password: g}}] }}\n{}\nsystem_account: SYS".format(
        "accounts { SYS { users: [{user: s, password: s}] } }"
    ),
    "another with": "authorization { users: [{user: g, password: g}] }\naccounts { A { jetstream: enabled, users: [{user: a, password: a}] } }",
    "another without": "authorization { users: [{user: g, password: g}] }\naccounts { A { users: [{user: a, password: a}] } }",
}


def ask(server: Any, user: str) -> list[str] | None:
    """The error, or "yes", for each call; None for a user who is not here."""
    wire = server.wire()
    said = {"verbose": False, "headers": True, "no_responders": True, "user": user, "pass": user}
    wire.send(f"CONNECT {json.dumps(said)}\r\nSUB me 1\r\nPING\r\n".encode())
    if wire.expect(rb"(-ERR|PONG)[^\r]*\r\n").startswith(b"-ERR"):
        return None
    found = []
    for call in CALLS:
        wire.send(f"PUB $JS.API.{call} me 2\r\n{{}}\r\nPUB me 3\r\nend\r\n".encode())
        answers = []
        while "end" not in answers[-1:]:
            head = wire.expect(rb"(INFO[^\r]*\r\n)?(PONG\r\n)?H?MSG me 1 [^\r]*\r\n").split()
            answers.append(wire.expect(rb".{%d}\r\n" % int(head[-1])).decode().strip())
            if answers == ["end"] and call != "NONSENSE":  # the answer takes another way through the real server
                answers = []
                wire.send(b"PUB me 3\r\nend\r\n")
        texts = [text for text in answers if text != "end"]
        found.append(" ".join("|".join(re.findall(r'_response"|"err_code":\d+|503|"type":"[^"]+"', text)) or "yes" for text in texts))
    return found


@pytest.mark.parametrize("name", CONFIGS)
def test_who_has_it(name: str, start_edge: Start, start_nats: Start, tmp_path: Any) -> None:
    told = []
    for start in (start_edge, start_nats):
        server = start(f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path / start.__qualname__ / str(len(told))}" }}\n{CONFIGS[name]}')
        told.append({user: ask(server, user) for user in "ga"})
    assert told[0] == told[1]
