from collections import deque

import pytest

from edge.core.leaf_pacing import FAR, HELD, LEAST, PLENTY, QUEUE_NS, SECOND, Pacing, messages

MS = SECOND // 1000
MESSAGE = b"LMSG a 200\r\n" + b"x" * 200 + b"\r\n"


class SlowLine:
    """Carries ``rate`` bytes a second and answers each PING ``latency`` after it has come through."""

    def __init__(self, rate: int, latency: int) -> None:
        self.now = 1000 * SECOND
        self.rate = rate
        self.latency = latency
        self.free_at = 0
        self.answers: deque[int] = deque()
        self.carried = 0
        self.pacing = Pacing(lambda: self.now)
        self.ping()

    def ping(self) -> None:
        self.pacing.pinged()
        self.answers.append(max(self.free_at, self.now) + self.latency)

    def let_go(self, data: bytes) -> None:
        self.carried += len(data)
        self.free_at = max(self.free_at, self.now) + len(data) * SECOND // self.rate
        if self.pacing.sent(len(data)):
            self.ping()

    def offer(self, data: bytes, count: int = 1) -> None:
        if self.pacing.admits(len(data)):
            self.let_go(data)
        else:
            self.pacing.hold(data, count, len(data))
        self.release()

    def release(self) -> None:
        while (found := self.pacing.next()) is not None:
            self.let_go(found.data)
        if self.pacing.waiting and not self.pacing.pings:
            self.ping()

    def pass_time(self, duration: int) -> None:
        end = self.now + duration
        while self.answers and self.answers[0] <= end:
            self.now = self.answers.popleft()
            self.pacing.answered(self.now)
            self.release()
        self.now = end

    @property
    def queue_ns(self) -> int:
        """What would be waited for by something urgent."""
        return max(self.free_at - self.now, 0)


@pytest.mark.parametrize(
    ("rate", "latency"), [(8_000, 100 * MS), (16_000, 20 * MS), (16_000, 600 * MS), (200_000, 100 * MS)]
)
def test_a_flood_leaves_room_for_what_is_urgent_and_uses_the_line(rate: int, latency: int) -> None:
    line = SlowLine(rate, latency)
    line.pass_time(latency)
    per_step = 3 * rate / 200 / len(MESSAGE)  # three times what it can take
    due, worst = 0.0, 0
    for step in range(40 * 200):
        due += per_step
        while due >= 1:
            due -= 1
            if line.pacing.held < HELD:
                line.offer(MESSAGE)
        line.pass_time(5 * MS)
        if step > 10 * 200:  # it has found out
            worst = max(worst, line.queue_ns)
        if step == 10 * 200:
            before = line.carried
    assert worst <= 2 * QUEUE_NS + latency  # which is how late it hears of it
    assert line.carried - before > 0.7 * rate * 30


def test_a_line_that_becomes_slow_under_way_is_noticed_before_its_answers_come() -> None:
    line = SlowLine(100_000_000, MS)
    line.pass_time(MS)
    assert line.pacing.limit == PLENTY
    line.rate = 16_000
    for _ in range(1000):
        line.offer(MESSAGE)
        line.pass_time(5 * MS)
    assert line.queue_ns <= SECOND
    assert line.pacing.waiting


def test_what_comes_singly_costs_hardly_a_ping() -> None:
    line = SlowLine(1_000_000, 50 * MS)
    line.pass_time(50 * MS)
    assert line.pacing.limit == FAR
    pings = 0
    for _ in range(100):
        before = len(line.pacing.pings)
        line.offer(MESSAGE)
        pings += len(line.pacing.pings) - before
        assert not line.pacing.waiting
        line.pass_time(SECOND)
    assert pings <= 100 * len(MESSAGE) // LEAST + 1


def test_messages_are_let_go_whole_and_in_their_order() -> None:
    pacing = Pacing(lambda: 0)
    found = [b"HMSG a 12 14\r\nNATS/1.0\r\n\r\nok\r\n", b"LMSG a.b r 2\r\n\r\n\r\n", b"LMSG c 0\r\n\r\n"]
    assert [waiting.data for waiting in messages(b"".join(found))] == found
    assert [waiting.size for waiting in messages(b"".join(found))] == [14, 2, 0]
    pacing.pinged()
    assert pacing.hold(b"".join(found), 3, 16) and pacing.held == len(b"".join(found))
    assert pacing.next() is not None  # nothing is on its way
    pacing.sent(10)
    assert pacing.next() is None
    pacing.answered(1)
    assert [waiting.data for waiting in iter(pacing.next, None)] == found[1:]
    assert pacing.held == 0


def test_there_is_a_bound_and_another_connection_begins_with_nothing() -> None:
    pacing = Pacing(lambda: 0)
    data = b"LMSG a 100000\r\n" + b"x" * 100_000 + b"\r\n"
    held = 0
    while pacing.hold(data, 1, 100_000):
        held += len(data)
    assert held <= HELD < held + 2 * len(data)
    pacing.reset()
    assert not pacing.waiting and not pacing.held and pacing.next() is None


def test_an_answer_to_nothing_is_none() -> None:
    assert Pacing(lambda: 0).answered(5) == 0
