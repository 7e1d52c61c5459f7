from bench.__main__ import number, row
from bench.workloads import WORKLOADS, Workload, median_and_spread


def workload(key: str) -> Workload:
    return next(workload for workload in WORKLOADS if workload.key == key)


def test_median_and_spread() -> None:
    assert median_and_spread([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)


def test_numbers() -> None:
    assert number(1234567.8) == "1,234,568" and number(27.246) == "27.2" and number(0.1234) == "0.123"


def test_a_ratio_is_met_or_missed() -> None:
    assert row(workload("one"), [70.0, 60.0, 80.0], [100.0, 100.0, 90.0]).endswith("| 0.70 | at least 0.6 | met |")
    assert row(workload("one"), [50.0], [100.0]).endswith("| 0.50 | at least 0.6 | **missed** |")


def test_an_absolute_bound_looks_at_the_edge_alone() -> None:
    assert row(workload("start"), [150.0], [8.0]).endswith("| at most 200 ms | met |")
    assert row(workload("rss-leaf"), [31.0], [60.0]).endswith("| at most 30 MB | **missed** |")


def test_less_is_better_where_it_is_memory() -> None:
    assert row(workload("rss-1000"), [25.0], [50.0]).endswith("| 0.50 | at most 1 | met |")
