import pytest

from edge.errors import ProtocolError
from edge.protocol.leaf_connect import LeafConnect, parse_connect, version_at_least


def test_what_a_leaf_says() -> None:
    line = (
        b'CONNECT {"version":"2.15.1","name":"e","cluster":"c","domain":"d","remote_account":"A","headers":true,"user":"u",'
        b'"pass":"p","auth_token":"t","sig":"s","isolate":true,"is_hub":true,"deny_pub":["a","b"],"compress_mode":"off",'
        b'"protocol":3,"server_id":"N","jetstream":true,"tls_required":false}'
    )
    assert parse_connect(line) == LeafConnect(
        "N", "e", "2.15.1", "c", "d", "A", "u", "p", "t", signature="s", headers=True, is_hub=True, is_isolated=True,
        deny_pub=("a", "b"), compression="off", protocol=3,
    )  # fmt: skip
    assert parse_connect(b"connect {}") == parse_connect(b'CONNECT {"name":null}') == LeafConnect()


@pytest.mark.parametrize("said", [b"", b"[]", b"{", b'{"name":5}', b'{"headers":1}', b'{"deny_pub":"a"}', b'{"deny_pub":[1]}', b'{"protocol":"3"}'])
def test_what_is_none(said: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_connect(b"CONNECT " + said)
    assert str(caught.value) == "" and caught.value.reason == "Protocol Violation"


@pytest.mark.parametrize(
    ("version", "least", "expected"),
    [("2.10.0", "2.9.9", True), ("2.9.0", "2.9.0", True), ("2.8.12", "2.9.0", False), ("2.12.0-beta.1", "2.12.0", True),
     ("3.0.0+x", "2.9.0", True), ("", "2.9.0", False), ("two", "2.9.0", False), ("2.9", "2.9.0", False)],
)  # fmt: skip
def test_versions(version: str, least: str, expected: bool) -> None:
    assert version_at_least(version, least) is expected
