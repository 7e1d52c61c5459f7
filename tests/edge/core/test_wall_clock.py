"""A machine without a clock of its own, through power cuts and whoever sets it."""

import json

import pytest

from edge.core.times import SECOND
from edge.core.wall_clock import CLOCK, CORRECTED, UNSET, WallClock

HOUR = 3600 * SECOND
TRUE = 1_800_000_000 * SECOND  # when the first boot begins


class Pi:
    """``true`` is the time; ``real`` what it says."""

    def __init__(self) -> None:
        self.true = TRUE
        self.kept: bytes | None = None
        self.awaited = self.sure = False
        self.boots = 0
        self.turn_on(TRUE)

    def turn_on(self, says: int) -> None:
        self.boots += 1
        self.boot = f"boot {self.boots}"
        self.begin, self.offset = self.true, says

    def real(self) -> int:
        return self.offset + self.since_boot()

    def since_boot(self) -> int:
        return self.true - self.begin

    def awaits_time(self) -> bool:
        return self.awaited

    def is_sure(self) -> bool:
        return self.sure

    def set(self) -> None:
        self.offset = self.begin

    def save(self, value: bytes) -> None:
        self.kept = value

    def start(self, latest: int = 0) -> WallClock:
        clock = WallClock(self, self.save)
        clock.start(self.kept, latest)
        return clock


@pytest.fixture
def pi():
    return Pi()


def test_set_from_the_start(pi):
    clock = pi.start()
    pi.true += HOUR
    assert (clock.is_set, clock.wall(), clock.deadline()) == (True, TRUE + HOUR, None)
    assert clock.moment(TRUE + HOUR) == (TRUE + HOUR, CLOCK, "", 0)


def test_times_of_before_are_believed_if_they_can_be(pi):
    clock = pi.start()
    assert clock.moment(TRUE - HOUR).quality == CLOCK
    assert clock.moment(5).quality == UNSET


def test_1970_then_set(pi):
    pi.turn_on(0)
    clock = pi.start()
    pi.true += 5 * SECOND
    stamp = clock.wall()
    assert clock.moment(stamp) == (stamp, UNSET, "boot 2", 5 * SECOND)
    assert clock.deadline() is not None
    pi.set()
    pi.true += SECOND
    later = clock.wall()
    assert clock.moment(stamp) == (TRUE + 5 * SECOND, CORRECTED, "", 0)
    assert (clock.moment(later), clock.is_set) == ((TRUE + 6 * SECOND, CLOCK, "", 0), True)


def test_it_begins_where_the_last_power_cut_left_it(pi):
    """An hour later than the last stamp, says a machine that was off for a day: nobody can know but timesyncd."""
    first = pi.start()
    pi.true += HOUR
    latest = first.wall()
    pi.true += 24 * HOUR
    pi.awaited = True
    pi.turn_on(latest - 60 * SECOND)
    clock = pi.start(latest)
    pi.true += 10 * SECOND
    stamp = clock.wall()
    assert latest < stamp < latest + 60 * SECOND, "never back, and not far ahead"
    assert clock.moment(stamp).quality == UNSET
    pi.awaited = False
    pi.set()
    assert clock.look()
    assert clock.moment(stamp)[:2] == (TRUE + 25 * HOUR + 10 * SECOND, CORRECTED)
    assert clock.moment(latest)[:2] == (latest, CLOCK)


def test_clock_that_went_back_by_hours_is_not_set_until_somebody_does(pi):
    latest = pi.start().wall() + 5 * HOUR
    pi.true += 30 * HOUR
    pi.turn_on(latest - 4 * HOUR)
    clock = pi.start(latest)
    stamps = []
    for _ in range(5):
        pi.true += 2 * SECOND
        stamps.append(clock.wall())
    assert not clock.is_set
    assert latest < stamps[0] < stamps[-1]
    pi.set()
    clock.wall()
    assert [clock.moment(stamp)[:2] for stamp in stamps] == [
        (TRUE + 30 * HOUR + 2 * n * SECOND, CORRECTED) for n in range(1, 6)
    ]


def test_restart_before_it_is_set_in_the_same_boot(pi):
    pi.turn_on(0)
    first = pi.start()
    pi.true += 5 * SECOND
    early = first.wall()
    second = pi.start(early)
    pi.true += 5 * SECOND
    late = second.wall()
    assert late > early
    pi.set()
    third = pi.start(late)
    assert third.moment(early)[:2] == (TRUE + 5 * SECOND, CORRECTED)
    assert third.moment(late)[:2] == (TRUE + 10 * SECOND, CORRECTED)


def test_later_boot_knows_what_the_earlier_one_learned_and_only_that(pi):
    pi.turn_on(0)
    clock = pi.start()
    pi.true += 5 * SECOND
    known = clock.wall()
    pi.set()
    latest = clock.wall()
    pi.true += HOUR
    pi.turn_on(0)
    clock = pi.start(latest)
    pi.true += SECOND
    unknown = clock.wall()
    pi.true += HOUR
    pi.turn_on(pi.true)
    clock = pi.start(unknown)
    assert clock.is_set
    assert clock.moment(known)[:2] == (TRUE + 5 * SECOND, CORRECTED)
    assert clock.moment(unknown) == (unknown, UNSET, "boot 3", SECOND)
    assert clock.moment(clock.wall()).quality == CLOCK


def test_believed_too_early(pi):
    """Nobody said that it was not set, and it is put forward soon: what it had told was wrong."""
    pi.true += 9 * HOUR
    pi.turn_on(TRUE)
    clock = pi.start()
    pi.true += 20 * SECOND
    stamp = clock.wall()
    assert clock.moment(stamp).quality == CLOCK
    pi.set()
    clock.wall()
    assert clock.moment(stamp)[:2] == (TRUE + 9 * HOUR + 20 * SECOND, CORRECTED)


@pytest.mark.parametrize("why", ["old", "sure"])
def test_put_forward_later_is_nothing_that_corrects(pi, why):
    clock = pi.start()
    pi.true += 2 * HOUR if why == "old" else SECOND
    pi.sure = why == "sure"
    stamp = clock.wall()
    pi.offset += HOUR
    clock.wall()
    assert clock.moment(stamp)[:2] == (stamp, CLOCK)


def test_put_back_to_1970(pi):
    clock = pi.start()
    pi.true += HOUR
    latest = clock.wall()
    pi.offset = 0
    pi.true += SECOND
    stamp = clock.wall()
    assert (clock.is_set, stamp > latest) == (False, True)
    assert clock.moment(stamp)[:2] == (pi.real() - pi.offset - pi.since_boot() + TRUE + HOUR + SECOND, CORRECTED)


@pytest.mark.parametrize("kept", [b"", b"[]", b"{}", b'{"eras": [[1]], "anchors": {}}', b'{"eras": 3, "anchors": 4}'])
def test_damaged_record(pi, kept):
    pi.kept = kept
    assert pi.start().is_set


def test_record_is_bounded(pi):
    for _ in range(100):
        pi.turn_on(0)
        clock = pi.start()
        pi.set()
        clock.wall()
    found = json.loads(pi.kept)
    assert (len(found["eras"]), len(found["anchors"])) == (64, 32)
