"""What the demo shows at one moment.  The stage and the watchers write it, a screen draws it."""

import time
from collections import deque
from dataclasses import dataclass, field

HISTORY = 72  # backlog samples in the curve: it fits on a terminal of 80 columns


@dataclass(slots=True)
class Arrival:
    """The newest reading of a subject at the hub."""

    value: str = ""
    count: int = 0


@dataclass(slots=True)
class Picture:
    link: str = "up"
    leaf_connected: bool | None = None
    """As the edge says; None while it says nothing."""
    edge: str = "starting"
    edge_reports: int = 0
    """How often the edge has told its state; a wait that must not see an old state waits for this to grow."""
    nodes: dict[str, str] = field(default_factory=dict)
    backlog_messages: int = 0
    backlog_bytes: int = 0
    backlog_history: deque[int] = field(default_factory=lambda: deque(maxlen=HISTORY))
    produced: dict[str, int] = field(default_factory=dict)
    """Device -> readings made so far."""
    stored: int = 0
    arrivals: dict[str, Arrival] = field(default_factory=dict)
    events: list[tuple[float, str]] = field(default_factory=list)
    """Seconds since the start, what happened."""
    started: float = field(default_factory=time.monotonic)

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def note(self, text: str) -> None:
        self.events.append((self.elapsed(), text))

    def arrived(self, subject: str, value: str) -> None:
        arrival = self.arrivals.setdefault(subject, Arrival())
        arrival.value = value
        arrival.count += 1

    def edge_says(self, leaf_connected: bool, messages: int, size_bytes: int) -> None:
        self.edge_reports += 1
        self.leaf_connected = leaf_connected
        self.backlog_messages = messages
        self.backlog_bytes = size_bytes
        self.backlog_history.append(messages)
