"""The format on disk (``docs/store.md``): one SQLite file, one migration for each version of it.

A migration, once released, never changes: a new format is a new entry at the end.  ``PRAGMA user_version`` counts
those that have run.
"""

# Of a row that may be packed: when it came, how long its payload is, and its headers as text.
TIME = "CASE WHEN time < 0 THEN -1 - time ELSE time END"
PLAIN_SIZE = "CAST(CAST(headers AS TEXT) AS INTEGER)"
HEADERS = (
    "CASE WHEN time < 0 THEN nullif(CAST(substr(headers, instr(headers, x'0a') + 1) AS TEXT), '')"
    " ELSE CAST(headers AS TEXT) END"
)


def _messages(packed: str) -> str:
    """What the view ``messages`` shows; ``packed``: in place of a payload that is packed."""
    return f"""
        SELECT CAST(stream.name AS TEXT) AS stream, message.id & 0xFFFFFFFFFF AS seq,
            CAST(subject AS TEXT) AS subject,
            strftime('%Y-%m-%dT%H:%M:%fZ', {TIME} / 1e9, 'unixepoch') AS time,
            {HEADERS} AS headers, CASE WHEN time < 0 THEN {packed} ELSE CAST(payload AS TEXT) END AS payload,
            CASE WHEN time < 0 THEN {PLAIN_SIZE} END AS packed
        FROM message JOIN stream ON stream.id = message.id >> 40
    """


MIGRATIONS = [
    # 1.  A message's place is its rowid, stream << 40 | seq: appends go to the end of one b-tree and a stream is one
    #     range of it.  No other index on it: a second index on (subject, seq) makes it 2.7 times slower and writes 15
    #     times as much (reference: performance.md).  Subjects live in memory.
    #     crc: see seal.py.  floor: no sequence up to it is given again, because rows that stood there were damaged.
    #     stream_copy: a stream's name and configuration once more, on another page: without them its messages are
    #     nobody's.  doomed: ids that are deleted already, though their rows are only taken away bit by bit.
    (
        """
        CREATE TABLE stream (
            id INTEGER PRIMARY KEY, account BLOB NOT NULL, name BLOB NOT NULL,
            config BLOB NOT NULL, crc INTEGER NOT NULL,
            state BLOB NOT NULL, state_crc INTEGER NOT NULL, floor INTEGER NOT NULL DEFAULT 0
        )
        """,
        """
        CREATE TABLE stream_copy (
            id INTEGER PRIMARY KEY, account BLOB NOT NULL, name BLOB NOT NULL,
            config BLOB NOT NULL, crc INTEGER NOT NULL
        )
        """,
        """
        CREATE TABLE consumer (
            stream INTEGER NOT NULL, name BLOB NOT NULL, config BLOB NOT NULL, crc INTEGER NOT NULL,
            state BLOB NOT NULL, state_crc INTEGER NOT NULL, PRIMARY KEY (stream, name)
        ) WITHOUT ROWID
        """,
        "CREATE TABLE value (key BLOB PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID",
        """
        CREATE TABLE message (
            id INTEGER PRIMARY KEY, subject BLOB NOT NULL, time INTEGER NOT NULL, headers BLOB, payload BLOB NOT NULL,
            crc INTEGER NOT NULL
        )
        """,
        "CREATE TABLE doomed (first INTEGER PRIMARY KEY, last INTEGER NOT NULL)",
        """
        CREATE VIEW messages AS
            SELECT CAST(stream.name AS TEXT) AS stream, message.id & 0xFFFFFFFFFF AS seq,
                CAST(subject AS TEXT) AS subject,
                strftime('%Y-%m-%dT%H:%M:%fZ', time / 1e9, 'unixepoch') AS time,
                CAST(headers AS TEXT) AS headers, CAST(payload AS TEXT) AS payload
            FROM message JOIN stream ON stream.id = message.id >> 40
        """,
    ),
    # 2.  A payload may be packed (packed.py).  Its row says so by a time below zero, and how long it is in front of
    #     its headers: both come before the payload, of which a count then reads nothing.
    (
        "DROP VIEW messages",
        f"CREATE VIEW messages AS {_messages('payload')}",
    ),
]
APPLICATION_ID = 0x50657469  # "Peti"

# For a connection that has a function ``unpacked``: as the view, and it hides that.
UNPACKED_VIEW = f"CREATE TEMP VIEW messages AS {_messages('CAST(unpacked(payload, headers) AS TEXT)')}"

# Rows of an INSERT that appends; the interpreter is given up once for each (statements.py).
APPEND_SIZES = (1, 16, 128, 1000)
COLUMNS = 6


def _append(size: int) -> str:
    """Places that are not needed are bound to NULL and left out."""
    places = ",".join(["(?,?,?,?,?,?)"] * size)
    return f"INSERT INTO message SELECT * FROM (VALUES {places}) WHERE column1 NOTNULL"


APPEND = {1: "INSERT INTO message VALUES (?,?,?,?,?,?)"} | {size: _append(size) for size in APPEND_SIZES[1:]}
DELETE_SIZE = 128
DELETE = f"DELETE FROM message WHERE id IN ({','.join('?' * DELETE_SIZE)})"

# What is deleted between these two is overwritten with zeros in the pages that it was on.
OVERWRITE, OVERWRITE_NO_MORE = "PRAGMA secure_delete = ON", "PRAGMA secure_delete = FAST"
ERASING = "erasing."  # a value under this and the id of a row that may still be somewhere in the file
UNFINISHED = """
    SELECT substr(CAST(key AS TEXT), 9) FROM value
    WHERE key BETWEEN CAST('erasing.' AS BLOB) AND CAST('erasing/' AS BLOB)
"""

