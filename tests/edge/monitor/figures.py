"""Figures that nobody measured, with names as bad as names can be."""

from typing import Any

from edge.core.account import Traffic
from edge.core.times import SECOND
from edge.monitor.device import Wear
from edge.monitor.figures import (
    AccountFigures,
    ClientFigures,
    ConsumerFigures,
    Figures,
    LinkFigures,
    MqttFigures,
    StoreFigures,
    StreamFigures,
)
from edge.monitor.process import Process

NOW = 1_800_000_000 * SECOND
NASTY = "<script>alert(1)</script>\"'&\n\\\u2028\x00\ud800"
UPLINK: dict[str, Any] = {
    "backlog_messages": 12_345, "backlog_bytes": 5 << 20, "oldest_age_s": 3700.5, "state": "blocked",
    "reason": "maximum messages exceeded", "hub_seq": 7, "acked_seq": 9, "in_flight": 3, "dead": 1, "lost": 0,
    "last_puback": None,
}  # fmt: skip


def bare() -> Figures:
    """A server with nothing configured."""
    return Figures(
        name="barn", id="NABC", now_ns=NOW, started_ns=NOW - 90 * SECOND, connections={"nats": 0, "websocket": 0},
        total_connections=0, slow_consumers=0, process=Process(23 << 20, 1.25, 9, None),
        accounts=[AccountFigures("$G", 0, 0, 3, Traffic(), Traffic(), 0)], links=[], inbound=[], uplinks={}, mqtt=None, store=None,
        streams=[], consumers=[],
    )  # fmt: skip


def full(name: str = "TELEMETRY") -> Figures:
    """One of each, under this name."""
    return bare()._replace(
        name=name,
        connections={"nats": 2, "websocket": 1},
        total_connections=1 << 60,
        accounts=[AccountFigures(name, 3, 1, 40, Traffic(1, 2, 3, (1 << 60) + 1), Traffic(5, 6, 7, 8), 4)],
        links=[
            LinkFigures("$G", "hub.example:7422", "hub1", "up", True, 12_345_678, 3, 10, 0, Traffic(), ""),
            LinkFigures(name, f"{name}:7422", "", "down", False, 0, 0, 0, 2, Traffic(), name),
        ],
        inbound=[LinkFigures("$G", "192.0.2.1:5000", name, "up", True, 0, 1, 0, 0, Traffic(), "")],
        uplinks={name: UPLINK | {"reason": name}, "calm": UPLINK | {"state": "live", "dead": 0, "oldest_age_s": None}},
        mqtt=MqttFigures(3, 9, 4, 2),
        process=Process(23 << 20, 1.25, 9, 1 << 30),
        store=StoreFigures(
            f"/var/{name}", {"database": 4096, "log": 0, "reserve": 1}, 17, False, "", 0, 1 << 30, 8 << 30,
            Wear("mmcblk0", name, 3, 1, 5 << 30),
        ),
        streams=[
            StreamFigures("$G", name, "file", 1000, 1 << 20, 1, 1000, NOW - 5 * SECOND, 2),
            StreamFigures(name, "EMPTY", "memory", 0, 0, 0, 0, 0, 0),
        ],
        commands={"open": {"received": 2, "sent": 1}, "ended": {"done": 7, "interrupted": 1}},
        consumers=[ConsumerFigures("$G", name, name, 10, 8, 2, 1, 3)],
    )  # fmt: skip


def client(name: str) -> ClientFigures:
    return ClientFigures("MQTT", name, "$G", "127.0.0.1", 1_234_567, 0, 2 * SECOND)
