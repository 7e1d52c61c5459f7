from firmware_bridge.journal import Entry
from firmware_bridge.lookback import Place
from firmware_bridge.settled import Settled


def at(seq: int) -> Place:
    return Place("T", seq)


def test_up_to_the_first_gap() -> None:
    settled = Settled()
    assert settled.take("pump", 9, 1) is None
    settled.add("pump", 9, 2, at(12))
    assert settled.take("pump", 9, 1) is None
    settled.add("pump", 9, 1, at(13))
    assert settled.take("pump", 9, 1) == Entry(9, 2, at(13))
    assert settled.take("pump", 9, 3) is None


def test_what_stands_beyond_the_gap_can_be_found_again() -> None:
    settled = Settled()
    for seq, place in ((5, 103), (7, 105), (9, 106), (6, 107)):
        settled.add("pump", 9, seq, at(place))
    assert settled.take("pump", 9, 5) == Entry(9, 7, at(105))  # 9 is at 106
    settled.add("pump", 9, 8, at(108))
    assert settled.take("pump", 9, 8) == Entry(9, 9, at(108))


def test_another_boot_or_device_begins_anew() -> None:
    settled = Settled()
    settled.add("pump", 9, 1, at(1))
    assert settled.take("pump", 10, 1) is None and settled.take("valve", 9, 1) is None
    settled.add("pump", 10, 2, at(2))
    assert settled.take("pump", 10, 1) is None
    settled.add("pump", 10, 1, at(3))
    assert settled.take("pump", 10, 1) == Entry(10, 2, at(3))


def test_another_stream_is_looked_through_from_its_own_place() -> None:
    settled = Settled()
    settled.add("pump", 9, 1, Place("OLD", 500))
    settled.add("pump", 9, 3, Place("OLD", 501))
    settled.add("pump", 9, 2, at(1))
    assert settled.take("pump", 9, 1) == Entry(9, 3, at(1))