# A range of many rows is only noted, and taken away bit by bit: at once the log would grow as long as the rows are, for
# which a full disk has no room, and everyone would wait.  Smaller bits would write the pages at their ends too often.
DOOM_RANGE = """
    INSERT INTO doomed SELECT ?1, ?2
    WHERE (SELECT count(*) FROM (SELECT 1 FROM message WHERE id BETWEEN ?1 AND ?2 LIMIT 1001)) > 1000
        OR EXISTS (SELECT 1 FROM doomed WHERE first = ?1)
    ON CONFLICT (first) DO UPDATE SET last = max(last, ?2)
"""
# A condition beside BETWEEN would be asked of every row of a range that is doomed.
DELETE_RANGE = """
    DELETE FROM message
    WHERE id BETWEEN ?1 AND CASE WHEN EXISTS (SELECT 1 FROM doomed WHERE first = ?1) THEN -1 ELSE ?2 END
"""
DOOMED = "SELECT first, last FROM doomed ORDER BY first"
DELETE_SOME = """
    DELETE FROM message WHERE id IN (SELECT id FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1000)
"""
FORGET_DOOMED = """
    DELETE FROM doomed
    WHERE first = ? AND NOT EXISTS (SELECT 1 FROM message WHERE id BETWEEN doomed.first AND doomed.last)
"""

PUT_STREAM = (
    "INSERT INTO stream VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0) ON CONFLICT (id) DO UPDATE"
    " SET account = ?2, name = ?3, config = ?4, crc = ?5, state = ?6, state_crc = ?7"
)
PUT_STREAM_COPY = "INSERT OR REPLACE INTO stream_copy VALUES (?, ?, ?, ?, ?)"
PUT_STREAM_STATE = "UPDATE stream SET state = ?2, state_crc = ?3 WHERE id = ?1"
PUT_STREAM_FLOOR = "UPDATE stream SET floor = ?2 WHERE id = ?1"
DROP_STREAM = "DELETE FROM stream WHERE id = ?"
DROP_STREAM_COPY = "DELETE FROM stream_copy WHERE id = ?"
PUT_CONSUMER = "INSERT OR REPLACE INTO consumer VALUES (?, ?, ?, ?, ?, ?)"
PUT_CONSUMER_STATE = "UPDATE consumer SET state = ?3, state_crc = ?4 WHERE stream = ?1 AND name = ?2"
DROP_CONSUMER = "DELETE FROM consumer WHERE stream = ? AND name = ?"
DROP_CONSUMERS = "DELETE FROM consumer WHERE stream = ?"
PUT_VALUE = "INSERT OR REPLACE INTO value VALUES (?, ?, ?)"
DROP_VALUE = "DELETE FROM value WHERE key = ?"

# The casts: a flipped bit can turn one type into another, and text that is none would not come through at all.
_MESSAGE = (
    "SELECT id, CAST(time AS INTEGER), CAST(subject AS BLOB), CAST(headers AS BLOB), CAST(payload AS BLOB),"
    " CAST(crc AS INTEGER) FROM message WHERE id BETWEEN ? AND ?"
)
SCAN = f"{_MESSAGE} ORDER BY id LIMIT ?"
SCAN_BACK = f"{_MESSAGE} ORDER BY id DESC LIMIT ?"
_SIZE = (
    "length(CAST(subject AS BLOB)) + ifnull(length(headers), 0)"
    f" + CASE WHEN time < 0 THEN {PLAIN_SIZE} - instr(headers, x'0a') ELSE length(payload) END"
)
OUTLINE = f"SELECT id, CAST(subject AS BLOB), {_SIZE} FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
# Counted by whoever reads it: GROUP BY sorts all of them first, in memory.
PLACES = "SELECT id, CAST(subject AS BLOB) FROM message WHERE id BETWEEN ? AND ? ORDER BY id"
COUNT = f"SELECT count(*), total({_SIZE}) FROM message WHERE id BETWEEN ? AND ?"
ROOT = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = 'message'"
SALVAGE = "INSERT OR IGNORE INTO message VALUES (?, ?, ?, ?, ?, ?)"
LAST_OF = "SELECT max(id) FROM message WHERE id BETWEEN ? AND ?"
HOW_MANY = "SELECT count(*) FROM message WHERE id BETWEEN ? AND ?"
IS_THERE = "SELECT 1 FROM message WHERE id = ?"
FIRST_ID = "SELECT id FROM message WHERE id >= ? ORDER BY id LIMIT 1"

_RECORD = "CAST(account AS BLOB), CAST(name AS BLOB), CAST(config AS BLOB), CAST(crc AS INTEGER)"
_STATE = "CAST(state AS BLOB), CAST(state_crc AS INTEGER)"
STREAMS = f"SELECT id, {_RECORD}, {_STATE}, CAST(floor AS INTEGER) FROM stream ORDER BY id"
STREAM_COPIES = f"SELECT id, {_RECORD} FROM stream_copy ORDER BY id"
CONSUMERS = (
    "SELECT CAST(stream AS INTEGER), CAST(name AS BLOB), CAST(config AS BLOB), CAST(crc AS INTEGER),"
    f" {_STATE} FROM consumer ORDER BY stream, name"
)
VALUES = "SELECT CAST(key AS BLOB), CAST(value AS BLOB), CAST(crc AS INTEGER) FROM value ORDER BY key"
