import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.subjects import intersection, is_literal, is_valid, is_wildcard, matches, overlap, subset

TOKEN = st.sampled_from(["a", "b", "cc", "*a", "b>"])
LITERAL = st.lists(TOKEN, min_size=1, max_size=4).map(".".join)
PATTERN = st.tuples(
    st.lists(st.one_of(TOKEN, st.just("*")), min_size=1, max_size=4), st.sampled_from(["", ".>"])
).map(lambda parts: ".".join(parts[0]) + parts[1])  # fmt: skip


@pytest.mark.parametrize("subject", ["a", "a.b", "*", ">", "a.*.>", "a*", ">b", "ü.x", "$JS.API"])
def test_valid(subject: str) -> None:
    assert is_valid(subject)


@pytest.mark.parametrize("subject", ["", ".", "a.", ".a", "a..b", "a b", "a\tb", "a.>.b", ">.a", "a\r\n"])
def test_not_valid(subject: str) -> None:
    assert not is_valid(subject) and not is_literal(subject)


def test_wildcards_are_whole_tokens() -> None:
    assert is_wildcard("a.*") and is_wildcard("a.>") and is_wildcard(">")
    assert is_literal("a*.b>") and not is_literal("a.*")


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        ("a.b", "a.*", True), ("a.*", "a.b", False), ("a.*", "a.>", True), ("a.>", "a.*", False), ("*", ">", True),
        (">", "*", False), ("a.*.c", "a.>", True), ("a", "a.>", False), ("a.>", "a.>", True), ("a.>", ">", True),
        ("*.b", "a.*", False),
    ],
)  # fmt: skip
def test_subset(narrow: str, wide: str, expected: bool) -> None:
    assert subset(narrow, wide) is expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [("a.*", "*.b", True), ("a.b", "a.c", False), ("a.>", "a", False), ("a.>", "*.b.c", True), ("a", "a.b", False)],
)
def test_overlap(a: str, b: str, expected: bool) -> None:
    assert overlap(a, b) is expected and overlap(b, a) is expected


@given(LITERAL, PATTERN, PATTERN)
def test_the_three_relations_agree(subject: str, a: str, b: str) -> None:
    if matches(a, subject) and matches(b, subject):
        assert overlap(a, b)
    if subset(a, b) and matches(a, subject):
        assert matches(b, subject)
    if not overlap(a, b):
        assert not (matches(a, subject) and matches(b, subject))


@given(LITERAL, PATTERN, PATTERN)
def test_an_intersection_is_what_both_match(subject: str, a: str, b: str) -> None:
    common = intersection(a, b)
    assert (common is not None) is overlap(a, b) and common == intersection(b, a)
    assert (common is not None and matches(common, subject)) is (matches(a, subject) and matches(b, subject))
