import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.monitor.bodies import FILTER, KINDS, BadBody, concerns, parse_body
from edge.monitor.stamp import Identity

OWN = Identity("edge", "127.0.0.1", "NID", "2.12.0")
NAMES = st.sampled_from([*FILTER, *{name for kind in KINDS.values() for name in kind.options}, "other"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(LEAVES, lambda part: st.lists(part) | st.dictionaries(st.text(), part), max_leaves=5)


@given(name=st.sampled_from(sorted(KINDS)), body=st.binary() | st.dictionaries(NAMES, VALUES).map(json.dumps).map(str.encode))
def test_no_body_harms(name: str, body: bytes) -> None:
    try:
        fields = parse_body(body, KINDS[name])
    except BadBody as exc:
        assert str(exc)
    else:
        assert concerns(OWN, fields) in (True, False)


@pytest.mark.parametrize("body", [b'{"cid":' + b"9" * 5000 + b"}", b'{"a":' * 100_000, b"null", b"\xff\xfe"])
def test_extremes(body: bytes) -> None:
    try:
        assert parse_body(body, KINDS["CID"]) == {}
    except BadBody:
        assert body != b"null"
