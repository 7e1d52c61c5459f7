"""What has become of each message: settled, in flight, or in doubt; and how far back the hub must be asked."""

from collections import deque
from collections.abc import Iterable

from edge.uplink.ranges import Ranges


class Flight:
    __slots__ = ("sent_at", "size")

    def __init__(self, size: int, sent_at: int) -> None:
        self.size = size
        self.sent_at = sent_at


class Window:
    """Keys are sequences of the local stream; those of loss receipts are negative.

    ``floor``: everything up to it is settled; ``settled``: what is beyond it.  ``flights`` are in the order in which
    they were sent.  ``doubts`` were sent once and have no answer: they are looked for before they are sent again, and
    stay what they are until they are settled, for a copy may still be on its way.

    ``known`` is the highest sequence of the hub's stream that was proven.  A message lies behind what was known when
    it was sent for the first time: ``after`` is the least of that for whatever is not settled.
    """

    def __init__(self, floor: int, settled: Iterable[tuple[int, int]], known: int) -> None:
        self.floor = floor
        self.settled = Ranges(settled)
        self.taken = self.settled.copy()  # with what is in flight: not to be sent
        self.known = known
        self.flights: dict[int, Flight] = {}
        self.doubts: set[int] = set()
        self.first_sent: deque[tuple[int, int]] = deque()  # (known by then, key), of flights and doubts
        self.bytes = 0

    def __len__(self) -> int:
        return len(self.flights)

    @property
    def after(self) -> int:
        first = self.first_sent
        while first and first[0][1] not in self.flights and first[0][1] not in self.doubts:
            first.popleft()
        return first[0][0] if first else self.known

    @property
    def oldest(self) -> int | None:
        """When the first of those in flight was sent."""
        return next(iter(self.flights.values())).sent_at if self.flights else None

    def send(self, key: int, size: int, now: int) -> None:
        if key not in self.doubts:
            self.first_sent.append((self.known, key))
        self.flights[key] = Flight(size, now)
        self.bytes += size
        if key > 0:
            self.taken.add(key, key)

    def doubt(self, keys: Iterable[int], after: int) -> None:
        """An earlier process may have sent these when ``after`` was known."""
        new = [key for key in keys if key not in self.doubts and not self.is_settled(key)]
        self.first_sent.extendleft((after, key) for key in new)
        self.doubts.update(new)

    def is_settled(self, key: int) -> bool:
        return 0 < key <= self.floor or key in self.settled

    def settle(self, key: int, hub_seq: int) -> Flight | None:
        """``hub_seq`` 0: not at the hub (a dead letter).  The flight that has ended."""
        self.known = max(self.known, hub_seq)
        flight = self.flights.pop(key, None)
        if flight is not None:
            self.bytes -= flight.size
        self.doubts.discard(key)
        if key > 0:
            self.settle_range(key, key)
        return flight

    def settle_range(self, first: int, last: int) -> None:
        if last <= self.floor:
            return
        self.settled.add(max(first, self.floor + 1), last)
        self.taken.add(first, last)
        floor = self.settled.after(self.floor + 1) - 1
        if floor > self.floor:
            self.floor = floor
            self.settled.remove_up_to(floor)
            self.taken.remove_up_to(floor)

    def lose(self, first: int, last: int) -> None:
        """Nothing is known of these, and there is nothing to send again."""
        self.doubts = {key for key in self.doubts if not first <= key <= last}
        self.settle_range(first, last)

    def restart(self) -> None:
        """Whatever is in flight is in doubt now."""
        self.doubts.update(self.flights)
        self.flights.clear()
        self.bytes = 0
        self.taken = self.settled.copy()

    def rebase(self, hub_seq: int) -> None:
        """The hub's stream is not the one that was known: what is in doubt lies behind ``hub_seq``, if anywhere."""
        self.known = hub_seq
        self.first_sent = deque((hub_seq, key) for _, key in self.first_sent)

    def forget_settled(self, gone: Ranges) -> None:
        """The hub has lost what it had: it is sent again, but for what is gone from here as well."""
        self.settled = gone.copy()
        self.restart()
