import json
from typing import Any

import pytest

from edge.errors import ApiError, StoreError
from edge.jetstream.counters import NONE, add, add_sourced, increment
from edge.message import header_block, header_get
from edge.store.contract import Row

PLAIN = header_block([("Nats-Incr", "1")])


def row(payload: bytes, headers: bytes = b"") -> Row:
    return Row(1, "s.a", 0, headers, payload)


def totals(bench: Any) -> list[str]:
    return [json.loads(payload).get("val", "") for _, _, _, payload in bench.take()]


def test_what_is_under_way_counts(bench: Any) -> None:
    bench.stream(allow_msg_counter=True)
    for _ in range(3):
        bench.publish("s.a", b"", Nats_Incr="2")
    bench.flush()
    bench.publish("s.a", b"", Nats_Incr="-1")
    bench.publish("s.b", b"", Nats_Incr="7")
    bench.flush()
    bench.settle()
    assert totals(bench) == ["2", "4", "6", "5", "7"]


def test_a_counter_goes_on_after_a_restart(bench: Any) -> None:
    bench.stream(allow_msg_counter=True)
    bench.stored("s.a", b"", Nats_Incr="5")
    bench.reopen()
    bench.publish("s.a", b"", Nats_Incr="5")
    bench.settle()
    assert totals(bench) == ["10"]


def test_a_failed_commit_counts_nothing(bench: Any) -> None:
    bench.stream(allow_msg_counter=True)
    bench.stored("s.a", b"", Nats_Incr="5")
    bench.gate.failing = StoreError("disk I/O error")
    assert bench.stored("s.a", b"", Nats_Incr="100") == [-10077]
    bench.gate.failing = None
    bench.publish("s.a", b"", Nats_Incr="1")
    bench.settle()
    assert totals(bench) == ["6"]


def test_numbers_have_no_end() -> None:
    big = 10**3000
    assert add(row(b'{"val":"%d"}' % big), PLAIN, 1).total == str(big + 1)
    with pytest.raises(ApiError) as refused:
        increment(header_block([("Nats-Incr", "9" * 4001)]), b"", allowed=True)
    assert refused.value.err_code == 10171


@pytest.mark.parametrize("payload", [b"", b"x", b"[]", b"5", b'{"val":5}', b"[" * 100_000])
def test_what_is_no_counter(payload: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        add(row(payload), PLAIN, 1)
    assert refused.value.err_code == 10172


@pytest.mark.parametrize("payload", [b"{}", b'{"val":""}', b'{"val":"x"}', b'{"val":"0"}'])
def test_what_counts_as_nothing(payload: bytes) -> None:
    assert add(row(payload), PLAIN, 3).total == "3"


def test_what_other_streams_bring_is_added_once() -> None:
    """Each brings what it has come to; what it brought before is told in the last message."""
    first = add_sourced(None, PLAIN, b'{"val":"10"}', "ONE", "one.a")
    assert (first.total, header_get(first.headers, "Nats-Incr")) == ("10", "10")
    second = add_sourced(row(first.payload, first.headers), PLAIN, b'{"val":"7"}', "TWO", "two.a")
    assert (second.total, header_get(second.headers, "Nats-Incr")) == ("17", "7")
    third = add_sourced(row(second.payload, second.headers), PLAIN, b'{"val":"12"}', "ONE", "one.a")
    assert (third.total, header_get(third.headers, "Nats-Incr")) == ("19", "2")
    own = add(row(third.payload, third.headers), PLAIN, 1)
    assert own.total == "20"
    assert json.loads(header_get(own.headers, "Nats-Counter-Sources") or "") == {"ONE": {"one.a": "12"}, "TWO": {"two.a": "7"}}


def test_a_header_of_sources_that_cannot_be_read() -> None:
    broken = header_block([("Nats-Counter-Sources", "[]")])
    with pytest.raises(ApiError) as refused:
        add(row(b'{"val":"1"}', broken), PLAIN, 1)
    assert refused.value.err_code == 10172 and NONE.total == 0
