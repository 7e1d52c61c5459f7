import os
import socket
from pathlib import Path

import pytest

from bench.load import BenchError
from bench.servers import Contender, Cores, Server, on_core
from bench.workloads import EDGE_JS, NATS_JS

CORE = Cores.of_this_machine().server


@pytest.mark.parametrize("contender", [EDGE_JS, NATS_JS], ids=lambda contender: contender.name)
def test_a_contender_on_its_core(contender: Contender, tmp_path: Path) -> None:
    with Server(contender, tmp_path / "one", CORE) as server:
        threads = Path(f"/proc/{server.process.pid}/task").iterdir()
        assert {frozenset(os.sched_getaffinity(int(thread.name))) for thread in threads} == {frozenset({CORE})}
        assert server.started_ms > 0 and server.rss_mb() > 1 and server.written_bytes() >= 0
        assert (tmp_path / "one" / "store").exists()
    assert server.process.returncode == 0
    assert not (tmp_path / "one").exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


def test_a_core_is_given_back() -> None:
    before = os.sched_getaffinity(0)
    with on_core(CORE):
        assert os.sched_getaffinity(0) == {CORE}
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("is_edge", [True, False])
def test_a_server_that_cannot_start_says_why(is_edge: bool, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"the one never said (.|\n)*/proc/nowhere"):
        Server(Contender("the one", is_edge, "jetstream { store_dir: /proc/nowhere }"), tmp_path / "one", CORE)
    assert not (tmp_path / "one").exists()


def test_a_server_that_ends_by_itself_is_not_measured(tmp_path: Path) -> None:
    with (
        pytest.raises(BenchError, match="nats-server ended by itself"),
        Server(NATS_JS, tmp_path / "one", CORE) as server,
    ):
        server.process.terminate()
        server.process.wait()
