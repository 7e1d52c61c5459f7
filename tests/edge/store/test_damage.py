"""Flipped bits, lost pages, a file cut short: what was hit is lost and named, everything else is served."""

import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.store.contract import MAX_SEQ
from edge.store.database import FILE
from edge.store.sqlite import SqliteStore

PAGE = 4096
PAGE_ROWS = 32  # of ours, at most
COUNT = 3000
STREAMS = (1, 2, 3)
TIME = 1_700_000_000_000_000_000
LEAF, INTERIOR = 0x0D, 0x05


def payload(stream: int, seq: int) -> bytes:
    return b"%d/%06d" % (stream, seq) + b"." * (6000 if stream == 3 and seq % 50 == 0 else 100)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of three streams with 3,000 messages each, some of them longer than a page."""
    import queue

    folder = tmp_path_factory.mktemp("sound")
    calls: queue.Queue[Callable[[], None]] = queue.Queue()
    store = SqliteStore(str(folder), calls.put)
    for stream in STREAMS:
        store.put_stream(stream, "$G", f"S{stream}", b"{}", b"state")
        store.put_consumer(stream, "c", b"config", b"state")
    store.put_value("epoch", b"e")
    for first in range(1, COUNT + 1, 100):
        for stream in STREAMS:
            store.append(stream, [(seq, f"a.{seq % 5}", TIME + seq, b"", payload(stream, seq)) for seq in range(first, first + 100)])
    done: list[Any] = []
    store.commit(done.append)
    while not done:
        calls.get(timeout=60)()
    assert done == [None]
    store.close()
    return (folder / FILE).read_bytes()


def served(store: Any, stream: int) -> set[int]:
    """The sequences it serves; whatever it serves is what was stored."""
    found: set[int] = set()
    first = 1
    while rows := store.scan(stream, first, MAX_SEQ, 500):
        for row in rows:
            assert row == (row.seq, f"a.{row.seq % 5}", TIME + row.seq, b"", payload(stream, row.seq))
            assert row.seq not in found and store.read(stream, row.seq) == row
            found.add(row.seq)
        first = rows[-1].seq + 1
    return found


def still_works(owner: Any, store: Any, folder: Path) -> None:
    """Write and delete everywhere; a write that meets the damage fails once and then finds it mended."""
    records = store.load().streams
    last = max(record.last_seq for record in records) + 1
    for stream in STREAMS:
        for attempt in range(2):
            store.append(stream, [(last + i, "new", 1, b"", b"new") for i in range(20)])
            store.delete_range(stream, 0, COUNT // 2)
            owner.commit(store)
            ((_, error),) = owner.wait()
            if error is None:
                break
            assert attempt == 0 and "damaged" in str(error)
        assert error is None
    owner.close(store)
    store = owner.open(folder)
    for stream in STREAMS:
        rows = store.scan(stream, last, MAX_SEQ, 99)
        assert [row.seq for row in rows] == list(range(last, last + 20)) and store.scan(stream, 0, COUNT // 2, 9) == []
    owner.close(store)


def put(folder: Path, image: bytes | bytearray) -> None:
    (folder / FILE).write_bytes(image)


@pytest.mark.parametrize("seed", range(24))
def test_a_flipped_bit_costs_a_message_or_a_page(owner: Any, tmp_path: Path, image: bytes, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    rnd = random.Random(seed)
    data = bytearray(image)
    page = rnd.randrange(10, len(data) // PAGE)  # behind those that list tables, streams and consumers
    at = page * PAGE + (rnd.randrange(8) if seed % 3 == 0 else rnd.randrange(PAGE))  # often in the page's head
    data[at] ^= 1 << rnd.randrange(8)
    put(tmp_path, data)
    store = owner.open(tmp_path)
    found = {stream: served(store, stream) for stream in STREAMS}
    lost = len(STREAMS) * COUNT - sum(map(len, found.values()))
    if image[page * PAGE] == LEAF:
        assert lost <= PAGE_ROWS
    if lost:
        assert "damaged and passed over" in caplog.text or any("damaged" in line for line in store.load().damage)
    for stream in STREAMS:
        back = {row.seq for row in store.scan_back(stream, MAX_SEQ, 9999)}
        assert back <= found[stream] and len(found[stream]) - len(back) <= PAGE_ROWS
        assert sum(record.messages for record in store.subjects(stream)) >= len(found[stream])
        assert store.count(stream, 0, MAX_SEQ)[0] >= len(found[stream])
    still_works(owner, store, tmp_path)


@pytest.mark.parametrize("junk", [bytes(PAGE), bytes(range(256)) * 16])
@pytest.mark.parametrize("seed", range(6))
def test_a_lost_page_costs_its_messages(owner: Any, tmp_path: Path, image: bytes, seed: int, junk: bytes) -> None:
    rnd = random.Random(seed)
    leaves = [page for page in range(10, len(image) // PAGE) if image[page * PAGE] == LEAF]
    page = rnd.choice(leaves)
    data = bytearray(image)
    data[page * PAGE : (page + 1) * PAGE] = junk
    put(tmp_path, data)
    store = owner.open(tmp_path)
    missing = {stream: set(range(1, COUNT + 1)) - served(store, stream) for stream in STREAMS}
    assert 0 < sum(map(len, missing.values())) <= PAGE_ROWS
    for seqs in missing.values():
        assert not seqs or len(seqs) == max(seqs) - min(seqs) + 1, "one stretch"
    still_works(owner, store, tmp_path)


def test_two_lost_pages_leave_what_stands_between_them(owner: Any, tmp_path: Path, image: bytes) -> None:
    data = bytearray(image)
    for seq in (1000, 1050):
        page = image.index(b"1/%06d" % seq) // PAGE
        data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    put(tmp_path, data)
    store = owner.open(tmp_path)
    missing = set(range(1, COUNT + 1)) - served(store, 1)
    assert {1000, 1050} <= missing and 1025 not in missing and len(missing) <= 2 * PAGE_ROWS


INNER_DAMAGE = {
    "type": lambda page: bytes([page[0] ^ 0x40]) + page[1:],
    "count": lambda page: page[:3] + b"\xff\xff" + page[5:],
    "last child": lambda page: page[:8] + bytes(4) + page[12:],
    "a child": lambda page: page[: (at := int.from_bytes(page[12:14]))] + b"\xff" + page[at + 1 :],
    "all": lambda page: bytes(PAGE),
}


@pytest.mark.parametrize("after_a_cut", [True, False])
@pytest.mark.parametrize("how", INNER_DAMAGE)
@pytest.mark.parametrize("which", [0, -1])
def test_an_inner_page_costs_nothing(owner: Any, tmp_path: Path, image: bytes, which: int, how: str, after_a_cut: bool) -> None:
    """What it led to is there: found at once after a power cut, or as soon as somebody misses it."""
    inner = [page for page in range(1, len(image) // PAGE) if image[page * PAGE] == INTERIOR]
    number = inner[which]
    data = bytearray(image)
    data[number * PAGE : (number + 1) * PAGE] = INNER_DAMAGE[how](image[number * PAGE : (number + 1) * PAGE])
    put(tmp_path, data)
    if after_a_cut:
        (tmp_path / f"{FILE}-wal").write_bytes(b"")
    store = owner.open(tmp_path)
    assert {record.name for record in store.load().streams} == {"S1", "S2", "S3"}
    if not after_a_cut and sum(len(served(store, stream)) for stream in STREAMS) < len(STREAMS) * COUNT - 100:
        owner.calls.get(timeout=60)()  # the reader follows to the mended file
    lost = len(STREAMS) * COUNT - sum(len(served(store, stream)) for stream in STREAMS)
    assert lost <= (0 if after_a_cut else PAGE_ROWS)
    still_works(owner, store, tmp_path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.97])
def test_a_file_cut_short_keeps_what_is_left_of_it(owner: Any, tmp_path: Path, image: bytes, part: float, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, image[: int(len(image) * part)])
    store = owner.open(tmp_path)
    assert "was cut short" in caplog.text
    left = sum(len(served(store, stream)) for stream in STREAMS)
    assert len(STREAMS) * COUNT * part * 0.8 - 200 < left < len(STREAMS) * COUNT
    still_works(owner, store, tmp_path)


def test_no_sequence_is_given_twice_behind_a_damaged_end(owner: Any, tmp_path: Path, image: bytes) -> None:
    """An uplink's hub knows messages by their sequence."""
    data = bytearray(image)
    at = data.rindex(b"3/%06d" % COUNT) // PAGE * PAGE  # the page of the last message of the last stream
    data[at : at + PAGE] = bytes(PAGE)
    put(tmp_path, data)
    store = owner.open(tmp_path)
    found = store.load()
    assert found.streams[2].last_seq > COUNT and any("S3: its end is damaged" in line for line in found.damage)
    owner.close(store)
    for _ in range(2):  # mended by now, and still known
        store = owner.open(tmp_path)
        assert store.load().streams[2].last_seq > COUNT and store.load().damage == ()
        owner.close(store)


