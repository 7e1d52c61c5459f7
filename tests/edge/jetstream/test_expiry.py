"""Messages that live no longer than they say, and what is left in their place."""

from typing import Any

import pytest

from edge.core.times import SECOND
from edge.errors import StoreError
from edge.jetstream.expiry import NEVER, Expiry, parse_ttl, time_to_live
from edge.message import header_block, header_get


def ttl(text: str) -> bytes:
    return header_block([("Nats-TTL", text)])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1", 1), ("90", 90), ("1m30s", 90), ("1500ms", 1), ("1h", 3600), ("00", 0), ("never", NEVER), ("NEVER", NEVER), ("9" * 18, 10**18 - 1)],
)  # fmt: skip
def test_what_a_message_may_say(text: str, seconds: int) -> None:
    assert parse_ttl(text) == seconds
    assert time_to_live(ttl(text)) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "999ms", "-1", "-5s", "soon", "1 s", "9" * 19, "9" * 4000, "٣", "nan", "1e3"])
def test_what_it_may_not(text: str) -> None:
    with pytest.raises(ValueError):
        parse_ttl(text)
    assert time_to_live(ttl(text)) == 0


def test_messages_are_due_in_the_order_of_their_ends() -> None:
    expiry = Expiry()
    for seq, text in ((1, "30"), (2, "10"), (3, "never"), (4, "20")):
        expiry.add(seq, SECOND, ttl(text))
    expiry.add(5, SECOND, b"")
    assert expiry.next() == 11 * SECOND
    assert expiry.due(11 * SECOND - 1) == []
    assert expiry.due(25 * SECOND) == [2, 4]
    assert expiry.due(1 << 62) == [1]
    assert expiry.next() is None


def left(bench: Any) -> list[int]:
    stream = bench.js.streams["S"]
    return [row.seq for row in stream.scan(1, 100)]


def test_a_message_goes_when_its_time_is_over(bench: Any) -> None:
    bench.stream(allow_msg_ttl=True, max_age=3600 * SECOND)
    assert bench.stored("s.a", Nats_TTL="5") == [1]
    assert bench.stored("s.a") == [2]
    assert bench.stored("s.a", Nats_TTL="never") == [3]
    bench.pass_time(4 * SECOND)
    assert left(bench) == [1, 2, 3]
    bench.pass_time(2 * SECOND)
    assert left(bench) == [2, 3]
    bench.pass_time(3600 * SECOND)
    assert left(bench) == [3]


def test_the_longest_life_ends_no_timer(bench: Any) -> None:
    bench.stream(allow_msg_ttl=True)
    assert bench.stored("s.a", Nats_TTL="9" * 18) == [1]
    assert bench.stored("s.a", Nats_TTL="9" * 4000) == [-10165]
    deadline = bench.jetstream.deadline()
    assert deadline is not None
    assert float(deadline) > bench.now


def test_where_none_is_allowed(bench: Any) -> None:
    bench.stream()
    assert bench.stored("s.a", Nats_TTL="5") == [-10166]


@pytest.mark.parametrize("wait", [SECOND, 60 * SECOND])
def test_time_goes_on_over_a_restart(bench: Any, wait: int) -> None:
    """What ended meanwhile goes at the start, the rest when it is due."""
    bench.stream(allow_msg_ttl=True)
    bench.stored("s.a", Nats_TTL="5")
    bench.stored("s.b")
    bench.wall += wait
    bench.reopen()
    assert left(bench) == ([1, 2] if wait < 5 * SECOND else [2])
    bench.pass_time(5 * SECOND)
    assert left(bench) == [2]
    bench.reopen()
    assert left(bench) == [2]


def test_one_that_could_not_be_taken_away_goes_at_the_next_start(bench: Any) -> None:
    """It is out of sight; it does not come back in sight of anybody who is there."""
    bench.stream(allow_msg_ttl=True)
    bench.stored("s.a", Nats_TTL="5")
    bench.stored("s.a", Nats_TTL="7")
    bench.gate.failing = StoreError("disk I/O error")
    bench.pass_time(6 * SECOND)
    bench.gate.failing = None
    bench.reopen()
    assert left(bench) == [2]


def test_the_last_of_a_subject_leaves_a_marker(bench: Any) -> None:
    bench.stream(allow_msg_ttl=True, subject_delete_marker_ttl=60 * SECOND)
    bench.stored("s.a", Nats_TTL="61")
    bench.stored("s.b", Nats_TTL="61")
    bench.stored("s.b")
    bench.pass_time(62 * SECOND)
    stream = bench.js.streams["S"]
    marker = stream.get(4)
    assert left(bench) == [3, 4]
    assert marker.subject == "s.a" and marker.payload == b""
    assert header_get(marker.headers, "Nats-Marker-Reason") == "MaxAge"
    assert header_get(marker.headers, "Nats-TTL") == "1m0s"
    bench.reopen()
    bench.pass_time(61 * SECOND)
    assert left(bench) == [3], "a marker leaves none"


@pytest.mark.parametrize(("operation", "leaves"), [("PURGE", []), ("DEL", [2])])
def test_a_purge_is_a_marker_itself_and_a_delete_is_none(bench: Any, operation: str, leaves: list[int]) -> None:
    bench.stream(allow_msg_ttl=True, subject_delete_marker_ttl=60 * SECOND)
    bench.stored("s.a", Nats_TTL="61", KV_Operation=operation)
    bench.pass_time(62 * SECOND)
    assert left(bench) == leaves


def test_a_marker_that_is_not_on_disk_is_no_marker(bench: Any) -> None:
    bench.stream(allow_msg_ttl=True, subject_delete_marker_ttl=60 * SECOND)
    bench.stored("s.a", Nats_TTL="61")
    bench.gate.failing = StoreError("disk full", full=True)
    bench.pass_time(62 * SECOND)
    bench.gate.failing = None
    bench.reopen()
    bench.pass_time(SECOND)
    (row,) = bench.js.streams["S"].scan(1, 9)
    assert header_get(row.headers, "Nats-Marker-Reason") == "MaxAge"
