from edge.uplink.gathering import ENOUGH, Gathering


def test_what_comes_waits_from_the_first_on_and_no_longer() -> None:
    gathering = Gathering(100)
    gathering.begin(1000)
    gathering.begin(1050)
    assert (gathering.until, gathering.waits_for_more(3)) == (1100, True)
    assert not gathering.tick(1099) and gathering.tick(1100)
    gathering.begin(1100)  # while the line has no room yet
    assert not gathering.waits_for_more(3) and gathering.until is None
    gathering.end()
    gathering.begin(1200)
    assert gathering.until == 1300


def test_many_wait_for_no_others() -> None:
    gathering = Gathering(100)
    gathering.begin(0)
    assert gathering.waits_for_more(ENOUGH - 2) and not gathering.waits_for_more(ENOUGH - 1)


def test_nothing_waits_where_nobody_asked_for_it() -> None:
    gathering = Gathering(0)
    gathering.begin(0)
    assert gathering.until is None and not gathering.waits_for_more(0)
