"""Auth callout: the same service is asked by our server and by the real one, and both do as it says."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge.core.jwt import decode, encode
from edge.core.nkeys import KeyPair
from tests.e2e.mint import Operator, key

Start = Callable[..., Any]
ISSUER, XKEY = key("A", 500), key("X", 501)
REFUSED = "-ERR 'Authorization Violation'"
CONFIG = """
listen: 127.0.0.1:-1
server_name: S
accounts {
  AUTH { users: [{user: auth, password: auth}, {user: second, password: second}] }
  APP { users: [{user: app, password: app}] }
  SYS {}
}
system_account: SYS
authorization { timeout: 1s, auth_callout { issuer: %s, account: AUTH, auth_users: [auth, second] %s } }
"""


class Service:
    """Answers as ``judge`` says, who gets the claims and returns (claims of the response's ``nats``) or None: silence.

    ``seal``: encrypt the answer where the server says that it can read that.
    """

    def __init__(self, wire: Any, judge: Callable[[dict[str, Any]], dict[str, Any] | None], signer: KeyPair) -> None:
        self.wire = wire
        self.judge = judge
        self.signer = signer
        self.requests: list[dict[str, Any]] = []
        self.headers: list[bytes] = []
        wire.send(b"SUB $SYS.REQ.USER.AUTH 1\r\nPING\r\n")
        wire.expect(rb".*?PONG\r\n")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        try:
            while True:
                head = self.wire.expect(rb"(PING\r\n)*H?MSG [^\r]*\r\n").rpartition(b"PING\r\n")[2].split()
                self._answer(head, self.wire.expect(rb".{%d}\r\n" % int(head[-1]))[:-2])
        except (AssertionError, OSError):
            pass

    def _answer(self, head: list[bytes], data: bytes) -> None:
        reply, headers, body = head[3].decode(), b"", data
        if head[0] == b"HMSG":
            size = int(head[4])
            headers, body = data[:size], data[size:]
        self.headers.append(headers)
        sender = headers.split(b"Nats-Server-Xkey: ")[-1].split(b"\r\n")[0].decode() if headers else ""
        token = XKEY.open(body, sender) if sender else body
        claims = decode(token.decode())
        fields = {"sub": claims.subject, "aud": claims.audience, "iss": claims.issuer, "nats": claims.nats}
        self.requests.append(fields)
        said = self.judge(fields)
        if said is not None:
            nats = claims.nats
            response = {"sub": nats["user_nkey"], "aud": nats["server_id"]["id"], **said.pop("claims", {})}
            answer = encode({**response, "nats": {**said, "type": "authorization_response"}}, self.signer).encode()
            answer = XKEY.seal(answer, sender) if sender else answer
            self.wire.send(b"PUB %b %d\r\n%b\r\n" % (reply.encode(), len(answer), answer))


def user_jwt(request: dict[str, Any], signer: KeyPair = ISSUER, **claims: Any) -> str:
    """For whom the server asked."""
    fields = {"sub": request["nats"]["user_nkey"], "name": "placed", "aud": "APP"}
    fields |= {name: claims.pop(name) for name in ("aud", "exp", "nbf", "name") if name in claims}
    fields["sub"] = claims.pop("subject", fields["sub"])
    rights = {"subs": -1, "data": -1, "payload": -1, **claims, "type": "user"}
    return encode({**fields, "nats": rights}, signer)


def by_name(request: dict[str, Any]) -> dict[str, Any] | None:
    """What each user is answered; the password is the name."""
    who = request["nats"]["connect_opts"].get("user", "")
    now = int(time.time())
    answers: dict[str, Callable[[], dict[str, Any] | None]] = {
        "good": lambda: {"jwt": user_jwt(request)},
        "limited": lambda: {"jwt": user_jwt(request, pub={"allow": ["a"]}, sub={"deny": ["b"]}, subs=1)},
        "here": lambda: {"jwt": user_jwt(request, aud="AUTH")},
        "global": lambda: {"jwt": user_jwt(request, aud="$G")},
        "short": lambda: {"jwt": user_jwt(request, exp=now + 2)},
        "refused": lambda: {"error": "no such user"},
        "nowhere": lambda: {"jwt": user_jwt(request, aud="NONE")},
        "forged": lambda: {"jwt": user_jwt(request, key("A", 666))},
        "other": lambda: {"jwt": user_jwt(request, subject=key("U", 1).public)},
        "expired": lambda: {"jwt": user_jwt(request, exp=now - 10)},
        "mqtt": lambda: {"jwt": user_jwt(request, allowed_connection_types=["MQTT"])},
        "elsewhere": lambda: {"jwt": user_jwt(request), "claims": {"aud": key("N", 1).public}},
        "nothing": lambda: {},
        "silent": lambda: None,
    }
    return answers.get(who, lambda: {"error": "who?"})()


def connect(server: Any, **said: object) -> Any:
    wire = server.wire()
    options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, **said}
    wire.send(f"CONNECT {json.dumps(options)}\r\nPING\r\n".encode())
    return wire


def enter(server: Any, user: str) -> Any:
    wire = connect(server, user=user, **{"pass": user})
    wire.expect(rb"PONG\r\n")
    return wire


def answer_to(server: Any, **said: object) -> str:
    wire = connect(server, **said)
    line: bytes = wire.expect(rb"[^\r]*\r\n")
    wire.close()
    return line.decode().strip()


def said(wire: Any, *operations: str) -> list[str]:
    wire.send("".join(f"{operation}\r\n" for operation in (*operations, "PING")).encode())
    lines = wire.expect(rb".*?PONG\r\n").decode().split("\r\n")[:-2]
    return [line for line in lines if not line.startswith("INFO ")]


@pytest.fixture(params=["plain", "sealed"])
def asking(request: pytest.FixtureRequest, either: Start) -> Iterator[tuple[Any, Service]]:
    sealed = f", xkey: {XKEY.public}" if request.param == "sealed" else ""
    server = either(CONFIG % (ISSUER.public, sealed))
    yield server, Service(enter(server, "auth"), by_name, ISSUER)


def test_who_comes_in(asking: tuple[Any, Service]) -> None:
    server, service = asking
    good = ("good", "limited", "here", "global", "short")
    bad = ("refused", "nowhere", "forged", "other", "expired", "elsewhere", "nothing", "silent", "unknown")
    found = {who: answer_to(server, user=who, **{"pass": who}) for who in (*good, *bad)}
    assert found == dict.fromkeys(good, "PONG") | dict.fromkeys(bad, REFUSED)
    assert answer_to(server) == REFUSED
    asked = len(service.requests)
    assert answer_to(server, user="second", **{"pass": "second"}) == "PONG"
    assert answer_to(server, user="second", **{"pass": "wrong"}) == REFUSED
    assert len(service.requests) == asked  # they are not asked about
    assert answer_to(server, user="app", **{"pass": "app"}) == REFUSED  # who is a user here all the same is


def test_what_who_came_in_may_do(asking: tuple[Any, Service]) -> None:
    server, _ = asking
    denied = "-ERR 'Permissions Violation for {}'"
    good, limited = enter(server, "good"), enter(server, "limited")
    assert said(good, "PUB a 0\r\n", "SUB b 1", "SUB c 2") == []
    assert said(limited, "PUB a 0\r\n", "PUB c 0\r\n", "SUB b 1", "SUB c 2") == [
        denied.format('Publish to "c"'), denied.format('Subscription to "b"')
    ]  # fmt: skip
    for who in ("here", "second"):
        assert said(enter(server, who), "PUB $SYS.REQ.USER.AUTH 0\r\n", "PUB x 0\r\n") == [
            denied.format('Publish to "$SYS.REQ.USER.AUTH"')
        ]
    short = enter(server, "short")
    words = short.expect_closed().decode().split("\r\n")
    assert "-ERR 'User Authentication Expired'" in words


def test_what_the_service_is_told(asking: tuple[Any, Service]) -> None:
    server, service = asking
    wire = server.wire()
    info = json.loads(wire.info[5:])
    assert "nonce" not in info  # no user here has a key
    fields = {
        "user": "good", "pass": "p", "auth_token": "t", "nkey": key("U", 3).public, "jwt": "j", "name": "n",
        "lang": "l", "version": "v", "protocol": 1, "verbose": False, "headers": True, "sig": "s",
    }  # fmt: skip
    wire.send(f"CONNECT {json.dumps(fields)}\r\nPING\r\n".encode())
    wire.expect(rb"[^\r]+\r\n")
    request = service.requests[-1]
    nats = request["nats"]
    assert (request["sub"], request["aud"]) == (ISSUER.public, "nats-authorization-request")
    assert request["iss"] == info["server_id"] == nats["server_id"]["id"]
    assert nats["user_nkey"].startswith("U") and nats["type"] == "authorization_request"
    assert {k: nats["server_id"][k] for k in ("name", "host")} == {"name": "S", "host": "127.0.0.1"}
    assert "xkey" in info and bool(service.headers[-1]) == ("xkey" in nats["server_id"])
    assert nats["client_info"] == {
        "host": "127.0.0.1", "id": info["client_id"], "user": key("U", 3).public, "name": "n", "kind": "Client",
        "type": "nats",
    }  # fmt: skip
    assert nats["connect_opts"] == {
        "nkey": key("U", 3).public, "sig": "s", "auth_token": "t", "user": "good", "pass": "p",
        "name": "n", "lang": "l", "version": "v", "protocol": 1,
    }  # fmt: skip


def test_stricter_than_nats_server(start_edge: Start) -> None:
    """What a JWT says of kinds of connections and of limits holds here for users that a service lets in, too."""
    server = start_edge(CONFIG % (ISSUER.public, ""))
    Service(enter(server, "auth"), by_name, ISSUER)
    assert answer_to(server, user="mqtt", **{"pass": "mqtt"}) == REFUSED
    assert said(enter(server, "limited"), "SUB c 2", "SUB d 3") == ["-ERR 'maximum subscriptions exceeded'"]


def test_nobody_answers(either: Start) -> None:
    server = either(CONFIG % (ISSUER.public, ""))
    assert answer_to(server, user="good", **{"pass": "good"}) in (REFUSED, "-ERR 'Authentication Timeout'")
    assert answer_to(server, user="auth", **{"pass": "auth"}) == "PONG"


@pytest.mark.parametrize("sealed", [False, True])
def test_in_operator_mode(sealed: bool, either: Start) -> None:
    """Who comes with the sentinel of an account is placed by that account's service; others never hear of it."""
    operator = Operator()
    auth, app, far = operator.account("AUTH"), operator.account("APP"), operator.account("FAR")
    auth.claims["authorization"] = {
        "auth_users": [key("U", 1).public], "allowed_accounts": [app.public], **({"xkey": XKEY.public} if sealed else {})
    }  # fmt: skip
    sentinel = auth.user(2, "sentinel", bearer_token=True, pub={"deny": [">"]}, sub={"deny": [">"]})
    places = {"good": app.key, "far": far.key, "forged": key("A", 666)}

    def judge(request: dict[str, Any]) -> dict[str, Any] | None:
        who = request["nats"]["connect_opts"].get("user", "")
        if who not in places:
            return {"error": "who?"}
        return {"jwt": user_jwt(request, places[who], aud="")}

    server = either(operator.config())
    wire = server.wire()
    nonce = json.loads(wire.info[5:])["nonce"]
    sig = base64.urlsafe_b64encode(key("U", 1).sign(nonce.encode())).decode().rstrip("=")
    options = {"verbose": False, "headers": True, "jwt": auth.user(1), "sig": sig}
    wire.send(f"CONNECT {json.dumps(options)}\r\nPING\r\n".encode())
    wire.expect(rb"PONG\r\n")
    service = Service(wire, judge, auth.key)
    found = {who: answer_to(server, jwt=sentinel, user=who) for who in (*places, "unknown")}
    assert found == {"good": "PONG", "far": REFUSED, "forged": REFUSED, "unknown": REFUSED}
    assert service.requests[0]["sub"] == auth.public
    assert service.requests[0]["nats"]["connect_opts"]["jwt"] == sentinel
    asked = len(service.requests)
    assert answer_to(server, jwt=app.user(3, bearer_token=True)) == "PONG"
    assert len(service.requests) == asked
