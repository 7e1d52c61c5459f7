import json

import pytest

from edge.uplink.answers import (
    BatchAck,
    BatchError,
    BatchGap,
    PubAck,
    Refused,
    StoredMessage,
    delivery_sequences,
    parse_batch_answer,
    parse_pending,
    parse_puback,
    parse_stored,
    parse_stream_info,
)


def test_puback() -> None:
    assert parse_puback(b"", b'{"stream":"T","domain":"hub","seq":7}') == PubAck("T", 7)
    assert parse_puback(b"", b'{"stream":"T","seq":7,"duplicate":true}') == PubAck("T", 7)


@pytest.mark.parametrize(
    "payload, answer",
    [
        (b'{"type":"ack","seq":0,"msgs":10}', BatchAck(0)),
        (b'{"type":"ack","seq":17,"msgs":10}', BatchAck(17)),
        (b'{"type":"gap","last_seq":3,"seq":5}', BatchGap()),
        (
            b'{"type":"err","seq":3,"error":{"code":400,"err_code":10054,"description":"too large"}}',
            BatchError(3, Refused("too large", 10054, permanent=True)),
        ),
        (b'{"stream":"T","seq":9,"batch":"x1","count":6}', PubAck("T", 9, 6)),
        (b'{"stream":"T","seq":0,"batch":"x1","count":0}', PubAck("T", 0, 0)),
        (b'{"stream":"T","seq":9,"duplicate": true,"batch":"x1","count":1}', PubAck("T", 9, 1)),
        (
            b'{"error":{"code":400,"err_code":10208,"description":"batch publish ID unknown"},"stream":"T","seq":0}',
            Refused("batch publish ID unknown", 10208, permanent=False),
        ),
    ],
)
def test_answers_to_a_batch(payload: bytes, answer: object) -> None:
    assert parse_batch_answer(b"", payload) == answer


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"type":"ack"}', b'{"type":"err","seq":1}', b'{"type":"ack","seq":"1"}', b'{"stream":"T","seq":1,"batch":"x"}'])
def test_what_is_no_answer_to_a_batch(payload: bytes) -> None:
    answer = parse_batch_answer(b"", payload)
    assert isinstance(answer, Refused) and not answer.permanent


@pytest.mark.parametrize(
    "code, err_code, permanent",
    [
        (400, 10054, True),
        (400, 10071, True),
        (400, 10002, False),  # no room in the account
        (400, 10109, False),  # a sealed stream
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
    for parse in (parse_puback, parse_stored, parse_stream_info, parse_pending):
        answer = parse(b"", body)
        assert isinstance(answer, Refused) and not answer.permanent


def test_a_stored_message_without_headers_is_nobodys() -> None:
    assert parse_stored(b"", b'{"message":{"seq":3,"data":"eA=="}}') == StoredMessage(3, "")


def test_the_sequences_of_a_delivery() -> None:
    assert delivery_sequences("$JS.ACK.S.C.1.17.3.1795395663327371774.0") == (17, 3)
    assert delivery_sequences("$JS.ACK.hub.szMpdrwD.S.C.1.17.3.1795395663327371774.0.abc") == (17, 3)
    for reply in ("", "$JS.ACK", "$JS.ACK.S.C.1.x.3.1.0", "a.b.c.d.e.5.g.h.i", "$JS.FC.S.C.1.17.3.1.0"):
        assert delivery_sequences(reply) == (0, 0)
