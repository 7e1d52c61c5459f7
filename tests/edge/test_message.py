from edge.message import header_add, header_block, header_get, header_items, header_set, status_block


def test_a_block_and_its_parts() -> None:
    block = header_block([("A", "1"), ("B", "two"), ("A", "3")])
    assert block == b"NATS/1.0\r\nA: 1\r\nB: two\r\nA: 3\r\n\r\n"
    assert header_items(block) == [("A", "1"), ("B", "two"), ("A", "3")]
    assert header_get(block, "A") == "1" and header_get(block, "B") == "two"


def test_names_are_case_sensitive_and_whole() -> None:
    block = header_block([("Nats-Msg-Id-Extra", "no"), ("Nats-Msg-Id", "yes")])
    assert header_get(block, "Nats-Msg-Id") == "yes" and header_get(block, "nats-msg-id") is None
    assert header_get(b"", "A") is None


def test_adding_keeps_what_is_there() -> None:
    assert header_add(b"", [("A", "1")]) == b"NATS/1.0\r\nA: 1\r\n\r\n"
    assert header_add(b"NATS/1.0\r\nA: 1\r\n\r\n", [("B", "2")]) == b"NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n"


def test_status() -> None:
    assert status_block(404, "No Messages") == b"NATS/1.0 404 No Messages\r\n\r\n"
    assert status_block(100, "", [("K", "v")]) == b"NATS/1.0 100\r\nK: v\r\n\r\n"


def test_a_block_without_its_end_is_read_as_far_as_it_goes() -> None:
    assert header_get(b"NATS/1.0\r\nA: 1", "A") == "1"
    assert header_items(b"NATS/1.0\r\nno colon\r\nA:1") == [("A", "1")]


def test_setting_leaves_one() -> None:
    assert header_set(b"", "A", "1") == b"NATS/1.0\r\nA: 1\r\n\r\n"
    assert header_set(b"NATS/1.0 503\r\nA:0\r\nB: b\r\nA: 0\r\nAa: 2\r\n\r\n", "A", "1") == (
        b"NATS/1.0 503\r\nB: b\r\nAa: 2\r\nA: 1\r\n\r\n"
    )
