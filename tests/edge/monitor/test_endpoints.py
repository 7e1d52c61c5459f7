"""Documents behind paths: their options, their errors, and their text as Go writes it."""

import json
from typing import Any

import pytest

from edge.monitor.endpoints import ENDPOINTS, LINKS, MAX_INDENTED, Endpoints
from edge.monitor.requests import DocumentError
from edge.protocol.http import Request, Response


class Documents(dict[str, Any]):
    """Each repeats its options."""

    def __init__(self) -> None:
        super().__init__({endpoint.document: self.make for endpoint in ENDPOINTS.values()})

    def make(self, options: dict[str, Any]) -> dict[str, Any]:
        if options.get("account") == "nope":
            raise DocumentError("Account nope does not exist")
        return options


def ask(path: str, query: str = "", documents: Any = None, asked: Any = None) -> Response:
    endpoints = Endpoints(documents or Documents(), {} if asked is None else asked)
    assert endpoints.find(path)
    return endpoints.answer(path, Request("GET", path, query))


def test_a_document() -> None:
    answer = ask("/connz", "limit=5&sort=%3Cb%3E%26")
    assert answer.status == 200 and answer.content_type == "application/json"
    assert ("Access-Control-Allow-Origin", "*") in answer.headers
    assert answer.body == b'{\n  "limit": 5,\n  "sort": "\\u003cb\\u003e\\u0026"\n}'
    assert json.loads(answer.body) == {"limit": 5, "sort": "<b>&"}


def test_errors_are_plain_text() -> None:
    assert ask("/accountz", "acc=nope") == Response(400, "text/plain; charset=utf-8", b"Account nope does not exist")
    wrong = ask("/healthz", "js-enabled=x")
    assert wrong.status == 400
    assert wrong.body == b"Error decoding boolean for 'js-enabled': strconv.ParseBool: parsing \"x\": invalid syntax"


@pytest.mark.parametrize(
    ("fields", "status", "body"),
    [
        ({"status": "ok", "status_code": 200}, 200, b'{"status":"ok"}'),
        ({"status": "ok"}, 200, b'{"status":"ok"}'),
        ({"status": "unavailable", "status_code": 503, "error": 'not "ready"'}, 503, b'{"status":"unavailable","error":"not \\"ready\\""}'),
        ({"status": "error", "status_code": 404, "errors": [{"type": "ACCOUNT"}]}, 404, b'{"status":"error","errors":[{"type":"ACCOUNT"}]}'),
    ],
)  # fmt: skip
def test_health(fields: dict[str, Any], status: int, body: bytes) -> None:
    answer = ask("/healthz", documents={"healthz": lambda options: fields})
    assert (answer.status, answer.body) == (status, body)


def test_what_is_long_is_not_indented() -> None:
    long = {"connections": ["x" * 100] * (MAX_INDENTED // 100)}
    assert b"\n" not in ask("/connz", documents={"connz": lambda options: long}).body


def test_names_that_are_no_unicode() -> None:
    assert json.loads(ask("/connz", documents={"connz": lambda options: {"name": "\ud800"}}).body) == {"name": "?"}


def test_requests_are_counted() -> None:
    asked: dict[str, int] = {}
    for path in ("/varz", "/varz", "/raftz"):
        ask(path, asked=asked)
    assert asked == {"/varz": 2, "/raftz": 1}


def test_what_is_not_a_document() -> None:
    assert ask("/raftz") == Response(404, "text/plain; charset=utf-8", b"No Raft nodes registered")
    assert b"test_what_is_not_a_document" in ask("/stacksz").body
    assert not Endpoints(Documents(), {}).find("/nope")


def test_the_links_lead_somewhere() -> None:
    assert all(Endpoints(Documents(), {}).find(path) for path in LINKS)
