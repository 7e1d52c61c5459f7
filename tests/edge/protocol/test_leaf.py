import json

import pytest

from edge.errors import ProtocolError
from edge.protocol import leaf
from edge.protocol.leaf import Interest, LeafParser, Rule, interest_line, message_head, parse_info, parse_interest

HEADERS = b"NATS/1.0\r\nX-A: 1\r\n\r\n"

CONVERSATION = b"".join(
    (
        b'INFO {"server_id":"N1","max_payload":1048576} \r\n',
        b"LS+ a.*\r\nLS+ q.work g1 2\r\nLS- q.work g1\r\nPING\r\n",
        b"LMSG a.b 5\r\nhello\r\n",
        b"LMSG a.b 0\r\n\r\n",
        b"LMSG a.req _INBOX.leaf.1 4\r\nping\r\n",
        b"HMSG a.hdr 20 22\r\n" + HEADERS + b"hi\r\n",
        b"HMSG a.hdr2 _INBOX.leaf.2 20 22\r\n" + HEADERS + b"yo\r\n",
        b"LMSG q.work | g1 4\r\nonly\r\n",
        b"lmsg q.work + _INBOX.leaf.3 g1 g2 4\r\n\r\n\r\n\r\n",
        b"HMSG q.work | g2 20 21\r\n" + HEADERS + b"z\r\n",
        b"HMSG\tq.work\t+ rr.1  qq 20 22\r\n" + HEADERS + b"p6\r\n",
        b"PONG\r\n-ERR 'Stale Connection'\r\n",
    )
)

HEARD = [
    b'INFO {"server_id":"N1","max_payload":1048576} ',
    b"LS+ a.*",
    b"LS+ q.work g1 2",
    b"LS- q.work g1",
    b"PING",
    ("a.b", "", b"", b"hello", ()),
    ("a.b", "", b"", b"", ()),
    ("a.req", "_INBOX.leaf.1", b"", b"ping", ()),
    ("a.hdr", "", HEADERS, b"hi", ()),
    ("a.hdr2", "_INBOX.leaf.2", HEADERS, b"yo", ()),
    ("q.work", "", b"", b"only", ("g1",)),
    ("q.work", "_INBOX.leaf.3", b"", b"\r\n\r\n", ("g1", "g2")),
    ("q.work", "", HEADERS, b"z", ("g2",)),
    ("q.work", "rr.1", HEADERS, b"p6", ("qq",)),
    b"PONG",
    b"-ERR 'Stale Connection'",
]


def make_parser(max_payload: int = 1 << 20) -> tuple[LeafParser, list[object]]:
    heard: list[object] = []
    return LeafParser(lambda *message: heard.append(message), heard.append, max_payload), heard


@pytest.mark.parametrize("cut", range(len(CONVERSATION) + 1))
def test_split_anywhere(cut: int) -> None:
    parser, heard = make_parser()
    parser.receive(CONVERSATION[:cut])
    parser.receive(CONVERSATION[cut:])
    assert heard == HEARD


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_in_small_pieces(size: int) -> None:
    parser, heard = make_parser()
    for at in range(0, len(CONVERSATION), size):
        parser.receive(CONVERSATION[at : at + size])
    assert heard == HEARD


def test_the_same_line_again_is_the_same_message() -> None:
    parser, heard = make_parser()
    parser.receive(b"LMSG a 1\r\nx\r\nLMSG a 1\r\ny\r\n" * 3)
    assert [message[3] for message in heard] == [b"x", b"y"] * 3  # type: ignore[index]


