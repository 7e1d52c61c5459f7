import pytest

from bench.table import Row, Target, busiest, line, number, render, spread

RATE = Row("1 → 1", "deliveries/s", "rate", "nats-server", Target(0.6))
MEMORY = Row("RSS", "MB", "rss", "nats-server", Target(1), less=True)
START = Row("start", "ms", "start", "nats-server", Target(200, absolute=True), less=True)


def both(figure: str, edge: list[float], rival: list[float]) -> dict[str, dict[str, list[float]]]:
    return {"edge": {figure: edge}, "nats-server": {figure: rival}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"), (0.06768, "0.0677"), (1.1, "1.10"), (27.26, "27.3"), (518, "518"), (999.6, "1,000"),
        (3646.4, "3,646"), (9999.4, "9,999"), (10_000, "10.0 k"), (164_200, "164 k"), (999_499, "999 k"),
        (999_500, "1.00 M"), (2_325_544, "2.33 M"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_the_median_stands_before_the_spread() -> None:
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00 - 3.00)"
    assert spread([3.0]) == "3.00"


def test_ratio_of_the_medians_and_the_target_beside_it() -> None:
    assert line(RATE, both("rate", [70.0, 10.0, 80.0], [100.0, 100.0, 900.0])) == (
        "| 1 → 1, deliveries/s | 70.0 (10.0 - 80.0) | 100 (100 - 900) | 0.700 | at least 0.6 | met |"
    )
    assert line(RATE, both("rate", [59.9], [100.0])).endswith("| 0.599 | at least 0.6 | **missed** |")


def test_a_miss_that_rounds_to_the_target_is_a_miss() -> None:
    assert line(RATE, both("rate", [59.99], [100.0])).endswith("| 0.600 | at least 0.6 | **missed** |")


def test_with_less_the_target_is_an_upper_bound() -> None:
    assert line(MEMORY, both("rss", [28.0], [56.0])) == (
        "| RSS, MB, less is better | 28.0 | 56.0 | 0.500 | at most 1 | met |"
    )
    assert line(MEMORY, both("rss", [57.0], [56.0])).endswith("| at most 1 | **missed** |")


def test_an_absolute_bound_looks_at_the_edge_alone() -> None:
    assert line(START, both("start", [150.0], [8.0])).endswith("| 18.8 | at most 200 ms | met |")
    assert line(START, both("start", [201.0], [800.0])).endswith("| 0.251 | at most 200 ms | **missed** |")


def test_without_a_target_nothing_is_judged() -> None:
    assert line(Row("p50", "µs", "p50", "nats-server", less=True), both("p50", [130.0], [131.0])).endswith(
        "| 0.992 |  |  |"
    )


def test_a_rival_of_nothing_has_no_ratio() -> None:
    """Bytes written, on a file system in memory."""
    assert line(RATE, both("rate", [1.0], [0.0])).endswith("|  | at least 0.6 | nothing to compare with |")


def test_rows_of_one_measurement_have_rivals_of_their_own() -> None:
    measured = {"edge": {"rate": [90.0]}, "always": {"rate": [3.0]}, "default": {"rate": [180.0]}}
    rows = [Row("on disk", "", "rate", "always", Target(30)), Row("not", "", "rate", "default", Target(0.5))]
    assert render([(rows, measured)]).splitlines()[2:] == [
        "| on disk | 90.0 | 3.00 | 30.0 | at least 30 | met |",
        "| not | 90.0 | 180 | 0.500 | at least 0.5 | met |",
    ]


def test_a_busy_generator_is_named() -> None:
    idle = both("load_cpu", [0.2, 0.3], [0.1])
    assert (
        busiest([("one", idle)]) == "The load generator used 0.30 of its core at most (in `one`): it was not the limit."
    )
    busy = both("load_cpu", [0.2], [0.95])
    assert busiest([("one", idle), ("ten", busy)]).endswith("(in `ten`): it may have been the limit in `ten`.")
    assert busiest([("start", both("start", [1.0], [1.0]))]) == ""


def test_the_title_says_unit_direction_and_rival() -> None:
    row = Row("p50", "µs", "p50", "always", less=True, against="`sync_interval: always`")
    assert line(row, {"edge": {"p50": [1.0]}, "always": {"p50": [2.0]}}).startswith(
        "| p50, µs, less is better, against `sync_interval: always` | 1.00 | 2.00 |"
    )
