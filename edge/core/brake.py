"""What is under way to a disk that is slower than its publishers would fill the memory: they are read no more until
enough of it is there.  Nothing is lost by that, and who waits for acks does not notice.
"""

from collections.abc import Callable

MOST = 16 << 20  # bytes under way
AGAIN = MOST // 2


class Brake:
    """``is_on``: whoever reads from publishers stops, and gives ``wait`` what lets it go on."""

    def __init__(self) -> None:
        self.underway = 0
        self.is_on = False
        self.waiting: list[Callable[[], None]] = []

    def add(self, size: int) -> None:
        self.underway += size
        self.is_on = self.is_on or self.underway > MOST

    def arrived(self, size: int) -> None:
        """Or failed: it is under way no more."""
        self.underway -= size
        if self.is_on and self.underway <= AGAIN:
            self.is_on = False
            waiting, self.waiting = self.waiting, []
            for go_on in waiting:
                go_on()

    def wait(self, go_on: Callable[[], None]) -> None:
        self.waiting.append(go_on)
