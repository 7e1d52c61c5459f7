import nkeys
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.nkeys import KeyPair, decode_base64, decode_public, encode_public, is_public, kind_of, verify

SEEDS = st.binary(min_size=32, max_size=32)


@given(st.sampled_from("OAUN"), SEEDS)
def test_as_the_library_of_others_writes_and_reads_them(kind: str, raw: bytes) -> None:
    ours = KeyPair(kind, raw)
    theirs = nkeys.from_seed(ours.seed.encode())
    assert theirs.public_key.decode() == ours.public and is_public(ours.public, kind) and kind_of(ours.public) == kind
    assert KeyPair.from_seed(theirs.seed.decode()).raw == raw
    signature = theirs.sign(b"message")
    assert signature == ours.sign(b"message") and verify(ours.public, b"message", signature)
    assert not verify(ours.public, b"other", signature) and not verify(ours.public, b"message", signature[:-1])


@given(st.text(max_size=80) | st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=50, max_size=60))
def test_whatever_comes(text: str) -> None:
    assert not verify(text, b"", bytes(64)) or is_public(text, text[0])
    for kind in "OAUNX":
        is_public(text, kind)
    with pytest.raises(ValueError):
        KeyPair.from_seed(text)


def test_a_key_of_another_kind() -> None:
    user = encode_public("U", bytes(32))
    assert decode_public(user, "U") == bytes(32) and not is_public(user, "A")
    with pytest.raises(ValueError):
        decode_public(user, "A")
    with pytest.raises(ValueError):
        decode_public(user[:-1] + ("A" if user[-1] != "A" else "B"), "U")


@given(st.binary(max_size=200), SEEDS, SEEDS)
def test_sealed_messages(message: bytes, mine: bytes, yours: bytes) -> None:
    me, you = KeyPair("X", mine), KeyPair("X", yours)
    sealed = me.seal(message, you.public)
    assert you.open(sealed, me.public) == message
    for damaged in (sealed[:-1], b"xkv2" + sealed[4:], sealed[:-1] + bytes([sealed[-1] ^ 1]), b""):
        with pytest.raises(ValueError):
            you.open(damaged, me.public)


@given(st.binary(max_size=100))
def test_base64_of_either_kind(data: bytes) -> None:
    import base64

    assert decode_base64(base64.b64encode(data).decode()) == data
    assert decode_base64(base64.urlsafe_b64encode(data).decode().rstrip("=")) == data
