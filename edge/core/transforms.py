"""One subject into another: ``orders.*.*`` to ``o.{{partition(3,1)}}.$2`` (nats-server's subject mapping;
reference: core.md section 4).

A destination's tokens are literals, ``$n`` or ``{{wildcard(n)}}`` for the n-th ``*`` of the source, functions of
such tokens, and a last ``>`` for whatever the source's ``>`` stands for.
"""

import random
import re
from collections.abc import Callable, Sequence

from edge.subjects import is_valid, matches

MAX_NUMBER = 2**31 - 1
MAX_DIGITS = 20
SIDE = "([fF]rom([lL]eft|[rR]ight))"
NAMES = rf"[wW]ildcard|[pP]artition|[rR]andom|[sS]plit{SIDE}?|[sS]lice{SIDE}|[lL]eft|[rR]ight"
CALL = re.compile(rf"\{{\{{\s*(?P<name>{NAMES})\s*\((?P<arguments>.*)\)\s*\}}\}}")
INTEGER = re.compile(r"[+-]?[0-9]+")
FNV_OFFSET, FNV_PRIME = 0x811C9DC5, 0x01000193

Make = Callable[[Sequence[str]], str]  # the tokens of a subject to one or more tokens of another


class Transform:
    """``strict``: reversible, as imports need it.  ValueError for what is no transform, in nats-server's words."""

    __slots__ = ("destination", "is_fixed", "makers", "source", "tail", "wildcards")

    def __init__(self, source: str, destination: str, strict: bool = False) -> None:
        source = source or ">"
        source_tokens, tokens = source.split("."), destination.split(".")
        if not is_valid(source) or "" in tokens or "*" in tokens or ">" in tokens[:-1]:
            raise ValueError("invalid subject")
        if (source_tokens[-1] == ">") != (tokens[-1] == ">"):
            raise ValueError("'>' at the end of one needs '>' at the end of the other")
        if strict and any(placeholder(token) is not None or is_call(token) for token in source_tokens):
            raise ValueError("a token of the source would not be itself on the way back")
        self.source = source
        self.destination = destination
        self.wildcards = [i for i, token in enumerate(source_tokens) if token == "*"]
        self.tail = len(source_tokens) - 1 if source_tokens[-1] == ">" else None
        self.is_fixed = True  # the same subject gives the same result each time
        used: list[int] = []
        self.makers = [self._maker(token, used, strict) for token in tokens if token != ">"]
        if strict and len(set(used)) < len(self.wildcards):
            raise ValueError("not using all of the token wildcard(s)")
        if strict and len(used) > len(self.wildcards):
            raise ValueError("using a token wildcard twice: there would be no way back")

    def match(self, subject: str) -> str | None:
        """What ``subject`` becomes; None when it does not fall under the source."""
        if not matches(self.source, subject):
            return None
        tokens = subject.split(".")
        made = [maker(tokens) for maker in self.makers]
        return ".".join(made if self.tail is None else made + tokens[self.tail :])

    def reversed(self) -> "Transform":
        """The way back of a strict transform."""
        order: list[int] = []  # of the source's wildcards, as the destination has them
        there: list[str] = []
        for token in self.destination.split("."):
            number = placeholder(token)
            if number:
                order.append(number)
            there.append("*" if number else token)
        back, count = [], 0
        for token in self.source.split("."):
            count += token == "*"
            back.append(f"${order.index(count) + 1}" if token == "*" else token)
        return Transform(".".join(there), ".".join(back), strict=True)

    # ---- tokens of the destination

    def _maker(self, token: str, used: list[int], strict: bool) -> Make:
        number = placeholder(token)
        if number is not None:
            used.append(number)
            place = self._place(token, number, strict)
            return lambda tokens: tokens[place]
        if not is_call(token):
            return lambda tokens: token
        call = CALL.fullmatch(token)
        name = call["name"].lower() if call else ""
        if strict:
            only = "the only mapping function allowed for import transforms is {{Wildcard()}}"
            raise ValueError(f"{only} in {token}")
        arguments = re.split(r",\s*", call["arguments"]) if call else []
        if name == "partition":
            return self._partition(token, arguments, used)
        if name == "random":
            return self._random(token, arguments)
        if name in SHAPES:
            return self._shape(token, name, arguments, used)
        if name == "wildcard":  # a number it was not
            _refuse_count(token, [argument for argument in arguments if argument.strip(" ")], 1)
            raise ValueError(f"function argument is invalid or in the wrong format in {token}")
        raise ValueError(f"unknown function in {token}")

    def _place(self, token: str, number: int, strict: bool = False) -> int:
        """For nats-server the wildcard before the first is the subject's first token."""
        if number < 1 and not strict and (self.wildcards or self.tail is not None):
            return 0
        if not 1 <= number <= len(self.wildcards):
            raise ValueError(f"wildcard index out of range in {token}: [{number}]")
        return self.wildcards[number - 1]

    def _partition(self, token: str, arguments: list[str], used: list[int]) -> Make:
        """By the tokens that are named, else by the whole subject."""
        count, *numbers = [_number(token, argument) for argument in arguments]
        used += numbers
        places = [self._place(token, number) for number in numbers]
        count &= 0xFFFFFFFF  # it is unsigned there
        if not places:
            return lambda tokens: str(_fnv1a(".".join(tokens)) % count) if count else "0"
        return lambda tokens: str(_fnv1a("".join(tokens[place] for place in places)) % count) if count else "0"

    def _random(self, token: str, arguments: list[str]) -> Make:
        _refuse_count(token, arguments, 1)
        ceiling = _number(token, arguments[0])
        self.is_fixed = False
        return lambda tokens: str(random.randrange(abs(ceiling))) if ceiling else "0"

    def _shape(self, token: str, name: str, arguments: list[str], used: list[int]) -> Make:
        _refuse_count(token, arguments, 2)
        number = _number(token, arguments[0])
        used.append(number)
        place = self._place(token, number)
        shape = SHAPES[name]
        if name == "split":
            delimiter = arguments[1]
            if " " in delimiter or "." in delimiter:
                raise ValueError(f"function argument is invalid or in the wrong format in {token}")
            return lambda tokens: _split(tokens[place], delimiter)
        size = _number(token, arguments[1])
        return lambda tokens: _shaped(shape, tokens[place], size)


