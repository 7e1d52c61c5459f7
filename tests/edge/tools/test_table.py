"""Columns line up, whatever is in them."""

from edge.tools.table import Column, lines

COLUMNS = (Column("NAME"), Column("SUBS", True), Column("HOST"))


def test_columns_line_up() -> None:
    assert lines(COLUMNS, [("a", 1, "h"), ("longer", 12345, "")]) == [
        "NAME     SUBS  HOST",
        "a           1  h",
        "longer  12345",
    ]


def test_no_row_is_the_titles() -> None:
    assert lines(COLUMNS, []) == ["NAME  SUBS  HOST"]


def test_a_cell_is_cut_and_printable() -> None:
    title, row = lines(COLUMNS[:1], [("x" * 50,)])
    assert title == "NAME" and row == "x" * 39 + "…"
    assert lines(COLUMNS[:1], [("a\tb",)])[1] == "a\ufffdb"
