"""How long each act of the demo lasts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds; the whole is under 90 s at NORMAL and under 45 s at FAST, waiting for elections included."""

    reading_every_s: float
    calm_s: float
    """All is well."""
    answers_lost_s: float
    """The hub stores, its PubAcks do not come back."""
    silent_s: float
    cut_s: float
    """Link refused, edge alive: twice, before the kill and after the restart."""
    edge_dead_s: float
    after_node_loss_s: float


NORMAL = Pace(0.1, calm_s=8, answers_lost_s=1.5, silent_s=2, cut_s=7, edge_dead_s=3, after_node_loss_s=8)
FAST = Pace(0.05, calm_s=2, answers_lost_s=0.7, silent_s=0.5, cut_s=2, edge_dead_s=1, after_node_loss_s=2)
