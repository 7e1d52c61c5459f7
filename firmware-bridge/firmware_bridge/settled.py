"""Which readings of one boot are stored without a gap: what the journal says and the device may forget.  Pure."""

from firmware_bridge.journal import Entry
from firmware_bridge.lookback import Place


class Settled:
    """Places arrive in any order; ``take`` answers what is new up to the first gap."""

    def __init__(self) -> None:
        self.key = ("", 0)  # device and boot
        self.beyond: dict[int, Place] = {}  # stored, with one before them that is not
        self.newest: Place | None = None

    def add(self, device: str, boot: int, seq: int, place: Place) -> None:
        if (device, boot) != self.key:
            self.key = (device, boot)
            self.beyond.clear()
        self.beyond[seq] = place
        self.newest = place

    def take(self, device: str, boot: int, next: int) -> Entry | None:
        """``next`` is the first that was not known to be stored.  None: it still is not."""
        if (device, boot) != self.key:
            return None
        last = next - 1
        while last + 1 in self.beyond:
            last += 1
            del self.beyond[last]
        self.beyond = {seq: place for seq, place in self.beyond.items() if seq > last}
        if last < next or self.newest is None:
            return None
        return Entry(boot, last, self._look_back_from(self.newest))

    def _look_back_from(self, newest: Place) -> Place:
        """Those beyond the gap are not in the entry: whoever reads it must find them."""
        first = min((place.seq for place in self.beyond.values() if place.stream == newest.stream), default=0)
        return Place(newest.stream, first - 1) if first else newest
