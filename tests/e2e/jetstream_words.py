"""What may stand in each field of a request: the values that are right somewhere, and some that never are."""

from typing import Any, NamedTuple

from tests.e2e.talk import SECOND

HOUR = 3600 * SECOND


class Word(NamedTuple):
    right: tuple[Any, ...]
    wrong: tuple[Any, ...] = ()


FLAG = Word((True, True, False), ("x", 1))
PAST, FUTURE = "2020-01-01T00:00:00Z", "2220-01-01T00:00:00Z"

STREAM_FIELDS = {
    "description": Word(("", "d", "text"), ("d" * 4097, 5)),
    "subjects": Word(
        (["s.>"], ["t.*", "u"], ["v.>", "w"]),
        (["a b"], [""], [">"], ["s.>", "s.a"], ["$JS.API.x"], "s", [1], ["x..y"], ["x.>.y"]),
    ),
    "retention": Word(("limits", "limits", "interest", "workqueue"), ("bogus", "", 1)),
    "max_consumers": Word((-1, 0, 1, 2), (-2, "x", 1 << 40)),
    "max_msgs": Word((-1, 0, 3, 10), (-2, 1.5)),
    "max_bytes": Word((-1, 0, 10_000_000), (-2,)),
    "max_age": Word((0, 24 * HOUR, HOUR), (1, -1, SECOND // 11, "1h")),
    "max_msgs_per_subject": Word((-1, 1, 2, 5, 0), (-2,)),
    "max_msg_size": Word((-1, 20, 1000), (-2, 1 << 31)),
    "discard": Word(("old", "new"), ("bogus",)),
    "discard_new_per_subject": FLAG,
    "storage": Word(("file", "memory"), ("bogus", "")),
    "num_replicas": Word((1, 0), (2, 3, 7, -1)),
    "no_ack": Word((False,), ("x",)),
    "duplicate_window": Word((0, 60 * SECOND, HOUR), (1, -1, SECOND // 11)),
    "placement": Word(({}, None), ({"cluster": "x"}, {"preferred": "x"}, {"tags": ["a"]}, "x")),
    "mirror": Word((None,), ({"name": "T"}, {"name": ""}, {"name": "NONE", "filter_subject": "a b"}, {})),
    "sources": Word((None,), ([{"name": ""}], [{"name": "a b"}], [{"name": "S", "filter_subject": "x..y"}], [{}], {})),
    "compression": Word(("none",), ("bogus", "")),
    "first_seq": Word((0, 1, 50), (-1, "x")),
    "subject_transform": Word(
        ({"src": "s.*", "dest": "s.x.$1"}, {"src": ">", "dest": "z.>"}, None, {"src": "", "dest": "t.z"}),
        ({"src": "s..a", "dest": "x"}, {"src": "s.*", "dest": "x.$2"}, {"src": "s.*", "dest": "x.*"}, {"bogus": 1}),
    ),
    "republish": Word(
        ({"src": "s.*", "dest": "r.$1"}, {"src": ">", "dest": "r.>", "headers_only": True}, None, {"dest": "r.all.>"}),
        ({"src": ">", "dest": "s.>"}, {"src": "s.*", "dest": "r.$2"}),
    ),
    "allow_direct": FLAG,
    "mirror_direct": Word((False,), (True,)),
    "sealed": Word((False,), (True,)),
    "deny_delete": FLAG,
    "deny_purge": FLAG,
    "allow_rollup_hdrs": FLAG,
    "consumer_limits": Word(
        ({}, {"max_ack_pending": 400}, {"max_ack_pending": 600}, {"inactive_threshold": 2 * HOUR}),
        ({"max_ack_pending": -1}, {"inactive_threshold": -1}, {"bogus": 1}),
    ),
    "allow_msg_ttl": FLAG,
    "subject_delete_marker_ttl": Word((0, SECOND, HOUR), (1, -1, SECOND - 1)),
    "allow_msg_counter": FLAG,
    "allow_atomic": FLAG,
    "allow_msg_schedules": FLAG,
    "persist_mode": Word(("default", "", "async"), ("bogus",)),
    "allow_batched": FLAG,
    "metadata": Word(({}, {"k": "v"}, {"a": "1", "b": "2"}, {"_nats.level": "1"}), ({"k": 1}, [], {"k": None})),
    "pedantic": Word((True, False), ("x",)),
}

CONSUMER_FIELDS = {
    "durable_name": Word(("C",), ("a.b", "a b", "", "X" * 256)),
    "name": Word(("C",), ("a.b", "")),
    "description": Word(("d", ""), ("d" * 4097,)),
    "deliver_policy": Word(
        ("all", "last", "new", "last_per_subject", "by_start_sequence", "by_start_time"), ("bogus", "", "undefined", 1)
    ),
    "opt_start_seq": Word((1, 3, 10, 40), (0, -1, "x")),
    "opt_start_time": Word((PAST, FUTURE), ("x", "")),
    "ack_policy": Word(("none", "all", "explicit"), ("bogus", "flow_control")),
    "max_deliver": Word((-1, 1, 3, 0), (-2, -9)),
    "backoff": Word(([HOUR], [HOUR, 2 * HOUR], []), ([-1], ["x"], HOUR)),
    "filter_subject": Word(("s.a", "s.*", "t.x", "s.>", ">", ""), ("a..b", "a b")),
    "filter_subjects": Word((["s.b", "s.c"], ["t.x", "t.y"], ["s.*"], []), (["s.a", "s.*"], [""], ["s.a", "s.a"])),
    "replay_policy": Word(("instant",), ("bogus",)),
    "rate_limit_bps": Word((0,), (1, -1)),
    "sample_freq": Word(("", "100%", "30"), ("x", "-1", "101")),
    "max_waiting": Word((1, 10, 0, 512), (-1,)),
    "max_ack_pending": Word((-1, 500, 0), (-2,)),
    "flow_control": Word((False,), (True,)),
    "idle_heartbeat": Word((0,), (SECOND, 1)),
    "headers_only": FLAG,
    "max_batch": Word((2, 0), (-1,)),
    "max_expires": Word((0, SECOND), (1, -1)),
    "max_bytes": Word((0, 100), (-1,)),
    "deliver_subject": Word(("nobody.here", "d", ""), ("d.*", "s.a", "d..e")),
    "deliver_group": Word(("", "q"), ("a b",)),
    "inactive_threshold": Word((HOUR, 2 * HOUR), (-1,)),
    "num_replicas": Word((0, 1), (-1, 3)),
    "mem_storage": FLAG,
    "direct": Word((False,), (True,)),
    "metadata": Word(({}, {"a": "b"}), ({"a": 1},)),
    "pause_until": Word((PAST, FUTURE), ("x",)),
    "priority_groups": Word((["g"], []), (["g", "h"], ["a b"], [""], ["x" * 17])),
    "priority_policy": Word(("overflow", "pinned_client", "prioritized", "none"), ("bogus",)),
    "priority_timeout": Word((0, HOUR)),
}

PULL_FIELDS = {
    "batch": Word((1, 4, 0), (-1, "x")),
    "max_bytes": Word((1, 60, 100, 1000), (-1,)),
    "idle_heartbeat": Word((SECOND // 50, SECOND // 20), (-1,)),
    "group": Word(("g", "h"), ("a b",)),
    "id": Word(("x", "")),
    "min_pending": Word((1, 3, 50), (-1,)),
    "min_ack_pending": Word((1, 3), (-1,)),
    "priority": Word((0, 1, 9), (10, -1)),
    "bogus": Word((1,)),
}
