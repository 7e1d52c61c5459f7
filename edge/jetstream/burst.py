"""Many messages at once to one client: the frames that it would be given one by one, and one note of all of them.

Only for what is nobody's but its own: no redelivery, no pace, nothing added to the messages.  Whatever else there is
goes the general way, message by message (``Consumer.send``).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from edge.core.peer import Subscription
from edge.message import raw
from edge.store.contract import Row

if TYPE_CHECKING:
    from edge.jetstream.consumer import Consumer

MOST = 256  # messages


class Burst(NamedTuple):
    """``size``: their bytes, counted as ``Consumer.size`` does."""

    messages: int
    size: int


NOTHING = Burst(0, 0)


def burst(consumer: "Consumer", sub: Subscription, most: int, now: int) -> Burst:
    """Deliver up to so many new messages; ``NOTHING`` where that is none, or where it is not that simple."""
    acks, cursor, retention = consumer.acks, consumer.cursor, consumer.stream.retention
    if acks.again or cursor.picked or not consumer.is_plain() or consumer.account.router.traced is not None:
        return NOTHING
    pending = consumer.num_pending()  # counted now, it stays right when messages are taken
    rows = cursor.take(min(most, acks.room(), MOST))
    if not rows:
        return NOTHING
    first = acks.delivered.consumer_seq + 1
    seqs = [row[0] for row in rows]
    acks.deliver_new(seqs, now)
    cursor.delivered = seqs[-1]
    frames, inner, outer = _frames(rows, sub.sid, f"{consumer.prefix}.1", first, pending)
    sub.delivered += len(rows)
    sub.peer.put(b"".join(frames), len(rows), inner)
    if consumer.config.ack_policy == "none":
        retention.acknowledged(seqs)
    consumer.note_delivery()
    return Burst(len(rows), outer)


def _frames(rows: Sequence[Row], sid: bytes, prefix: str, cseq: int, pending: int) -> tuple[list[bytes], int, int]:
    """With the bytes of headers and payloads, and those of subjects and replies besides."""
    frames: list[bytes] = []
    head = raw(prefix)
    inner = names = 0
    for seq, subject, time_ns, headers, payload in rows:
        pending -= 1
        name = raw(subject)
        size = len(payload)
        if headers:
            size += len(headers)
            reply = b"%b.%d.%d.%d.%d" % (head, seq, cseq, time_ns, pending)
            line = b"HMSG %b %b %b %d %d\r\n" % (name, sid, reply, len(headers), size)
            frames += (line, headers, payload, b"\r\n")
        else:
            frames.append(
                b"MSG %b %b %b.%d.%d.%d.%d %d\r\n%b\r\n" % (name, sid, head, seq, cseq, time_ns, pending, size, payload)
            )
        cseq += 1
        inner += size
        names += len(name)
    # Of numbers that hardly differ in length it is enough to look at the last.
    reply_length = len(head) + 4 + len(b"%d%d%d%d" % (rows[-1][0], cseq - 1, rows[-1][2], pending))
    return frames, inner, inner + names + len(rows) * reply_length
