"""What has become of each message: settled, in flight, or in doubt; and how far back the hub must be asked."""

from collections.abc import Iterable, Sequence

from edge.uplink.ranges import Ranges


class Burst:
    """Messages that were sent together, and of which the hub speaks together.  ``keys`` in their order; 0 for what has
    become of one otherwise.  ``known``: the window's when they were sent."""

    __slots__ = ("answered", "heard_at", "keys", "known", "limit", "number", "sent_at", "size")

    def __init__(self, number: int, keys: list[int], size: int, now: int, known: int) -> None:
        self.number = number
        self.keys = keys
        self.size = size  # bytes of what is not answered
        self.sent_at = now
        self.heard_at = now
        self.known = known
        self.answered = 0  # so many of the keys
        self.limit = len(keys)  # no answer is of more: the next was refused

    def __len__(self) -> int:
        return len(self.keys) - self.answered

    def open_keys(self) -> list[int]:
        return [key for key in self.keys[self.answered :] if key]


class Window:
    """Keys are sequences of the local stream; those of loss receipts are negative.

    ``floor``: everything up to it is settled; ``settled``: what is beyond it.  ``bursts`` are in the order in which
    they were sent, and what is in them is in flight.  ``doubts`` were sent once and have no answer: they are looked for
    before they are sent again, and stay what they are until they are settled, for a copy may still be on its way.

    ``known`` is the highest sequence of the hub's stream that was proven.  A message lies behind what was known when
    it was sent for the first time: ``after`` is not above that of anything that is not settled.
    """

    def __init__(self, floor: int, settled: Iterable[tuple[int, int]], known: int) -> None:
        self.floor = floor
        self.settled = Ranges(settled)
        self.taken = self.settled.copy()  # with what is in flight: not to be sent
        self.known = known
        self.bursts: dict[int, Burst] = {}
        self.overdue: dict[int, Burst] = {}  # those that are in doubt: an answer may still come
        self.doubts: set[int] = set()
        self.doubts_after = known
        self.number = 0  # of the last burst
        self.in_flight = 0

    def __len__(self) -> int:
        return self.in_flight

    @property
    def after(self) -> int:
        first = next(iter(self.bursts.values())).known if self.bursts else self.known
        return min(first, self.doubts_after) if self.doubts else first

    @property
    def oldest(self) -> int | None:
        """When the first of those in flight was sent, or last heard of."""
        return next(iter(self.bursts.values())).heard_at if self.bursts else None

    def find(self, number: int) -> Burst | None:
        return self.bursts.get(number) or self.overdue.get(number)

    def carries(self, key: int) -> bool:
        """A receipt: it is sent by itself."""
        return any(burst.keys[0] == key for burst in self.bursts.values())

    def send(self, keys: list[int], size: int, now: int) -> Burst:
        """They have just gone, as the burst ``number + 1``."""
        self.number += 1
        burst = self.bursts[self.number] = Burst(self.number, keys, size, now, self.known)
        self.in_flight += len(keys)
        for first, last in runs(keys):
            self.taken.add(first, last)
        return burst

    def doubt(self, keys: Iterable[int], after: int) -> None:
        """An earlier process may have sent these when ``after`` was known."""
        self._doubt([key for key in keys if key not in self.doubts and not self.is_settled(key)], after)

    def _doubt(self, keys: Sequence[int], after: int) -> None:
        if keys:
            self.doubts_after = min(self.doubts_after, after) if self.doubts else after
            self.doubts.update(keys)

    def is_settled(self, key: int) -> bool:
        return 0 < key <= self.floor or key in self.settled

    def answer(self, burst: Burst, count: int, hub_seq: int, now: int) -> tuple[list[int], int]:
        """The first ``count`` of its keys have been answered, proving ``hub_seq`` (0: nothing).  The keys that this
        settles, and the bytes that have left the line."""
        self.known = max(self.known, hub_seq)
        begin, end = burst.answered, min(count, burst.limit)
        if end <= begin:
            return [], 0
        keys = [key for key in burst.keys[begin:end] if key]
        size = burst.size * (end - begin) // (len(burst.keys) - begin)
        burst.size -= size
        burst.answered, burst.heard_at = end, now
        if burst.number in self.bursts:
            self.in_flight -= end - begin
            self._forget(burst)
        self._settle(keys)
        return keys, size

    def drop(self, burst: Burst, at: int) -> None:
        """Something else has become of the key at this place; it is still the caller's to settle."""
        burst.keys[at] = 0

    def _forget(self, burst: Burst) -> None:
        if not len(burst):
            self.bursts.pop(burst.number, None)
            self.overdue.pop(burst.number, None)

    def settle(self, key: int, hub_seq: int) -> None:
        """``hub_seq`` 0: not at the hub (a dead letter)."""
        self.known = max(self.known, hub_seq)
        self._settle([key])

    def _settle(self, keys: list[int]) -> None:
        if self.doubts:
            self.doubts.difference_update(keys)
        for first, last in runs(keys):
            self.settle_range(first, last)

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
        for burst in self.bursts.values():
            self._doubt([key for key in burst.open_keys() if not self.is_settled(key)], burst.known)
        self.overdue.update(self.bursts)
        self.bursts.clear()
        self.in_flight = 0
        self.taken = self.settled.copy()

    def forget_overdue(self) -> None:
        """It was looked for; what is not there goes again."""
        self.overdue.clear()

    def rebase(self, hub_seq: int) -> None:
        """The hub's stream is not the one that was known: what is in doubt lies behind ``hub_seq``, if anywhere."""
        self.known = self.doubts_after = hub_seq
        self.overdue.clear()

    def forget_settled(self, gone: Ranges) -> None:
        """The hub has lost what it had: it is sent again, but for what is gone from here as well."""
        self.settled = gone.copy()
        self.restart()


def runs(keys: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbours together, of keys that ascend; receipts have none."""
    if keys and keys[0] > 0 and keys[-1] - keys[0] == len(keys) - 1:
        return [(keys[0], keys[-1])]
    found: list[tuple[int, int]] = []
    first = last = 0
    for key in keys:
        if key == last + 1 and last:
            last = key
        elif key > 0:
            if last:
                found.append((first, last))
            first = last = key
    if last:
        found.append((first, last))
    return found