@pytest.mark.parametrize(
    "data, text",
    [
        (b"LMSG foo\r\n", ""),
        (b"LMSG\r\n", ""),
        (b"LMSGS foo 1\r\nx\r\n", ""),
        (b"LMSG foo -1\r\n", ""),
        (b"LMSG foo 1e3\r\n", ""),
        (b"LMSG foo 9999999999\r\n", ""),
        (b"LMSG foo a b 3\r\nabc\r\n", ""),
        (b"LMSG foo + 3\r\nabc\r\nLMSG foo ++ r q 3\r\n", ""),
        (b"HMSG foo 3\r\nabc\r\n", ""),
        (b"HMSG foo 4 3\r\nabc\r\n", ""),
        (b"LMSG foo 3\r\nabcd\r\n", "Unknown Protocol Operation"),
        (b"LMSG foo 1048577\r\n", "Maximum Payload Violation"),
        (b"x" * (leaf.MAX_LINE + 2), "maximum control line exceeded"),
    ],
)
def test_malformed_is_one_protocol_error(data: bytes, text: str) -> None:
    parser, heard = make_parser()
    with pytest.raises(ProtocolError, match=f"^{text}$"):
        parser.receive(b"LMSG ok 1\r\n1\r\n" + data)
    assert heard[0] == ("ok", "", b"", b"1", ())


def test_a_large_payload_is_not_looked_at_before_it_is_whole() -> None:
    parser, heard = make_parser()
    parser.receive(b"LMSG big 500000\r\n")
    for _ in range(500):
        parser.receive(b"x" * 1000)
        assert heard == []
    parser.receive(b"\r\nPING\r\n")
    assert heard == [("big", "", b"", b"x" * 500_000, ()), b"PING"]


@pytest.mark.parametrize(
    "interest, line",
    [
        (Interest("a.*", "", 1), b"LS+ a.*\r\n"),
        (Interest("a.*", "", 0), b"LS- a.*\r\n"),
        (Interest("q.work", "g1", 3), b"LS+ q.work g1 3\r\n"),
        (Interest("q.work", "g1", 0), b"LS- q.work g1\r\n"),
        (Interest("caf\u00e9.\udcff", "", 1), b"LS+ caf\xc3\xa9.\xff\r\n"),
    ],
)
def test_interest_both_ways(interest: Interest, line: bytes) -> None:
    assert interest_line(interest) == line
    assert parse_interest(line[:-2]) == interest


@pytest.mark.parametrize("line", [b"LS+", b"LS+ a q", b"LS+ a q 1 2", b"LS+ a q x", b"LS- a q 1", b"LS- "])
def test_malformed_interest(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_interest(line)


@pytest.mark.parametrize(
    "route, line",
    [
        (("", ()), b"LMSG a 5\r\n"),
        (("r", ()), b"LMSG a r 5\r\n"),
        (("", ("g1",)), b"LMSG a | g1 5\r\n"),
        (("r", ("g1", "g2")), b"LMSG a + r g1 g2 5\r\n"),
    ],
)
def test_what_is_written_is_what_is_read(route: tuple[str, tuple[str, ...]], line: bytes) -> None:
    reply, queues = route
    assert message_head("a", reply, queues, 0, 5) == line
    for size in (0, 20):
        head = leaf.parse_head(message_head("a", reply, queues, size, 25)[:-2])
        assert head == ("a", reply, queues, size, 25)


def test_info() -> None:
    fields = {
        "server_id": "ND",
        "server_name": "h2",
        "domain": "hub",
        "headers": True,
        "jetstream": True,
        "max_payload": 99,
        "info_on_connect": True,
        "connect_info": True,
        "remote_account": "P",
        "import": {"allow": ["down.>", "_INBOX.>"]},
        "export": {"allow": ["up.>"], "deny": ["up.secret"]},
        "leafnode_urls": ["127.0.0.1:14311"],
    }
    info = parse_info(b"INFO " + json.dumps(fields).encode() + b" ")
    assert (info.server_name, info.domain, info.max_payload, info.remote_account) == ("h2", "hub", 99, "P")
    assert info.imports == Rule(("down.>", "_INBOX.>"), ())
    assert info.exports == Rule(("up.>",), ("up.secret",))
    assert info.leafnode_urls == ("127.0.0.1:14311",)
    assert parse_info(b"INFO {}").imports == Rule(None, ())


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"max_payload":"x"}', b'{"export":{"allow":"x"}}', b'{"leafnode_urls":[1]}', b'{"import":[]}'],
)
def test_malformed_info(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_info(b"INFO " + body)


def test_error_text() -> None:
    assert leaf.parse_error(b"-ERR 'Authorization Violation'") == "Authorization Violation"