def test_one_message_is_named(owner: Any, tmp_path: Path, image: bytes, caplog: pytest.LogCaptureFixture) -> None:
    data = bytearray(image)
    data[data.index(b"2/001234") + 2] ^= 1
    put(tmp_path, data)
    store = owner.open(tmp_path)
    with caplog.at_level(logging.ERROR):
        assert store.read(2, 1234) is None and store.read(2, 1233) and store.read(2, 1235)
        assert [row.seq for row in store.scan(2, 1232, MAX_SEQ, 3)] == [1232, 1233, 1235]
        assert [row.seq for row in store.scan_back(2, 1236, 3)] == [1236, 1235, 1233]
        assert [row.seq for row in store.scan(2, 1234, MAX_SEQ, 1)] == [1235]
    assert caplog.messages == ["store: stream S2: message 1234 is damaged and passed over"], "said once"
    for limit in (500, 700, 1000):  # wherever in a chunk it stands, what is around it is not called damaged
        store.scan(2, 1000, MAX_SEQ, limit), store.scan_back(2, 2000, limit)
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("field", ["time", "subject", "rowid"])
def test_every_field_is_under_the_checksum(owner: Any, tmp_path: Path, image: bytes, field: str) -> None:
    data = bytearray(image)
    at = data.index(payload(1, 777))
    raw = {"time": (TIME + 777).to_bytes(8), "subject": b"a.%d" % (777 % 5), "rowid": b""}[field]
    place = at - len(b"a.0") - 8 if field == "time" else at - len(raw)
    if field == "rowid":
        place = data.rindex(b"\x06", 0, at - 12) - 8  # somewhere in the cell's head
    else:
        place = data.rindex(raw, 0, at)
    for bit in range(8):
        flipped = bytearray(data)
        flipped[place] ^= 1 << bit
        folder = tmp_path / str(bit)
        folder.mkdir()
        put(folder, flipped)
        store = owner.open(folder)
        assert len(served(store, 1)) >= COUNT - PAGE_ROWS
        if field != "rowid":
            assert 777 not in served(store, 1)
        owner.close(store)


