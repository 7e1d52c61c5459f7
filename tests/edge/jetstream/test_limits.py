from edge.core.account_spec import JetStreamLimits
from edge.jetstream.limits import Limits, ServerLimits


def test_the_least_of_account_and_server_holds() -> None:
    account, server = Limits(max_ack_pending=5, file_max_stream_bytes=7), ServerLimits(max_ack_pending=4)
    assert account.consumer_bounds(server) == (4, 0)
    assert account.consumer_bounds(ServerLimits(max_request_batch=3)) == (5, 3)
    assert Limits().consumer_bounds(ServerLimits()) == (0, 0)
    assert account.stream_bounds("file", ServerLimits(max_window_ns=9)) == (False, 7, 9)
    assert account.stream_bounds("memory", server) == (False, 0, 0)


def test_tiers_are_told() -> None:
    one = JetStreamLimits(max_memory_bytes=5)
    limits = Limits.of(one._replace(tiers=(("R1", one),)))
    assert limits.max_bytes("memory") == 5 and limits.max_bytes("file") is None
    assert limits.tiers[0][1].fields() == limits.fields()
    assert limits.fields()["max_memory"] == 5 and limits.fields()["max_storage"] == -1
