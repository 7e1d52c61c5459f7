"""Where a mistake is, and what is said about it.  What is read from right texts is in test_against_nats_server.py."""

from collections.abc import Callable

import pytest

from edge.config.lexer import Lexer, Place
from edge.config.parser import parse_text
from edge.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("port: 4222 debug", (1, 12), "expected a new line, ',' or ';' after the value, found 'debug'"),
        ("a {\n  b: 1\n  c: 2 d\n}", (3, 8), "expected a new line, ',' or ';' or '}' after the value, found 'd'"),
        ("l: [1, 2 3]", (1, 10), "expected a new line, ',' or ']' after the value, found '3'"),
        ("port:\n4222", (1, 6), "expected a value, found the end of the line"),
        ("port:", (1, 6), "expected a value, found the end of the text"),
        ("a {\n b: 1\n", (1, 3), "expected '}' to close the block that begins here, found the end of the text"),
        ("\nl: [\n 1\n", (2, 4), "expected ']' to close the list that begins here, found the end of the text"),
        ('k: "open', (1, 4), 'expected " to close the string that begins here, found the end of the text'),
        ("k: 'open", (1, 4), "expected ' to close the string that begins here, found the end of the text"),
        ("'k: 1", (1, 1), "expected ' to close the quoted key that begins here, found the end of the text"),
        ("k: (\nopen", (1, 4), "expected ')' on a line of its own to close the text block that begins here"),
        ('k: "a\\q"', (1, 6), r"expected one of \n \t \r \" \\ \xHH, found '\\q'"),
        ('k: "\\xg0"', (1, 5), r"expected two hexadecimal digits after \x, found 'g0'"),
        ('k: "\\xff"', (1, 4), r"expected UTF-8 text, found other bytes written with \x"),
        ("jetstream{ a: 1 }", (1, 10), "expected white space or ':' before '{'"),
        ("port: 1 }", (1, 9), "expected a new line, ',' or ';' after the value, found '}'"),
        ("k: it's", (1, 6), "expected the end of the value, found ' (put the whole value in double quotes)"),
        ("k: -x", (1, 5), "expected a digit after '-' (quote a string), found 'x'"),
        ("k: 1.x", (1, 6), "expected a digit after '.' (quote a string), found 'x'"),
        ("k: ./x", (1, 4), "expected a value, found '.' (numbers begin with a digit; quote a string)"),
        ("k: 1kbb", (1, 5), "expected a unit such as k, kb or kib, found 'kbb'"),
        ("k: 20000000000000000000", (1, 4), "expected an integer of 64 bits, found 20000000000000000000"),
        ("k: 8e", None, ""),
        ("k: 10e", (1, 4), "expected an integer of 64 bits, found 10e"),
        ("k: 12-3", (1, 4), "expected a datetime such as 2026-11-23T04:05:06Z (quote a string), found '12-3'"),
        ("include {", (1, 9), "expected the name of a file to include (quote unusual names), found '{'"),
        ("a: 1\n, b: 2", (2, 1), "expected a key, found ','"),
        ("a: 1\n\0", (2, 1), "found a NUL character, expected text"),
        ("é: 1\nü: é é", (2, 6), "expected a new line, ',' or ';' after the value, found 'é'"),
    ],
)
def test_a_mistake_has_its_place(text: str, where: tuple[int, int] | None, problem: str) -> None:
    if where is None:
        parse_text(text, {}, "x.conf")
        return
    with pytest.raises(ConfigError) as caught:
        parse_text(text, {}, "x.conf")
    assert (caught.value.path, caught.value.line, caught.value.column) == ("x.conf", *where)
    assert caught.value.problem == problem
    assert str(caught.value) == f"x.conf:{where[0]}:{where[1]}: {problem}"


def test_places_count_from_one() -> None:
    lexer = Lexer("ab\n\ncd", "x.conf")
    assert [lexer.place(offset) for offset in (0, 1, 3, 4, 6)] == [
        Place("x.conf", 1, 1),
        Place("x.conf", 1, 2),
        Place("x.conf", 2, 1),
        Place("x.conf", 3, 1),
        Place("x.conf", 3, 3),
    ]


def test_a_number_may_end_where_its_list_ends(parse: Callable[..., object]) -> None:
    assert parse("l: [1,2k,-3]") == {"l": [1, 2000, -3]}


def test_bcrypt_is_no_variable(parse: Callable[..., object]) -> None:
    assert parse("a: $2a$11$xy, b: $2b$11$xy") == {"a": "$2a$11$xy", "b": "$2b$11$xy"}
