"""The format on disk: one SQLite file, one migration for each version of it.

A migration, once released, never changes: a new format is a new entry at the end.  ``PRAGMA user_version`` counts
those that have run.
"""

MIGRATIONS = [
    # 1.  A message's place is its rowid, stream << 40 | seq: appends go to the end of one b-tree and a stream is one
    #     range of it.  No other index on it: a second index on (subject, seq) makes it 2.7 times slower and writes 15
    #     times as much (reference: performance.md).  Subjects live in memory.
    """
    CREATE TABLE stream (
        id INTEGER PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, config BLOB NOT NULL, state BLOB NOT NULL
    );
    CREATE TABLE consumer (
        stream INTEGER NOT NULL, name TEXT NOT NULL, config BLOB NOT NULL, state BLOB NOT NULL,
        PRIMARY KEY (stream, name)
    ) WITHOUT ROWID;
    CREATE TABLE message (
        id INTEGER PRIMARY KEY, subject TEXT NOT NULL, time INTEGER NOT NULL, headers BLOB, payload BLOB NOT NULL,
        crc INTEGER NOT NULL
    );
    CREATE TABLE value (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE VIEW messages AS
        SELECT stream.name AS stream, message.id & 0xFFFFFFFFFF AS seq, subject,
            strftime('%Y-%m-%dT%H:%M:%fZ', time / 1e9, 'unixepoch') AS time,
            CAST(headers AS TEXT) AS headers, CAST(payload AS TEXT) AS payload
        FROM message JOIN stream ON stream.id = message.id >> 40;
    """,
]

# The writer.  FULL: a commit that returned has been synced.  A checkpoint every 16 MB keeps its stalls rare.
WRITER_PRAGMAS = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 4000;
    PRAGMA journal_size_limit = 33554432;
    PRAGMA temp_store = MEMORY;
"""

APPEND = "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)"
DELETE = "DELETE FROM message WHERE id = ?"
DELETE_RANGE = "DELETE FROM message WHERE id BETWEEN ? AND ?"
PUT_STREAM = "INSERT OR REPLACE INTO stream VALUES (?, ?, ?, ?, ?)"
PUT_STREAM_STATE = "UPDATE stream SET state = ? WHERE id = ?"
DROP_STREAM = "DELETE FROM stream WHERE id = ?"
PUT_CONSUMER = "INSERT OR REPLACE INTO consumer VALUES (?, ?, ?, ?)"
PUT_CONSUMER_STATE = "UPDATE consumer SET state = ? WHERE stream = ? AND name = ?"
DROP_CONSUMER = "DELETE FROM consumer WHERE stream = ? AND name = ?"
DROP_CONSUMERS = "DELETE FROM consumer WHERE stream = ?"
PUT_VALUE = "INSERT OR REPLACE INTO value VALUES (?, ?)"
DROP_VALUE = "DELETE FROM value WHERE key = ?"

READ = "SELECT id, subject, time, headers, payload, crc FROM message WHERE id = ?"
SCAN = "SELECT id, subject, time, headers, payload, crc FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
SCAN_BACK = (
    "SELECT id, subject, time, headers, payload, crc FROM message WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?"
)
SUBJECTS = "SELECT subject, count(*), min(id), max(id) FROM message WHERE id BETWEEN ? AND ? GROUP BY subject"
COUNT = (
    "SELECT count(*), total(length(CAST(subject AS BLOB)) + ifnull(length(headers), 0) + length(payload))"
    " FROM message WHERE id BETWEEN ? AND ?"
)
EDGES = (
    "SELECT (SELECT id FROM message WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1),"
    " (SELECT id FROM message WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1)"
)
