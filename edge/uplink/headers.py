"""A stored message as it goes to the hub.

Headers added to those it has:

``Nats-Msg-Id``           ``<edge>:<epoch>:<seq>``, by which the hub's stream tells repeats and a resume finds it
``Petiole-Time``          when it was stored here, RFC 3339 with microseconds: what arrives late must not look fresh
``Petiole-Time-Quality``  only where the clock was not set then; ``corrected``: it was set later, and this is when it
                          really was; ``unset``: nobody knows, but it was no earlier than what was stored before it
``Petiole-Boot``          with ``unset``: the boot of the machine, and the nanoseconds since then
``Petiole-Msg-Id``        the ``Nats-Msg-Id`` that its publisher gave it, if it did

A receipt of losses has ``Petiole-Lost`` (``losses.py``) and nothing else but its id.

Headers that only meant the local stream (expectations, batches, rollups) are left out.
"""

from datetime import UTC, datetime
from functools import lru_cache

from edge.core.wall_clock import CLOCK, EARLIEST_NS, UNSET, Moment
from edge.message import header_block, header_items
from edge.store.contract import Row

MSG_ID = "Nats-Msg-Id"
TIME = "Petiole-Time"
LOCAL_PREFIXES = ("Nats-Expected-", "Nats-Batch-", "Nats-Stream-Source", "Nats-Rollup")


def as_stamped(stamp: int) -> Moment:
    """Where nothing else is known of the clock."""
    return Moment(stamp, CLOCK if stamp >= EARLIEST_NS else UNSET)


def hub_headers(row: Row, msg_id: str, moment: Moment, encoding: str = "") -> bytes:
    items = [(MSG_ID, msg_id)]
    for name, value in header_items(row.headers):
        if name == MSG_ID:
            items.append(("Petiole-Msg-Id", value))
        elif not name.startswith(LOCAL_PREFIXES):
            items.append((name, value))
    if encoding:
        items.append(("Content-Encoding", encoding))
    items.append((TIME, to_microseconds(moment.time_ns)))
    if moment.quality != CLOCK:
        items.append(("Petiole-Time-Quality", moment.quality))
    if moment.boot:
        items.append(("Petiole-Boot", f"{moment.boot} {moment.since_boot}"))
    return header_block(items)


def receipt_headers(msg_id: str, loss: str) -> bytes:
    return header_block([(MSG_ID, msg_id), ("Petiole-Lost", loss)])


def rfc3339(time_ns: int) -> str:
    seconds, nanos = divmod(time_ns, 1_000_000_000)
    return f"{to_the_second(seconds)}.{nanos:09d}Z"


def to_microseconds(time_ns: int) -> str:
    """What is below goes over every line for nothing."""
    seconds, micros = divmod(time_ns // 1000, 1_000_000)
    return f"{to_the_second(seconds)}.{micros:06d}Z"


@lru_cache(64)
def to_the_second(seconds: int) -> str:
    """What was stored in one second goes up together."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
