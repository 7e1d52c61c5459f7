"""Clocks of machines with and without one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.tools.doctor.clock import check_clock

Told = Callable[[Any], list[str]]


def test_kept_over_the_network(model: Any, told: Told) -> None:
    model.kept = True
    assert told(check_clock(model, "")) == [
        "OK clock: it is 2027-01-15 08:00 UTC, kept in time over the network; no hardware clock, so only until the power goes"
    ]
    model.put("/sys/class/rtc/rtc0/name", "rtc")
    assert told(check_clock(model, "")) == ["OK clock: it is 2027-01-15 08:00 UTC, kept in time over the network"]


def test_timesyncd_tells_where_the_kernel_does_not(model: Any, told: Told) -> None:
    model.put("/run/systemd/timesync/synchronized", "")
    assert told(check_clock(model, ""))[0].startswith("OK")


@pytest.mark.parametrize(("files", "text"), [((), "starts at 1970"), (("/etc/fake-hwclock.data",), "fake-hwclock"), (("/sys/class/rtc/rtc0/name",), "by the hardware clock; nothing sets it right")])
def test_nobody_keeps_it(model: Any, told: Told, files: tuple[str, ...], text: str) -> None:
    model.kept = False
    for file in files:
        model.put(file, "")
    (found,) = told(check_clock(model, ""))
    assert found.startswith("WARN clock: ") and text in found and "timedatectl set-ntp true" in found


@pytest.mark.parametrize("wall", [0.0, 1_700_000_000.0, 5e9])
def test_a_clock_that_has_not_been_set(model: Any, told: Told, wall: float) -> None:
    model.wall_s, model.kept = wall, True
    (found,) = told(check_clock(model, ""))
    assert found.startswith("FAIL clock: ") and "has not been set" in found


def test_a_clock_that_went_back(model: Any, told: Told, tmp_path: Path) -> None:
    model.kept = True
    (tmp_path / "db").write_text("")
    os.utime(tmp_path / "db", (model.wall_s + 86400, model.wall_s + 86400))
    assert told(check_clock(model, str(tmp_path / "db")))[0].startswith("WARN clock: it is 2027-01-15 08:00 UTC, 1d before")
