from edge.core.answers import MAX_ANSWERABLE, Answers
from edge.core.permissions import ResponseRule


class Clock:
    time = 0

    def now(self) -> int:
        return self.time


def test_what_was_sent_may_be_answered_so_often() -> None:
    answers = Answers(ResponseRule(2, -1), Clock().now)
    answers.expect("r.1")
    assert [answers.is_answer(subject) for subject in ("r.2", "r.1", "r.1", "r.1")] == [False, True, True, False]


def test_and_for_so_long() -> None:
    clock = Clock()
    answers = Answers(ResponseRule(-1, 10), clock.now)
    answers.expect("r")
    clock.time = 10
    assert answers.is_answer("r") and answers.is_answer("r")
    clock.time = 11
    assert not answers.is_answer("r") and not answers.replies


def test_the_number_of_replies_is_bounded() -> None:
    clock = Clock()
    answers = Answers(ResponseRule(1, 10), clock.now)
    for i in range(MAX_ANSWERABLE):
        answers.expect(f"r.{i}")
    answers.expect("one more")
    assert len(answers.replies) == MAX_ANSWERABLE and not answers.is_answer("r.0") and answers.is_answer("r.1")
    clock.time = 11
    for i in range(2):
        answers.expect(f"new.{i}")
    assert len(answers.replies) == 2, "the expired go first"
