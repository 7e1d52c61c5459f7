from edge.uplink.losses import LIMITS, MAX_WAITING, THINNED, Loss, Losses


def test_neighbours_are_told_of_together_until_they_have_a_number() -> None:
    losses = Losses((), 0, {})
    losses.add(1, 5, 5, LIMITS)
    losses.add(6, 9, 4, LIMITS)
    assert losses.number_all() and not losses.number_all()
    losses.add(10, 11, 2, LIMITS)
    assert losses.waiting == [Loss(1, 9, 9, LIMITS, number=1), Loss(10, 11, 2, LIMITS)]
    assert losses.waiting[0].header() == "1-9; limits; 9"
    losses.told(1)
    assert losses.find(1) is None and len(losses.waiting) == 1 and losses.gone == {LIMITS: 11}


def test_what_is_thinned_again_is_one_loss() -> None:
    losses = Losses((), 0, {})
    losses.add(1, 100, 50, THINNED, 2)
    losses.add(1, 200, 75, THINNED, 4)
    assert [loss.header() for loss in losses.waiting] == ["1-200/4; thinned; 125"]
    losses.add(50, 250, 10, THINNED, 2)  # no part of it
    assert len(losses.waiting) == 2


def test_there_is_no_end_of_losses_but_of_their_list() -> None:
    losses = Losses((), 0, {})
    for seq in range(1, 1001, 2):
        losses.add(seq, seq, 1, LIMITS)
    assert len(losses.waiting) == MAX_WAITING and losses.total == 500
    assert sum(loss.messages for loss in losses.waiting) == 500
