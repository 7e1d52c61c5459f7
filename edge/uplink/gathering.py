"""What is fresh waits a moment for others that can go with it: one head and one answer are then of many."""

ENOUGH = 128  # messages wait for no others


class Gathering:
    """``time_ns`` 0: nothing waits."""

    def __init__(self, time_ns: int) -> None:
        self.time_ns = time_ns
        self.until: int | None = None
        self.is_over = False  # for what is there: it only waits for the line

    def begin(self, now: int) -> None:
        """Something has come."""
        if self.time_ns and self.until is None and not self.is_over:
            self.until = now + self.time_ns

    def waits_for_more(self, behind: int) -> bool:
        """``behind``: how many came after the first of those that wait."""
        return self.until is not None and behind < ENOUGH - 1

    def tick(self, now: int) -> bool:
        """True when it is over."""
        if self.until is None or now < self.until:
            return False
        self.until, self.is_over = None, True
        return True

    def end(self) -> None:
        """All of it has gone."""
        self.until, self.is_over = None, False
