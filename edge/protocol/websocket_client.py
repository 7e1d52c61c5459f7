"""WebSocket, the side that asks: a request for the leaf port of a hub, and the frames that carry a stream of bytes.

Framing and compression are the ``websockets`` library's.  No sockets, no clock.  Imported only where a remote says so.
"""

from collections.abc import Iterator

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import LoggerLike
from websockets.uri import WebSocketURI

from edge.protocol.websocket import CODES, COMPRESS_ABOVE, DATA, INTERNAL, MAX_CLOSE_REASON, STEP

LEAF_PATH = "leafnode"
UNMASKED = "Nats-No-Masking"  # between servers masks protect nobody


class Client(ClientProtocol):
    """The library's, that can do without masks."""

    is_masked = True

    def send_frame(self, frame: Frame) -> None:
        self.writes.append(frame.serialize(mask=self.is_masked, extensions=self.extensions))


class WebSocketAsker:
    """``request()`` first; ``is_open`` once it has been granted.

    ``ended``: nothing more will be taken or said; ``problem`` is why, empty when the other side said goodbye.
    """

    def __init__(
        self, host: str, port: int, secure: bool, path: str, *, compressed: bool, masked: bool, max_message: int,
        logger: LoggerLike,
    ) -> None:  # fmt: skip
        deflate = ClientPerMessageDeflateFactory(
            server_no_context_takeover=True, client_no_context_takeover=True, client_max_window_bits=None,
            compress_settings={"level": 1},
        )  # fmt: skip
        uri = WebSocketURI(secure, host, port, f"{path.rstrip('/')}/{LEAF_PATH}", "")
        self.protocol = Client(uri, extensions=[deflate] if compressed else None, max_size=max_message, logger=logger)
        self.masked = masked
        self.is_open = False
        self.problem = ""

    @property
    def is_compressed(self) -> bool:
        return bool(self.protocol.extensions)

    @property
    def ended(self) -> bool:
        protocol = self.protocol
        return protocol.handshake_exc is not None or protocol.close_expected() or protocol.state is State.CLOSED

    def request(self) -> bytes:
        request = self.protocol.connect()
        if not self.masked:
            request.headers[UNMASKED] = "true"
        self.protocol.send_request(request)
        return self.outgoing()

    def outgoing(self) -> bytes:
        return b"".join(self.protocol.data_to_send())

    def receive(self, data: bytes) -> Iterator[bytes]:
        """What the frames carry, bit by bit, and an empty one when the request is granted; look at ``ended`` when it is
        over."""
        step = STEP if self.is_compressed or not self.is_open else max(len(data), 1)
        for begin in range(0, len(data), step):
            self.protocol.receive_data(data[begin : begin + step])
            payloads: list[bytes] = []
            for event in self.protocol.events_received():
                if isinstance(event, Response) and self.protocol.handshake_exc is None:
                    self._granted(event)
                    yield b""
                elif isinstance(event, Frame) and event.opcode in DATA:
                    payloads.append(bytes(event.data))
            if payloads:
                yield b"".join(payloads)
            if self.ended:
                self.problem = self._problem()
                return

    def _problem(self) -> str:
        refused = self.protocol.handshake_exc
        if isinstance(refused, InvalidStatus):
            return f"WebSocket refused: {refused.response.status_code} {refused.response.reason_phrase}"
        return f"no WebSocket: {refused}" if refused is not None else str(self.protocol.parser_exc or "")

    def _granted(self, response: Response) -> None:
        self.is_open = True
        if not self.masked and response.headers.get(UNMASKED, "").lower() == "true":
            self.protocol.is_masked = False

    def send(self, data: bytes) -> bytes:
        """One message, in one frame; nothing when the stream has ended."""
        if self.protocol.state is not State.OPEN:
            return b""
        extensions: list[Extension] = self.protocol.extensions if len(data) > COMPRESS_ABOVE else []
        return Frame(Opcode.BINARY, data).serialize(mask=self.protocol.is_masked, extensions=extensions)

    def close(self, reason: str) -> bytes:
        """The last frame, with the code that belongs to nats-server's ``reason``."""
        if self.protocol.state is not State.OPEN:
            return b""
        self.protocol.send_close(CODES.get(reason, INTERNAL), reason[:MAX_CLOSE_REASON])
        return self.outgoing()
