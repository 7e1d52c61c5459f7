"""The time that messages are stamped with, on a machine that may have started without it (a Raspberry Pi has no clock
of its own: it begins where the last power cut left it, or in 1970, until the network tells it).

While the clock is not set, stamps go on from the latest that was given: they never run backwards.  What a stamp means
is told by eras, kept on disk: from which stamp on, in which boot, how far ahead of the time since boot.  Once the clock
is set, the true distance is known (the boot's anchor, kept too), and with it when every stamp of that boot really was:
in this process, after a restart, or in a later boot that still has the messages.

A clock counts as set when it says a time that this program can see, not before the latest stamp, and nobody who is
there to set it says that he has not yet; or when it has been put forward to such a time.  One that counted as set and
is put forward while the machine is young was not: what it had told is corrected too.
"""

import json
import logging
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple, Protocol

from edge.core.times import SECOND, rfc3339

log = logging.getLogger("edge")

KEY = "clock"
EARLIEST_NS = 1_767_225_600 * SECOND  # 2026-01-01: this program is younger
SLACK_NS = 600 * SECOND  # a clock that is put back by less was set all the same
STEP_NS = SECOND  # what changes by more was not drift
LOOK_NS = SECOND
YOUNG_NS = 3600 * SECOND
MAX_ERAS = 64
NEVER = 1 << 63

CLOCK, CORRECTED, UNSET = "clock", "corrected", "unset"


class Machine(Protocol):
    """Nanoseconds: ``real`` since 1970, ``since_boot`` with the time asleep."""

    @property
    def boot(self) -> str:
        """Another one in every boot."""

    def real(self) -> int: ...
    def since_boot(self) -> int: ...
    def awaits_time(self) -> bool:
        """Is somebody here to set the clock, who has not done it yet?"""

    def is_sure(self) -> bool:
        """Has it a clock of its own, or the time from the network?"""


class Era(NamedTuple):
    """``start``: the first stamp; ``base``: stamps are so much more than the time since boot."""

    start: int
    base: int
    boot: str
    is_set: bool


class Moment(NamedTuple):
    """When a stamp was, as far as that is known; with an unset clock also the boot and the time since then."""

    time_ns: int
    quality: str
    boot: str = ""
    since_boot: int = 0


class WallClock:
    """``save`` puts what must survive into the store; what is stored later is durable later."""

    def __init__(self, machine: Machine, save: Callable[[bytes], None]) -> None:
        self.machine = machine
        self.save = save
        self.eras: list[Era] = []
        self.anchors: dict[str, int] = {}  # by boot: the true time minus the time since boot
        self.latest = 0  # the latest stamp that was given
        self.known = 0  # it is later than that
        self.offset = 0  # of the machine's clock, to notice that it is set
        self.base = 0
        self.is_set = True
        self.look_at = 0  # since boot
        self.tick_at = 0  # monotonic
        self.started = False

    def start(self, kept: bytes | None, latest: int) -> None:
        """``kept``: what was saved; ``latest``: of what is stored."""
        self._read(kept)
        self.latest = self.known = max([latest, *(era.start for era in self.eras)])
        self.started = True
        self._begin(self._looks_set(self.machine.real()))
        if not self.is_set:
            now = rfc3339(self.machine.real())
            log.warning("the clock is not set (it says %s): messages are marked so, and corrected once it is", now)

    # ---- stamps

    def wall(self) -> int:
        """The stamp for now."""
        now = self.machine.real()
        if not self.started:
            return now
        since = self.machine.since_boot()
        if abs(now - since - self.offset) > STEP_NS:
            self._stepped(now, now - since - self.offset)
        elif not self.is_set and since >= self.look_at:
            self.look()
        stamp = now if self.is_set else since + self.base
        if stamp > self.latest:
            self.latest = stamp
        return stamp

    def moment(self, stamp: int) -> Moment:
        """When that was."""
        index = bisect_right(self.eras, stamp, key=lambda era: era.start) - 1
        if index < 0:
            return Moment(stamp, CLOCK if stamp >= EARLIEST_NS else UNSET)
        era = self.eras[index]
        if era.is_set:
            return Moment(stamp, CLOCK)
        since = stamp - era.base
        anchor = self.anchors.get(era.boot)
        if anchor is None:
            return Moment(stamp, UNSET, era.boot, since)
        return Moment(since + anchor, CORRECTED)

    def sure_from(self) -> int:
        """Stamps from there on are the time by a clock that was set."""
        if not self.eras:
            return EARLIEST_NS
        return self.eras[-1].start if self.eras[-1].is_set else NEVER

    # ---- is it set?

    def look(self) -> bool:
        """Whether it is set now."""
        if not self.is_set:
            self.look_at = self.machine.since_boot() + LOOK_NS
            if self._looks_set(self.machine.real()):
                self._begin(True)
        return self.is_set

    def deadline(self) -> int | None:
        return None if self.is_set else self.tick_at

    def tick(self, now: int) -> None:
        """Also when nothing is stored: what is, is corrected as soon as it can be."""
        self.tick_at = now + LOOK_NS
        self.wall()

    def _stepped(self, now: int, step: int) -> None:
        """Whoever puts an unset clock forward to a time that can be sets it."""
        if self.is_set:
            self.known = self.latest
            self._doubt(step)
        self._begin(self._looks_set(now) or (step > 0 and self._is_possible(now)))

    def _doubt(self, step: int) -> None:
        """Nobody had said that it was set."""
        young = self.machine.since_boot() < YOUNG_NS and not self.machine.is_sure()
        if step > 0 and young and self.eras[-1].boot == self.machine.boot:
            self.eras[-1] = self.eras[-1]._replace(is_set=False)

    def _looks_set(self, now: int) -> bool:
        return self._is_possible(now) and not self.machine.awaits_time()

    def _is_possible(self, now: int) -> bool:
        return now >= EARLIEST_NS and now + SLACK_NS >= self.known

    def _begin(self, is_set: bool) -> None:
        """From now on stamps are made otherwise."""
        now, since, boot = self.machine.real(), self.machine.since_boot(), self.machine.boot
        was_set, self.is_set = self.is_set, is_set
        self.offset = self.base = now - since
        last = self.eras[-1] if self.eras else Era(0, 0, "", True)
        if is_set:
            self.anchors[boot] = now - since
        else:
            same = last.base if last.boot == boot and not last.is_set else self.base
            self.base = max(self.base, same, self.latest + 1 - since)
            self.look_at = since + LOOK_NS
        if is_set and not was_set:
            log.info("the clock is set: it is %s", rfc3339(now))
        if (last.boot, last.is_set) == (boot, is_set) and (is_set or last.base == self.base):
            return
        self.eras.append(Era(max(since + self.base, self.latest + 1), self.base, boot, is_set))
        self._keep()

    # ---- on disk

    def _keep(self) -> None:
        del self.eras[:-MAX_ERAS]
        boots = {era.boot for era in self.eras if not era.is_set} | {self.machine.boot}
        self.anchors = {boot: anchor for boot, anchor in self.anchors.items() if boot in boots}
        self.save(json.dumps({"eras": self.eras, "anchors": self.anchors}).encode())

    def _read(self, kept: bytes | None) -> None:
        if kept is None:
            return
        try:
            found = json.loads(kept)
            self.eras = [
                Era(int(start), int(base), str(boot), bool(is_set)) for start, base, boot, is_set in found["eras"]
            ]
            self.anchors = {str(boot): int(anchor) for boot, anchor in found["anchors"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            log.error("what was known of the clock's past cannot be read: times of before stay as they are")
            self.eras, self.anchors = [], {}
