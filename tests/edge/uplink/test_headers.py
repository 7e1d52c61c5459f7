from edge.core.wall_clock import CORRECTED, UNSET, Moment
from edge.message import header_items
from edge.store.contract import Row
from edge.uplink.headers import as_stamped, hub_headers, rfc3339


def test_a_plain_reading() -> None:
    reading = Row(5, "t.a", 1_795_395_102_528_582_985, b"", b"x")
    assert header_items(hub_headers(reading, "e1:E:5", as_stamped(reading.time_ns))) == [
        ("Nats-Msg-Id", "e1:E:5"),
        ("Petiole-Time", "2026-11-23T00:51:42.528582Z"),
    ]


def test_its_own_headers_go_along_and_what_meant_the_local_stream_does_not() -> None:
    block = (
        b"NATS/1.0\r\nUnit: C\r\nNats-Msg-Id: mine\r\nNats-Expected-Last-Sequence: 4\r\n"
        b"Nats-Rollup: sub\r\nUnit: K\r\nNats-TTL: 1h\r\n\r\n"
    )
    items = header_items(hub_headers(Row(5, "t.a", 0, block, b""), "e1:E:5", as_stamped(0)))
    assert items == [
        ("Nats-Msg-Id", "e1:E:5"),
        ("Unit", "C"),
        ("Petiole-Msg-Id", "mine"),
        ("Unit", "K"),
        ("Nats-TTL", "1h"),
        ("Petiole-Time", "1970-01-01T00:00:00.000000Z"),
        ("Petiole-Time-Quality", "unset"),
    ]


def test_nanoseconds_survive() -> None:
    assert rfc3339(1_000_000_001) == "1970-01-01T00:00:01.000000001Z"


def test_times_of_a_clock_that_was_set_later_or_never() -> None:
    reading = Row(5, "t.a", 7, b"", b"x")
    assert header_items(hub_headers(reading, "i", Moment(2_000_000_000, CORRECTED)))[1:] == [
        ("Petiole-Time", "1970-01-01T00:00:02.000000Z"),
        ("Petiole-Time-Quality", "corrected"),
    ]
    assert header_items(hub_headers(reading, "i", Moment(7, UNSET, "b", 3)))[1:] == [
        ("Petiole-Time", "1970-01-01T00:00:00.000000Z"),
        ("Petiole-Time-Quality", "unset"),
        ("Petiole-Boot", "b 3"),
    ]
