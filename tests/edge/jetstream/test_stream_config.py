"""What nats-server accepts and refuses is held against it in ``tests/e2e``; here is where this server differs."""

import json
from typing import Any

import pytest

from edge.errors import ApiError
from edge.jetstream.consumer_config import consumer_config
from edge.jetstream.fields import MAX_INT64, parse_object
from edge.jetstream.stream_config import KINDS, NOT_YET, stream_config

EXAMPLES: dict[str, Any] = {
    "mirror": {"name": "O"}, "sources": [{"name": "O"}], "subject_transform": {"src": "a", "dest": "b"},
    "republish": {"dest": "r.>"}, "sealed": True, "subject_delete_marker_ttl": 10**9,
}  # fmt: skip


def test_a_duration_beyond_64_bits_is_for_ever() -> None:
    """nats-py multiplies seconds by 10^9; a program that gave it nanoseconds meant a long time."""
    body = json.dumps({"name": "S", "max_age": 7 * 86_400 * 10**9 * 10**9}).encode()
    assert stream_config(parse_object(body, KINDS)).max_age_ns == MAX_INT64


@pytest.mark.parametrize("feature", NOT_YET)
def test_what_is_not_here_is_refused_and_not_ignored(feature: str) -> None:
    request = {"name": "S", "discard": "new", "max_msgs_per_subject": 1, feature: EXAMPLES.get(feature, True)}
    with pytest.raises(ApiError) as refused:
        stream_config(request)
    assert refused.value.err_code == 10052 and ("not supported by this server" in str(refused.value) or feature == "sealed")


@pytest.mark.parametrize(
    "request_",
    [{"mirror": {"name": "M"}}, {"allow_atomic": True}],
)
def test_values_that_are_not_here(request_: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match="not supported by this server"):
        stream_config({"name": "S", **request_})


@pytest.mark.parametrize(
    "request_",
    [{"sourcing": True}],
)  # fmt: skip
def test_consumers_that_are_not_here(request_: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match="not supported by this server"):
        consumer_config(request_, "C", durable=True)


def test_a_configuration_is_read_as_it_was_written() -> None:
    first = stream_config({"name": "S", "subjects": ["a", "b.>"], "max_msgs": 5, "discard": "new", "metadata": {"k": "v"}})
    assert stream_config(first.fields()) == first
    consumer = consumer_config({"backoff": [1, 2], "ack_policy": "explicit", "filter_subjects": ["a", "b"]}, "C", True)
    assert consumer_config(consumer.fields(), "C", True) == consumer


@pytest.mark.parametrize("body", [b"[]", b"7", b'"x"', b"{", b"\xff", b'{"name": 5}', b'{"subjects": [1]}', b'{"max_age": "1s"}',
    b'{"metadata": {"a": 1}}', b'{"max_msgs": 1e3}', b'{"max_msgs": 18446744073709551616}', b'{"a":' * 50_000])  # fmt: skip
def test_bodies_that_make_no_sense(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        stream_config({"name": "S", **parse_object(body, KINDS)})
    assert (refused.value.code, refused.value.err_code) == (400, 10025)
