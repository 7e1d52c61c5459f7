from hypothesis import given
from hypothesis import strategies as st

from edge.uplink.ranges import Ranges

PAIRS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))), max_size=12)


@given(PAIRS, st.integers(0, 80), st.integers(0, 80))
def test_as_a_set_would_have_it(pairs: list[tuple[int, int]], low: int, high: int) -> None:
    ranges = Ranges(pairs)
    members = {seq for first, last in pairs for seq in range(first, last + 1)}
    assert {seq for seq in range(100) if seq in ranges} == members
    assert all(last + 1 < first for (_, last), (first, _) in zip(list(ranges), list(ranges)[1:], strict=False))
    assert ranges.count() == len(members)
    assert ranges.after(low) == next(seq for seq in range(low, 200) if seq not in members)
    gaps = {seq for first, last in ranges.gaps(low, high) for seq in range(first, last + 1)}
    assert gaps == set(range(low, high + 1)) - members
    ranges.remove_up_to(low)
    assert {seq for seq in range(100) if seq in ranges} == {seq for seq in members if seq > low}
