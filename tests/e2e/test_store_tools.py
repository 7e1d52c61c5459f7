"""sql, backup, restore and verify, on the store of a server that runs, was killed, or was damaged."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
import pytest

Start = Callable[..., Any]
CONFIG = 'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{}" }}\n'
ROW = "SELECT seq, payload ->> '$.celsius' AS celsius FROM messages WHERE subject = 't.barn' ORDER BY seq"


def tool(*arguments: object, code: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", "edge", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


async def fill(server: Any, first: int, count: int) -> None:
    client = await nats.connect(server.url)
    js = client.jetstream()
    await js.add_stream(name="T", subjects=["t.>"])
    for number in range(first, first + count):
        await js.publish("t.barn" if number % 2 else "t.field", json.dumps({"celsius": number / 2}).encode())
    sub = await js.pull_subscribe("t.>", "worker", stream="T")
    for message in await sub.fetch(count // 2):
        await message.ack_sync()
    await client.close()


async def delete(server: Any, seq: int) -> None:
    client = await nats.connect(server.url)
    await client.jetstream().delete_msg("T", seq)
    await client.close()


async def count_of(server: Any) -> tuple[int, int]:
    """Messages of the stream, and how many its consumer still has to give."""
    client = await nats.connect(server.url)
    js = client.jetstream()
    stream, consumer = await js.stream_info("T"), await js.consumer_info("T", "worker")
    await client.close()
    return stream.state.messages, consumer.num_pending + consumer.num_ack_pending


@pytest.fixture
def server(start_edge: Start, tmp_path: Path) -> Any:
    server = start_edge(CONFIG.format(tmp_path / "js"))
    asyncio.run(fill(server, 0, 40))
    return server


def test_sql(server: Any, tmp_path: Path) -> None:
    store = tmp_path / "js"
    for _ in ("running", "killed"):
        rows = [json.loads(line) for line in tool("sql", "--json", "-s", store, ROW).splitlines()]
        assert rows == [{"seq": number + 1, "celsius": number / 2} for number in range(1, 40, 2)]
        server.kill()
    table = tool("sql", "-c", server.config, "SELECT stream, count(*) AS n FROM messages GROUP BY stream").splitlines()
    assert [line.split() for line in table] == [["stream", "n"], ["T", "40"]]
    assert tool("sql", "--csv", "-s", store, "SELECT 1 AS a, 'x,y' AS b, NULL AS c").splitlines() == ["a,b,c", '1,"x,y",']
    done = subprocess.run(
        [sys.executable, "-m", "edge", "sql", "-s", store], input="SELECT x'ff00' AS raw", capture_output=True, text=True
    )
    assert done.stdout.split() == ["raw", "ff00"]
    for query in ("DELETE FROM message", "DROP TABLE message", "CREATE TABLE x (y)"):
        assert "only read" in tool("sql", "-s", store, query, code=1)
    assert "SQL: " in tool("sql", "-s", store, "SELEC", code=1)
    assert tool("sql", "-s", store, "SELECT count(*) FROM message").split()[-1] == "40"
    assert "no store in" in tool("sql", "-s", tmp_path / "nowhere", "SELECT 1", code=1)


def test_backup_while_it_runs_and_restore(server: Any, start_edge: Start, tmp_path: Path) -> None:
    before = asyncio.run(count_of(server))
    copy = tmp_path / "copy.db"
    assert "1 streams" in tool("backup", "-c", server.config, copy)
    assert "overwrites nothing" in tool("backup", "-s", tmp_path / "js", copy, code=1)
    asyncio.run(fill(server, 100, 10))
    assert "40 messages" in tool("restore", copy, tmp_path / "again")
    assert "holds a store already" in tool("restore", copy, tmp_path / "again", code=1)
    other = start_edge(CONFIG.format(tmp_path / "again"), "again")
    assert asyncio.run(count_of(other)) == before
    other.kill()
    assert "no faults" in tool("verify", "-s", tmp_path / "again")
    (tmp_path / "junk").write_bytes(b"not a database" * 100)
    assert "no database" in tool("restore", tmp_path / "junk", tmp_path / "other", code=1)
    with sqlite3.connect(tmp_path / "foreign") as foreign:
        foreign.execute("CREATE TABLE x (y)")
    foreign.close()
    assert "another program" in tool("restore", tmp_path / "foreign", tmp_path / "other", code=1)


def test_verify_finds_what_is_wrong_and_repairs_it(server: Any, start_edge: Start, tmp_path: Path) -> None:
    store = tmp_path / "js"
    assert "40 messages of 1 streams: no faults" in tool("verify", "-s", store)
    assert "in use by another" in tool("verify", "--repair", "-s", store, code=1)
    server.kill()
    assert "no faults" in tool("verify", "-s", store)
    server.start()
    asyncio.run(delete(server, 1))  # which saves the counts
    assert server.stop() == 0
    with sqlite3.connect(store / "petiole.db") as database:
        database.execute("UPDATE message SET payload = x'00' WHERE id & 1048575 = 7")
        database.execute("DELETE FROM message WHERE id & 1048575 = 9")
        database.execute("INSERT INTO consumer SELECT 99, name, config, crc, state, state_crc FROM consumer")
    database.close()
    found = tool("verify", "-s", store, code=1)
    assert "message 7 is damaged" in found and "its record is damaged" in found
    assert "it says 39 messages, 37 are there" in found
    repaired = tool("verify", "--repair", "-s", store)
    assert "counted anew" in repaired and "message 7 is damaged; what is around is served: left out of a copy" in repaired
    server.start()
    assert asyncio.run(count_of(server))[0] == 37
    server.stop()
    assert "37 messages of 1 streams: no faults" in tool("verify", "-s", store)


async def fill_packed(server: Any) -> None:
    client = await nats.connect(server.url)
    js = client.jetstream()
    await js.add_stream(name="Z", subjects=["z"], compression="s2")
    for number in range(20):
        await js.publish("z", json.dumps({"celsius": number, "past": list(range(200))}).encode(), headers={"A": "b"})
    await client.close()


def test_packed_payloads(start_edge: Start, tmp_path: Path) -> None:
    """``compression: s2``: fewer bytes on disk, and to every tool they are what was published."""
    store = tmp_path / "js"
    server = start_edge(CONFIG.format(store))
    asyncio.run(fill_packed(server))
    ask = "SELECT seq, payload ->> '$.celsius' AS celsius, length(payload) AS size, packed, headers FROM messages ORDER BY seq"
    copy = tmp_path / "copy"
    for _ in ("running", "killed"):
        rows = [json.loads(line) for line in tool("sql", "--json", "-s", store, ask).splitlines()]
        assert [(row["seq"], row["celsius"]) for row in rows] == [(number + 1, number) for number in range(20)]
        assert all(row["size"] == row["packed"] and "A: b" in row["headers"] for row in rows)
        (sizes,) = [json.loads(tool("sql", "--json", "-s", store, "SELECT max(length(payload)) AS most FROM message"))]
        assert sizes["most"] < 600 < rows[0]["size"]
        assert "20 messages of 1 streams: no faults" in tool("verify", "-s", store)
        server.kill()
    tool("backup", "-s", store, tmp_path / "file.db")
    tool("restore", tmp_path / "file.db", copy)
    assert tool("sql", "--json", "-s", copy, ask) == tool("sql", "--json", "-s", store, ask)


async def erase(server: Any) -> None:
    client = await nats.connect(server.url)
    js = client.jetstream()
    await js.add_stream(name="E", subjects=["e"])
    for secret in (b"what is erased", b"what is deleted", b"what stays"):
        await js.publish("e", secret * 20)
    for seq, no_erase in ((1, False), (2, True)):
        await client.request("$JS.API.STREAM.MSG.DELETE.E", json.dumps({"seq": seq, "no_erase": no_erase}).encode())
    await client.close()


def test_what_is_erased_is_in_no_file(start_edge: Start, tmp_path: Path) -> None:
    """``no_erase`` false, as it is by default, means the bytes on disk."""
    store = tmp_path / "js"
    server = start_edge(CONFIG.format(store))
    asyncio.run(erase(server))
    deadline = time.monotonic() + 15
    while b"what is erased" in (content := b"".join(path.read_bytes() for path in store.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert b"what stays" in content
    assert tool("sql", "-s", store, "SELECT count(*) FROM messages").split()[-1] == "1"
