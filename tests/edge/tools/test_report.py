"""Tables of a real nats-server that has one of everything."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import nats
import pytest

from edge.tools.monitoring import Monitoring
from edge.tools.report import SUBJECTS, report, report_json

Start = Callable[..., Any]


async def make_stream(server: Any) -> None:
    client = await nats.connect(server.url)
    context = client.jetstream()
    await context.add_stream(name="ORDERS", subjects=["orders.>", "returns"])
    for _ in range(3):
        await context.publish("orders.1", b"x" * 500)
    await client.close()


def rows(monitoring: Monitoring, what: str) -> list[dict[str, str]]:
    """The lines of a table by their titles; no cell of these has a space in it."""
    lines = list(report(monitoring, what))[3:]
    titles = lines[0].replace("LAST MESSAGE", "LAST_MESSAGE").replace(", ", ",").split()
    return [dict(zip(titles, line.replace(", ", ",").split(), strict=False)) for line in lines[1:]]


def test_everything(start_monitored: Start, start_nats: Start, login: Start, monitoring_url: Start, tool: Start, tmp_path: Any) -> None:
    hub, url = start_monitored(f'jetstream {{ store_dir: "{tmp_path}/js" }}\nleafnodes {{ listen: 127.0.0.1:-1 }}')
    leaf = start_nats(f'server_name: leaf1\nlisten: 127.0.0.1:-1\nhttp: 127.0.0.1:-1\nleafnodes {{ remotes [ {{ url: "nats://127.0.0.1:{hub.ports["leafnode"]}" }} ] }}', "leaf1")
    leaf.wait_for_log("Leafnode connection created")
    asyncio.run(make_stream(hub))
    wire = login(hub, "one\x1b[1m")
    wire.send(b"SUB a 1\r\nPUB a 1024\r\n" + b"x" * 1024 + b"\r\nPING\r\n")
    wire.expect(rb"MSG a 1 1024\r\nx+\r\nPONG\r\n")

    monitoring = Monitoring(url)
    connection = next(row for row in rows(monitoring, "connections") if row["NAME"] == "one\ufffd[1m")  # nats-py's may be there yet
    assert connection["KIND"] == "nats" and connection["ACCOUNT"] == "$G"
    assert (connection["SUBS"], connection["MSGS_TO"], connection["BYTES_FROM"]) == ("1", "1", "1.0K")
    assert [account["ACCOUNT"] for account in rows(monitoring, "accounts")] == ["$G", "$SYS"]
    (stream,) = rows(monitoring, "streams")
    assert stream["STREAM"] == "ORDERS" and stream["SUBJECTS"] == "orders.>,returns" and stream["MESSAGES"] == "3"
    assert (stream["FIRST"], stream["LAST"], stream["CONSUMERS"]) == ("1", "3", "0")
    (seen,) = rows(monitoring, "leafs")
    assert seen["NAME"] == "leaf1" and seen["WAY"] == "in" and seen["HOST"].startswith("127.0.0.1:")
    (to_hub,) = rows(Monitoring(monitoring_url(leaf)), "leafs")
    assert to_hub["WAY"] == "out"

    done = tool("report", "--url", url)
    assert done.returncode == 0 and done.stdout.startswith("oracle  nats-server 2.15.1  up ")
    assert "Streams: 1\n" in done.stdout and "Uplinks: not on this server" in done.stdout
    found = json.loads(tool("report", "--json", "--url", url).stdout)
    assert set(found) == set(SUBJECTS) and found["connections"][-1]["name"] == "one\x1b[1m" and found["uplinks"] == []
    assert json.loads(report_json(monitoring, "streams"))["streams"][0]["account"] == "$G"


def test_nothing_to_report(start_monitored: Start) -> None:
    monitoring = Monitoring(start_monitored()[1])
    lines = list(report(monitoring, "all"))
    assert "Connections: none" in lines and "Streams: none" in lines and "Leafs: none" in lines


def test_uplinks(monkeypatch: pytest.MonkeyPatch) -> None:
    uplink = {
        "backlog_messages": 1234, "backlog_bytes": 5 << 20, "oldest_age_s": 3700.5, "state": "waits", "reason": "no stream here",
        "hub_seq": 17, "acked_seq": 9, "in_flight": 0, "dead": 0, "lost": 2, "last_puback": None,
    }  # fmt: skip
    documents = {"varz": {"server_name": "barn"}, "uplinkz": {"edge": "barn", "uplinks": {"TELEMETRY": uplink, "ALARMS": uplink | {"oldest_age_s": None}}}}
    monitoring = Monitoring("http://127.0.0.1:1")
    monkeypatch.setattr(monitoring, "_load", lambda document, query: documents[document])
    lines = [line.split() for line in report(monitoring, "uplinks")]
    assert lines[2] == ["Uplinks:", "2"]
    assert lines[4][:5] == ["ALARMS", "waits", "1.2K", "5.0M", "-"]
    assert lines[5] == ["TELEMETRY", "waits", "1.2K", "5.0M", "1h1m", "0", "17", "-", "0", "2", "no", "stream", "here"]


def test_entries_that_leave_everything_out(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = {
        "varz": {}, "connz": {"connections": [{}]}, "accstatz": {"account_statz": [{}]}, "leafz": {"leafs": [{}]},
        "jsz": {"account_details": [{"stream_detail": [{}]}]}, "uplinkz": {"uplinks": {"A": {}}},
    }  # fmt: skip
    monitoring = Monitoring("http://127.0.0.1:1")
    monkeypatch.setattr(monitoring, "_load", lambda document, query: empty[document])
    assert sum(line.endswith(": 1") for line in report(monitoring, "all")) == len(SUBJECTS)
