"""The upgrade and the frames, without a socket."""

import logging
import struct
import zlib
from http import HTTPStatus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request

from edge.protocol.websocket import (
    MAX_CLOSE_REASON,
    MAX_HEAD,
    Refused,
    Terms,
    Upgrade,
    WebSocketStream,
    grant,
    origin_problem,
    parse_cookies,
)

LOG = logging.getLogger("test.websocket")
LOG.setLevel(logging.WARNING)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {
    "Host": "edge.example:8080",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}
DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
MESSAGE = 10_000  # the longest


def request(path: str = "/", more: dict[str, str] | None = None) -> bytes:
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (HEADERS | (more or {})).items())]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(opcode: int, payload: bytes, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = masked << 7
    size = len(payload)
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", size)
    if not masked:
        return head + payload
    mask = b"\x01\x02\x03\x04"
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def deflate(data: bytes) -> bytes:
    shrink = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (shrink.compress(data) + shrink.flush(zlib.Z_SYNC_FLUSH))[:-4]


PLAIN = Terms()


def open_stream(terms: Terms = PLAIN, more: dict[str, str] | None = None) -> WebSocketStream:
    stream = WebSocketStream(terms, MESSAGE, LOG)
    assert stream.receive_request(request(more=more))
    assert stream.outgoing().startswith(b"HTTP/1.1 101 ")
    return stream


# ---- the upgrade


def test_a_request_that_comes_byte_for_byte() -> None:
    stream = WebSocketStream(Terms(headers=(("X-Here", "yes"),)), MESSAGE, LOG)
    whole = request()
    assert [stream.receive_request(whole[i : i + 1]) for i in range(len(whole))] == [False] * (len(whole) - 1) + [True]
    assert stream.upgrade == Upgrade()
    answer = stream.outgoing().decode()
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert "X-Here: yes\r\n" in answer
    assert "Sec-WebSocket-Extensions" not in answer


def test_compression_is_granted_without_context() -> None:
    stream = WebSocketStream(Terms(compression=True), MESSAGE, LOG)
    assert stream.receive_request(request(more=DEFLATE))
    granted = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
    assert granted in stream.outgoing()


@pytest.mark.parametrize(
    ("begin", "answer"),
    [
        (request() + frame(2, b"PING\r\n"), b"HTTP/1.1 400 "),
        (request(more={"Cookie": "x" * MAX_HEAD}), b"HTTP/1.1 431 "),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * MAX_HEAD, b"HTTP/1.1 431 "),
        (b"x" * (MAX_HEAD + 1), b"HTTP/1.1 414 "),
        (b"\x16\x03\x01\x00\xf8\r\n\r\n", b""),
        (b"GET / HTTP/2\r\n\r\n", b""),
        (request("/mqtt"), b"HTTP/1.1 404 "),
    ],
)
def test_what_is_no_request_ends(begin: bytes, answer: bytes) -> None:
    stream = WebSocketStream(Terms(), MESSAGE, LOG)
    assert not stream.receive_request(begin)
    assert stream.ended
    assert stream.problem
    assert stream.outgoing().startswith(answer)


REFUSALS = [
    ({"Upgrade": "h2c"}, HTTPStatus.BAD_REQUEST),
    ({"Connection": "close"}, HTTPStatus.BAD_REQUEST),
    ({"Sec-WebSocket-Key": "abc"}, HTTPStatus.BAD_REQUEST),
    ({"Sec-WebSocket-Key": ""}, HTTPStatus.BAD_REQUEST),
    ({"Sec-WebSocket-Version": "8"}, HTTPStatus.BAD_REQUEST),
    ({"Host": ""}, HTTPStatus.BAD_REQUEST),
    ({"Origin": "https://elsewhere.example"}, HTTPStatus.FORBIDDEN),
]


@pytest.mark.parametrize(("more", "status"), REFUSALS)
def test_refusals(more: dict[str, str], status: HTTPStatus) -> None:
    with pytest.raises(Refused) as caught:
        grant(Request("/", Headers(HEADERS | more)), Terms(same_origin=True))
    assert caught.value.status is status


