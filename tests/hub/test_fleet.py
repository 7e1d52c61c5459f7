import pytest

from hub.fleet import Leaf, Replica, Stream, leaf_line, leafs, meta_leader, not_ready, size, stream_line

NAMES = ("hub-1", "hub-2", "hub-3")


def jsz(name, leader, current=()):
    replicas = [{"name": peer, "current": peer in current} for peer in NAMES if peer != name]
    meta = {"leader": leader, "replicas": replicas} if leader else {"replicas": replicas}
    return {"server": {"name": name}, "data": {"meta_cluster": meta}}


READY = [jsz("hub-1", "hub-2"), jsz("hub-2", "hub-2", ("hub-1", "hub-3")), jsz("hub-3", "hub-2")]


@pytest.mark.parametrize(
    "replies, why",
    [
        (READY, None),
        (READY[:2], "hub-3 does not answer yet"),
        ([], "hub-1, hub-2, hub-3 does not answer yet"),
        ([jsz(name, None) for name in NAMES], "no JetStream leader is elected yet"),
        ([jsz("hub-1", "hub-1"), *READY[1:]], "no JetStream leader is elected yet"),
        ([READY[0], jsz("hub-2", "hub-2", ("hub-1",)), READY[2]], "hub-3 has not joined JetStream yet"),
        ([{"server": {"name": name}, "data": {}} for name in NAMES], "no JetStream leader is elected yet"),
    ],
)
def test_when_the_cluster_can_store(replies, why):
    assert not_ready(replies, NAMES) == why


def test_leader_is_whom_all_name():
    assert meta_leader(READY) == "hub-2"
    assert meta_leader([jsz("hub-1", "hub-1"), jsz("hub-2", "hub-2")]) is None
    assert meta_leader([]) is None


def test_leafs_of_all_nodes_by_name():
    seen = {"ip": "10.0.0.9", "port": 50000, "rtt": "1.2ms", "in_msgs": 7, "out_msgs": 3}
    replies = [
        {"server": {"name": "hub-1"}, "data": {"leafs": [{"name": "shed", **seen}]}},
        {"server": {"name": "hub-2"}, "data": {"leafs": [{"name": "barn", **seen}]}},
        {"server": {"name": "hub-3"}, "data": {"leafs": None}},
    ]
    barn, shed = leafs(replies)
    assert barn == Leaf("barn", "hub-2", "10.0.0.9:50000", "1.2ms", 7, 3)
    assert leaf_line(shed) == "shed  on hub-1 from 10.0.0.9:50000  rtt 1.2ms  7 messages in, 3 out"


def test_stream_line_shows_every_copy():
    stream = Stream(
        "TELEMETRY",
        ("telemetry.>",),
        3,
        1200,
        1536,
        "hub-2",
        (Replica("hub-1", True, 0), Replica("hub-3", False, 44)),
    )
    assert stream_line(stream) == (
        "TELEMETRY  R3  telemetry.>  1200 messages, 1.5 KB  (hub-2 leader, hub-1 current, hub-3 behind by 44)"
    )


@pytest.mark.parametrize(
    "count, shown",
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (5 << 20, "5.0 MB"), (3 << 30, "3.0 GB"), (2 << 40, "2.0 TB")],
)
def test_size_for_people(count, shown):
    assert size(count) == shown