def check_mapping(source: str, destination: str) -> None:
    """ValueError when there is no such mapping."""
    Transform(source, destination)


def placeholder(token: str) -> int | None:
    """The number of ``$n`` or ``{{wildcard(n)}}``; None for any other token."""
    if token.startswith("$"):
        return _integer(token[1:])  # $JS and $SYS are names
    call = CALL.fullmatch(token)
    return _integer(call["arguments"].strip(" ")) if call and call["name"].lower() == "wildcard" else None


def is_call(token: str) -> bool:
    return token.startswith("{{") and token.endswith("}}")


def _number(token: str, argument: str) -> int:
    number = _integer(argument.strip(" "))
    if number is None:
        raise ValueError(f"function argument is invalid or in the wrong format in {token}")
    return number


def _integer(digits: str) -> int | None:
    if not INTEGER.fullmatch(digits) or len(digits) > MAX_DIGITS or abs(int(digits)) > MAX_NUMBER:
        return None
    return int(digits)


def _refuse_count(token: str, arguments: list[str], wanted: int) -> None:
    if len(arguments) < wanted:
        raise ValueError(f"not enough arguments passed to the function in {token}")
    if len(arguments) > wanted:
        raise ValueError(f"too many arguments passed to the function in {token}")


def _fnv1a(text: str) -> int:
    """FNV-1a, 32 bits."""
    value = FNV_OFFSET
    for byte in text.encode("utf-8", "surrogateescape"):
        value = (value ^ byte) * FNV_PRIME & 0xFFFFFFFF
    return value


# ---- shapes of one token; a size that does not fit leaves it as it is


def _shaped(shape: Callable[[str, int], str], token: str, size: int) -> str:
    """Sizes count bytes, as nats-server counts them: both sides of a leaf have to come to the same subject."""
    if token.isascii():
        return shape(token, size) if 0 < size < len(token) else token
    data = token.encode("utf-8", "surrogateescape")
    if not 0 < size < len(data):
        return token
    return shape(data.decode("latin-1"), size).encode("latin-1").decode("utf-8", "surrogateescape")


def _split(token: str, delimiter: str) -> str:
    """Each letter is a part where there is no delimiter.  Several delimiters in front leave one empty part."""
    parts = token.split(delimiter) if delimiter else [*token]
    found = [part for part in parts if part]
    return ".".join(["", *found] if found and parts[:2] == ["", ""] else found)


def _slice_from_left(token: str, size: int) -> str:
    return ".".join(token[at : at + size] for at in range(0, len(token), size))


def _slice_from_right(token: str, size: int) -> str:
    rest = len(token) % size
    pieces = [token[:rest]] if rest else []
    return ".".join(pieces + [token[at : at + size] for at in range(rest, len(token), size)])


SHAPES: dict[str, Callable[[str, int], str]] = {
    "splitfromleft": lambda token, at: f"{token[:at]}.{token[at:]}",
    "splitfromright": lambda token, at: f"{token[:-at]}.{token[-at:]}",
    "slicefromleft": _slice_from_left,
    "slicefromright": _slice_from_right,
    "left": lambda token, size: token[:size],
    "right": lambda token, size: token[-size:],
    "split": lambda token, size: token,
}
