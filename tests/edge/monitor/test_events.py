import json
from typing import Any

import pytest

from edge.core.times import SECOND
from edge.errors import ProtocolError

CONNS = ["$SYS.SERVER.ACCOUNT.A.CONNS", "$SYS.ACCOUNT.A.SERVER.CONNS"]


@pytest.fixture
def watcher(bench: Any) -> Any:
    client = bench.client("SYS")
    bench.say(client, "SUB $SYS.> 1\r\n")
    return client


def heard(bench: Any, watcher: Any) -> dict[str, Any]:
    return {subject: json.loads(payload) for subject, payload in bench.hear(watcher)}


def test_who_comes(bench: Any, watcher: Any) -> None:
    bench.client("A", name="anna", lang="python3", version="2.9")
    events = heard(bench, watcher)
    assert list(events) == [*CONNS, "$SYS.ACCOUNT.A.CONNECT"]
    event = events["$SYS.ACCOUNT.A.CONNECT"]
    assert list(event) == ["type", "id", "timestamp", "server", "client"]
    assert event["type"] == "io.nats.server.advisory.v1.client_connect"
    assert len(event["id"]) == 22
    assert event["client"] == {
        "start": "2023-11-14T22:13:20Z", "host": "127.0.0.1", "id": 2, "acc": "A", "user": "A", "name": "anna",
        "lang": "python3", "ver": "2.9", "name_tag": "A", "kind": "Client", "client_type": "nats",
    }  # fmt: skip


def test_who_goes_and_why(bench: Any, watcher: Any) -> None:
    anna = bench.client("A")
    bench.say(anna, "SUB x 1\r\nPUB x 3\r\nabc\r\nPUB y 1\r\na\r\n")
    bench.hear(watcher)
    bench.time = SECOND
    bench.close(anna, "Slow Consumer (Pending Bytes)")
    bench.close(anna, "Client Closed")  # the connection's end follows
    events = heard(bench, watcher)
    assert list(events) == [*CONNS, "$SYS.ACCOUNT.A.DISCONNECT"]
    event = events["$SYS.ACCOUNT.A.DISCONNECT"]
    assert event["client"]["stop"] == "2023-11-14T22:13:21Z"
    assert event["client"]["rtt"] == 250_000
    assert (event["sent"], event["received"]) == ({"msgs": 2, "bytes": 4}, {"msgs": 1, "bytes": 3})
    assert event["reason"] == "Slow Consumer (Pending Bytes)"
    assert events[CONNS[0]]["conns"] == 0
    assert events[CONNS[0]]["slow_consumers"] == 1


def test_who_is_not_let_in(bench: Any, watcher: Any) -> None:
    listener = bench.client("$G")
    bench.say(listener, "SUB $SYS.ACCOUNT.CLIENT.AUTH.ERR 1\r\n")
    bench.hear(watcher)
    with pytest.raises(ProtocolError) as refusal:
        bench.client("bad")
    bench.close(list(bench.sent)[-1], refusal.value.reason)
    events = heard(bench, watcher)
    assert list(events) == ["$SYS.SERVER.NID.CLIENT.AUTH.ERR", "$SYS.ACCOUNT.$G.DISCONNECT"]
    for event in events.values():
        assert event["type"] == "io.nats.server.advisory.v1.client_disconnect"
        assert event["reason"] == "Authentication Failure"
        assert event["client"]["user"] == "bad"
    [(_, payload)] = bench.hear(listener)
    assert json.loads(payload)["reason"] == "Authentication Failure"


def test_the_global_account_is_not_counted_aloud(bench: Any, watcher: Any) -> None:
    bench.client("$G")
    assert list(heard(bench, watcher)) == ["$SYS.ACCOUNT.$G.CONNECT"]


def test_counts_are_repeated_while_somebody_is_there(bench: Any, watcher: Any) -> None:
    anna = bench.client("A")
    bench.hear(watcher)
    bench.time = 29 * SECOND
    assert not set(CONNS) & set(tick(bench, watcher))
    bench.time = 31 * SECOND
    assert tick(bench, watcher)[CONNS[1]]["conns"] == 1
    bench.close(anna)
    bench.hear(watcher)
    bench.time = 100 * SECOND
    assert not set(CONNS) & set(tick(bench, watcher))


def test_statsz_soon_and_then_every_ten_seconds(bench: Any, watcher: Any) -> None:
    times = []
    while bench.time < 40 * SECOND:
        bench.time = bench.system.deadline()
        if "$SYS.SERVER.NID.STATSZ" in tick(bench, watcher):
            times.append(bench.time / SECOND)
    assert times[:7] == [0.25, 1.25, 3.25, 7.25, 15.25, 25.25, 35.25]


def test_farewells(bench: Any, watcher: Any) -> None:
    bench.system.events.lame_duck()
    bench.system.events.shutdown()
    bench.router.flush()
    events = heard(bench, watcher)
    assert list(events) == ["$SYS.SERVER.NID.LAMEDUCK", "$SYS.SERVER.NID.SHUTDOWN"]
    assert events["$SYS.SERVER.NID.SHUTDOWN"]["id"] == "NID"


def test_nothing_is_made_up_for_nobody(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bench.system.stamp.seq
    bench.close(bench.client("A"))
    bench.time = 60 * SECOND
    bench.system.tick(bench.time)
    assert bench.system.stamp.seq == before


def tick(bench: Any, watcher: Any) -> dict[str, Any]:
    bench.system.tick(bench.time)
    bench.router.flush()
    return heard(bench, watcher)
