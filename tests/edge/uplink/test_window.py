from edge.uplink.window import Window


def make_window(*seqs: int, floor: int = 0, known: int = 100) -> Window:
    window = Window(floor, known)
    window.resumed()
    for seq in seqs:
        window.send(seq, 10)
    return window


def test_the_floor_follows_the_first_that_is_not_settled() -> None:
    window = make_window(1, 2, 5)
    assert (len(window), window.bytes, window.last) == (3, 30, 5)
    window.settle(2, 102)
    assert (window.floor, len(window)) == (0, 2)
    window.settle(1, 101)
    assert (window.floor, window.bytes) == (2, 10)
    window.settle(5, 103)
    assert (window.floor, len(window), window.known) == (5, 0, 103)


def test_what_the_hub_may_hold_of_the_doubtful_lies_behind_after() -> None:
    window = make_window(1)
    window.settle(1, 101)
    window.send(2, 10)  # not stored before 102
    window.send(3, 10)
    assert window.after == 101
    window.settle(3, 140)
    window.send(4, 10)
    assert (window.after, window.known) == (101, 140)
    window.settle(2, 150)
    assert (window.floor, window.after) == (3, 140)
    window.settle(4, 151)
    assert window.after == 151


def test_a_restart_keeps_what_is_settled_and_the_bound() -> None:
    window = make_window(1, 2, 3, 4)
    window.settle(2, 110)
    window.restart()
    assert (window.floor, len(window), window.after) == (0, 0, 100)
    assert [window.is_settled(seq) for seq in (1, 2, 3, 4)] == [False, True, False, False]
    window.settle(4, 120)  # found at the hub
    window.resumed()
    window.send(1, 10)
    # 2 lies at 110: until the floor has passed it, a power cut must be able to find it
    assert window.after == 100
    assert window.pass_over(2)
    window.send(3, 10)
    assert window.pass_over(4) and not window.pass_over(5)
    window.send(5, 10)
    window.settle(1, 121)
    assert (window.floor, window.after) == (2, 100)
    window.settle(3, 122)
    assert (window.floor, window.after) == (4, 120)


def test_answers_twice_or_too_late_say_nothing_new() -> None:
    window = make_window(1, 2)
    assert window.settle(1, 101)
    assert not window.settle(1, 101)
    assert not window.settle(7, 109)  # sent before a restart; what is in flight lies behind 100 only
    assert not window.is_settled(7)
    assert window.known == 109


def test_a_repeat_acknowledged_with_the_place_of_the_first_copy() -> None:
    window = make_window(1)
    window.settle(1, 130)
    window.send(2, 10)
    window.send(3, 10)
    assert window.after == 130
    window.settle(3, 125)  # a copy sent before the restart had arrived late
    assert window.after == 124


def test_another_stream_at_the_hub() -> None:
    window = make_window(1)
    window.settle(1, 500)
    window.restart()
    window.rebase(0)
    assert (window.after, window.known) == (0, 0)
    window.resumed()
    window.send(2, 10)
    window.settle(2, 1)
    assert window.after == 1
