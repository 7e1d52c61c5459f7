from bench.table import Row
from bench.workloads import WORKLOADS


def rows() -> list[Row]:
    return [row for workload in WORKLOADS for row in workload.rows]


def test_every_row_compares_the_edge_with_a_contender_of_its_workload() -> None:
    for workload in WORKLOADS:
        edge, *rivals = workload.contenders
        assert edge.is_edge and edge.name == "edge"
        assert not any(rival.is_edge for rival in rivals)
        assert {row.rival for row in workload.rows} == {rival.name for rival in rivals}


def test_names_are_distinct() -> None:
    names = [workload.name for workload in WORKLOADS]
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
        (30, False, False),
        (0.5, False, False),
        (30, True, True),
        (1, False, True),
        (0.5, False, True),
        (200, True, True),
    ]
