"""Accounts, domains, advisories, and what a start makes of what it finds."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from edge.jetstream.account import Limits


def test_the_domain_has_the_same_api(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(domain="edge-1")
    bench.stream(allow_direct=True)
    bench.stored("s.a", b"value")
    for prefix in ("$JS.API", "$JS.edge-1.API"):
        bench.account.publish(f"{prefix}.STREAM.INFO.S", reply="_I.api")
        bench.account.publish(f"{prefix}.DIRECT.GET.S.s.a", reply="_I.get")
        info, direct = bench.take()
        assert json.loads(info[3])["domain"] == "edge-1" and direct[3] == b"value"


def test_keys_and_objects_are_reached_through_the_domain(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(domain="edge-1")
    bench.api("STREAM.CREATE.KV_B", {"name": "KV_B", "subjects": ["$KV.B.>"]})
    assert bench.stored("$JS.edge-1.API.$KV.B.key") == [1]
    assert bench.js.streams["KV_B"].get(1).subject == "$KV.B.key"


def test_advisories_are_for_those_who_listen(bench: Any) -> None:
    heard: list[tuple[str, Any]] = []
    bench.stream()
    bench.account.subscribe("$JS.EVENT.>", lambda subject, reply, headers, payload: heard.append((subject, json.loads(payload))))
    bench.consumer()
    bench.stored("s.a")
    ((_, reply, _, _),) = bench.pull(batch=1)
    bench.account.publish(reply, b"-NAK")
    bench.settle()
    bench.api("CONSUMER.DELETE.S.C")
    bench.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "max_msgs": 5})
    bench.api("STREAM.DELETE.S")
    events = [(subject.removeprefix("$JS.EVENT.ADVISORY."), event["type"].split(".")[-1]) for subject, event in heard]
    assert [event for event in events if event[0] != "API"] == [
        ("CONSUMER.CREATED.S.C", "consumer_action"),
        ("CONSUMER.MSG_NAKED.S.C", "nak"),
        ("CONSUMER.DELETED.S.C", "consumer_action"),
        ("STREAM.UPDATED.S", "stream_action"),
        ("STREAM.DELETED.S", "stream_action"),
    ]
    audits = [event for subject, event in heard if subject.endswith(".API")]
    assert [audit["subject"] for audit in audits] == [
        "$JS.API.CONSUMER.CREATE.S.C", "$JS.API.CONSUMER.DELETE.S.C", "$JS.API.STREAM.UPDATE.S", "$JS.API.STREAM.DELETE.S",
    ]  # fmt: skip
    assert json.loads(audits[-1]["response"]) == {"type": "io.nats.jetstream.api.v1.stream_delete_response", "success": True}


def test_limits_of_the_account(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(limits=Limits(max_file_bytes=1000, max_streams=2, max_consumers=1))
    bench.stream()
    bench.consumer()
    config = {"stream_name": "S", "config": {"durable_name": "D", "ack_policy": "explicit"}}
    assert bench.api("CONSUMER.CREATE.S.D", config)["error"]["err_code"] == 10026
    assert bench.api("STREAM.CREATE.T", {"name": "T", "max_bytes": 2000})["error"]["err_code"] == 10047
    bench.api("STREAM.CREATE.T", {"name": "T"})
    assert bench.api("STREAM.CREATE.U", {"name": "U"})["error"]["err_code"] == 10027
    assert bench.api("INFO")["limits"]["max_storage"] == 1000


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"first": 1}', b'{"first":"a","last":"b","messages":1,"bytes":1}', b"\xff"])
def test_a_damaged_state_is_counted_anew(bench: Any, caplog: Any, damage: bytes) -> None:
    stream = bench.stream()
    for i in range(5):
        bench.stored("s.a", b"x", Nats_Msg_Id=str(i))
    bench.api("STREAM.MSG.DELETE.S", {"seq": 1})
    before = (stream.first_seq, stream.last_seq, stream.messages, stream.bytes, stream.created_ns)
    bench.gate.put_stream_state(stream.id, damage)
    bench.gate.commit(lambda error: None)
    bench.settle()
    bench.reopen()
    stream = bench.js.streams["S"]
    assert (stream.first_seq, stream.last_seq, stream.messages, stream.bytes, stream.created_ns) == before
    assert "stream S: its state is damaged" in caplog.text
    assert bench.stored("s.a", Nats_Msg_Id="4") == [5] and bench.stored("s.a") == [6]


def test_a_stream_whose_configuration_is_damaged_is_left_alone(bench: Any, caplog: Any) -> None:
    stream = bench.stream()
    bench.consumer()
    bench.stored("s.a")
    bench.gate.put_stream(stream.id, "A", "S", b"{damaged", b"{}")
    bench.gate.commit(lambda error: None)
    bench.settle()
    bench.reopen()
    assert bench.js.streams == {} and "stream S cannot be recovered" in caplog.text
    assert bench.gate.count(stream.id, 0, 99)[0] == 1, "its messages stay where they are"
    bench.stream()
    assert bench.js.streams["S"].id > stream.id


def test_a_stream_in_memory_is_gone_after_a_restart(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    bench.stream(storage="memory")
    bench.consumer()
    assert bench.stored("s.a") == [1] and len(bench.pull(batch=1)) == 1
    bench.reopen()
    assert bench.js.streams == {}


def test_requests_without_a_reply_are_carried_out(bench: Any) -> None:
    bench.account.publish("$JS.API.STREAM.CREATE.S", b'{"name": "S"}')
    bench.account.publish("$JS.API.STREAM.CREATE.S", b"{bad")
    bench.account.publish("$JS.API.CONSUMER.MSG.NEXT.S.NOPE", b"")
    bench.account.publish("$JS.API.DIRECT.GET.S", b"")
    for call in ("", ".", "STREAM", "STREAM.CREATE", "CONSUMER.CREATE", "CONSUMER.INFO.S", "CONSUMER.DURABLE.CREATE.S", "INFO.x"):
        bench.account.publish(f"$JS.API.{call}", b"{}", reply="_I.x")
    bench.settle()
    assert list(bench.js.streams) == ["S"]
