"""Includes, variables, bounds; and whatever is thrown at it, only ConfigError comes out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import parser
from edge.config.parser import parse_file, parse_text
from edge.errors import ConfigError


def problem(text: str, path: str = "x.conf", environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_text(text, environ or {}, path)
    return str(caught.value)


# ---- includes


def test_an_include_is_relative_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "x.conf").write_text("include sub/a.conf\nlast: 1")
    (tmp_path / "sub" / "a.conf").write_text("include b.conf")
    (tmp_path / "sub" / "b.conf").write_text("\n  port: 4333")
    entries = parse_file(str(tmp_path / "x.conf"), {}).entries
    assert entries["port"].value.data == 4333
    assert entries["port"].place == (str(tmp_path / "sub" / "b.conf"), 2, 3)
    assert entries["port"].value.place.column == 9


def test_an_absolute_include_is_absolute(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("port: 1")
    assert parse_text(f"include {tmp_path}/a.conf", {}, "elsewhere/x.conf").entries["port"].value.data == 1


def test_an_included_file_does_not_see_the_variables_around_it(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("port: $v")
    assert "a.conf:1:7: $v is not defined" in problem("v: 1\ninclude a.conf", str(tmp_path / "x.conf"))


def test_a_missing_include_names_the_place_that_asks(tmp_path: Path) -> None:
    path = str(tmp_path / "x.conf")
    assert problem("\n include no.conf", path).startswith(f"{path}:2:10: cannot read {tmp_path}/no.conf: No such file")


def test_a_missing_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cannot read .*/no\.conf: No such file or directory$"):
        parse_file(str(tmp_path / "no.conf"), {})


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        parse_file(str(tmp_path), {})


def test_a_file_cannot_include_itself(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("include ./b.conf")
    (tmp_path / "b.conf").write_text("\ninclude ./a.conf")
    with pytest.raises(ConfigError, match=r"b\.conf:2:9: .*a\.conf includes itself"):
        parse_file(str(tmp_path / "a.conf"), {})


def test_includes_have_a_depth(tmp_path: Path) -> None:
    for i in range(parser.MAX_INCLUDE_DEPTH + 2):
        (tmp_path / f"{i}.conf").write_text(f"include '{i + 1}.conf'")
    with pytest.raises(ConfigError, match="too many includes"):
        parse_file(str(tmp_path / "0.conf"), {})


def test_includes_have_a_number(tmp_path: Path) -> None:
    (tmp_path / "leaf.conf").write_text("a: 1")
    (tmp_path / "x.conf").write_text("include leaf.conf\n" * parser.MAX_FILES)
    with pytest.raises(ConfigError, match="too many includes"):
        parse_file(str(tmp_path / "x.conf"), {})


def test_other_bytes_than_utf8_have_a_place(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_bytes(b"a: 1\nb: \xff")
    with pytest.raises(ConfigError, match=r"x\.conf:2:4: expected UTF-8 text, found byte 0xff"):
        parse_file(str(tmp_path / "x.conf"), {})


def test_a_file_has_a_size(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_bytes(b"#" * (parser.MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 4 MiB"):
        parse_file(str(tmp_path / "x.conf"), {})


# ---- variables


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v: 1\na: $v", 1),
        ("v: [x]\na: $v", ["x"]),
        ("v: 1\nb { v: 2, c: $v }\na: $v", 1),
        ("a: $N", 5),
        ("a: $SIZE", 64000),
        ("a: $WORD", "word"),
        ("a: $TRUE", True),
        ("a: $QUOTED", "a b"),
        ("a: $NOTHING", ""),
        ("a: $INDIRECT", 5),
        ("a: '$N'", "$N"),
        ('a: "$N"', "$N"),
        ("N: 6\na: $N", 6),
    ],
)
def test_variables(text: str, expected: object, parse: Callable[..., object]) -> None:
    environ = {"N": "5", "SIZE": "64k", "WORD": "word", "TRUE": "true", "QUOTED": '"a b"', "NOTHING": ""}
    parsed = parse(text, {**environ, "INDIRECT": "$N"})
    assert isinstance(parsed, dict)
    assert parsed["a"] == expected


def test_the_innermost_block_wins(parse: Callable[..., object]) -> None:
    assert parse("v: 1\nb { v: 2, c { d: $v } }") == {"v": 1, "b": {"v": 2, "c": {"d": 2}}}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "1:4: $V is not defined: expected a key of that name before, or an environment variable"),
        ({"V": "a b"}, "1:4: $V from the environment: expected one value (put it in double quotes), found 'b'"),
        ({"V": "$V"}, "1:4: $V from the environment: $V from the environment: $V refers to itself"),
        ({"V": '"open'}, '1:4: $V from the environment: expected " to close the string that begins here'),
    ],
)
def test_variables_that_cannot_be(environ: dict[str, str], expected: str) -> None:
    assert expected in problem("k: $V", environ=environ)


def test_a_variable_makes_its_name_known() -> None:
    entries = parse_text("v: 1\nunused: 2\na: $v", {}).entries
    assert [entry.referenced for entry in entries.values()] == [True, False, False]


# ---- bounds, and anything at all


@pytest.mark.parametrize("opener", ["[", "{a:", "["])
def test_nesting_is_bounded(opener: str) -> None:
    assert "nested more than 64 deep" in problem("a: " + opener * 100_000)


def test_the_last_of_two_equal_keys_counts(parse: Callable[..., object]) -> None:
    assert parse("a: 1\na: 2") == {"a": 2}


FRAGMENTS = st.sampled_from(
    [*"[]{}()\"'\\$#/,;:=.- \t\n\r\0-k1", "include", "a", "$v", "1k", "\\x4", "2026-01-01T00:00:00Z", "(\n", "\n)\n"]
)


@settings(deadline=None, max_examples=500)
@given(st.one_of(st.text(), st.lists(FRAGMENTS).map("".join)))
def test_nothing_but_config_error(text: str) -> None:
    try:
        parse_text(text, {"v": text}, "/nowhere/x.conf")
    except ConfigError as exc:
        assert exc.line > 0 and exc.column > 0


@settings(deadline=None)
@given(st.binary())
def test_nothing_but_config_error_from_a_file(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.conf"
    path.write_bytes(data)
    try:
        parse_file(str(path), {})
    except ConfigError as exc:
        assert exc.problem
