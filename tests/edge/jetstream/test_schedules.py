"""What may be scheduled is held against nats-server in ``tests/e2e``; here is what time, failures and restarts do."""

from typing import Any

from edge.core.times import SECOND, rfc3339
from edge.errors import StoreError
from edge.message import header_get

MINUTE = 60 * SECOND


def subjects(bench: Any) -> dict[str, int]:
    return dict(bench.js.streams["S"].subjects.count)


def schedule(bench: Any, subject: str, when: str, payload: bytes = b"x", **headers: str) -> None:
    assert bench.stored(subject, payload, Nats_Schedule=when, Nats_Schedule_Target="s.t", **headers) != []
    bench.acks()


def test_once_at_a_time(bench: Any) -> None:
    stream = bench.stream(allow_msg_schedules=True)
    schedule(bench, "s.later", f"@at {rfc3339(bench.wall + MINUTE)}", b"hello")
    bench.pass_time(59 * SECOND)
    assert subjects(bench) == {"s.later": 1}
    bench.pass_time(2 * SECOND)
    assert subjects(bench) == {"s.t": 1}
    row = stream.last_by_subject("s.t")
    assert row.payload == b"hello" and header_get(row.headers, "Nats-Schedule-Next") == "purge"
    assert header_get(row.headers, "Nats-Scheduler") == "s.later" and header_get(row.headers, "Nats-Schedule") is None
    bench.pass_time(10 * MINUTE)
    assert subjects(bench) == {"s.t": 1} and stream.schedules.deadline() is None


def test_again_and_again(bench: Any) -> None:
    stream = bench.stream(allow_msg_schedules=True)
    schedule(bench, "s.every", "@every 1m")
    bench.pass_time(5 * MINUTE + 10 * SECOND)
    assert subjects(bench) == {"s.every": 1, "s.t": 5}
    assert bench.stored("s.every", b"no schedule any more") == [7]
    bench.pass_time(5 * MINUTE)
    assert subjects(bench)["s.t"] == 5 and not stream.schedules.times


def test_a_later_schedule_takes_the_place_of_an_earlier_one(bench: Any) -> None:
    bench.stream(allow_msg_schedules=True)
    schedule(bench, "s.x", "@every 1m")
    schedule(bench, "s.x", "@every 10m")
    bench.pass_time(5 * MINUTE)
    assert subjects(bench) == {"s.x": 1}
    bench.pass_time(6 * MINUTE)
    assert subjects(bench)["s.t"] == 1


def test_what_is_purged_is_not_published(bench: Any) -> None:
    bench.stream(allow_msg_schedules=True)
    schedule(bench, "s.x", "@every 1m")
    assert bench.api("STREAM.PURGE.S", {"filter": "s.x"})["purged"] == 1
    bench.pass_time(5 * MINUTE)
    assert subjects(bench) == {}


def test_a_restart_in_between(bench: Any) -> None:
    """What was missed comes once."""
    bench.stream(allow_msg_schedules=True)
    schedule(bench, "s.once", f"@at {rfc3339(bench.wall + MINUTE)}", b"once")
    schedule(bench, "s.every", "@every 1m", b"often")
    bench.wall += 10 * MINUTE
    bench.now += 10 * MINUTE
    bench.reopen()
    bench.pass_time(30 * SECOND)
    rows = [row for row in bench.js.streams["S"].walk(1) if row.subject == "s.t"]
    assert [row.payload for row in rows] == [b"once"]
    bench.pass_time(MINUTE)
    rows = [row for row in bench.js.streams["S"].walk(1) if row.subject == "s.t"]
    assert [row.payload for row in rows] == [b"once", b"often"]


def test_a_failed_commit_is_tried_again(bench: Any) -> None:
    bench.stream(allow_msg_schedules=True)
    schedule(bench, "s.once", f"@at {rfc3339(bench.wall + MINUTE)}")
    schedule(bench, "s.every", "@every 1m")
    bench.gate.failing = StoreError("disk I/O error")
    bench.pass_time(70 * SECOND)
    assert subjects(bench) == {"s.once": 1, "s.every": 1}
    bench.gate.failing = None
    bench.pass_time(5 * SECOND)
    assert subjects(bench) == {"s.every": 1, "s.t": 2}


def test_a_full_stream_is_tried_again(bench: Any) -> None:
    stream = bench.stream(allow_msg_schedules=True)
    schedule(bench, "s.once", f"@at {rfc3339(bench.wall + MINUTE)}")
    bench.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "allow_msg_schedules": True, "max_msg_size": 10})
    bench.pass_time(2 * MINUTE)
    assert subjects(bench) == {"s.once": 1}
    bench.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "allow_msg_schedules": True})
    bench.pass_time(2 * SECOND)
    assert subjects(bench) == {"s.t": 1} and stream.messages == 1


def test_the_last_of_a_source_is_what_is_published(bench: Any) -> None:
    stream = bench.stream(allow_msg_schedules=True, allow_msg_ttl=True)
    bench.stored("s.src", b"old")
    schedule(bench, "s.x", "@every 1m", b"own", Nats_Schedule_Source="s.src", Nats_Schedule_TTL="1h", Nats_Schedule_Rollup="sub")
    bench.stored("s.src", b"new", Kept="yes", Nats_Msg_Id="once")
    bench.pass_time(2 * MINUTE + SECOND)
    row = stream.last_by_subject("s.t")
    assert row.payload == b"new" and subjects(bench)["s.t"] == 1
    assert header_get(row.headers, "Kept") == "yes" and header_get(row.headers, "Nats-Msg-Id") is None
    assert header_get(row.headers, "Nats-TTL") == "1h" and header_get(row.headers, "Nats-Rollup") == "sub"


def test_without_the_feature_what_is_stored_stays_what_it_is(bench: Any) -> None:
    """A stream that came with schedules from elsewhere: nothing is published."""
    bench.stream()
    assert bench.stored("s.x", b"x", Nats_Schedule="@every 1s", Nats_Schedule_Target="s.t") == [-10188]
    bench.pass_time(MINUTE)
    assert subjects(bench) == {}


def test_a_cut_between_what_it_made_and_its_end(bench: Any) -> None:
    stream = bench.stream(allow_msg_schedules=True)
    schedule(bench, "s.later", f"@at {rfc3339(bench.wall + MINUTE)}")
    made = b"NATS/1.0\r\nNats-Scheduler: s.later\r\nNats-Schedule-Next: purge\r\n\r\n"
    bench.gate.store.append(stream.id, [(2, "s.t", bench.wall, made, b"x")])
    bench.settle()
    bench.reopen()
    bench.pass_time(2 * MINUTE)
    assert subjects(bench) == {"s.t": 1}, "it is not made again, and its schedule is gone"
