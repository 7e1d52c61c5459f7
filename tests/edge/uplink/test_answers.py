import json

import pytest

from edge.uplink.answers import PubAck, Refused, StoredMessage, parse_puback, parse_stored, parse_stream_info


def test_puback() -> None:
    assert parse_puback(b"", b'{"stream":"T","domain":"hub","seq":7}') == PubAck("T", 7, False)
    assert parse_puback(b"", b'{"stream":"T","seq":7,"duplicate":true}') == PubAck("T", 7, True)


@pytest.mark.parametrize(
    "code, err_code, permanent",
    [
        (400, 10054, True),
        (400, 10053, True),
        (500, 10054, True),
        (503, 10077, False),
        (503, 10023, False),
        (404, 10059, False),
    ],
)
def test_refusals(code: int, err_code: int, permanent: bool) -> None:
    body = {"error": {"code": code, "err_code": err_code, "description": "why"}, "stream": "T", "seq": 0}
    assert parse_puback(b"", json.dumps(body).encode()) == Refused("why", err_code, permanent)


def test_no_responders() -> None:
    answer = parse_puback(b"NATS/1.0 503\r\n\r\n", b"")
    assert answer == Refused("no responders", 0, permanent=False)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b"{}", b'{"stream":1,"seq":2}', b'{"message":{}}', b"\xff", b"[" * 9999]
)
def test_what_is_no_answer_is_not_taken_for_one(body: bytes) -> None:
    for parse in (parse_puback, parse_stored, parse_stream_info):
        answer = parse(b"", body)
        assert isinstance(answer, Refused) and not answer.permanent


def test_a_stored_message_without_headers_is_nobodys() -> None:
    assert parse_stored(b"", b'{"message":{"seq":3,"data":"eA=="}}') == StoredMessage(3, "")
