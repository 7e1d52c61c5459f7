import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ProtocolError
from edge.protocol.mqtt import (
    FROM_CLIENT,
    FROM_SERVER,
    Ack,
    Code,
    Connack,
    Connect,
    ConnectRefused,
    Kind,
    Packet,
    Parser,
    Publish,
    Signal,
    Suback,
    Subscribe,
    Unsubscribe,
    Will,
    encode,
)

# What a client says, as on the wire and as it is meant.
CLIENT: list[tuple[bytes, Packet]] = [
    (b"\x10\x0d\0\4MQTT\4\2\0\x3c\0\1c", Connect("c", keepalive=60)),
    (
        b"\x10\x1d\0\4MQTT\4\xec\0\0\0\2id\0\1w\0\3bye\0\1u\0\2pw",
        Connect("id", False, 0, Will("w", b"bye", 1, True), "u", b"pw"),
    ),
    (b"\x30\x07\0\3a/bhi", Publish("a/b", b"hi")),
    (b"\x31\x03\0\1r", Publish("r", b"", retain=True)),
    (b"\x3a\x08\0\3a/b\0\7x", Publish("a/b", b"x", 1, dup=True, packet_id=7)),
    (b"\x34\x08\0\3a/b\0\x08x", Publish("a/b", b"x", 2, packet_id=8)),
    (b"\x30\xac\2\0\2\xc3\xa9" + b"z" * 296, Publish("é", b"z" * 296)),
    (b"\x40\2\0\7", Ack(Kind.PUBACK, 7)),
    (b"\x62\2\0\x08", Ack(Kind.PUBREL, 8)),
    (b"\x82\x0c\0\x0a\0\3a/#\1\0\1+\0", Subscribe(10, (("a/#", 1), ("+", 0)))),
    (b"\xa2\x07\0\x0b\0\3a/#", Unsubscribe(11, ("a/#",))),
    (b"\xc0\0", Signal(Kind.PINGREQ)),
    (b"\xe0\0", Signal(Kind.DISCONNECT)),
]
SERVER: list[tuple[bytes, Packet]] = [
    (b"\x20\2\1\0", Connack(True, Code.ACCEPTED)),
    (b"\x20\2\0\5", Connack(False, Code.NOT_AUTHORIZED)),
    (b"\x33\x08\0\3a/b\0\1x", Publish("a/b", b"x", 1, retain=True, packet_id=1)),
    (b"\x50\2\0\2", Ack(Kind.PUBREC, 2)),
    (b"\x70\2\xff\xff", Ack(Kind.PUBCOMP, 65535)),
    (b"\x90\4\0\x0a\1\x80", Suback(10, (1, 0x80))),
    (b"\xb0\2\0\x0b", Ack(Kind.UNSUBACK, 11)),
    (b"\xd0\0", Signal(Kind.PINGRESP)),
]


def read(parser: Parser, data: bytes) -> list[Packet]:
    return list(parser.receive_data(data))


@pytest.mark.parametrize("wire, packet", CLIENT)
def test_client_packets_both_ways(wire: bytes, packet: Packet) -> None:
    assert read(Parser(FROM_CLIENT), wire) == [packet]
    assert encode(packet) == wire


@pytest.mark.parametrize("wire, packet", SERVER)
def test_server_packets_both_ways(wire: bytes, packet: Packet) -> None:
    assert read(Parser(FROM_SERVER), wire) == [packet]
    assert encode(packet) == wire


@pytest.mark.parametrize("kinds, conversation", [(FROM_CLIENT, CLIENT), (FROM_SERVER, SERVER)])
def test_split_anywhere(kinds: frozenset[Kind], conversation: list[tuple[bytes, Packet]]) -> None:
    data = b"".join(wire for wire, _ in conversation)
    packets = [packet for _, packet in conversation]
    for cut in range(len(data) + 1):
        parser = Parser(kinds)
        assert read(parser, data[:cut]) + read(parser, data[cut:]) == packets, cut