@pytest.mark.parametrize("table, line", [("stream", "the copy is used"), ("consumer", "made again"), ("value", "a value is damaged")])
def test_a_damaged_record_is_named(owner: Any, tmp_path: Path, image: bytes, table: str, line: str) -> None:
    put(tmp_path, image)
    store = owner.open(tmp_path)
    store.connection.execute(f"UPDATE {table} SET crc = crc + 1")
    found = store.load()
    assert any(line in text for text in found.damage), found.damage
    assert [record.name for record in found.streams] == ["S1", "S2", "S3"] and found.streams[0].last_seq == COUNT
    assert (found.consumers == []) == (table == "consumer") and (found.values == {}) == (table == "value")
    assert (found.streams[0].state == b"") == (table == "stream")


def test_damaged_state_is_left_out(owner: Any, tmp_path: Path, image: bytes) -> None:
    put(tmp_path, image)
    store = owner.open(tmp_path)
    store.connection.execute("UPDATE stream SET state = x'00' WHERE id = 1")
    store.connection.execute("UPDATE consumer SET state = x'00' WHERE stream = 2")
    found = store.load()
    assert [record.state for record in found.streams] == [b"", b"state", b"state"]
    assert [record.state for record in found.consumers] == [b"state", b"", b"state"]
    assert found.damage == ("stream S1: its state is damaged and counted anew", "consumer c of stream 2: its state is damaged")


