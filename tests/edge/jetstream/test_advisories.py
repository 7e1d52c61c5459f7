"""What JetStream tells of itself; held against nats-server in ``tests/e2e/test_jetstream_advisories.py``."""

import json
from collections.abc import Callable
from typing import Any

SECOND = 1_000_000_000


def listen(bench: Any, subject: str) -> list[tuple[str, dict[str, Any]]]:
    heard: list[tuple[str, dict[str, Any]]] = []
    bench.account.subscribe(
        subject, lambda subject, reply, headers, payload: heard.append((subject, json.loads(payload)))
    )
    return heard


def test_nothing_is_made_for_nobody(bench: Any, monkeypatch: Any) -> None:
    def fail(*args: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr("edge.jetstream.advisories.dumps", fail)
    bench.stream()
    bench.consumer()
    bench.api("CONSUMER.DELETE.S.C")


def test_calls_are_told_with_who_asked(bench: Any) -> None:
    heard = listen(bench, "$JS.EVENT.ADVISORY.API")
    bench.stream()
    ((_, event),) = heard
    assert event["client"] is None  # the server itself
    assert event["server"] == "js" and event["subject"] == "$JS.API.STREAM.CREATE.S"
    assert json.loads(event["request"])["name"] == "S" and json.loads(event["response"])["did_create"]


def test_what_is_not_told(bench: Any) -> None:
    """Answers that nats-server gives besides are neither told nor counted; errors are."""
    bench.stream()
    bench.consumer()
    bench.stored("s.a")
    heard = listen(bench, "$JS.EVENT.ADVISORY.API")
    assert "message" in bench.api("STREAM.MSG.GET.S", {"seq": 1}) and not heard
    assert "reset_seq" in bench.api("CONSUMER.RESET.S.C") and not heard
    assert "error" in bench.api("STREAM.MSG.GET.S", {"seq": 9}) and len(heard) == 1
    assert bench.api("INFO")["api"] == {"level": bench.api("INFO")["api"]["level"], "total": 3, "errors": 1}


def test_a_stream_takes_its_consumers_along(bench: Any) -> None:
    bench.stream()
    bench.consumer("A")
    bench.consumer("B")
    heard = listen(bench, "$JS.EVENT.ADVISORY.*.DELETED.>")
    bench.api("STREAM.DELETE.S")
    assert sorted(subject.split(".", 3)[3] for subject, _ in heard) == ["CONSUMER.DELETED.S.A", "CONSUMER.DELETED.S.B", "STREAM.DELETED.S"]


def test_domains_stand_where_they_stand_in_nats_server(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(domain="d")
    bench.stream()
    heard = listen(bench, "$JS.EVENT.ADVISORY.CONSUMER.>")
    bench.consumer(priority_policy="pinned_client", priority_groups=["g"])
    bench.stored("s.a")
    bench.pull(batch=1, group="g")
    created, pinned = (list(event)[3:] for _, event in heard)
    assert created == ["stream", "consumer", "action", "domain"]
    assert pinned == ["account", "stream", "consumer", "domain", "group", "pinned_id"]


def test_a_message_is_given_up_when_somebody_asks_for_it_again(bench: Any) -> None:
    bench.stream()
    bench.consumer(max_deliver=1, ack_wait=SECOND)
    heard = listen(bench, "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>")
    bench.stored("s.a")
    bench.pull()
    bench.pass_time(2 * SECOND)
    assert not heard and bench.api("CONSUMER.INFO.S.C")["num_ack_pending"] == 1
    bench.pull()
    assert heard[0][1]["stream_seq"] == 1 and bench.api("CONSUMER.INFO.S.C")["num_ack_pending"] == 0
