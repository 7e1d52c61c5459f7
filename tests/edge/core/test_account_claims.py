from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.account_claims import AccountRules, is_revoked, open_private, read_account, read_permissions
from edge.core.account_spec import AccountLimits, Destination, Export, Import, JetStreamLimits, Latency, Mapping
from edge.core.jwt import Claims, ClaimsError, decode, encode
from edge.core.nkeys import KeyPair
from edge.core.permissions import Permissions, ResponseRule, SubjectRule

NOW = 1_000_000
OPERATOR, A, B, SIGNER = (KeyPair(kind, bytes([i]) * 32) for i, kind in enumerate("OAAA"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
NAMES = (
    "limits", "exports", "imports", "mappings", "signing_keys", "revocations", "default_permissions", "authorization",
    "tags",
)  # fmt: skip


def rules(key: KeyPair = A, strict: bool = False, **nats: Any) -> AccountRules:
    claims = decode(encode({"sub": key.public, "name": "n", "nats": {**nats, "type": "account"}}, OPERATOR))
    return read_account(claims, strict)


def test_limits() -> None:
    given = {"conn": 3, "subs": -1, "payload": 100, "leaf": 0}
    assert rules(limits=given).spec.limits == AccountLimits(3, None, 100, 0)
    assert rules(limits=given).spec.jetstream is None
    assert rules(limits={"disk_storage": -1, "streams": 2}).spec.jetstream == JetStreamLimits(0, None, 2, 0)
    of_each = {"max_ack_pending": 5, "mem_max_stream_bytes": 6, "disk_max_stream_bytes": 0, "max_bytes_required": True}
    limits = rules(limits={"disk_storage": 9, **of_each}).spec.jetstream
    assert limits == JetStreamLimits(0, 9, 0, 0, 5, 6, None, True)
    tiers = {"R1": {"mem_storage": 5, "consumer": 4}, "R3": {"disk_storage": 9}}
    of_one, of_three = JetStreamLimits(5, 0, 0, 4), JetStreamLimits(0, 9, 0, 0)
    tiered = of_one._replace(tiers=(("R1", of_one), ("R3", of_three)))
    assert rules(limits={"tiered_limits": tiers}).spec.jetstream == tiered


def test_exports_imports_mappings() -> None:
    found = rules(
        exports=[
            {"subject": "s.>", "type": "stream", "token_req": True, "revocations": {"*": 5}},
            {"subject": "q.*", "type": "service", "response_type": "Chunked", "response_threshold": 9,
             "service_latency": {"sampling": "headers", "results": "lat"}, "account_token_position": 2},
        ],
        imports=[
            {"subject": "a.*", "account": "X", "type": "stream", "local_subject": "b.$1"},
            {"subject": "a.*", "account": "X", "type": "stream", "to": "old."},
            {"subject": "mine", "account": "X", "type": "service", "to": "theirs", "share": True},
            {"subject": "theirs", "account": "X", "type": "service", "local_subject": "mine"},
        ],
        mappings={"m": [{"subject": "n", "weight": 30, "cluster": "c"}, {"subject": "o"}]},
    ).spec  # fmt: skip
    assert found.exports == (
        Export("s.>", False, frozenset()),
        Export("q.*", True, None, "Chunked", 9, Latency("lat", 0), 2),
    )
    assert found.imports == (
        Import("X", "a.*", False, "b.$1"),
        Import("X", "a.*", False, "old.a.*"),
        Import("X", "theirs", True, "mine", True),
        Import("X", "theirs", True, "mine"),
    )
    assert found.mappings == (Mapping("m", (Destination("n", 30, "c"), Destination("o", 100))),)


def test_who_may_sign() -> None:
    keys = [SIGNER.public, {"kind": "user_scope", "key": B.public, "template": {"pub": {"allow": ["x"]}}}]
    scope = {"pub": {"allow": ["x"]}}
    assert rules(signing_keys=keys).signers == {A.public: None, SIGNER.public: None, B.public: scope}
    assert rules(signing_keys=keys, strict=True).signers == {SIGNER.public: None, B.public: scope}


def test_revocations() -> None:
    found = rules(revocations={"U1": 10, "*": 5})
    assert found.is_revoked("U1", 10) and not found.is_revoked("U1", 11)
    assert found.is_revoked("U2", 5) and not found.is_revoked("U2", 6)
    assert not is_revoked({}, "U1", 0)


def test_permissions() -> None:
    assert read_permissions({}) is None
    assert read_permissions({"pub": {"allow": ["a"], "deny": ["b"]}}) == Permissions(SubjectRule(("a",), ("b",)))
    assert read_permissions({"resp": {"max": 2, "ttl": 5}}) == Permissions(
        SubjectRule(()), SubjectRule(), ResponseRule(2, 5)
    )


def token(subject: str = "s.1", to: str = B.public, signer: KeyPair = A, **fields: Any) -> str:
    times = {name: fields.pop(name) for name in ("exp", "iat") if name in fields}
    nats = {"subject": subject, "kind": "stream", "type": "activation", **fields}
    return encode({"sub": to, "nats": nats, **times}, signer)


@pytest.mark.parametrize(
    ("jwt", "is_open"),
    [
        (token(), True),
        (token("s.>"), True),
        (token(signer=SIGNER, issuer_account=A.public), True),
        (token(exp=NOW + 1), True),
        (token("s.2"), False),
        (token(to=A.public), False),
        (token(signer=B), False),
        (token(signer=SIGNER), False),
        (token(kind="service"), False),
        (token(exp=NOW - 1), False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_private_exports(jwt: str, is_open: bool) -> None:
    exporter = rules(
        exports=[{"subject": "s.>", "type": "stream", "token_req": True}], signing_keys=[SIGNER.public]
    )
    importer = rules(B, imports=[{"subject": "s.1", "account": A.public, "type": "stream", "token": jwt}])
    specs = open_private({A.public: exporter, B.public: importer}, NOW)
    assert specs[0].exports[0].accounts == (frozenset((B.public,)) if is_open else frozenset())


def test_a_revoked_token() -> None:
    private = {"subject": "s.>", "type": "stream", "token_req": True, "revocations": {B.public: 50}}
    exporter = rules(exports=[private])
    for issued, is_open in ((50, False), (51, True)):
        jwt = token(iat=issued)
        importer = rules(B, imports=[{"subject": "s.1", "account": A.public, "type": "stream", "token": jwt}])
        specs = open_private({A.public: exporter, B.public: importer}, NOW)
        assert bool(specs[0].exports[0].accounts) == is_open


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_whatever_it_says(nats: dict[str, Any]) -> None:
    try:
        found = read_account(Claims("account", 2, OPERATOR.public, A.public, nats))
        open_private({A.public: found}, NOW)
    except ClaimsError:
        pass
