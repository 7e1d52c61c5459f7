"""Questions to a store in SQL.  Nothing can be changed: the file is opened to be read."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apsw

from edge.store import schema
from edge.tools.errors import ToolError
from edge.tools.figures import plain
from edge.tools.table import Column, lines

Value = int | float | str | bytes | None
FORMS = ("table", "json", "csv")


def show_unpacked(connection: apsw.Connection) -> None:
    """To this connection the view shows every payload as it was published."""
    connection.create_scalar_function("unpacked", _unpacked, 2, deterministic=True)
    connection.pragma("query_only", "OFF")
    connection.execute(schema.UNPACKED_VIEW)
    connection.pragma("query_only", "ON")


def _unpacked(*columns: Any) -> Any:
    """Of payload and headers; None for what is damaged, which ``verify`` names."""
    from edge.store.packed import unpack

    payload, headers = columns
    try:
        return unpack(headers, payload)[1]
    except (ValueError, TypeError, AttributeError):
        return None


def ask(connection: apsw.Connection, query: str, form: str) -> Iterator[str]:
    """Lines of the answer.  ``json``: an object for each row.  ToolError for what SQLite refuses."""
    try:
        cursor = connection.execute(query)
        titles = [name for name, _ in cursor.get_description()]
        if form == "json":
            for row in cursor:
                yield json.dumps({title: _shown(value) for title, value in zip(titles, row, strict=True)})
        elif form == "csv":
            yield _csv(titles)
            for row in cursor:
                yield _csv([_shown(value) for value in row])
        else:
            yield from _table(titles, cursor)
    except apsw.ExecutionCompleteError:
        return  # a statement without rows
    except apsw.ReadOnlyError as exc:
        raise ToolError("a store is only read here: SELECT is what there is") from exc
    except apsw.Error as exc:
        raise ToolError(f"SQL: {exc}") from exc


def _table(titles: Sequence[str], rows: Iterable[Sequence[Value]]) -> list[str]:
    shown = [[_shown(value) for value in row] for row in rows]
    numeric = [bool(shown) and all(isinstance(row[i], (int, float)) for row in shown) for i in range(len(titles))]
    columns = [Column(plain(title), right) for title, right in zip(titles, numeric, strict=True)]
    return lines(columns, [["" if cell is None else cell for cell in row] for row in shown])


def _shown(value: Value) -> int | float | str | None:
    """Bytes that are no text are shown in hexadecimal."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


def _csv(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(["" if cell is None else cell for cell in cells])
    return line.getvalue().rstrip("\r\n")
