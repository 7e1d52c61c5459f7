"""Whatever peers send over a connection, piece by piece."""

import logging

from edge.core.auth import ConfiguredUsers, User
from edge.core.mqtt_broker import MqttLimits
from edge.core.permissions import Permissions, SubjectRule
from edge.errors import ProtocolError
from edge.protocol.http import HttpStream, Refused, Response
from edge.protocol.proxy import ProxyReader
from edge.protocol.s2 import MAX_BLOCK, S2Reader
from edge.protocol.websocket import Terms, WebSocketStream
from edge.protocol.websocket_client import WebSocketAsker
from firmware_bridge.link import MS, BridgeLink, Ended, Opened, Reading
from firmware_bridge.messages import read_reading, result_json
from firmware_bridge.payload import PayloadError, read_identity
from tests.edge.core.conftest import Bench
from tests.edge.core.test_leaf_link import INFO, Hub
from tests.edge.core.test_leaf_runs import leaf as inbound_leaf
from tests.edge.core.test_mqtt_client import Bench as MqttBench
from tests.fuzz.target import Take

LOG = logging.getLogger("fuzz")
LOG.setLevel(logging.CRITICAL)
DATE = "Mon, 23 Nov 2026 10:00:00 GMT"
MAX_MESSAGE = 10_000
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: e:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
RIGHTS = Permissions(SubjectRule(("a.>",), ("a.no",)), SubjectRule(None, ("a.no",)))


def nats(auth: ConfiguredUsers | None = None) -> Take:
    """A client, and a bystander who is served all the while."""
    bench = Bench()
    bystander, client = bench.client(), bench.client(b"", auth, max_payload=1000, max_subscriptions=100)
    bench.feed(bystander, b"SUB still.here 1\r\n")

    def take(piece: bytes) -> bool:
        try:
            bench.feed(client, piece)
        except ProtocolError:
            client.close()
        bench.take(bystander)
        served = bench.feed(bystander, b"PUB still.here 2\r\nok\r\n")
        assert served.endswith(b"MSG still.here 1 2\r\nok\r\n"), served
        return not client.closed

    return take


def nats_with_users() -> Take:
    return nats(ConfiguredUsers((User("u", "p", permissions=RIGHTS), User("n", nkey="UA")), no_auth_user="u"))


def leaf() -> Take:
    """A hub that means no good, after the handshake; what is here is announced to it."""
    hub = Hub()
    bench = Bench()
    bench.router = hub.router
    client = bench.client()
    bench.feed(client, b"SUB a.* 1\r\nSUB q.> g 2\r\n")
    hub.open()
    hub.send(b"INFO " + INFO_JSON + b" \r\n")

    def take(piece: bytes) -> bool:
        hub.send(piece)
        hub.take()
        bench.take(client)
        return not hub.wire.closed

    return take


INFO_JSON = str(INFO).replace("'", '"').replace("True", "true").encode()


def leaf_hub() -> Take:
    """A leaf that means no good, from the beginning; another one and a client are here."""
    bench = Bench()
    client = bench.client()
    bench.feed(client, b"SUB a.* 1\r\nSUB q.> g 2\r\nSUB still.here 3\r\n")
    link, _ = inbound_leaf(bench.router, b"bad", admitted=False)
    other, out = inbound_leaf(bench.router, b"good")
    other.receive(b"LS+ still.here\r\n", 2)

    def take(piece: bytes) -> bool:
        link.receive(piece, 3)
        bench.router.flush()
        bench.take(client)
        out.data = b""
        other.receive(b"LMSG still.here 2\r\nok\r\n", 3)
        bench.feed(client, b"PUB still.here 2\r\nok\r\n")
        assert out.data.endswith(b"LMSG still.here 2\r\nok\r\n"), out.data
        return not link.closing

    return take


def mqtt() -> Take:
    bench = MqttBench(limits=MqttLimits(max_payload=MAX_MESSAGE))
    bench.capture("t")
    client = bench.open()

    def take(piece: bytes) -> bool:
        bench.say_bytes(client, piece)
        bench.settle()
        return client.shell.closed is None

    return take


def websocket() -> Take:
    """The request for an upgrade."""
    terms = Terms(compression=True, mqtt=True, same_origin=True, jwt_cookie="j", user_cookie="u")
    stream = WebSocketStream(terms, MAX_MESSAGE, LOG)

    def take(piece: bytes) -> bool:
        granted = stream.receive_request(piece)
        stream.outgoing()
        return not (granted or stream.ended)

    return take


def websocket_frames() -> Take:
    """Frames after it."""
    stream = WebSocketStream(Terms(compression=True), MAX_MESSAGE, LOG)
    assert stream.receive_request(UPGRADE)
    stream.outgoing()

    def take(piece: bytes) -> bool:
        for message in stream.receive(piece):
            assert len(message) <= max(MAX_MESSAGE, len(piece)) * 4096
        stream.outgoing()
        return not stream.ended

    return take


def s2() -> Take:
    """The stream of a compressed leaf link."""
    reader = S2Reader()
    reader.decode(b"\xff\x06\x00\x00S2sTwO")

    def take(piece: bytes) -> bool:
        try:
            assert len(reader.decode(piece)) <= MAX_BLOCK * (1 + len(piece) // 8)
        except ProtocolError:
            return False
        return True

    return take


def websocket_asker() -> Take:
    """What a hub answers to a request for a WebSocket."""
    asker = WebSocketAsker("h", 80, False, "", compressed=True, masked=False, max_message=MAX_MESSAGE, logger=LOG)
    asker.request()

    def take(piece: bytes) -> bool:
        for _ in asker.receive(piece):
            pass
        asker.outgoing()
        return not asker.ended

    return take


def proxy() -> Take:
    reader = ProxyReader()
    left = bytearray()

    def take(piece: bytes) -> bool:
        left.extend(piece)
        try:
            while left and not reader.done:
                size = reader.take(bytes(left[:4096]))
                assert size or reader.done
                del left[:size]
        except ProtocolError:
            return False
        return not reader.done

    return take


def http() -> Take:
    stream = HttpStream()

    def take(piece: bytes) -> bool:
        stream.receive(piece)
        try:
            while not stream.is_over and stream.next_request() is not None:
                stream.respond(Response(200, "text/plain", b"fine"), DATE)
        except Refused as exc:
            if stream.may_answer:
                stream.respond(exc.response, DATE, last=True)
            return False
        return not stream.is_over

    return take


def serial() -> Take:
    """A device, or noise, on a serial line."""
    link = BridgeLink(lambda hello: 0, lambda: 1)
    now = MS
    link.tick(now)

    def take(piece: bytes) -> bool:
        nonlocal now
        now += 100 * MS
        for event in link.receive(piece, now):
            match event:
                case Opened(_, payload):
                    try:
                        read_identity(payload)
                    except PayloadError:
                        pass
                    link.send_command(b"\xa1\x01\x62go", now)
                case Reading(boot, seq, payload):
                    read_reading(payload)
                    link.store(boot, seq)
                case Ended(payload):
                    result_json("go", payload)
        link.tick(now)
        link.data_to_send()
        return True

    return take
