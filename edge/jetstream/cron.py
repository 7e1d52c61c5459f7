"""Times of day as crontabs write them, in six fields: second, minute, hour, day of month, month, day of week
(reference: jetstream.md section 3a).

A field is ``*``, a number or a name, a range ``a-b``, each with a step ``/n``, and lists of those.  Where both days are
given either of them is enough; a day that is ``*`` says nothing.
"""

import re
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import NamedTuple

MAX_YEARS = 5
NUMBER = re.compile(r"\+?[0-9]{1,9}")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
NAMED = {
    "@yearly": "0 0 0 1 1 *", "@annually": "0 0 0 1 1 *", "@monthly": "0 0 0 1 * *", "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *", "@midnight": "0 0 0 * * *", "@hourly": "0 0 * * * *",
}  # fmt: skip


class Bounds(NamedTuple):
    least: int
    most: int
    names: tuple[str, ...] = ()


BOUNDS = (Bounds(0, 59), Bounds(0, 59), Bounds(0, 23), Bounds(1, 31), Bounds(1, 12, MONTHS), Bounds(0, 6, DAYS))


class Field(NamedTuple):
    values: frozenset[int]
    is_star: bool


class Cron:
    """ValueError for what is no pattern."""

    def __init__(self, pattern: str) -> None:
        texts = NAMED.get(pattern, pattern).split()
        if len(texts) != len(BOUNDS):
            raise ValueError(f"{len(BOUNDS)} fields are needed, not {len(texts)}")
        fields = [_field(text, bounds) for text, bounds in zip(texts, BOUNDS, strict=True)]
        self.seconds, self.minutes, self.hours, self.days, self.months, self.weekdays = fields

    def after(self, seconds: int, zone: tzinfo) -> int:
        """The first time behind ``seconds`` since 1970.  ValueError when there is none within five years."""
        now = seconds + 1
        here = datetime.fromtimestamp(now, zone)
        last_year = here.year + MAX_YEARS
        while here.year <= last_year:
            step = self._step(here)
            if step is None:
                return now
            now = step(now)
            here = datetime.fromtimestamp(now, zone)
        raise ValueError("there is no such time")

    def _step(self, here: datetime) -> Callable[[int], int] | None:
        """To the next time that may be one; None: this is one."""
        if here.month not in self.months.values:
            year, month = (here.year + 1, 1) if here.month == 12 else (here.year, here.month + 1)
            first = here.replace(year=year, month=month, day=1, hour=0, minute=0, second=0, fold=0)
            return lambda now: max(int(first.timestamp()), now + 1)
        if not self._has_day(here):
            left = 86_400 - (here.hour * 3600 + here.minute * 60 + here.second)
            return lambda now: _midnight(now + left, here)
        if here.hour not in self.hours.values:
            left = 3600 - (here.minute * 60 + here.second)
            return lambda now: now + left
        if here.minute not in self.minutes.values:
            left = 60 - here.second
            return lambda now: now + left
        if here.second not in self.seconds.values:
            return lambda now: now + 1
        return None

    def _has_day(self, here: datetime) -> bool:
        by_date, by_weekday = here.day in self.days.values, here.isoweekday() % 7 in self.weekdays.values
        if self.days.is_star or self.weekdays.is_star:
            return by_date and by_weekday
        return by_date or by_weekday


def _midnight(now: int, before: datetime) -> int:
    """A day that is an hour longer or shorter than others does not end where it should."""
    there = datetime.fromtimestamp(now, before.tzinfo)
    if there.day == before.day:
        return now + 3600 - there.minute * 60 - there.second
    return now - (there.hour * 3600 + there.minute * 60 + there.second)


def _field(text: str, bounds: Bounds) -> Field:
    values: set[int] = set()
    is_star = False
    for part in filter(None, text.split(",")):
        found, star = _range(part, bounds)
        values |= set(found)
        is_star |= star
    if not values:
        raise ValueError(f"{text!r} says no time")
    return Field(frozenset(values), is_star)


def _range(text: str, bounds: Bounds) -> tuple[range, bool]:
    """What it stands for, and whether it stands for everything."""
    span, *steps = text.split("/")
    low, *high = span.split("-")
    if len(steps) > 1 or len(high) > 1:
        raise ValueError(f"{text!r} is no range")
    star = low in ("*", "?")
    first = bounds.least if star else _number(low, bounds)
    last = bounds.most if star or (steps and not high) else _number(high[0], bounds) if high else first
    step = _number(steps[0], Bounds(0, 0)) if steps else 1
    if not bounds.least <= first <= last <= bounds.most or not step:
        raise ValueError(f"{text!r} is out of range")
    return range(first, last + 1, step), star and step == 1


def _number(text: str, bounds: Bounds) -> int:
    if text.lower() in bounds.names:
        return bounds.names.index(text.lower()) + bounds.least
    if not NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    return int(text)
