"""The side that asks, against our own server side, without a socket."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from edge.protocol.websocket_client import UNMASKED, WebSocketAsker

LOG = logging.getLogger("test.websocket")
LOG.setLevel(logging.WARNING)


def asker(compressed: bool = False, masked: bool = True, path: str = "") -> WebSocketAsker:
    return WebSocketAsker("hub", 80, False, path, compressed=compressed, masked=masked, max_message=100_000, logger=LOG)


class Server:
    """The library's, which grants whatever it is asked for."""

    def __init__(self, client: WebSocketAsker, unmasked: bool = False, compressed: bool = True) -> None:
        from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

        deflate = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
        self.protocol = ServerProtocol(extensions=[deflate] if compressed else [], logger=LOG)
        self.protocol.receive_data(client.request())
        (self.request,) = self.protocol.events_received()
        assert isinstance(self.request, Request)
        response = self.protocol.accept(self.request)
        if unmasked:
            response.headers[UNMASKED] = "true"
        self.protocol.send_response(response)

    def out(self) -> bytes:
        return b"".join(self.protocol.data_to_send())


@pytest.mark.parametrize("compressed", [False, True])
def test_a_stream_both_ways(compressed: bool) -> None:
    client = asker(compressed)
    server = Server(client)
    assert server.request.path == "/leafnode"
    server.protocol.send_binary(b"INFO {}\r\n" * 100)
    assert list(client.receive(server.out())) == [b"", b"INFO {}\r\n" * 100]
    assert client.is_open and client.is_compressed is compressed
    sent = client.send(b"PING\r\n" * 100)
    assert (len(sent) < 100) is compressed
    server.protocol.receive_data(sent)
    (frame,) = server.protocol.events_received()
    assert isinstance(frame, Frame) and frame.data == b"PING\r\n" * 100


def test_a_hub_that_does_not_compress() -> None:
    client = asker(compressed=True)
    assert list(client.receive(Server(client, compressed=False).out())) == [b""]
    assert client.is_open and not client.is_compressed


@pytest.mark.parametrize("granted", [False, True])
def test_masks_are_left_out_where_the_hub_grants_it(granted: bool) -> None:
    client = asker(masked=False, path="/site/")
    server = Server(client, unmasked=granted)
    assert server.request.headers[UNMASKED] == "true" and server.request.path == "/site/leafnode"
    list(client.receive(server.out()))
    assert (b"naked" in client.send(b"naked")) is granted
    list(client.receive(Frame(Opcode.PING, b"here").serialize(mask=False)))
    assert (b"here" in client.outgoing()) is granted  # what answers a ping, too
    assert (b"Client Closed" in client.close("Client Closed")) is granted


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "WebSocket refused: 404 Not Found"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlogin", "WebSocket refused: 200 OK"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n", "no WebSocket: "),
        (b'INFO {"server_id":"x"} \r\n', "no WebSocket: "),
    ],
)
def test_no_websocket(answer: bytes, problem: str) -> None:
    client = asker()
    client.request()
    assert list(client.receive(answer)) == []
    assert client.ended and not client.is_open and client.problem.startswith(problem)
    assert client.send(b"x") == client.close("Client Closed") == b""


def test_the_end() -> None:
    client = asker()
    server = Server(client)
    server.protocol.send_close(1001, "Server Shutdown")
    list(client.receive(server.out()))
    assert client.ended and not client.problem


@given(st.binary(max_size=200), st.booleans())
def test_whatever_the_hub_says(data: bytes, granted: bool) -> None:
    client = asker(compressed=True, masked=False)
    head = Server(client).out() if granted else client.request() and b""
    list(client.receive(head + data))
    client.outgoing()
