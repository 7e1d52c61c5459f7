"""How much accounts and the server let be stored and asked for.  None is unlimited everywhere."""

from typing import NamedTuple

from edge.core.account_spec import JetStreamLimits
from edge.jetstream.consumer_rules import Bounds
from edge.jetstream.stream_rules import StreamBounds


class ServerLimits(NamedTuple):
    """Bytes are those of all accounts together; the others are for any one consumer or stream."""

    max_file_bytes: int | None = None
    max_memory_bytes: int | None = None
    max_ack_pending: int | None = None
    max_request_batch: int | None = None
    max_window_ns: int | None = None

    def max_bytes(self, storage: str) -> int | None:
        return self.max_memory_bytes if storage == "memory" else self.max_file_bytes


class Limits(NamedTuple):
    """Of one account.  Counts of 0 are unlimited too; ``tiers`` are only told of."""

    max_file_bytes: int | None = None
    max_memory_bytes: int | None = None
    max_streams: int | None = None
    max_consumers: int | None = None
    max_ack_pending: int | None = None
    memory_max_stream_bytes: int | None = None
    file_max_stream_bytes: int | None = None
    max_bytes_required: bool = False
    tiers: "tuple[tuple[str, Limits], ...]" = ()

    @classmethod
    def of(cls, limits: JetStreamLimits) -> "Limits":
        tiers = tuple((name, cls.of(tier)) for name, tier in limits.tiers)
        return cls(**limits._asdict() | {"tiers": tiers})

    def max_bytes(self, storage: str) -> int | None:
        return self.max_memory_bytes if storage == "memory" else self.max_file_bytes

    def fields(self) -> dict[str, object]:
        """As INFO tells them."""
        return {
            "max_memory": _told(self.max_memory_bytes),
            "max_storage": _told(self.max_file_bytes),
            "max_streams": _told(self.max_streams),
            "max_consumers": _told(self.max_consumers),
            "max_ack_pending": _told(self.max_ack_pending),
            "memory_max_stream_bytes": _told(self.memory_max_stream_bytes),
            "storage_max_stream_bytes": _told(self.file_max_stream_bytes),
            "max_bytes_required": self.max_bytes_required,
        }

    def stream_bounds(self, storage: str, server: ServerLimits) -> StreamBounds:
        most = self.memory_max_stream_bytes if storage == "memory" else self.file_max_stream_bytes
        return StreamBounds(self.max_bytes_required, most or 0, server.max_window_ns or 0)

    def consumer_bounds(self, server: ServerLimits) -> Bounds:
        pending = [limit for limit in (self.max_ack_pending, server.max_ack_pending) if limit]
        return Bounds(min(pending, default=0), server.max_request_batch or 0)


def _told(limit: int | None) -> int:
    return -1 if limit is None else limit