@pytest.mark.parametrize(
    ("origin", "host", "terms", "fine"),
    [
        ("", "a.example", Terms(same_origin=True), True),
        ("https://evil.example", "a.example", Terms(), True),
        ("https://a.example", "a.example", Terms(same_origin=True, encrypted=True), True),
        ("https://A.EXAMPLE", "a.example:443", Terms(same_origin=True, encrypted=True), True),
        ("http://a.example", "a.example:80", Terms(same_origin=True), True),
        ("http://a.example", "a.example", Terms(same_origin=True, encrypted=True), False),
        ("https://a.example:444", "a.example", Terms(same_origin=True, encrypted=True), False),
        ("null", "a.example", Terms(same_origin=True), False),
        ("http://[::1", "a.example", Terms(same_origin=True), False),
        ("http://a.example:x", "a.example", Terms(same_origin=True), False),
        ("http://b.example", "a.example", Terms(allowed_origins=("http://b.example:80",)), True),
        ("http://b.example:81", "a.example", Terms(allowed_origins=("http://b.example",)), False),
        ("http://a.example", "a.example", Terms(same_origin=True, allowed_origins=("http://b.example",)), False),
    ],
)
def test_origins(origin: str, host: str, terms: Terms, fine: bool) -> None:
    assert (origin_problem(origin, host, terms) == "") is fine


def test_cookies_and_forwarded_for() -> None:
    terms = Terms(jwt_cookie="j", user_cookie="u", pass_cookie="p", token_cookie="t")
    more = {"Cookie": 'u=anna; p="a b"; j=x.y.z=; other', "X-Forwarded-For": "10.1.2.3"}
    assert grant(Request("/nats", Headers(HEADERS | more)), terms) == Upgrade(False, "10.1.2.3", "x.y.z=", "anna", "a b")
    for odd in ("10.1.2.3, 10.0.0.1", "unknown", ""):
        assert grant(Request("/", Headers(HEADERS | {"X-Forwarded-For": odd})), Terms()).forwarded_for == ""
    assert parse_cookies(["a=1; a=2", 'b="']) == {"a": "1", "b": '"'}


def test_mqtt_names_its_protocol() -> None:
    for offered, answered in (({"Sec-WebSocket-Protocol": "x, mqtt"}, True), ({}, False)):
        stream = WebSocketStream(Terms(mqtt=True), MESSAGE, LOG)
        assert stream.receive_request(request("/some/mqtt?x=1", offered))
        assert stream.upgrade == Upgrade(mqtt=True)
        assert (b"Sec-WebSocket-Protocol: mqtt\r\n" in stream.outgoing()) is answered


# ---- frames


def test_operations_span_frames_and_frames_hold_operations() -> None:
    stream = open_stream()
    wire = frame(2, b"PUB a ", fin=False) + frame(9, b"hi") + frame(0, b"2\r\nxx\r\n") + frame(1, b"PING\r\nPI") + frame(2, b"NG\r\n")
    got = b"".join(b"".join(stream.receive(wire[i : i + 3])) for i in range(0, len(wire), 3))
    assert got == b"PUB a 2\r\nxx\r\nPING\r\nPING\r\n"
    assert stream.outgoing() == b"\x8a\x02hi"
    assert not stream.ended


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(2, b"x", masked=False), 1002),
        (frame(2, b"x", rsv=2), 1002),
        (frame(2, b"x", rsv=4), 1002),
        (frame(0, b"x"), 1002),
        (frame(5, b"x"), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(9, b"x", fin=False), 1002),
        (frame(8, b"x"), 1002),
        (frame(8, struct.pack("!H", 1005)), 1002),
        (frame(8, struct.pack("!H", 1000) + b"\xff"), 1007),
        (frame(2, b"x", fin=False) + frame(2, b"x"), 1002),
        (frame(2, bytes(MESSAGE + 1)), 1009),
        (frame(2, bytes(MESSAGE), fin=False) + frame(0, b"x"), 1009),
        (b"\x82\xff" + struct.pack("!Q", 1 << 62) + b"mask", 1009),
    ],
)
def test_violations(wire: bytes, code: int) -> None:
    stream = open_stream()
    list(stream.receive(wire))
    assert stream.ended
    assert stream.problem
    said = stream.outgoing()
    assert said[0] == 0x88 and struct.unpack("!H", said[2:4]) == (code,)


