"""The clocks and the patience of a client's connection, on a transport that takes what the test says."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from edge.core.auth import ConfiguredUsers
from edge.core.router import Router
from edge.net.connection import PATIENCE, Connection
from edge.net.info import ServerInfo
from edge.net.listener import ClientLimits, ClientListener

SECOND = 1_000_000_000
INFO = ServerInfo("id", "name", "127.0.0.1", 4222, 1 << 20, False, False, "")
CONNECT = b'CONNECT {"verbose":false,"pedantic":false}\r\n'


class Transport:
    """``pending``: bytes that the peer has not taken."""

    def __init__(self) -> None:
        self.pending = 0
        self.written = b""
        self.is_closing = self.aborted = False
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.pending

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...
    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else None

    def close(self) -> None:
        self.is_closing = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading


class Desk:
    def __init__(self, **limits: Any) -> None:
        self.listener = ClientListener(Router(), ConfiguredUsers(), ClientLimits(**limits), INFO)

    def connect(self, subject: str = "") -> tuple[Connection, Transport]:
        connection, transport = self.listener.make(), Transport()
        connection.connection_made(transport)  # type: ignore[arg-type]
        connection.receive(CONNECT + (f"SUB {subject} 1\r\n".encode() if subject else b""))
        return connection, transport


@pytest.fixture
def run() -> Callable[..., None]:
    """``run(test, **limits)`` in a loop."""

    def run(test: Callable[[Desk], None], **limits: Any) -> None:
        async def main() -> None:
            test(Desk(**limits))

        asyncio.run(main())

    return run


def test_one_byte_that_is_not_taken_in_time(run: Callable[..., None]) -> None:
    def transcript(desk: Desk) -> None:
        connection, transport = desk.connect()
        begin = desk.listener.now()
        transport.pending = 1
        for second in range(12):
            connection.check(begin + second * SECOND)
            assert transport.aborted is (second == 11), second
        assert connection.reason == "Slow Consumer (Write Deadline)" and desk.listener.slow_consumers == 1

    run(transcript, ping_interval_ns=1000 * SECOND)


def test_whoever_takes_what_waited_has_new_time_for_the_rest(run: Callable[..., None]) -> None:
    def transcript(desk: Desk) -> None:
        connection, transport = desk.connect()
        begin = desk.listener.now()
        transport.pending = 3_000_000
        connection.pause_writing()
        for second in range(0, 30, 3):  # a megabyte comes and one is taken
            transport.pending += 1_000_000
            connection.write(bytes(1_000_000))
            transport.pending -= 1_000_000
            connection.check(begin + second * SECOND)
            assert not transport.aborted
        for second in range(30, 45):
            transport.pending += 1_000_000
            connection.write(bytes(1_000_000))
            connection.check(begin + second * SECOND)
        assert transport.aborted

    run(transcript, ping_interval_ns=1000 * SECOND)


def test_a_peer_that_does_not_take_its_last_words(run: Callable[..., None]) -> None:
    def transcript(desk: Desk) -> None:
        connection, transport = desk.connect()
        begin = desk.listener.now()
        transport.pending = 100
        connection.receive(b"FOO\r\n")
        assert transport.written.endswith(b"-ERR 'Unknown Protocol Operation'\r\n") and transport.is_closing
        connection.check(begin)
        connection.check(begin + 9 * SECOND)
        assert not transport.aborted
        connection.check(begin + 11 * SECOND)
        assert transport.aborted and connection.reason == "Protocol Violation" and desk.listener.slow_consumers == 0

    run(transcript)


def test_a_receiver_that_does_not_come_nearer_is_waited_for_so_often_and_no_more(run: Callable[..., None]) -> None:
    def transcript(desk: Desk) -> None:
        (_, slow), (publisher, transport) = desk.connect("a"), desk.connect()
        receiver = desk.listener.connections[1]
        slow.pending = 900
        receiver.pause_writing()
        for i in range(PATIENCE + 5):
            publisher.receive(b"PUB a 1\r\nx\r\n")
            assert transport.reading is (i >= PATIENCE), i
            transport.reading = True
        slow.pending = 100
        publisher.receive(b"PUB a 1\r\nx\r\n")
        assert transport.reading and receiver.patience == PATIENCE
        slow.pending = 1001
        publisher.receive(b"PUB a 1\r\nx\r\n")
        assert slow.aborted and receiver.reason == "Slow Consumer (Pending Bytes)"
        assert desk.listener.stalls == PATIENCE

    run(transcript, max_pending=1000)


def test_where_nobody_is_to_wait_messages_pass_by_who_is_far_behind(run: Callable[..., None]) -> None:
    def transcript(desk: Desk) -> None:
        (receiver, slow), (publisher, transport) = desk.connect("a"), desk.connect()
        slow.pending = 900
        receiver.pause_writing()
        slow.written = b""
        publisher.receive(b"PUB a 5\r\nfirst\r\n")
        publisher.receive(b"PUB a 6\r\nsecond\r\n" * 3)
        receiver.receive(b"PING\r\nPUB a 4\r\nmine\r\n")
        slow.pending = 0
        publisher.receive(b"PUB a 4\r\nlast\r\n")
        assert slow.written == b"MSG a 1 5\r\nfirst\r\nPONG\r\nMSG a 1 4\r\nlast\r\n"
        assert transport.reading and not slow.aborted

    run(transcript, max_pending=1000, no_fast_producer_stall=True)


def test_the_active_are_asked_once(run: Callable[..., None]) -> None:
    def transcript(desk: Desk) -> None:
        (active, heard), (idle, told) = desk.connect(), desk.connect()
        begin = desk.listener.now()
        for second in range(3, 600):
            now = begin + second * SECOND
            active.receive(b"PUB a 1\r\nx\r\n")
            active.check(now)
            idle.check(now)
        assert heard.written.count(b"PING") == 1 and not heard.is_closing
        assert told.written.count(b"PING") == 2 and told.written.endswith(b"-ERR 'Stale Connection'\r\n")
        assert desk.listener.stale_connections == 1

    run(transcript)
