"""Rows whose payload is stored shorter: to everybody who reads them they are what they were."""

import json
import random
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge.store import packed, schema
from edge.store.contract import Outline, Row, SubjectRecord
from edge.store.database import open_writer
from edge.store.seal import seal_message

LONG = json.dumps([{"celsius": i, "ok": True} for i in range(100)]).encode()
NOISE = random.Random(1).randbytes(5000)
HEADERS = b"NATS/1.0\r\nA: b\r\n\r\n"
ROWS = [
    (1, "s.a", 1_800_000_000_000_000_001, b"", LONG),
    (2, "s.b", 0, HEADERS, LONG),
    (3, "s.\udcff", 5, HEADERS, b"short"),
    (4, "s.a", 6, b"", NOISE),
    (5, "s.a", 7, b"", b""),
    (6, "s.a", 8, b"", LONG * 100),
    (9, "s.a", 9, HEADERS, NOISE * 20 + bytes(100_000)),
]


@pytest.fixture
def store(owner: Any, tmp_path: Path) -> Any:
    store = owner.open(tmp_path)
    store.put_stream(1, "A", "S", b"{}", b"{}")
    store.append(1, ROWS, True)
    owner.committed(store)
    return store


def test_what_is_read_is_what_was_written(store: Any) -> None:
    assert store.scan(1, 0, 99, 99) == [Row(*row) for row in ROWS]
    assert store.scan_back(1, 9, 99) == [Row(*row) for row in reversed(ROWS)]
    assert store.read(1, 2) == Row(*ROWS[1])


def test_sizes_are_those_of_what_was_written(store: Any) -> None:
    outlines = [Outline.of(Row(*row)) for row in ROWS]
    assert store.outline(1, 0, 99, 99) == outlines
    assert store.count(1, 0, 99) == (len(ROWS), sum(row.size for row in outlines))
    assert store.subjects(1) and SubjectRecord("s.b", 1, 2, 2) in store.subjects(1)


def test_only_what_gets_shorter_by_it_is_packed(store: Any) -> None:
    columns = store.reader.connection.execute("SELECT id & 0xFF, time, length(payload) FROM message").fetchall()
    assert [id for id, time, _ in columns if time < 0] == [1, 2, 6]
    assert {length for id, _, length in columns if id < 3} == {len(zlib.compress(LONG, packed.LEVEL))}
    assert columns[-1][2] == len(ROWS[-1][4])  # its beginning says that it is not worth it


def test_rows_that_are_packed_and_rows_that_are_not_lie_side_by_side(owner: Any, store: Any) -> None:
    store.append(1, [(10, "s.c", 10, b"", LONG)])
    store.append(1, [(11, "s.c", 11, b"", LONG)], True)
    owner.committed(store)
    assert [row.payload for row in store.scan(1, 10, 11, 9)] == [LONG, LONG]
    times = store.reader.connection.execute("SELECT time < 0 FROM message WHERE id & 0xFF IN (10, 11)").fetchall()
    assert times == [(0,), (1,)]


def test_a_commit_that_is_tried_again_packs_once(store: Any) -> None:
    from edge.store.statements import append, transact

    write = append(1, [(20, "s", 1, b"", LONG)], True)
    before = list(write)
    transact(store.connection, [write])
    assert write == before


@pytest.mark.parametrize("column", ["time", "headers", "payload", "crc"])
def test_every_column_is_under_the_checksum(store: Any, column: str) -> None:
    ((id, value),) = store.connection.execute(f"SELECT id, {column} FROM message WHERE id & 0xFF = 2").fetchall()
    for bit in range(8):
        wrong = value ^ 1 << bit * 8 if isinstance(value, int) and column == "crc" and bit < 4 else None
        if isinstance(value, int) and column == "time":
            wrong = value ^ (1 << bit * 8 if bit < 7 else -1 << 63)  # the last is what says that it is packed
        elif isinstance(value, bytes):
            raw = bytearray(value)
            raw[bit % len(raw)] ^= 1 << bit
            wrong = bytes(raw)
        if wrong is None:
            continue
        store.connection.execute(f"UPDATE message SET {column} = ? WHERE id = ?", (wrong, id))
        assert store.read(1, 2) is None
    assert [row.seq for row in store.scan(1, 0, 99, 99)] == [1, 3, 4, 5, 6, 9]


@pytest.mark.parametrize("headers, payload", [(b"", b"x"), (b"x\n", b"x"), (b"5\n", b"x"), (b"5\n", zlib.compress(b"four")), (b"-1\n", b"x"), (None, b"")])
def test_what_was_packed_wrongly_is_damaged_and_nothing_worse(store: Any, headers: bytes | None, payload: bytes) -> None:
    id = 1 << 40 | 2
    crc = seal_message(id, ~5, b"s.b", headers, payload)
    store.connection.execute("UPDATE message SET time = ?, headers = ?, payload = ?, crc = ? WHERE id = ?", (~5, headers, payload, crc, id))
    assert store.read(1, 2) is None
    assert len(store.scan(1, 0, 99, 99)) == len(ROWS) - 1


SHELL = """
import json, sqlite3, sys
query = "SELECT seq, time, headers, length(payload), packed FROM messages WHERE seq < 3 OR seq = 5 ORDER BY seq"
print(json.dumps(sqlite3.connect(sys.argv[1]).execute(query).fetchall()))
"""


def test_the_view_shows_it_to_any_sqlite(store: Any) -> None:
    done = subprocess.run([sys.executable, "-c", SHELL, store.path], capture_output=True, text=True, timeout=60)
    stored = len(zlib.compress(LONG, packed.LEVEL))
    assert json.loads(done.stdout) == [
        [1, "2027-01-15T08:00:00.000Z", None, stored, len(LONG)],
        [2, "1970-01-01T00:00:00.000Z", HEADERS.decode(), stored, len(LONG)],
        [5, "1970-01-01T00:00:00.000Z", None, 0, None],
    ]


def test_an_older_store_is_brought_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "petiole.db")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        open_writer(path).close()
    connection = open_writer(path)
    assert connection.pragma("user_version") == 2
    assert list(connection.execute("SELECT packed FROM messages")) == []
    connection.close()
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        with pytest.raises(apsw.Error, match="newer petiole-edge"):
            open_writer(path)
