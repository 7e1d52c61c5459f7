"""A small fleet, with the real edges' code and a real hub."""

import asyncio
from pathlib import Path

from hub.nats_server import find_nats_server
from hub.simulation import FleetPlan, simulate


def test_every_reading_arrives_once_though_the_hub_is_killed(tmp_path: Path) -> None:
    plan = FleetPlan(edges=6, interval_s=0.1, before_s=0.5, away_s=0.5)
    said: list[str] = []
    report = asyncio.run(simulate(plan, tmp_path, find_nats_server(None), said.append))
    assert report.account.balances(), report.account.faults()
    assert report.account.produced >= plan.edges * 5
    assert "6 edges in 2 processes are connected" in said[1]
