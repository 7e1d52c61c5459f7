"""A client's bytes, whatever they are: operations, or the protocol's error for that client alone."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge.core.auth import Answer, ConfiguredUsers, Credentials, Login, Refusal, User
from edge.core.permissions import Permissions, ResponseRule, SubjectRule
from edge.errors import ProtocolError

PIECES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"CONNECT ", b'{"verbose":false}', b"PUB ", b"HPUB ", b"SUB ", b"UNSUB ", b"PING", b"PONG", b"\r\n", b"\n", b" ", b"\t",
            b"a.b", b"*", b">", b"1", b"5", b"99999999999", b"-1", b"NATS/1.0\r\n\r\n", b"MSG a 1 2\r\n", b"INFO {}\r\n", b"+OK\r\n",
            b'{"user":1}', b"[[[[[[", b"\x00\xff",
        ]
    ),
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=25), st.integers(1, 40))
@example([b"CONNECT ", b"[" * 5000, b"\r\n"], 10_000)
@example([b'CONNECT {"echo":null,"headers":"x"}\r\n'], 100)
def test_any_bytes(make_bench: Callable[[], Any], pieces: list[bytes], step: int) -> None:
    bench = make_bench()
    client, bystander = bench.client(), bench.client()
    bench.feed(bystander, b"SUB still.here 1\r\n")
    data = b"".join(pieces)
    try:
        for at in range(0, len(data), step):
            bench.feed(client, data[at : at + step])
    except ProtocolError:
        client.close()
    bench.take(bystander)
    assert bench.feed(bystander, b"PUB still.here 2\r\nok\r\n").endswith(b"MSG still.here 1 2\r\nok\r\n")


def test_nothing_is_done_before_the_login(bench: Any) -> None:
    auth = ConfiguredUsers((User("a", "b", "$G"),))
    for line in (b"PUB a 1\r\nx\r\n", b"SUB a 1\r\n", b"UNSUB 1\r\n", b"PING\r\n"):
        client = bench.client(b"", auth)
        with pytest.raises(ProtocolError, match="Authorization Violation"):
            bench.feed(client, line)


def test_a_later_connect_is_judged_anew_by_all_that_was_said(bench: Any) -> None:
    auth = ConfiguredUsers((User("a", "b", "A"), User("c", "d", "B")))
    client = bench.client(b'CONNECT {"user":"a","pass":"b","verbose":false}\r\nSUB x 1\r\n', auth)
    assert bench.feed(client, b'CONNECT {"verbose":true}\r\nPING\r\n') == b"+OK\r\nPONG\r\n"
    assert client.account.name == "A" and client.user == "a" and not client.subs
    bench.feed(client, b'CONNECT {"user":"c","pass":"d"}\r\n')
    assert client.account.name == "B" and client not in bench.router.account("A").clients
    with pytest.raises(ProtocolError, match="Authorization Violation"):
        bench.feed(client, b'CONNECT {"user":"x","pass":"y"}\r\n')


def test_max_subscriptions(bench: Any) -> None:
    client = bench.client(max_subscriptions=2)
    assert bench.feed(client, b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nUNSUB 1\r\nSUB c 3\r\nPING\r\n") == (
        b"-ERR 'maximum subscriptions exceeded'\r\nPONG\r\n"
    )


def test_denied_subjects_are_filtered_from_what_is_delivered(bench: Any) -> None:
    rights = Permissions(subscribe=SubjectRule(None, ("in.no",)))
    auth = ConfiguredUsers((User("a", "b", "$G", rights), User("f", "f", "$G")))
    limited = bench.client(b'CONNECT {"user":"a","pass":"b","verbose":false,"pedantic":false}\r\nSUB in.> 1\r\n', auth)
    free = bench.client(b'CONNECT {"user":"f","pass":"f","verbose":false,"pedantic":false}\r\n', auth)
    for _ in range(3):
        bench.feed(free, b"PUB in.no 1\r\nx\r\nPUB in.yes 1\r\ny\r\n")
    assert bench.take(limited) == b"MSG in.yes 1 1\r\ny\r\n" * 3


def test_a_closed_client_leaves_no_interest(bench: Any) -> None:
    client, other = bench.client(), bench.client()
    bench.feed(client, b"SUB a 1\r\nSUB a q 2\r\n")
    client.close()
    bench.feed(other, b"PUB a 1\r\nx\r\n" * 3)
    assert bench.take(client) == b"" and len(bench.router.account("$G").sublist) == 0


class SlowAuthenticator:
    """Answers when the test says so."""

    account = "$G"
    required = True
    challenges = False

    def login(self, credentials: Credentials, answer: Answer) -> None:
        self.credentials = credentials
        self.answer = answer


def test_what_comes_before_the_verdict_waits_for_it(bench: Any) -> None:
    auth = SlowAuthenticator()
    client = bench.client(b"", auth)
    connect = b'CONNECT {"user":"u","pass":"p","verbose":false,"pedantic":false,"sig":"s"}\r\n'
    assert bench.feed(client, connect + b"SUB a 1\r\nPUB a 1\r\nx\r\nPI") == b""
    assert bench.feed(client, b"NG\r\n") == b"" and client.is_waiting
    assert auth.credentials.user == "u" and auth.credentials.signature == "s"
    auth.answer(Login("A", "u"))
    assert bench.feed(client, b"") == b"MSG a 1 1\r\nx\r\nPONG\r\n" and client.account.name == "A"


def test_a_late_refusal(bench: Any) -> None:
    auth = SlowAuthenticator()
    client = bench.client(b'CONNECT {"user":"u"}\r\nSUB a 1\r\n', auth)
    auth.answer(Refusal("User Authentication Expired", "Authentication Expired"))
    with pytest.raises(ProtocolError, match="User Authentication Expired") as raised:
        bench.feed(client, b"")
    assert raised.value.reason == "Authentication Expired" and not client.subs


def test_who_may_only_answer(bench: Any) -> None:
    rights = Permissions(SubjectRule(()), SubjectRule(), ResponseRule(max=2, expires_ns=1000))
    auth = ConfiguredUsers((User("a", "b", "$G", rights), User("f", "f", "$G")))
    service = bench.client(b'CONNECT {"user":"a","pass":"b","verbose":false,"pedantic":false}\r\nSUB q 1\r\n', auth)
    asker = bench.client(b'CONNECT {"user":"f","pass":"f","verbose":false,"pedantic":false}\r\nSUB in.* 1\r\n', auth)
    for i in range(3):
        bench.feed(asker, b"PUB q in.%d 1\r\nx\r\n" % i)
        bench.take(service)
        refused = b"-ERR 'Permissions Violation for Publish to \"in.%d\"'\r\n" % i
        assert bench.feed(service, b"PUB in.%d 1\r\ny\r\n" % i * 3) == refused
        assert bench.take(asker) == b"MSG in.%d 1 1\r\ny\r\n" % i * 2
    bench.feed(asker, b"PUB q in.late 1\r\nx\r\n")
    service.shell.time = 2000
    bench.take(service)
    assert b"Permissions Violation" in bench.feed(service, b"PUB in.late 1\r\ny\r\n")
