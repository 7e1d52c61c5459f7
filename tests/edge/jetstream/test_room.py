"""Streams that refuse new messages: what is under way counts as if it were on disk, and what it replaces as if gone."""

from typing import Any

from edge.errors import StoreError

FULL = -10077
SIZE = 30 + len("s.0") + 67  # 100 bytes


def kv(bench: Any, **fields: object) -> Any:
    return bench.stream(discard="new", max_msgs_per_subject=1, storage="file", **fields)


def put(bench: Any, *subjects: str, size: int = 67, **headers: str) -> None:
    for subject in subjects:
        bench.publish(f"s.{subject}", b"x" * size, **headers)


def test_what_replaces_finds_room_in_a_full_stream(bench: Any) -> None:
    stream = kv(bench, max_bytes=300)
    put(bench, "0", "1", "2", "3", "0")
    bench.settle()
    assert bench.acks() == [1, 2, 3, FULL, 4] and stream.bytes == 300 and stream.messages == 3
    put(bench, "1", size=68)
    put(bench, "1", size=60)
    put(bench, "1", size=61)
    bench.settle()
    assert bench.acks() == [FULL, 5, FULL]
    assert stream.bytes == 293 and not stream.room.places and not stream.room.sizes
    assert (stream.room.messages, stream.room.bytes) == (0, 0)


def test_what_is_under_way_replaces_too(bench: Any) -> None:
    """In one batch or in several that wait for their commits together."""
    stream = kv(bench, max_bytes=300)
    put(bench, "0", "0", "0")
    bench.flush()
    put(bench, "0", "1")
    bench.flush()
    put(bench, "2", "3", "1", "0", size=67)
    bench.flush()
    bench.settle()
    assert bench.acks() == [1, 2, 3, 4, 5, 6, FULL, 7, 8] and stream.messages == 3


def test_so_many_messages(bench: Any) -> None:
    stream = bench.stream(discard="new", max_msgs_per_subject=2, max_msgs=3)
    put(bench, "0", "0", "1", "2", "0", "1")
    bench.settle()
    assert bench.acks() == [1, 2, 3, FULL, 4, FULL] and stream.messages == 3
    assert bench.api("STREAM.PURGE.S", {"filter": "s.0"})["purged"] == 2
    put(bench, "2", "1", "3")
    bench.settle()
    assert bench.acks() == [5, 6, FULL]


def test_a_subject_that_is_full_refuses_but_for_rollups(bench: Any) -> None:
    stream = kv(bench, discard_new_per_subject=True, allow_rollup_hdrs=True)
    put(bench, "0", "0", "1")
    put(bench, "0", Nats_Rollup="sub")
    put(bench, "0")
    bench.settle()
    bench.settle()  # what is rolled up goes with a commit of its own
    assert bench.acks() == [1, FULL, 2, 3, FULL] and stream.messages == 2


def test_a_failed_commit_takes_no_room(bench: Any) -> None:
    stream = kv(bench, max_bytes=300)
    bench.gate.failing = StoreError("no")
    put(bench, "0", "1")
    bench.flush()
    bench.gate.failing = None
    bench.settle()
    assert bench.acks() == [FULL, FULL] and not stream.room.places  # 10077 is also what a store that fails answers
    put(bench, "0", "1", "2", "3")
    bench.settle()
    assert bench.acks() == [1, 2, 3, FULL]


def test_room_after_a_restart_and_another_configuration(bench: Any) -> None:
    kv(bench, max_bytes=200)
    put(bench, "0", "1", "2")
    bench.settle()
    bench.reopen()
    put(bench, "2", "1")
    bench.settle()
    assert bench.acks() == [FULL, 3]
    config = {"name": "S", "subjects": ["s.>"], "discard": "new", "max_msgs_per_subject": 1, "max_bytes": 300}
    assert "error" not in bench.api("STREAM.UPDATE.S", config)
    put(bench, "2", "3")
    bench.settle()
    assert bench.acks() == [4, FULL]
    assert "error" not in bench.api("STREAM.UPDATE.S", config | {"discard": "old"})
    assert bench.js.streams["S"].room is None
