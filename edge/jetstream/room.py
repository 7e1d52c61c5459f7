"""Is there room for another message?  For streams that refuse new ones rather than drop old ones (``discard: new``).

A message of a subject that has all its limit allows takes the place of the oldest one there: as nats-server does it,
it is welcome in a full stream unless it is larger than what goes for it.  What has a sequence and is not on disk yet
counts as if it were, and as if what it replaces had gone.
"""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from edge.jetstream import errors

if TYPE_CHECKING:
    from edge.jetstream.stream import Stream


class Place(NamedTuple):
    """What one message under way adds to the stream, once all of its subject beyond the limit has gone."""

    seq: int
    subject: str
    messages: int
    bytes: int


class Room:
    """Of one stream."""

    def __init__(self, stream: "Stream") -> None:
        self.stream = stream
        self.places: deque[Place] = deque()  # of the messages under way, in order
        self.sizes: dict[str, list[int]] = {}  # of the messages under way, by subject
        self.messages = self.bytes = 0  # what they come to

    def take(self, subject: str, size: int, rolls_up: bool = False) -> None:
        """For a message of so many bytes, all counted.  ApiError 10077 where there is none."""
        config, seq = self.stream.config, self.stream.last_sequence() + 1
        replaced = self._replaced(subject) if config.max_msgs_per_subject > 0 else None
        if replaced is None:
            place = Place(seq, subject, 1, size)
        else:
            if config.discard_new_per_subject and not rolls_up:
                raise errors.store_failed("maximum messages per subject exceeded")
            place = Place(seq, subject, 0, size - replaced)
        if place.messages and 0 < config.max_msgs <= self.stream.messages + self.messages:
            raise errors.store_failed("maximum messages exceeded")
        if 0 < config.max_bytes < self.stream.bytes + self.bytes + size and (place.messages or place.bytes > 0):
            raise errors.store_failed("maximum bytes exceeded")
        self.places.append(place)
        self.sizes.setdefault(subject, []).append(size)
        self.messages += place.messages
        self.bytes += place.bytes

    def _replaced(self, subject: str) -> int | None:
        """The size of the oldest message of this subject, that one more would push out; None: nothing goes."""
        stored: Sequence[int] = self.stream.histories().seqs.get(subject, ())
        coming = self.sizes.get(subject, [])
        oldest = len(stored) + len(coming) - self.stream.config.max_msgs_per_subject
        if oldest < 0:
            return None
        if oldest >= len(stored):
            return coming[oldest - len(stored)]
        row = self.stream.get(stored[oldest])
        return self.stream.size(row) if row is not None else 0

    def landed(self, last_seq: int) -> None:
        """Up to here all is on disk: the stream itself counts it now."""
        while self.places and self.places[0].seq <= last_seq:
            place = self.places.popleft()
            self.messages -= place.messages
            self.bytes -= place.bytes
            sizes = self.sizes[place.subject]
            del sizes[0]
            if not sizes:
                del self.sizes[place.subject]

    def forget(self, last_seq: int) -> None:
        """What has a sequence behind this one never came to be."""
        while self.places and self.places[-1].seq > last_seq:
            place = self.places.pop()
            self.messages -= place.messages
            self.bytes -= place.bytes
            sizes = self.sizes[place.subject]
            del sizes[-1]
            if not sizes:
                del self.sizes[place.subject]