def test_a_stream_without_a_record_is_named(owner: Any, tmp_path: Path, image: bytes) -> None:
    put(tmp_path, image)
    store = owner.open(tmp_path)
    store.connection.execute("DELETE FROM stream WHERE id = 3")
    assert [record.name for record in store.load().streams] == ["S1", "S2", "S3"], "there is a copy"
    store.connection.execute("DELETE FROM stream_copy WHERE id = 3")
    found = store.load()
    assert found.last_id == 3 and found.damage[-1].startswith("stream 3: it has messages")


def test_the_page_of_the_streams_is_lost(owner: Any, tmp_path: Path, image: bytes) -> None:
    data = bytearray(image)
    data[PAGE : 2 * PAGE] = bytes(PAGE)  # the root of the first table, and all of it
    put(tmp_path, data)
    store = owner.open(tmp_path)
    assert [record.name for record in store.load().streams] == ["S1", "S2", "S3"]
    assert all(len(served(store, stream)) == COUNT for stream in STREAMS)
    assert (tmp_path / f"{FILE}.damaged").read_bytes()[: 2 * PAGE] == data[: 2 * PAGE], "kept for whoever wants to look"
    still_works(owner, store, tmp_path)


def test_without_room_to_mend_it_serves_what_can_be_read(owner: Any, tmp_path: Path, image: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(image)
    data[PAGE : 2 * PAGE] = bytes(PAGE)
    put(tmp_path, data)
    with monkeypatch.context() as patch:
        patch.setattr("edge.store.reserve.Reserve.free_bytes", lambda self: 2 << 20)
        store = owner.open(tmp_path)
        assert [record.name for record in store.load().streams] == ["S1", "S2", "S3"] and len(served(store, 2)) == COUNT
        owner.close(store)
    store = owner.open(tmp_path)  # there is room now
    still_works(owner, store, tmp_path)


@pytest.mark.parametrize("seed", range(40))
def test_an_inner_page_leads_nobody_in_a_circle(owner: Any, tmp_path: Path, image: bytes, seed: int) -> None:
    rnd = random.Random(seed)
    inner = [page for page in range(1, len(image) // PAGE) if image[page * PAGE] == INTERIOR]
    data = bytearray(image)
    for _ in range(rnd.choice((1, 8, 30))):
        data[rnd.choice(inner) * PAGE + rnd.randrange(PAGE)] ^= 1 << rnd.randrange(8)
    put(tmp_path, data)
    store = owner.open(tmp_path)
    for stream in STREAMS:
        first, seen = 1, 0
        while rows := store.scan(stream, first, MAX_SEQ, 500):
            for row in rows:
                assert row.seq > seen, "one comes twice"
                assert row.payload == payload(stream, row.seq)
                seen = row.seq
            first = seen + 1
    owner.close(store)


def test_a_message_under_another_sequence_is_named_under_its_own(owner: Any, tmp_path: Path, image: bytes, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, image)
    store = owner.open(tmp_path)
    store.connection.execute("DELETE FROM message WHERE id = (2 << 40) + 2000")
    store.connection.execute("UPDATE message SET id = (2 << 40) + 2000 WHERE id = (2 << 40) + 2001")
    assert 2001 not in served(store, 2)
    assert "stream S2: message 2001 is damaged" in store.damage
    owner.close(store)
