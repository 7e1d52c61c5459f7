"""Messages that are published later, or again and again (``Nats-Schedule``; ADR-51; reference: jetstream.md
section 3a).

A schedule is a message of its own, the last of its subject: what it makes goes to its target.
"""

import heapq
from typing import NamedTuple, Protocol

from edge.core.times import SECOND, parse_rfc3339, rfc3339
from edge.errors import ApiError
from edge.jetstream import errors
from edge.jetstream.durations import parse_duration
from edge.jetstream.expiry import parse_ttl
from edge.jetstream.stream_config import StreamConfig
from edge.message import header_add, header_get, header_without
from edge.store.contract import NewRow, Row
from edge.subjects import is_literal, overlap

HEADER, NEXT, SCHEDULER = "Nats-Schedule", "Nats-Schedule-Next", "Nats-Scheduler"
PURGE = "purge"
LEAST_NS = 250_000_000  # schedules are looked at no more often, as in nats-server


class Known(Protocol):
    """What a stream knows, everything counted in that has a sequence and is not on disk yet."""

    @property
    def config(self) -> StreamConfig: ...
    def newest(self, subject: str) -> Row | None: ...


class Next(NamedTuple):
    """``repeats``: there is another time behind this one."""

    time_ns: int
    repeats: bool


def next_time(headers: bytes, after_ns: int, now_ns: int) -> Next | None:
    """When a message with these headers is published next; None: it is no schedule.  ApiError for a bad one.

    What repeats and was missed comes once.
    """
    zone = header_get(headers, "Nats-Schedule-Time-Zone")
    pattern = header_get(headers, HEADER) or ""
    if zone is not None:
        _zone(zone)
    if not pattern:
        return None
    try:
        return _next(pattern, zone, after_ns, now_ns)
    except (ValueError, OverflowError) as exc:
        raise errors.refused(10189, "message schedules pattern is invalid") from exc


