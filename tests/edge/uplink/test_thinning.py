from hypothesis import given
from hypothesis import strategies as st

from edge.uplink.thinning import Comb, Combs

COMBS = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 40), st.integers(1, 4)).map(
        lambda of: Comb(of[0], of[0] + of[1], 1 << of[2])
    ),
    max_size=8,
)


@given(COMBS, st.integers(1, 110), st.integers(0, 60))
def test_what_is_told_is_what_was_taken(combs: list[Comb], first: int, size: int) -> None:
    kept = Combs()
    told: set[int] = set()
    for comb in combs:
        kept.add(comb)
        told |= {seq for seq in range(comb.first, comb.last + 1) if seq % comb.step}
    assert kept.untold(first, first + size) == len(set(range(first, first + size + 1)) - told)
    assert all(one.last < two.first for one, two in zip(kept.combs, kept.combs[1:], strict=False))
    kept.forget_up_to(50)
    assert all(comb.last > 50 for comb in kept.combs)


def test_slices_that_follow_each_other_are_one() -> None:
    combs = Combs()
    for first in (1, 1026, 2050):
        combs.add(Comb(first, first + 1023, 2))
    for first, last in ((2, 1024), (1026, 2048), (2050, 3072)):
        combs.add(Comb(first, last, 4))
    assert len(combs.combs) < 4
