"""Plain acks as they come by the hundred: read where they stand in a client's chunk, and taken as one."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.jetstream.consumer import Consumer

# $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>, without a reply
ACK = re.compile(
    rb"PUB \$JS\.ACK\.([^. \r\n]+\.[^. \r\n]+)\.[0-9]{1,20}\.([0-9]{1,20})\.[0-9]{1,20}\.[0-9]{1,20}\.[0-9]{1,20}"
    rb" (?:4\r\n(\+ACK)|0\r\n)\r\n"
)


class AckReader:
    """What a subscription has as its ``read_run``."""

    def __init__(self, consumer: "Consumer") -> None:
        self.consumer = consumer
        self.owner = f"{consumer.stream.name}.{consumer.name}".encode("utf-8", "surrogateescape")

    def __call__(self, data: bytes, pos: int) -> tuple[int, int, int]:
        if self.consumer.config.sample_freq:
            return 0, 0, pos  # each is looked at
        seqs: list[int] = []
        size = 0
        match, owner = ACK.match, self.owner
        while (found := match(data, pos)) is not None and found[1] == owner:
            seqs.append(int(found[2]))
            size += 4 if found[3] else 0
            pos = found.end()
        if seqs:
            self.consumer.ack_many(seqs)
        return len(seqs), size, pos
