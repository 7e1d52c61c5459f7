import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.json_text import loads


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b' {"a": [1, 2.5, null, true]} ', {"a": [1, 2.5, None, True]}),
        (rb'"\ud83d\ude00 \ud800 x \udc00"', "\U0001f600 \N{REPLACEMENT CHARACTER} x \N{REPLACEMENT CHARACTER}"),
        (rb'{"\ud800": ["\udfff"]}', {"\N{REPLACEMENT CHARACTER}": ["\N{REPLACEMENT CHARACTER}"]}),
        (b'"\xff"', "\N{REPLACEMENT CHARACTER}"),
        (rb'"\\ud800"', r"\ud800"),
    ],
)
def test_values(data: bytes, value: object) -> None:
    assert loads(data) == value


@pytest.mark.parametrize("data", [b"", b"{", b"NaN", b"[-Infinity]", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000, b"1 2"])
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(ValueError):
        loads(data)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(st.characters(categories=None)), st.lists))
def test_whatever_it_is_it_can_be_written(value: object) -> None:
    json.dumps(loads(json.dumps(value).encode()), ensure_ascii=False).encode()