def test_byte_by_byte() -> None:
    data = b"".join(wire for wire, _ in CLIENT)
    parser = Parser(FROM_CLIENT)
    heard = [packet for i in range(len(data)) for packet in read(parser, data[i : i + 1])]
    assert heard == [packet for _, packet in CLIENT]


CONNECT = b"\0\4MQTT\4"

BAD = [
    (b"\x00\0", "packet type 0"),
    (b"\xf0\0", "packet type 15"),
    (b"\x20\2\0\0", "packet type 2"),  # CONNACK is not for a server
    (b"\x90\3\0\1\0", "packet type 9"),
    (b"\xd0\0", "packet type 13"),
    (b"\x11\x0d" + CONNECT + b"\2\0\0\0\1c", "flags 0001"),
    (b"\x80\x06\0\1\0\1a\0", "flags 0000"),
    (b"\x60\2\0\1", "flags 0000"),
    (b"\x41\2\0\1", "flags 0001"),
    (b"\xe1\0", "flags 0001"),
    (b"\x36\x06\0\1a\0\1x", "QoS 3"),
    (b"\x10\xff\xff\xff\xff", "malformed remaining length"),
    (b"\x10\xff\xff\xff\xff\1", "malformed remaining length"),
    (b"\x10\x0c\0\4MQTX\4\2\0\0\0\0", "protocol name"),
    (b"\x10\x0c" + CONNECT + b"\3\0\0\0\0", "reserved flag"),
    (b"\x10\x0d" + CONNECT + b"\x42\0\0\0\1c", "password without a user"),
    (b"\x10\x0d" + CONNECT + b"\x0a\0\0\0\1c", "without a will"),
    (b"\x10\x0d" + CONNECT + b"\x22\0\0\0\1c", "without a will"),
    (b"\x10\x13" + CONNECT + b"\x1e\0\0\0\1c\0\1w\0\1x", "will with QoS 3"),
    (b"\x10\x0e" + CONNECT + b"\2\0\0\0\1cz", "1 bytes behind the end"),
    (b"\x10\x0c" + CONNECT + b"\2\0\0\0\1", "ends within a field"),
    (b"\x10\x04\0\4MQ", "ends within a field"),
    (b"\x32\x05\0\1a\0\0", "packet identifier 0"),
    (b"\x32\x04\0\1a\0", "ends within a field"),
    (b"\x30\x02\0\5", "ends within a field"),
    (b"\x30\x04\0\2\xff\xfe", "not UTF-8"),
    (b"\x30\x05\0\3\xed\xa0\x80", "not UTF-8"),  # a surrogate
    (b"\x30\x04\0\2a\0", "U\\+0000"),
    (b"\x40\2\0\0", "packet identifier 0"),
    (b"\x40\3\0\1\0", "1 bytes behind the end"),
    (b"\x40\1\0", "ends within a field"),
    (b"\x82\2\0\1", "SUBSCRIBE without a filter"),
    (b"\x82\x06\0\0\0\1a\0", "packet identifier 0"),
    (b"\x82\x06\0\1\0\1a\3", "subscription with QoS 3"),
    (b"\x82\x05\0\1\0\1a", "ends within a field"),
    (b"\x82\x05\0\1\0\0\0", "an empty topic filter"),
    (b"\xa2\x04\0\1\0\0", "an empty topic filter"),
    (b"\xa2\2\0\1", "UNSUBSCRIBE without a filter"),
    (b"\xc0\1a", "1 bytes behind the end"),
]


@pytest.mark.parametrize("wire, problem", BAD)
def test_what_a_server_refuses(wire: bytes, problem: str) -> None:
    good = encode(Signal(Kind.PINGREQ))
    parser = Parser(FROM_CLIENT)
    heard = []
    with pytest.raises(ProtocolError, match=problem):
        for packet in parser.receive_data(good + wire):
            heard.append(packet)
    assert heard == [Signal(Kind.PINGREQ)], "what came before the fault counts"


