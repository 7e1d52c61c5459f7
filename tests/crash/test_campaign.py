"""A few kills and power cuts under load of every kind; ``python -m tests.crash`` goes on for as long as wanted."""

import random
from pathlib import Path

import pytest

from tests.crash.campaign import WORKLOADS, Campaign

ROUNDS = 2


@pytest.mark.parametrize("torn", [False, True], ids=["kills", "power cuts"])
def test_what_was_confirmed_holds(tmp_path: Path, torn: bool) -> None:
    with Campaign(tmp_path, random.randrange(1 << 32), list(WORKLOADS), torn) as campaign:
        rounds = 0
        while rounds < ROUNDS or sum(workload.done for workload in campaign.workloads) <= 100:  # a slow machine
            campaign.round(0.6)
            rounds += 1
        campaign.finish()
