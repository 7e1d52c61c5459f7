from typing import Any

from edge.core.times import SECOND
from edge.monitor.statsz import statsz
from edge.monitor.varz import Processor, varz
from edge.net.info import ServerInfo


def test_the_processor_is_read_over_a_second_or_more() -> None:
    processor = Processor(10 * SECOND)
    assert processor.read(10 * SECOND + 5, SECOND) == 0.0
    assert processor.read(12 * SECOND, SECOND // 2) == 25.0
    assert processor.read(12 * SECOND + 1, 2 * SECOND) == 25.0  # too soon to know better
    assert processor.read(14 * SECOND, SECOND // 2 + 4 * SECOND) == 200.0  # two threads
    assert processor.read(20 * SECOND, SECOND // 2 + 4 * SECOND) == 0.0


def test_what_statistics_are_made_of(bench: Any) -> None:
    bench.listener.info = ServerInfo("NID", "leaf one", "127.0.0.1", 4222, 1 << 20, False, False, "")
    client = bench.client("A")
    bench.say(client, "SUB x 1\r\nPUB x 3\r\nabc\r\n")
    bench.close(bench.client("A"), "Slow Consumer (Pending Bytes)")
    bench.time = 90 * SECOND
    fields = varz(bench.state, Processor(0), {"/varz": 2})
    assert (fields["uptime"], fields["in_msgs"], fields["out_client_bytes"]) == ("1m30s", 1, 3)
    assert (fields["slow_consumers"], fields["slow_consumer_stats"]["clients"]) == (1, 1)
    assert (fields["http_req_stats"], fields["jetstream"], fields["port"]) == ({"/varz": 2}, {}, 4222)
    assert "auth_required" not in fields and "tls_required" not in fields
    assert fields["mem"] > 1 << 20
    short = statsz(fields, 1)
    assert (short["slow_consumer_stats"]["clients"], short["sent"]) == (1, {"msgs": 1, "bytes": 3})
    assert "stale_connection_stats" not in short
