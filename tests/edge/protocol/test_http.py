"""Requests out of bytes, answers into bytes; whatever comes, bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.protocol.http import MAX_BODY, MAX_HEAD, HttpStream, Refused, Request, Response

DATE = "Mon, 23 Nov 2026 10:00:00 GMT"
OK = Response(200, "text/plain", b"fine")
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def talk(data: bytes, step: int = 1 << 20) -> list[Request | str]:
    """Requests, each answered, up to what ends the connection: a refusal's text, or ``end``."""
    stream = HttpStream()
    seen: list[Request | str] = []
    for at in range(0, len(data), step):
        stream.receive(data[at : at + step])
        try:
            while not stream.is_over and (request := stream.next_request()) is not None:
                seen.append(request)
                stream.respond(OK, DATE)
        except Refused as exc:
            if stream.may_answer:
                stream.respond(exc.response, DATE, last=True)
                assert stream.is_over
            return [*seen, exc.response.body.decode()]
        if stream.is_over:
            return [*seen, "end"]
    return seen


def test_a_request_and_its_answer() -> None:
    stream = HttpStream()
    stream.receive(b"GET /connz?subs=1&x=%20 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert stream.next_request() == Request("GET", "/connz", "subs=1&x=%20")
    assert stream.respond(Response(404, "text/plain", b"no", (("X-A", "b"),)), DATE) == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nX-A: b\r\n"
        b"Date: Mon, 23 Nov 2026 10:00:00 GMT\r\nContent-Length: 2\r\n\r\nno"
    )
    assert not stream.is_over
    assert not stream.is_begun
    assert stream.next_request() is None


def test_head_has_the_length_and_no_body() -> None:
    stream = HttpStream()
    stream.receive(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
    assert stream.next_request() == Request("HEAD", "/")
    assert stream.respond(OK, DATE).endswith(b"Content-Length: 4\r\n\r\n")
    assert stream.is_begun  # the next one waits
    assert stream.next_request() == Request("GET", "/healthz")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a%20b", "/a b"),
        ("/%C3%A4", "/ä"),
        ("/%ff", "/\N{REPLACEMENT CHARACTER}"),
        ("http://elsewhere/varz", "/varz"),
        ("http://elsewhere", "/"),
        ("HTTPS://elsewhere?x", "/"),
        ("//varz", "//varz"),
    ],
)
def test_targets(target: str, path: str) -> None:
    (request,) = talk(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert isinstance(request, Request) and request.path == path


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"garbage\r\n\r\n", "400 Bad Request"),
        (b"\x16\x03\x01\x00\xa5\x01\r\n\r\n", "400 Bad Request"),
        (b"GET /healthz\r\n\r\n", "400 Bad Request"),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        (b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        (b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
        (b"GET / HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nNoColon\r\n\r\n", "400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n", "400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", "400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: foo\r\n\r\n", "501 Not Implemented"),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505 HTTP Version Not Supported: unsupported protocol version"),
        (b"GET /" + b"x" * 2 * MAX_HEAD + b" HTTP/1.1\r\nHost: x\r\n\r\n", "431 Request Header Fields Too Large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * MAX_HEAD, "431 Request Header Fields Too Large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000, "431 Request Header Fields Too Large"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (MAX_BODY + 1),
            "413 Request Entity Too Large",
        ),
    ],
)
def test_what_is_refused(data: bytes, status: str) -> None:
    assert talk(data, 4096) == [status]


def test_bodies_are_passed_over() -> None:
    posts = (
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    assert talk(posts + GET) == [Request("POST", "/a"), Request("POST", "/b"), Request("GET", "/healthz")]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    ],
)
def test_the_last_request_of_a_connection(data: bytes) -> None:
    assert talk(data + GET)[1:] == ["end"]


@given(st.integers(1, 40), st.sampled_from([GET * 3, b"HEAD /a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n" * 2]))
def test_split_anywhere(step: int, data: bytes) -> None:
    assert talk(data, step) == talk(data)


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.builds(bytes.__add__, st.just(b"GET / HTTP/1.1\r\n"), st.binary(max_size=200)),
        st.builds(bytes.__add__, st.just(b"POST / HTTP/1.1\r\nHost: x\r\n"), st.binary(max_size=200)),
        st.lists(
            st.sampled_from(
                [GET, b"\r\n", b"GET ", b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"Host: x\r\n", b"Expect: 100-continue\r\n",
                 b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nabc", b"\x00",
                 b"OPTIONS * HTTP/1.1\r\n", b"POST / HTTP/1.0\r\n", b"Content-Length: 2\r\n\r\n"]
            ),
            max_size=8,
        ).map(b"".join),
    ),
    st.integers(1, 64),
)  # fmt: skip
def test_whatever_comes_is_answered_or_refused(data: bytes, step: int) -> None:
    talk(data, step)
