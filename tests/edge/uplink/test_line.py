"""Whose turn it is, and how much may be on the way, on a way of so many bytes a second."""

from collections import Counter, deque

from edge.uplink.line import LEAST, MOST, SECOND, Line, Pace

MS = 1_000_000


class Source:
    """Has messages of 100 bytes, without end."""

    def __init__(self, line: Line, weight: int, is_urgent: bool = False) -> None:
        self.line = line
        self.weight = weight
        self.is_urgent = is_urgent
        self.waiting = 1 << 30
        self.sent = 0

    def send(self, room: int, now: int) -> int:
        size = 0
        while size < room and self.waiting:
            self.waiting -= 1
            size += 100
            self.line.sent(100, self.is_urgent)
            self.line.way.append((now, self))  # type: ignore[attr-defined]
        self.sent += size
        return size


class Way(Line):
    """Answers when it has carried what was sent."""

    def __init__(self, rate: int, rtt: int) -> None:
        super().__init__()
        self.rate, self.rtt = rate, rtt
        self.way: deque[tuple[int, Source]] = deque()
        self.delays: dict[Source, list[int]] = {}

    def run(self, now: int, until: int) -> int:
        while now < until:
            self.pump(now)
            if not self.way:
                return until
            sent_at, source = self.way.popleft()
            now = max(now, sent_at) + 100 * SECOND // self.rate
            self.delays.setdefault(source, []).append(now + self.rtt - sent_at)
            self.ended(100, source.is_urgent, sent_at, now + self.rtt, answered=True)
        return now


def test_what_is_on_the_way_does_not_make_anybody_wait() -> None:
    way = Way(rate=8000, rtt=200 * MS)
    bulk, alarm = Source(way, 1), Source(way, 64, is_urgent=True)
    way.add([bulk, alarm])
    alarm.waiting = 0
    now = way.run(0, 300 * SECOND)
    assert bulk.sent > 0.9 * 8000 * 300  # and yet it is filled
    for _ in range(50):
        alarm.waiting = 1
        now = way.run(now, now + SECOND)
    assert max(way.delays[alarm]) < SECOND


def test_a_fast_way_is_filled_soon() -> None:
    way = Way(rate=2_000_000, rtt=100 * MS)
    bulk = Source(way, 1)
    way.add([bulk])
    way.run(0, 2 * SECOND)
    assert way.pace.limit > 200_000
    way.run(2 * SECOND, 60 * SECOND)
    assert way.pace.limit <= MOST


def test_a_queue_that_was_always_there_is_not_taken_for_the_way() -> None:
    way = Way(rate=8000, rtt=50 * MS)
    bulk = Source(way, 1)
    way.add([bulk])
    way.run(0, 7200 * SECOND)
    assert max(way.delays[bulk][-2000:]) < SECOND


def test_a_way_that_has_become_longer() -> None:
    way = Way(rate=100_000, rtt=20 * MS)
    bulk = Source(way, 1)
    way.add([bulk])
    now = way.run(0, 60 * SECOND)
    way.rtt = 600 * MS
    now = way.run(now, now + 90 * SECOND)
    before = bulk.sent
    way.run(now, now + 60 * SECOND)
    assert bulk.sent - before > 60 * 50_000


def test_shares_are_by_weight_and_urgent_goes_first() -> None:
    way = Way(rate=8000, rtt=50 * MS)
    heavy, light, alarm = Source(way, 8), Source(way, 1), Source(way, 64, is_urgent=True)
    way.add([heavy, light, alarm])
    alarm.waiting = 100
    way.run(0, 300 * SECOND)
    assert alarm.waiting == 0
    assert 6 < heavy.sent / light.sent < 10


def test_who_was_idle_has_no_credit() -> None:
    way = Way(rate=8000, rtt=50 * MS)
    one, two = Source(way, 1), Source(way, 1)
    way.add([one, two])
    two.waiting = 0
    now = way.run(0, 100 * SECOND)
    two.waiting = 1 << 30
    before = Counter({"one": one.sent, "two": two.sent})
    way.run(now, now + 100 * SECOND)
    gained = Counter({"one": one.sent, "two": two.sent}) - before
    assert 0.7 < gained["one"] / gained["two"] < 1.4


def test_nothing_is_on_the_way_when_the_link_is_lost() -> None:
    line = Line()
    line.sent(500, True)
    line.ended(500, True, 0, 0, answered=False)
    line.lost()
    assert (line.pace.in_flight, line.urgent_bytes, line.pace.limit) == (0, 0, LEAST)


def test_an_answer_that_takes_long_halves_once_for_all_that_is_on_the_way() -> None:
    pace = Pace()
    pace.limit = 64_000
    pace.sent(100)
    pace.answered(100, 0, 10 * MS)
    for _ in range(10):
        pace.sent(1000)
    for _ in range(10):
        pace.answered(1000, 0, SECOND)
    assert pace.limit == 32_000