@pytest.mark.parametrize("wire", [b"\x20\2\2\0", b"\x90\2\0\1", b"\x90\3\0\1\3", b"\x82\x06\0\1\0\1a\0"])
def test_what_a_client_refuses(wire: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(Parser(FROM_SERVER), wire)


@pytest.mark.parametrize(
    "wire, code",
    [
        (b"\x10\x0d\0\4MQTT\5\2\0\0\0\1c", Code.UNACCEPTABLE_VERSION),
        (b"\x10\x0f\0\6MQIsdp\3\2\0\0\0\1c", Code.UNACCEPTABLE_VERSION),
        (b"\x10\x0c" + CONNECT + b"\0\0\0\0\0", Code.IDENTIFIER_REJECTED),
        (b"\x10\x0d" + CONNECT + b"\2\0\0\0\1\0", Code.IDENTIFIER_REJECTED),
        (b"\x10\x0d" + CONNECT + b"\2\0\0\0\1\xff", Code.IDENTIFIER_REJECTED),
    ],
)
def test_connects_that_are_answered(wire: bytes, code: Code) -> None:
    with pytest.raises(ConnectRefused) as refused:
        read(Parser(FROM_CLIENT), wire)
    assert refused.value.code is code


def test_a_packet_is_refused_by_its_head() -> None:
    parser = Parser(FROM_CLIENT, 127)
    assert read(parser, encode(Publish("a", b"x" * 124))) == [Publish("a", b"x" * 124)]
    with pytest.raises(ProtocolError, match="128 bytes where 127 are allowed"):
        read(parser, b"\x30\x80\x01")


def test_a_large_packet_in_small_pieces() -> None:
    packet = Publish("a", bytes(range(256)) * 1000)
    wire = encode(packet)
    parser = Parser(FROM_CLIENT)
    heard = [got for i in range(0, len(wire), 1000) for got in read(parser, wire[i : i + 1000])]
    assert heard == [packet]


letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(letters, max_size=20)
filters = st.text(letters, min_size=1, max_size=20)
ids = st.integers(1, 65535)
wills = st.builds(Will, texts, st.binary(max_size=20), st.integers(0, 2), st.booleans())
publishes = st.builds(
    Publish, texts, st.binary(max_size=300), st.just(0), st.booleans(), st.just(False), st.just(0)
) | st.builds(Publish, texts, st.binary(max_size=300), st.integers(1, 2), st.booleans(), st.booleans(), ids)
packets = st.one_of(
    publishes,
    st.builds(Connect, texts, st.just(True), st.integers(0, 65535), st.none() | wills, texts, st.none() | st.binary()),
    st.builds(Subscribe, ids, st.lists(st.tuples(filters, st.integers(0, 2)), min_size=1, max_size=5).map(tuple)),
    st.builds(Unsubscribe, ids, st.lists(filters, min_size=1, max_size=5).map(tuple)),
    st.builds(Ack, st.sampled_from([Kind.PUBACK, Kind.PUBREC, Kind.PUBREL, Kind.PUBCOMP]), ids),
)


@given(st.lists(packets, max_size=8), st.integers(1, 50))
def test_what_is_encoded_is_decoded(sent: list[Packet], step: int) -> None:
    data = b"".join(map(encode, sent))
    parser = Parser(FROM_CLIENT)
    assert [packet for i in range(0, len(data), step) for packet in read(parser, data[i : i + step])] == sent


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_end_in_packets_or_a_protocol_error(chunks: list[bytes]) -> None:
    parser = Parser(FROM_CLIENT, 1000)
    try:
        for chunk in chunks:
            read(parser, chunk)
    except ProtocolError:
        return
    assert parser.have <= 1005


@given(st.sampled_from(sorted(FROM_CLIENT)), st.binary(max_size=60))
def test_any_body_ends_in_a_packet_or_a_protocol_error(kind: Kind, body: bytes) -> None:
    flags = 2 if kind in (Kind.SUBSCRIBE, Kind.UNSUBSCRIBE, Kind.PUBREL) else 0
    if kind is Kind.CONNECT:
        body = b"\0\4MQTT\4" + body
    try:
        [packet] = read(Parser(FROM_CLIENT), bytes((kind << 4 | flags, len(body))) + body)
    except ProtocolError:
        return
    assert read(Parser(FROM_CLIENT), encode(packet)) == [packet]
