"""What everything in the system account begins with: the server that speaks (reference: core.md section 5)."""

import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edge.core.times import rfc3339

Fields = dict[str, Any]

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
JETSTREAM_ENABLED = 1  # nats-server's other flags are of snapshots and of Raft
FEATURE_FLAGS = {
    "js_ack_fc_v2": False,
    "js_api_reply_v2": False,
    "js_raft_delete_range": False,
    "js_snapshot_sources": False,
}


class Identity(NamedTuple):
    """``version`` is the nats-server level that is spoken here; ``cluster`` is empty unless there are leafs."""

    name: str
    host: str
    id: str
    version: str
    cluster: str = ""
    domain: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = {}
    jetstream: bool = False


class Stamp:
    """Each message of the server has the next number and its own time; ``wall`` in nanoseconds since 1970."""

    def __init__(self, identity: Identity, wall: Callable[[], int]) -> None:
        self.identity = identity
        self.wall = wall
        self.started_ns = wall()
        self.seq = 0

    def server(self) -> Fields:
        own = self.identity
        self.seq += 1
        fields: Fields = {"name": own.name, "host": own.host, "id": own.id}
        if own.cluster:
            fields["cluster"] = own.cluster
        if own.domain:
            fields["domain"] = own.domain
        fields["ver"] = own.version
        if own.tags:
            fields["tags"] = list(own.tags)
        if own.metadata:
            fields["metadata"] = dict(own.metadata)
        return fields | {
            "feature_flags": FEATURE_FLAGS,
            "jetstream": own.jetstream,
            "flags": JETSTREAM_ENABLED if own.jetstream else 0,
            "seq": self.seq,
            "time": rfc3339(self.wall()),
        }

    def event(self, kind: str) -> Fields:
        """The head of an event; ``kind`` is what its schema is called."""
        return {
            "type": f"io.nats.server.advisory.v1.{kind}",
            "id": "".join(random.choices(ALPHABET, k=22)),
            "timestamp": rfc3339(self.wall()),
        }
