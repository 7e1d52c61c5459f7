"""What an operator tells an uplink, here or from the hub: requests to ``petiole.<edge>.uplink.<name>.<verb>``.

``pause``: nothing more is sent, what comes is kept.  ``resume``: go on.  Both hold across restarts.  The answer,
``{"uplink": ..., "paused": ...}``, comes when that is on disk.
"""

import json
from functools import partial

from edge.core.account import Account
from edge.core.times import Clock
from edge.uplink.uplink import Uplink

VERBS = ("pause", "resume")
MAX_WAITING = 100


class Commands:
    def __init__(self, token: str, account: Account, clock: Clock) -> None:
        self.prefix = f"petiole.{token}.uplink"
        self.account = account
        self.clock = clock
        self.waiting: list[tuple[Uplink, str]] = []  # for the disk

    def add(self, uplink: Uplink) -> None:
        for verb in VERBS:
            self.account.subscribe(f"{self.prefix}.{uplink.name}.{verb}", partial(self._on_request, uplink, verb))

    def _on_request(self, uplink: Uplink, verb: str, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        if reply and len(self.waiting) < MAX_WAITING:
            self.waiting.append((uplink, reply))
        uplink.pause(verb == "pause", self.clock.monotonic())
        self.clock.wake()

    def saved(self, uplink: Uplink) -> None:
        """Something of it has reached the disk."""
        if not self.waiting or uplink.keeper.progress.paused != uplink.paused:
            return
        answered = [entry for entry in self.waiting if entry[0] is uplink]
        self.waiting = [entry for entry in self.waiting if entry[0] is not uplink]
        body = json.dumps({"uplink": uplink.name, "paused": uplink.paused}).encode()
        for _, reply in answered:
            self.account.publish(reply, body)