def test_goodbyes() -> None:
    for payload in (struct.pack("!H", 1000) + b"bye", b""):
        stream = open_stream()
        list(stream.receive(frame(8, payload) + b"and more"))
        assert stream.ended
        assert not stream.problem
        assert stream.outgoing() == bytes([0x88, len(payload)]) + payload
        assert stream.send(b"too late") == stream.close("Client Closed") == b""


def test_close_codes() -> None:
    for reason, code in (("Server Shutdown", 1001), ("Maximum Message Payload Exceeded", 1009), ("what is that", 1011)):
        said = open_stream().close(reason)
        assert said[2:] == struct.pack("!H", code) + reason.encode()
    assert len(open_stream().close("x" * 1000)) == 4 + MAX_CLOSE_REASON


def test_compressed_messages() -> None:
    stream = open_stream(Terms(compression=True), DEFLATE)
    data = b"PUB a 5000\r\n" + b"x" * 5000 + b"\r\n"
    packed = deflate(data)
    wire = frame(2, packed[:10], fin=False, rsv=4) + frame(0, packed[10:]) + frame(2, b"PING\r\n") + frame(2, packed, rsv=4)
    assert b"".join(stream.receive(wire)) == data + b"PING\r\n" + data
    sent = stream.send(data)
    assert (sent[0], sent[1]) == (0xC2, len(sent) - 2)
    assert zlib.decompressobj(-15).decompress(sent[2:] + b"\x00\x00\xff\xff") == data
    assert stream.send(b"PONG\r\n") == b"\x82\x06PONG\r\n"


def test_a_decompression_bomb_is_stopped() -> None:
    bomb = deflate(bytes(10_000_000))
    assert len(bomb) < MESSAGE
    stream = open_stream(Terms(compression=True), DEFLATE)
    assert sum(map(len, stream.receive(frame(2, bomb, rsv=4)))) <= MESSAGE
    assert stream.ended
    assert stream.outgoing()[2:4] == struct.pack("!H", 1009)


def test_many_small_bombs_come_one_at_a_time() -> None:
    stream = open_stream(Terms(compression=True), DEFLATE)
    small = frame(2, deflate(bytes(MESSAGE)), rsv=4)
    pieces = [len(piece) for piece in stream.receive(small * 500)]
    assert sum(pieces) == 500 * MESSAGE
    assert max(pieces) <= (4096 // len(small) + 1) * MESSAGE


def test_who_is_known_may_send_more() -> None:
    stream = open_stream()
    stream.max_message = 2 * MESSAGE
    assert b"".join(stream.receive(frame(2, bytes(2 * MESSAGE)))) == bytes(2 * MESSAGE)


frames = st.builds(
    frame,
    st.integers(0, 15),
    st.binary(max_size=200) | st.binary(max_size=60).map(deflate),
    st.booleans(),
    st.integers(0, 7),
    st.booleans() | st.just(True),
)


@settings(max_examples=200)
@given(
    st.lists(frames | st.binary(max_size=30), max_size=8).map(b"".join),
    st.lists(st.integers(1, 50), min_size=1, max_size=10),
    st.booleans(),
)
def test_whatever_comes_is_taken_or_ends_it(wire: bytes, sizes: list[int], compression: bool) -> None:
    stream = open_stream(Terms(compression=compression), DEFLATE)
    received = 0
    while wire and not stream.ended:
        size = sizes[len(wire) % len(sizes)]
        received += sum(map(len, stream.receive(wire[:size])))
        wire = wire[size:]
    stream.outgoing()
    assert received <= 300 * MESSAGE


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"\r\n", b"GET / HTTP/1.1\r\n", request()[:-2]]), max_size=8))
def test_whatever_comes_first_is_a_request_or_ends_it(pieces: list[bytes]) -> None:
    stream = WebSocketStream(Terms(compression=True, mqtt=True), MESSAGE, LOG)
    for piece in pieces:
        if stream.receive_request(piece) or stream.ended:
            break
    stream.outgoing()
    assert stream.upgrade is None or not stream.ended
