"""What nats-server accepts and refuses is held against it in ``tests/e2e``; here is where this server differs."""

import json

import pytest

from edge.errors import ApiError
from edge.jetstream.consumer_config import consumer_config
from edge.jetstream.consumer_rules import UNBOUNDED, with_defaults
from edge.jetstream.fields import MAX_INT64, parse_object
from edge.jetstream.stream_config import KINDS, stream_config
from edge.jetstream.stream_rules import with_rules


def test_a_duration_beyond_64_bits_is_for_ever() -> None:
    """nats-py multiplies seconds by 10^9; a program that gave it nanoseconds meant a long time."""
    body = json.dumps({"name": "S", "max_age": 7 * 86_400 * 10**9 * 10**9}).encode()
    assert stream_config(parse_object(body, KINDS)).max_age_ns == MAX_INT64


def test_a_configuration_is_read_as_it_was_written() -> None:
    first = with_rules(stream_config({
        "name": "S", "subjects": ["a", "b.>"], "max_msgs": 5, "discard": "new", "metadata": {"k": "v"},
        "subject_transform": {"src": "a", "dest": "c"}, "republish": {"dest": "r.>"}, "placement": {"cluster": "here"},
        "consumer_limits": {"max_ack_pending": 3}, "sources": [],
    }))  # fmt: skip
    assert stream_config(first.fields()) == first
    assert with_rules(first) == first
    given = {"backoff": [1, 2], "ack_policy": "explicit", "filter_subjects": ["a", "b"], "durable_name": "C"}
    consumer = with_defaults(consumer_config(given, "C", "C"), first, UNBOUNDED, False)
    assert consumer_config(consumer.fields(), "C", "C") == consumer
    assert with_defaults(consumer, first, UNBOUNDED, False) == consumer


@pytest.mark.parametrize("body", [b"[]", b"7", b'"x"', b"{", b"\xff", b'{"name": 5}', b'{"subjects": [1]}', b'{"max_age": "1s"}',
    b'{"metadata": {"a": 1}}', b'{"max_msgs": 1e3}', b'{"max_msgs": 18446744073709551616}', b'{"a":' * 50_000])  # fmt: skip
def test_bodies_that_make_no_sense(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        stream_config({"name": "S", **parse_object(body, KINDS)})
    assert (refused.value.code, refused.value.err_code) == (400, 10025)
