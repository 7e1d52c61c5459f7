"""Priority groups: which of the waiting pull requests may be served (reference: jetstream.md section 5)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge.jetstream.advisories import random_name
from edge.jetstream.pull import BadRequest, PullRequest

if TYPE_CHECKING:
    from edge.jetstream.consumer import Consumer


class Pin:
    """Of policy ``pinned_client``: one client is served until it stays away longer than ``priority_timeout``."""

    def __init__(self, consumer: "Consumer") -> None:
        self.consumer = consumer
        self.id = ""
        self.pinned_ns = 0  # wall time
        self.expires_at = 0  # monotonic
        self.group = ""

    def give(self, request: PullRequest, now: int) -> None:
        self.id = request.pin = random_name(22)
        self.group = request.group
        self.pinned_ns = self.consumer.clock.wall()
        self.renew(now)
        self.consumer.advisories.pinned(self.consumer.stream.name, self.consumer.name, self.group, self.id)

    def renew(self, now: int) -> None:
        self.expires_at = now + self.consumer.config.priority_timeout_ns

    def take(self, reason: str = "") -> None:
        """Nobody is pinned any more; with a ``reason``: whoever listens is told."""
        group, self.id, self.pinned_ns, self.expires_at = self.group, "", 0, 0
        if reason:
            self.consumer.advisories.unpinned(self.consumer.stream.name, self.consumer.name, group, reason)


def check_request(consumer: "Consumer", fields: Mapping[str, Any]) -> None:
    """BadRequest for what does not go with the consumer's policy."""
    policy = consumer.config.priority_policy
    if (fields.get("min_pending") or fields.get("min_ack_pending")) and policy != "overflow":
        raise BadRequest("Not a Overflow Priority consumer")
    if fields.get("id") and policy != "pinned_client":
        raise BadRequest("Not a Pinned Client Priority consumer")
    if not 0 <= fields.get("priority", 0) <= 9:
        raise BadRequest("Priority must be between 0 and 9")
    if policy and fields:
        if not fields.get("group"):
            raise BadRequest("Priority Group missing")
        if fields["group"] not in consumer.config.priority_groups:
            raise BadRequest("Invalid Priority Group")


def overflows(consumer: "Consumer", request: PullRequest) -> bool:
    """Is there enough to do for a request that only helps out?"""
    if not request.min_pending and not request.min_ack_pending:
        return True
    if 0 < request.min_pending <= consumer.num_pending():
        return True
    return 0 < request.min_ack_pending <= len(consumer.acks.pending)
