"""Operator mode: JWTs and .creds files, on our server and on the real one."""

import asyncio
import base64
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
import pytest

from edge.core.jwt import encode
from tests.e2e.mint import JETSTREAM, Account, Operator, creds, key

Start = Callable[..., Any]
HOUR = 3600


def login(server: Any, jwt: str, number: int = 0, **options: object) -> Any:
    """A raw connection that has said who it is; ``number`` 0: without a signature."""
    wire = server.wire()
    nonce = json.loads(wire.info[5:])["nonce"]
    said = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "jwt": jwt, **options}
    if number:
        said["sig"] = base64.urlsafe_b64encode(key("U", number).sign(nonce.encode())).decode().rstrip("=")
    wire.send(f"CONNECT {json.dumps(said)}\r\nPING\r\n".encode())
    return wire


def enter(server: Any, jwt: str, number: int = 0) -> Any:
    wire = login(server, jwt, number)
    wire.expect(rb"PONG\r\n")
    return wire


def answer_to(server: Any, jwt: str, number: int = 0) -> str:
    """PONG, or the text of the refusal."""
    wire = login(server, jwt, number)
    line: bytes = wire.expect(rb"[^\r]*\r\n")
    wire.close()
    return line.decode().strip()


def last_words(wire: Any) -> str:
    """What it is told before it is closed."""
    return "".join(line for line in wire.expect_closed().decode().split("\r\n") if line.startswith("-ERR"))


def said(wire: Any, *operations: str) -> list[str]:
    """The lines up to the PONG that follows these operations."""
    wire.send("".join(f"{operation}\r\n" for operation in (*operations, "PING")).encode())
    lines = wire.expect(rb".*?PONG\r\n").decode().split("\r\n")[:-2]
    return [line for line in lines if not line.startswith("INFO ")]


REFUSED = "-ERR 'Authorization Violation'"


def test_who_comes_in(either: Start) -> None:
    operator = Operator()
    a = operator.account("A")
    signer, scope, other = key("A", 901), key("A", 902), key("A", 903)
    template = {"pub": {"allow": ["x"]}, "subs": -1, "data": -1, "payload": -1}
    a.claims["signing_keys"] = [
        signer.public, {"kind": "user_scope", "key": scope.public, "role": "r", "template": template}
    ]  # fmt: skip
    a.claims["revocations"] = {key("U", 9).public: int(time.time()) + HOUR}
    stranger = Operator(7).account("Z")
    now = int(time.time())
    later = [time.strftime("%H:%M:%S", time.gmtime(now + hours * HOUR)) for hours in (2, 3)]
    around = [time.strftime("%H:%M:%S", time.gmtime(now + hours * HOUR)) for hours in (-2, 2)]
    comes_in = {
        "plain": a.user(1),
        "by a signing key": a.user(1, signer=signer),
        "by a scope": a.user(1, signer=scope, scoped=True),
        "from here": a.user(1, src=["10.0.0.0/8", "127.0.0.0/8"]),
        "standard too": a.user(1, allowed_connection_types=["MQTT", "STANDARD"]),
        "about now": a.user(1, times=[{"start": around[0], "end": around[1]}], times_location="UTC"),
        "not expired": a.user(1, exp=now + HOUR),
    }
    is_refused = {
        "by a stranger's key": a.user(1, signer=other),
        "by a scope, with rights of its own": a.user(1, signer=scope, pub={"allow": ["x"]}),
        "of another operator": stranger.user(1),
        "expired": a.user(1, exp=now - 10),
        "not yet": a.user(1, nbf=now + HOUR),
        "from elsewhere": a.user(1, src=["10.0.0.0/8"]),
        "not at this time": a.user(1, times=[{"start": later[0], "end": later[1]}], times_location="UTC"),
        "MQTT alone": a.user(1, allowed_connection_types=["MQTT"]),
        "an account, not a user": a.jwt(),
        "nonsense": "nonsense",
    }
    server = either(operator.config())
    found = {who: answer_to(server, jwt, 1) for who, jwt in (comes_in | is_refused).items()}
    assert found == dict.fromkeys(comes_in, "PONG") | dict.fromkeys(is_refused, REFUSED)
    assert answer_to(server, a.user(9), 9) == REFUSED  # revoked
    assert answer_to(server, a.user(1), 2) == REFUSED  # signed with another seed
    assert answer_to(server, a.user(1)) == REFUSED  # not signed


