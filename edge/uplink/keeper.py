"""What an uplink still knows after a power cut, on its way to the disk."""

from collections.abc import Callable, Sequence

from edge.errors import StoreError
from edge.uplink.ports import Ledger
from edge.uplink.progress import Progress
from edge.uplink.ranges import Ranges

SECOND = 1_000_000_000
SAVE_INTERVAL_NS = SECOND


class Keeper:
    """``progress`` is as it is on disk, once it ``is_kept``; ``snapshot`` is as it should be there."""

    def __init__(self, progress: Progress, is_kept: bool, ledger: Ledger, snapshot: Callable[[], Progress]) -> None:
        self.progress = progress
        self.is_kept = is_kept
        self.ledger = ledger
        self.snapshot = snapshot
        self.leased = Ranges(progress.leased)  # what may be sent
        self.removed = Ranges()  # settled beyond the floor, and not in the backlog any more
        self.due: int | None = None
        self.is_busy = False
        self.again = False  # something waits for more than what is on its way
        self.coming = progress  # what is on its way
        self.removing: list[tuple[int, int]] = []

    def save_soon(self, now: int) -> None:
        if self.due is None:
            self.due = now + SAVE_INTERVAL_NS

    def save(self, urgent: bool = False, thinned: Sequence[int] = ()) -> None:
        """Progress to disk, and the rows that it makes superfluous off it."""
        self.due = None
        if self.is_busy:
            self.again |= urgent
            return
        self.is_busy, self.again = True, False
        coming = self.coming = self.snapshot()
        self.removing = [gap for pair in coming.settled for gap in self.removed.gaps(*pair)]
        self.ledger.save(coming.encode(), coming.acked, self.removing, thinned, urgent)

    def saved(self, error: StoreError | None, now: int) -> None:
        """What the ledger was given is on disk, or is not."""
        self.is_busy = False
        if error is not None:
            self.again = False
            self.due = now + SAVE_INTERVAL_NS
            return
        self.progress = self.coming
        self.is_kept = True
        self.leased = Ranges(self.progress.leased)
        for first, last in self.removing:
            self.removed.add(first, last)
        self.removed.remove_up_to(self.progress.acked)

    def tick(self, now: int) -> None:
        if self.due is not None and now >= self.due:
            self.save()
