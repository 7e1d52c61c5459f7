"""The places of consumers, as ``verify`` looks at them."""

import pytest

from edge.jetstream.acks import Acks
from edge.jetstream.consumer_config import ConsumerConfig
from edge.tools.database.verify import _disagreement


@pytest.mark.parametrize("picked", [0, 3])
def test_what_a_consumer_saves_is_sound(picked: int) -> None:
    acks = Acks(ConsumerConfig("c", ack_policy="explicit", ack_wait_ns=1), 0)
    for seq in (1, 2, 4):
        acks.deliver(seq, 0)
    acks.ack(2)
    acks.picked_up_to = picked  # while the last message of each subject is delivered
    assert _disagreement(acks.encode(), 9) == ""
    assert "cannot be read" in _disagreement(b"{}", 9)
