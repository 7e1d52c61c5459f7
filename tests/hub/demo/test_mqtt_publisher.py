import pytest

from hub.demo.mqtt_publisher import WINDOW, MqttError, MqttPublisher

CONNACK = b"\x20\x02\x00\x00"


def puback(identifier):
    return b"\x40\x02" + identifier.to_bytes(2, "big")


def publish(identifier, payload, dup=False):
    body = b"\x00\x01t" + identifier.to_bytes(2, "big") + payload
    return bytes((0x3A if dup else 0x32, len(body))) + body


@pytest.fixture
def publisher():
    """Connected, nothing sent yet."""
    made = MqttPublisher("s", 10)
    made.connection_made()
    assert made.data_to_send() == b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x0a\x00\x01s"  # clean session 0
    made.receive_data(CONNACK)
    return made


def test_reading_waits_for_connack():
    publisher = MqttPublisher("s", 10)
    publisher.publish("t", b"early")
    publisher.connection_made()
    publisher.data_to_send()
    publisher.publish("t", b"late")
    assert publisher.data_to_send() == b""
    publisher.receive_data(CONNACK)
    assert publisher.data_to_send() == publish(1, b"early") + publish(2, b"late")


def test_reading_is_kept_until_its_puback(publisher):
    publisher.publish("t", b"1")
    publisher.publish("t", b"2")
    publisher.receive_data(puback(1))
    assert (publisher.acknowledged, publisher.unacknowledged()) == (1, 1)
    publisher.receive_data(puback(1))  # a reading sent twice may be acked twice
    assert (publisher.acknowledged, publisher.unacknowledged()) == (1, 1)


def test_unacknowledged_come_again_with_dup_and_the_same_identifier(publisher):
    publisher.publish("t", b"1")
    publisher.publish("t", b"2")
    publisher.publish("t", b"3")
    publisher.data_to_send()
    publisher.receive_data(puback(2) + b"\x40\x02\x00")  # and half of another
    publisher.connection_made()
    publisher.publish("t", b"4")
    publisher.data_to_send()
    publisher.receive_data(CONNACK)
    assert publisher.data_to_send() == publish(1, b"1", True) + publish(3, b"3", True) + publish(4, b"4")


def test_window_bounds_what_is_on_the_way(publisher):
    for n in range(WINDOW + 5):
        publisher.publish("t", b"%d" % n)
    assert publisher.data_to_send().count(b"\x00\x01t") == WINDOW
    publisher.receive_data(puback(1) + puback(2))
    assert publisher.data_to_send().count(b"\x00\x01t") == 2


def test_identifiers_wrap_past_zero(publisher):
    publisher._identifier = 65534
    publisher.publish("t", b"a")
    publisher.publish("t", b"b")
    assert publisher.data_to_send() == publish(65535, b"a") + publish(1, b"b")


def test_long_reading_has_a_long_remaining_length(publisher):
    publisher.publish("t", b"x" * 300)
    assert publisher.data_to_send()[:3] == b"\x32" + bytes((0x80 | (305 % 128), 305 // 128))


CONVERSATION = puback(1) + b"\xd0\x00" + puback(2) + puback(3)


@pytest.mark.parametrize("cut", range(len(CONVERSATION) + 1))
def test_split_anywhere(publisher, cut):
    for n in range(3):
        publisher.publish("t", b"%d" % n)
    publisher.receive_data(CONVERSATION[:cut])
    publisher.receive_data(CONVERSATION[cut:])
    assert (publisher.acknowledged, publisher.unacknowledged()) == (3, 0)


@pytest.mark.parametrize(
    "data, why",
    [
        (b"\x20\x02\x00\x05", "refused, code 5"),
        (puback(1), "packet type 4 in place of CONNACK"),
        (b"\x20\x01\x00", "in place of CONNACK"),
        (b"\x20\xff\xff\xff\xff\x01", "more than four bytes"),
    ],
)
def test_server_that_does_not_let_us_in(data, why):
    publisher = MqttPublisher("s", 10)
    publisher.connection_made()
    with pytest.raises(MqttError, match=why):
        publisher.receive_data(data)


def test_packet_that_is_not_for_a_publisher(publisher):
    with pytest.raises(MqttError, match="packet type 9"):
        publisher.receive_data(b"\x90\x03\x00\x01\x00")