def test_a_signing_key_only(either: Start) -> None:
    operator, signer, account_signer = Operator(), key("O", 50), key("A", 901)
    strict = {"strict_signing_key_usage": True, "signing_keys": [signer.public]}
    operator.signer = signer
    a = operator.account("A")
    a.claims["signing_keys"] = [account_signer.public]
    server = either(operator.config(**strict))
    assert answer_to(server, a.user(1, signer=account_signer), 1) == "PONG"
    assert answer_to(server, a.user(1), 1) == REFUSED


def test_bearers_need_no_seed(either: Start) -> None:
    operator = Operator()
    a, strict = operator.account("A"), operator.account("B")
    strict.claims["limits"]["disallow_bearer"] = True
    server = either(operator.config())
    assert answer_to(server, a.user(1, bearer_token=True)) == "PONG"
    assert answer_to(server, a.user(1)) == REFUSED
    assert answer_to(server, strict.user(1, bearer_token=True)) == REFUSED
    assert answer_to(server, strict.user(1, bearer_token=True), 1) == REFUSED


def test_who_brings_no_jwt(either: Start) -> None:
    operator = Operator()
    a = operator.account("A")
    server = either(operator.config(more=f'default_sentinel: "{a.user(1, bearer_token=True)}"'))
    wire = server.wire()
    wire.send(b'CONNECT {"verbose":false}\r\nPING\r\n')
    wire.expect(rb"PONG\r\n")


def test_pinned_accounts(either: Start) -> None:
    operator = Operator()
    a, b = operator.account("A"), operator.account("B")
    server = either(operator.config(more=f"resolver_pinned_accounts: [{a.public}]"))
    assert answer_to(server, a.user(1), 1) == "PONG" and answer_to(server, b.user(1), 1) == REFUSED


def test_what_a_template_lets_do(either: Start) -> None:
    operator = Operator()
    a = operator.account("A")
    a.claims["tags"] = ["region:eu"]
    scope = key("A", 902)
    template = {
        "pub": {
            "allow": ["{{name()}}.>", "t.{{tag(team)}}.{{tag(room)}}", "r.{{account-tag(region)}}", "a.{{account-name()}}"],
            "deny": ["{{name()}}.secret"],
        },
        "sub": {"allow": ["s.{{subject()}}", "s.{{account-subject()}}", "n.{{tag(none)}}"]},
        "subs": -1, "data": -1, "payload": 8,
    }  # fmt: skip
    a.claims["signing_keys"] = [{"kind": "user_scope", "key": scope.public, "role": "r", "template": template}]
    bob = a.user(4, "bob", scope, scoped=True, tags=["team:x", "team:y", "room:1"])
    wire = enter(either(operator.config()), bob, 4)
    subjects = ["bob.1", "bob.secret", "eve.1", "t.x.1", "t.y.1", "t.z.1", "t.x.2", "r.eu", "r.us", "a.A", "a.B"]
    denied = said(wire, *(f"PUB {subject} 0\r\n" for subject in subjects))
    assert denied == [
        f"-ERR 'Permissions Violation for Publish to \"{subject}\"'"
        for subject in ("bob.secret", "eve.1", "t.z.1", "t.x.2", "r.us", "a.B")
    ]
    wanted = [f"s.{key('U', 4).public}", f"s.{a.public}", "s.x", "n.x"]
    assert said(wire, *(f"SUB {subject} {sid}" for sid, subject in enumerate(wanted))) == [
        f"-ERR 'Permissions Violation for Subscription to \"{subject}\"'" for subject in ("s.x", "n.x")
    ]
    wire.send(b"PUB bob.1 9\r\n123456789\r\n")
    assert last_words(wire) == "-ERR 'Maximum Payload Violation'"


def test_it_ends_when_it_expires(either: Start) -> None:
    operator = Operator()
    a, short = operator.account("A"), operator.account("SHORT")
    short.times["exp"] = int(time.time()) + 4
    server = either(operator.config())
    user = enter(server, a.user(1, exp=int(time.time()) + 2), 1)
    account = enter(server, short.user(2), 2)
    assert last_words(user) == "-ERR 'User Authentication Expired'"
    assert last_words(account) == "-ERR 'Account Authentication Expired'"
    assert answer_to(server, short.user(2), 2) == REFUSED


