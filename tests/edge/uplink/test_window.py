from edge.uplink.window import Window


def make_window(*keys: int, floor: int = 0, known: int = 100) -> Window:
    window = Window(floor, (), known)
    for key in keys:
        window.send(key, 10, 0)
    return window


def test_the_floor_follows_the_first_that_is_not_settled() -> None:
    window = make_window(1, 2)
    window.settle(2, 102)
    assert (window.floor, len(window), list(window.settled)) == (0, 1, [(2, 2)])
    window.settle(1, 101)
    assert (window.floor, window.bytes, list(window.settled)) == (2, 0, [])
    window.lose(3, 9)
    assert (window.floor, window.known) == (9, 102)


def test_what_the_hub_may_hold_of_the_doubtful_lies_behind_after() -> None:
    window = make_window(1)
    window.settle(1, 101)
    window.send(2, 10, 0)
    window.send(50, 10, 0)  # another front
    assert window.after == 101
    window.settle(50, 140)
    window.send(51, 10, 0)
    assert (window.after, window.known) == (101, 140)
    window.settle(2, 150)
    assert window.after == 140
    window.settle(51, 151)
    assert (window.floor, window.after, list(window.settled)) == (2, 151, [(50, 51)])


def test_what_was_in_doubt_once_lies_where_it_was_sent_first_until_it_is_settled() -> None:
    """A copy may still be on its way when the message has been looked for."""
    window = make_window(1, 2)
    window.settle(2, 130)
    window.restart()
    assert (window.doubts, len(window), list(window.taken)) == ({1}, 0, [(2, 2)])
    window.send(1, 10, 0)
    window.send(3, 10, 0)
    assert window.after == 100
    window.settle(1, 125)
    assert (window.floor, window.after) == (2, 130)


def test_what_an_earlier_process_may_have_sent() -> None:
    window = Window(4, [(8, 9)], 500)
    window.settle(7, 620)
    window.doubt([3, 5, 6, 8, -1], 500)
    assert window.doubts == {5, 6, -1} and window.after == 500
    window.settle(5, 510)
    window.settle(6, 511)
    assert (window.floor, window.after) == (9, 500)
    window.settle(-1, 512)
    assert window.after == 620


def test_answers_twice_say_nothing_new() -> None:
    window = make_window(1, 2)
    assert window.settle(1, 101) is not None
    assert window.settle(1, 101) is None
    assert window.bytes == 10


def test_another_stream_at_the_hub() -> None:
    window = make_window(1, 2)
    window.settle(1, 500)
    window.restart()
    window.rebase(0)
    assert (window.after, window.known) == (0, 0)
    window.send(2, 10, 0)
    window.settle(2, 1)
    assert window.after == 1
