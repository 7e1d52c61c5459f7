"""The messages between the local stream and the hub's: sent, not yet settled."""

from collections import deque


class Flight:
    __slots__ = ("after", "seq", "settled", "size")

    def __init__(self, seq: int, size: int, after: int) -> None:
        self.seq = seq
        self.size = size
        self.after = after  # if the hub stores it, then after this sequence of its stream
        self.settled = False


class Window:
    """Flights in the order of their sequences.  ``floor``: everything up to it is settled.

    ``known`` is the highest hub sequence that was proven (by a PubAck, or found on a resume).  Whatever the hub holds
    of the messages above the floor, settled or not, lies behind hub sequence ``after``: that is what is kept on disk
    beside the floor, and what a resume after a power cut starts from.  A message lies behind what was known when it
    was sent; from a restart on the old ``bound`` holds until the floor has passed all that was settled before.
    """

    def __init__(self, floor: int, known: int) -> None:
        self.floor = floor
        self.known = known
        self.order: deque[Flight] = deque()
        self.flights: dict[int, Flight] = {}  # those of ``order`` that are not settled
        self.bytes = 0
        self.settled_ahead: set[int] = set()  # settled, and behind all of ``order``
        self.bound: int | None = known
        self.live = False  # between ``resumed`` and ``restart``

    def __len__(self) -> int:
        return len(self.flights)

    @property
    def after(self) -> int:
        return self.order[0].after if self.order else self._now_after()

    @property
    def last(self) -> int:
        return self.order[-1].seq if self.order else self.floor

    def send(self, seq: int, size: int) -> None:
        flight = Flight(seq, size, self._now_after())
        self.order.append(flight)
        self.flights[seq] = flight
        self.bytes += size

    def pass_over(self, seq: int) -> bool:
        """True when ``seq`` needs no sending because it is settled already."""
        if seq not in self.settled_ahead:
            return False
        flight = Flight(seq, 0, self._now_after())
        flight.settled = True
        self.order.append(flight)
        self.settled_ahead.discard(seq)
        self._advance()
        return True

    def is_settled(self, seq: int) -> bool:
        return seq <= self.floor or seq in self.settled_ahead or (seq <= self.last and seq not in self.flights)

    def settle(self, seq: int, hub_seq: int) -> bool:
        """``hub_seq`` 0: not at the hub (a dead letter).  False when that says nothing new."""
        self.known = max(self.known, hub_seq)
        if self.is_settled(seq):
            return False
        flight = self.flights.pop(seq, None)
        if flight is None:
            if self.bound is None:
                return False  # an answer from before the restart; what is in flight now claims a later ``after``
            self.settled_ahead.add(seq)
            return True
        flight.settled = True
        self.bytes -= flight.size
        if 0 < hub_seq <= flight.after:
            self._lower(hub_seq - 1)
        self._advance()
        return True

    def restart(self) -> None:
        """Everything in flight is in doubt now: it is looked for at the hub, and sent again if it is not there."""
        self.live = False
        self.bound = self.after
        self.settled_ahead.update(flight.seq for flight in self.order if flight.settled)
        self.order.clear()
        self.flights.clear()
        self.bytes = 0

    def rebase(self, hub_seq: int) -> None:
        """The hub's stream is not the one that was known: what is in doubt lies behind ``hub_seq``, if anywhere."""
        self.known = self.bound = hub_seq

    def resumed(self) -> None:
        """What was in doubt has been looked for; what was not found is not there."""
        self.live = True
        self._loosen()

    def _now_after(self) -> int:
        return self.known if self.bound is None else self.bound

    def _lower(self, after: int) -> None:
        """A repeat was acknowledged with the place of a first copy that a resume had not seen."""
        for flight in self.order:
            flight.after = min(flight.after, after)

    def _advance(self) -> None:
        while self.order and self.order[0].settled:
            self.floor = self.order.popleft().seq
        self._loosen()

    def _loosen(self) -> None:
        if self.live and not self.settled_ahead:
            self.bound = None
