"""Messages whose way is told: also those with a control line that is known already."""

import json
from typing import Any

import pytest


def hpub(subject: str, *items: str, payload: str = "hi", reply: str = "") -> str:
    headers = "NATS/1.0\r\n" + "".join(f"{item}\r\n" for item in items) + "\r\n"
    return f"HPUB {subject} {reply}{' ' if reply else ''}{len(headers)} {len(headers + payload)}\r\n{headers}{payload}\r\n"


def told(bench: Any, watcher: Any) -> list[list[dict[str, Any]]]:
    traces = [json.loads(payload) for subject, payload in bench.hear(watcher) if subject == "t"]
    for trace in traces:
        for event in trace["events"]:
            assert event.pop("ts")
    return [trace["events"] for trace in traces]


@pytest.fixture
def watcher(bench: Any) -> Any:
    watcher = bench.client("A")
    bench.say(watcher, "SUB t 1\r\n")
    return watcher


def test_the_way_to_clients(bench: Any, watcher: Any) -> None:
    anna, bob = bench.client("A", name="anna"), bench.client("A", name="bob")
    bench.say(bob, "SUB x.* 1\r\nSUB x.1 q 2\r\n")
    bench.say(anna, hpub("x.1", "Nats-Trace-Dest: t"))
    assert told(bench, watcher) == [
        [
            {"type": "in", "kind": 0, "cid": 2, "name": "anna", "acc": "A", "subj": "x.1"},
            {"type": "eg", "kind": 0, "cid": 3, "name": "bob", "sub": "x.*"},
            {"type": "eg", "kind": 0, "cid": 3, "name": "bob", "sub": "x.1", "queue": "q"},
        ]
    ]
    assert [subject for subject, _ in bench.hear(bob)] == ["x.1", "x.1"]


def test_shown_and_not_delivered(bench: Any, watcher: Any) -> None:
    anna, bob = bench.client("A"), bench.client("A")
    bench.say(bob, "SUB x 1\r\n")
    for only in ("true", "1", "ON"):
        bench.say(anna, hpub("x", "Nats-Trace-Dest: t", f"Nats-Trace-Only: {only}", reply="r"))
        assert [event["type"] for event in told(bench, watcher)[0]] == ["in", "eg"]
    bench.say(anna, hpub("x", "Nats-Trace-Dest: a..b", "Nats-Trace-Only: true"))
    assert bench.hear(bob) == [] and bench.hear(anna) == []
    bench.say(anna, hpub("x", "Nats-Trace-Dest: a..b"))
    assert len(bench.hear(bob)) == 1
    assert told(bench, watcher) == []


def test_one_among_many_with_the_same_line(bench: Any, watcher: Any) -> None:
    """Whatever the hot path has learned of the line, and wherever in the chunk it stands."""
    anna, bob = bench.client("A"), bench.client("A")
    bench.say(bob, "SUB x 1\r\n")
    plain, traced = hpub("x", "Nats-Trace-Nope: t"), hpub("x", "Nats-Trace-Dest: t")
    assert plain.partition("\r\n")[0] == traced.partition("\r\n")[0]
    for chunk, traces in ((plain * 3 + traced, 1), (plain * 4, 0), (traced * 2 + plain * 5 + traced, 3), (traced, 1)):
        bench.say(anna, chunk)
        assert len(told(bench, watcher)) == traces
        assert len(bench.hear(bob)) == chunk.count("HPUB")
    for cut in range(len(traced)):
        bench.say(anna, plain + traced[:cut])
        bench.say(anna, traced[cut:])
        assert len(told(bench, watcher)) == 1
        assert len(bench.hear(bob)) == 2


def test_where_one_may_not_publish(bench: Any, watcher: Any) -> None:
    from edge.core.permissions import Permissions, SubjectRule

    bench.auth.permissions = Permissions(SubjectRule(("t", "x")), SubjectRule())
    anna = bench.client("A")
    bench.say(anna, hpub("y", "Nats-Trace-Dest: t"))
    [[event]] = told(bench, watcher)
    assert event["error"] == 'Permissions Violation for Publish to "y"'
    bench.sent[anna].clear()
    bench.say(watcher, "SUB x 2\r\n")
    bench.say(anna, hpub("x", "Nats-Trace-Dest: z"))
    assert bytes(bench.sent[anna]) == b"-ERR 'Permissions Violation for Publish to \"z\"'\r\n"
    assert bench.hear(watcher) == []


def test_what_it_causes_is_not_its_way(bench: Any, watcher: Any) -> None:
    """An answer to a traced request is a message of its own."""
    anna = bench.client("A")
    bench.say(anna, "SUB r 1\r\n" + hpub("$SYS.REQ.USER.INFO", "Nats-Trace-Dest: t", reply="r"))
    assert [[event["type"] for event in events] for events in told(bench, watcher)] == [["in"]]
    assert len(bench.hear(anna)) == 1
    assert bench.router.traced is None
