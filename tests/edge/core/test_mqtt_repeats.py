from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.mqtt_repeats import EPOCH_KEY, HEADER, KEEP, MAX_LOGS, Entry, Recent, Repeats, parse_header
from edge.core.router import Router
from edge.message import header_block
from edge.store.memory import MemoryStore


def make(store: MemoryStore | None = None, recent: Iterable[Recent] = ()) -> Repeats:
    store = store or MemoryStore(lambda call: call())
    return Repeats(store, Router(), store.load().values, lambda: recent)


def send(repeats: Repeats, packet_id: int, payload: bytes = b"", client: str = "c") -> Entry:
    """Stored and acknowledged."""
    entry = repeats.add("$G", client, packet_id, "t", payload)
    repeats.stored(entry)
    entry.acked = True
    repeats.router.flush()
    return entry


def is_repeat(repeats: Repeats, packet_id: int, payload: bytes = b"", client: str = "c") -> bool:
    return repeats.find("$G", client, packet_id, "t", payload) is not None


def row(packet_id: int, number: int, payload: bytes = b"", client: str = "c") -> Recent:
    return Recent("$G", "t", header_block([(HEADER, f"{packet_id}.{number} {client}")]), payload)


def test_a_client_that_counts_up_is_believed() -> None:
    """paho, mosquitto: whatever is in flight when the connection breaks is sent again, the oldest first."""
    repeats = make()
    for packet_id in range(1, 101):
        send(repeats, packet_id, b"the same reading")
    assert all(is_repeat(repeats, packet_id, b"the same reading") for packet_id in range(81, 101))
    assert not is_repeat(repeats, 101, b"the same reading")
    assert not is_repeat(repeats, 100, b"another reading")


def test_no_more_than_the_last_messages_are_known() -> None:
    repeats = make()
    for packet_id in range(1, KEEP + 2):
        send(repeats, packet_id)
    assert not is_repeat(repeats, 1)
    assert is_repeat(repeats, 2)


@pytest.mark.parametrize("cycle", [1, 2, 5, 20])
def test_a_client_of_few_packet_ids_and_one_reading_may_mean_another(cycle: int) -> None:
    repeats = make()
    for i in range(40):
        send(repeats, i % cycle + 1, b"the same reading")
    oldest = 40 % cycle + 1  # the next that it would use
    assert not is_repeat(repeats, oldest, b"the same reading")


def test_a_client_of_few_packet_ids_whose_readings_differ_is_believed() -> None:
    repeats = make()
    for i in range(40):
        send(repeats, i % 5 + 1, b"reading %d" % i)
    assert is_repeat(repeats, 5, b"reading 39")
    assert is_repeat(repeats, 1, b"reading 35")
    assert not is_repeat(repeats, 1, b"reading 30")


def test_within_the_cycle_it_can_only_be_a_repeat() -> None:
    """Ids 1 to 20 in turn: 20 comes again before 1 has been used only when its PUBACK was lost."""
    repeats = make()
    for i in range(40):
        send(repeats, i % 20 + 1, b"the same reading")
    assert is_repeat(repeats, 20, b"the same reading")
    assert is_repeat(repeats, 2, b"the same reading")


def test_clients_do_not_share() -> None:
    repeats = make()
    send(repeats, 1, client="a")
    assert not is_repeat(repeats, 1, client="b")
    assert repeats.find("OTHER", "a", 1, "t", b"") is None


def test_a_nameless_client_leaves_nothing() -> None:
    repeats = make()
    entry = send(repeats, 1, client="")
    assert repeats.logs == {} and repeats.header(entry) == ""
    assert not is_repeat(repeats, 1, client="")


def test_notes_wait_for_the_commit_of_another() -> None:
    store = MemoryStore(lambda call: call())
    repeats = make(store)
    send(repeats, 1)
    assert not is_repeat(make(store), 1)  # whose beginning is such a commit
    assert is_repeat(make(store), 1)


def test_the_stream_knows_what_was_not_noted() -> None:
    store = MemoryStore(lambda call: call())
    first = make(store)
    noted = send(first, 1, b"a")
    store.commit(lambda error: None)
    unnoted = first.add("$G", "c", 2, "t", b"b")
    rows = [row(1, noted.number, b"a"), row(2, unnoted.number, b"b"), row(1, 17, b"old", client="d")]
    second = make(store, rows)
    send(second, 3, b"c")
    assert is_repeat(second, 1, b"a") and is_repeat(second, 2, b"b") and is_repeat(second, 3, b"c")
    assert is_repeat(second, 1, b"old", client="d")
    [log] = [log for key, log in second.logs.items() if key.endswith(" c")]
    assert [entry.packet_id for entry in log.entries] == [1, 2, 3]


def test_numbers_rise_through_restarts() -> None:
    store = MemoryStore(lambda call: call())
    numbers = [send(make(store), 1).number for _ in range(3)]
    assert numbers == sorted(set(numbers))
    assert int.from_bytes(store.values[EPOCH_KEY], "big") == 3


def test_logs_are_bounded_and_the_oldest_goes() -> None:
    repeats = make()
    for i in range(MAX_LOGS + 1):
        send(repeats, 1, client=f"c{i}")
    assert len(repeats.logs) == MAX_LOGS
    assert not is_repeat(repeats, 1, client="c0") and is_repeat(repeats, 1, client="c1")


@pytest.mark.parametrize("client", ["sensor 7", "é/\n\r", "a\x01b", "ends "])
def test_any_client_id_goes_through_a_header(client: str) -> None:
    store = MemoryStore(lambda call: call())
    first = make(store)
    entry = first.add("$G", client, 9, "t", b"x")
    headers = f"NATS/1.0\r\n{first.header(entry)}\r\n\r\n".encode()
    second = make(store, [Recent("$G", "t", headers, b"x")])
    assert is_repeat(second, 9, b"x", client)


def test_a_damaged_note_is_no_note() -> None:
    store = MemoryStore(lambda call: call())
    store.values["mqtt.log $G c"] = b"short"
    assert not is_repeat(make(store), 1)


@given(st.text(max_size=60) | st.from_regex(r"[0-9]{1,30}\.[0-9]{1,30} x", fullmatch=True))
def test_any_header_is_ours_or_not(value: str) -> None:
    packet_id, number, _ = parse_header(value)
    assert packet_id < 1 << 16 and number < 1 << 64


def test_forged_rows_do_no_harm() -> None:
    rows = [
        Recent("$G", "t", header_block([(HEADER, value)]), b"")
        for value in ("", "1.2", "99999.1 c", "1.99999999999999999999999 c", "²³.1 c")
    ]
    repeats = make(recent=rows)
    assert not is_repeat(repeats, 1)
