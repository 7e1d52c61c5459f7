from collections.abc import Callable
from typing import NamedTuple

import pytest

from edge.uplink.budget import SECOND, Budget
from edge.uplink.calendar import make_calendar

NOON = 1_795_435_200 * SECOND  # 2026-11-23 12:00 UTC
HOUR = 3600 * SECOND
KB = 1024


class Options(NamedTuple):
    rate: int = 0
    daily: int = 0
    reserve_for: str = ""
    reserve_percent: int = 20


class Disk:
    def __init__(self) -> None:
        self.value: bytes | None = None
        self.wall = NOON
        self.waiting: list[Callable[[bool], None]] = []
        self.is_slow = self.fails = False

    def keep(self, value: bytes, done: Callable[[bool], None]) -> None:
        if not self.fails:
            self.value = value
        if self.is_slow:
            self.waiting.append(done)
        else:
            done(not self.fails)

    def budget(self, *options: object) -> Budget:
        return Budget(Options(*options), make_calendar("UTC"), lambda: self.wall, self.value, self.keep)  # type: ignore[arg-type]


@pytest.fixture
def disk() -> Disk:
    return Disk()


def spend(budget: Budget, is_urgent: bool = False, size: int = 1000, now: int = 0) -> int:
    """All that it lets go in one go."""
    spent = 0
    while budget.room(is_urgent, now) > 0:
        budget.spend(size, is_urgent)
        spent += size
    return spent


def test_so_many_bytes_a_second(disk: Disk) -> None:
    budget = disk.budget(64 * KB)
    spent = 0
    for tenth in range(1, 601):
        spent += spend(budget, size=500, now=tenth * SECOND // 10)
    assert 59 * 64 * KB < spent < 62 * 64 * KB
    assert budget.reason(False) == ""


def test_an_alarm_does_not_wait_for_the_bytes_of_a_second_but_others_do_then(disk: Disk) -> None:
    budget = disk.budget(10_000, 0, "urgent")
    spend(budget, now=SECOND)
    assert budget.room(False, SECOND) <= 0 < budget.room(True, SECOND)
    spend(budget, is_urgent=True, now=SECOND)
    assert budget.room(True, SECOND) <= 0
    assert budget.room(False, 4 * SECOND) <= 0 < budget.room(True, 4 * SECOND)
    assert budget.room(False, 7 * SECOND) > 0


def test_a_day_has_an_end_and_an_urgent_lane_a_reserve(disk: Disk) -> None:
    budget = disk.budget(0, 1_000_000, "urgent", 10)
    assert spend(budget) == 900_000
    assert budget.reason(False) == (
        "budget: the 1000000 bytes of this day are spent, but for 100000 that are kept for urgent lanes"
    )
    assert budget.reason(True) == ""
    assert spend(budget, is_urgent=True) == 100_000
    assert budget.reason(True) == "budget: the 1000000 bytes of this day are spent"
    disk.wall += 11 * HOUR
    assert spend(budget, is_urgent=True) == 0
    disk.wall += 2 * HOUR
    assert spend(budget) == 900_000
    assert budget.report()["day"] == "2026-11-24"


def test_a_day_goes_on_after_a_power_cut(disk: Disk) -> None:
    spent = spend(budget := disk.budget(0, 1_000_000), size=999)
    del budget
    assert 1_000_000 <= spent < 1_001_000
    assert spend(disk.budget(0, 1_000_000)) == 0
    disk.wall += 24 * HOUR
    total = 0
    for _ in range(10):  # each in the middle
        budget = disk.budget(0, 1_000_000)
        for _ in range(40):
            if budget.room(False, 0) > 0:
                budget.spend(1000, False)
                total += 1000
    assert 400_000 - 10 * 20_000 < total <= 400_000


def test_nothing_is_spent_that_the_disk_does_not_know_of(disk: Disk) -> None:
    disk.is_slow = True
    budget = disk.budget(0, 1_000_000)
    assert spend(budget) == 0
    disk.waiting.pop()(True)
    assert budget.tick(0)  # somebody may try again
    assert 0 < spend(budget) < 40_000
    disk.waiting.pop()(False)
    disk.is_slow, disk.fails = False, True
    assert spend(budget) == 0


def test_a_clock_that_was_not_set(disk: Disk) -> None:
    disk.wall = 5 * SECOND
    budget = disk.budget(0, 100_000)
    assert spend(budget) == 100_000
    disk.wall = NOON  # the first day that is known: what was spent is of it
    assert spend(budget) == 0
    disk.wall = 9 * SECOND  # a power cut, and no clock again
    budget = disk.budget(0, 100_000)
    assert spend(budget) == 0
    disk.wall = NOON + 24 * HOUR
    assert spend(budget) == 100_000


def test_a_clock_that_goes_back_brings_no_bytes_and_one_that_was_wrong_stops_nothing(disk: Disk) -> None:
    budget = disk.budget(0, 100_000)
    spend(budget)
    disk.wall -= 13 * HOUR
    assert spend(budget) == 0
    disk.wall = NOON + 400 * 24 * HOUR  # somebody set it to another year
    assert spend(budget) == 100_000
    disk.wall = NOON + 24 * HOUR
    assert spend(budget) == 100_000


def test_what_cannot_be_read_is_counted_anew(disk: Disk) -> None:
    disk.value = b"{"
    assert spend(disk.budget(0, 100_000)) == 100_000