def test_limits_of_accounts_and_users(either: Start) -> None:
    operator = Operator()
    a = operator.account("A")
    a.claims["limits"] |= {"conn": 2, "payload": 100}
    server = either(operator.config())
    first = enter(server, a.user(1, subs=1), 1)
    second = enter(server, a.user(2), 2)
    assert answer_to(server, a.user(3), 3) == "-ERR 'maximum account active connections exceeded'"
    assert said(first, "SUB one 1", "SUB two 2") == ["-ERR 'maximum subscriptions exceeded'"]
    second.send(b"PUB x 101\r\n" + b"x" * 101 + b"\r\n")
    assert last_words(second) == "-ERR 'Maximum Payload Violation'"


def test_default_permissions(either: Start) -> None:
    operator = Operator()
    a = operator.account("A")
    a.claims["default_permissions"] = {"pub": {"allow": ["ok"]}, "sub": {"deny": ["secret"]}}
    server = either(operator.config())
    plain, own = enter(server, a.user(1), 1), enter(server, a.user(2, pub={"allow": ["own"]}), 2)
    denied = "-ERR 'Permissions Violation for {}'"
    operations = ("PUB ok 0\r\n", "PUB own 0\r\n", "SUB secret 1")
    assert said(plain, *operations) == [
        denied.format('Publish to "own"'), denied.format('Subscription to "secret"')
    ]  # fmt: skip
    assert said(own, *operations) == [denied.format('Publish to "ok"')]


def test_exports_and_imports(either: Start) -> None:
    """A stream and a service, public and private; who has no token has no import."""
    operator = Operator()
    a, b, c = operator.account("A"), operator.account("B"), operator.account("C")
    a.claims["exports"] = [
        {"name": "s", "subject": "s.>", "type": "stream"},
        {"name": "p", "subject": "p.>", "type": "stream", "token_req": True},
        {"name": "q", "subject": "q", "type": "service", "response_type": "Singleton"},
    ]
    token = encode(
        {"sub": b.public, "name": "p", "nats": {"subject": "p.>", "kind": "stream", "type": "activation"}}, a.key
    )
    imports: list[dict[str, Any]] = [
        {"name": "s", "subject": "s.>", "account": a.public, "local_subject": "from.a.>", "type": "stream"},
        {"name": "p", "subject": "p.>", "account": a.public, "to": "old", "type": "stream"},
        {"name": "q", "subject": "q", "account": a.public, "local_subject": "ask.a", "type": "service"},
    ]
    b.claims["imports"] = [imports[0], imports[1] | {"token": token}, imports[2]]
    c.claims["imports"] = imports
    server = either(operator.config())
    at_a, at_b, at_c = (enter(server, account.user(i), i) for i, account in enumerate((a, b, c), 1))
    for wire in (at_b, at_c):
        assert said(wire, "SUB > 1") == []
    said(at_a, "SUB q 9")
    assert said(at_a, "PUB s.1 0\r\n", "PUB p.1 0\r\n", "PUB x 0\r\n") == []
    assert said(at_b) == ["MSG from.a.1 1 0", "", "MSG old.p.1 1 0", ""]
    assert said(at_c) == ["MSG from.a.1 1 0", ""]
    at_b.send(b"PUB ask.a me 0\r\n\r\n")
    reply = at_a.expect(rb"HMSG q 9 \S+ \d+ \d+\r\nNATS/1.0\r\nNats-Request-Info: [^\r]+\r\n\r\n\r\n").split()[3].decode()
    at_a.send(f"PUB {reply} 3\r\nyes\r\n".encode())
    at_b.expect(rb"(MSG ask.a 1 me 0\r\n\r\n)?MSG me 1 3\r\nyes\r\n")


def ask(system: Any, subject: str, body: str = "") -> Any:
    """What a request to the system account is answered with, without what names this server."""
    system.send(f"PUB {subject} reply {len(body)}\r\n{body}\r\n".encode())
    head = system.expect(rb"H?MSG reply 1 [^\r]*\r\n").split()
    data = system.expect(rb".{%d}\r\n" % int(head[-1])).decode().strip()
    if data.startswith("NATS/1.0 503"):
        return "nobody"
    if not data.startswith("{"):
        return data
    fields = json.loads(data)
    fields.pop("server", None)
    return fields


