"""``allow_responses``: what somebody was sent may be answered, so many times and for so long."""

from collections.abc import Callable
from typing import NamedTuple

from edge.core.permissions import ResponseRule

MAX_ANSWERABLE = 8192  # replies that are remembered for one peer


class Answerable(NamedTuple):
    """``left`` -1: any number of times; ``expires`` monotonic nanoseconds, -1: never."""

    left: int
    expires: int


class Answers:
    """The replies that one peer was sent.  ``now``: monotonic nanoseconds."""

    __slots__ = ("now", "replies", "rule")

    def __init__(self, rule: ResponseRule, now: Callable[[], int]) -> None:
        self.rule = rule
        self.now = now
        self.replies: dict[str, Answerable] = {}

    def expect(self, reply: str) -> None:
        """A message with this reply goes to the peer, which may publish to it now."""
        if len(self.replies) >= MAX_ANSWERABLE:
            self._forget()
        expires = -1 if self.rule.expires_ns < 0 else self.now() + self.rule.expires_ns
        self.replies[reply] = Answerable(self.rule.max, expires)

    def is_answer(self, subject: str) -> bool:
        """May it publish this?  It has, then."""
        answerable = self.replies.get(subject)
        if answerable is None:
            return False
        is_late = 0 <= answerable.expires < self.now()
        if answerable.left == 1 or is_late:
            del self.replies[subject]
        elif answerable.left > 1:
            self.replies[subject] = answerable._replace(left=answerable.left - 1)
        return not is_late

    def _forget(self) -> None:
        """The expired, else the oldest."""
        now = self.now()
        for reply in [reply for reply, known in self.replies.items() if 0 <= known.expires < now]:
            del self.replies[reply]
        while len(self.replies) >= MAX_ANSWERABLE:
            del self.replies[next(iter(self.replies))]
