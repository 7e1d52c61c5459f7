import pytest

from edge.core.times import SECOND
from edge.jetstream.consumer_config import ConsumerConfig
from edge.jetstream.pull import BadRequest, PullRequest, over_cap, parse_pull, status


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {"batch": 1}),
        (b" ", {"batch": 1}),
        (b"25", {"batch": 25}),
        (b"zz", {"batch": 1}),
        (b"99999999999999999999", {"batch": 1}),
        (b"{}", {}),
        (b'{"batch": 3, "no_wait": true, "unknown": 1}', {"batch": 3, "no_wait": True}),
        (b'{"expires": 99999999999999999999999}', {"expires": (1 << 63) - 1}),
    ],
)
def test_bodies(body: bytes, fields: dict[str, object]) -> None:
    assert dict(parse_pull(body)) == fields


@pytest.mark.parametrize("body", [b"{", b'{"batch": "x"}', b'{"batch": 1.5}', b'{"no_wait": 1}', b'{"a":' * 100_000, b"{\xff}"])
def test_bodies_that_are_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_pull(body)


@pytest.mark.parametrize("fields", [{"idle_heartbeat": 5}, {"idle_heartbeat": 6, "expires": 10}])
def test_heartbeats_that_never_come(fields: dict[str, int]) -> None:
    with pytest.raises(BadRequest, match="heartbeat value too large"):
        PullRequest("r", fields, now=0)


def test_the_next_thing_a_request_waits_for() -> None:
    assert PullRequest("r", {}, now=7).deadline() == 0
    assert PullRequest("r", {"expires": 10}, now=7).deadline() == 17
    assert PullRequest("r", {"expires": 10 * SECOND, "idle_heartbeat": 4 * SECOND}, now=7).deadline() == 7 + 4 * SECOND


@pytest.mark.parametrize(("asked", "given"), [(1, 10_000_000), (10_000_001, 10_000_001), (-5, 0), (0, 0)])
def test_the_shortest_heartbeat(asked: int, given: int) -> None:
    """One of a nanosecond would leave the server time for nothing else."""
    assert PullRequest("r", {"expires": SECOND, "idle_heartbeat": asked}, now=0).heartbeat_ns == given


def test_caps() -> None:
    config = ConsumerConfig("C", max_batch=5, max_expires_ns=90 * SECOND, max_bytes=1000)
    assert over_cap(config, {"batch": 5, "expires": 90 * SECOND, "max_bytes": 1000}) == ""
    assert over_cap(config, {"batch": 6, "expires": 1}) == "Exceeded MaxRequestBatch of 5"
    assert over_cap(config, {}) == ""
    assert over_cap(config, {"expires": 91 * SECOND}) == "Exceeded MaxRequestExpires of 1m30s"
    assert over_cap(config, {"expires": 1, "max_bytes": 1001}) == "Exceeded MaxRequestMaxBytes of 1000"


def test_a_status_says_what_was_still_to_come() -> None:
    request = PullRequest("r", {"batch": 3, "max_bytes": 100}, now=0)
    assert status(408, "Request Timeout", request) == (
        b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\nNats-Pending-Bytes: 100\r\n\r\n"
    )
