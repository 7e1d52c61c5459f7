"""Message ids seen within a stream's duplicate window.

``now`` is monotonic nanoseconds: the wall clock of a device without a battery jumps by years when it is first set,
and the window is there for what is sent twice within minutes.
"""

from collections import deque
from collections.abc import Iterable


class Dedupe:
    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self.seqs: dict[str, int] = {}
        self.order: deque[tuple[int, str, int]] = deque()  # time, id, sequence

    def find(self, msg_id: str, now: int) -> int:
        """The sequence that this id has, or 0."""
        if not self.seqs:
            return 0
        self._expire(now)
        return self.seqs.get(msg_id, 0)

    def add(self, msg_id: str, seq: int, now: int) -> None:
        self.seqs[msg_id] = seq
        self.order.append((now, msg_id, seq))

    def ends(self) -> tuple[int, int]:
        """The sequences that the oldest and the newest of them have; there may be none: (1, 0)."""
        return (self.order[0][2], self.order[-1][2]) if self.order else (1, 0)

    def forget(self, above: int) -> None:
        """Messages above this sequence never came to be."""
        while self.order and self.order[-1][2] > above:
            _, msg_id, seq = self.order.pop()
            if self.seqs.get(msg_id) == seq:
                del self.seqs[msg_id]

    def restore(self, found: Iterable[tuple[int, str, int]]) -> None:
        """Oldest first: time, id, sequence."""
        for now, msg_id, seq in found:
            self.add(msg_id, seq, now)

    def _expire(self, now: int) -> None:
        order, horizon = self.order, now - self.window_ns
        while order and order[0][0] <= horizon:
            _, msg_id, seq = order.popleft()
            if self.seqs.get(msg_id) == seq:
                del self.seqs[msg_id]
