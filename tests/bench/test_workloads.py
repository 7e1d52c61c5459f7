from bench.__main__ import ALL
from bench.table import Row


def rows() -> list[Row]:
    return [row for workload in ALL for row in workload.rows]


def test_every_row_compares_the_edge_with_a_contender_of_its_workload() -> None:
    for workload in ALL:
        edge, *rivals = workload.contenders
        assert edge.is_edge and edge.name == "edge"
        assert not any(rival.is_edge for rival in rivals)
        assert {row.rival for row in workload.rows} == {rival.name for rival in rivals}


def test_names_are_distinct() -> None:
    names = [workload.name for workload in ALL]
    assert len(set(names)) == len(names)


def test_what_is_asked_is_in_the_table() -> None:
    targets = [(row.target.bound, row.target.absolute, row.less) for row in rows() if row.target]
    assert targets == [
        (0.6, False, False),
        (1.5, False, False),
        (0.6, False, False),
        (1.5, False, False),
        (90, True, False),
        (90, True, False),
        (30, True, True),
        (1, False, True),
        (0.5, False, True),
        (200, True, True),
        (30, False, False),
        (0.6, False, False),
        (20, False, False),
        (0.45, False, False),
        (1.1, False, True),
        (0.5, False, False),
        (0.5, False, False),
        (1, False, True),
        (1, False, True),
        (1 / 3, False, True),
        (1 / 3, False, True),
        (300, True, True),
        (2000, True, True),
        (90, True, False),
        (90, True, False),
    ]