def _next(pattern: str, zone: str | None, after_ns: int, now_ns: int) -> Next:
    if pattern.startswith(("@at ", "@every ")) and zone is not None:
        raise ValueError("a time zone is for times of day")
    if pattern.startswith("@at "):
        return Next(parse_rfc3339(pattern[4:]), repeats=False)
    if pattern.startswith("@every "):
        every = parse_duration(pattern[7:])
        if every < SECOND:
            raise ValueError("more than once a second")
        time_ns = _rounded(after_ns) + every
        return Next(time_ns if time_ns >= now_ns else _rounded(now_ns) + every, repeats=True)
    from edge.jetstream.cron import Cron  # brings datetime, for those who ask for it

    cron, here = Cron(pattern), _zone(zone or "UTC")
    time_ns = cron.after(after_ns // SECOND, here) * SECOND
    return Next(time_ns if time_ns >= now_ns else cron.after(_rounded(now_ns) // SECOND, here) * SECOND, repeats=True)


def _rounded(ns: int) -> int:
    return (ns + SECOND // 2) // SECOND * SECOND


def _zone(name: str):  # type: ignore[no-untyped-def]
    """ApiError for a zone that this machine has never heard of."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    if name == "UTC":
        return UTC
    if name == "Local":
        return datetime.now().astimezone().tzinfo
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as exc:
        raise errors.refused(10223, "message schedules time zone is invalid") from exc


# ---- what a publisher may ask for


def check_schedule(stream: Known, subject: str, headers: bytes, now_ns: int) -> bytes:
    """The headers that the message is stored with.  ApiError for what nats-server refuses."""
    config = stream.config
    try:
        when = next_time(headers, now_ns, now_ns)
    except ApiError:
        if not config.allow_msg_schedules:
            raise errors.SCHEDULES_DISABLED from None
        raise
    if when is not None:
        if not config.allow_msg_schedules:
            raise errors.SCHEDULES_DISABLED
        headers = _checked(config, subject, headers)
    _check_scheduler(stream, subject, headers)
    return headers


def _checked(config: StreamConfig, subject: str, headers: bytes) -> bytes:
    ttl = header_get(headers, "Nats-Schedule-TTL")
    if ttl:
        try:
            parse_ttl(ttl)
        except ValueError as exc:
            raise errors.refused(10191, "message schedules invalid per-message TTL") from exc
    if (header_get(headers, "Nats-Schedule-Rollup") or "sub") != "sub":
        raise errors.SCHEDULE_ROLLUP
    if ttl and not config.allow_msg_ttl:
        raise errors.TTL_DISABLED
    target = header_get(headers, "Nats-Schedule-Target") or ""
    source = header_get(headers, "Nats-Schedule-Source") or ""
    if not is_literal(target) or target == subject:
        raise errors.SCHEDULE_TARGET
    if source and (source in (target, subject) or not is_literal(source)):
        raise errors.SCHEDULE_SOURCE
    if not any(overlap(pattern, target) for pattern in config.subjects):
        raise errors.SCHEDULE_TARGET
    if source and not any(overlap(pattern, source) for pattern in config.subjects):
        raise errors.SCHEDULE_SOURCE
    rollup = header_get(headers, "Nats-Rollup")
    if not rollup:
        return header_add(headers, [("Nats-Rollup", "sub")])
    if rollup.lower() != "sub":
        raise errors.SCHEDULE_ROLLUP
    return headers


def _check_scheduler(stream: Known, subject: str, headers: bytes) -> None:
    """A publisher may only say that a schedule is done with."""
    following, scheduler = header_get(headers, NEXT), header_get(headers, SCHEDULER) or ""
    if not following:
        if scheduler:
            raise errors.SCHEDULER_INVALID
        return
    if following != PURGE or scheduler == subject or not is_literal(scheduler):
        raise errors.SCHEDULER_INVALID
    if not stream.config.allow_msg_schedules:
        raise errors.SCHEDULES_DISABLED
    schedule = stream.newest(scheduler)
    if schedule is not None and not header_get(schedule.headers, HEADER):
        raise errors.SCHEDULER_INVALID


# ---- what is due


class Made(NamedTuple):
    """A message that the schedule under ``scheduler`` publishes."""

    subject: str
    headers: bytes
    payload: bytes
    scheduler: str


class Schedules:
    """Of one stream.  Wall time, because that is what schedules are written in."""

    def __init__(self) -> None:
        self.times: dict[str, tuple[int, int]] = {}  # by subject: sequence and next time
        self.heap: list[tuple[int, str]] = []  # stale entries stay behind
        self.looked_ns = 0
        self.fired: dict[str, int] = {}  # what is made and not stored yet: which of each subject's was due

    def note(self, row: NewRow | Row, now_ns: int) -> None:
        """This message is stored now."""
        seq, subject, time_ns, headers, _ = row
        if not headers:
            self.times.pop(subject, None)
            return
        try:
            when = next_time(headers, time_ns, now_ns)
        except ApiError:
            when = None
        if when is not None:
            self._set(subject, seq, when.time_ns)
        elif not header_get(headers, SCHEDULER):
            self.times.pop(subject, None)
        self._go_on(headers)

    def spent_by(self, headers: bytes) -> list[int]:
        """The schedule whose last message this is, if it is still there."""
        if header_get(headers, NEXT) != PURGE:
            return []
        found = self.times.get(header_get(headers, SCHEDULER) or "")
        return [found[0]] if found is not None else []

    def _go_on(self, headers: bytes) -> None:
        """A message that a schedule made says when the next one is."""
        following, scheduler = header_get(headers, NEXT), header_get(headers, SCHEDULER)
        if not following or scheduler not in self.times:
            return
        self.fired.pop(scheduler, None)
        if following == PURGE:
            del self.times[scheduler]
            return
        try:
            self._set(scheduler, self.times[scheduler][0], parse_rfc3339(following))
        except ValueError:
            return

    def _set(self, subject: str, seq: int, time_ns: int) -> None:
        self.times[subject] = seq, time_ns
        heapq.heappush(self.heap, (time_ns, subject))

    def deadline(self) -> int | None:
        """Wall time."""
        self._drop_stale()
        return max(self.heap[0][0], self.looked_ns + LEAST_NS) if self.heap else None

    def due(self, stream: Known, now_ns: int) -> list[Made]:
        """What is to be published now, in the order of the schedules' own sequences."""
        self.looked_ns = now_ns
        found: list[tuple[int, Made]] = []
        self._drop_stale()
        while self.heap and self.heap[0][0] <= now_ns:
            time_ns, subject = heapq.heappop(self.heap)
            seq = self.times[subject][0]
            row = stream.newest(subject)
            made = _make(stream, row, time_ns, now_ns) if row is not None and row.seq == seq else None
            if made is None:
                del self.times[subject]
            else:
                found.append((seq, made))
                self.fired[subject] = seq
            self._drop_stale()
        return [made for _, made in sorted(found, key=lambda item: item[0])]

    def again(self, subject: str, now_ns: int) -> None:
        """What it made could not be stored."""
        seq = self.fired.pop(subject, 0)
        if seq and self.times.get(subject, (0, 0))[0] == seq:
            self._set(subject, seq, now_ns + SECOND)

    def failed(self, now_ns: int) -> None:
        """Nothing of what is under way was stored."""
        for subject in list(self.fired):
            self.again(subject, now_ns)

    def _drop_stale(self) -> None:
        while self.heap and self.times.get(self.heap[0][1], (0, 0))[1] != self.heap[0][0]:
            heapq.heappop(self.heap)


def _make(stream: Known, schedule: Row, time_ns: int, now_ns: int) -> Made | None:
    """None: it is no schedule any more."""
    headers = schedule.headers
    try:
        following = next_time(headers, time_ns, now_ns)
    except ApiError:
        return None
    target = header_get(headers, "Nats-Schedule-Target")
    if following is None or not target:
        return None
    source = header_get(headers, "Nats-Schedule-Source")
    content = (stream.newest(source) if source else None) or schedule
    lines = [(SCHEDULER, schedule.subject), (NEXT, rfc3339(following.time_ns) if following.repeats else PURGE)]
    for name, theirs in (("Nats-TTL", "Nats-Schedule-TTL"), ("Nats-Rollup", "Nats-Schedule-Rollup")):
        if value := header_get(headers, theirs):
            lines.append((name, value))
    kept = header_without(
        content.headers, ("Nats-Schedule", "Nats-Expected-", "Nats-Msg-Id:", "Nats-TTL:", "Nats-Rollup:")
    )
    return Made(target, header_add(kept, lines), content.payload, schedule.subject)
