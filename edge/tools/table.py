"""Rows of text under their titles, in columns that line up."""

from collections.abc import Sequence
from typing import NamedTuple

from edge.tools.figures import plain

GAP = "  "
MAX_CELL = 40  # a longer name is cut: the columns behind it must stay on the screen


class Column(NamedTuple):
    title: str
    right: bool = False  # numbers


def lines(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> list[str]:
    """The titles, then a line for each row; every row has a cell for each column."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    widths = [max([len(column.title), *(len(row[i]) for row in cells)]) for i, column in enumerate(columns)]
    titles = [column.title for column in columns]
    return [_line(columns, widths, row) for row in [titles, *cells]]


def _cell(value: object) -> str:
    text = plain(value)
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"


def _line(columns: Sequence[Column], widths: list[int], row: Sequence[str]) -> str:
    padded = [
        cell.rjust(width) if column.right else cell.ljust(width)
        for column, width, cell in zip(columns, widths, row, strict=True)
    ]
    return GAP.join(padded).rstrip()
