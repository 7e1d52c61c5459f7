"""Days and times of day where a budget or a schedule is meant to hold."""

import time
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import NamedTuple

from edge.core.wall_clock import EARLIEST_NS

UTC = "UTC"
LOCAL = "local"
DAY = 24 * 60


class Moment(NamedTuple):
    day: str  # 2026-11-23
    minute: int  # of the day


Calendar = Callable[[int], Moment | None]  # from wall time in nanoseconds; None while the clock has not been set


def make_calendar(zone: str) -> Calendar:
    """``zone``: UTC, local, or a name such as Europe/Berlin.  ValueError for one that this machine does not know."""
    if zone in (UTC, LOCAL):
        convert = time.gmtime if zone == UTC else time.localtime
        return lambda wall_ns: _moment(convert(wall_ns // 1_000_000_000)) if wall_ns >= EARLIEST_NS else None
    info = _zone(zone)
    return lambda wall_ns: (
        _moment(datetime.fromtimestamp(wall_ns // 1_000_000_000, info).timetuple())
        if wall_ns >= EARLIEST_NS
        else None
    )


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # for those who name one

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ValueError(f"{name!r} is no time zone here: expected UTC, local, or one such as Europe/Berlin") from exc


def _moment(at: time.struct_time) -> Moment:
    return Moment(f"{at.tm_year:04}-{at.tm_mon:02}-{at.tm_mday:02}", at.tm_hour * 60 + at.tm_min)


class Hours(NamedTuple):
    """From one minute of the day to another; over midnight where the second is not later."""

    begin: int
    end: int

    def __str__(self) -> str:
        return f"{self.begin // 60:02}:{self.begin % 60:02}-{self.end // 60:02}:{self.end % 60:02}"

    def covers(self, minute: int) -> bool:
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end

    @classmethod
    def parse(cls, text: str) -> "Hours":
        """``22:00-06:00``.  ValueError."""
        begin, dash, end = text.replace(" ", "").partition("-")
        if not dash:
            raise ValueError("expected hours such as 22:00-06:00")
        return cls(_minute(begin, DAY - 1), _minute(end, DAY))


def _minute(text: str, most: int) -> int:
    hours, colon, minutes = text.partition(":")
    if not (colon and hours.isdecimal() and minutes.isdecimal() and len(hours) < 3 and len(minutes) == 2):
        raise ValueError(f"{text!r} is no time of day such as 06:00")
    minute = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or minute > most:
        raise ValueError(f"{text!r} is no time of day such as 06:00")
    return minute


class Schedule:
    """When an uplink may send."""

    def __init__(self, hours: tuple[Hours, ...], calendar: Calendar, zone: str) -> None:
        self.hours = hours
        self.calendar = calendar
        self.zone = zone

    def closed(self, wall_ns: int) -> str:
        """Why nothing may be sent now; empty when it may."""
        moment = self.calendar(wall_ns)
        text = f"{', '.join(map(str, self.hours))} {self.zone}"
        if moment is None:
            return f"schedule: only {text}, and this machine's clock has not been set"
        if any(hours.covers(moment.minute) for hours in self.hours):
            return ""
        return f"schedule: only {text}"
