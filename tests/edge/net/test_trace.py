"""Trace lines: nats-server's."""

import logging

import pytest

from edge.net.log import TRACE
from edge.net.trace import Tracer


@pytest.fixture
def shown(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(TRACE, logger="edge")
    return caplog


@pytest.mark.parametrize(
    ("tracer", "line", "body", "header_size", "expected"),
    [
        (Tracer(), b"PUB a 5", b"hello", 0, ["c - <<- [PUB a 5]", 'c - <<- MSG_PAYLOAD: ["hello"]']),
        (Tracer(), b"PUB a 0", b"", 0, ["c - <<- [PUB a 0]"]),
        (Tracer(), b"PUB a 3", b"a\tb", 0, ["c - <<- [PUB a 3]", 'c - <<- MSG_PAYLOAD: ["a\\tb"]']),
        (Tracer(3), b"PUB a 5", b"hello", 0, ["c - <<- [PUB a 5]", 'c - <<- MSG_PAYLOAD: ["hel..."]']),
        (Tracer(5), b"PUB a 5", b"hello", 0, ["c - <<- [PUB a 5]", 'c - <<- MSG_PAYLOAD: ["hello"]']),
        (Tracer(0, True), b"PUB a 5", b"hello", 0, ["c - <<- [PUB a 5]"]),
        (
            Tracer(0, True),
            b"HPUB a 18 20",
            b"NATS/1.0\r\nA: B\r\n\r\nhi",
            18,
            ["c - <<- [HPUB a 18 20]", 'c - <<- MSG_PAYLOAD: ["NATS/1.0\\r\\nA: B\\r\\n"]'],
        ),
    ],
)
def test_messages(
    tracer: Tracer, line: bytes, body: bytes, header_size: int, expected: list[str], shown: pytest.LogCaptureFixture
) -> None:
    tracer.show("c", "<<-", line, body, header_size)
    assert shown.messages == expected
    assert all(record.levelno == TRACE for record in shown.records)
    assert logging.getLevelName(TRACE)


@pytest.mark.parametrize(
    "secret",
    ['"pass":"s3cret"', '"auth_token":"s3cret"', '"sig":"s3cret"', '"nkey":"s3cret"', '"jwt":"s3cret"', '"pass" : "s3cret"'],
)
def test_secrets_are_not_shown(secret: str, shown: pytest.LogCaptureFixture) -> None:
    Tracer().show("c", "<<-", f'CONNECT {{"verbose":false,{secret},"user":"me"}}'.encode())
    assert "s3cret" not in shown.text
    assert '"user":"me"' in shown.text and "[REDACTED]" in shown.text and '"verbose":false' in shown.text
