"""Subjects into subjects.  That nats-server does the same is tests/e2e/test_mappings.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.transforms import Transform

TOKEN = st.text("abc-1", min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("source", "destination", "subject", "expected"),
    [
        ("a", "b", "a", "b"), ("a", "b", "c", None), ("a.*", "b.$1", "a.x", "b.x"), ("a.*", "b", "a.x", "b"),
        ("a.*.*", "b.{{wildcard(2)}}.{{ Wildcard( 1 ) }}", "a.x.y", "b.y.x"), ("a.>", "b.>", "a.x.y", "b.x.y"),
        ("", "b.>", "x.y", "b.x.y"), (">", ">", "x.y", "x.y"), ("a.*.>", "$1.>", "a.x.y.z", "x.y.z"),
        ("*.*", "$JS.$1.$2", "x.y", "$JS.x.y"),
        ("*", "{{partition(10,1)}}", "foo", "3"),
        ("foo.bar", "p.{{partition(10)}}", "foo.bar", "p.6"), ("*", "{{partition(0,1)}}", "foo", "0"),
        ("*", "{{splitfromleft(1,2)}}", "abcde", "ab.cde"), ("*", "{{SplitFromRight(1,2)}}", "abcde", "abc.de"),
        ("*", "{{splitfromleft(1,9)}}", "abc", "abc"), ("*", "{{slicefromleft(1,2)}}", "abcde", "ab.cd.e"),
        ("*", "{{SliceFromRight(1,2)}}", "abcde", "a.bc.de"), ("*", "{{slicefromright(1,2)}}", "abcd", "ab.cd"),
        ("*", "{{split(1,-)}}", "-a--b-c-", "a.b.c"), ("*", "{{left(1,2)}}.{{right(1,2)}}", "abcde", "ab.de"),
        ("*", "{{left(1,9)}}", "abc", "abc"), ("*", "{{random(1)}}", "x", "0"), ("*", "{{random(-1)}}", "x", "0"),
        ("*", "{{split(1,)}}", "abc", "a.b.c"), ("*", "s.{{split(1,-)}}", "--a-b", "s..a.b"), ("*", "s.{{split(1,-)}}", "--", "s."),
        ("a.*", "b.{{wildcard(0)}}.$-1", "a.x", "b.a.a"), ("a.*", "b.{{left(0,1)}}", "a.x", "b.a"), ("*", "b.$x.$", "y", "b.$x.$"),
        ("*", "{{partition(-1,1)}}", "foo", "2851307223"), ("*", "{{ partition( 10 , 1 ) }}", "foo", "3"),
    ],
)  # fmt: skip
def test_what_becomes_of_a_subject(source: str, destination: str, subject: str, expected: str | None) -> None:
    assert Transform(source, destination).match(subject) == expected


@pytest.mark.parametrize(
    ("source", "destination", "problem"),
    [
        ("a..b", "b", "invalid subject"), ("a", "b.*", "invalid subject"), ("a", "", "invalid subject"), ("a.>", "b", "'>'"),
        ("a", "b.$1", "out of range"), ("a.*", "b.$2", "out of range"), ("a.*", "b.{{wildcard()}}", "not enough"),
        ("a.*", "b.{{wildcard(1,2)}}", "too many"), ("a.*", "b.{{wildcard(x)}}", "wrong format"),
        ("a.*", "b.{{nothing(1)}}", "unknown function"), ("a.*", "b.{{left(1)}}", "not enough"), ("a.*", "b.{{left(1,2,3)}}", "too many"),
        ("a.*", "b.{{left(x,2)}}", "wrong format"), ("a.*", "b.{{split(1,-,3)}}", "too many"), ("a.*", "b.{{partition(x,1)}}", "wrong format"),
        ("a.*", "b.{{WILDCARD(1)}}", "unknown function"), ("a.*", "b.{{ split( 1,- ) }}", "wrong format"), ("a", "$0", "out of range"),
        ("a.*", "b.{{partition(3,2)}}", "out of range"), ("a.*", "{{random(1,2)}}", "too many"), ("a.*", "{{oops}}", "unknown function"),
    ],
)  # fmt: skip
def test_what_is_no_transform(source: str, destination: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Transform(source, destination)


@pytest.mark.parametrize("destination", ["b.$1", "b.{{left(1,1)}}.$2", "b.$1.$2.$0"])
def test_an_import_uses_every_wildcard_and_no_other_function(destination: str) -> None:
    with pytest.raises(ValueError):
        Transform("a.*.*", destination, strict=True)


@given(st.lists(TOKEN, min_size=3, max_size=3), st.permutations([1, 2, 3]), st.booleans())
def test_there_and_back(tokens: list[str], order: list[int], tail: bool) -> None:
    end = ".>" if tail else ""
    there = Transform("a.*.*.*" + end, ".".join(f"${n}" for n in order) + ".b" + end, strict=True)
    subject = ".".join(["a", *tokens, *(["x", "y"] if tail else [])])
    renamed = there.match(subject)
    assert renamed is not None and there.reversed().match(renamed) == subject
