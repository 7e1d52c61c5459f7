"""What an uplink takes turns with on the line: one for what is fresh, one for the rest."""

from typing import TYPE_CHECKING

from edge.uplink.line import FRESH

if TYPE_CHECKING:
    from edge.uplink.uplink import Uplink


class FrontTurn:
    def __init__(self, uplink: "Uplink", fresh: bool, is_urgent: bool, weight: int) -> None:
        self.uplink = uplink
        self.fresh = fresh
        self.is_urgent = is_urgent
        self.weight = weight * FRESH if fresh else weight

    def send(self, room: int, now: int) -> int:
        return self.uplink.send(self.fresh, room, now)
