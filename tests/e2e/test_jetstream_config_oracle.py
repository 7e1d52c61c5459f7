"""What streams and consumers may be and become: the same requests to our server and to the real one
(``tests/e2e/talk.py``)."""

from collections.abc import Iterator

import pytest

from tests.e2e.talk import NUMBERS, SECOND, Servers, Step, ack, api, consumer, info, listen, pub, pull

DAY = 86_400 * SECOND


def create(**fields: object) -> Step:
    return api("STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"], **fields})


def update(**fields: object) -> Step:
    return api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], **fields})


def drop() -> Step:
    return api("STREAM.DELETE.S")


def make(config: dict[str, object], **more: object) -> Step:
    return api("CONSUMER.CREATE.S.X", {"stream_name": "S", "config": {"name": "X", **config}, **more})


CONVERSATIONS: dict[str, list[Step]] = {
    "numbers of a stream": [
        create(max_msgs=-5, max_bytes=-5, max_consumers=-5, max_msg_size=-5, max_msgs_per_subject=-5), drop(),
        *(create(pedantic=True, **{field: -5}) for field in (
            "max_msgs", "max_bytes", "max_consumers", "max_msg_size", "max_msgs_per_subject",
        )),
        create(num_replicas=-1), create(num_replicas=0), drop(), create(num_replicas=5), create(num_replicas=6),
        create(max_msg_size=2**31), create(max_msg_size=2**31 - 1), drop(),
        create(max_msgs=2**63), create(max_msgs=2**63 - 1), drop(),
        create(first_seq=-1), create(first_seq=2**32), pub("s.a"), info(), drop(),
        create(max_age=99_999_999), create(max_age=100_000_000), drop(), create(max_age=-1),
        create(duplicate_window=99_999_999), create(duplicate_window=100_000_000), drop(), create(duplicate_window=-1),
        create(duplicate_window=DAY), drop(), create(duplicate_window=2 * SECOND, max_age=SECOND),
        create(max_age=10 * SECOND, pedantic=True), create(max_age=10 * SECOND), drop(),
        create(subject_delete_marker_ttl=-1), create(subject_delete_marker_ttl=SECOND - 1),
        create(subject_delete_marker_ttl=SECOND, pedantic=True),
        create(subject_delete_marker_ttl=SECOND, pedantic=True, allow_msg_ttl=True),
        create(subject_delete_marker_ttl=SECOND, deny_purge=True), drop(),
        create(allow_msg_schedules=True, pedantic=True),
        create(consumer_limits={"inactive_threshold": -1, "max_ack_pending": -1}), drop(),
    ],
    "words of a stream": [
        *(create(**{field: value}) for field in ("retention", "discard", "storage", "compression", "persist_mode")
          for value in ("", "Limits", 5)), drop(),
        create(retention="interest", discard="new", storage="memory", compression="s2", persist_mode="default"), drop(),
        create(persist_mode="async"), info(), pub("s.a"), update(), update(persist_mode="async"), drop(),
        create(persist_mode="async", storage="memory"), create(persist_mode="async", allow_atomic=True),
        create(placement={}), drop(), create(placement={"cluster": "c", "tags": ["a"]}), drop(),
        create(placement={"preferred": "me"}), create(placement={"bogus": 1}), create(placement=[]),
        create(metadata={"a": "b", "_nats.level": "9", "_nats.ver": "x", "_nats.req.level": "7", "_nats.own": "kept"}), info(),
        drop(), create(metadata={"a": 5}), create(metadata=[]), create(metadata={"k" * 1000: "v" * 131_000}),
        create(metadata={"k" * 72: "v" * 131_000}), drop(),
        create(description="é" * 2048), drop(), create(description="é" * 2049),
        create(Max_Msgs=5), drop(), create(MAX_MSGS=5), drop(), create(max_msgss=5),
        create(template_owner="x"), create(subjects="s.>"), create(subjects=[5]), create(subjects=None), drop(),
        create(name=5), create(name=None), create(name=""), create(name="T"), create(mirror_direct=True),
        api("STREAM.CREATE.a/b", {"name": "a/b"}),
        api("STREAM.CREATE.S", b"null"), api("STREAM.CREATE.S", b"5"), api("STREAM.CREATE.S", b'"S"'),
        api("STREAM.CREATE.S", b"  "), api("STREAM.CREATE.S", b'{"name":"S"'), api("STREAM.CREATE.S", b'{"name":"S",}'),
        create(sealed=True), create(sealed=True, mirror_direct=True), create(deny_purge=True, allow_rollup_hdrs=True),
    ],
    "subjects of a stream": [
        *(create(subjects=subjects) for subjects in (
            ["a", "a"], ["a.*", "a.b"], ["a.b", "a.*"], ["a", "b", "a"], [""], [" "], ["a b"], ["a."], [".a"], ["a..b"],
            [">.a"], ["$JS.>"], ["$JS.API.INFO"], ["$JS.EVENT.ADVISORY.X"], ["$JS.ACK.>"], ["$JSC.x"], ["$NRG.x"], ["$SYS.x"],
            ["$SYS.ACCOUNT.A.>"], [">"], ["*"], ["*.>"], ["*.*.*"],
        )), drop(),
        create(subjects=["$JS.>"], no_ack=True), drop(),
        create(subjects=["$SYS.>"], no_ack=True), drop(),
        create(subjects=[]), info(), pub("S"), drop(),
        create(), api("STREAM.CREATE.T", {"name": "T", "subjects": ["t", "s.x"]}), api("STREAM.CREATE.T", {"name": "T", "subjects": ["*.x"]}),
        api("STREAM.CREATE.T", {"name": "T", "subjects": ["t"]}), api("STREAM.UPDATE.T", {"name": "T", "subjects": ["s.q"]}),
        update(subjects=["s.>", "t"]), update(subjects=["u"]), pub("s.a"), pub("u"), update(subjects=[]), pub("S"),
    ],
    "transforms and republish of a stream": [
        *(create(subject_transform={"src": src, "dest": dest}) for src, dest in (
            ("s.>", ""), ("", "x.>"), ("s.*", "x.$2"), ("s.*", "x.{{wildcard(2)}}"), ("s.*", "x.{{bogus(1)}}"), ("s..x", "y"),
            ("s.*", "x..y"), ("s.*", "x y"), ("s.>", "x"), ("s.*", "x.>"), ("s.*", "x.{{partition(3,1)}}"), ("s.*", "x.*"),
            ("s.*", "x.{{left(1,2)}}"), ("s.*", "x.{{split(1,-)}}"), ("s.*", "x.{{split(1)}}"), ("s.*.*", "x.$2.$1"),
            ("s.*", "x.{{wildcard(1,2)}}"), ("s.*", "x.{{wildcard()}}"), ("s.*", "x.{{partition(x,1)}}"),
        )), drop(),
        create(subject_transform={}), drop(), create(subject_transform={"source": "x"}),
        create(subject_transform={"src": "s.*", "dest": "t.$1"}), pub("s.a"), pub("s.a.b"), update(subject_transform={"src": "s.*", "dest": "u.$1"}),
        pub("s.a"), update(), pub("s.a"), api("STREAM.INFO.S", {"subjects_filter": ">"}), drop(),
        *(create(republish=fields) for fields in (
            {"dest": "r.>"}, {"src": "s.>", "dest": ""}, {"src": "s.>", "dest": "s.>"}, {"src": ">", "dest": ">"}, {"src": "s.*", "dest": "r.$2"},
            {"src": "s.*", "dest": "r..x"}, {"src": "s.a", "dest": "r"}, {"dest": "r.>", "headers_only": True}, {}, {"bogus": 1},
        )), drop(),
        create(republish={"dest": "r.>"}, pedantic=True),
        create(republish={"src": ">", "dest": ">"}, subject_transform={"src": "s.>", "dest": "r.>"}, pedantic=True),
        create(republish={"src": ">", "dest": ">"}, subject_transform={"src": "s.>", "dest": "r.>"}), info(), drop(),
        create(), update(republish={"src": "s.>", "dest": "_I.r.>"}), pub("s.a", answers=2), update(), pub("s.a"),
    ],
    "what a stream cannot become": [
        create(deny_delete=True, deny_purge=True, allow_msg_ttl=True),
        update(), update(deny_delete=True), update(deny_delete=True, deny_purge=True),
        update(deny_delete=True, deny_purge=True, allow_msg_ttl=True, storage="memory"),
        update(deny_delete=True, deny_purge=True, allow_msg_ttl=True, retention="workqueue"),
        update(deny_delete=True, deny_purge=True, allow_msg_ttl=True, allow_msg_counter=True),
        update(deny_delete=True, deny_purge=True, allow_msg_ttl=True, num_replicas=3),
        update(deny_delete=True, deny_purge=True, allow_msg_ttl=True, sealed=True), info(),
        update(deny_delete=True, deny_purge=True, allow_msg_ttl=True),
        update(deny_delete=True, deny_purge=True, allow_msg_ttl=True, sealed=True, description="still", max_age=DAY), info(),
        drop(),
        create(), update(retention="interest"), update(retention="limits"), update(retention="workqueue"),
        update(discard_new_per_subject=True), update(discard="new", discard_new_per_subject=True), drop(),
        create(retention="workqueue"), update(), update(retention="interest"), drop(),
        create(first_seq=10), pub("s.a"), update(), update(first_seq=50), pub("s.a"), info(), drop(),
        create(), *NUMBERS, update(max_bytes=90), info(), update(max_msgs=1), info(), update(max_age=DAY, max_msg_size=5), info(),
        pub("s.a", b"123456"), update(compression="s2", no_ack=True, duplicate_window=DAY, max_consumers=1), pub("s.a", answers=0), info(),
        consumer("A"), update(max_consumers=-1), consumer("B", max_ack_pending=50, inactive_threshold=DAY),
        update(consumer_limits={"max_ack_pending": 10}), update(consumer_limits={"inactive_threshold": SECOND}),
        update(consumer_limits={"max_ack_pending": 2000, "inactive_threshold": 2 * DAY}), info(),
        api("STREAM.UPDATE.S", {"name": "Q"}), api("STREAM.UPDATE.S", {}), api("STREAM.UPDATE.S"), api("STREAM.UPDATE.Q", {"name": "Q"}),
        api("STREAM.UPDATE.S", {"name": "S", "bogus": 1}), api("STREAM.UPDATE.S", {"name": "S", "max_age": 5}),
        api("STREAM.UPDATE.a/b", {"name": "a/b"}),
    ],
    "numbers of a consumer": [
        create(),
        *(make({"ack_policy": "explicit", **config}) for config in (
            {"max_deliver": -5}, {"max_ack_pending": -5}, {"max_waiting": -5}, {"max_batch": -5}, {"max_expires": -5},
            {"max_bytes": -5}, {"inactive_threshold": -5}, {"idle_heartbeat": -5}, {"ack_wait": -5},
            {"backoff": [-5]}, {"backoff": []}, {"backoff": [SECOND, 2 * SECOND], "max_deliver": 1}, {"opt_start_seq": -1},
            {"rate_limit_bps": -1}, {"max_expires": 999_999}, {"num_replicas": -1}, {"num_replicas": 2}, {"num_replicas": 1},
        )),
        *(make({"ack_policy": "explicit", **config}, pedantic=True) for config in (
            {"max_deliver": -5}, {"max_ack_pending": -5}, {"max_waiting": -5}, {"max_batch": -5}, {"max_expires": -5},
            {"max_bytes": -5}, {"inactive_threshold": -5}, {"priority_timeout": -5}, {"idle_heartbeat": -5},
            {"backoff": [SECOND]}, {"backoff": [SECOND], "ack_wait": SECOND},
        )),
        api("CONSUMER.DELETE.S.X"),
        make({"ack_policy": "explicit", "backoff": [SECOND, 2 * SECOND]}), make({"ack_policy": "explicit", "backoff": [SECOND, 2 * SECOND], "max_deliver": 1}),
        make({"ack_policy": "explicit", "max_deliver": 5, "backoff": [SECOND]}),
        api("CONSUMER.INFO.S.X"),
    ],
    "words of a consumer": [
        create(),
        *(make({field: value}) for field in ("ack_policy", "deliver_policy", "replay_policy", "priority_policy")
          for value in ("", "All", 5)),
        make({"deliver_policy": "undefined"}), api("CONSUMER.DELETE.S.X"),
        *(make({"deliver_policy": policy, **more}) for policy in ("all", "last", "new", "last_per_subject", "by_start_sequence", "by_start_time")
          for more in ({"opt_start_seq": 5}, {"opt_start_time": "2020-01-01T00:00:00Z"}, {"opt_start_seq": 5, "opt_start_time": "2020-01-01T00:00:00Z"})),
        api("CONSUMER.DELETE.S.X"),
        *(make({"deliver_policy": "by_start_time", "opt_start_time": time}) for time in (
            "2020-01-01", "2020-01-01T00:00:00", "x", "2020-01-01T00:00:00.123450000Z", "2020-01-01T01:00:00+01:00",
        )),
        api("CONSUMER.DELETE.S.X"),
        *(make({"sample_freq": sample}) for sample in ("x", "%", "-5", "5%", "100%%", "+7", "200")), api("CONSUMER.DELETE.S.X"),
        *(make({"filter_subjects": filters}) for filters in (
            ["s.a", "s.a"], ["s.a", "s.*"], ["s.*", "s.a"], ["s.*.b", "s.a.*"], [""], ["s.a", ""], ["s..a"], ["s.a", "t.>"],
        )),
        api("CONSUMER.DELETE.S.X"),
        make({"filter_subject": "s..a"}), make({"filter_subject": "s.a", "filter_subjects": ["s.b"]}),
        make({"metadata": {"a": "b", "_nats.level": "9", "_nats.req.level": "9", "_nats.own": "kept"}}), make({"metadata": {"k": "v" * 131_072}}),
        make({"description": "d" * 4097}), make({"name": "Y"}), make({"durable_name": "Y"}), make({"durable_name": "X", "bogus": 1}),
        make({"Ack_Policy": "explicit"}), make({"pause_until": "x"}), make({"pause_until": "0001-01-01T00:00:00Z"}),
        api("CONSUMER.CREATE.S.a/b", {"stream_name": "S", "config": {"name": "a/b"}}),
        api("CONSUMER.CREATE.S", {"stream_name": "S", "config": {"name": "a.b"}}),
        api("CONSUMER.CREATE.S", {"stream_name": "S", "config": {"name": "a b"}}),
        api("CONSUMER.CREATE.S", {"stream_name": "S", "config": {"name": "legacy", "ack_policy": "explicit"}}),
        api("CONSUMER.CREATE.S", {"stream_name": "S", "config": {"name": "legacy", "durable_name": "legacy"}}),
        api("CONSUMER.CREATE.S.X.s.a", {"stream_name": "S", "config": {"name": "X", "filter_subjects": ["s.a"]}}),
        api("CONSUMER.CREATE.S.X.s.a", {"stream_name": "S", "config": {"name": "X", "filter_subject": "s.b"}}),
        api("CONSUMER.CREATE.S.X.s.a", {"stream_name": "S", "config": {"name": "X"}}),
        api("CONSUMER.CREATE.S.X", {"stream_name": "S", "config": None}), api("CONSUMER.CREATE.S.X", {"stream_name": "S", "config": []}),
        api("CONSUMER.CREATE.S.X", {"stream_name": "S", "config": {"name": "X"}, "action": "Create"}),
        api("CONSUMER.CREATE.S.X", {"stream_name": "S", "config": {"name": "X"}, "bogus": 1}),
        api("CONSUMER.CREATE.S." + "n" * 256, {"stream_name": "S", "config": {"durable_name": "n" * 256}}),
        api("CONSUMER.DURABLE.CREATE.S.a/b", {"stream_name": "S", "config": {"durable_name": "a/b"}}),
        api("CONSUMER.DURABLE.CREATE.S.D", {"stream_name": "T", "config": {"durable_name": "D"}}),
        api("CONSUMER.DURABLE.CREATE.S", {"stream_name": "S", "config": {"durable_name": "D"}}, 0),
    ],
    "what a consumer cannot become": [
        create(), listen("d"), listen("d2"),
        make({"ack_policy": "explicit", "deliver_policy": "by_start_sequence", "opt_start_seq": 1}),
        *(make({"ack_policy": "explicit", "deliver_policy": "by_start_sequence", "opt_start_seq": 1, **more}) for more in (
            {"opt_start_seq": 2}, {"deliver_policy": "all", "opt_start_seq": 0}, {"ack_policy": "none"}, {"replay_policy": "original"},
            {"mem_storage": True}, {"max_waiting": 7}, {"deliver_subject": "d"}, {"direct": True}, {"max_deliver": 5, "description": "fine"},
            {"ack_wait": SECOND, "backoff": [2 * SECOND], "max_ack_pending": 5, "sample_freq": "5", "headers_only": True},
            {"filter_subject": "s.a"}, {"filter_subjects": ["s.a", "s.b"]}, {"inactive_threshold": 5 * DAY}, {"max_batch": 5, "max_bytes": 50},
            {"pause_until": "2220-01-01T00:00:00Z"}, {"metadata": {"a": "b"}}, {"priority_policy": "overflow", "priority_groups": ["g"]},
        )),
        make({"ack_policy": "explicit", "deliver_policy": "by_start_sequence", "opt_start_seq": 1}, action="create"),
        make({"ack_policy": "explicit", "deliver_policy": "by_start_sequence", "opt_start_seq": 1}, action="update"),
        api("CONSUMER.DELETE.S.X"),
        make({"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:00Z"}),
        make({"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:01Z"}),
        make({"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:00.000Z"}), api("CONSUMER.DELETE.S.X"),
        make({"deliver_subject": "d", "idle_heartbeat": 60 * SECOND, "flow_control": True}),
        make({"deliver_subject": "d", "idle_heartbeat": 61 * SECOND, "flow_control": True}),
        make({"deliver_subject": "d", "idle_heartbeat": 60 * SECOND}), make({"deliver_subject": "d"}), make({}),
        make({"deliver_subject": "d2", "idle_heartbeat": 60 * SECOND, "flow_control": True}),
        make({"deliver_subject": "d", "idle_heartbeat": 60 * SECOND, "flow_control": True, "rate_limit_bps": 10_000_000}),
        api("CONSUMER.INFO.S.X"),
        api("CONSUMER.CREATE.S", {"stream_name": "S", "config": {"name": "E", "ack_policy": "explicit"}, "action": "create"}),
        api("CONSUMER.CREATE.S", {"stream_name": "S", "config": {"name": "E", "ack_policy": "explicit"}, "action": "create"}),
        api("CONSUMER.CREATE.S", {"stream_name": "S", "config": {"name": "E", "ack_policy": "explicit"}}),
        api("CONSUMER.CREATE.S", {"stream_name": "S", "config": {"name": "E", "ack_policy": "explicit", "inactive_threshold": 9 * SECOND}}),
    ],
    "consumers of work queues": [
        create(retention="workqueue"), *NUMBERS,
        make({"ack_policy": "explicit", "filter_subject": "s.0"}), make({"ack_policy": "explicit", "filter_subjects": ["s.0", "s.2"]}),
        consumer("Y", filter_subject="s.1"), make({"ack_policy": "explicit", "filter_subjects": ["s.0", "s.1"]}), make({"ack_policy": "explicit"}),
        consumer("Z"), consumer("Z", filter_subject="s.*"), consumer("Z", num_replicas=1, filter_subject="s.9"),
        consumer("W", ack_policy="none", deliver_subject="d"), consumer("W", ack_policy="all", deliver_subject="d"),
        consumer("W", ack_policy="flow_control", deliver_subject="d", filter_subject="s.7"),
        pull("S.X", {"batch": 2}, answers=2), ack(0), ack(1), info(), api("CONSUMER.DELETE.S.Y"), info(),
    ],
    "lists": [
        *(api(f"STREAM.CREATE.{name}", {"name": name, "subjects": subjects}) for name, subjects in (
            ("B", ["b.>"]), ("A", ["a.*", "aa"]), ("S", ["s.x", "s.y.>"]), ("KV_x", ["$KV.x.>"]), ("KV_y", ["$KV.y.>"]),
        )),
        *(api("STREAM.NAMES", body) for body in (
            {"subject": "a.b"}, {"subject": "*.x"}, {"subject": "$KV.*.>"}, {"subject": ">"}, {"subject": "nothing"}, {"subject": ""},
            {"offset": -1}, {"offset": 2}, {"offset": 99}, {"offset": "x"}, {"bogus": 1}, b"[]", b"x", b"", b"null", b" {}",
            {"subject": "a..b"},
        )),
        api("STREAM.LIST", {"subject": "s.x", "offset": 0}), api("STREAM.LIST", {"offset": 3}), api("STREAM.LIST", b"{"),
        api("STREAM.NAMES.X", answers=0), api("STREAM.LIST.X", answers=0), api("INFO.X", answers=0), api("STREAM.INFO.S.X", answers=0),
        consumer("c2"), consumer("c1"), consumer("c3"),
        *(api("CONSUMER.NAMES.S", body) for body in ({"offset": 1}, {"offset": -1}, {"offset": 9}, {"bogus": 1}, b"x", {"subject": "x"})),
        api("CONSUMER.LIST.S", {"offset": 2}), api("CONSUMER.LIST.S.X", answers=0), api("CONSUMER.INFO.S", answers=0),
        api("STREAM.DELETE.S", {"x": 1}), api("STREAM.DELETE.S", b"x"), api("STREAM.DELETE.S", b"[]"), api("STREAM.DELETE.S", b"{ }"),
        api("CONSUMER.DELETE.B.X", {"x": 1}), api("CONSUMER.DELETE.B.X"), api("STREAM.DELETE.S"),
        api("INFO", b"x"),
    ],
    "details of a stream": [
        create(), *NUMBERS, *(pub(f"s.k.{i}") for i in range(5)),
        *(api("STREAM.MSG.DELETE.S", {"seq": seq}) for seq in (2, 3, 5, 11)),
        *(api("STREAM.INFO.S", body) for body in (
            {"deleted_details": True}, {"subjects_filter": "s.*"}, {"subjects_filter": "s.k.*", "offset": 2}, {"subjects_filter": ">", "offset": 99},
            {"subjects_filter": "zz"}, {"subjects_filter": "", "offset": 5}, {"subjects_filter": "s..x"}, {"deleted_details": "x"}, {"bogus": 1},
            b"x", b"null", b"[]", {"offset": -5, "subjects_filter": "s.0"},
        )),
        api("STREAM.PURGE.S", {"keep": 2}), api("STREAM.INFO.S", {"deleted_details": True}), api("STREAM.PURGE.S", b"x"),
        api("STREAM.INFO.S", {"deleted_details": True}),
    ],
    "levels": [
        create(),
        *(api(call, body, headers=(("Nats-Required-Api-Level", level),)) for level in ("0", "1", "99", "x", "-1", "", "+1") for call, body in (
            ("INFO", None), ("STREAM.INFO.S", None), ("STREAM.NAMES", None), ("STREAM.MSG.GET.S", {"seq": 9}), ("CONSUMER.INFO.S.X", None),
            ("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"]}), ("STREAM.PURGE.S", None), ("CONSUMER.NAMES.S", None),
        )),
        consumer("C"), api("CONSUMER.MSG.NEXT.S.C", {"no_wait": True}, headers=(("Nats-Required-Api-Level", "99"),)),
        api("CONSUMER.RESET.S.C", headers=(("Nats-Required-Api-Level", "99"),)), api("CONSUMER.PAUSE.S.C", headers=(("Nats-Required-Api-Level", "99"),)),
        update(allow_direct=True), api("DIRECT.GET.S", {"seq": 9}, headers=(("Nats-Required-Api-Level", "99"),)),
        api("DIRECT.GET.S.s.a", headers=(("Nats-Required-Api-Level", "99"),)),
        api("CONSUMER.CREATE.S.X", b"{", headers=(("Nats-Required-Api-Level", "99"),)),
        api("STREAM.CREATE.S", b"{", headers=(("Nats-Required-Api-Level", "99"),)),
        api("INFO"),
    ],
    "direct gets of many": [
        create(allow_direct=True), *NUMBERS, pub("s.k.1", b"a"), pub("s.k.2", b"bb", H="v"), pub("s.k.1", b"ccc"),
        *(api("DIRECT.GET.S", body, answers) for body, answers in (
            ({"batch": 3, "seq": 1}, 4), ({"batch": 3, "seq": 8}, 3), ({"batch": 3, "seq": 99}, 1), ({"batch": 2, "next_by_subj": "s.k.*"}, 3),
            ({"batch": 9, "seq": 2, "next_by_subj": "s.0"}, 3), ({"batch": 9, "seq": 1, "max_bytes": 25}, 4), ({"batch": 1, "seq": 1, "max_bytes": 1}, 2),
            ({"batch": 2, "start_time": "2020-01-01T00:00:00Z"}, 3), ({"batch": 2, "start_time": "2220-01-01T00:00:00Z"}, 1),
            ({"batch": 2, "last_by_subj": "s.0"}, 1), ({"batch": 2, "seq": 1, "no_hdr": True}, 3), ({"batch": 0, "seq": 1}, 1), ({"batch": -1, "seq": 1}, 1),
            ({"multi_last": ["s.*"]}, 3), ({"multi_last": ["s.>"]}, 5), ({"multi_last": ["s.k.*", "s.0"]}, 4), ({"multi_last": ["zz"]}, 1),
            ({"multi_last": ["s.>"], "batch": 2}, 3), ({"multi_last": ["s.>"], "max_bytes": 15}, 3), ({"multi_last": ["s.>"], "up_to_seq": 4}, 3),
            ({"multi_last": ["s.>"], "up_to_seq": 8}, 5), ({"multi_last": ["s.>"], "seq": 7}, 3), ({"multi_last": ["s.>"], "up_to_time": "2020-01-01T00:00:00Z"}, 1),
            ({"multi_last": ["s.>"], "up_to_time": "2220-01-01T00:00:00Z"}, 5),
            ({"multi_last": ["s.>"], "up_to_seq": 4, "up_to_time": "2220-01-01T00:00:00Z"}, 1), ({"multi_last": ["s.>"], "last_by_subj": "s.0"}, 1),
            ({"multi_last": ["s.>"], "next_by_subj": "s.0"}, 1), ({"multi_last": ["s.k.1", "s.k.1", "s.k.*"]}, 3), ({"multi_last": []}, 1),
            ({"seq": 1, "start_time": "2020-01-01T00:00:00Z"}, 1), ({"next_by_subj": "s.0", "last_by_subj": "s.0"}, 1), ({"up_to_seq": 4}, 1),
            (b"", 1), (b"null", 1), (b"[]", 1), ({"seq": 1, "no_hdr": True}, 1), ({"last_by_subj": "s.k.2", "no_hdr": True}, 1),
        )),
        *(api("DIRECT.GET.S.s.0", body) for body in (b"", {}, {"no_hdr": True}, {"seq": 1}, {"batch": 1}, b"x", {"max_bytes": 5})),
        api("STREAM.MSG.DELETE.S", {"seq": 9}), api("DIRECT.GET.S", {"multi_last": ["s.k.*"]}, 3),
        api("DIRECT.GET.S", {"batch": 9, "seq": 6}, 4),
    ],
    "messages are read in all ways": [
        create(), *NUMBERS, api("STREAM.MSG.DELETE.S", {"seq": 3}),
        *(api("STREAM.MSG.GET.S", body) for body in (
            {"seq": 1, "no_hdr": True}, {"seq": 3}, {"seq": 3, "next_by_subj": "s.0"}, {"next_by_subj": ">"}, {"seq": 1, "batch": 2}, {"seq": 1, "max_bytes": 2},
            {"seq": 1, "multi_last": ["s.0"]}, {"multi_last": ["s.0"]}, {"start_time": "x"}, {"start_time": "2020-01-01T00:00:00Z", "next_by_subj": "s.1"},
            {"start_time": "2020-01-01T00:00:00Z", "seq": 2}, {"start_time": "2020-01-01T00:00:00Z", "last_by_subj": "s.0"},
            {"last_by_subj": "s.0", "next_by_subj": "s.0"}, {"seq": -1}, {"seq": 1.5}, {"last_by_subj": "s..x"}, {"up_to_seq": 5}, b"null", b"[]", b"{ }",
        )),
        *(api("STREAM.MSG.DELETE.S", body) for body in ({"seq": 0}, {"no_erase": True}, {"seq": 2, "bogus": 1}, {"seq": "2"}, b"[]", b"null", b"{ }", {"seq": 4, "no_erase": True})),
        info(),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    both = Servers(tmp_path_factory.mktemp("servers"), len(CONVERSATIONS))
    yield both
    both.close()


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_answers_are_those_of_nats_server(name: str, servers: Servers) -> None:
    servers.compare(CONVERSATIONS[name])
