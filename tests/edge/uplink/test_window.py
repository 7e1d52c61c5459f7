from edge.uplink.window import Window, runs


def make_window(*keys: int, floor: int = 0, known: int = 100) -> Window:
    """Each in a burst of its own."""
    window = Window(floor, (), known)
    for key in keys:
        window.send([key], 10, 0)
    return window


def answer(window: Window, key: int, hub_seq: int) -> tuple[list[int], int]:
    burst = next(burst for burst in [*window.bursts.values(), *window.overdue.values()] if key in burst.keys)
    return window.answer(burst, 1, hub_seq, 5)


def test_the_floor_follows_the_first_that_is_not_settled() -> None:
    window = make_window(1, 2)
    assert answer(window, 2, 102) == ([2], 10)
    assert (window.floor, len(window), list(window.settled)) == (0, 1, [(2, 2)])
    answer(window, 1, 101)
    assert (window.floor, len(window), list(window.settled)) == (2, 0, [])
    window.lose(3, 9)
    assert (window.floor, window.known) == (9, 102)


def test_a_burst_is_answered_bit_by_bit() -> None:
    window = make_window(1)
    burst = window.send([2, 3, 4, 7, 8], 100, 50)
    assert (len(window), window.oldest, list(window.taken)) == (6, 0, [(1, 4), (7, 8)])
    assert window.answer(burst, 2, 0, 60) == ([2, 3], 40)
    window.drop(burst, 2)  # a dead letter, say
    assert window.answer(burst, 4, 0, 70) == ([7], 40)
    assert window.answer(burst, 4, 0, 80) == ([], 0)
    assert (list(window.settled), len(window), window.known) == ([(2, 3), (7, 7)], 2, 100)
    answer(window, 1, 101)
    assert (window.floor, window.oldest) == (3, 70)
    assert window.answer(burst, 99, 120, 90) == ([8], 20)
    assert (window.oldest, window.known, list(window.settled)) == (None, 120, [(7, 8)])


def test_what_the_hub_may_hold_of_the_doubtful_lies_behind_after() -> None:
    window = make_window(1)
    answer(window, 1, 101)
    window.send([2], 10, 0)
    window.send([50], 10, 0)  # another front
    assert window.after == 101
    answer(window, 50, 140)
    window.send([51], 10, 0)
    assert (window.after, window.known) == (101, 140)
    answer(window, 2, 150)
    assert window.after == 140
    answer(window, 51, 151)
    assert (window.floor, window.after, list(window.settled)) == (2, 151, [(50, 51)])


def test_what_was_in_doubt_once_lies_where_it_was_sent_first_until_it_is_settled() -> None:
    """A copy may still be on its way when the message has been looked for."""
    window = make_window(1, 2)
    answer(window, 2, 130)
    window.restart()
    assert (window.doubts, len(window), list(window.taken)) == ({1}, 0, [(2, 2)])
    again = window.send([1], 10, 0)
    window.send([3], 10, 0)
    assert window.after == 100
    window.answer(again, 1, 125, 5)
    assert (window.floor, window.after) == (2, 130)


def test_an_answer_that_comes_late_says_what_it_says() -> None:
    window = make_window(1, 2)
    window.restart()
    assert answer(window, 2, 140) == ([2], 10)
    assert (window.doubts, window.known, len(window), list(window.settled)) == ({1}, 140, 0, [(2, 2)])
    window.rebase(0)
    assert not window.overdue  # of another stream than the one that is there now


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
    burst = window.bursts[1]
    assert window.answer(burst, 1, 101, 5) == ([1], 10)
    assert window.answer(burst, 1, 101, 5) == ([], 0)
    assert len(window) == 1 and window.find(1) is None


def test_another_stream_at_the_hub() -> None:
    window = make_window(1, 2)
    answer(window, 1, 500)
    window.restart()
    window.rebase(0)
    assert (window.after, window.known) == (0, 0)
    window.send([2], 10, 0)
    answer(window, 2, 1)
    assert window.after == 1


def test_neighbours() -> None:
    assert runs([]) == [] and runs([-3]) == []
    assert runs([4, 5, 6]) == [(4, 6)]
    assert runs([4, 5, 7, 9, 10]) == [(4, 5), (7, 7), (9, 10)]
