from typing import Any

import pytest

from edge.core.account import Traffic
from edge.core.auth import Login
from edge.core.certificate import PeerCertificate
from edge.core.jwt import encode
from edge.core.nkeys import KeyPair
from edge.core.times import SECOND
from edge.monitor.conn import Conn
from edge.monitor.connz import CLOSED, connz
from edge.monitor.requests import DocumentError
from edge.net.tls import Secured

WALL = 1_700_000_000 * SECOND


def conn(cid: int, **fields: Any) -> Conn:
    return Conn(
        cid, "Client", "nats", "127.0.0.1", 4, WALL, WALL, 0, 0, Traffic(), 0, 0, "u", "A", f"c{cid}",
        stop_ns=WALL + cid, reason="r",
    )._replace(**fields)  # fmt: skip


def shown(bench: Any, **options: Any) -> list[str]:
    return [item["name"] for item in connz(bench.state, options)["connections"]]


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("cid", "123"),
        ("start", "123"),
        ("subs", "231"),
        ("pending", "312"),
        ("msgs_to", "321"),
        ("msgs_from", "213"),
        ("bytes_to", "132"),
        ("bytes_from", "312"),
        ("last", "213"),
        ("idle", "312"),
        ("uptime", "132"),
        ("stop", "231"),
        ("reason", "321"),
        ("rtt", "123"),
    ],
)
def test_sorting(bench: Any, name: str, order: str) -> None:
    """Each has an order of its own: most first but for numbers, reasons and times here."""
    table = (
        (1, 10, 20, Traffic(2, 2, 1, 9), 50, 1, "c", 500, 900),
        (2, 30, 10, Traffic(3, 1, 2, 1), 60, 3, "b", 400, 700),
        (3, 20, 30, Traffic(1, 3, 3, 5), 40, 2, "a", 300, 800),
    )
    bench.ledger.ended.clear()
    for cid, subs, pending, traffic, last, stop, reason, rtt, start in table:
        bench.ledger._keep(
            conn(cid, subscriptions=subs, pending=pending, traffic=traffic, last_ns=WALL + last, rtt_ns=rtt, start_ns=start),
            [], WALL + stop, reason,
        )  # fmt: skip
    if name == "uptime":
        assert shown(bench, sort=name, state=CLOSED) == ["c1", "c3", "c2"]
    else:
        assert shown(bench, sort=name, state=CLOSED) == [f"c{cid}" for cid in order]


def test_pages(bench: Any) -> None:
    for i in range(5):
        bench.client("A", name=f"n{i}")
    page = connz(bench.state, {"offset": 1, "limit": 2})
    assert (page["total"], page["num_connections"], page["offset"], page["limit"]) == (5, 2, 1, 2)
    assert [item["name"] for item in page["connections"]] == ["n1", "n2"]
    assert shown(bench, offset=4) == ["n4"]
    assert shown(bench, offset=-3, limit=-1) == ["n0", "n1", "n2", "n3", "n4"]
    assert shown(bench, offset=9) == []
    one = connz(bench.state, {"cid": 3, "offset": 0, "limit": 100})
    assert (one["limit"], one["total"], [item["name"] for item in one["connections"]]) == (1, 5, ["n2"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"sort": "zzz"}, "invalid sorting option: zzz"),
        ({"sort": "stop"}, "sort by stop only valid on closed connections"),
        ({"sort": "reason", "state": 2}, "sort by reason only valid on closed connections"),
        ({"filter_subject": "a"}, "filter by subject only valid with account filtering"),
    ],
)
def test_what_cannot_be_had_is_said(bench: Any, options: Any, text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        connz(bench.state, options)
    assert str(caught.value) == text


def test_who_is_shown(bench: Any) -> None:
    first, second = bench.client("A", name="a"), bench.client("B", name="b")
    bench.say(first, "SUB x.* 1\r\n")
    bench.say(second, "SUB y 1\r\n")
    assert shown(bench, acc="A") == ["a"]
    assert shown(bench, user="B") == ["b"]
    assert shown(bench, acc="A", filter_subject="x.1") == ["a"]
    assert shown(bench, acc="A", filter_subject="y") == []
    assert shown(bench, acc="nope") == []
    bench.close(first)
    assert shown(bench) == ["b"]
    assert shown(bench, state=1) == ["a"]
    assert shown(bench, state=2) == ["a", "b"]
    assert shown(bench, state=2, cid=first.cid) == ["a"]
    assert shown(bench, state=0, cid=first.cid) == []
    assert shown(bench, state=1, acc="B") == []


def test_times_are_told_on_the_wall_and_from_now(bench: Any) -> None:
    client = bench.client("A", name="a")
    client.shell.last_seen = 60 * SECOND
    bench.time = 3_725 * SECOND
    (item,) = connz(bench.state, {})["connections"]
    assert (item["start"], item["last_activity"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z")
    assert (item["uptime"], item["idle"], item["rtt"]) == ("1h2m5s", "1h1m5s", "250µs")
    assert "stop" not in item
    bench.close(client)
    bench.time = 9_999 * SECOND
    (item,) = connz(bench.state, {"state": 1})["connections"]
    assert (item["uptime"], item["idle"], item["stop"]) == ("1h2m5s", "1h1m5s", "2023-11-14T23:15:25Z")


def test_an_activity_is_never_before_the_start(bench: Any) -> None:
    """What was read last is noted on a clock that ticks twice a second."""
    client = bench.client("A")
    client.shell.last_seen = 1
    bench.time = 5
    client.shell.started_ns = WALL + 4
    assert connz(bench.state, {})["connections"][0]["last_activity"] == "2023-11-14T22:13:20.000000004Z"


def test_secrets_are_not_shown(bench: Any) -> None:
    account, user = KeyPair("A", b"a" * 32), KeyPair("U", b"u" * 32)
    bearer, signed = (
        encode({"sub": user.public, "name": "u", "nats": {"type": "user", "bearer_token": bears}}, account)
        for bears in (True, False)
    )
    by_token = bench.client("", name="token", auth_token="secret")
    shown_to_be = []
    for jwt in (bearer, signed, "not a JWT"):
        client = bench.client("A", name="jwt")
        client.login = Login("A", jwt=jwt, nkey=user.public)
        shown_to_be.append(client.cid)
    items = connz(bench.state, {"auth": True})["connections"]
    assert [item["authorized_user"] for item in items] == ["[REDACTED]", user.public, user.public, user.public]
    assert [item.get("jwt") for item in items] == [None, None, signed, "not a JWT"]
    assert "secret" not in str(items)
    assert by_token.cid == items[0]["cid"]


def test_an_encrypted_connection(bench: Any) -> None:
    client = bench.client("A")
    peer = PeerCertificate("CN=x", (), (), (), (), "c" * 64, "d" * 64)
    client.shell.secured = Secured("1.3", "TLS_X", peer, True)
    (item,) = connz(bench.state, {})["connections"]
    assert (item["tls_version"], item["tls_cipher_suite"], item["tls_first"]) == ("1.3", "TLS_X", True)
    assert "tls_peer_certs" not in item
    (item,) = connz(bench.state, {"auth": True})["connections"]
    assert item["tls_peer_certs"] == [{"subject": "CN=x", "spki_sha256": "d" * 64, "cert_sha256": "c" * 64}]


def test_stalls_are_told_of_those_that_had_some(bench: Any) -> None:
    client = bench.client("A")
    assert "stalls" not in connz(bench.state, {})["connections"][0]
    client.shell.stalls = 3
    assert connz(bench.state, {})["connections"][0]["stalls"] == 3
