import socket

import pytest

from bench.load import BenchError
from bench.relay import Relay, Traffic, traffic_of


def test_what_tcp_has_carried_is_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hub, Relay() as relay:
        relay.target = hub.getsockname()[1]
        with socket.create_connection(("127.0.0.1", relay.port)) as edge:
            far, _ = hub.accept()
            with far:
                edge.sendall(b".")
                assert far.recv(1) == b"."
                before = relay.traffic()
                edge.sendall(b"x" * 1000)
                assert far.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
                far.sendall(b"y" * 10)
                assert edge.recv(10, socket.MSG_WAITALL) == b"y" * 10
                spent = relay.traffic() - before
                assert (spent.up, spent.down) == (1000, 10)
                assert spent.segments_up >= 1 and spent.segments_down >= 1
                relay.shut()
        assert relay.traffic().up >= 1001


def test_a_system_that_does_not_count() -> None:
    with pytest.raises(BenchError, match="TCP_INFO"):
        traffic_of(b"\0" * 104)


def test_traffic_adds_up() -> None:
    assert Traffic(5, 4, 3, 2) - Traffic(1, 1, 1, 1) + Traffic(1, 1, 1, 1) == Traffic(5, 4, 3, 2)