@pytest.mark.parametrize("kind", ["memory", "full"])
def test_accounts_change_while_it_runs(kind: str, either: Start, tmp_path: Path) -> None:
    operator = Operator()
    a, late = operator.account("A"), Account(operator, 7, "LATE")
    full = f'{{ type: full, dir: "{tmp_path}/jwt", allow_delete: true, interval: "2m" }}'
    server = either(operator.config(full if kind == "full" else "MEMORY"))
    system = enter(server, operator.system.user(50), 50)
    said(system, "SUB reply 1")
    user, other = enter(server, a.user(1), 1), enter(server, a.user(2), 2)

    update = f"$SYS.REQ.ACCOUNT.{a.public}.CLAIMS.UPDATE"
    nonsense, another = ask(system, update, "nonsense"), ask(system, update, late.jwt())
    assert (list(nonsense), list(another)) == (["error"], ["error"])
    assert another["error"]["account"] == a.public and another["error"]["code"] == 500
    assert "subject does not match jwt content" in another["error"]["description"]
    new = a.jwt(revocations={key("U", 1).public: int(time.time()) + 1})
    assert ask(system, update, new) == {"data": {"account": a.public, "code": 200, "message": "jwt updated"}}
    assert last_words(user) == "-ERR 'User Authentication Revoked'"
    assert said(other) == []

    lookup = f"$SYS.REQ.ACCOUNT.{late.public}.CLAIMS.LOOKUP"
    if kind == "memory":
        assert ask(system, lookup) == ask(system, "$SYS.REQ.CLAIMS.LIST") == "nobody"
        answer = ask(system, f"$SYS.REQ.ACCOUNT.{late.public}.CLAIMS.UPDATE", late.jwt())
        assert answer["data"]["message"] == "jwt update skipped"
    else:
        assert ask(system, lookup) == ""
        assert ask(system, "$SYS.REQ.CLAIMS.UPDATE", late.jwt())["data"]["message"] == "jwt updated"
        assert ask(system, lookup) == late.jwt()
        listed = ask(system, "$SYS.REQ.CLAIMS.LIST")["data"]
        assert sorted(listed) == sorted([late.public, *(account.public for account in operator.accounts)])
        stays = enter(server, late.user(3), 3)
        refusal = ask(system, "$SYS.REQ.CLAIMS.DELETE", late.jwt())
        assert refusal["error"] == {
            "code": 500, "description": f"delete accounts request by {late.public} failed - not self signed"
        }  # fmt: skip
        gone = {"sub": operator.key.public, "nats": {"accounts": [late.public], "type": "generic"}}
        deleted = ask(system, "$SYS.REQ.CLAIMS.DELETE", encode(gone, operator.key))
        assert deleted == {"data": {"code": 200, "message": "deleted 1 accounts"}}
        assert ask(system, lookup) == ""
        last_words(stays)
    assert answer_to(server, late.user(3), 3) == REFUSED


def test_a_new_preload_takes_hold_on_reload(either: Start) -> None:
    operator = Operator()
    a, b = operator.account("A"), operator.account("B")
    server = either(operator.config())
    revoked, stays, gone = enter(server, a.user(1), 1), enter(server, a.user(2), 2), enter(server, b.user(3), 3)
    a.claims["revocations"] = {key("U", 1).public: int(time.time()) + 1}
    late = operator.account("LATE")
    server.config.write_text(operator.config())
    assert answer_to(server, late.user(4), 4) == REFUSED
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("Reloaded server configuration")
    assert last_words(revoked) == "-ERR 'User Authentication Revoked'"
    assert said(stays) == said(gone) == []
    assert answer_to(server, late.user(4), 4) == "PONG"


def test_jetstream_by_jwt(either: Start, tmp_path: Path) -> None:
    """With .creds; an account has its streams back after a kill."""
    operator = Operator()
    a, without = operator.account("A"), operator.account("W")
    a.claims["limits"] |= {**JETSTREAM, "streams": 1}
    resolver = f'{{ type: full, dir: "{tmp_path}/jwt" }}'
    server = either(operator.config(resolver, f'jetstream {{ store_dir: "{tmp_path}/js" }}'))
    path = creds(tmp_path, a.user(1), 1)

    async def main() -> None:
        client = await nats.connect(server.url, user_credentials=path)
        js = client.jetstream()
        await js.add_stream(name="S", subjects=["s"])
        assert (await js.publish("s", b"1")).seq == 1
        with pytest.raises(nats.js.errors.APIError) as refusal:
            await js.add_stream(name="T", subjects=["t"])
        assert refusal.value.description == "maximum number of streams reached"
        await client.close()

        other = await nats.connect(server.url, user_credentials=creds(tmp_path, without.user(2), 2))
        with pytest.raises((nats.js.errors.APIError, nats.js.errors.ServiceUnavailableError)):
            await other.jetstream().account_info()
        await other.close()

        server.kill()
        server.start()
        client = await nats.connect(server.url, user_credentials=path)
        assert (await client.jetstream().stream_info("S")).state.messages == 1
        await client.close()

    asyncio.run(main())
