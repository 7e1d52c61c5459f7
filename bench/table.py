"""The table: medians, spreads, ratios, and whether they are what was asked.  Pure."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

EDGE = "edge"
BUSY = 0.9  # cores: from here on the load generator may have been the limit


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on the ratio to the rival, or with ``absolute`` on the edge's own figure in its unit."""

    bound: float
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the edge's ``figure`` beside that of ``rival``.  With ``less`` the target is an upper bound."""

    what: str
    unit: str
    figure: str
    rival: str
    target: Target | None = None
    less: bool = False
    against: str = ""  # of the rival, where its name is not enough


# What was measured: of each contender, by name, each figure, by name, one value for each run.
Measured = Mapping[str, Mapping[str, Sequence[float]]]

HEAD = """\
| | petiole-edge | nats-server | ratio | asked | |
|---|---|---|---|---|---|"""


def render(tables: Iterable[tuple[Sequence[Row], Measured]]) -> str:
    return "\n".join([HEAD, *(line(row, measured) for rows, measured in tables for row in rows)])


def line(row: Row, measured: Measured) -> str:
    edge, rival = measured[EDGE][row.figure], measured[row.rival][row.figure]
    ours, theirs = statistics.median(edge), statistics.median(rival)
    ratio = ours / theirs if theirs > 0 else None
    title = [row.what, row.unit, "less is better" if row.less else "", f"against {row.against}" if row.against else ""]
    cells = [
        ", ".join(part for part in title if part),
        spread(edge),
        spread(rival),
        "" if ratio is None else number(ratio),
        "" if row.target is None else asked(row.target, row),
        "" if row.target is None else verdict(row.target, row, ours, ratio),
    ]
    return "| " + " | ".join(cells) + " |"


def asked(target: Target, row: Row) -> str:
    bound = f"{target.bound:g} {row.unit}" if target.absolute else f"{target.bound:g}"
    return f"{'at most' if row.less else 'at least'} {bound}"


def verdict(target: Target, row: Row, ours: float, ratio: float | None) -> str:
    judged = ours if target.absolute else ratio
    if judged is None:
        return "nothing to compare with"
    return "met" if (judged <= target.bound if row.less else judged >= target.bound) else "**missed**"


def spread(values: Sequence[float]) -> str:
    """The median and, of more than one, the least and the greatest."""
    middle = number(statistics.median(values))
    return f"{middle} ({number(min(values))} - {number(max(values))})" if len(values) > 1 else middle


def number(value: float) -> str:
    """Three digits are more than a figure of this kind is good for."""
    if value >= 999_500:
        return f"{three_digits(value / 1e6)} M"
    if value >= 10_000:
        return f"{three_digits(value / 1e3)} k"
    return f"{value:,.0f}" if value >= 999.5 else three_digits(value)


def three_digits(value: float) -> str:
    return f"{value:#.3g}".rstrip(".")


def busiest(measured: Iterable[tuple[str, Measured]]) -> str:
    """A sentence on whether the load generator was ever the limit, from each workload's ``load_cpu``."""
    used = {
        name: max(max(figures["load_cpu"]) for figures in contenders.values())
        for name, contenders in measured
        if all("load_cpu" in figures for figures in contenders.values())
    }
    if not used:
        return ""
    limits = [name for name, cores in used.items() if cores >= BUSY]
    name = max(used, key=lambda name: used[name])
    sentence = f"The load generator used {used[name]:.2f} of its core at most (in `{name}`)"
    if limits:
        return f"{sentence}: it may have been the limit in {', '.join(f'`{limit}`' for limit in limits)}."
    return f"{sentence}: it was not the limit."
