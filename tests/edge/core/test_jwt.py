import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.jwt import Claims, ClaimsError, decode, encode, get, payload, texts
from edge.core.nkeys import KeyPair

ACCOUNT = KeyPair("A", bytes(32))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def chunk(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def signed(head: Any, body: Any, key: KeyPair = ACCOUNT) -> str:
    text = f"{chunk(head)}.{chunk(body)}"
    return f"{text}.{base64.urlsafe_b64encode(key.sign(text.encode())).decode().rstrip('=')}"


def user(**fields: Any) -> dict[str, Any]:
    return {"sub": "U", "name": "n", "nats": {"type": "user"}, **fields}


def test_what_was_signed_comes_back() -> None:
    claims = decode(encode(user(exp=5, nbf=3, iat=1, aud="A"), ACCOUNT))
    assert claims[:4] == ("user", 2, ACCOUNT.public, "U")
    assert (claims.name, claims.audience, claims.expires, claims.not_before, claims.issued_at) == ("n", "A", 5, 3, 1)
    assert len(claims.id) == 52


def test_its_time() -> None:
    claims = Claims("user", 2, "", "", {}, expires=10, not_before=5)
    claims.refuse_untimely(5)
    claims.refuse_untimely(10)
    for now in (4, 11):
        with pytest.raises(ClaimsError):
            claims.refuse_untimely(now)


HEAD = {"typ": "JWT", "alg": "ed25519-nkey"}
BODY = {"iss": ACCOUNT.public, "sub": "U", "nats": {"type": "user", "version": 2}}


def test_the_first_version_signs_its_payload() -> None:
    body = {"iss": ACCOUNT.public, "sub": "U", "type": "user", "nats": {}, "tags": ["t"]}
    payload = chunk(body)
    signature = base64.urlsafe_b64encode(ACCOUNT.sign(payload.encode())).decode().rstrip("=")
    claims = decode(f"{chunk({'typ': 'JWT', 'alg': 'ed25519'})}.{payload}.{signature}")
    assert (claims.type, claims.version, claims.nats["tags"]) == ("user", 1, ["t"])


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("", "3 chunks"),
        ("a.b.c", "not JSON|base64"),
        (signed(HEAD, BODY)[:-3] + "AAA", "signature"),
        (signed(HEAD | {"alg": "none"}, BODY), "algorithm"),
        (signed(HEAD | {"typ": "X"}, BODY), "type"),
        (signed(HEAD, BODY | {"iss": KeyPair("A", b"1" * 32).public}), "signature"),
        (signed(HEAD, BODY | {"iss": KeyPair("U", bytes(32)).public}, KeyPair("U", bytes(32))), "cannot issue"),
        (signed(HEAD, BODY | {"nats": {"type": "user", "version": 3}}), "newer"),
        (signed(HEAD, BODY | {"nats": {"type": "cluster", "version": 2}}), "not supported"),
        (signed(HEAD, BODY | {"nats": []}), "nats: expected dict"),
        (signed(HEAD, [1]), "not a JSON object"),
        (signed(HEAD, BODY | {"exp": "soon"}), "exp: expected int"),
        ("x" * (2 << 20), "exceeds maximum"),
    ],
)
def test_what_is_not_believed(token: str, problem: str) -> None:
    with pytest.raises(ClaimsError, match=problem):
        decode(token)


@given(st.text() | st.lists(st.text(), min_size=3, max_size=3).map(".".join))
def test_whatever_comes(token: str) -> None:
    with pytest.raises(ClaimsError):
        decode(token)


@given(JSON, st.dictionaries(st.sampled_from(["iss", "sub", "nats", "type", "exp", "name", "aud", "tags"]), JSON))
def test_whatever_was_signed(head: Any, body: dict[str, Any]) -> None:
    for fields in (head, HEAD):
        try:
            decode(signed(fields, BODY | body))
        except ClaimsError:
            continue


def test_fields_of_their_kind() -> None:
    assert get({"a": None}, "a", 3) == 3 and get({"a": 1}, "a", 3) == 1
    for wrong in ("1", True, 1.5):
        with pytest.raises(ClaimsError):
            get({"a": wrong}, "a", 3)
    with pytest.raises(ClaimsError):
        texts({"a": ["x", 1]}, "a")


def test_what_it_says_whoever_signed_it() -> None:
    token = encode(user(), ACCOUNT)
    forged = token.rpartition(".")[0] + ".AAAA"
    assert payload(token)["name"] == payload(forged)["name"] == "n"
    for nonsense in ("", "a", "a.b", "a..c", "a.W10.c"):
        with pytest.raises(ClaimsError):
            payload(nonsense)
